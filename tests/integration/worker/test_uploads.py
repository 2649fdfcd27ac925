"""The training process on uploaded sets."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import Engine

from ganlib.data.edges import edges_of
from ganlib.data.load import DatasetUnavailable
from ganlib.data.resize import cut
from ganlib.plots.image_grids import GAP_PX, IMAGE_ZOOM
from store import uploads
from store.core.db import make_engine, reading, transaction, upgrade
from store.core.errors import UploadNotFound
from store.core.models import Run
from store.core.settings import Settings
from store.files.artifacts import LocalArtifacts
from store.runs import lifecycle, records
from tests.support.api import make_service
from tests.support.store import request
from tests.support.uploads import create_upload, dataset_of
from tests.support.worker import Clinic, claim_next, train_here
from worker.attempt.training import FINAL_ERRORS
from worker.messages import Ticket


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
        lifecycle.create(session, wanted, wanted.resolve())
    return claim_next(engine)


@pytest.mark.parametrize("choice", [{}, {"image_size": 16, "classes": [1, 0], "limit": 55}])
def test_a_run_on_an_upload_is_trained_to_its_end(engine: Engine, settings: Settings, choice: dict[str, Any]) -> None:
    ticket = create_run(engine, settings, **choice)
    train_here(ticket, engine=engine, settings=settings)
    run = Clinic(home=settings.home, engine=engine, database_url="").run(ticket.run_id)
    assert (run.status, run.epochs_done) == ("succeeded", 3)


def drawing(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Grey lines, and the coloured block that they outline, of 20 rows and 16 columns."""
    block = np.zeros((20, 16, 3), np.uint8)
    block[4 + n % 5 : 16, 3 : 8 + n % 7] = (200, 40 + n, 90)
    lines = np.full((20, 16), 255, np.uint8)
    lines[np.abs(np.diff(block[..., 0].astype(int), axis=0, prepend=0)) > 0] = 0
    return lines, block


def drawings(count: int = 110) -> bytes:
    """A zip of pairs, whose partners have the same name."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for n in range(count):
            for name, picture in zip((f"set/A/{n}.bmp", f"set/B/{n}.png"), drawing(n), strict=True):
                content = io.BytesIO()
                Image.fromarray(picture).save(content, format=name[-3:])
                archive.writestr(name, content.getvalue())
    return file.getvalue()


def centre(picture: np.ndarray) -> np.ndarray:
    """[channels, 16, 16] of a drawing."""
    return cut(picture.reshape(1, 20, 16, -1).transpose(0, 3, 1, 2), crop=True)[0]


PAIRED: dict[str, Any] = {
    "generator": {"family": "unet", "width": 4},
    "discriminator": {"family": "patch", "width": 4, "layers": 1},
    "training": {"epochs": 3, "steps_per_epoch": 12, "batch_size": 8},
    "optimizer": {"learning_rate": 2e-3},
    "remedies": {"l1": {}},
    "samples": {"count": 3},
    "evaluation": {"num_samples": 50, "measures": ["paired"]},
}


def test_a_worker_trains_on_uploaded_pairs_and_compares_outputs_with_targets(
    engine: Engine, sqlite_url: str, settings: Settings
) -> None:
    clinic = Clinic(home=settings.home, engine=engine, database_url=sqlite_url)
    service = make_service(engine, settings.home)
    upload = service.client.post("/v1/uploads", data={"pairs": "true"}, files={"file": drawings()}).json()
    chosen = {"upload": upload["id"], "held_out": 50, "crop": True}
    kinds: list[dict[str, Any]] = [{"name": "upload-pairs"}, {"name": "upload-edges", "classes": [1]}]
    specs = [{**PAIRED, "dataset": {**chosen, **kind}} for kind in kinds]
    answers = [service.client.post("/v1/runs", json={"spec": spec}) for spec in specs]
    assert [answer.status_code for answer in answers] == [202, 202], [answer.text for answer in answers]
    with clinic.worker():
        of_folders, of_edges = (clinic.wait_for_end(answer.json()["id"]) for answer in answers)
    inputs = {centre(block).tobytes(): centre(lines) for lines, block in map(drawing, range(110))}
    for shown, target in recorded_pairs(engine, settings, of_folders):
        assert (shown == inputs[target.tobytes()]).all()
    for shown, target in recorded_pairs(engine, settings, of_edges):
        assert target.tobytes() in inputs
        assert (shown == edges_of(target[None])[0]).all()


def recorded_pairs(engine: Engine, settings: Settings, run: Run) -> list[tuple[np.ndarray, np.ndarray]]:
    """Inputs and targets [channels, 16, 16] in the last grid of a run that succeeded and got nearer to its targets."""
    assert (run.status, run.epochs_done, run.error) == ("succeeded", 3, None)
    with reading(engine) as session:
        figures = [found.values for found in records.evaluations(session, run.id)]
        grids = [grid.sha256 for grid in records.artifacts(session, run.id, "samples")]
    assert [set(values) for values in figures] == [{"ssim", "l1"}] * 4  # of the untrained generator, and each epoch
    assert figures[-1]["l1"] < figures[0]["l1"]
    assert len(set(grids)) == 3
    picture = LocalArtifacts(settings.artifacts).get(grids[-1])
    grid = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))
    high = 16 * IMAGE_ZOOM + GAP_PX
    rows = [  # of input, output and target
        grid[GAP_PX + n * high :, GAP_PX:][: high - GAP_PX : IMAGE_ZOOM, ::IMAGE_ZOOM] for n in range(3)
    ]
    triplets = [row.transpose(2, 0, 1) for row in rows]
    return [(np.ascontiguousarray(t[..., :16]), np.ascontiguousarray(t[..., 32:48])) for t in triplets]


def test_a_run_whose_upload_was_deleted_fails_for_good(engine: Engine, settings: Settings) -> None:
    ticket = create_run(engine, settings)
    with transaction(engine) as session:
        upload = uploads.list_uploads(session)[0]
        LocalArtifacts(settings.uploaded).delete(upload.samples_sha256)
    with pytest.raises(DatasetUnavailable, match=r"the upload '.*' is not here any more; upload it again") as lost:
        train_here(ticket, engine=engine, settings=settings)
    assert isinstance(lost.value, FINAL_ERRORS)
    with transaction(engine) as session:
        session.delete(session.merge(upload))
    with pytest.raises(UploadNotFound) as gone:
        train_here(ticket, engine=engine, settings=settings)
    assert isinstance(gone.value, FINAL_ERRORS)
