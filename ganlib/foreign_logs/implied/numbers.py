"""What a log prints, as what it can mean: every number is an interval, and a loss of two parts bounds each of them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ganlib.foreign_logs.column_names import D_G_Z, D_LOSS, D_X

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
ENDLESS = 1e100
"""A number beyond it is as good as infinite: its square is."""
LOG2 = math.log(2)
D_LOSSES = (D_LOSS, "d_loss_real", "d_loss_fake")


@dataclass(frozen=True, kw_only=True)  # without slots, for what is reckoned once
class Interval:
    """[n] numbers, each of which lies somewhere from `low` to `high`; both are not-a-number where it was none."""

    low: Floats
    high: Floats

    @classmethod
    def printed(cls, values: Floats, half_width: Floats | float = 0.0) -> "Interval":
        """Numbers that were rounded to within `half_width`: 0.0000 is anything from -5e-5 to 5e-5.

        What is infinite, or as good as that, is no number to reckon with.
        """
        known = np.where(np.abs(values) < ENDLESS, values, np.nan)
        return cls(low=known - half_width, high=known + half_width)

    def __len__(self) -> int:
        return len(self.low)

    @property
    def middle(self) -> Floats:
        """[n] the numbers as they were printed."""
        return (self.low + self.high) / 2

    @cached_property
    def finite(self) -> Flags:
        """[n] which are numbers at all."""
        return np.isfinite(self.low) & np.isfinite(self.high)

    def within(self, least: float, most: float) -> "Interval":
        """What is left of each where it can lie from `least` to `most` only: a loss that prints 0.00 is not below 0."""
        return Interval(low=np.clip(self.low, least, most), high=np.clip(self.high, least, most))

    def scaled(self, factor: float) -> "Interval":
        """Each number times the factor, which may be negative."""
        ends = (self.low * factor, self.high * factor)
        return Interval(low=np.minimum(*ends), high=np.maximum(*ends))

    def plus(self, other: "Interval") -> "Interval":
        """Sums, row by row."""
        return Interval(low=self.low + other.low, high=self.high + other.high)


@dataclass(frozen=True, kw_only=True)  # without slots, as above
class Numbers:
    """The numbers of one game, by signal (`ganlib.foreign_logs.column_names`), all of the same length."""

    columns: Mapping[str, Interval]
    d_loss: Literal["mean", "sum"] | None = None
    """What the column `d_loss` is of its parts on reals and on fakes; None where nothing says it."""
    objectives: tuple[str, ...] = ()
    """What the trainer is known to minimise: one of these. Empty where nothing is known."""
    are_means: bool = False
    """Whether a row is the mean over many updates."""

    def __len__(self) -> int:
        return max((len(column) for column in self.columns.values()), default=0)

    def get(self, signal: str) -> Interval | None:
        """A column that holds at least one number."""
        found = self.columns.get(signal)
        return found if found is not None and bool(found.finite.any()) else None

    @cached_property
    def total(self) -> Interval | None:
        """The discriminator's losses on reals and on fakes together.

        Where nothing says whether `d_loss` is their mean or their sum, it may be either.
        """
        real, fake = self.get("d_loss_real"), self.get("d_loss_fake")
        if real is not None and fake is not None:
            return real.plus(fake)
        loss = self.get(D_LOSS)
        if loss is None:
            return None
        least, most = {"mean": (2.0, 2.0), "sum": (1.0, 1.0), None: (1.0, 2.0)}[self.d_loss]
        ends = [loss.low * least, loss.low * most, loss.high * least, loss.high * most]
        return Interval(low=np.minimum.reduce(ends), high=np.maximum.reduce(ends))

    def part(self, of: Literal["real", "fake"]) -> Interval | None:
        """The discriminator's loss on reals or on fakes, of a loss that is never below 0: at most all of the total."""
        own = self.get(f"d_loss_{of}")
        if own is not None:
            return own.within(0.0, np.inf)
        total, other = self.total, self.get("d_loss_fake" if of == "real" else "d_loss_real")
        if total is None:
            return None
        if other is not None:
            return total.plus(other.scaled(-1.0)).within(0.0, np.inf)
        return Interval(low=np.zeros(len(total)), high=np.maximum(total.high, 0.0))

    @cached_property
    def probabilities(self) -> tuple[Interval, Interval] | None:
        """Mean D(x) and D(G(z)) where both were printed and every one of them can be a probability."""
        real, fake = self.get(D_X), self.get(D_G_Z)
        if real is None or fake is None:
            return None
        can_be = [((i.high >= 0) & (i.low <= 1))[i.finite].all() for i in (real, fake)]
        return (real.within(0.0, 1.0), fake.within(0.0, 1.0)) if all(can_be) else None


def share(holds: Flags, among: Flags) -> float:
    """Share of rows that hold among those that count; 0 where none counts."""
    return float(holds[among].mean()) if among.any() else 0.0


def median(column: Interval | Floats, last: int | None = None) -> float:
    """Of the numbers that are known, of the last rows alone where it is said how many; else not-a-number."""
    values = column.middle if isinstance(column, Interval) else column
    known = values if last is None else values[-last:]
    known = known[np.isfinite(known)]
    return float(np.median(known)) if len(known) else math.nan
