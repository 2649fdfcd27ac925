"""The diagnosis of every epoch of a recorded history, each from what was known by then."""

from collections.abc import Iterator

from ganlib.diagnosis.history import History
from ganlib.diagnosis.prescribe import with_remedies
from ganlib.diagnosis.rules import diagnose
from ganlib.diagnosis.verdict import Diagnosis
from ganlib.spec.run import RunSpec


def replay(history: History, spec: RunSpec | None = None) -> Iterator[Diagnosis]:
    """The diagnoses after epoch 1, 2, …; with remedies where the spec is known."""
    previous: Diagnosis | None = None
    for epoch in range(1, history.epoch + 1):
        found = diagnose(history.until(epoch, previous))
        previous = found if spec is None else with_remedies(found, spec)
        yield previous
