"""Formats: each is recognised by its own example, whatever file it comes in, and its keys mean what they should."""

import json
from pathlib import Path

import numpy as np
import pytest

from ganlib.foreign_logs.formats.format import Format
from ganlib.foreign_logs.formats.registry import FORMATS
from ganlib.foreign_logs.history import diagnose_reading, read_history
from ganlib.foreign_logs.reading.files import read_logs
from ganlib.foreign_logs.table import Table

READ_AS_TAGS = {"torch-mimicry", "TorchGAN", "imaginaire", "TF-GAN"}
READ_AS_FOLDER = {"BigGAN-PyTorch"}
LINES = [form for form in FORMATS if form.name not in READ_AS_TAGS | READ_AS_FOLDER]


def read(folder: Path, text: str, name: str = "log.txt") -> list[Table]:
    path = folder / name
    path.write_text(text)
    return read_logs([path])


def test_every_format_has_a_name_of_its_own() -> None:
    names = [form.name for form in FORMATS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("form", LINES, ids=lambda form: form.name)
def test_the_example_of_a_format_is_read_as_its_own(tmp_path: Path, form: Format) -> None:
    for table in read(tmp_path, form.example + "\n"):
        assert table.format == form.name
        assert "g_loss" in table.columns or any("left out" in note for note in table.notes)
        assert {"d_loss", "d_loss_real"} & table.columns.keys()
        assert table.d_loss == form.d_loss


@pytest.mark.parametrize("form", [form for form in FORMATS if form.name in READ_AS_TAGS], ids=lambda form: form.name)
def test_tags_are_recognised_with_a_path_before_them(tmp_path: Path, form: Format) -> None:
    tags = [tag.strip() for tag in form.example.split(",")]
    path = "" if form.patterns else "train/"
    rows = [{"step": step, **{path + tag: 0.5 + step for tag in tags}} for step in range(3)]
    [table] = read(tmp_path, "".join(json.dumps(row) + "\n" for row in rows))
    assert (table.format, len(table)) == (form.name, 3)
    assert "g_loss" in table.columns
    assert {"d_loss", "d_loss_real"} & table.columns.keys()


def signals(table: Table) -> dict[str, float]:
    return {signal: float(column.values[0]) for signal, column in table.columns.items()}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "[0/25][50/782]\tLoss_D: 0.3821\tLoss_G: 4.6212\tD(x): 0.8512\tD(G(z)): 0.1483 / 0.0152",
            {"epoch": 0, "step": 50, "d_loss": 0.3821, "g_loss": 4.6212, "d_x": 0.8512, "d_g_z": 0.1483}
            | {"d_g_z_after": 0.0152},
        ),
        (
            "1200 [D loss: 0.693147, acc.: 62.50%] [G loss: 0.701234]",
            {"step": 1200, "d_loss": 0.693147, "d_acc": 0.625, "g_loss": 0.701234},
        ),
        (
            "48: [D loss: 7.9, acc: 0.5]  [A loss: 0.0, acc: 1.0]",
            {"step": 48, "d_loss": 7.9, "d_acc": 0.5, "g_loss": 0.0, "g_acc": 1.0},
        ),
        (
            "48 [D loss: 0.69, acc: 50.00%] [G loss: 0.70, acc: 43.75%]",
            {"step": 48, "d_loss": 0.69, "d_acc": 0.5, "g_loss": 0.7, "g_acc": 0.4375},
        ),
        (
            "(epoch: 1, iters: 100, time: 0.069, data: 0.001) G_GAN: 1.027 G_L1: 20.373 D_real: 0.513 D_fake: 0.641 ",
            {"epoch": 1, "step": 100, "g_loss": 1.027, "d_loss_real": 0.513, "d_loss_fake": 0.641},
        ),
        (
            "19-04-25 10:23:11.234 - INFO: <epoch: 86, iter: 107,200, lr:1.000e-04> l_g_pix: 1.2e-02 l_g_gan: 7.2e-02 "
            "l_d_real: 1.4e-05 l_d_fake: 4.1e-06 D_real: -2.56e+01 D_fake: -4.0e+01",
            {"epoch": 86, "step": 107_200, "d_loss_real": 1.4e-5, "d_loss_fake": 4.1e-6}
            | {"d_logit_real": -25.6, "d_logit_fake": -40.0},
        ),
        (
            '{"Loss/signs/real": {"num": 4, "mean": 0.96, "std": 0.1}, "Loss/signs/fake": {"num": 4, "mean": -0.98, '
            '"std": 0.1}, "Loss/G/loss": {"num": 4, "mean": 12, "std": 1}, "Loss/D/loss": {"num": 4, "mean": 0.27, '
            '"std": 1}, "Progress/kimg": {"num": 1, "mean": 4.0, "std": 0}}',
            {"d_acc_real": 0.98, "d_acc_fake": 0.99, "g_loss": 12, "d_loss": 0.27, "kimg": 4},
        ),
        (
            '{"mode": "train", "iter": 100, "loss_disc_fake": 0.61, "loss_disc_real": 0.58, "loss_disc": 1.19, '
            '"loss_disc_fake_g": 0.92, "loss_gen": 1.5}',
            {"step": 100, "d_loss_fake": 0.61, "d_loss_real": 0.58, "g_loss": 0.92},
        ),
    ],
)
def test_keys_mean_what_the_trainer_means(tmp_path: Path, line: str, expected: dict[str, float]) -> None:
    [table] = read(tmp_path, line + "\n")
    assert signals(table) == pytest.approx(expected)


