"""The training process's work on a comparison, in this process."""

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import Engine

from ganlib.evaluation.reference import InvalidComparison
from ganlib.records import EpochEvaluation
from store import comparisons
from store.core.db import reading, transaction
from store.core.errors import ArtifactNotFound, LeaseLost
from store.core.models import Attempt, Run
from store.core.settings import Settings
from store.files.artifacts import LocalArtifacts
from store.runs import claims, endings, lifecycle, records
from tests.support.comparison import create_comparison
from tests.support.store import LEASE, expire_lease
from worker.attempt.channel import Channel, Stopped
from worker.attempt.comparison import compare_samples
from worker.attempt.context import AttemptContext
from worker.attempt.training import FINAL_ERRORS, WORK
from worker.messages import Event, Ticket


class InterruptedLine(Channel):
    """Does something when it is told that the work begins."""

    def __init__(self, commands: int, events: int, interrupt: Callable[[], None]) -> None:
        super().__init__(commands, events)
        self._interrupt = interrupt

    def tell(self, event: Event) -> None:
        super().tell(event)
        if getattr(event, "on", "") == "comparing":
            self._interrupt()


class Scene:
    """Comparisons and attempts of them."""

    def __init__(self, engine: Engine, home: Path) -> None:
        self.engine = engine
        self.settings = Settings(home=home, device="cpu", threads=1)
        self.artifacts = LocalArtifacts(self.settings.artifacts)

    def create(self, reals: np.ndarray, fakes: np.ndarray, **options: Any) -> Ticket:
        """A claimed comparison."""
        spec: dict[str, Any] = {
            "reals": self.store(reals),
            "fakes": self.store(fakes),
            "n_real": len(reals),
            "n_fake": len(fakes),
            "shape": reals.shape[1:],
            "comparison": options,
        }
        with transaction(self.engine) as session:
            create_comparison(session, **spec)
        return self.claim()

    def store(self, array: np.ndarray) -> str:
        file = io.BytesIO()
        np.save(file, array)
        return self.artifacts.put(file.getvalue(), "application/octet-stream").sha256

    def claim(self) -> Ticket:
        with transaction(self.engine) as session:
            claimed = claims.claim(session, "worker-1", LEASE)
        assert claimed is not None
        return Ticket(run_id=claimed.run_id, token=claimed.token, attempt=claimed.attempt, device="cpu")

    def compare(self, ticket: Ticket, interrupt: Callable[[], None] = lambda: None) -> list[str]:
        """What the worker was told."""
        events = self.settings.home / "events"
        with Path(os.devnull).open("rb") as commands, events.open("wb") as output:
            channel = InterruptedLine(commands.fileno(), output.fileno(), interrupt)
            compare_samples(AttemptContext(ticket=ticket, channel=channel, engine=self.engine, settings=self.settings))
        return [json.loads(event)["on"] for event in events.read_text().splitlines()]

    def read(self, ticket: Ticket) -> tuple[Run, EpochEvaluation | None, list[Attempt]]:
        with reading(self.engine) as session:
            run = comparisons.get(session, ticket.run_id)
            return run, comparisons.result(session, run.id), lifecycle.attempts(session, run.id)

    def lose_lease(self, ticket: Ticket) -> None:
        with transaction(self.engine) as session:
            expire_lease(session, ticket.run_id)
            assert endings.requeue_expired(session, 3) == [ticket.run_id]


@pytest.fixture
def scene(sqlite_engine: Engine, tmp_path: Path) -> Scene:
    return Scene(sqlite_engine, tmp_path)


def images(seed: int, count: int = 120) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 1, 6, 6), np.uint8)


def points(seed: int, count: int = 120) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, 3)).astype(np.float32)


@pytest.mark.parametrize("make", [images, points])
def test_a_comparison_records_what_it_found_and_its_success(scene: Scene, make: Callable[[int], np.ndarray]) -> None:
    ticket = scene.create(make(0), make(1))
    assert scene.compare(ticket) == ["loading samples", "comparing"]
    run, found, (attempt,) = scene.read(ticket)
    assert (run.status, run.epochs_done, attempt.outcome) == ("succeeded", 1, "succeeded")
    assert (attempt.device, attempt.threads) == ("cpu", 1)
    assert found is not None
    assert (found.epoch, found.space, found.n_fake) == (1, "pixels", 120)
    assert {"ndb_over_k", "precision", "coverage"} <= set(found.values)
    assert len(found.bins) == found.num_bins > 1


def test_a_comparison_of_images_keeps_what_its_bins_hold(scene: Scene) -> None:
    ticket = scene.create(images(0), images(1))
    scene.compare(ticket)
    with reading(scene.engine) as session:
        (kept,) = records.artifacts(session, ticket.run_id, "bins")
    assert Image.open(io.BytesIO(scene.artifacts.get(kept.sha256))).size == (6 * 4, 6)  # K = 4 of 120 samples


def test_the_same_comparison_finds_the_same(scene: Scene) -> None:
    documents: list[Any] = []
    for home in ("one", "two"):
        scene.settings = scene.settings.model_copy(update={"home": scene.settings.home / home})
        scene.artifacts = LocalArtifacts(scene.settings.artifacts)
        scene.settings.home.mkdir()
        ticket = scene.create(points(0), points(1))
        scene.compare(ticket)
        found = scene.read(ticket)[1]
        assert found is not None
        documents.append(found.to_json())
    assert documents[0] == documents[1]


def test_fakes_that_repeat_one_point_are_told_from_real_ones(scene: Scene) -> None:
    ticket = scene.create(points(0, 400), points(1, 200) * np.float32(0.001), num_bins=4)
    scene.compare(ticket)
    found = scene.read(ticket)[1]
    assert found is not None
    assert found.values["coverage"] < 0.2 < found.nulls["coverage"].mean


def test_an_attempt_that_lost_its_lease_records_nothing(scene: Scene) -> None:
    ticket = scene.create(points(0), points(1))
    with pytest.raises(LeaseLost):
        scene.compare(ticket, lambda: scene.lose_lease(ticket))
    run, found, _ = scene.read(ticket)
    assert (run.status, found) == ("queued", None)
    scene.compare(scene.claim())
    run, found, attempts = scene.read(ticket)
    assert (run.status, [attempt.outcome for attempt in attempts]) == ("succeeded", ["lost", "succeeded"])
    with pytest.raises(LeaseLost):
        scene.compare(ticket)


def test_an_attempt_that_is_stopped_records_nothing(scene: Scene) -> None:
    def stop() -> None:
        raise Stopped("stop")

    ticket = scene.create(points(0), points(1))
    with pytest.raises(Stopped):
        scene.compare(ticket, stop)
    assert scene.read(ticket)[1] is None


def test_without_its_samples_a_comparison_fails_for_good(scene: Scene) -> None:
    ticket = scene.create(points(0), points(1))
    for path in scene.settings.artifacts.glob("*/*"):
        path.unlink()
    with pytest.raises(ArtifactNotFound):
        scene.compare(ticket)
    assert {ArtifactNotFound, InvalidComparison} <= set(FINAL_ERRORS)


def test_the_process_knows_the_work_of_every_kind() -> None:
    assert set(WORK) == set(claims.SPECS)
