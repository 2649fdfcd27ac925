"""The training process's work in this process: what it records, and how it resumes."""

import contextlib
import io
import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from sqlalchemy import Engine, event, update
from sqlalchemy.orm import Session

from ganlib.data.load import DatasetUnavailable
from ganlib.evaluation.extractors import ExtractorUnavailable
from store.core.db import make_engine, reading, transaction, upgrade
from store.core.errors import DatabaseUnavailable, LeaseLost
from store.core.models import DiagnosisRow
from store.core.settings import Settings
from store.files.artifacts import LocalArtifacts
from store.runs import endings, lifecycle, records
from store.runs.rediagnosis import rediagnose
from tests.support.memory import LittleMemory
from tests.support.servers import PostgresServer
from tests.support.store import diagnosis, expire_lease
from tests.support.worker import TINY, Clinic, claim_next, queue_run, stop, train_here
from worker.attempt import training
from worker.attempt.channel import Stopped
from worker.attempt.device import DeviceUnavailable
from worker.attempt.out_of_memory import OutOfMemory
from worker.attempt.recorder import persist
from worker.messages import Ticket


class Scene:
    """Attempts of runs, one after the other, in this process."""

    def __init__(self, engine: Engine, home: Path) -> None:
        self.engine = engine
        self.settings = Settings(home=home, device="cpu", threads=1)
        self.clinic = Clinic(home=home, engine=engine, database_url="")

    def create_run(self, **settings: Any) -> str:
        return queue_run(self.engine, TINY, settings)

    def claim(self) -> Ticket:
        return claim_next(self.engine)

    def train(
        self, ticket: Ticket, *, at_step: int | None = None, interrupt: Callable[[], None] = stop
    ) -> list[dict[str, Any]]:
        """What the worker was told."""
        return train_here(ticket, engine=self.engine, settings=self.settings, at_step=at_step, interrupt=interrupt)

    def interrupt(self, ticket: Ticket, step: int) -> None:
        """Ends an attempt at that step, and hands its run over."""
        with pytest.raises(Stopped):
            self.train(ticket, at_step=step)

    def checkpoints(self, run_id: str) -> list[str]:
        return sorted(path.name for path in (self.settings.checkpoints / run_id).iterdir())


@pytest.fixture
def scene(sqlite_url: str, tmp_path: Path) -> Iterator[Scene]:
    engine = make_engine(sqlite_url)
    upgrade(engine)
    yield Scene(engine, tmp_path)
    engine.dispose()


def test_a_training_records_all_its_epochs_and_its_success(scene: Scene) -> None:
    run_id = scene.create_run()
    told = scene.train(scene.claim())
    run = scene.clinic.run(run_id)
    assert (run.status, run.epochs_done, run.step) == ("succeeded", 5, 20)
    assert run.verdict is not None
    numbers = scene.clinic.numbers(run_id)
    assert [epoch for epoch, *_ in numbers["epochs"]] == [1, 2, 3, 4, 5]
    assert [document["epoch"] for document in numbers["evaluations"]] == [0, 2, 4, 5]
    assert [document["epoch"] for document in numbers["diagnoses"]] == [1, 2, 3, 4, 5]
    assert [epoch for epoch, _ in numbers["samples"]] == [1, 2, 3, 4, 5]
    assert [event["step"] for event in told if event["event"] == "stepped"][-1] == 20


@pytest.mark.parametrize("commit", range(1, 7))
def test_a_commit_whose_answer_is_lost_costs_no_attempt(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, commit: int
) -> None:
    """The first is that of the attempt's beginning, the last that of its last epoch and of success."""
    commits = itertools.count(1)

    @contextlib.contextmanager
    def lossy(engine: Engine) -> Iterator[Session]:
        with transaction(engine) as session:
            yield session
        if next(commits) == commit:
            raise DatabaseUnavailable("the connection was lost while it committed")

    monkeypatch.setattr("worker.attempt.recorder.transaction", lossy)
    run_id = scene.create_run()
    scene.train(scene.claim())
    assert next(commits) == 8  # one more than without the loss
    run = scene.clinic.run(run_id)
    assert (run.status, run.epochs_done, run.step) == ("succeeded", 5, 20)
    assert [attempt.outcome for attempt in scene.clinic.attempts(run_id)] == ["succeeded"]
    assert [epoch for epoch, *_ in scene.clinic.numbers(run_id)["epochs"]] == [1, 2, 3, 4, 5]
    assert scene.checkpoints(run_id) == ["attempt-1-epoch-4.safetensors", "attempt-1-epoch-5.safetensors"]


