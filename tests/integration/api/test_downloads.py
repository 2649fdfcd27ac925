"""What a run has recorded, as files."""

import csv
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from api.runs import downloads
from ganclinic.client import Client
from ganclinic.errors import InvalidInput, NotFound
from ganlib.records import STEP_COLUMNS
from store.core.db import reading, transaction
from store.files.backends import open_artifacts
from store.runs import records
from store.runs.series import read_steps
from tests.support.api import PICTURE, TOKEN, Service, record
from tests.support.serving import served
from tests.support.store import create_run, step_block


def test_losses_of_every_step_are_as_they_were_recorded(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "STEPS_AT_ONCE", 7)  # no epoch ends there
    rng = np.random.default_rng(0)

    def steps(epoch: int) -> np.ndarray:
        block = rng.normal(size=step_block(epoch).shape).astype(np.float32)
        block[0, 0], block[1, 0] = np.nan, -np.inf
        return block

    run = record(service, 3, steps=steps)
    answer = service.client.get(f"{run.path}/losses.csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == f'attachment; filename="{run.id}-losses.csv"'
    header, *rows = csv.reader(io.StringIO(answer.text))
    with reading(service.engine) as session:
        stored = read_steps(session, run.id)
    assert header == ["step", "epoch", *STEP_COLUMNS]
    assert [int(row[0]) for row in rows] == list(range(1, len(stored) + 1))
    per_epoch = len(stored) // 3
    assert [int(row[1]) for row in rows] == [1 + number // per_epoch for number in range(len(stored))]
    np.testing.assert_array_equal(np.array([row[2:] for row in rows], np.float32), stored)
    assert [rows[0][2], rows[1][2]] == ["nan", "-inf"]


@pytest.mark.parametrize("at_once", [1, 2])
def test_the_last_steps_are_there_wherever_a_part_ends(
    sqlite_service: Service, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    run = record(sqlite_service, 2)
    with reading(sqlite_service.engine) as session:
        count = len(read_steps(session, run.id))
    monkeypatch.setattr(downloads, "STEPS_AT_ONCE", count // at_once)
    lines = sqlite_service.client.get(f"{run.path}/losses.csv").text.splitlines()
    assert len(lines) == count + 1


def test_all_samples_are_one_archive_which_is_the_same_each_time(service: Service) -> None:
    run = record(service, 3)
    answer = service.client.get(f"{run.path}/samples.zip")
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["epoch-00001.png", "epoch-00002.png", "epoch-00003.png"]
        assert archive.read("epoch-00002.png") == PICTURE % 2
    assert service.client.get(f"{run.path}/samples.zip").content == answer.content


def test_a_picture_that_is_deleted_meanwhile_is_left_out(sqlite_service: Service) -> None:
    run = record(sqlite_service, 2)
    with reading(sqlite_service.engine) as session:
        first = records.artifacts(session, run.id, "samples")[0]
    open_artifacts(sqlite_service.settings).delete(first.sha256)
    content = sqlite_service.client.get(f"{run.path}/samples.zip").content
    assert zipfile.ZipFile(io.BytesIO(content)).namelist() == ["epoch-00002.png"]


@pytest.mark.parametrize("file", ["losses.csv", "samples.zip"])
def test_a_run_that_has_recorded_nothing_has_no_files(service: Service, file: str) -> None:
    with transaction(service.engine) as session:
        run_id = create_run(session).id
    assert service.client.get(f"/v1/runs/{run_id}/{file}").json()["type"] == "urn:ganclinic:problem:not-recorded"
    assert service.client.get(f"/v1/runs/{'f' * 16}/{file}").status_code == 404


def test_the_client_writes_a_file_once_it_is_whole(sqlite_service: Service, tmp_path: Path) -> None:
    run = record(sqlite_service, 2)
    folder = tmp_path / "files"
    folder.mkdir()
    with served(sqlite_service) as url, Client(url, TOKEN) as client:
        client.download(run.id, "losses", folder / "losses.csv")
        client.download(run.id, "samples", folder / "samples.zip")
        with pytest.raises(NotFound):
            client.download("f" * 16, "losses", folder / "none.csv")
        with pytest.raises(InvalidInput, match="cannot be written"):
            client.download(run.id, "losses", folder / "no" / "losses.csv")
    assert sorted(path.name for path in folder.iterdir()) == ["losses.csv", "samples.zip"]
    assert zipfile.is_zipfile(folder / "samples.zip")
