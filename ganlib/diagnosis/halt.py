"""Whether a diagnosis is reason enough to halt its run."""

from ganlib.diagnosis.verdict import Diagnosis, Finding
from ganlib.spec.diagnosis import Watch


def should_halt(diagnosis: Diagnosis, watch: Watch) -> Finding | None:
    """The first finding that halts the run: it is named in `halt_on`, and severe, and has held for long enough.

    It is severe now, and was found, in whatever severity, in each of the last `halt_after_epochs` epochs: a diagnosis
    keeps since when a finding holds, not how severe it was on the way.
    """
    return next((f for f in diagnosis.findings if _is_reason(f, diagnosis.epoch, watch)), None)


def _is_reason(finding: Finding, epoch: int, watch: Watch) -> bool:
    held = epoch - finding.first_epoch + 1
    return finding.name in watch.halt_on and finding.severity == "severe" and held >= watch.halt_after_epochs
