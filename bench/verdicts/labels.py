"""What is true of a recorded run.

Outcome findings (collapse, memorisation, progress) come from the oracle's figures of the fakes, which the diagnosis
does not read. Dynamic findings come from the raw curves, by rules of thumb over the last fifth of the budget; only that
both losses vanish also asks what was planted. The diagnosis reads the same curves, and some levels are the published
ones on either side (the band of healthy losses, a g_loss of 2.5, a loss of 1e4): figures on dynamic findings say that
rules and thumbs agree, but for oscillation, which was labelled by looking at the curves alone. `reviewed.toml` has what
looking changed, and the last word.
"""

import tomllib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau  # pyright: ignore[reportUnknownVariableType]

from bench.verdicts.adopt import reviews
from bench.verdicts.recording import Recording
from bench.verdicts.suite import Planned
from ganlib.findings import FindingName
from ganlib.records import STEP_COLUMNS
from ganlib.spec.data import MixtureDataset

REVIEWED = Path(__file__).parent / "reviewed.toml"

OUTCOMES: tuple[FindingName, ...] = (
    "mode collapse",
    "memorisation",
    "slow convergence",
    "stalled",
    "deceptive loss",
)
DYNAMICS: tuple[FindingName, ...] = tuple(name for name in get_args(FindingName) if name not in OUTCOMES)

LEFT_OUT = 0.3  # share of the data in modes that are not made
MOSTLY_LEFT_OUT = 0.6
SHOWN = 0.5  # of quality: below it a classifier misses whole classes of images that only look poor
BARELY_LEFT_OUT = (0.15, 0.45)  # between these a label was argued about
SOMETHING = 0.1  # of quality
CLOSE = 0.5  # of the reals' distance between two samples
NO_SPREAD = 0.15  # of the reals' distance: all fakes are alike
GOOD = 0.3  # share of fakes that show something, over the reals'
POOR = 0.2
MEMORISED = 0.25  # share of fakes nearer than 95 % of other reals: five times what is expected
GAIN = 0.05  # of quality, from two thirds of the budget to its end
RISING = 0.05
FINISHED = 0.9
MARGIN = 0.025
OF_POOR_SAMPLES: tuple[FindingName, ...] = (
    "convergence failure: discriminator wins",
    "convergence failure: no equilibrium",
    "vanishing gradients",
    "deceptive loss",
    "stalled",
)
"""Findings that good samples deny."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What is wrong with a run at the end of its budget."""

    labels: frozenset[FindingName]
    healthy: bool
    """Nothing harmful at the end, fakes that show the data, and no collapse on the way there. A run may be neither."""
    onset: dict[FindingName, int]
    """Epoch since which a label has held, of those that the oracle dates."""
    won_since: int | None = None
    """Updates after which the discriminator had won for a whole window, and did to the end."""
    argued: tuple[str, ...] = field(default=())
    """Why the label is not beyond doubt."""
    near: dict[FindingName, str] = field(default_factory=dict[FindingName, str])
    """Where the oracle's own figure lies so near its cut-off that other fakes of the same run might turn the label."""


def truth(run: Planned, recording: Recording) -> Truth:
    """The labels of a run."""
    review: dict[str, Any] = reviews().get(run.configuration.adopted or "") or _reviewed().get(run.id) or {}
    onset = _dated(recording)
    poor = review.get("poor", False) or median_at_end(recording.figure("quality")) < POOR
    found: set[FindingName] = _undated(recording, poor=poor, collapsed="mode collapse" in onset)
    found.update(onset, _dynamics(run, recording))
    found.update(review.get("present", []))
    if not found.difference(review.get("absent", [])) and poor and _gain(recording) < GAIN:
        found.add("stalled")
    found.difference_update(review.get("absent", []))
    harmful = found - {"slow convergence"}
    argued = [*_argued(recording), *([review["reason"]] if review else [])]
    return Truth(
        labels=frozenset(found),
        healthy=not harmful and not poor and _is_good(recording) and not _was_collapsed(recording),
        onset={name: epoch for name, epoch in onset.items() if name in found},
        won_since=_won_since(recording),
        argued=tuple(argued),
        near=_near(recording),
    )


@cache
def _reviewed() -> dict[str, Any]:
    return tomllib.loads(REVIEWED.read_text()) if REVIEWED.exists() else {}


# --- outcomes ---------------------------------------------------------------------------------------------------


def _dated(recording: Recording) -> dict[FindingName, int]:
    """Collapse and memorisation, each with the epoch since when."""
    found: dict[FindingName, int] = {}
    collapsed = _collapsed(recording)
    if _at_end(collapsed):
        found["mode collapse"] = _since(collapsed, recording)
    copied = (recording.figure("copied") >= MEMORISED) & (recording.figure("quality") >= GOOD)
    if _at_end(copied):
        found["memorisation"] = _since(copied, recording)
    return found


