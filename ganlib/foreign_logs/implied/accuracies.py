"""Bounds on the shares of reals and of fakes that a discriminator tells, from whatever else its log prints."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ganlib.foreign_logs.column_names import D_ACC, D_G_Z, D_LOSS, D_X, G_ACC, LOGIT_FAKE, LOGIT_REAL
from ganlib.foreign_logs.implied.numbers import Floats, Interval, Numbers

Of = Literal["real", "fake"]
LEAST_COST: dict[str, float] = {
    "bce": math.log(2),
    "saturating-bce": math.log(2),
    "clamped-bce": math.log(2),
    "lsgan": 0.25,
    "hinge": 1.0,
}
"""By objective: what a sample on the wrong side costs the discriminator at the least."""
GENERATOR_COST: dict[str, float] = {"bce": math.log(2), "clamped-bce": math.log(2), "lsgan": 0.125}
"""By objective: what a fake that is told costs the generator at the least; least squares may be halved."""
HAVE_PROBABILITIES = frozenset({"bce", "saturating-bce", "clamped-bce"})
"""Objectives whose discriminator ends in a sigmoid, so that a mean output bounds how many lie on either side of 1/2."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccuracyBounds:
    """What is known of one accuracy, row by row."""

    bounds: Interval
    """Each in [0, 1]; 0 to 1 where nothing is known. `low` above `high` where the log contradicts itself."""
    by: tuple[str, ...]
    """Signals that bound it."""

    @property
    def estimate(self) -> Floats:
        """[n] the lower bound where it is above 1/2, the upper one where it is below, and else 1/2: it says nothing.

        An accuracy of .99 that is only bounded is at least .99.
        """
        low, high = self.bounds.low, self.bounds.high
        return np.where(low > 0.5, low, np.where(high < 0.5, high, 0.5))


def accuracy_bounds(numbers: Numbers, objective: str) -> dict[Of, AccuracyBounds]:
    """Bounds on both accuracies under the objective; a pooled accuracy ties each to the other."""
    found: dict[Of, AccuracyBounds] = {
        "real": _own_bounds(numbers, objective, "real"),
        "fake": _own_bounds(numbers, objective, "fake"),
    }
    pooled = _share(numbers, D_ACC)
    if pooled is None:
        return found
    real, fake = found["real"].bounds, found["fake"].bounds
    return {"real": _tied(found["real"], fake, pooled), "fake": _tied(found["fake"], real, pooled)}


def _own_bounds(numbers: Numbers, objective: str, of: Of) -> AccuracyBounds:
    rows = len(numbers)
    own = _share(numbers, f"d_acc_{of}")
    if own is not None:
        return AccuracyBounds(bounds=own, by=(f"d_acc_{of}",))
    low, high, by = np.zeros(rows), np.ones(rows), list[str]()
    cost, part = LEAST_COST.get(objective), numbers.part(of)
    if cost is not None and part is not None:
        low = np.fmax(low, 1 - part.high / cost)
        by.append(f"d_loss_{of}" if numbers.get(f"d_loss_{of}") is not None else D_LOSS)
    for bounds, signal in _of_outputs(numbers, objective, of):
        low, high = np.fmax(low, bounds.low), np.fmin(high, bounds.high)
        by.append(signal)
    return AccuracyBounds(bounds=Interval(low=low, high=high).within(0.0, 1.0), by=tuple(by))


def _of_outputs(numbers: Numbers, objective: str, of: Of) -> list[tuple[Interval, str]]:
    """Bounds by what the discriminator said on average, and by what its word cost the generator."""
    found: list[tuple[Interval, str]] = []
    signal = D_X if of == "real" else D_G_Z
    output = numbers.get(signal)
    if objective in HAVE_PROBABILITIES and output is not None and _are_shares(output):
        right = output if of == "real" else Interval(low=1 - output.high, high=1 - output.low)
        found.append((Interval(low=2 * right.low - 1, high=2 * right.high), signal))
    if objective in HAVE_PROBABILITIES and (by_logits := _of_logits(numbers, of)) is not None:
        found.append(by_logits)
    if of == "real":
        return found
    g_loss, called_real = numbers.get("g_loss"), _share(numbers, G_ACC)
    cost = GENERATOR_COST.get(objective)
    if cost is not None and g_loss is not None:
        found.append((Interval(low=np.zeros(len(g_loss)), high=np.maximum(g_loss.high, 0.0) / cost), "g_loss"))
    if called_real is not None:
        found.append((Interval(low=1 - called_real.high, high=1 - called_real.low), G_ACC))
    return found


def _of_logits(numbers: Numbers, of: Of) -> tuple[Interval, str] | None:
    """log(1 + e^x) - log(1 + e^-x) = x: loss and mean logit tell what the same samples cost with the other label.

    A sample on the right side costs at least log 2 with the wrong label.
    """
    signal = LOGIT_REAL if of == "real" else LOGIT_FAKE
    logit, part = numbers.get(signal), numbers.get(f"d_loss_{of}")
    if logit is None or part is None:
        return None
    other = part.plus(logit if of == "real" else logit.scaled(-1.0))
    most = np.maximum(other.high, 0.0) / math.log(2)
    return Interval(low=np.zeros(len(logit)), high=most), signal


def _share(numbers: Numbers, signal: str) -> Interval | None:
    """A column of shares; None where it holds what no share can be, which is no evidence."""
    column = numbers.get(signal)
    return column.within(0.0, 1.0) if column is not None and _are_shares(column) else None


def _are_shares(column: Interval) -> bool:
    return bool(((column.high >= 0) & (column.low <= 1))[column.finite].all())


def _tied(one: AccuracyBounds, other: Interval, pooled: Interval) -> AccuracyBounds:
    """Both accuracies are twice the pooled one together."""
    low = np.fmax(one.bounds.low, 2 * pooled.low - np.fmin(other.high, 1.0))
    high = np.fmin(one.bounds.high, 2 * pooled.high - np.fmax(other.low, 0.0))
    return AccuracyBounds(bounds=Interval(low=low, high=high).within(0.0, 1.0), by=(*one.by, D_ACC))
