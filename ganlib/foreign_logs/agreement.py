"""No severe finding that another reading of the same numbers would overturn.

A log rarely says which loss was trained, nor whether `d_loss` is a sum. Where numbers leave several readings, a finding
that rests on levels of losses is kept if each of them comes to the same verdict, and else told with its condition.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ganlib.diagnosis.verdict import Diagnosis, Finding
from ganlib.findings import SEVERITIES, FindingName, Verdict

BY_LEVELS = ("convergence failure", "divergence")
"""Verdicts that rest on levels of losses alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingAs:
    """One way to read the numbers."""

    objective: str
    option: str
    """What to type to have it so read; empty where it was typed."""
    d_loss: str = ""
    """`mean` or `sum`, where that is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditional:
    """A finding that holds under one reading of the numbers and not under another."""

    finding: Finding
    holds: ReadingAs
    denied: tuple[ReadingAs, ...]

    @property
    def words(self) -> str:
        """`discriminator wins, if the loss is bce; not if it is hinge`."""
        return f"{self.finding.name}, if it is {self.holds_words}; not if it is {' or '.join(self.denied_words)}"

    @property
    def holds_words(self) -> str:
        """The reading under which it holds, with what `d_loss` is where that matters."""
        return _words(self.holds) if self._turns_on_d_loss else self.holds.objective

    @property
    def denied_words(self) -> tuple[str, ...]:
        """Those under which it does not."""
        return tuple(
            dict.fromkeys(_words(r) if r.objective == self.holds.objective else r.objective for r in self.denied)
        )

    @property
    def options(self) -> tuple[str, ...]:
        """What to type for either."""
        readings = (self.holds, *self.denied)
        if self._turns_on_d_loss:
            return tuple(dict.fromkeys(f"{r.option} --d-loss {r.d_loss}".strip() for r in readings))
        return tuple(dict.fromkeys(reading.option for reading in readings))

    @property
    def _turns_on_d_loss(self) -> bool:
        return any(reading.objective == self.holds.objective for reading in self.denied)

    def to_json(self) -> dict[str, Any]:
        """Plain types."""
        return {
            "finding": self.finding.name,
            "holds_under": self.holds_words,
            "denied_under": list(self.denied_words),
            "options": list(self.options),
        }


def _words(reading: ReadingAs) -> str:
    return f"{reading.objective} with a d_loss that is a {reading.d_loss}" if reading.d_loss else reading.objective


def agreed(
    found: Diagnosis, own: ReadingAs, others: Sequence[tuple[ReadingAs, Diagnosis]]
) -> tuple[Diagnosis, tuple[Conditional, ...]]:
    """The diagnosis with what every reading comes to, and what only some do.

    A finding in whose place every other reading has one of the same verdict is kept, for the verdict is theirs as well;
    which of them it is, is told with its condition. What is over was found under the own reading alone; where another
    objective may be, levels show nothing of it.
    """
    kept: list[Finding] = []
    conditional: list[Conditional] = []
    for finding in found.findings:
        denied = tuple(reading for reading, other in others if _denies(other, finding))
        if denied:
            conditional.append(Conditional(finding=finding, holds=own, denied=denied))
        if not any(_denies_verdict(other, finding) for _, other in others):
            kept.append(finding)
    if any(reading.objective != own.objective for reading, _ in others):
        found = replace(found, recovered=tuple(e for e in found.recovered if _verdict(e.name) not in BY_LEVELS))
    if len(kept) == len(found.findings):
        return found, tuple(conditional)
    reason = f"{conditional[0].words}; say which: {' or '.join(conditional[0].options)}"
    return without(found, kept, reason), tuple(conditional)


def only_under(suspected: ReadingAs, found: Diagnosis, own: ReadingAs) -> tuple[Conditional, ...]:
    """What a reading comes to that numbers contradict, which the code may do as well."""
    return tuple(
        Conditional(finding=finding, holds=suspected, denied=(own,))
        for finding in found.findings
        if finding.severity == "severe" and _verdict(finding.name) in BY_LEVELS
    )


def without(found: Diagnosis, kept: Sequence[Finding], reason: str) -> Diagnosis:
    """The diagnosis with these of its findings only; `reason` is that of a verdict that has no harmful one left."""
    harmful = [finding for finding in kept if finding.severity != "mild"]
    worst = SEVERITIES[max((SEVERITIES.index(finding.severity) for finding in kept), default=0)]
    if harmful:
        verdict: Verdict = harmful[0].name.split(":")[0]  # pyright: ignore[reportAssignmentType]
        same = next(f for f in found.findings if f.severity != "mild") is harmful[0]
        return replace(
            found,
            findings=tuple(kept),
            severity=worst,
            verdict=verdict,
            reason=found.reason if same else harmful[0].summary,
        )
    return replace(found, findings=tuple(kept), severity=worst, verdict="undetermined", reason=reason)


def _denies(other: Diagnosis, finding: Finding) -> bool:
    """Whether another reading has no such finding. Numbers that are none are the same under all."""
    return _rests_on_levels(finding) and not any(f.name == finding.name for f in _harmful(other))


def _denies_verdict(other: Diagnosis, finding: Finding) -> bool:
    """Whether another reading has no finding of that verdict either."""
    verdict = _verdict(finding.name)
    return _rests_on_levels(finding) and not any(_verdict(f.name) == verdict for f in _harmful(other))


def _rests_on_levels(finding: Finding) -> bool:
    by_levels = finding.severity != "mild" and _verdict(finding.name) in BY_LEVELS
    return by_levels and math.isfinite(finding.evidence[0].value)


def _harmful(found: Diagnosis) -> list[Finding]:
    return [finding for finding in found.findings if finding.severity != "mild"]


def _verdict(name: FindingName) -> str:
    return name.split(":")[0]