def test_a_translation_of_images_records_how_like_their_targets_its_samples_are(scene: Scene) -> None:
    run_id = scene.create_run(
        dataset={"name": "edges", "limit": 500, "held_out": 50},
        generator={"family": "unet", "width": 4},
        discriminator={"family": "patch", "width": 4, "layers": 1},
        evaluation={"num_samples": 50, "measures": ["paired"]},
        **{"remedies.l1": {}, "training.epochs": 2},
    )
    scene.train(scene.claim())
    numbers = scene.clinic.numbers(run_id)
    assert [set(document["values"]) for document in numbers["evaluations"]] == [{"ssim", "l1"}] * 3
    with reading(scene.engine) as session:
        [_, last] = records.artifacts(session, run_id, "samples")
    picture = Image.open(io.BytesIO(LocalArtifacts(scene.settings.artifacts).get(last.sha256)))
    assert picture.size == (2 * (3 * 56 + 2) + 2, 2 * (56 + 2) + 2)


def test_only_what_is_written_takes_the_write_lock(scene: Scene) -> None:
    scene.create_run()
    ticket, begun = scene.claim(), list[str]()

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        begun.extend([statement] if statement.startswith("BEGIN") else [])

    event.listen(scene.engine, "before_cursor_execute", note)
    scene.train(ticket)
    assert begun.count("BEGIN IMMEDIATE") == 1 + 5  # the attempt's beginning, and each epoch


@pytest.mark.parametrize("at_step", [None, 6])
def test_an_evaluation_that_is_out_of_memory_is_not_blamed_on_the_batch_size(scene: Scene, at_step: int | None) -> None:
    scene.create_run(
        dataset={"name": "ring8", "size": 2000},
        **{"discriminator.width": 64, "evaluation.space": "discriminator", "evaluation.num_samples": 500},
    )
    ticket, memory = scene.claim(), LittleMemory(10**9)

    def shrink() -> None:
        memory.limit_bytes = 64 * 1024  # half of the discriminator's features, and enough for all its steps

    if at_step is None:
        shrink()
    advice = r"evaluation does not fit, whatever the batch size: set a smaller evaluation\.num_samples"
    with memory, pytest.raises(OutOfMemory, match=advice):
        scene.train(ticket, at_step=at_step, interrupt=shrink)


def test_an_attempt_says_what_it_ran_on(scene: Scene) -> None:
    run_id = scene.create_run()
    scene.train(scene.claim())
    (attempt,) = scene.clinic.attempts(run_id)
    assert (attempt.device, attempt.threads) == ("cpu", 1)
    assert attempt.cpu_capability
    assert {"torch", "numpy"} <= set(attempt.versions or {})
    assert (attempt.resumed_from_epoch, attempt.identical) == (None, None)


def test_only_the_last_two_checkpoints_that_the_database_names_are_kept(scene: Scene) -> None:
    run_id = scene.create_run()
    scene.train(scene.claim())
    named = [epoch.checkpoint for epoch in scene.clinic.epochs(run_id)]
    assert named[0] is None
    assert scene.checkpoints(run_id) == ["attempt-1-epoch-4.safetensors", "attempt-1-epoch-5.safetensors"]


@pytest.mark.parametrize("step", [2, 6, 11, 14, 20])
def test_a_resumed_training_gives_the_numbers_of_an_undisturbed_one(scene: Scene, step: int) -> None:
    undisturbed, disturbed = scene.create_run(), scene.create_run()
    scene.train(scene.claim())
    scene.interrupt(scene.claim(), step)
    resumed = scene.claim()
    scene.train(resumed)
    assert resumed.run_id == disturbed
    assert scene.clinic.numbers(disturbed) == scene.clinic.numbers(undisturbed)
    _, attempt = scene.clinic.attempts(disturbed)
    checkpoint = (step - 1) // 8 * 2  # epochs of 4 steps, a checkpoint every 2 epochs
    assert attempt.resumed_from_epoch == (checkpoint or None)
    assert attempt.identical == (True if checkpoint else None)


def test_a_checkpoint_that_cannot_be_read_costs_time_and_changes_nothing(scene: Scene) -> None:
    undisturbed, disturbed = scene.create_run(), scene.create_run()
    scene.train(scene.claim())
    scene.interrupt(scene.claim(), 18)
    newest = scene.settings.checkpoints / disturbed / "attempt-1-epoch-4.safetensors"
    newest.write_bytes(newest.read_bytes()[:100])
    scene.train(scene.claim())
    assert scene.clinic.numbers(disturbed) == scene.clinic.numbers(undisturbed)
    assert scene.clinic.attempts(disturbed)[-1].resumed_from_epoch == 2


