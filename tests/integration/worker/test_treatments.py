"""Treatments through a worker's own code: real trainings, one after the other, until a remedy helps."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from ganlib.diagnosis.history import History
from ganlib.diagnosis.verdict import Diagnosis
from ganlib.spec.networks import MlpGenerator
from ganlib.spec.run import RunSpec
from ganlib.wire.treatments import TreatmentRequest
from store import treatments
from store.core.db import make_engine, reading, transaction, upgrade
from store.core.models import Run, Treatment
from store.core.settings import Settings
from store.runs.claims import Claim
from store.runs.lineage import family
from tests.support.treatment import found, make_run, treat
from tests.support.worker import LOOK_INTERVAL_S, TINY, Clinic, queue_run, ticket_of, train_here
from worker.attempt.channel import Stopped
from worker.host.gpu_allocator import GpuShare
from worker.host.slot import Slot


class Ward:
    """A worker's slot in this process, whose diagnoses are made up from spec and epoch."""

    def __init__(self, engine: Engine, home: Path) -> None:
        self.engine = engine
        self.settings = Settings(home=home, device="cpu", threads=1)
        self.clinic = Clinic(home=home, engine=engine, database_url="")
        self.judge: Callable[[RunSpec, int], Diagnosis] = lambda _, epoch: found(epoch)
        self.stops: list[int] = []
        """Steps at which attempts are stopped, one after the other."""
        self._spec: RunSpec | None = None

    def diagnose(self, history: History) -> Diagnosis:
        assert self._spec is not None
        return self.judge(self._spec, history.epoch)

    def work(self) -> None:
        """Trains until nothing is queued."""
        Slot("worker-1", self._train, engine=self.engine, settings=self.settings).drain()

    def _train(self, claim: Claim, _is_stopping: Callable[[], bool], _share: GpuShare) -> bool:
        assert isinstance(claim.spec, RunSpec)
        self._spec = claim.spec
        stop_at = self.stops.pop(0) if self.stops else None
        with suppress(Stopped):
            train_here(ticket_of(claim), engine=self.engine, settings=self.settings, at_step=stop_at)
        return False

    def run(self, **settings: Any) -> str:
        """The id of a run of its own, trained to its end."""
        run_id = queue_run(self.engine, TINY, settings)
        self.work()
        return run_id

    def treat(self, run_id: str, **wanted: Any) -> str:
        """The id of a new treatment, whose tries are not trained yet."""
        with transaction(self.engine) as session:
            return treatments.create(session, run_id, TreatmentRequest(**wanted)).id

    def look(self, treatment_id: str) -> tuple[Treatment, list[Run]]:
        with reading(self.engine) as session:
            return treatments.get(session, treatment_id), treatments.tries(session, treatment_id)


@pytest.fixture
def ward(sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ward]:
    engine = make_engine(sqlite_url)
    upgrade(engine)
    ward = Ward(engine, tmp_path)
    monkeypatch.setattr("worker.attempt.recorder.diagnose", ward.diagnose)
    yield ward
    engine.dispose()


# --- from a sick run to a cure ----------------------------------------------------------------------------------


def unless_latent_alone(spec: RunSpec, epoch: int) -> Diagnosis:
    """Collapses until the second remedy changes the latent alone; the first makes the networks wider, too."""
    is_wide = isinstance(spec.generator, MlpGenerator) and spec.generator.width > 8
    return found(epoch) if spec.generator.latent_dim == 16 and not is_wide else found(epoch, "mode collapse")


def test_a_sick_run_is_cured_by_the_second_remedy_without_anybodys_help(ward: Ward) -> None:
    ward.judge = unless_latent_alone
    sick = ward.run(seed=7)
    treatment_id = ward.treat(sick)
    ward.work()
    treatment, tries = ward.look(treatment_id)
    assert (treatment.status, treatment.best_run_id) == ("cured", tries[1].id)
    assert [(run.remedy, run.status, run.verdict, run.epochs_done, run.seed) for run in tries] == [
        ("usual settings", "succeeded", "mode collapse", 5, 8),
        ("latent wider than the data", "succeeded", "healthy", 5, 9),
    ]
    with reading(ward.engine) as session:
        tree = [(m.run.id, m.depth, m.run.parent_id) for m in family(session, tries[1].id)]
    assert tree == [(sick, 0, None), (tries[0].id, 1, sick), (tries[1].id, 1, sick)]
    assert all(len(ward.clinic.epochs(run.id)) == 5 for run in tries)


def test_a_run_that_is_sick_of_two_things_is_cured_by_two_remedies(ward: Ward) -> None:
    def judge(spec: RunSpec, epoch: int) -> Diagnosis:
        if spec.training.discriminator_steps == 1:
            return found(epoch, "mode collapse")
        return found(epoch) if spec.optimizer.learning_rate < 1e-3 else found(epoch, "oscillation")

    ward.judge = judge
    treatment_id = ward.treat(ward.run())
    ward.work()
    treatment, tries = ward.look(treatment_id)
    assert treatment.status == "cured"
    assert [run.remedy for run in tries] == ["usual settings", "a quarter of the rate"]
    assert tries[1].parent_id == tries[0].id


def test_a_try_that_its_own_diagnosis_halts_is_followed_by_the_next(ward: Ward) -> None:
    ward.judge = unless_latent_alone
    sick = ward.run(**{"diagnosis.halt_on": ["mode collapse"], "diagnosis.halt_after_epochs": 2})
    treatment_id = ward.treat(sick)
    ward.work()
    treatment, tries = ward.look(treatment_id)
    assert ward.clinic.run(sick).status == "halted"
    assert treatment.status == "cured"
    assert [run.status for run in tries] == ["halted", "succeeded"]


