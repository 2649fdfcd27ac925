"""Where a run may be trained, and for how long. Imports no torch."""

from typing import Literal

from pydantic import Field

from ganlib.spec.part import Part
from ganlib.spec.worker_tags import WorkerTags


class Resources(Part):
    """Where the run may be trained, and for how long."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto` takes the worker's GPU where it has one."""
    gpus: int = Field(default=1, ge=1, le=64)
    """GPUs that train it together, each in a process with its part of every batch. The losses are those of one GPU, up
    to rounding. Refused where that is not so: with batch norm, dropout, minibatch discrimination, most remedies."""
    gpu_memory_gb: float | None = Field(default=None, ge=1, le=10_000)
    """GB (of 10^9 bytes) of the GPU's memory that the run may take, about 0.5 of which are the driver's; null: the
    whole GPU. Where their sum fits, and the worker has slots for them, several runs share a GPU."""
    labels: WorkerTags = ()
    """Labels, e.g. `h100`, that its worker must have, all of them; none: any worker trains it. At most 8, each of 1 to
    32 letters, digits, dashes and underscores."""
    max_hours: float | None = Field(default=None, gt=0)
    """Hours for which the run may be trained, all its attempts since it was last extended together; null: as many as
    it takes. Past them it fails (`TimeLimit`) with the end of its epoch, keeps what it has recorded, and may be
    extended."""
