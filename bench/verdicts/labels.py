"""What is true of a recorded run, from what the diagnosis does not read.

Outcome findings (collapse, memorisation, progress) come from the oracle's figures of the fakes. Dynamic findings come
from what was planted, confirmed on the raw curves by rules of thumb that share no threshold with the diagnosis; where
looking at the curves said otherwise, `reviewed.toml` has the last word and the reason.
"""

import tomllib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from bench.verdicts.recording import Recording
from bench.verdicts.suite import Planned
from ganlib.diagnose.verdict import FindingName
from ganlib.report import STEP_COLUMNS

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
BARELY_LEFT_OUT = (0.15, 0.45)  # between these a label was argued about
SOMETHING = 0.1  # of quality
CLOSE = 0.5  # of the reals' distance between two samples
NO_SPREAD = 0.15  # of the reals' distance: all fakes are alike
GOOD = 0.3  # share of fakes that show something, over the reals'
POOR = 0.2
MEMORISED = 0.25  # share of fakes nearer than 95 % of other reals: five times what is expected
GAIN = 0.05  # of quality, from two thirds of the budget to its end
FINISHED = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What is wrong with a run at the end of its budget."""

    labels: frozenset[FindingName]
    healthy: bool
    """Nothing harmful at any time after the start, and fakes that show the data. A run may be neither."""
    onset: dict[FindingName, int]
    """Epoch since which a label has held."""
    argued: tuple[str, ...] = field(default=())
    """Why the label is not beyond doubt."""


def truth(run: Planned, recording: Recording) -> Truth:
    """The labels of a run."""
    found = _outcomes(recording) | _dynamics(run, recording)
    if not found.keys() - {"slow convergence"} and _is_stalled(recording):
        found["stalled"] = recording.spec.training.epochs
    review = _reviewed().get(run.id, {})
    for name in review.get("absent", []):
        found.pop(name, None)
    for name in review.get("present", []):
        found.setdefault(name, recording.spec.training.epochs)
    harmful = found.keys() - {"slow convergence"}
    argued = [*_argued(recording), *([review["reason"]] if review else [])]
    return Truth(
        labels=frozenset(found),
        healthy=not harmful and _is_good(recording),
        onset=found,
        argued=tuple(argued),
    )


@cache
def _reviewed() -> dict[str, Any]:
    return tomllib.loads(REVIEWED.read_text()) if REVIEWED.exists() else {}


# --- outcomes ---------------------------------------------------------------------------------------------------


def _outcomes(recording: Recording) -> dict[FindingName, int]:
    found: dict[FindingName, int] = {}
    collapsed = _collapsed(recording)
    if _at_end(collapsed):
        found["mode collapse"] = _since(collapsed, recording)
    copied = recording.figure("copied") >= MEMORISED
    if _at_end(copied):
        found["memorisation"] = _since(copied, recording)
    early, late = _quality_then(recording), _end(recording.figure("quality"))
    finite = recording.figure("finite")[-1] == 1
    if finite and late - early >= GAIN and late < FINISHED:
        found["slow convergence"] = recording.spec.training.epochs
    if _losses_look_healthy(recording) and (late < POOR or "mode collapse" in found):
        found["deceptive loss"] = recording.spec.training.epochs
    return found


def _is_stalled(recording: Recording) -> bool:
    """Poor and not becoming better. Said only where nothing else is wrong that would explain it."""
    early, late = _quality_then(recording), _end(recording.figure("quality"))
    return late < POOR and late - early < GAIN


def _collapsed(recording: Recording) -> NDArray[np.bool_]:
    """[evaluations] whether fakes leave out modes or are all alike; the untrained generator's always are.

    Of fakes that show nothing it is not said that they leave out modes, unless they lie close together.
    """
    missing, spread, quality = (recording.figure(name) for name in ("missing", "spread", "quality"))
    with np.errstate(invalid="ignore"):
        leave_out = (missing >= LEFT_OUT) & ((quality >= SOMETHING) | (spread < CLOSE))
        return leave_out | (spread < NO_SPREAD)


def _argued(recording: Recording) -> list[str]:
    missing = _end(recording.figure("missing"))
    low, high = BARELY_LEFT_OUT
    return [f"modes with {missing:.0%} of the data are left out"] if low < missing < high else []


def _is_good(recording: Recording) -> bool:
    figures = {name: _end(recording.figure(name)) for name in ("missing", "quality", "spread", "finite")}
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

JOINED = "joined batches"  # the published cause of both losses vanishing


def _dynamics(run: Planned, recording: Recording) -> dict[FindingName, int]:
    found: dict[FindingName, int] = {}
    epochs = recording.spec.training.epochs
    steps, poor = _tail(recording, 0.2), _end(recording.figure("quality")) < POOR
    losses = np.stack([steps[name] for name in ("d_loss_real", "d_loss_fake", "g_loss")])
    if not np.isfinite(losses).all() or np.abs(losses).max() > 1e4:
        return {"divergence": epochs}
    bce = recording.spec.objective.name.endswith("bce")
    real, fake = steps["d_acc_real"].mean(), steps["d_acc_fake"].mean()
    g_loss, area = float(np.median(steps["g_loss"])), steps["d_auc"].mean()
    joined = run.configuration.variant.startswith(JOINED)
    if bce and min(real, fake) > 0.98 and g_loss < (2 if joined else 0.1):
        found["convergence failure: both losses vanish"] = epochs
    elif abs(real - fake) > 0.95 and not recording.spec.objective.name.startswith("wgan"):
        found["convergence failure: discriminator inert"] = epochs
    elif area > 0.995 and min(real, fake) > 0.98 and poor:
        found["convergence failure: discriminator wins"] = epochs
    elif bce and area > 0.95 and g_loss > 2.5 and poor:
        found["convergence failure: no equilibrium"] = epochs
    pulled = _pull(recording)
    if pulled < 1e-3 and poor:
        found["vanishing gradients"] = epochs
    if pulled > 1e3:
        found["exploding gradients"] = epochs
    return found


def _pull(recording: Recording) -> float:
    """The generator's gradient over the last tenth of the budget, over that of its first 50 updates."""
    norm = recording.history.steps[:, STEP_COLUMNS.index("g_grad_norm")].astype(np.float64)
    first, last = np.median(norm[:50]), np.median(norm[-max(len(norm) // 10, 20) :])
    return float(last / first) if first > 0 else 1.0


# --- parts ------------------------------------------------------------------------------------------------------


def _tail(recording: Recording, share: float) -> dict[str, NDArray[np.float64]]:
    steps = recording.history.steps[-max(int(share * len(recording.history.steps)), 20) :].astype(np.float64)
    return {name: steps[:, index] for index, name in enumerate(STEP_COLUMNS)}


def _end(values: NDArray[np.float32]) -> float:
    """Median of the last three evaluations; not a number where none of them could be judged."""
    last = values[-3:]
    return float(np.nanmedian(last)) if np.isfinite(last).any() else float("nan")


def _quality_then(recording: Recording) -> float:
    quality = recording.figure("quality")
    centre = round(2 / 3 * (len(quality) - 1))
    return float(np.median(quality[centre - 1 : centre + 2]))


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
