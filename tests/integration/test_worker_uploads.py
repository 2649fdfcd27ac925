"""The training process on uploaded sets."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from ganlib.datasets.load import DatasetUnavailable
from store import leases, runs, uploads
from store.artifacts import LocalArtifacts
from store.db import make_engine, transaction, upgrade
from store.errors import UploadNotFound
from store.settings import Settings
from tests.support.store import LEASE, request
from tests.support.uploads import create_upload, dataset_of
from tests.support.worker import Clinic
from worker.line import Line
from worker.protocol import Ticket
from worker.training import FINAL_ERRORS, train


@pytest.fixture
def engine(sqlite_url: str) -> Iterator[Engine]:
    engine = make_engine(sqlite_url)
    upgrade(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, device="cpu", threads=1)


def create_run(engine: Engine, settings: Settings, **choice: Any) -> Ticket:
    """A claimed run on an upload of sixty images."""
    with transaction(engine) as session:
        upload = create_upload(session, LocalArtifacts(settings.uploaded))
        wanted = request(
            dataset=dataset_of(upload, **choice),
            generator={"family": "mlp", "width": 8},
            discriminator={"family": "mlp", "width": 8},
            evaluation={"num_samples": 50, "measures": ["ndb", "prdc"]},
        )
        runs.create(session, wanted, wanted.resolve())
    with transaction(engine) as session:
        claimed = leases.claim(session, "worker-1", LEASE)
    assert claimed is not None
    return Ticket(run_id=claimed.run_id, token=claimed.token, attempt=claimed.attempt, device="cpu")


def train_in_silence(ticket: Ticket, engine: Engine, settings: Settings) -> None:
    events = settings.home / "events"
    with Path("/dev/null").open("rb") as commands, events.open("wb") as output:
        train(ticket, Line(commands.fileno(), output.fileno()), engine=engine, settings=settings)


@pytest.mark.parametrize("choice", [{}, {"image_size": 16, "classes": [1, 0], "limit": 55}])
def test_a_run_on_an_upload_is_trained_to_its_end(engine: Engine, settings: Settings, choice: dict[str, Any]) -> None:
    ticket = create_run(engine, settings, **choice)
    train_in_silence(ticket, engine, settings)
    run = Clinic(home=settings.home, engine=engine, database_url="").run(ticket.run_id)
    assert (run.status, run.epochs_done) == ("succeeded", 3)


def test_a_run_whose_upload_was_deleted_fails_for_good(engine: Engine, settings: Settings) -> None:
    ticket = create_run(engine, settings)
    with transaction(engine) as session:
        upload = uploads.list_uploads(session)[0]
        LocalArtifacts(settings.uploaded).delete(upload.samples_sha256)
    with pytest.raises(DatasetUnavailable, match=r"the upload '.*' is not here any more; upload it again") as lost:
        train_in_silence(ticket, engine, settings)
    assert isinstance(lost.value, FINAL_ERRORS)
    with transaction(engine) as session:
        session.delete(session.merge(upload))
    with pytest.raises(UploadNotFound) as gone:
        train_in_silence(ticket, engine, settings)
    assert isinstance(gone.value, FINAL_ERRORS)
