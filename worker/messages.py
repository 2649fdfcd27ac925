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


def drop_command(run_id: str) -> str:
    """The command to a stack to go on without a run: it has ended, or belongs to somebody else."""
    return f"drop {run_id}"


class Fellow(Message):
    """The right to train one attempt of a further run in the same process."""

    run_id: str
    token: int
    attempt: int
    traceparent: str | None = None


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
    is_stacked: bool = False
    """Whether it is trained as a stack, with its fellows if any."""
    fellows: tuple[Fellow, ...] = ()
    """Further runs that are trained together with it."""

    @property
    def each(self) -> "tuple[Ticket, ...]":
        """A ticket for each run of the process."""
        own = self.model_copy(update={"fellows": ()})
        return own, *(own.model_copy(update=dict(fellow)) for fellow in self.fellows)


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
    run_id: str | None = None
    """Of a stack, the one run that has, while the others go on; None: all of the process."""
    kind: str
    """Name of the error."""
    error: str
    """What is wrong and how to cure it."""
    is_final: bool = True
    """Whether the run cannot succeed, however often and wherever it is tried."""
    is_local: bool = False
    """Whether it is for want of something that another host may have."""


class HandedBack(Message):
    """A run of a stack is not trained there: another attempt will go on with it."""

    event: Literal["handed back"] = "handed back"
    run_id: str


Event = Working | Stepped | Failed | HandedBack
_EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="event")])


def parse_event(line: str) -> Event | None:
    """The event on a line; None where the line is none."""
    try:
        return _EVENT.validate_json(line)
    except ValidationError:
        return None