def _undated(recording: Recording, *, poor: bool, collapsed: bool) -> set[FindingName]:
    """What can be said at the end of the budget alone. Losses deceive of poor samples that have stopped rising."""
    found: set[FindingName] = set()
    finite = recording.figure("finite")[-1] == 1
    late = median_at_end(recording.figure("quality"))
    becomes_better = finite and _gain(recording) >= GAIN and _is_rising(recording)
    if becomes_better and late < FINISHED:
        found.add("slow convergence")
    if _losses_look_healthy(recording) and (collapsed or (poor and not becomes_better)):
        found.add("deceptive loss")
    return found


def _gain(recording: Recording) -> float:
    """Of quality, from two thirds of the budget to its end."""
    quality = recording.figure("quality")
    centre = round(2 / 3 * (len(quality) - 1))
    return median_at_end(quality) - float(np.median(quality[centre - 1 : centre + 2]))


def _is_rising(recording: Recording) -> bool:
    """Whether the quality rises over the last third of the budget, and does not only go up and down.

    Kendall's rank correlation with time, one-sided.
    """
    quality = recording.figure("quality")
    late = quality[-(len(quality) // 3) :]
    test = kendalltau(np.arange(len(late)), late, alternative="greater")
    return float(test[1]) < RISING  # pyright: ignore[reportArgumentType]


def _was_collapsed(recording: Recording) -> bool:
    """Whether two evaluations running saw a collapse after the first quarter of the budget."""
    collapsed = _collapsed(recording)[len(recording.history.evaluations) // 4 :]
    return bool((collapsed[1:] & collapsed[:-1]).any())


def _collapsed(recording: Recording) -> NDArray[np.bool_]:
    """[evaluations] whether fakes leave out modes or are all alike; the untrained generator's always are.

    Of fakes that show nothing it is not said that they leave out modes, unless they lie close together; nor, unless
    most modes are missing, of images that mostly show nothing: those that the classifier is sure of are then few, and
    of the classes that are easily told.
    """
    missing, spread, quality = (recording.figure(name) for name in ("missing", "spread", "quality"))
    enough = SOMETHING if isinstance(recording.spec.dataset, MixtureDataset) else SHOWN
    with np.errstate(invalid="ignore"):
        leave_out = (missing >= LEFT_OUT) & ((quality >= enough) | (spread < CLOSE))
        mostly = (missing >= MOSTLY_LEFT_OUT) & (quality >= SOMETHING)
        return leave_out | mostly | (spread < NO_SPREAD)


def _argued(recording: Recording) -> list[str]:
    missing = median_at_end(recording.figure("missing"))
    low, high = BARELY_LEFT_OUT
    return [f"modes with {missing:.0%} of the data are left out"] if low < missing < high else []


def _near(recording: Recording) -> dict[FindingName, str]:
    """By finding: an oracle's figure within MARGIN of its cut-off, two standard errors of a quality of .2."""
    quality, gain = median_at_end(recording.figure("quality")), _gain(recording)
    missing, copied = median_at_end(recording.figure("missing")), median_at_end(recording.figure("copied"))
    found: dict[FindingName, str] = {}
    if abs(quality - POOR) <= MARGIN:
        words = f"the oracle's quality is {quality:.2f}, and poor below {POOR:.2f}"
        found.update(dict.fromkeys(OF_POOR_SAMPLES, words))
    if abs(gain - GAIN) <= MARGIN:
        found["slow convergence"] = f"the oracle's quality rose by {gain:.2f}, and rises from {GAIN:.2f}"
        found.setdefault("stalled", found["slow convergence"])
    low, high = BARELY_LEFT_OUT
    if low < missing < high:
        words = f"the oracle misses modes with {missing:.0%} of the data, and calls {LEFT_OUT:.0%} a collapse"
        found["mode collapse"] = words
        found.setdefault("deceptive loss", words)
    pulled = _pull(recording)
    if EXPLODED / 2 <= pulled <= 2 * EXPLODED:
        found["exploding gradients"] = (
            f"the generator's gradient grew to {pulled:.0f} times, and explodes from {EXPLODED:.0f}"
        )
    if abs(copied - MEMORISED) <= MARGIN:
        found["memorisation"] = f"the oracle calls {copied:.2f} of the fakes copies, and {MEMORISED:.2f} memorisation"
    return found


def _is_good(recording: Recording) -> bool:
    figures = {name: median_at_end(recording.figure(name)) for name in ("missing", "quality", "spread", "finite")}
    return (
        figures["quality"] >= GOOD
        and not figures["missing"] > BARELY_LEFT_OUT[0]
        and figures["spread"] > 0.6
        and figures["finite"] == 1
    )


def _losses_look_healthy(recording: Recording) -> bool:
    """As the articles have it for binary cross-entropy: d_loss .5 to .8, g_loss .5 to 2, over the last third."""
    if not recording.spec.objective.name.endswith("bce"):
        return False
    steps = _tail(recording, 1 / 3)
    d_loss = np.median((steps["d_loss_real"] + steps["d_loss_fake"]) / 2)
    return bool(0.5 <= d_loss <= 0.8 and 0.5 <= np.median(steps["g_loss"]) <= 2)


# --- dynamics ---------------------------------------------------------------------------------------------------

WON_UPDATES = 100
VANISHED, EXPLODED = 1e-3, 1e3
CHANCE = {
    "bce": 0.693,
    "clamped-bce": 0.693,
    "saturating-bce": 0.693,
    "relativistic": 0.693,
    "lsgan": 0.25,
    "hinge": 1.0,
}
JOINED = "joined batches"  # the published cause of both losses vanishing


def _dynamics(run: Planned, recording: Recording) -> set[FindingName]:
    found: set[FindingName] = set()
    steps, poor = _tail(recording, 0.2), median_at_end(recording.figure("quality")) < POOR
    losses = np.stack([steps[name] for name in ("d_loss_real", "d_loss_fake", "g_loss")])
    if not np.isfinite(losses).all() or np.abs(losses).max() > 1e4:
        return {"divergence"}
    bce = recording.spec.objective.name in ("bce", "clamped-bce")  # a saturating loss is 0 where the generator loses
    real, fake = steps["d_acc_real"].mean(), steps["d_acc_fake"].mean()
    g_loss, area = float(np.median(steps["g_loss"])), steps["d_auc"].mean()
    joined = run.configuration.variant.startswith(JOINED)
    if bce and min(real, fake) > 0.98 and g_loss < (2 if joined else 0.1):
        found.add("convergence failure: both losses vanish")
    elif _calls_all_alike(recording, real, fake) or _worse_than_guessing(recording.spec.objective.name, steps):
        found.add("convergence failure: discriminator inert")
    elif area > 0.995 and min(real, fake) > 0.98 and poor:
        found.add("convergence failure: discriminator wins")
    elif bce and area > 0.95 and g_loss > 2.5 and poor:
        found.add("convergence failure: no equilibrium")
    pulled = _pull(recording)
    if pulled < VANISHED and poor:
        found.add("vanishing gradients")
    if pulled > EXPLODED:
        found.add("exploding gradients")
    return found


def _calls_all_alike(recording: Recording, real: float, fake: float) -> bool:
    return abs(real - fake) > 0.95 and not recording.spec.objective.name.startswith("wgan")


def _worse_than_guessing(objective: str, steps: dict[str, NDArray[np.float64]]) -> bool:
    """Whether the discriminator's loss and accuracy are both worse than guesses' for all of a fifth of the budget.

    To say the same of every sample costs a cross-entropy of log 2 a side.
    """
    chance = CHANCE.get(objective)
    if chance is None:
        return False
    loss = np.array([np.median(part) for part in np.array_split((steps["d_loss_real"] + steps["d_loss_fake"]) / 2, 3)])
    right = (steps["d_acc_real"].mean() + steps["d_acc_fake"].mean()) / 2
    return bool((loss > 1.25 * chance).all() and right < 0.5)


def _won_since(recording: Recording) -> int | None:
    """Updates after which the discriminator was right of nearly everything for WON_UPDATES, and so to the end."""
    steps = _tail(recording, 1.0)
    right = (np.minimum(steps["d_acc_real"], steps["d_acc_fake"]) > 0.98) & (steps["d_auc"] > 0.995)
    share = np.convolve(right, np.ones(WON_UPDATES), "valid") / WON_UPDATES
    breaks = np.flatnonzero(share < 0.95)
    first = int(breaks[-1]) + 1 if len(breaks) else 0
    return first + WON_UPDATES if first < len(share) else None


def _pull(recording: Recording) -> float:
    """The generator's gradient over the last tenth of the budget, over that of its first 10 updates."""
    norm = recording.history.steps[:, STEP_COLUMNS.index("g_grad_norm")].astype(np.float64)
    first, last = np.median(norm[:10]), np.median(norm[-max(len(norm) // 10, 20) :])
    return float(last / first) if first > 0 else 1.0


# --- parts ------------------------------------------------------------------------------------------------------


def _tail(recording: Recording, share: float) -> dict[str, NDArray[np.float64]]:
    steps = recording.history.steps[-max(int(share * len(recording.history.steps)), 20) :].astype(np.float64)
    return {name: steps[:, index] for index, name in enumerate(STEP_COLUMNS)}


def median_at_end(values: NDArray[np.float32]) -> float:
    """Median of the last three evaluations; not a number where none of them could be judged."""
    last = values[-3:]
    return float(np.nanmedian(last)) if np.isfinite(last).any() else float("nan")


def _at_end(holds: NDArray[np.bool_]) -> bool:
    return bool(holds[-3:].sum() >= 2)


def _since(holds: NDArray[np.bool_], recording: Recording) -> int:
    """The epoch from which it held to the end, but for single evaluations in between."""
    mended = holds.copy()
    mended[1:-1] |= holds[:-2] & holds[2:]
    mended[-3:] = True
    breaks = np.flatnonzero(~mended)
    first = int(breaks[-1]) + 1 if len(breaks) else 0
    return recording.history.evaluations[first].epoch
