"""`ganclinic treat`, `ganclinic family` and the client's part of them."""

import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from ganclinic.cli import main
from ganclinic.config import ConfigSources
from ganclinic.errors import Conflict
from tests.support.fake_service import (
    DONE,
    SICK_ID,
    TREATMENT_ID,
    URL,
    FakeService,
    problem,
    treatment_document,
    try_document,
)

Cli = Callable[..., int]
FIRST, SECOND = "0000000000000001", "0000000000000002"
HEALTHY = DONE | {"verdict": "healthy", "severity": "none", "first_epoch_seen": None}


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.fixture
def cli(service: FakeService, tmp_path: Path) -> Cli:
    variables = {"GANCLINIC_URL": URL, "GANCLINIC_TOKEN": "right"}

    def run(*arguments: str) -> int:
        around = ConfigSources(environ=variables, cwd=tmp_path, user_home=tmp_path)
        return main(arguments, around=around, connect=service.client)

    return run


def goes_on(service: FakeService, status: str, **end: object) -> None:
    """A treatment whose first try does not help; its second one ends it."""
    sick, second = try_document(1, "larger latent", **DONE), "R1 penalty"
    service.treatments.extend(
        [
            treatment_document(),
            treatment_document(try_document(1, "larger latent", status="running", step=12)),
            treatment_document(sick, try_document(2, second)),
            treatment_document(sick, try_document(2, second, **HEALTHY), status=status, best_run_id=SECOND, **end),
        ]
    )


def test_treat_writes_only_the_id_to_stdout(cli: Cli, service: FakeService, capsys: pytest.CaptureFixture[str]) -> None:
    service.treatments.append(treatment_document())
    assert cli("treat", SICK_ID, "--tries", "2", "--epochs", "30", "--finding", "mode collapse") == 0
    written = capsys.readouterr()
    assert written.out == f"{TREATMENT_ID}\n"
    assert f"Tries 'larger latent' against mode collapse. How it goes: ganclinic family {SICK_ID}" in written.err
    (request,) = service.requests
    assert json.loads(request.content) == {"finding": "mode collapse", "max_tries": 2, "max_epochs": 30}
    assert request.url.path == f"/v1/runs/{SICK_ID}/treatments"
    assert request.headers["Idempotency-Key"]


def test_treat_and_wait_writes_a_line_for_each_change_of_a_try_and_ends_with_the_family(
    cli: Cli, service: FakeService, capsys: pytest.CaptureFixture[str]
) -> None:
    goes_on(service, "cured", reason="'R1 penalty' cured it")
    assert cli("treat", SICK_ID, "--wait") == 0
    written = capsys.readouterr()
    assert written.err.splitlines() == [
        f"sick: larger latent [{FIRST}]: queued",
        f"sick: larger latent [{FIRST}]: epoch 0/10, training",
        f"sick: larger latent [{FIRST}]: epoch 10/10, succeeded: mode collapse",
        f"sick: R1 penalty [{SECOND}]: queued",
        f"sick: R1 penalty [{SECOND}]: epoch 10/10, succeeded: healthy",
        f"Cured: 'R1 penalty' cured it. The cure: ganclinic show {SECOND}",
    ]
    head, *lines = written.out.splitlines()
    assert head.split() == ["run", "remedy", "status", "epoch", "verdict", "severity", "seed", "change"]
    assert [line.split("  ")[-1].strip() for line in lines] == ["–", "--set penalties.r1=1", "--set penalties.r1=2"]
    assert [line.split()[0] for line in lines] == [SICK_ID, FIRST, SECOND]
    assert [len(line) - len(line.lstrip()) for line in lines] == [0, 2, 2]


@pytest.mark.parametrize(
    ("status", "words"),
    [("exhausted", "Not cured: no try is left of 2. The best try: ganclinic show"), ("cancelled", "Cancelled: no try")],
)
def test_treat_and_wait_exits_1_without_a_cure(
    cli: Cli, service: FakeService, capsys: pytest.CaptureFixture[str], status: str, words: str
) -> None:
    goes_on(service, status, reason="no try is left of 2")
    assert cli("treat", SICK_ID, "--wait") == 1
    assert words in capsys.readouterr().err


def test_treat_and_wait_with_json_writes_the_treatment(
    cli: Cli, service: FakeService, capsys: pytest.CaptureFixture[str]
) -> None:
    goes_on(service, "cured")
    assert cli("treat", SICK_ID, "--wait", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["status"], [run["remedy"] for run in document["tries"]]) == (
        "cured",
        ["larger latent", "R1 penalty"],
    )


def test_whoever_stops_waiting_is_told_how_to_go_on(
    cli: Cli, service: FakeService, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on(service, "cured")

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(service, "sleep", interrupt)
    assert cli("treat", SICK_ID, "--wait") == 130
    written = capsys.readouterr().err
    assert f"again: ganclinic family {SICK_ID}" in written
    assert f"end it: ganclinic cancel {FIRST}" in written


def test_a_refusal_says_why(cli: Cli, service: FakeService, capsys: pytest.CaptureFixture[str]) -> None:
    service.next_answers.append(problem(409, "The run cannot be treated", "It is running; wait for its end."))
    assert cli("treat", SICK_ID) == 2
    assert "It is running; wait for its end." in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--tries", "0"], ["--epochs", "x"], ["--finding", "sadness"]])
def test_options_that_cannot_be_are_refused(cli: Cli, arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli("treat", SICK_ID, *arguments)


def test_family_can_be_written_as_json(cli: Cli, service: FakeService, capsys: pytest.CaptureFixture[str]) -> None:
    service.treatments.append(treatment_document())
    assert cli("family", FIRST, "--json") == 0
    root, child = json.loads(capsys.readouterr().out)
    assert (root["id"], root["depth"], child["id"], child["depth"]) == (SICK_ID, 0, FIRST, 1)
    assert child["patch"] == {"penalties.r1": 1}


@pytest.mark.parametrize("width", [40, 60, 95, 130])
def test_the_family_is_readable_at_every_width(
    cli: Cli, service: FakeService, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setattr("ganclinic.cli.output.UNLIMITED_WIDTH", width)
    service.treatments.append(treatment_document(try_document(1, "latent wider than the data", **HEALTHY)))
    assert cli("family", SICK_ID) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= width for line in lines)
    assert sum(SICK_ID in line for line in lines) == 1
    assert sum(FIRST in line for line in lines) == 1
    assert "healthy" in "\n".join(lines)


def test_the_client_looks_at_treatments_and_ends_them(service: FakeService) -> None:
    service.treatments.append(treatment_document())
    with service.client() as client:
        assert client.get_treatment(TREATMENT_ID).tries[0].parent_id == SICK_ID
        assert [found.id for found in client.treatments(SICK_ID)] == [TREATMENT_ID]
        assert client.cancel_treatment(TREATMENT_ID).status == "cancelled"
        assert [member.remedy for member in client.family(SICK_ID)] == [None, "larger latent"]


def test_the_client_repeats_a_request_with_the_same_key(service: FakeService) -> None:
    service.treatments.append(treatment_document())
    service.next_answers.append(httpx.ReadError("reset"))
    with service.client() as client:
        client.treat(SICK_ID)
    first, second = (request.headers["Idempotency-Key"] for request in service.requests)
    assert first == second


def test_the_client_raises_a_conflict_where_a_run_cannot_be_treated(service: FakeService) -> None:
    service.next_answers.append(problem(409, "The run cannot be treated"))
    with service.client() as client, pytest.raises(Conflict):
        client.treat(SICK_ID)