def test_a_resume_on_another_machine_is_marked(scene: Scene) -> None:
    run_id = scene.create_run()
    scene.interrupt(scene.claim(), 11)
    with transaction(scene.engine) as session:
        lifecycle.attempts(session, run_id)[0].cpu_capability = "VAX"
    scene.train(scene.claim())
    assert scene.clinic.attempts(run_id)[-1].identical is False


def test_a_resume_takes_as_many_threads_as_the_first_attempt(scene: Scene) -> None:
    run_id = scene.create_run()
    scene.interrupt(scene.claim(), 11)
    scene.settings = scene.settings.model_copy(update={"threads": 2})
    scene.train(scene.claim())
    assert [attempt.threads for attempt in scene.clinic.attempts(run_id)] == [1, 1]


def test_a_resume_in_the_precision_that_auto_took_at_first_is_bit_identical(scene: Scene) -> None:
    """Whatever the worker that goes on has measured."""
    auto: dict[str, Any] = {"training.precision": "auto"}
    undisturbed = scene.create_run(**auto)
    scene.train(scene.claim().model_copy(update={"bf16_speedup": 4.0}))
    disturbed = scene.create_run(**auto)
    scene.interrupt(scene.claim().model_copy(update={"bf16_speedup": 4.0}), 11)
    scene.train(scene.claim().model_copy(update={"bf16_speedup": 0.5}))
    assert scene.clinic.numbers(disturbed) == scene.clinic.numbers(undisturbed)
    attempts = scene.clinic.attempts(disturbed)
    assert [attempt.precision for attempt in attempts] == ["bf16", "bf16"]
    assert attempts[-1].identical is True


def test_auto_is_float32_on_a_worker_that_is_slower_in_bf16(scene: Scene) -> None:
    plain, auto = scene.create_run(), scene.create_run(**{"training.precision": "auto"})
    for _ in range(2):
        scene.train(scene.claim().model_copy(update={"bf16_speedup": 0.5}))
    assert scene.clinic.numbers(auto) == scene.clinic.numbers(plain)
    assert [scene.clinic.attempts(run)[0].precision for run in (plain, auto)] == ["float32", "float32"]


def test_an_attempt_that_lost_its_lease_before_it_began_changes_nothing(scene: Scene) -> None:
    run_id = scene.create_run()
    stale = scene.claim()
    lose_lease(scene, run_id)
    scene.interrupt(scene.claim(), 11)
    before = scene.clinic.numbers(run_id)
    with pytest.raises(LeaseLost):
        scene.train(stale)
    assert scene.clinic.numbers(run_id) == before
    assert scene.clinic.run(run_id).status == "queued"


def test_an_attempt_that_loses_its_lease_in_an_epoch_does_not_record_it(scene: Scene) -> None:
    run_id = scene.create_run()
    with pytest.raises(LeaseLost):
        scene.train(scene.claim(), at_step=11, interrupt=lambda: lose_lease(scene, run_id))
    assert [epoch.epoch for epoch in scene.clinic.epochs(run_id)] == [1, 2]
    assert scene.clinic.run(run_id).status == "queued"


