"""Several runs that one training process trains together, and what becomes of each."""

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from sqlalchemy import Engine, update

from ganlib.training.stacked.loop import StackedLoop
from store.core.db import make_engine, transaction, upgrade
from store.core.errors import DiskFull
from store.core.models import Run
from store.core.settings import Settings
from store.runs import claims, deletion, endings, pauses
from tests.integration.worker import test_supervise as supervised
from tests.support.store import LEASE
from tests.support.worker import TINY, Clinic, claim_next, queue_run, stop, train_here
from worker.attempt import stack
from worker.attempt.channel import Channel, Stopped
from worker.attempt.out_of_memory import OutOfMemory
from worker.attempt.recorder import Recorder
from worker.messages import Ticket

SETTINGS: dict[str, Any] = {"training.checkpoint_every_epochs": 1}


class Scene:
    """A database and attempts in this process."""

    def __init__(self, engine: Engine, home: Path) -> None:
        self.engine = engine
        self.settings = Settings(home=home, device="cpu", threads=1)
        self.clinic = Clinic(home=home, engine=engine, database_url="")

    def create(self, seed: int, **settings: Any) -> str:
        named = {key.replace("__", "."): value for key, value in settings.items()}
        return queue_run(self.engine, TINY, SETTINGS | {"seed": seed} | named)

    def claim(self, most_members: int = 16) -> Ticket:
        return claim_next(self.engine, most_members)

    def train(
        self, ticket: Ticket, *, at_step: int | None = None, interrupt: Callable[[], None] = stop
    ) -> list[dict[str, Any]]:
        return train_here(ticket, engine=self.engine, settings=self.settings, at_step=at_step, interrupt=interrupt)

    def by_itself(self, seed: int, **settings: Any) -> dict[str, Any]:
        """The numbers of such a run, trained as a stack of one."""
        run_id = self.create(seed, **settings)
        ticket = self.claim()
        assert (ticket.run_id, ticket.is_stacked, ticket.fellows) == (run_id, True, ())
        self.train(ticket)
        return self.clinic.numbers(run_id)

    def outcomes(self, run_id: str) -> list[str]:
        return [attempt.outcome for attempt in self.clinic.attempts(run_id)]


@pytest.fixture
def scene(sqlite_url: str, tmp_path: Path) -> Iterator[Scene]:
    engine = make_engine(sqlite_url)
    upgrade(engine)
    yield Scene(engine, tmp_path)
    engine.dispose()


def test_each_run_records_what_it_would_by_itself(scene: Scene) -> None:
    rates = {1: 1e-4, 2: 1e-3, 3: 1e-2}
    expected = {seed: scene.by_itself(seed, optimizer__learning_rate=rate) for seed, rate in rates.items()}
    runs = {seed: scene.create(seed, optimizer__learning_rate=rate) for seed, rate in rates.items()}
    told = scene.train(scene.claim())
    for seed, run_id in runs.items():
        run = scene.clinic.run(run_id)
        assert (run.status, run.epochs_done, run.step) == ("succeeded", 5, 20)
        assert scene.clinic.numbers(run_id) == expected[seed]
        assert [epoch.checkpoint for epoch in scene.clinic.epochs(run_id)][-1] == "attempt-1-epoch-5.safetensors"
        (attempt,) = scene.clinic.attempts(run_id)
        assert (attempt.stack_size, attempt.device, attempt.identical) == (3, "cpu", None)
    assert [event["step"] for event in told if event["event"] == "stepped"][-1] == 20


def test_runs_of_a_stopped_worker_go_on_together_bit_by_bit(scene: Scene) -> None:
    expected = {seed: scene.by_itself(seed) for seed in (1, 2)}
    runs = {seed: scene.create(seed) for seed in (1, 2)}
    with pytest.raises(Stopped):
        scene.train(scene.claim(), at_step=10)
    again = scene.claim()
    assert [each.run_id for each in again.each] == list(runs.values())
    scene.train(again)
    for seed, run_id in runs.items():
        assert scene.clinic.numbers(run_id) == expected[seed]
        last = scene.clinic.attempts(run_id)[-1]
        assert (last.resumed_from_epoch, last.identical, last.stack_size) == (2, True, 2)


