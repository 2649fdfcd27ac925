"""Disputes, labels and diagnoses made again: the client and the command line."""

import json
import os
import pwd
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from ganclinic import Client
from ganclinic.cli import main
from ganclinic.config import ConfigSources
from ganclinic.errors import Conflict, InvalidSpec, UnexpectedAnswer
from tests.support.fake_service import COLLAPSE, DONE, LABEL_ID, URL, FakeService, label_document, problem

Cli = Callable[..., int]
NOT_OVER = "The run 'b' is running and diagnoses each epoch itself; diagnose it again once it is over."


@pytest.fixture
def service() -> FakeService:
    service = FakeService()
    service.add("a", DONE)
    return service


@pytest.fixture
def client(service: FakeService) -> Iterator[Client]:
    with service.client() as client:
        yield client


@pytest.fixture
def cli(service: FakeService, tmp_path: Path) -> Cli:
    around = ConfigSources(environ={"GANCLINIC_URL": URL, "GANCLINIC_TOKEN": "right"}, cwd=tmp_path, user_home=tmp_path)
    return lambda *arguments: main(arguments, around=around, connect=service.client)


def newer() -> httpx.Response:
    return httpx.Response(200, json=replace(COLLAPSE, verdict="healthy", severity="none", ruleset="2").to_json())


def sent(service: FakeService) -> dict[str, object]:
    return json.loads(service.requests[-1].content)


# --- the client -------------------------------------------------------------------------------------------------


def test_a_dispute_is_sent_once_however_often_the_connection_breaks(client: Client, service: FakeService) -> None:
    service.next_answers.append(httpx.ReadError("reset"))
    label = client.dispute("a", "mode collapse", holds=False, author="ada", epoch=3, note="ten digits")
    assert (label.run_id, label.finding, label.holds, label.epoch) == ("a", "mode collapse", False, 3)
    assert sent(service) == {
        "finding": "mode collapse",
        "holds": False,
        "author": "ada",
        "epoch": 3,
        "note": "ten digits",
    }
    first, second = (request.headers["Idempotency-Key"] for request in service.requests)
    assert first == second


def test_a_label_that_the_service_refuses_names_its_field(client: Client, service: FakeService) -> None:
    errors = [{"field": "epoch", "message": "the run has recorded no epoch 40; allowed: 1 to 10, or null"}]
    service.next_answers.append(problem(422, "Invalid", errors=errors))
    with pytest.raises(InvalidSpec, match="epoch: the run has recorded no epoch 40; allowed: 1 to 10"):
        client.dispute("a", "healthy", holds=True, author="ada", epoch=40)


def test_labels_are_those_of_a_run_or_of_all(client: Client, service: FakeService) -> None:
    service.labels = [label_document(run_id=run_id, id=str(n)) for n, run_id in enumerate("aabab")]
    assert [label.id for label in client.labels_of("a")] == ["0", "1", "3"]
    assert [label.id for label in client.labels()] == ["0", "1", "2", "3", "4"]


def test_an_export_is_read_line_by_line(client: Client, service: FakeService) -> None:
    service.labels = [label_document(note="two\nlines \u2028"), label_document(id="older")]
    exported = client.export_labels()
    assert [document["id"] for document in exported] == ["older", LABEL_ID]
    assert (exported[1]["note"], exported[1]["spec"]) == ("two\nlines \u2028", {})
    service.next_answers.append(httpx.Response(200, text="<html>\n"))
    with pytest.raises(UnexpectedAnswer, match="is that a GAN Clinic service"):
        client.export_labels()


def test_a_diagnosis_is_asked_for_by_ruleset(client: Client, service: FakeService) -> None:
    client.diagnosis("a", epoch=3, ruleset="9")
    assert dict(service.requests[-1].url.params) == {"epoch": "3", "ruleset": "9"}
    client.diagnosis_history("a", ruleset="9")
    assert dict(service.requests[-1].url.params) == {"ruleset": "9"}


def test_a_run_can_be_diagnosed_again(client: Client, service: FakeService) -> None:
    service.next_answers.append(newer())
    assert client.rediagnose("a").ruleset == "2"
    assert (service.requests[-1].method, service.requests[-1].url.path) == ("POST", "/v1/runs/a/diagnosis")
    assert service.requests[-1].extensions["timeout"] == {"connect": 5, "read": 600, "write": 600, "pool": 600}
    service.next_answers.append(problem(409, "The run is not over", NOT_OVER))
    with pytest.raises(Conflict, match="once it is over"):
        client.rediagnose("b")


