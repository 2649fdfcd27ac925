"""`ganclinic diagnose`, from the files of other trainers to what people and scripts read."""

import io
import json
import os
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import ganclinic
from bench.foreign.plain_loop import train
from ganclinic import foreign, history_following
from ganclinic.cli import histories, main
from ganclinic.cli.history_table import history_details
from ganclinic.config import ConfigSources
from ganlib.foreign_logs.formats.registry import FORMATS

WINS = "Loss_D,Loss_G,D(x),D(G(z))\n" + "0.006,9.5,0.998,0.002\n" * 250


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> int:
        return main(arguments, around=ConfigSources(environ={}, cwd=tmp_path, user_home=tmp_path))

    return run


def printed(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().out.split())


def test_a_tutorials_log_gets_verdict_evidence_remedies_and_what_cannot_be_said(
    cli, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "history.csv").write_text(WINS)
    assert cli("diagnose", "history.csv", "--d-loss", "sum") == 0
    shown = printed(capsys)
    assert "convergence failure, severe, first seen in epoch 1" in shown
    assert "convergence failure: discriminator wins (severe)" in shown
    assert "d_loss .00325 < .05" in shown  # the most that prints as .006, over both parts
    assert "remedy usual Adam: Adam as DCGAN uses it" in shown
    assert "--set" not in shown
    assert "d_loss = 'Loss_D', g_loss = 'Loss_G', d_x = 'D(x)', d_g_z = 'D(G(z))'" in shown
    assert "d_acc_real was not recorded; 'Loss_D' and 'D(x)' bound it" in shown
    assert "lacking d_acc_real, d_acc_fake (known in part): for convergence failure: both losses vanish" in shown
    assert "lacking fakes and reals (not recorded): for convergence failure: no equilibrium, mode collapse" in shown


@pytest.mark.parametrize("width", [40, 80, 140])
def test_nothing_is_cut_off_at_any_width(width: int) -> None:
    found = ganclinic.diagnose({"errD": [0.003] * 300, "errG": [9.0] * 300, "lr" * 30: [0.0] * 300})
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    console.print(history_details("history.csv", found))
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert all(len(line) <= width for line in lines)
    assert "lr" * 30 in "".join("".join(lines).split())
    assert "memorisation" in " ".join(lines)


def test_json_holds_the_same_and_is_strict(cli, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "history.csv").write_text("step,d_loss_real,d_loss_fake,g_loss,lr\n1,nan,inf,1,0\n2,1,1,1,0\n")
    assert cli("diagnose", "history.csv", "--json", "--objective", "wgan", "--steps-per-epoch", "1") == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["history"], document["steps"], document["objective"]) == ("history.csv", 2, "wgan")
    assert (document["epochs_known"], document["left_out"]) == (True, ["lr"])
    assert document["diagnosis"]["verdict"] == "divergence"
    assert "d_acc_real" in document["diagnosis"]["missing"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["none.csv"], "There is no file none.csv."),
        (["history.csv", "--fakes", "f.npz"], "give both, fakes and real, or neither"),
        (["history.csv", "--real", "r.npz"], "give both, fakes and real, or neither"),
        (["history.csv", "--fakes", "a.npz", "--fakes", "b.npz", "--real", "r"], "as in --fakes 3=FILE"),
        (["history.csv", "--fakes", "2=a", "--fakes", "2=b", "--real", "r"], "--fakes 2=b: each of several"),
    ],
)
def test_what_cannot_be_used_exits_2_with_the_fix(
    cli, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    (tmp_path / "history.csv").write_text(WINS)
    assert cli("diagnose", *arguments) == 2
    assert words in capsys.readouterr().err


def test_without_torch_losses_alone_are_judged_and_the_note_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found(name: str) -> ModuleSpec | None:
        return None if name == "torch" else find_spec(name)

    monkeypatch.setattr(foreign, "find_spec", found)
    (tmp_path / "history.csv").write_text(WINS)
    diagnosed = ganclinic.diagnose(tmp_path / "history.csv", fakes="f.npz", real="r.npz", d_loss="sum")
    assert diagnosed.diagnosis.verdict == "convergence failure"
    assert "needs torch. Install them with `pip install 'ganclinic[train]'`" in diagnosed.reading.notes[-1]


def test_an_evaluation_that_breaks_down_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreign, "EVALUATOR", "ganlib.no_such_module")
    with pytest.raises(ganclinic.GanClinicError, match=r"could not be compared.*No module named ganlib.no_such_module"):
        ganclinic.diagnose({"g_loss": [1.0]}, fakes="f.npz", real="r.npz")


def test_the_evaluation_refuses_by_name_and_looks_at_no_file_beside_the_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "random.py").write_text("raise SystemExit('a trainer has files with such names')")
    monkeypatch.chdir(tmp_path)
    np.save(tmp_path / "r.npy", np.zeros((10, 2), np.float32))
    with pytest.raises(ganclinic.GanClinicError, match=r"r\.npy holds 10 samples; at least 50 are needed\.$"):
        ganclinic.diagnose({"g_loss": [1.0]}, fakes="r.npy", real="r.npy")


