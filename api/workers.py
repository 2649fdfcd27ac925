"""Workers, and drains: a drained worker finishes what it has and claims nothing more."""

from collections import defaultdict
from typing import Annotated

from fastapi import APIRouter, Path

from api.deps import CallerDep, Reader, RingAfterAnswer, Writer
from api.errors import NotAdministrator, documented
from api.views import utc
from ganlib.wire.workers import DrainView, GpuView, WorkerList, WorkerView
from store.scheduling import gpu_readings, workers
from store.scheduling.accounts import Caller
from store.scheduling.workers import EVERY_WORKER, Worker

WorkerName = Annotated[str, Path(description="Name of the worker.")]

router = APIRouter(tags=["workers"])


@router.get("/workers")
def list_workers(session: Reader) -> WorkerList:
    """List the workers."""
    gpus: dict[str, list[GpuView]] = defaultdict(list)
    for read in gpu_readings.fresh(session):
        gpus[read.worker].append(
            GpuView(
                number=read.gpu,
                name=read.name,
                utilisation=read.utilisation,
                memory_used=read.memory_used,
                memory_total=read.memory_total,
            )
        )
    return WorkerList(items=tuple(_view(worker, tuple(gpus[worker.name])) for worker in workers.list_workers(session)))


@router.post("/workers/{name}/drain", status_code=202, responses=documented(403, 404))
def drain_worker(name: WorkerName, session: Writer, caller: CallerDep) -> WorkerList:
    """Let a worker finish what it has and claim nothing more, until it is started again or its drain is ended."""
    _require_administrator(caller)
    workers.drain(session, name)
    return list_workers(session)


@router.delete("/workers/{name}/drain", responses=documented(403, 404))
def end_drain_of_worker(name: WorkerName, session: Writer, ring: RingAfterAnswer, caller: CallerDep) -> WorkerList:
    """Let a worker claim again."""
    _require_administrator(caller)
    workers.end_drain(session, name)
    ring()
    return list_workers(session)


@router.post("/drain", status_code=202, responses=documented(403))
def drain_service(session: Writer, caller: CallerDep) -> DrainView:
    """Let every worker finish what it has and claim nothing more, until the drain is ended."""
    _require_administrator(caller)
    workers.drain(session, EVERY_WORKER)
    return DrainView(drained=True)


@router.delete("/drain", responses=documented(403))
def end_drain_of_service(session: Writer, ring: RingAfterAnswer, caller: CallerDep) -> DrainView:
    """End the drain of the whole service."""
    _require_administrator(caller)
    workers.end_drain(session, EVERY_WORKER)
    ring()
    return DrainView(drained=False)


def _require_administrator(caller: Caller) -> None:
    if not caller.administrator:
        raise NotAdministrator("drain workers")


def _view(worker: Worker, gpus: tuple[GpuView, ...]) -> WorkerView:
    return WorkerView(
        name=worker.name,
        started_at=utc(worker.started_at),
        seen_at=utc(worker.seen_at),
        is_alive=worker.is_alive,
        is_drained=worker.is_drained,
        run_id=worker.run_id,
        labels=tuple(worker.labels),
        obstacle=worker.obstacle,
        bf16_speedup=worker.bf16_speedup,
        gpus=gpus,
    )