# --- the command line -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("option", "holds"), [("--absent", False), ("--present", True)])
def test_dispute_writes_the_label_s_id(
    cli: Cli, service: FakeService, capsys: pytest.CaptureFixture[str], option: str, holds: bool
) -> None:
    arguments = ("--epoch", "3", "--note", "ten digits", "--author", "ada")
    assert cli("dispute", "a", "--finding", "mode collapse", option, *arguments) == 0
    written = capsys.readouterr()
    assert written.out == f"{LABEL_ID}\n"
    assert "Kept beside the verdict mode collapse of ruleset 1. All: ganclinic labels a" in written.err
    assert sent(service) == {
        "finding": "mode collapse",
        "holds": holds,
        "author": "ada",
        "epoch": 3,
        "note": "ten digits",
    }


def test_the_author_is_whoever_is_logged_in(
    cli: Cli, service: FakeService, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "grace")
    assert cli("dispute", "a", "--finding", "healthy", "--present") == 0
    assert sent(service)["author"] == "grace"
    for name in ("LOGNAME", "USER", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    assert cli("dispute", "a", "--finding", "healthy", "--present") == 0
    assert sent(service)["author"] == pwd.getpwuid(os.getuid()).pw_name

    def nobody() -> str:
        raise KeyError

    monkeypatch.setattr("getpass.getuser", nobody)
    capsys.readouterr()
    assert cli("dispute", "a", "--finding", "healthy", "--present") == 2
    assert "--author NAME" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--finding", "mode collapse"],
        ["--absent"],
        ["--finding", "boredom", "--absent"],
        ["--finding", "healthy", "--absent", "--present"],
        ["--finding", "healthy", "--absent", "--epoch", "0"],
    ],
)
def test_a_dispute_that_says_nothing_exits_2(cli: Cli, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli("dispute", "a", *arguments)
    assert caught.value.code == 2


def test_labels_shows_those_of_a_run_or_the_newest_of_all(
    cli: Cli, service: FakeService, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli("labels") == 0
    assert "ganclinic dispute RUN" in capsys.readouterr().out
    service.labels = [label_document(run_id=run_id, note=f"n{n}") for n, run_id in enumerate("bbbab")]
    assert cli("labels", "a") == 0
    head, line = capsys.readouterr().out.splitlines()
    assert head.split() == ["run", "epoch", "verdict", "said", "to", "be", "author", "made", "note"]
    assert line.split()[:2] == ["a", "all"]
    assert "mode collapse (ruleset 1)  mode collapse: absent  ada" in line
    assert cli("labels", "--limit", "3", "--json") == 0
    written = capsys.readouterr()
    assert [label["note"] for label in json.loads(written.out)] == ["n0", "n1", "n2"]
    assert "ganclinic labels --limit 6" in written.err


def test_labels_exports_a_line_each(cli: Cli, service: FakeService, capsys: pytest.CaptureFixture[str]) -> None:
    service.labels = [label_document(note="two\nlines"), label_document(id="older")]
    assert cli("labels", "--export") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["older", LABEL_ID]
    assert cli("labels", "a", "--export") == 2
    assert "leave RUN out" in capsys.readouterr().err


def test_rediagnose_says_what_is_new_and_what_was_before(
    cli: Cli, service: FakeService, capsys: pytest.CaptureFixture[str]
) -> None:
    service.next_answers.extend([httpx.Response(200, json=COLLAPSE.to_json()), newer()])
    assert cli("rediagnose", "a") == 0
    assert capsys.readouterr().out == "a  healthy (ruleset 2); before: mode collapse, severe (ruleset 1)\n"
    assert cli("rediagnose", "a") == 0
    assert capsys.readouterr().out == "a  mode collapse, severe (ruleset 1), as before\n"


def test_rediagnose_goes_on_past_a_run_that_is_not_over(
    cli: Cli, service: FakeService, capsys: pytest.CaptureFixture[str]
) -> None:
    known = httpx.Response(200, json=COLLAPSE.to_json())
    service.next_answers.extend([known, problem(409, "The run is not over", NOT_OVER)])
    assert cli("rediagnose", "b", "nope", "a", "--json") == 1
    written = capsys.readouterr()
    (document,) = json.loads(written.out)
    assert (document["run"], document["before"]["ruleset"], document["diagnosis"]["epoch"]) == ("a", "1", 10)
    assert "once it is over" in written.err
    assert "There is no run 'nope'" in written.err


def test_a_halted_run_is_named_with_its_verdict_and_exits_1(
    cli: Cli, service: FakeService, capsys: pytest.CaptureFixture[str]
) -> None:
    service.add("h", {**DONE, "status": "halted", "epochs_done": 4, "step": 120}, name="mine")
    assert cli("watch", "h") == 1
    assert capsys.readouterr().out == (
        "mine halted after epoch 4 of 10: mode collapse, severe, first seen in epoch 3   (ganclinic show h)\n"
    )
    assert cli("ls", "--status", "halted") == 0
    assert "halted" in capsys.readouterr().out
