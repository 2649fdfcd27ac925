"""What a run can wait for, in words; and which workers could train it, where none could with the reason why."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ganlib.wire.waiting import ReasonKind
from store.scheduling.requirements import GB, ResourceRequests
from store.scheduling.workers import Worker

MOST_NAMED = 5
"""Sets of labels that are named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One thing that a run waits for."""

    kind: ReasonKind
    text: str


def which_workers(needs: ResourceRequests) -> str:
    """Which workers the run is for: ` with the labels fast and h100 and a GPU`, or nothing where it is for any."""
    wanted = [_named(needs)] if needs.labels else []
    if needs.needs_gpu:
        wanted.append("a GPU")
    return f" with {' and '.join(wanted)}" if wanted else ""


def _named(needs: ResourceRequests) -> str:
    return f"the label{'s' if len(needs.labels) > 1 else ''} {' and '.join(needs.labels)}"


def able_workers(alive: Sequence[Worker], needs: ResourceRequests) -> tuple[list[Worker], list[Reason]]:
    """The workers that could train it if they had nothing else to do; where none could, the first thing that they lack.

    One requirement after the other, each among those that meet the ones before: two workers may each lack another.
    """
    left = list(alive)
    for meets, describe in _REQUIREMENTS:
        met = [worker for worker in left if meets(worker, needs)]
        if left and not met:
            return [], [describe(left, needs)]
        left = met
    return left, []


def _has_memory(worker: Worker, needs: ResourceRequests) -> bool:
    """Whether its largest GPU has what the run wants; one without a GPU trains it on the CPU, whatever that is."""
    if worker.gpu_memory is None or needs.gpu_memory is None or not needs.on_gpu:
        return True
    return needs.gpu_memory <= worker.gpu_memory


def _no_label(alive: Sequence[Worker], needs: ResourceRequests) -> Reason:
    known = [", ".join(labels) or "none" for labels in sorted({worker.labels for worker in alive})]
    more = f"; and {len(known) - MOST_NAMED} more" if len(known) > MOST_NAMED else ""
    text = (
        f"resources.labels: no worker that is alive has {_named(needs)}; those there are have: "
        f"{'; '.join(known[:MOST_NAMED])}{more}; cancel it and ask for others, or start a worker with "
        f"{' '.join(f'--label {label}' for label in needs.labels)}"
    )
    return Reason(kind="no label", text=text)


def _no_gpu(_: Sequence[Worker], needs: ResourceRequests) -> Reason:
    which = f" with {_named(needs)}" if needs.labels else ""
    text = (
        f"resources.device: it is for a GPU ('cuda'), and no worker{which} that is alive has one; cancel it and submit "
        "it with --set resources.device=auto, which takes the CPU where there is no GPU, or start a worker on "
        "a machine whose NVIDIA driver answers"
    )
    return Reason(kind="no gpu", text=text)


def _too_few_gpus(able: Sequence[Worker], needs: ResourceRequests) -> Reason:
    text = (
        f"resources.gpus: it wants {needs.gpus} GPUs, and no worker{which_workers(needs)} that is alive has more than "
        f"{max(worker.gpus for worker in able)}; cancel it and ask for fewer, or start a worker that has as many"
        f"{'' if needs.needs_gpu else ' (on the CPU: GANCLINIC_CPU_PROCESSES)'}"
    )
    return Reason(kind="too large", text=text)


def _too_little_memory(able: Sequence[Worker], needs: ResourceRequests) -> Reason:
    largest, wanted = max(worker.gpu_memory or 0 for worker in able), needs.gpu_memory or 0
    text = (
        f"resources.gpu_memory_gb: it wants {wanted / GB:g} GB of a GPU, and the largest of all workers"
        f"{which_workers(needs)} that are alive has {largest / GB:.1f} GB; cancel it and ask for less, or start a "
        "worker with a larger one"
    )
    return Reason(kind="too large", text=text)


_REQUIREMENTS: tuple[
    tuple[
        Callable[[Worker, ResourceRequests], bool],
        Callable[[Sequence[Worker], ResourceRequests], Reason],
    ],
    ...,
] = (
    (lambda worker, needs: set(needs.labels) <= set(worker.labels), _no_label),
    (lambda worker, needs: worker.gpu_memory is not None or not needs.needs_gpu, _no_gpu),
    (lambda worker, needs: needs.gpus <= worker.gpus, _too_few_gpus),
    (_has_memory, _too_little_memory),
)
"""What a place has to have, as `requirements.suits` asks it of the database, and how the lack is told."""