# --- logs as they come ------------------------------------------------------------------------------------------

CYCLEGAN = "".join(
    f"(epoch: {1 + i // 100}, iters: {100 * (1 + i % 100)}, time: 0.2, data: 0.1) D_A: 0.250 G_A: 0.251 cycle_A: 1.9 "
    "D_B: nan G_B: 0.912 cycle_B: 2.1 \n"
    for i in range(300)
)


def test_a_printed_log_is_read_and_said_whose_it_is(cli, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    levels = "Loss_D: 0.006\tLoss_G: 9.5\tD(x): 0.998\tD(G(z)): 0.002"
    rows = (f"[{i // 40}/9][{i % 40}/40]\t{levels}\n" for i in range(300))
    (tmp_path / "train.log").write_text("".join(["Starting Training Loop...\n", *rows]))
    assert cli("diagnose", "train.log") == 0
    shown = printed(capsys)
    assert "read as a log of pytorch/examples DCGAN" in shown
    assert "1 lines hold no number under a name and were left out" in shown
    assert "convergence failure: discriminator wins" in shown


def test_each_game_of_a_log_has_its_diagnosis(cli, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "loss_log.txt").write_text(CYCLEGAN)
    assert cli("diagnose", "loss_log.txt", "--json") == 0
    trainings = json.loads(capsys.readouterr().out)["trainings"]
    assert trainings["B"]["diagnosis"]["verdict"] == "divergence"
    assert trainings["A"]["diagnosis"]["verdict"] != "divergence"
    assert cli("diagnose", "loss_log.txt") == 0
    assert "history loss_log.txt A" in printed(capsys)
    with pytest.raises(ganclinic.GanClinicError, match=r"There are 2 trainings: A, B.*diagnose_each"):
        ganclinic.diagnose(tmp_path / "loss_log.txt")


def test_unknown_columns_are_said_with_an_option(cli, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "log.csv").write_text("n,LossCritic1,Generatorverlust\n" + "1,0.5,1.0\n" * 5)
    assert cli("diagnose", "log.csv") == 2
    assert "there are: 'n', 'LossCritic1', 'Generatorverlust'" in capsys.readouterr().err
    assert cli("diagnose", "log.csv", "--column", "d_loss=LossCritic1", "--column", "g_loss=Generatorverlust") == 0
    assert "d_loss = 'LossCritic1', g_loss = 'Generatorverlust'" in printed(capsys)


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("d_loss", "write SIGNAL=NAME, as in --column d_loss=LossD"),
        ("d_los=Loss_D", "'d_los' is no signal; there are: d_loss_real"),
        ("d_loss=Los_D", "has no column 'Los_D'; there are: 'Loss_D'"),
    ],
)
def test_a_column_that_cannot_be_is_named(
    cli, tmp_path: Path, capsys: pytest.CaptureFixture[str], column: str, words: str
) -> None:
    (tmp_path / "history.csv").write_text(WINS)
    assert cli("diagnose", "history.csv", "--column", column) == 2
    assert words in capsys.readouterr().err


def test_standard_input_is_a_log(cli, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(WINS.encode())))
    assert cli("diagnose", "-", "--d-loss", "sum") == 0
    assert "convergence failure: discriminator wins" in printed(capsys)
    assert cli("diagnose", "-", "history.csv") == 2
    assert "give no files beside it" in capsys.readouterr().err


@pytest.mark.parametrize(("level", "status"), [("mild", 1), ("severe", 1), (None, 0)])
def test_the_status_says_what_a_script_asks_for(cli, tmp_path: Path, level: str | None, status: int) -> None:
    (tmp_path / "history.csv").write_text("loss_D,loss_G\n" + "0.7,0.7\n" * 250 + "nan,nan\n")
    assert cli("diagnose", "history.csv", *(["--fail-on", level] if level else [])) == status


