"""What is wrong inside a training, by its discriminator at the end and by what changes there do to its samples.

No recorded curve is read, so that rules on curves can be wrong. Numbers of the same names in `ganlib` are others.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bench.verdicts.inside_figures import UNCHANGED, Inside
from bench.verdicts.oracle_figures import FIGURES
from ganlib.findings import FindingName

# These numbers say what the words mean, and were chosen before any second run was labelled.
HELPED = 0.1
"""Of worth: three standard errors, of .032 at the most, of the difference between two shares of 500 fakes."""
BARELY_HELPED = 0.05
TOLD_APART = 0.995  # chance that a real has a higher logit than a fake
STILL = 1e-4  # of the discriminator's weights: it does not move
DUMB = 1e-3  # of its logits' size: it says the same of everything
FLAT = 1e-3  # slope of the generator's loss, at a fake's logit; 1 where it learns from every fake

MOVED = 0.1  # share of the fakes that go from one side of the modes to the other within a swing
CYCLES = 4
IRREGULAR = 0.4  # standard deviation of a swing's length over its mean


@dataclass(frozen=True, slots=True, kw_only=True)
class Causes:
    """What was found."""

    labels: frozenset[FindingName]
    argued: dict[FindingName, str] = field(default_factory=dict[FindingName, str])
    """Where a figure lies between its two bounds, or two of them do not agree, and why."""


def causes_of(inside: Inside, *, poor: bool) -> Causes:
    """The dynamic findings of a training whose samples at the end are poor, or are not."""
    labels: set[FindingName] = set()
    argued: dict[FindingName, str] = {}
    look, gains = inside.discriminator, gains_of(inside)
    inert = look["motion"] < STILL or look["answers"] < DUMB
    if inert:
        labels.add("convergence failure: discriminator inert")
    if swings(inside.shares) >= CYCLES:
        labels.add("oscillation")
    if not poor or inert:
        return Causes(labels=frozenset(labels), argued=argued)
    fresh, calm, loud = (gains.get(name, 0.0) for name in ("fresh discriminator", "calm", "loud"))
    told_apart = look["separation"] >= TOLD_APART
    healed: dict[FindingName, tuple[bool, float]] = {
        "convergence failure: discriminator wins": (told_apart, fresh),
        "vanishing gradients": (look["slope"] < FLAT, loud),
        "convergence failure: no equilibrium": (not told_apart, calm),
    }
    for finding, (holds, gain) in healed.items():
        if holds and gain >= HELPED:
            labels.add(finding)
        elif holds and gain >= BARELY_HELPED:
            argued[finding] = f"the change that would heal it gains {gain:.2f}"
    return Causes(labels=frozenset(labels), argued=argued)


def gains_of(inside: Inside) -> dict[str, float]:
    """By the change, how much better the samples became than by going on as before; empty where none was made."""
    if UNCHANGED not in inside.changes:
        return {}
    before = _best(inside.changes[UNCHANGED])
    return {name: _best(looks) - before for name, looks in inside.changes.items() if name != UNCHANGED}


def _best(looks: NDArray[np.float32]) -> float:
    return float(worth(looks).max())


def worth(looks: NDArray[np.float32]) -> NDArray[np.float32]:
    """[looks] in [0, 1], of the oracle's figures: the quality of the samples, times the share of the data they make."""
    quality, missing = looks[:, FIGURES.index("quality")], looks[:, FIGURES.index("missing")]
    return np.nan_to_num(quality) * (1 - np.nan_to_num(missing))


def swings(shares: NDArray[np.float32]) -> int:
    """How often the modes went there and back, of shares [looks, modes]; 0 where they did not do so regularly.

    The shares are looked at along the line on which they move most. A swing is a way from one side of the middle to the
    other and back, of MOVED or more on either side.
    """
    if len(shares) < 2:
        return 0
    centred = shares.astype(np.float64) - shares.mean(0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    along = centred @ directions[0]
    turns = _turns(along, MOVED / 2)
    if len(turns) < 2 * CYCLES + 1:
        return 0
    lengths = np.diff(turns[::2])
    regular = lengths.std() <= IRREGULAR * lengths.mean()
    return len(lengths) if regular else 0


def _turns(values: NDArray[np.float64], least: float) -> NDArray[np.int64]:
    """Where the values pass to the other side, having been at the least that far on this one."""
    sides = np.where(values > least, 1, np.where(values < -least, -1, 0))
    seen = np.flatnonzero(sides)
    changed = np.flatnonzero(np.diff(sides[seen]) != 0) + 1
    return seen[changed]
