"""Findings, evidence and the verdict that sums them up. Pure values; JSON in and out."""

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Self

from pydantic import TypeAdapter

from ganlib.findings import FindingName, Grade, Severity, Verdict
from ganlib.records import JsonFloat, finite_json

Picture = Literal["losses", "samples", "ndb"]
"""Where to see it: the loss curves, the samples of the epoch, the bins of the epoch."""
Comparison = Literal["<", "<=", ">", ">="]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One signal that passed its threshold."""

    signal: str
    """Name of the signal, e.g. `coverage`."""
    value: JsonFloat
    threshold: float
    comparison: Comparison
    """How value stands to threshold."""
    first_epoch: int
    last_epoch: int
    """Epochs that the value was computed from."""
    source: str
    """Where the threshold comes from."""
    picture: Picture = "losses"


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """A suggested change of the spec."""

    name: str = ""
    """As `ganlib.diagnosis.prescribe` has it; empty in what an earlier version stored."""
    reason: str
    patch: dict[str, Any]
    """Dotted spec paths and their new values."""
    effect: str = "not measured"
    """How often it healed this finding in the suite."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One failure mode, with what shows it."""

    name: FindingName
    severity: Severity
    first_epoch: int
    """First epoch whose verdict had this finding."""
    summary: str
    """One sentence that a newcomer understands."""
    evidence: tuple[Evidence, ...]
    remedies: tuple[Remedy, ...] = ()
    confidence: float = 0.5
    """Chance, in [0, 1], that the finding is right, as measured in the suite; lower where signals are missing."""
    confidence_low: float = 0.0
    """Lower end of its 95 % interval; lower where signals are missing."""
    confidence_high: float = 1.0
    """Upper end."""
    confidence_cases: int = 0
    """Findings of this name in the suite that it was measured on; 0 where none was, or none is needed."""
    check: str = ""
    """What to look at to see for oneself."""

    def less_sure(self, factor: float) -> Self:
        """The finding where something that might speak against it was not seen; as it is where it is beyond doubt."""
        if self.confidence == 1.0:
            return self
        return replace(self, confidence=self.confidence * factor, confidence_low=self.confidence_low * factor)

    def beyond_doubt(self) -> Self:
        """The finding where nothing could speak against it."""
        return replace(self, confidence=1.0, confidence_low=1.0, confidence_high=1.0, confidence_cases=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """A finding that held for a while, once or several times, and no longer does."""

    name: FindingName
    severity: Severity
    """At its end, the last time."""
    first_epoch: int
    """Of the first time."""
    last_epoch: int
    """Of the last time."""
    times: int = 1
    """How often it held and ended; of documents of an earlier version, which have one episode for each time, 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """The verdict of a history up to `epoch`."""

    epoch: int
    verdict: Verdict
    severity: Severity
    """The worst finding's; `none` without findings."""
    findings: tuple[Finding, ...]
    """Causes before symptoms: the first one gives the verdict."""
    reason: str
    """One line of evidence for the verdict, also when it is healthy or undetermined."""
    ruleset: str
    """Version of the rules and thresholds."""
    recovered: tuple[Episode, ...] = ()
    """What was found earlier and is over, each finding once, in the order in which they ended last."""
    missing: tuple[str, ...] = ()
    """Signals that the history does not have; what they would show cannot be found."""
    grade: Grade | None = None
    """How good the samples are, whatever the verdict; None where no evaluation says it."""
    quality: float | None = None
    """What the grade was given for: as a share of what real data scores; 1 is as good."""
    quality_error: float | None = None
    """Its standard error by the number of samples evaluated."""

    def to_json(self) -> dict[str, Any]:
        """Plain types only; non-finite numbers become None."""
        return finite_json(asdict(self))

    @classmethod
    def from_json(cls, document: Any) -> "Diagnosis":
        """The inverse of `to_json`, where None becomes not-a-number."""
        return TypeAdapter(cls).validate_python(document)
