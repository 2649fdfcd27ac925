"""What a trainer sends of a watched run, and what it is answered. Blocks of steps are in `ganlib.step_blocks`."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from ganlib.findings import Severity, Verdict
from ganlib.spec.limits import MAX_EPOCH
from ganlib.spec.part import Name
from ganlib.spec.watched import WatchedObjectiveName
from ganlib.wire.statuses import Status
from ganlib.wire.view import View

WatchedEnd = Literal["succeeded", "failed", "cancelled"]
"""How a trainer may say that it has ended."""
MAX_SEQUENCE = 2**53


class WatchRequest(BaseModel):
    """A training that is about to be watched."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name | None = Field(default=None, description="A name for people.")
    objective: WatchedObjectiveName | None = Field(
        default=None, description="What the trainer minimises; without it, it is inferred from the numbers."
    )
    real: Annotated[str, Field(max_length=80)] | None = Field(
        default=None, description="Id of an uploaded set of real samples, with which fakes are compared."
    )
    epochs: int | None = Field(default=None, ge=1, le=MAX_EPOCH, description="How many the trainer will make.")


class WatchState(View):
    """How far a watched run is, as its trainer is told."""

    run_id: str
    sequence: int
    """Number of the last message that was stored; the next one has the number after it."""
    status: Status
    """What it sends to a run that is over is refused, unless the run is over because nothing came."""
    cancel_requested: bool
    """Somebody wants the training to stop."""
    steps: int
    """That were stored."""
    epochs_sent: int
    """That were stored."""
    epochs_done: int
    """That a worker has judged."""
    verdict: Verdict | None
    """After the last of these; null before the first."""
    severity: Severity | None
