"""Workers as real processes on a home of their own, attempts in this process, and what they leave in the database."""

import contextlib
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from celery import Celery
from sqlalchemy import Engine

from ganlib.spec.request import RunRequest
from ganlib.wire.statuses import FINAL_STATUSES
from store.core.db import make_engine, reading, transaction, upgrade
from store.core.models import Attempt, Epoch, Run
from store.core.settings import Settings
from store.runs import claims, endings, lifecycle, records
from store.runs.series import read_steps
from tests.support.images import CHECKOUT
from tests.support.processes import free_port, running, trainings_of
from tests.support.store import LEASE
from worker.attempt.channel import Channel, Stopped
from worker.attempt.context import AttemptContext
from worker.attempt.stack import train_stack
from worker.attempt.training import train
from worker.messages import Fellow, Ticket

LOOK_INTERVAL_S = 0.05
EPOCHS = 8
SPEC: dict[str, Any] = {
    "seed": 7,
    "dataset": {"name": "ring8", "size": 400},
    "generator": {"family": "mlp", "width": 16},
    "discriminator": {"family": "mlp", "width": 16},
    # A checkpoint every other epoch: most resumes have an epoch to make again.
    "training": {"epochs": EPOCHS, "steps_per_epoch": 40, "batch_size": 32, "checkpoint_every_epochs": 2},
    "evaluation": {"num_samples": 100, "every_epochs": 2},
}
TINY: dict[str, Any] = {
    "dataset": {"name": "ring8", "size": 200},
    "generator": {"family": "mlp", "width": 8},
    "discriminator": {"family": "mlp", "width": 8},
    "training": {"epochs": 5, "steps_per_epoch": 4, "batch_size": 16, "checkpoint_every_epochs": 2},
    "evaluation": {"num_samples": 50, "every_epochs": 2},
    "samples": {"count": 4},
}
"""Five epochs of four steps."""
IMPATIENT = {
    "GANCLINIC_LEASE_DURATION": "3",
    "GANCLINIC_HEARTBEAT_INTERVAL": "0.5",
    "GANCLINIC_POLL_INTERVAL": "0.2",
    "GANCLINIC_CANCEL_GRACE": "3",
    "GANCLINIC_THREADS": "1",
    "GANCLINIC_STACK_MEMBERS": "1",
    "GANCLINIC_DEVICE": "cpu",
    "GANCLINIC_SPARE_TRAINING": "false",  # of many workers: each takes seconds of CPU time
    "GANCLINIC_BROKER_URL": "redis+socket:///nowhere/broker.sock",  # the poll alone finds work
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Clinic:
    """A database and a home directory that workers share."""

    home: Path
    engine: Engine
    database_url: str
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def environment(self, **changes: str) -> dict[str, str]:
        """Of a server process."""
        own = {"GANCLINIC_HOME": str(self.home), "GANCLINIC_DATABASE_URL": self.database_url}
        return {**os.environ, **IMPATIENT, **own, **changes}

    @contextlib.contextmanager
    def worker(self, **changes: str) -> Iterator[subprocess.Popen[bytes]]:
        """A worker, stopped at the end where it still runs."""
        log = self.home / f"worker-{next(self._numbers)}.log"
        command = [sys.executable, "-m", "worker"]
        with running(command, log=log, ready=lambda: True, cwd=CHECKOUT, env=self.environment(**changes)) as process:
            yield process

    @contextlib.contextmanager
    def api(self, port: int | None = None) -> Iterator[tuple[subprocess.Popen[bytes], httpx.Client]]:
        """The API, on any free port unless one is named, and a client of it."""
        port, token = port or free_port(), "correct-horse-battery-staple"
        environment = self.environment(GANCLINIC_PORT=str(port), GANCLINIC_TOKEN=token)
        url, headers = f"http://127.0.0.1:{port}/v1", {"Authorization": f"Bearer {token}"}
        with httpx.Client(base_url=url, headers=headers, trust_env=False) as client:

            def answers() -> bool:
                with contextlib.suppress(httpx.TransportError):
                    return client.get("/health").is_success
                return False

            command, log = [sys.executable, "-m", "api"], self.home / "api.log"
            with running(command, log=log, ready=answers, cwd=CHECKOUT, env=environment) as process:
                yield process, client

    def create_run(self, *, priority: int = 0, **settings: Any) -> str:
        """The id of a queued run."""
        return queue_run(self.engine, SPEC, settings, priority)

    def run(self, run_id: str) -> Run:
        """The run as it is now."""
        with reading(self.engine) as session:
            return lifecycle.get(session, run_id)

    def wait_until(self, run_id: str, is_so: Callable[[Run], bool]) -> Run:
        """The run once it is so; the test's own time limit ends the waiting."""
        while not is_so(run := self.run(run_id)):
            time.sleep(LOOK_INTERVAL_S)
        return run

    def wait_for_epoch(self, run_id: str, epoch: int) -> Run:
        """The run, still in training, once that epoch is recorded."""
        run = self.wait_until(run_id, lambda run: run.epochs_done >= epoch or run.status in FINAL_STATUSES)
        assert run.status == "running", f"too late: {run.status}, {run.error}"
        return run

    def wait_for_end(self, run_id: str) -> Run:
        """The run once it has ended."""
        return self.wait_until(run_id, lambda run: run.status in FINAL_STATUSES)

    def attempts(self, run_id: str) -> list[Attempt]:
        """The run's attempts."""
        with reading(self.engine) as session:
            return lifecycle.attempts(session, run_id)

    def epochs(self, run_id: str) -> list[Epoch]:
        """The run's epochs."""
        with reading(self.engine) as session:
            return records.epochs(session, run_id)

    def numbers(self, run_id: str) -> dict[str, Any]:
        """Everything that an undisturbed run of the same spec has bit for bit alike."""
        with reading(self.engine) as session:
            return {
                "epochs": [(e.epoch, e.first_step, e.num_steps, e.means) for e in records.epochs(session, run_id)],
                "steps": read_steps(session, run_id).tobytes(),
                "evaluations": [e.to_json() for e in records.evaluations(session, run_id)],
                "diagnoses": [d.to_json() for d in records.diagnoses(session, run_id)],
                "samples": [(a.epoch, a.sha256) for a in records.artifacts(session, run_id, "samples")],
            }


def clinic_at(home: Path, database_url: str) -> Iterator[Clinic]:
    """A clinic on a new database; for fixtures to yield from."""
    engine = make_engine(database_url)
    upgrade(engine)
    yield Clinic(home=home, engine=engine, database_url=database_url)
    engine.dispose()


# --- attempts in this process -----------------------------------------------------------------------------------


class LineWithInterruption(Channel):
    """Does something at a certain step."""

    def __init__(self, commands: int, events: int, at_step: int | None, interrupt: Callable[[], None]) -> None:
        super().__init__(commands, events)
        self._at_step, self._interrupt = at_step, interrupt

    def step(self, step: int) -> None:
        if step == self._at_step:
            self._interrupt()
        super().step(step)


def stop() -> None:
    """What a worker's command to stop does to a training."""
    raise Stopped("stop")


def queue_run(
    engine: Engine, spec: dict[str, Any], settings: dict[str, Any], priority: int = 0, name: str | None = None
) -> str:
    """The id of a queued run of that spec with those settings, whose request gives the priority."""
    request = RunRequest(spec=spec, set=settings, priority=priority, name=name)
    with transaction(engine) as session:
        return lifecycle.create(session, request, request.resolve()).id


def claim_next(engine: Engine, most_members: int = 1) -> Ticket:
    """The ticket of the next run, which must be queued, and of those that are trained together with it."""
    with transaction(engine) as session:
        claimed = claims.claim(session, "worker-1", LEASE, most_members=most_members)
    assert claimed is not None
    return ticket_of(claimed)


def ticket_of(claimed: claims.Claim) -> Ticket:
    """The ticket that a worker gives its training process for a claim."""
    fellows = tuple(Fellow(run_id=c.run_id, token=c.token, attempt=c.attempt) for c in claimed.fellows)
    return Ticket(
        run_id=claimed.run_id,
        token=claimed.token,
        attempt=claimed.attempt,
        device="cpu",
        is_stacked=claimed.is_stacked,
        fellows=fellows,
    )


def train_here(
    ticket: Ticket,
    *,
    engine: Engine,
    settings: Settings,
    at_step: int | None = None,
    interrupt: Callable[[], None] = stop,
) -> list[dict[str, Any]]:
    """What the worker was told by an attempt, which is interrupted at that step; it lies in the home's `events`.

    Raises:
        Stopped: by `stop`; the run is handed over to the next attempt.
    """
    settings.home.mkdir(exist_ok=True)
    events = settings.home / "events"
    with Path(os.devnull).open("rb") as commands, events.open("wb") as output:
        line = LineWithInterruption(commands.fileno(), output.fileno(), at_step, interrupt)
        try:
            work = train_stack if ticket.is_stacked else train
            work(AttemptContext(ticket=ticket, channel=line, engine=engine, settings=settings))
        except Stopped:
            with transaction(engine) as session:
                for each in ticket.each:
                    endings.hand_over(session, each.run_id, each.token)
            raise
    return [json.loads(event) for event in events.read_text().splitlines()]


# --- processes --------------------------------------------------------------------------------------------------


def wait_for_listeners(broker_url: str, count: int) -> None:
    """Returns once that many workers hear the broker."""
    app = Celery(broker=broker_url, set_as_current=False)
    while len(app.control.ping(timeout=0.5, limit=count)) < count:
        pass


def training_of(worker: subprocess.Popen[bytes]) -> int:
    """The id of the worker's training process."""
    while not (found := trainings_of(worker.pid)):
        time.sleep(LOOK_INTERVAL_S)
    (training,) = found
    return training


def is_alive(process_id: int) -> bool:
    """Whether such a process runs; one that is not reaped yet does not."""
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