def test_losses_of_r3gan_are_of_pairs_and_not_the_sum_of_stylegans(tmp_path: Path) -> None:
    """A pair costs log 2 at chance, where StyleGAN's two sides cost as much each."""
    levels = {"Loss/signs/real": 0.02, "Loss/signs/fake": -0.02, "Loss/D/loss": 0.69, "Loss/G/loss": 0.70}
    penalties = {"Loss/r1_penalty": 2.0, "Loss/r2_penalty": 2.1, "Loss/scores/real": 3.0, "Loss/scores/fake": -3.0}
    rows = [levels | penalties | {"Progress/kimg": 4.0 * tick} for tick in range(60)]
    text = "".join(json.dumps({n: {"num": 9, "mean": v, "std": 0.1} for n, v in row.items()}) + "\n" for row in rows)
    [table] = read(tmp_path, text)
    assert (table.format, table.d_loss, table.objectives) == ("R3GAN", "mean", ("relativistic",))
    assert {"d_logit_real", "d_logit_fake"} & table.columns.keys() == set()
    found = diagnose_reading(read_history(table))
    assert (found.reading.implied.objective, found.diagnosis.findings) == ("relativistic", ())
    assert found.reading.history.steps[-1, :5].tolist() == pytest.approx([0.69, 0.69, 0.70, 0.51, 0.51], abs=0.006)
    without = text.replace("r2_penalty", "pl_penalty")
    assert read(tmp_path, without)[0].format == "StyleGAN2-ADA / StyleGAN3"


def test_two_games_in_one_log_are_two_tables(tmp_path: Path) -> None:
    line = (
        "(epoch: 1, iters: {i}, time: 0.262, data: 0.198) D_A: 0.256 G_A: 0.374 cycle_A: 1.9 idt_A: 0.8 "
        "D_B: 0.001 G_B: 0.912 cycle_B: 2.1 idt_B: 0.9 \n"
    )
    text = "".join(line.format(i=100 * (i + 1)) for i in range(4))
    games = {table.name: table for table in read(tmp_path, text)}
    assert {name: signals(table)["d_loss"] for name, table in games.items()} == {"A": 0.256, "B": 0.001}
    assert games["B"].columns["g_loss"].values.tolist() == [0.912] * 4
    assert games["A"].d_loss == "mean"
    assert games["A"].columns["step"].values.tolist() == [100, 200, 300, 400]


def test_runs_of_one_chart_are_tables_of_their_own(tmp_path: Path) -> None:
    text = (
        '"Step","a-1 - d_loss","a-1 - d_loss__MIN","b - 2 - d_loss","a-1 - g_loss","b - 2 - g_loss"\n'
        '"0","0.1","0.1","0.2","1","2"\n"50","0.3","0.3","","3",""\n'
    )
    tables = {table.name: table for table in read(tmp_path, text)}
    assert signals(tables["a-1"]) == {"step": 0, "d_loss": 0.1, "g_loss": 1}
    assert tables["a-1"].columns["d_loss"].values.tolist() == [0.1, 0.3]


def test_the_most_that_a_printed_value_may_be_off_follows_from_its_digits(tmp_path: Path) -> None:
    [fixed] = read(
        tmp_path, "Loss_D: 0.0000 Loss_G: 12.0182 D(x): 1.0000\nLoss_D: 0.0010 Loss_G: 9.5000 D(x): 0.9999\n"
    )
    assert fixed.columns["d_loss"].half_width().tolist() == pytest.approx([5e-5, 5e-5])
    [short] = read(tmp_path, "step: 1 d_loss: 1.4e-05 g_loss: 12.56\nstep: 2 d_loss: 4.1e-01 g_loss: 6.941\n")
    assert short.columns["d_loss"].half_width().tolist() == pytest.approx([0.5e-6, 0.5e-2])
    assert short.columns["g_loss"].half_width().tolist() == pytest.approx([5e-3, 5e-4])
    [percent] = read(tmp_path, "1 [D loss: 0.69, acc.: 62.50%] [G loss: 0.70]\n")
    assert percent.columns["d_acc"].half_width().tolist() == pytest.approx([5e-5])
    np.savez(tmp_path / "log.npz", d_loss=[0.5], g_loss=[1.0])
    assert read_logs([tmp_path / "log.npz"])[0].columns["d_loss"].half_width().tolist() == [0]
