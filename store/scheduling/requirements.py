"""What a run takes of a GPU, and which runs a worker can train at all."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import ColumnElement, Double, Text, cast, func, or_

from store.core.models import Attempt, Run

GB = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceRequests:
    """What a run takes where it is trained."""

    on_gpu: bool
    """Whether on a GPU, where its worker has one."""
    needs_gpu: bool = False
    """Whether on a GPU and nowhere else: its worker must have one."""
    gpu_memory: int | None
    """Bytes of it; None: the whole GPU."""
    gpus: int = 1
    """How many, at once."""
    labels: tuple[str, ...] = ()
    """That its worker must have."""


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

    @property
    def labels(self) -> Collection[str]:
        """The labels that runs may ask for here."""
        ...

    def takes(self, needs: ResourceRequests) -> bool:
        """Whether there is room for such a run now."""
        ...


def requests_of(spec: Mapping[str, Any]) -> ResourceRequests:
    """What a run with this spec takes; a comparison, and a spec of an older version, take a whole GPU of any worker."""
    resources = spec.get("resources", {})
    budget = resources.get("gpu_memory_gb")
    return ResourceRequests(
        on_gpu=resources.get("device") != "cpu",
        needs_gpu=resources.get("device") == "cuda",
        gpu_memory=None if budget is None else round(budget * GB),
        gpus=resources.get("gpus", 1),
        labels=tuple(resources.get("labels", ())),
    )


def gpus_of_run() -> ColumnElement[int]:
    """How many GPUs it is trained on at once; the `gpus` of its needs."""
    return func.coalesce(Run.spec["resources"]["gpus"].as_integer(), 1)


def devices_of_attempt() -> ColumnElement[float]:
    """How many devices an attempt of a run uses: its GPUs, or its part of one that several runs train on together."""
    return cast(gpus_of_run(), Double) / func.coalesce(Attempt.stack_size, 1)


def suits(*, most_gpus: int, largest_gpu: int | None, labels: Collection[str]) -> tuple[ColumnElement[bool], ...]:
    """The guards of runs that a place with these could take if it were empty: see `Place`."""
    here = gpus_of_run() <= most_gpus, asks_only_for(labels)
    budget, device = Run.spec["resources"]["gpu_memory_gb"].as_float(), Run.spec["resources"]["device"].as_string()
    if largest_gpu is None:
        return *here, or_(device.is_(None), device != "cuda")
    return *here, or_(budget.is_(None), budget <= largest_gpu / GB, device == "cpu")


def asks_only_for(labels: Collection[str]) -> ColumnElement[bool]:
    """The guard of runs that ask for no other labels than these."""
    # As text `["fast", "h100"]`, or closer together, for each database writes it in its own way: labels have no quotes.
    asked = Run.spec["resources"]["labels"].as_string()
    return or_(asked.is_(None), without(asked, labels).not_like('%"%'))


def without(text: ColumnElement[str], labels: Collection[str]) -> ColumnElement[str]:
    """A list of labels as JSON text, and these not in it."""
    for label in labels:
        text = func.replace(text, f'"{label}"', "", type_=Text())
    return text