def test_a_run_that_was_lost_goes_on_by_itself_bit_by_bit(scene: Scene) -> None:
    expected = {seed: scene.by_itself(seed) for seed in (1, 2)}
    runs = {seed: scene.create(seed) for seed in (1, 2)}
    ticket = scene.claim()

    def die() -> None:
        with transaction(scene.engine) as session:
            for each in ticket.each:
                endings.requeue(
                    session, each.run_id, each.token, error="died", error_kind="TrainingDied", max_attempts=3
                )

    scene.train(ticket, at_step=10, interrupt=die)
    for seed, run_id in runs.items():
        again = scene.claim()
        assert (again.run_id, again.fellows) == (run_id, ())
        scene.train(again)
        assert scene.clinic.numbers(run_id) == expected[seed]
        assert [attempt.stack_size for attempt in scene.clinic.attempts(run_id)] == [2, 1]
        assert scene.clinic.attempts(run_id)[-1].identical


def test_a_run_that_somebody_else_holds_leaves_and_the_others_are_untouched(scene: Scene) -> None:
    expected = {seed: scene.by_itself(seed) for seed in (1, 3)}
    runs = {seed: scene.create(seed) for seed in (1, 2, 3)}

    def cancel() -> None:
        run = scene.clinic.run(runs[2])
        with transaction(scene.engine) as session:
            endings.finish(session, run.id, run.token, "cancelled")

    scene.train(scene.claim(), at_step=6, interrupt=cancel)
    assert (scene.clinic.run(runs[2]).status, scene.clinic.run(runs[2]).epochs_done) == ("cancelled", 1)
    for seed, numbers in expected.items():
        assert scene.clinic.numbers(runs[seed]) == numbers


@pytest.mark.parametrize("gone", [0, 1])
def test_a_run_that_was_deleted_before_the_stack_begins_leaves_and_the_others_are_untouched(
    scene: Scene, gone: int
) -> None:
    expected = {seed: scene.by_itself(seed) for seed in (1, 2, 3)}
    runs = {seed: scene.create(seed) for seed in expected}
    ticket = scene.claim()
    deleted = ticket.each[gone]
    with transaction(scene.engine) as session:
        endings.finish(session, deleted.run_id, deleted.token, "cancelled")
        deletion.delete_run(session, deleted.run_id)
    scene.train(ticket)
    left = {seed: run_id for seed, run_id in runs.items() if run_id != deleted.run_id}
    assert {seed: scene.clinic.numbers(run_id) for seed, run_id in left.items()} == {s: expected[s] for s in left}


