"""Diagnoses of runs."""

from typing import Any, Literal

from ganlib.diagnosis.verdict import Picture
from ganlib.findings import FindingName, Grade, Severity, Verdict
from ganlib.wire.view import View


class EvidenceView(View):
    """One signal that passed its threshold."""

    signal: str
    value: float | None
    threshold: float
    comparison: Literal["<", "<=", ">", ">="]
    first_epoch: int
    last_epoch: int
    source: str
    picture: Picture
    """What shows it."""
    href: str
    """Path of that picture."""


class RemedyView(View):
    """A suggested change of the spec."""

    name: str
    reason: str
    patch: dict[str, Any]
    """What to give as `set` in the next request."""
    effect: str
    """How often it healed this finding in the suite."""


class FindingView(View):
    """One failure mode, with what shows it."""

    name: FindingName
    severity: Severity
    first_epoch: int
    summary: str
    evidence: tuple[EvidenceView, ...]
    remedies: tuple[RemedyView, ...]
    confidence: float
    """Chance, in [0, 1], that the finding is right, as measured; lower where signals are missing."""
    confidence_low: float
    """Lower end of its 95 % interval."""
    confidence_high: float
    """Upper end."""
    confidence_cases: int
    """Findings of this name that it was measured on; 0 where none was, or none is needed."""
    check: str
    """What to look at to see for oneself."""


class EpisodeView(View):
    """A finding that held for a while, once or several times, and no longer does."""

    name: FindingName
    severity: Severity
    first_epoch: int
    last_epoch: int
    times: int
    """How often it held and ended, from the first epoch to the last."""


class DiagnosisView(View):
    """The verdict of a run up to an epoch."""

    epoch: int
    verdict: Verdict
    severity: Severity
    findings: tuple[FindingView, ...]
    """Causes before symptoms: the first one gives the verdict."""
    reason: str
    """One line of evidence."""
    ruleset: str
    """Version of the rules and thresholds."""
    recovered: tuple[EpisodeView, ...]
    """What was found earlier and is over."""
    missing: tuple[str, ...]
    """Signals that the history does not have."""
    grade: Grade | None = None
    """How good the samples are, whatever the verdict; null where no evaluation says it, or an older version judged."""
    quality: float | None = None
    """What the grade was given for: as a share of what real data scores; 1 is as good."""
    quality_error: float | None = None
    """Its standard error by the number of samples evaluated."""


class DiagnosisList(View):
    """The diagnosis after each epoch, in order."""

    items: tuple[DiagnosisView, ...]
