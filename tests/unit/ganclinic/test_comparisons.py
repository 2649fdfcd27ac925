"""Comparing two sets of samples: client and command line, against a service in memory."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from ganclinic.cli import main
from ganclinic.config import ConfigSources
from ganclinic.errors import InvalidInput, InvalidSpec, TooLarge, WaitTimeout
from tests.support.fake_service import (
    COMPARED,
    COMPARISON_ID,
    EVALUATION,
    PNG,
    URL,
    FakeService,
    comparison_document,
    problem,
)


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    """Paths of a real and a fake set."""
    for name in ("real", "fake"):
        (tmp_path / f"{name}.npy").write_bytes(f"{name} samples".encode())
    return str(tmp_path / "real.npy"), str(tmp_path / "fake.npy")


@pytest.fixture
def cli(service: FakeService, tmp_path: Path) -> Callable[..., int]:
    def run(*arguments: str) -> int:
        variables = {"GANCLINIC_URL": URL, "GANCLINIC_TOKEN": "right"}
        around = ConfigSources(environ=variables, cwd=tmp_path, user_home=tmp_path)
        return main(arguments, around=around, connect=service.client)

    return run


def test_a_comparison_is_deleted_by_client_and_command(
    service: FakeService, cli: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    for delete in (lambda: service.client().delete_comparison(COMPARISON_ID), lambda: cli("rm", COMPARISON_ID)):
        service.comparison.append(COMPARED)
        delete()
        assert not service.comparison
    assert capsys.readouterr().out == f"{COMPARISON_ID} deleted\n"
    assert cli("rm", COMPARISON_ID) == 2


def test_comparisons_are_listed(
    service: FakeService, cli: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli("comparisons") == 0
    assert "Make one: ganclinic compare" in capsys.readouterr().out
    service.comparison.extend([COMPARED, COMPARED])
    assert cli("comparisons", "--limit", "1") == 0
    written = capsys.readouterr()
    head, row = written.out.splitlines()
    assert head.split() == ["comparison", "status", "reals", "fakes", "shape", "space"]
    assert row.split()[:3] == [COMPARISON_ID, "succeeded", "60"]
    assert "--limit 2" in written.err


# --- the client -------------------------------------------------------------------------------------------------


def test_both_files_and_the_options_are_sent(service: FakeService, files: tuple[str, str]) -> None:
    made = service.client().compare(*files, space="efficientnet-lite0", seed=3)
    (request,) = service.requests
    assert request.headers["Content-Type"].startswith("multipart/form-data; boundary=")
    for part in (b'name="real"; filename="real.npy"', b"real samples", b'name="fake"', b"fake samples"):
        assert part in request.content
    assert b'{"space": "efficientnet-lite0", "seed": 3}' in request.content
    assert (made.id, made.status, made.n_real, made.shape) == (COMPARISON_ID, "queued", 60, (1, 28, 28))


def test_an_upload_that_broke_is_sent_again_as_a_whole_with_the_same_key(
    service: FakeService, files: tuple[str, str]
) -> None:
    service.next_answers.extend([httpx.WriteError("reset"), httpx.Response(503)])
    service.client().compare(*files)
    assert len({request.headers["Idempotency-Key"] for request in service.requests}) == 1
    assert len({len(request.content) for request in service.requests}) == 1
    assert len(service.requests) == 3
    assert all(b"real samples" in request.content for request in service.requests)


def test_a_comparison_is_waited_for_and_gives_its_figures(service: FakeService, files: tuple[str, str]) -> None:
    client = service.client()
    over = client.wait_for_comparison(client.compare(*files).id)
    assert over.status == "succeeded"
    assert over.evaluation == EVALUATION
    assert over.to_json()["evaluation"] == EVALUATION.to_json()


def test_waiting_ends_in_time(service: FakeService) -> None:
    service.comparison.append(comparison_document())
    with pytest.raises(WaitTimeout):
        service.client().wait_for_comparison(COMPARISON_ID, timeout_s=2)


def test_comparisons_are_listed_and_drawn_and_cancelled(service: FakeService) -> None:
    service.comparison.append(COMPARED)
    client = service.client()
    assert [item.id for item in client.list_comparisons(status="succeeded")] == [COMPARISON_ID]
    assert service.requests[0].url.params["status"] == "succeeded"
    assert client.comparison_figure(COMPARISON_ID) == PNG
    assert client.cancel_comparison(COMPARISON_ID).status == "cancelled"


def test_a_file_that_cannot_be_read_is_named_before_anything_is_sent(
    service: FakeService, files: tuple[str, str], tmp_path: Path
) -> None:
    missing = tmp_path / "none.npy"
    with pytest.raises(InvalidInput, match=f"{missing} cannot be read"):
        service.client().compare(files[0], missing)
    assert service.requests == []


def test_a_folder_is_told_how_to_be_packed(service: FakeService, files: tuple[str, str], tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"is a folder; pack what is in it: zip -r samples\.zip"):
        service.client().compare(files[0], tmp_path)
    assert service.requests == []


def test_what_the_service_refuses_names_its_fields(service: FakeService, files: tuple[str, str]) -> None:
    errors = [{"field": "options.num_bins", "message": "9 bins need at least 225 fakes"}]
    service.next_answers.append(problem(422, "The request is not valid", errors=errors))
    with pytest.raises(InvalidSpec, match=r"options\.num_bins: 9 bins need at least 225 fakes"):
        service.client().compare(*files, num_bins=9)
    service.next_answers.append(problem(413, "Too large", "The body may have 5 bytes."))
    with pytest.raises(TooLarge, match="may have 5 bytes"):
        service.client().compare(*files)


# --- the command line -------------------------------------------------------------------------------------------


def test_compare_writes_only_the_id_to_stdout(
    cli: Callable[..., int], files: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli("compare", *files) == 0
    written = capsys.readouterr()
    assert written.out == f"{COMPARISON_ID}\n"
    assert f"ganclinic show {COMPARISON_ID}" in written.err


def test_compare_and_wait_writes_every_figure_beside_its_null(
    cli: Callable[..., int], files: tuple[str, str], service: FakeService, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli("compare", *files, "--set", "neighbours=3", "--set", 'measures=["ndb"]', "--wait") == 0
    lines = capsys.readouterr().out.splitlines()
    heads, row = lines[-2:]
    assert heads.split() == ["figure", "value", "null", "excess"]
    assert row.split() == ["ndb_over_k", ".98", ".08", "(0", "to", ".1)", ".9"]
    assert "samples     70 fakes, 60 reals of the shape [1, 28, 28]" in lines
    assert b'{"neighbours": 3, "measures": ["ndb"]}' in service.requests[0].content


def test_compare_with_json_writes_the_comparison(
    cli: Callable[..., int], files: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli("compare", *files, "--wait", "--json") == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert document["evaluation"]["values"] == {"ndb_over_k": 0.98}


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_a_comparison_that_came_to_nothing_exits_1(
    cli: Callable[..., int], service: FakeService, status: str, capsys: pytest.CaptureFixture[str]
) -> None:
    service.comparison.append(comparison_document(status=status, error="the samples are gone"))
    assert cli("show", COMPARISON_ID) == 1
    assert "the samples are gone" in capsys.readouterr().out


def test_show_and_cancel_take_a_comparison_too(
    cli: Callable[..., int], service: FakeService, capsys: pytest.CaptureFixture[str]
) -> None:
    service.comparison.append(COMPARED)
    assert cli("show", COMPARISON_ID) == 0
    assert "ndb_over_k" in capsys.readouterr().out
    assert cli("cancel", COMPARISON_ID) == 0
    assert capsys.readouterr().out == f"{COMPARISON_ID} cancelled\n"


def test_an_id_of_nothing_is_no_run(cli: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    for verb in ("show", "cancel"):
        assert cli(verb, "00000000000000dd") == 2
        assert "There is no run" in capsys.readouterr().err


def test_what_is_wrong_exits_2_and_is_named(
    cli: Callable[..., int], service: FakeService, files: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    service.next_answers.append(
        problem(422, "The request is not valid", errors=[{"field": "fake", "message": "holds 3 samples"}])
    )
    assert cli("compare", *files) == 2
    assert "fake: holds 3 samples" in capsys.readouterr().err
    assert cli("compare", files[0], "nowhere.npy") == 2
    assert "nowhere.npy cannot be read: No such file or directory" in capsys.readouterr().err
    for option in ("real=1", "self=1", "idempotency_key=1"):
        assert cli("compare", *files, "--set", option) in {0, 2}