def test_a_run_leaves_within_a_step_where_the_worker_says_so(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = scene.by_itself(2)
    first, second = scene.create(1), scene.create(2)
    steps: list[int] = []
    dropped = iter([[], [], [first]])
    monkeypatch.setattr(Channel, "dropped", lambda _: next(dropped, []))
    monkeypatch.setattr(Channel, "step", lambda _, step: steps.append(step))
    scene.train(scene.claim())
    assert scene.clinic.run(first).epochs_done == 0
    assert scene.clinic.numbers(second) == expected
    assert steps == list(range(1, 21))


def test_a_pause_takes_one_run_out_of_the_stack(scene: Scene) -> None:
    expected = {seed: scene.by_itself(seed) for seed in (1, 2)}
    runs = {seed: scene.create(seed) for seed in (1, 2)}

    def pause() -> None:
        with transaction(scene.engine) as session:
            pauses.pause(session, runs[1])

    scene.train(scene.claim(), at_step=6, interrupt=pause)
    assert (scene.clinic.run(runs[1]).status, scene.clinic.run(runs[1]).epochs_done) == ("paused", 2)
    assert scene.clinic.numbers(runs[2]) == expected[2]
    with transaction(scene.engine) as session:
        pauses.resume(session, runs[1])
    scene.train(scene.claim())
    assert scene.clinic.numbers(runs[1]) == expected[1]


def test_where_one_run_gives_way_all_leave_their_place_with_a_checkpoint(scene: Scene) -> None:
    runs = [scene.create(seed, training__checkpoint_every_epochs=3) for seed in (1, 2)]
    ticket = scene.claim()
    urgent = queue_run(scene.engine, TINY, {"generator.width": 9}, priority=5)

    def ask() -> None:
        with transaction(scene.engine) as session:
            session.execute(update(Run).where(Run.id == runs[0]).values(gives_way_to=urgent))

    scene.train(ticket, at_step=6, interrupt=ask)
    assert [scene.outcomes(run_id) for run_id in runs] == [["gave way"], ["handed over"]]
    for run_id in runs:
        run = scene.clinic.run(run_id)
        assert (run.status, run.epochs_done) == ("queued", 2)
        assert scene.clinic.epochs(run_id)[-1].checkpoint == "attempt-1-epoch-2.safetensors"


def test_a_run_is_halted_by_its_own_diagnosis_alone(scene: Scene) -> None:
    expected = scene.by_itself(2)
    halted = scene.create(
        1,
        optimizer__learning_rate=10,
        optimizer__beta1=0.9,
        diagnosis__halt_on=["divergence"],
        diagnosis__halt_after_epochs=1,
        discriminator_optimizer={"name": "adam", "learning_rate": 10},
    )
    other = scene.create(2)
    scene.train(scene.claim())
    assert scene.clinic.run(halted).status == "halted"
    assert scene.clinic.numbers(other) == expected


def test_a_failure_of_one_run_is_told_and_leaves_the_others(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = scene.by_itself(2)
    failing, other = scene.create(1), scene.create(2)
    record = Recorder.record

    def fail(self: Recorder, report: Any, *arguments: Any, **options: Any) -> Any:
        if self._ticket.run_id == failing and report.epoch == 2:  # pyright: ignore[reportPrivateUsage]
            raise DiskFull(Path("/there"), "no room")
        return record(self, report, *arguments, **options)

    monkeypatch.setattr(Recorder, "record", fail)
    told = scene.train(scene.claim())
    [failed] = [event for event in told if event["event"] == "failed"]
    assert (failed["run_id"], failed["kind"]) == (failing, "DiskFull")
    assert (failed["is_final"], failed["is_local"]) == (False, True)
    assert scene.clinic.numbers(other) == expected


def test_a_stack_that_is_out_of_memory_is_told_as_a_whole_and_lacks_nothing_that_another_host_has(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in (1, 2):
        scene.create(seed)

    def fail(_: StackedLoop) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(StackedLoop, "make_step", fail)
    told = scene.train(scene.claim())
    [failed] = [event for event in told if event["event"] == "failed"]
    assert (failed["run_id"], failed["kind"]) == (None, "OutOfMemory")
    assert (failed["is_final"], failed["is_local"]) == (False, False)


def test_a_run_that_finds_no_room_for_the_weights_that_it_begins_with_leaves_the_others(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = scene.by_itself(2)
    failing, other = scene.create(1), scene.create(2)
    with transaction(scene.engine) as session:
        warm = {"run_id": other, "checkpoint": "attempt-1-epoch-1.safetensors", "epoch": 1}
        session.execute(update(Run).where(Run.id == failing).values(warm_start=warm))

    def fail(*_: Any) -> Any:
        raise DiskFull(Path("/there"), "no room")

    monkeypatch.setattr(stack, "load_warm_start", fail)
    told = scene.train(scene.claim())
    assert [event["run_id"] for event in told if event["event"] == "failed"] == [failing]
    assert scene.clinic.numbers(other) == expected


def test_a_run_whose_evaluation_has_no_room_beside_the_others_is_tried_alone(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [scene.create(seed) for seed in (1, 2)]

    def fail(*_: Any, **__: Any) -> Any:
        raise OutOfMemory("the evaluation does not fit")

    monkeypatch.setattr(Recorder, "record", fail)
    told = scene.train(scene.claim())
    failed = [(event["run_id"], event["is_final"]) for event in told if event["event"] == "failed"]
    assert failed == [(runs[0], False), (runs[1], True)]


def test_a_run_whose_checkpoint_is_gone_is_handed_back_and_the_others_go_on(scene: Scene) -> None:
    expected = {seed: scene.by_itself(seed) for seed in (2, 3)}
    runs = {seed: scene.create(seed) for seed in (1, 2, 3)}
    with pytest.raises(Stopped):
        scene.train(scene.claim(), at_step=10)
    for file in (scene.settings.checkpoints / runs[1]).iterdir():
        file.unlink()
    told = scene.train(scene.claim())
    assert [event["run_id"] for event in told if event["event"] == "handed back"] == [runs[1]]
    for seed, numbers in expected.items():
        assert scene.clinic.numbers(runs[seed]) == numbers


def test_a_stack_begun_by_runs_alone_would_not_be_identical_and_is_none(scene: Scene) -> None:
    run_id = scene.create(1)
    ticket = scene.claim(1)
    assert not ticket.is_stacked
    with pytest.raises(Stopped):
        scene.train(ticket, at_step=10)
    scene.train(scene.claim().model_copy(update={"is_stacked": True}))
    assert scene.clinic.attempts(run_id)[-1].identical is False


# --- the worker -------------------------------------------------------------------------------------------------

LOOP = """
ids = [ticket["run_id"], *(fellow["run_id"] for fellow in ticket["fellows"])]
step(1)
"""


class Watched(supervised.Scene):
    """Two claimed runs, and a thread that supervises a script as their training."""

    def __init__(self, engine: Engine, home: Path, **settings: Any) -> None:
        for seed in (1, 2):
            queue_run(engine, TINY, {"seed": seed})
        super().__init__(engine, home, **settings)

    def run_of(self, place: int) -> Run:
        claim = (self.claim, *self.claim.fellows)[place]
        return Clinic(home=self.settings.home, engine=self.engine, database_url="").run(claim.run_id)


def watched_pair(engine: Engine, home: Path, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> Watched:
    def claim_both(session: Any, worker: str = "worker-1") -> Any:
        return claims.claim(session, worker, LEASE, most_members=16)

    monkeypatch.setattr(supervised, "claim_run", claim_both)
    return Watched(engine, home, **settings)


@pytest.fixture
def watched(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    return watched_pair(engine, tmp_path, monkeypatch)


def test_a_cancel_ends_one_run_at_once_and_the_process_is_told_to_go_on_without_it(watched: Watched) -> None:
    watched.start(
        LOOP + 'told = sys.stdin.readline(); step(7) if told == f"drop {ids[0]}\\n" else None; sys.stdin.readline()'
    )
    watched.wait_for_step(1)
    watched.cancel()
    while watched.run_of(1).step < 7:
        time.sleep(0.01)
    assert (watched.run_of(0).status, watched.run_of(1).status) == ("cancelled", "running")
    watched.stopping.set()
    watched.wait()
    assert watched.run_of(1).status == "queued"


def test_where_one_run_gives_way_all_leave_an_epoch_that_is_too_long(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = watched_pair(engine, tmp_path, monkeypatch, pause_patience=timedelta(seconds=0.1))
    watched.start(LOOP + "sys.stdin.readline()")
    watched.wait_for_step(1)
    urgent = queue_run(engine, TINY, {"generator.width": 9}, priority=5)
    with transaction(engine) as session:
        session.execute(update(Run).where(Run.id == watched.claim.run_id).values(gives_way_to=urgent))
    watched.wait()
    clinic = Clinic(home=watched.settings.home, engine=engine, database_url="")
    assert [watched.run_of(place).status for place in (0, 1)] == ["queued", "queued"]
    outcomes = [clinic.attempts(watched.run_of(place).id)[-1].outcome for place in (0, 1)]
    assert outcomes == ["gave way", "handed over"]


def test_a_pause_ends_one_run_alone_whose_epoch_is_too_long(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = watched_pair(engine, tmp_path, monkeypatch, pause_patience=timedelta(seconds=0.1))
    watched.start(LOOP + "sys.stdin.readline(); step(7); sys.stdin.readline()")
    watched.wait_for_step(1)
    with transaction(engine) as session:
        pauses.pause(session, watched.claim.run_id)
    while watched.run_of(1).step < 7:
        time.sleep(0.01)
    assert (watched.run_of(0).status, watched.run_of(1).status) == ("paused", "running")
    watched.stopping.set()
    watched.wait()


def test_the_leases_of_all_are_renewed(watched: Watched) -> None:
    watched.start(LOOP + "sys.stdin.readline()")
    watched.wait_for_step(1)
    before = [watched.run_of(place).lease_expires_at for place in (0, 1)]
    while any(watched.run_of(place).lease_expires_at == before[place] for place in (0, 1)):
        time.sleep(0.01)
    watched.stopping.set()
    watched.wait()
    assert [watched.run_of(place).status for place in (0, 1)] == ["queued", "queued"]


@pytest.mark.parametrize(("is_final", "status"), [("True", "failed"), ("False", "queued")])
def test_the_failure_of_one_run_is_its_own(watched: Watched, is_final: str, status: str) -> None:
    watched.start(
        LOOP + f'tell(event="failed", run_id=ids[1], kind="K", error="e", is_final={is_final})\n'
        "sys.stdin.readline(); step(7); sys.stdin.readline()"
    )
    watched.wait_for_step(7)
    assert (watched.run_of(0).status, watched.run_of(1).status) == ("running", status)
    watched.stopping.set()
    watched.wait()


def test_the_failure_of_a_run_that_has_left_is_not_that_of_the_last_one(watched: Watched) -> None:
    watched.start(
        LOOP + "sys.stdin.readline()\n"
        'tell(event="failed", run_id=ids[0], kind="K", error="e", is_final=True); step(7); sys.stdin.readline()'
    )
    watched.wait_for_step(1)
    watched.cancel()
    while watched.run_of(1).step < 7:
        time.sleep(0.01)
    watched.stopping.set()
    watched.wait()
    assert (watched.run_of(0).status, watched.run_of(1).status) == ("cancelled", "queued")


def test_a_run_that_is_handed_back_is_queued_and_nothing_counts(watched: Watched) -> None:
    watched.start(
        LOOP + 'tell(event="handed back", run_id=ids[1]); sys.stdin.readline(); step(7); sys.stdin.readline()'
    )
    watched.wait_for_step(7)
    assert (watched.run_of(0).status, watched.run_of(1).status) == ("running", "queued")
    watched.stopping.set()
    watched.wait()


def test_where_the_process_dies_all_its_runs_were_lost(watched: Watched) -> None:
    watched.start(LOOP + 'print("it broke", file=sys.stderr, flush=True); os.kill(os.getpid(), signal.SIGKILL)')
    watched.wait()
    clinic = Clinic(home=watched.settings.home, engine=watched.engine, database_url="")
    for place in (0, 1):
        run = watched.run_of(place)
        (attempt,) = clinic.attempts(run.id)
        assert (run.status, attempt.outcome) == ("queued", "lost")
        assert "signal 9" in str(attempt.error)
        assert "it broke" in str(attempt.error)
        assert (watched.settings.logs / f"{run.id}.1.log").read_text() == "it broke\n"
