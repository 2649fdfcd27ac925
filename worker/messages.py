"""What the worker and its training process say to each other: one JSON object a line, over pipes.

The worker writes a `Ticket` and then commands; the process answers with events. Imports no torch.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

Command = Literal["stop", "cancel"]
"""`stop`: the worker ends, another attempt will go on. `cancel`: the run ends."""


class Message(BaseModel):
    """One line."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def to_line(self) -> str:
        """JSON with its line end."""
        return self.model_dump_json() + "\n"


class Ticket(Message):
    """The right to train one attempt of a run."""

    run_id: str
    token: int
    """Fencing token: the store refuses writes under an older one."""
    attempt: int
    device: str
    """The worker's device: `auto`, `cpu`, `cuda` or `cuda:N`."""
    more_devices: tuple[str, ...] = ()
    """Likewise, of the other processes of a training on several GPUs."""
    gpu_memory: int | None = None
    """Bytes that the training may take of the GPU; None: all."""
    bf16_speedup: float | None = None
    """How many times as fast the worker multiplies in bf16 as in float32; None: not measured."""
    traceparent: str | None = None
    """The span of the attempt, where traces are made."""


class Working(Message):
    """The process has begun something that takes a while and is no step, or is still at it."""

    event: Literal["working"] = "working"
    on: str
    """What, for people."""


class Stepped(Message):
    """Steps were made. Sent a few times a second at most."""

    event: Literal["stepped"] = "stepped"
    step: int
    """Steps made in the whole run."""


class Failed(Message):
    """The attempt has failed."""

    event: Literal["failed"] = "failed"
    kind: str
    """Name of the error."""
    error: str
    """What is wrong and how to cure it."""
    is_final: bool = True
    """Whether the run cannot succeed, however often and wherever it is tried."""


Event = Working | Stepped | Failed
_EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="event")])


def parse_event(line: str) -> Event | None:
    """The event on a line; None where the line is none."""
    try:
        return _EVENT.validate_json(line)
    except ValidationError:
        return None
