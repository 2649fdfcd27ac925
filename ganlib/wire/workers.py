"""Workers, and drains."""

from datetime import datetime

from ganlib.wire.view import View


class GpuView(View):
    """What a worker read of a GPU within the last minute."""

    number: int
    """As the driver counts."""
    name: str
    utilisation: float
    """Share of the time in which it computed, in [0, 1]."""
    memory_used: int
    """In bytes, as the next."""
    memory_total: int


class WorkerView(View):
    """A worker as it was last heard of."""

    name: str
    started_at: datetime
    seen_at: datetime
    is_alive: bool
    """Whether it was heard of within 30 s."""
    is_drained: bool
    """Whether it claims nothing more."""
    run_id: str | None
    """What it trains."""
    labels: tuple[str, ...]
    """That a run may ask for in `resources.labels`; sorted."""
    obstacle: str | None
    """Why it does not claim the run whose turn it is, e.g. a GPU that is in use; null where it would."""
    bf16_speedup: float | None = None
    """How many times as fast it multiplies in bf16 as in float32, which `training.precision` = `auto` goes by; null
    until it has measured, and where it trains on GPUs, on which each training measures."""
    gpus: tuple[GpuView, ...] = ()
    """That it read lately, by their numbers."""


class WorkerList(View):
    """Every worker that was heard of within a day, by name."""

    items: tuple[WorkerView, ...]


class DrainView(View):
    """Whether the whole service is drained."""

    drained: bool
