"""Uploading sets to train on: client and command line, against a service in memory."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from ganclinic.cli import main
from ganclinic.config import ConfigSources
from ganclinic.errors import Conflict, InvalidInput, InvalidSpec, NotFound
from ganclinic.request import request_from
from ganlib.spec.data import UploadPairsDataset
from tests.support.fake_service import UPLOAD_ID, URL, FakeService, problem, upload_document


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.fixture
def file(tmp_path: Path) -> str:
    (tmp_path / "pets.zip").write_bytes(b"sixty pictures")
    return str(tmp_path / "pets.zip")


@pytest.fixture
def cli(service: FakeService, tmp_path: Path) -> Callable[..., int]:
    def run(*arguments: str) -> int:
        variables = {"GANCLINIC_URL": URL, "GANCLINIC_TOKEN": "right"}
        around = ConfigSources(environ=variables, cwd=tmp_path, user_home=tmp_path)
        return main(arguments, around=around, connect=service.client)

    return run


def test_the_file_is_sent_with_its_name_and_size(service: FakeService, file: str) -> None:
    made = service.client().upload(file, image_size=32)
    (request,) = service.requests
    for part in (b'name="file"; filename="pets.zip"', b"sixty pictures", b'name="image_size"\r\n\r\n32\r\n'):
        assert part in request.content
    assert b'name="name"\r\n\r\npets.zip\r\n' in request.content
    assert (made.id, made.count, made.shape, made.class_names) == (UPLOAD_ID, 60, (3, 32, 32), ("cats", "dogs"))


def test_a_name_of_ones_own_is_sent_and_no_size(service: FakeService, file: str) -> None:
    service.client().upload(file, name="my pets")
    assert b'name="name"\r\n\r\nmy pets\r\n' in service.requests[0].content
    assert b"image_size" not in service.requests[0].content


def test_what_colours_become_is_sent(service: FakeService, file: str, cli: Callable[..., int]) -> None:
    assert cli("upload", file, "--convert", "grey") == 0
    assert b'name="convert"\r\n\r\ngrey\r\n' in service.requests[0].content


def test_pairs_are_sent_as_such(service: FakeService, file: str) -> None:
    service.client().upload(file, pairs=True)
    service.client().upload(file)
    assert b'name="pairs"\r\n\r\ntrue\r\n' in service.requests[0].content
    assert b"pairs" not in service.requests[1].content


def test_an_upload_that_broke_is_sent_again_as_a_whole(service: FakeService, file: str) -> None:
    service.next_answers.extend([httpx.WriteError("reset"), httpx.Response(503)])
    service.client().upload(file)
    assert len(service.requests) == 3
    assert all(b"sixty pictures" in request.content for request in service.requests)


def test_uploads_are_listed_looked_at_and_deleted(service: FakeService, file: str) -> None:
    client = service.client()
    made = client.upload(file)
    assert client.uploads() == [made]
    assert client.get_upload(made.id) == made
    client.delete_upload(made.id)
    assert client.uploads() == []
    for action in (client.get_upload, client.delete_upload):
        with pytest.raises(NotFound):
            action(made.id)


def test_what_is_refused_is_named(service: FakeService, file: str, tmp_path: Path) -> None:
    errors = [{"field": "file", "message": "'b.png' is 3 x 4 pixels"}]
    service.next_answers.append(problem(422, "The request is not valid", errors=errors))
    with pytest.raises(InvalidSpec, match=r"file: 'b\.png' is 3 x 4 pixels"):
        service.client().upload(file)
    service.next_answers.append(problem(409, "A run trains on the upload", "The run 'aa' trains on it."))
    with pytest.raises(Conflict, match="The run 'aa' trains on it"):
        service.client().delete_upload(UPLOAD_ID)
    with pytest.raises(InvalidInput, match="cannot be read"):
        service.client().upload(tmp_path / "none.zip")


def test_upload_writes_only_the_id_to_stdout_and_how_to_train(
    cli: Callable[..., int], file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli("upload", file, "--image-size", "32") == 0
    written = capsys.readouterr()
    assert written.out == f"{UPLOAD_ID}\n"
    assert "60 images of the shape [3, 32, 32] in 2 classes" in written.err.replace("\n", " ")
    assert f'--set \'dataset={{"name": "upload", "upload": "{UPLOAD_ID}"}}\'' in written.err.replace("\n", " ")


def test_pairs_are_trained_on_as_such(
    cli: Callable[..., int], service: FakeService, file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    service.next_answers.append(httpx.Response(201, json=upload_document(**pairs_of(2000))))
    assert cli("upload", file, "--pairs") == 0
    assert b'name="pairs"\r\n\r\ntrue\r\n' in service.requests[0].content
    written = capsys.readouterr().err.replace("\n", " ")
    assert "2000 pairs of the shape [3, 32, 32] in the folders A and it's B" in written
    command = shlex.split(written.partition("Train on them: ")[2])
    dataset = {"name": "upload-pairs", "upload": UPLOAD_ID, "input": "A", "target": "it's B"}
    assert command == ["ganclinic", "run", "pix2pix-edges", "--set", f"dataset={json.dumps(dataset)}"]


def pairs_of(count: int) -> dict[str, Any]:
    """What an upload of so many pairs has of its own."""
    names = ["A", "it's B"]
    return {"kind": "pairs", "count": 2 * count, "class_names": names, "class_counts": [count, count]}


@pytest.mark.parametrize(("count", "held_out"), [(100, 50), (200, 50), (1050, 210), (1999, 399), (2000, 1000)])
@pytest.mark.parametrize("shape", [[3, 32, 32], [1, 32, 48]])
def test_the_printed_command_trains_on_the_pairs(
    cli: Callable[..., int],
    service: FakeService,
    file: str,
    capsys: pytest.CaptureFixture[str],
    count: int,
    held_out: int,
    shape: list[int],
) -> None:
    facts = pairs_of(count)
    service.next_answers.append(httpx.Response(201, json=upload_document(**facts, shape=shape)))
    assert cli("upload", file, "--pairs") == 0
    _, _, source, *settings = shlex.split(capsys.readouterr().err.partition("Train on them: ")[2])
    known = {"shape": shape, "class_counts": facts["class_counts"], "folders": facts["class_names"]}

    def complete(document: dict[str, Any]) -> dict[str, Any]:
        return {**document, "dataset": document["dataset"] | known}

    spec = request_from(source, [setting for setting in settings if setting != "--set"]).resolve(complete)
    assert isinstance(spec.dataset, UploadPairsDataset)
    assert (spec.dataset.held_out, spec.evaluation.num_samples) == (held_out, held_out)
    assert spec.dataset.size == count - held_out


def test_too_few_pairs_are_said_to_be_too_few(
    cli: Callable[..., int], service: FakeService, file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    service.next_answers.append(httpx.Response(201, json=upload_document(**pairs_of(99))))
    assert cli("upload", file, "--pairs") == 0
    assert "at least 50 pairs are held out, and as many have to be left" in capsys.readouterr().err


def test_uploads_lists_and_deletes(
    cli: Callable[..., int], service: FakeService, file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli("uploads") == 0
    assert "ganclinic upload PATH" in capsys.readouterr().out
    cli("upload", file)
    capsys.readouterr()
    assert cli("uploads") == 0
    heads, row = capsys.readouterr().out.splitlines()
    assert heads.split() == ["upload", "samples", "shape", "classes", "name"]
    assert row.split() == [UPLOAD_ID, "60", "3", "x", "32", "x", "32", "2", "pets.zip"]
    assert cli("uploads", "--json") == 0
    documents: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    assert [document["id"] for document in documents] == [UPLOAD_ID]
    assert cli("uploads", "--delete", UPLOAD_ID) == 0
    assert f"Deleted {UPLOAD_ID}" in capsys.readouterr().err
    service.next_answers.append(problem(404, "No such upload", f"There is no upload '{UPLOAD_ID}'"))
    assert cli("uploads", "--delete", UPLOAD_ID) == 2
    error = capsys.readouterr().err
    assert f"There is no upload '{UPLOAD_ID}'. `ganclinic uploads` lists them." in error.replace("\n", " ")
    assert "ganclinic ls" not in error


def test_a_size_that_is_no_number_is_refused(cli: Callable[..., int], file: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli("upload", file, "--image-size", "big")
