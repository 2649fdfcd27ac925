"""pause, resume, why, workers, drain and token: the client and the command line."""

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from ganclinic.cli import main
from ganclinic.config import ConfigSources
from ganclinic.errors import NotAllowed, QuotaExceeded
from ganlib.spec.request import RunRequest
from store.scheduling.accounts import hash_token, read_accounts
from tests.support.fake_service import URL, FakeService, problem, run_document

Cli = Callable[..., int]
WAITING = {
    "run_id": "a",
    "status": "queued",
    "ahead": 2,
    "reasons": [{"kind": "share", "text": "2 queued by users or teams that have used less are claimed before it"}],
    "starts_in_s": {"low": 600, "median": 720, "high": 900},
    "takes_s": None,
    "compared_with": 0,
    "limits": [
        {
            "scope": "user",
            "name": "ada",
            "limit": "storage_bytes",
            "used": 3e9,
            "allowed": 5e9,
            "text": "the user 'ada' stores 3.00 GB of 5.00 GB allowed",
        }
    ],
    "a_field_of_a_newer_service": 1,
}


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.fixture
def cli(service: FakeService, tmp_path: Path) -> Cli:
    around = ConfigSources(environ={"GANCLINIC_URL": URL, "GANCLINIC_TOKEN": "right"}, cwd=tmp_path, user_home=tmp_path)
    return lambda *arguments: main(arguments, around=around, connect=service.client)


def answer(service: FakeService, *documents: Any) -> None:
    service.next_answers.extend(httpx.Response(200, json=document) for document in documents)


def asked(service: FakeService) -> list[tuple[str, str]]:
    return [(request.method, request.url.path) for request in service.requests]


def test_pause_says_what_becomes_of_each_run(
    cli: Cli, service: FakeService, capsys: pytest.CaptureFixture[str]
) -> None:
    answer(service, run_document("a", status="paused"), run_document("b", status="running", pause_requested=True))
    assert cli("pause", "a", "b") == 0
    assert capsys.readouterr().out == "a paused\nb will pause after its epoch\n"
    assert asked(service) == [("POST", "/v1/runs/a/pause"), ("POST", "/v1/runs/b/pause")]


def test_resume_puts_a_run_back(cli: Cli, service: FakeService, capsys: pytest.CaptureFixture[str]) -> None:
    answer(service, run_document("a"))
    assert cli("resume", "a") == 0
    assert capsys.readouterr().out == "a queued\n"
    assert asked(service) == [("POST", "/v1/runs/a/resume")]


def test_extend_says_how_far_the_run_goes_now(
    cli: Cli, service: FakeService, capsys: pytest.CaptureFixture[str]
) -> None:
    answer(service, run_document("a", epochs_done=10, epochs_total=30))
    assert cli("extend", "a", "--epochs", "20") == 0
    assert capsys.readouterr().out == "a queued: 10 of 30 epochs\n"
    assert asked(service) == [("POST", "/v1/runs/a/extend")]
    assert json.loads(service.requests[-1].content) == {"epochs": 20}


def test_why_says_it_in_words(cli: Cli, service: FakeService, capsys: pytest.CaptureFixture[str]) -> None:
    answer(service, WAITING)
    assert cli("why", "a") == 0
    assert [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()] == [
        ["run", "a"],
        ["status", "queued"],
        ["ahead", "2 runs would be claimed before it"],
        ["because", "2 queued by users or teams that have used less are claimed before it"],
        ["begins", "in  12 min (10 min to 15 min)"],
        ["takes", "unknown"],
        ["limit", "the user 'ada' stores 3.00 GB of 5.00 GB allowed"],
    ]
    answer(service, WAITING)
    assert cli("why", "a", "--json") == 0
    assert json.loads(capsys.readouterr().out)["starts_in_s"]["median"] == 720


def test_workers_are_shown(cli: Cli, service: FakeService, capsys: pytest.CaptureFixture[str]) -> None:
    seen = {"started_at": "2026-11-24T12:00:00Z", "seen_at": "2026-11-24T12:00:00Z"}
    items = [
        {"name": "one", **seen, "is_alive": True, "run_id": "a"},
        {"name": "two", **seen, "is_alive": False, "is_drained": True, "bf16_speedup": 3.712},
        {"name": "six", **seen, "is_alive": True, "obstacle": "GPU 0 is in use", "labels": ["fast", "h100"]},
    ]
    answer(service, {"items": items})
    assert cli("workers") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("one  trains a; heard of")
    assert lines[1].startswith(
        "two  gone; drained: claims nothing more; multiplies 3.7 times as fast in bf16 as in float32; heard of"
    )
    assert lines[2].startswith("six  idle; waits: GPU 0 is in use; labels fast, h100; heard of")


@pytest.mark.parametrize(
    ("arguments", "request_sent"),
    [
        ((), ("POST", "/v1/drain")),
        (("--end",), ("DELETE", "/v1/drain")),
        (("one@host",), ("POST", "/v1/workers/one@host/drain")),
        (("one@host", "--end"), ("DELETE", "/v1/workers/one@host/drain")),
    ],
)
def test_drain_is_of_all_workers_or_of_one(
    cli: Cli, service: FakeService, arguments: tuple[str, ...], request_sent: tuple[str, str]
) -> None:
    answer(service, {})
    assert cli("drain", *arguments) == 0
    assert asked(service) == [request_sent]


def test_runs_of_a_user_are_listed(cli: Cli, service: FakeService, capsys: pytest.CaptureFixture[str]) -> None:
    answer(service, {"items": [run_document("a", user="ada", team="vision")], "next_cursor": None})
    assert cli("ls", "--user", "ada") == 0
    assert service.requests[-1].url.params["user"] == "ada"
    head, row = capsys.readouterr().out.splitlines()
    assert head.split()[:3] == ["run", "name", "user"]
    assert row.split()[2] == "ada"


def test_what_is_refused_says_why(service: FakeService) -> None:
    with service.client() as client:
        service.next_answers.append(problem(403, "The run belongs to somebody else", "The run belongs to 'ada'."))
        with pytest.raises(NotAllowed, match="The run belongs to 'ada'") as refused:
            client.pause("a")
        assert refused.value.exit_code == 4
        service.next_answers.append(problem(429, "Too many", "The user 'ada' may have 3."))
        with pytest.raises(QuotaExceeded, match="may have 3"):
            client.create_run(RunRequest(preset="digit8-stable"))


def test_token_prints_a_token_and_the_lines_for_the_file(
    cli: Cli, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli("token", "--user", "ada", "--team", "vision") == 0
    written = capsys.readouterr()
    token, lines = written.out.split("\n\n")
    file = tmp_path / "tokens.toml"
    file.write_text(lines)
    file.chmod(0o600)
    (user,) = read_accounts(file).users
    assert (user.name, user.team, user.token_sha256) == ("ada", "vision", hash_token(token.encode()))
    assert "GANCLINIC_TOKENS_FILE" in written.err
    assert cli("token", "--user", "bob", "--json") == 0
    made = json.loads(capsys.readouterr().out)
    assert made["token"] != token
    assert tomllib.loads(made["lines"])["users"] == [{"name": "bob", "token_sha256": made["token_sha256"]}]


@pytest.mark.parametrize("name", ["", "a/b", "a b", '"', "-a", "x" * 65])
def test_a_name_that_the_file_refuses_is_refused(cli: Cli, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli("token", "--user", name)
    assert "--user" in capsys.readouterr().err
