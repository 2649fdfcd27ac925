"""What a run's own diagnosis may do to the run. Imports no torch."""

from typing import Self

from pydantic import Field, model_validator

from ganlib.findings import FindingName
from ganlib.spec.part import Part


class Watch(Part):
    """Whether a run is halted by its own diagnosis, and when. Changes nothing that is computed before that."""

    halt_on: tuple[FindingName, ...] = ()
    """Findings that halt the run once they are severe; none: it always trains to its end, as some runs recover."""
    halt_after_epochs: int = Field(default=3, ge=1, le=100_000)
    """Epochs in a row, the last one included, in which such a finding has to have held."""

    @model_validator(mode="after")
    def _each_finding_once(self) -> Self:
        if len(set(self.halt_on)) != len(self.halt_on):
            raise ValueError("halt_on: each finding may be named once")
        return self
