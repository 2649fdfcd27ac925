"""When a diagnosis halts its run."""

import pytest

from ganlib.diagnosis.halt import should_halt
from ganlib.diagnosis.verdict import Diagnosis, Finding
from ganlib.findings import FindingName, Severity
from ganlib.spec.diagnosis import Watch


def finding(name: FindingName = "mode collapse", severity: Severity = "severe", since: int = 5) -> Finding:
    return Finding(name=name, severity=severity, first_epoch=since, summary="alike", evidence=())


def after(epoch: int, *findings: Finding) -> Diagnosis:
    return Diagnosis(
        epoch=epoch, verdict="mode collapse", severity="severe", findings=findings, reason="alike", ruleset="1"
    )


COLLAPSE = Watch(halt_on=("mode collapse",))


@pytest.mark.parametrize(("epoch", "halts"), [(5, False), (6, False), (7, True), (8, True)])
def test_a_finding_has_to_hold_in_that_many_epochs(epoch, halts):
    assert (should_halt(after(epoch, finding()), COLLAPSE) == finding()) == halts


def test_one_epoch_is_enough_where_one_is_asked_for():
    watch = Watch(halt_on=("mode collapse",), halt_after_epochs=1)
    assert should_halt(after(5, finding()), watch) == finding()


@pytest.mark.parametrize("severity", ["none", "mild", "moderate"])
def test_only_a_severe_finding_halts(severity):
    assert should_halt(after(9, finding(severity=severity)), COLLAPSE) is None


def test_only_a_named_finding_halts():
    assert should_halt(after(9, finding("divergence")), COLLAPSE) is None
    assert should_halt(after(9, finding("divergence"), finding()), COLLAPSE) == finding()


def test_by_default_nothing_halts():
    assert should_halt(after(100, finding()), Watch()) is None


def test_without_findings_nothing_halts():
    assert should_halt(after(100), COLLAPSE) is None


def test_the_cause_halts_before_its_symptom():
    watch = Watch(halt_on=("mode collapse", "divergence"))
    assert should_halt(after(9, finding("divergence"), finding()), watch) == finding("divergence")
