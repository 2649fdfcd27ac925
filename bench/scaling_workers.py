"""The simulated workers of `bench.scaling`: they make the transactions of real ones, and train nothing."""

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np
from sqlalchemy import Engine

from ganlib.spec.request import RunRequest
from store.core.db import reading, transaction
from store.files.artifacts import StoredArtifact
from store.runs import claims, endings, leases, lifecycle, logs, recording, records
from store.runs.claims import Claim
from store.runs.machines import Machine
from store.scheduling import workers
from tests.support.api import with_bins
from tests.support.store import diagnosis, epoch_record, step_block

LEASE = timedelta(seconds=600)  # longer than a slow machine takes for a round of 1,000 workers
EPOCHS, REPORTS = 2, 10  # of a simulated run, and reports of progress in each of its epochs
STEPS = 100  # of an epoch, as its packed series has them
REQUEST = RunRequest(preset="mnist-stable", set={"training.epochs": EPOCHS})
SPEC = REQUEST.resolve()
Operation = Callable[[Engine], None]


@dataclass(slots=True, kw_only=True)
class Times:
    """Milliseconds of each operation, by its name."""

    of: dict[str, list[float]] = field(default_factory=lambda: defaultdict[str, list[float]](list))

    @contextmanager
    def measuring(self, name: str) -> Iterator[None]:
        """Measures the block."""
        started = time.perf_counter()
        yield
        self.of[name].append(1e3 * (time.perf_counter() - started))

    def told(self, name: str) -> dict[str, float]:
        """How often the operation was measured, and quantiles of its milliseconds."""
        found = self.of[name]
        quantiles = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
        return {"count": len(found)} | {key: round(float(np.quantile(found, q)), 2) for key, q in quantiles.items()}


class SimulatedWorker:
    """Makes the transactions of a worker and of its training processes, one after the other."""

    def __init__(self, number: int, times: Times) -> None:
        self._name, self._times = f"worker-{number}", times
        self._claim: Claim | None = None
        self._reports = 0

    def begin(self, engine: Engine) -> None:
        """It starts."""
        with transaction(engine) as session:
            workers.begin(session, self._name)

    def one_run(self) -> Iterator[Operation]:
        """The operations from a poll to the end of the run that it gives."""
        yield self.poll
        yield self.begin_training
        for epoch in range(1, EPOCHS + 1):
            for _ in range(REPORTS):
                yield self.report
            yield self.log
            yield lambda engine, epoch=epoch: self.record(engine, epoch)

    def poll(self, engine: Engine) -> None:
        """As `worker.host.slot.Slot` does."""
        with self._times.measuring("poll"):
            with transaction(engine) as session:
                endings.requeue_expired(session, 3)
            with transaction(engine, durable=False) as session:
                workers.describe(session, self._name, gpu_memory=None, obstacle=None)
                workers.is_drained(session, self._name)
            with self._times.measuring("claim"), transaction(engine) as session:
                self._claim = claims.claim(session, self._name, LEASE)

    @property
    def _held(self) -> Claim:
        assert self._claim is not None, "more is queued than is claimed"
        return self._claim

    def begin_training(self, engine: Engine) -> None:
        """As `worker.attempt.training` does."""
        claim = self._held
        with self._times.measuring("begin"):
            with reading(engine) as session:
                lifecycle.find(session, claim.run_id)
                lifecycle.attempts(session, claim.run_id)
                records.epochs(session, claim.run_id)
            with transaction(engine) as session:
                recording.rewind(session, claim.run_id, claim.token, 0)
                leases.describe_attempt(
                    session,
                    claim.run_id,
                    claim.token,
                    Machine(device="cuda:0", threads=1, cpu_capability="AVX2", versions={"torch": "2"}),
                    resumed_from_epoch=None,
                    identical=None,
                )

    def report(self, engine: Engine) -> None:
        """As `worker.host.supervise` does every second; every tenth is a heartbeat."""
        claim = self._held
        self._reports += 1
        with self._times.measuring("report"), transaction(engine, durable=False) as session:
            is_heartbeat = self._reports % 10 == 0
            leases.renew(session, claim.run_id, claim.token, LEASE, step=self._reports, is_heartbeat=is_heartbeat)

    def log(self, engine: Engine) -> None:
        """A piece of the log."""
        with self._times.measuring("log"), transaction(engine) as session:
            logs.append(session, self._held.run_id, self._held.attempt, 0, b"epoch 1 took 60 s: healthy\n")

    def record(self, engine: Engine, epoch: int) -> None:
        """An epoch; with the last, the run's success."""
        claim = self._held
        with self._times.measuring("epoch"):
            with transaction(engine) as session:
                run = lifecycle.find(session, claim.run_id)
                assert run is not None
                endings.is_out_of_time(session, run)
            with transaction(engine) as session:
                recording.record_epoch(session, _record(claim, epoch))
                if epoch == EPOCHS:
                    endings.finish(session, claim.run_id, claim.token, "succeeded")


def _record(claim: Claim, epoch: int) -> recording.EpochRecord:
    picture = StoredArtifact(sha256=f"{epoch:064x}", size=20_000, media_type="image/png")
    return epoch_record(
        claim,
        epoch,
        first_step=(epoch - 1) * STEPS,
        steps=step_block(epoch, STEPS),
        evaluations=(with_bins(0), with_bins(1)) if epoch == 1 else (with_bins(epoch),),
        diagnosis=diagnosis(epoch, collapse_since=1),
        artifacts={"samples": picture, "bins": picture},
    )


def in_turn(engine: Engine, operations: Sequence[Iterator[Operation]], threads: int) -> None:
    """Makes the next operation of each in turn, so that all go on side by side, in so many threads."""
    waiting = deque(operations)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            while not failures:
                try:
                    mine = waiting.popleft()
                except IndexError:
                    return
                operation = next(mine, None)
                if operation is not None:
                    operation(engine)
                    waiting.append(mine)
        except BaseException as error:  # noqa: BLE001  whatever it is ends the bench
            failures.append(error)

    pool = [threading.Thread(target=work) for _ in range(threads)]
    for thread in pool:
        thread.start()
    for thread in pool:
        thread.join()
    if failures:
        raise failures[0]
