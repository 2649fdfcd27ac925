"""How good samples are, beside what is wrong with the run that made them."""

import math
from dataclasses import dataclass

from ganlib.diagnosis import thresholds as at
from ganlib.diagnosis.signals import Signals
from ganlib.diagnosis.words import bare
from ganlib.findings import GRADES, Grade

CUTS = (at.POOR_QUALITY, at.FAIR_QUALITY, at.CLOSE_QUALITY)
"""Qualities from which samples are of the next grade."""
EDGE = 2.0
"""Standard errors around a cut, within which other samples of the same run might get the other grade."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Graded:
    """A grade with what it was given for."""

    grade: Grade
    quality: float
    """The median of the last evaluations': a share of what real data scores."""
    error: float | None
    """The largest of their standard errors by the number of samples; None where it is not known, of pairs."""

    @property
    def is_below_fair(self) -> bool:
        """Whether they are too bad for a healthy run."""
        return GRADES.index(self.grade) < GRADES.index("fair")

    @property
    def edge(self) -> Grade | None:
        """The neighbouring grade that other samples of the same run might get; None where the grade is sure."""
        own = GRADES.index(self.grade)
        beside = [(abs(self.quality - CUTS[cut].value), cut) for cut in (own - 1, own) if 0 <= cut < len(CUTS)]
        distance, cut = min(beside)
        if self.error is None or distance >= EDGE * self.error:
            return None
        return GRADES[cut] if cut < own else GRADES[cut + 1]

    @property
    def words(self) -> str:
        """The grade, the quality, and how sure both are."""
        error = "" if self.error is None else f" ± {bare(f'{self.error:.2f}')}"
        edge = "" if self.edge is None else f", at the edge of {self.edge}"
        return f"{self.grade} (quality {bare(f'{self.quality:.2f}')}{error}{edge})"


def grade_of(signals: Signals) -> Graded | None:
    """Of the last evaluations; None before the first."""
    if signals.outcome is None:
        return None
    quality = signals.late_quality
    error = max(one.quality_error for one in signals.outcomes[-at.LATE_EVALUATIONS :])
    grade = GRADES[sum(quality >= cut.value for cut in CUTS)]
    return Graded(grade=grade, quality=quality, error=error if math.isfinite(error) else None)