def test_what_is_recorded_waits_for_a_database_that_is_away(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[float] = []

    def write(_: Session) -> str:
        tries.append(0)
        if len(tries) < 4:
            raise DatabaseUnavailable("away")
        return "written"

    pauses: list[float] = []
    sleep = time.sleep
    monkeypatch.setattr(time, "sleep", lambda s: pauses.append(s) if s >= 1 else sleep(s))  # a library's are shorter
    assert persist(scene.engine, write) == "written"
    assert pauses == [1, 2, 4]


def test_a_training_that_begins_while_the_database_is_away_waits_for_it(
    postgres_server: PostgresServer, postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = make_engine(postgres_url)
    upgrade(engine)
    scene = Scene(engine, tmp_path)
    run_id = scene.create_run()
    ticket = scene.claim()
    pauses: list[float] = []

    def leave() -> None:
        engine.dispose()
        postgres_server.let_in(postgres_url, False)

    def come_back(pause_s: float) -> None:
        if pause_s < 1:  # of a library, or of another thread
            return sleep(pause_s)
        pauses.append(pause_s)
        postgres_server.let_in(postgres_url, True)
        return None

    sleep = time.sleep
    monkeypatch.setattr(time, "sleep", come_back)
    leave()
    assert training._kind(engine, run_id) == "training"
    leave()
    scene.train(ticket)
    assert pauses == [1, 1]
    assert scene.clinic.run(run_id).status == "succeeded"
    engine.dispose()


def lose_lease(scene: Scene, run_id: str) -> None:
    with transaction(scene.engine) as session:
        expire_lease(session, run_id)
        assert endings.requeue_expired(session, 3) == [run_id]


def test_without_its_data_a_run_does_not_begin(scene: Scene, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    scene.settings = scene.settings.model_copy(update={"data_dir": tmp_path / "file" / "data"})
    images = {"generator": {"family": "deconv", "width": 8}, "discriminator": {"family": "conv", "width": 8}}
    run_id = scene.create_run(dataset={"name": "mnist"}, **images)
    with pytest.raises(DatasetUnavailable, match=r"--set dataset\.name=mnist-5k"):
        scene.train(scene.claim())
    assert scene.clinic.run(run_id).step == 0


def test_a_spec_that_wants_a_gpu_does_not_train_without(scene: Scene) -> None:
    scene.create_run(**{"resources.device": "cuda"})
    with pytest.raises(DeviceUnavailable, match=r"--set resources\.device=auto"):
        scene.train(scene.claim())


def test_losses_that_are_not_finite_are_recorded(scene: Scene) -> None:
    run_id = scene.create_run(**{"optimizer.learning_rate": 10, "training.epochs": 2})
    scene.train(scene.claim())
    assert scene.clinic.run(run_id).status == "succeeded"
    with transaction(scene.engine) as session:
        assert records.history(session, run_id).steps.shape == (8, 8)


def diverging(**watch: Any) -> dict[str, Any]:
    """Steps so large that losses blow up in the first epoch, checkpoints that are never due, and what halts it."""
    steps = {"name": "sgd", "learning_rate": 10}
    changes = {"objective.name": "lsgan", "optimizer": steps, "training.checkpoint_every_epochs": 100}
    return {**changes, "diagnosis": watch}


def test_a_run_is_halted_once_a_severe_finding_has_held_for_long_enough(scene: Scene) -> None:
    run_id = scene.create_run(**diverging(halt_on=["divergence"], halt_after_epochs=2))
    scene.train(scene.claim())
    run = scene.clinic.run(run_id)
    assert (run.status, run.verdict, run.first_epoch_seen) == ("halted", "divergence", 1)
    assert (run.epochs_done, run.step, run.finished_at is None, run.error) == (2, 8, False, None)
    assert [attempt.outcome for attempt in scene.clinic.attempts(run_id)] == ["halted"]
    assert [document["epoch"] for document in scene.clinic.numbers(run_id)["diagnoses"]] == [1, 2]


def test_a_halted_run_keeps_a_checkpoint_of_its_last_epoch(scene: Scene) -> None:
    run_id = scene.create_run(**diverging(halt_on=["divergence"], halt_after_epochs=2))
    scene.train(scene.claim())
    assert [epoch.checkpoint for epoch in scene.clinic.epochs(run_id)] == [None, "attempt-1-epoch-2.safetensors"]
    assert scene.checkpoints(run_id) == ["attempt-1-epoch-2.safetensors"]


@pytest.mark.parametrize("watch", [{}, {"halt_on": ["mode collapse"], "halt_after_epochs": 1}])
def test_a_run_is_not_halted_by_what_it_does_not_name(scene: Scene, watch: dict[str, Any]) -> None:
    run_id = scene.create_run(**diverging(**watch))
    scene.train(scene.claim())
    run = scene.clinic.run(run_id)
    assert (run.status, run.verdict, run.epochs_done) == ("succeeded", "divergence", 5)


def test_a_finding_that_halts_with_the_last_epoch_changes_nothing(scene: Scene) -> None:
    run_id = scene.create_run(**diverging(halt_on=["divergence"], halt_after_epochs=5))
    scene.train(scene.claim())
    assert (scene.clinic.run(run_id).status, scene.clinic.run(run_id).epochs_done) == ("succeeded", 5)


def test_epochs_before_a_resume_count_towards_a_halt(scene: Scene) -> None:
    watch = diverging(halt_on=["divergence"], halt_after_epochs=3)
    run_id = scene.create_run(**watch | {"training.checkpoint_every_epochs": 1})
    scene.interrupt(scene.claim(), step=7)
    scene.train(scene.claim())
    run = scene.clinic.run(run_id)
    assert (run.status, run.epochs_done, run.first_epoch_seen) == ("halted", 3, 1)
    assert [attempt.outcome for attempt in scene.clinic.attempts(run_id)] == ["handed over", "halted"]


def test_a_stored_run_diagnosed_again_by_the_same_rules_hears_what_its_training_said(scene: Scene) -> None:
    run_id = scene.create_run(**{"training.epochs": 3, "training.steps_per_epoch": 60})
    scene.train(scene.claim())
    said = scene.clinic.numbers(run_id)["diagnoses"]
    with transaction(scene.engine) as session:
        session.execute(update(DiagnosisRow).values(ruleset="an older one", document=diagnosis(1).to_json()))
    rediagnose(scene.engine, run_id)
    assert scene.clinic.numbers(run_id)["diagnoses"] == said
    assert {document["epoch"] for document in said} == {1, 2, 3}


IMAGES: dict[str, Any] = {
    "dataset": {"name": "polygons", "size": 120},
    "generator": {"family": "mlp", "width": 8, "latent_dim": 4},
    "discriminator": {"family": "mlp", "width": 8},
}


def test_a_run_on_images_keeps_what_its_bins_hold(scene: Scene) -> None:
    run_id = scene.create_run(**IMAGES)
    scene.train(scene.claim())
    with reading(scene.engine) as session:
        kept = records.artifacts(session, run_id, "bins")
    assert [artifact.epoch for artifact in kept] == [2, 4, 5]
    assert len({artifact.sha256 for artifact in kept}) == 1  # the bins are the data set's: stored once
    strip = Image.open(io.BytesIO(LocalArtifacts(scene.settings.artifacts).get(kept[0].sha256)))
    assert strip.size == (28 * 2, 28)


def test_a_run_is_evaluated_in_the_space_of_its_own_discriminator_at_each_epoch(scene: Scene) -> None:
    run_id = scene.create_run(**IMAGES, **{"evaluation.space": "discriminator"})
    scene.train(scene.claim())
    with reading(scene.engine) as session:
        found = records.evaluations(session, run_id)
        kept = records.artifacts(session, run_id, "bins")
    assert {e.space for e in found} == {"discriminator"}
    assert found[-1].values.keys() >= {"ndb_over_k", "precision", "exact_recall", "memorisation"}
    assert found[1].nulls["fake_distance"].mean != found[2].nulls["fake_distance"].mean  # features move with training
    assert [artifact.epoch for artifact in kept] == [2, 4, 5]


def test_a_resume_in_the_space_of_the_discriminator_gives_the_same_bits(scene: Scene) -> None:
    settings = {**IMAGES, "evaluation.space": "discriminator"}
    whole, broken = scene.create_run(**settings), scene.create_run(**settings)
    scene.train(scene.claim())
    scene.interrupt(scene.claim(), step=14)
    scene.train(scene.claim())
    assert scene.clinic.numbers(whole) == scene.clinic.numbers(broken)


def test_every_measure_can_be_asked_for_in_an_extractors_space(scene: Scene) -> None:
    names = ["ndb", "chi_square", "prdc", "repetition", "vendi", "memorisation", "modes", "frechet", "kernel"]
    chosen = {"evaluation.measures": names, "evaluation.space": "efficientnet-lite0"}
    run_id = scene.create_run(**IMAGES, **chosen, **{"training.epochs": 1})
    scene.train(scene.claim())
    with reading(scene.engine) as session:
        last = records.evaluations(session, run_id)[-1]
    assert last.space == "efficientnet-lite0"
    assert {"frechet", "kernel", "vendi"} <= last.values.keys()
    assert {"frechet", "kernel", "vendi"} <= last.nulls.keys()


def written(cache: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in cache.glob("*.npz")}


def test_runs_on_the_same_data_share_what_was_computed_of_it(scene: Scene) -> None:
    for _ in range(2):
        scene.create_run(**IMAGES)
    scene.train(scene.claim())
    made = written(scene.settings.cache)
    scene.train(scene.claim())
    assert written(scene.settings.cache) == made
    assert {name.partition("-")[0] for name in made} >= {"bins", "draws", "unseen"}


def test_an_extractor_without_weights_fails_the_run_before_it_trains(scene: Scene, monkeypatch) -> None:
    monkeypatch.setattr("torch.hub.download_url_to_file", refuse)
    scene.create_run(**IMAGES, **{"evaluation.space": "inception-v3"})
    with pytest.raises(ExtractorUnavailable, match="inception"):
        scene.train(scene.claim())


def refuse(*_: object, **__: object) -> None:
    raise OSError("no network")
