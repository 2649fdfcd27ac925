import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from ganclinic.cli import main
from ganclinic.cli.parser import make_parser
from ganclinic.config import ConfigSources
from tests.support.fake_service import DONE, URL, FakeService, label_document, problem

Cli = Callable[..., int]


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.fixture
def cli(service: FakeService, tmp_path: Path) -> Cli:
    variables = {"GANCLINIC_URL": URL, "GANCLINIC_TOKEN": "right"}

    def run(*arguments: str, **changes: str) -> int:
        around = ConfigSources(environ=variables | changes, cwd=tmp_path, user_home=tmp_path)
        return main(arguments, around=around, connect=service.client)

    return run


def test_run_writes_only_the_id_to_stdout(cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli("run", "digit8-stable", "--set", "training.epochs=3", "--name", "mine") == 0
    written = capsys.readouterr()
    assert written.out == "0000000000000001\n"
    assert "ganclinic watch 0000000000000001" in written.err
    assert "If it does not begin: ganclinic why 0000000000000001" in written.err


@pytest.mark.parametrize("seconds", [4, 6, 600])
def test_watching_a_run_that_does_not_begin_says_once_how_to_learn_why(
    cli: Cli, service: FakeService, capsys: pytest.CaptureFixture[str], seconds: int
) -> None:
    service.add("a", *[{}] * (2 * seconds), DONE)  # looked at twice a second
    assert cli("watch", "a") == 0
    hints = [line for line in capsys.readouterr().err.splitlines() if "ganclinic why" in line]
    assert hints == (["Still queued; what it waits for: ganclinic why a"] if seconds > 5 else [])


def test_a_run_that_waits_behind_another_one_that_is_watched_needs_no_hint(
    cli: Cli, service: FakeService, capsys: pytest.CaptureFixture[str]
) -> None:
    service.add("a", *[{"status": "running"}] * 40, DONE)
    service.add("b", *[{}] * 44, DONE)
    assert cli("watch", "a", "b") == 0
    assert "ganclinic why" not in capsys.readouterr().err


def test_show_of_a_queued_run_says_how_to_learn_what_it_waits_for(
    cli: Cli, service: FakeService, capsys: pytest.CaptureFixture[str]
) -> None:
    for run_id, status in (("a", "queued"), ("b", "running")):
        service.add(run_id, {"status": status})
        assert cli("show", run_id) == 0
        assert ("ganclinic why" in capsys.readouterr().out) is (status == "queued")


def test_run_with_json_writes_the_run(cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli("run", "digit8-stable", "--json") == 0
    assert json.loads(capsys.readouterr().out)["status"] == "queued"


def test_run_and_watch_writes_a_line_for_each_change_where_bars_cannot_be_drawn(
    cli: Cli, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli("run", "digit8-latent-1", "--watch") == 0
    written = capsys.readouterr()
    assert written.out == (
        "digit8-latent-1 succeeded: mode collapse, severe, first seen in epoch 3   (ganclinic show 0000000000000001)\n"
    )
    assert written.err.splitlines() == [
        "digit8-latent-1 [0000000000000001]: queued",
        "digit8-latent-1 [0000000000000001]: epoch 0/10, training",
        "digit8-latent-1 [0000000000000001]: epoch 10/10, succeeded: mode collapse",
    ]


@pytest.mark.parametrize("status", ["failed", "cancelled", "halted"])
def test_watch_exits_1_unless_every_run_succeeded(
    cli: Cli, service: FakeService, capsys: pytest.CaptureFixture[str], status: str
) -> None:
    service.add("a", DONE)
    service.add("b", {"status": status, "error": "no data"})
    assert cli("watch", "a", "b", "--json") == 1
    assert [r["status"] for r in json.loads(capsys.readouterr().out)] == ["succeeded", status]


def test_watch_without_runs_takes_all_that_are_not_over(
    cli: Cli, service: FakeService, capsys: pytest.CaptureFixture[str]
) -> None:
    service.add("a", {}, DONE)
    service.add("b", DONE)
    assert cli("watch") == 0
    assert "show a" in capsys.readouterr().out
    assert cli("watch") == 0
    assert "ganclinic run" in capsys.readouterr().out


def test_batch_writes_an_id_a_line(cli: Cli, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "two.toml"
    file.write_text('[[runs]]\npreset = "digit8-stable"\n[[runs]]\npreset = "digit8-latent-1"\n')
    assert cli("batch", str(file)) == 0
    written = capsys.readouterr()
    assert written.out == "0000000000000001\n0000000000000002\n"
    assert "If none begins: ganclinic why 0000000000000001" in written.err


@pytest.mark.parametrize(("arguments", "sent"), [((), [None, 7]), (("--priority", "-3"), [-3, -3])])
def test_a_batch_sends_each_runs_priority_or_the_one_for_all(
    cli: Cli, service: FakeService, tmp_path: Path, arguments: tuple[str, ...], sent: list[int | None]
) -> None:
    file = tmp_path / "two.toml"
    file.write_text('[[runs]]\npreset = "digit8-stable"\n[[runs]]\npreset = "digit8-latent-1"\npriority = 7\n')
    assert cli("batch", str(file), *arguments) == 0
    assert [run.get("priority") for run in json.loads(service.requests[0].content)["runs"]] == sent


@pytest.mark.parametrize(("arguments", "sent"), [((), 4), (("--priority", "-100"), -100), (("--priority", "0"), 0)])
def test_run_sends_the_files_priority_or_the_one_that_is_given(
    cli: Cli, service: FakeService, tmp_path: Path, arguments: tuple[str, ...], sent: int
) -> None:
    file = tmp_path / "one.toml"
    file.write_text('preset = "digit8-stable"\npriority = 4\n')
    assert cli("run", str(file), *arguments) == 0
    assert json.loads(service.requests[0].content)["priority"] == sent


@pytest.mark.parametrize("value", ["101", "-101", "5.5", "high", "9" * 5000])
def test_a_priority_out_of_range_is_refused_with_what_is_allowed(
    cli: Cli, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        cli("run", "digit8-stable", "--priority", value)
    assert caught.value.code == 2
    assert "is no priority; allowed: -100 to 100" in capsys.readouterr().err


def test_show_names_a_priority_that_is_not_0(
    cli: Cli, service: FakeService, capsys: pytest.CaptureFixture[str]
) -> None:
    for run_id, priority in (("a", 5), ("b", 0)):
        service.add(run_id, {"status": "cancelled", "priority": priority})
        assert cli("show", run_id) == 0
        assert ("priority  5" in capsys.readouterr().out) is (priority == 5)


def test_batch_and_watch_shows_all_its_runs(cli: Cli, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "two.toml"
    file.write_text('[[runs]]\npreset = "digit8-stable"\n[[runs]]\npreset = "digit8-latent-1"\n')
    assert cli("batch", str(file), "--watch") == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_ls_into_a_pipe_cuts_nothing_off(cli: Cli, service: FakeService, capsys: pytest.CaptureFixture[str]) -> None:
    name = "a very long name " * 20
    service.add("a", DONE, name=name)
    assert cli("ls") == 0
    head, line = capsys.readouterr().out.splitlines()
    assert head.split() == ["run", "name", "status", "epoch", "verdict", "severity", "preset", "made"]
    assert name in line
    assert line == line.rstrip()


def test_ls_shows_as_many_as_wanted_and_says_that_there_are_more(
    cli: Cli, service: FakeService, capsys: pytest.CaptureFixture[str]
) -> None:
    for index in range(5):
        service.add(f"{index}")
    assert cli("ls", "--limit", "3", "--json") == 0
    written = capsys.readouterr()
    assert [r["id"] for r in json.loads(written.out)] == ["0", "1", "2"]
    assert "ganclinic ls --limit 6" in written.err


def test_ls_of_nothing_says_what_to_do(cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli("ls") == 0
    assert "ganclinic run digit8-stable" in capsys.readouterr().out
    assert cli("ls", "--status", "failed") == 0
    assert "No run matches" in capsys.readouterr().err
    assert cli("ls", "--status", "failed", "--json") == 0
    assert json.loads(capsys.readouterr().out) == []


def test_show_explains_the_verdict_and_gives_the_command_of_the_remedy(
    cli: Cli, service: FakeService, capsys: pytest.CaptureFixture[str]
) -> None:
    service.add("a", DONE)
    assert cli("show", "a") == 0
    shown = capsys.readouterr().out
    assert "mode collapse, severe, first seen in epoch 3" in shown
    assert "coverage .008 < .1 (epochs 8–10)" in shown
    assert ".98 (null .08)" in shown
    assert "--set generator.latent_dim=50" in shown
    assert "ganclinic treat a" in shown
    assert "1 min 5 s" in shown


def test_show_with_json_holds_run_diagnosis_and_evaluation(
    cli: Cli, service: FakeService, capsys: pytest.CaptureFixture[str]
) -> None:
    service.add("a", DONE)
    assert cli("show", "a", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["diagnosis"]["findings"][0]["name"] == "mode collapse"
    assert document["evaluation"]["values"]["ndb_over_k"] == 0.98


def test_show_of_a_failed_run_says_why(cli: Cli, service: FakeService, capsys: pytest.CaptureFixture[str]) -> None:
    service.add("a", {"status": "failed", "error": "mnist cannot be found; --set dataset.name=mnist-5k"})
    assert cli("show", "a") == 0
    shown = capsys.readouterr().out
    assert "--set dataset.name=mnist-5k" in shown
    assert "No verdict yet" in shown


def test_cancel_says_what_becomes_of_each_run(
    cli: Cli, service: FakeService, capsys: pytest.CaptureFixture[str]
) -> None:
    service.add("a")
    service.add("b", {"status": "running"})
    service.add("c", DONE)
    assert cli("cancel", "a", "b", "c") == 0
    assert capsys.readouterr().out.splitlines() == [
        "a cancelled",
        "b will end after its current step",
        "c was already over: succeeded",
    ]


def test_cancel_and_watch_take_a_whole_batch(
    cli: Cli, service: FakeService, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    service.add("a", batch_id="ba")
    service.add("b", {"status": "running"}, DONE, batch_id="ba")
    assert cli("cancel", "--batch", "ba") == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert cli("watch", "--batch", "ba") == 1
    assert "a cancelled" in capsys.readouterr().out.replace("digit8-stable", "a")


def test_cancel_of_nothing_asks_which(cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli("cancel") == 2
    assert "Which runs?" in capsys.readouterr().err


def test_presets_need_no_service(cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli("presets", GANCLINIC_URL="") == 0
    assert "digit8-latent-1" in capsys.readouterr().out
    assert cli("presets", "digit8-latent-1") == 0
    assert "Mode collapse" in capsys.readouterr().out
    assert cli("presets", "--json") == 0
    assert {"name", "title", "reports", "deviations", "spec"} == set(json.loads(capsys.readouterr().out)[0])


def test_a_misspelt_preset_is_guessed(cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli("presets", "digit8-stabel") == 2
    assert "Perhaps 'digit8-stable'?" in capsys.readouterr().err


def test_no_service_exits_3(cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli("ls", GANCLINIC_URL="") == 3
    assert "ganclinic up" in capsys.readouterr().err


def test_a_service_that_does_not_answer_exits_3(
    cli: Cli, service: FakeService, capsys: pytest.CaptureFixture[str]
) -> None:
    service.next_answers.extend([httpx.ConnectError("refused")] * 3)
    assert cli("ls") == 3
    assert capsys.readouterr().err.startswith("error: The service at http://clinic.test does not answer (refused)")


def test_a_wrong_token_exits_4(cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli("ls", "--token", "wrong") == 4
    assert "GANCLINIC_TOKEN" in capsys.readouterr().err


def test_an_unknown_run_exits_2(cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli("show", "nope") == 2
    assert "ganclinic ls" in capsys.readouterr().err


def test_an_invalid_spec_exits_2_with_its_fields(
    cli: Cli, service: FakeService, capsys: pytest.CaptureFixture[str]
) -> None:
    errors = [{"field": "training.epochs", "message": "Input should be greater than 0, not 0"}]
    service.next_answers.append(problem(422, "Invalid", errors=errors))
    assert cli("run", "digit8-stable", "--set", "training.epochs=0") == 2
    assert "  training.epochs: Input should be greater than 0" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [[], ["nope"], ["run"], ["ls", "--limit", "0"], ["up", "--port", "x"], ["up", "--workers", "-1"]]
)
def test_a_wrong_command_line_exits_2(cli: Cli, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli(*arguments)
    assert caught.value.code == 2


def test_ctrl_c_while_watching_says_that_the_run_goes_on(
    cli: Cli, service: FakeService, capsys: pytest.CaptureFixture[str]
) -> None:
    service.add("a", {"status": "running"})

    def press_ctrl_c(seconds: float) -> None:
        raise KeyboardInterrupt

    service.sleep = press_ctrl_c
    assert cli("watch", "a") == 130
    assert "it goes on.\n  again: ganclinic watch a\n  end it: ganclinic cancel a" in capsys.readouterr().err


def test_ctrl_c_while_watching_a_batch_names_the_batch(
    cli: Cli, service: FakeService, capsys: pytest.CaptureFixture[str]
) -> None:
    service.add("a", batch_id="ba")
    service.add("b", batch_id="ba")

    def press_ctrl_c(seconds: float) -> None:
        raise KeyboardInterrupt

    service.sleep = press_ctrl_c
    assert cli("watch", "a", "b") == 130
    assert "ganclinic cancel --batch ba" in capsys.readouterr().err


def test_the_help_explains_the_exit_statuses(capsys: pytest.CaptureFixture[str]) -> None:
    shown = make_parser().format_help()
    for line in ("1  a run failed", "2  the command line", "3  the service is not", "4  the service does not accept"):
        assert line in shown


def test_rm_deletes_runs(cli: Cli, service: FakeService, capsys: pytest.CaptureFixture[str]) -> None:
    for run_id in ("a", "b", "c"):
        service.add(run_id, DONE)
    assert cli("rm", "a", "b") == 0
    assert capsys.readouterr().out == "a deleted\nb deleted\n"
    assert list(service.runs) == ["c"]


def test_rm_keeps_labels_unless_it_is_told_otherwise(
    cli: Cli, service: FakeService, capsys: pytest.CaptureFixture[str]
) -> None:
    service.add("a", DONE)
    service.labels.append(label_document(run_id="a"))
    assert cli("rm", "a") != 0
    assert "It has labels." in capsys.readouterr().err
    assert cli("rm", "a", "--with-labels") == 0
    assert list(service.runs) == []
