"""What a run takes of a GPU, and which runs a worker can train at all."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import ColumnElement, func, or_

from store.models import Run

GB = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a run takes where it is trained."""

    on_gpu: bool
    """Whether on a GPU, where its worker has one."""
    gpu_memory: int | None
    """Bytes of it; None: the whole GPU."""
    gpus: int = 1
    """How many, at once."""


class Place(Protocol):
    """Where a claimed run would be trained."""

    @property
    def largest_gpu(self) -> int | None:
        """Bytes of memory of the largest GPU; None where there is none."""
        ...

    @property
    def most_gpus(self) -> int:
        """GPUs that one run may have, or processes where there are none."""
        ...

    def takes(self, needs: Needs) -> bool:
        """Whether there is room for such a run now."""
        ...


def needs_of(spec: Mapping[str, Any]) -> Needs:
    """What a run with this spec takes; a comparison, and a spec of an older version, take a whole GPU."""
    resources = spec.get("resources", {})
    budget = resources.get("gpu_memory_gb")
    return Needs(
        on_gpu=resources.get("device") != "cpu",
        gpu_memory=None if budget is None else round(budget * GB),
        gpus=resources.get("gpus", 1),
    )


def suits(place: Place) -> tuple[ColumnElement[bool], ...]:
    """The guards of runs that the place could take if it were empty."""
    largest, resources = place.largest_gpu, Run.spec["resources"]
    enough = func.coalesce(resources["gpus"].as_integer(), 1) <= place.most_gpus
    if largest is None:
        return (enough,)
    budget, device = resources["gpu_memory_gb"].as_float(), resources["device"].as_string()
    return enough, or_(budget.is_(None), budget <= largest / GB, device == "cpu")