# --- warm starts ------------------------------------------------------------------------------------------------


def ill_from(first: int) -> Callable[[RunSpec, int], Diagnosis]:
    """Learns its data by heart from that epoch on, unless there is noise on it; the first remedy is that."""

    def judge(spec: RunSpec, epoch: int) -> Diagnosis:
        return found(epoch) if epoch < first or spec.remedies.instance_noise else found(epoch, "memorisation")

    return judge


NOISE: dict[str, Any] = {"remedies.instance_noise.std": 0.1}


def try_once(ward: Ward, sick: str, *stops: int) -> str:
    """The id of the only try of a new treatment, stopped at these steps."""
    ward.stops = list(stops)
    treatment_id = ward.treat(sick, max_tries=1)
    ward.work()
    (made,) = ward.look(treatment_id)[1]
    return made.id


def checkpoint_names(ward: Ward, run_id: str) -> list[str]:
    return sorted(path.name for path in (ward.settings.checkpoints / run_id).iterdir())


def test_a_try_begins_with_the_weights_of_the_last_healthy_epoch(ward: Ward, caplog: pytest.LogCaptureFixture) -> None:
    ward.judge = ill_from(4)
    sick = ward.run(**{"training.epochs": 9})
    assert checkpoint_names(ward, sick) == [f"attempt-1-epoch-{epoch}.safetensors" for epoch in (2, 8, 9)]
    with caplog.at_level(logging.INFO):
        child = try_once(ward, sick)
    assert f"begins with the weights of run {sick} after epoch 2" in caplog.text
    assert [(epoch.epoch, epoch.first_step) for epoch in ward.clinic.epochs(child)] == [
        (n, 4 * n - 4) for n in range(1, 10)
    ]
    (attempt,) = ward.clinic.attempts(child)
    assert (attempt.resumed_from_epoch, attempt.identical) == (None, None)
    cold = ward.run(**{"training.epochs": 9, **NOISE, "seed": 1})
    assert ward.clinic.run(cold).spec_hash == ward.clinic.run(child).spec_hash
    assert ward.clinic.numbers(cold)["steps"] != ward.clinic.numbers(child)["steps"]
    noise = [ward.clinic.numbers(run_id)["evaluations"][0] for run_id in (cold, child)]
    assert noise[0] == noise[1]  # the floor is that of new weights


@pytest.mark.parametrize("stops", [(2,), (6,), (3, 7), (11,), (2, 14, 18)])
def test_a_warm_started_try_that_is_interrupted_gives_the_numbers_of_an_undisturbed_one(
    ward: Ward, stops: tuple[int, ...]
) -> None:
    ward.judge = ill_from(3)
    sick = ward.run()
    undisturbed, disturbed = try_once(ward, sick), try_once(ward, sick, *stops)
    assert ward.clinic.run(undisturbed).warm_start is not None
    assert len(ward.clinic.attempts(disturbed)) == len(stops) + 1
    assert ward.clinic.numbers(disturbed) == ward.clinic.numbers(undisturbed)
    last = ward.clinic.attempts(disturbed)[-1]
    checkpoint = (stops[-1] - 1) // 8 * 2  # epochs of 4 steps, a checkpoint every 2 epochs
    assert (last.resumed_from_epoch, last.identical) == ((checkpoint, True) if checkpoint else (None, None))


def test_a_try_whose_checkpoint_is_gone_begins_cold_and_its_log_says_so(
    ward: Ward, caplog: pytest.LogCaptureFixture
) -> None:
    ward.judge = ill_from(3)
    sick = ward.run()
    (ward.settings.checkpoints / sick / "attempt-1-epoch-2.safetensors").unlink()
    child = try_once(ward, sick)
    assert f"begins with new weights instead of those of run {sick}" in caplog.text
    cold = ward.run(**NOISE, seed=1)
    assert ward.clinic.numbers(cold)["steps"] == ward.clinic.numbers(child)["steps"]


def test_a_run_that_converges_slowly_goes_on_from_its_last_epoch(ward: Ward) -> None:
    ward.judge = lambda spec, epoch: found(epoch) if spec.seed else found(epoch, "slow convergence", severity="mild")
    slow = ward.run()
    treatment_id = ward.treat(slow, finding="slow convergence")
    ward.work()
    treatment, (child,) = ward.look(treatment_id)
    assert treatment.status == "cured"
    assert (child.remedy, child.epochs_done) == ("longer training", 5)
    assert child.warm_start is not None
    assert child.warm_start["checkpoint"] == "attempt-1-epoch-5.safetensors"


# --- real processes ---------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_workers_make_and_find_the_tries_by_themselves(sqlite_url: str, tmp_path: Path) -> None:
    engine = make_engine(sqlite_url)
    upgrade(engine)
    clinic = Clinic(home=tmp_path, engine=engine, database_url=sqlite_url)
    with transaction(engine) as session:
        sick = make_run(session, "mode collapse")
        treatment_id = treat(session, sick, max_tries=2).id
    with clinic.worker():
        while True:
            with reading(engine) as session:
                treatment = treatments.get(session, treatment_id)
                tries = treatments.tries(session, treatment_id)
            if treatment.status != "running":
                break
            time.sleep(LOOK_INTERVAL_S)
    # 12 updates are too few for a verdict, so that no remedy can be known to have helped.
    assert (treatment.status, treatment.reason) == ("exhausted", "no try is left of 2")
    assert [(run.status, run.verdict) for run in tries] == [("succeeded", "undetermined")] * 2
    assert treatment.best_run_id in {run.id for run in tries}
    engine.dispose()
