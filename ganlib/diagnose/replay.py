"""The diagnosis of every epoch of a recorded history, each from what was known by then."""

from collections.abc import Iterator

from ganlib.diagnose.history import History
from ganlib.diagnose.prescribe import with_remedies
from ganlib.diagnose.rules import diagnose
from ganlib.diagnose.verdict import Diagnosis
from ganlib.spec import RunSpec


def replay(history: History, spec: RunSpec | None = None) -> Iterator[Diagnosis]:
    """The diagnoses after epoch 1, 2, …; with remedies where the spec is known."""
    previous: Diagnosis | None = None
    for epoch in range(1, history.epoch + 1):
        found = diagnose(history.until(epoch, previous))
        previous = found if spec is None else with_remedies(found, spec)
        yield previous