def test_a_log_that_grows_is_judged_again_until_it_fails(
    cli, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "train.log"
    path.write_text("Starting\n")
    steps = iter(
        [
            "".join(f"step {i} d_loss 0.69 g_loss 0.70\n" for i in range(150)),
            "".join(f"step {i} d_loss 0.69 g_loss 0.71\n" for i in range(150, 300)),
            "step 300 d_loss nan g_loss nan\n",
            "never reached\n",
        ]
    )

    def grow(_: float) -> None:
        with path.open("a") as file:
            file.write(next(steps))

    monkeypatch.setattr(history_following, "LOOK_INTERVAL_S", 0.0)
    real = history_following.changes
    monkeypatch.setattr(histories, "changes", lambda paths, **options: real(paths, **options, sleep=grow))
    assert cli("diagnose", "train.log", "--follow", "--fail-on", "severe") == 1
    captured = capsys.readouterr()
    assert "after 150 rows: " in captured.err
    assert "→ divergence (divergence, severe)" in captured.err
    assert "after 300 rows" not in captured.err  # the same verdict is not said again
    assert "divergence" in captured.out
    assert next(steps) == "never reached\n"


def test_following_ends_where_nothing_comes(cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "history.csv").write_text(WINS)
    monkeypatch.setattr(history_following, "LOOK_INTERVAL_S", 0.01)
    assert cli("diagnose", "history.csv", "--follow", "--idle", "0.05") == 0
    (tmp_path / "empty.log").write_text("nothing\n")
    assert cli("diagnose", "empty.log", "--follow", "--idle", "0.05") == 2


def test_a_pipe_is_judged_as_it_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_following, "LOOK_INTERVAL_S", 0.01)
    read, write = os.pipe()
    with os.fdopen(read, "rb") as pipe:
        seen = history_following.growing(pipe)
        os.write(write, b"step 1 d_loss 0.5\nstep 2 d_l")
        assert next(seen) == b"step 1 d_loss 0.5\n"
        os.write(write, b"oss 0.25\n")
        assert next(seen) == b"step 1 d_loss 0.5\nstep 2 d_loss 0.25\n"  # though the pipe stays open
        os.write(write, b"\r1/9 d_loss 0.1\r2/9 d_lo")
        assert next(seen).endswith(b"d_loss 0.1\r")
        os.close(write)
        assert list(seen) == [b"step 1 d_loss 0.5\nstep 2 d_loss 0.25\n\r1/9 d_loss 0.1\r2/9 d_lo"]


def test_following_a_pipe_ends_where_nothing_comes_with_its_last_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_following, "LOOK_INTERVAL_S", 0.01)
    read, write = os.pipe()
    with os.fdopen(read, "rb") as pipe, os.fdopen(write, "wb"):
        os.write(write, b"step 1 d_loss 0.5\nstep 2 d_loss 0.25")
        assert list(history_following.growing(pipe, idle_s=0.2)) == [
            b"step 1 d_loss 0.5\n",
            b"step 1 d_loss 0.5\nstep 2 d_loss 0.25",
        ]


def test_the_longer_a_look_takes_the_longer_the_next_one_waits(tmp_path: Path) -> None:
    path = tmp_path / "train.log"
    path.write_text("1")
    now, pauses = [0.0], list[float]()

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        path.write_text("1" * (len(pauses) + 1))

    looks = history_following.changes([path], idle_s=None, sleep=sleep, clock=lambda: now[0])
    for took in (0.01, 4.0, 0.5):
        next(looks)
        now[0] += took
    next(looks)
    assert pauses == [history_following.LOOK_INTERVAL_S, 36.0, 4.5]


def test_formats_lists_trainers_with_what_they_write(cli, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli("formats") == 0
    shown = printed(capsys)
    assert "pytorch/examples DCGAN: what it prints" in shown
    assert "(epoch: 1, iters: 100, time: 0.069, data: 0.001) G_GAN: 1.027" in shown
    assert cli("formats", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert len(document["formats"]) == len(FORMATS)
    assert "d_loss_real" in document["signals"]


# --- trainings that are not ours --------------------------------------------------------------------------------


def test_a_loop_whose_discriminator_wins_is_found_out_from_its_log(cli, tmp_path, capsys) -> None:
    trained = train("discriminator wins", seed=0, steps=400, epochs=4)
    trained.save(tmp_path)
    assert np.median(trained.history["Loss_D"][-100:]) < 0.01
    assert np.median(trained.history["Loss_G"][-100:]) > 5
    assert cli("diagnose", "history.csv", "--d-loss", "sum") == 0
    assert "convergence failure: discriminator wins (severe)" in printed(capsys)


@pytest.mark.slow
def test_a_loop_that_does_well_and_was_cut_short_has_nothing_wrong_but_rough_samples(tmp_path: Path) -> None:
    train("healthy", seed=0, steps=300, epochs=3).save(tmp_path)
    found = diagnosed(tmp_path)
    assert (found.diagnosis.findings, found.diagnosis.grade) == ((), "rough")
    assert found.diagnosis.verdict == "undetermined"
    assert "nothing is known to be wrong, but the samples are rough" in found.diagnosis.reason
    assert [e.epoch for e in found.reading.history.evaluations] == [0, 1, 2, 3]


@pytest.mark.slow
def test_a_loop_with_a_latent_of_1_is_found_out_from_its_fakes(tmp_path: Path) -> None:
    trained = train("latent of 1", seed=0, steps=220, epochs=4)
    trained.save(tmp_path)
    found = diagnosed(tmp_path)
    assert found.diagnosis.findings[0].name == "mode collapse"
    assert len(np.unique(trained.fakes[4].round(1), axis=0)) > 1
    alone = ganclinic.diagnose(tmp_path / "history.csv", d_loss="sum").diagnosis
    assert alone.verdict == "undetermined"


def diagnosed(folder: Path):
    real, fakes = folder / "real.npz", folder / "fakes.npz"
    return ganclinic.diagnose(folder / "history.csv", fakes=fakes, real=real, d_loss="sum")
