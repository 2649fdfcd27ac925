"""Excerpts of logs that people had, each with what a right answer to it says.

The numbers are those of public reports, carried on at the same level with noise where a report shows a few lines.
"""

import math
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import ganclinic
from ganlib.foreign_logs.history import HistoryDiagnosis
from ganlib.foreign_logs.reading.files import read_logs
from ganlib.records import STEP_COLUMNS

CASES = Path(__file__).parent / "cases"
WINS, NO_BALANCE = "convergence failure: discriminator wins", "convergence failure: no equilibrium"


def said(found: HistoryDiagnosis) -> str:
    return " ".join(found.reading.notes)


@pytest.mark.parametrize(
    ("name", "form", "rows", "verdict", "findings"),
    [
        ("dcgan-stdout.txt", "pytorch/examples DCGAN", 60, "convergence failure", {WINS}),
        ("dcgan-every-10th-step.csv", "pytorch/examples DCGAN", 80, "convergence failure", {WINS}),
        ("four-digits-zero.csv", "pytorch/examples DCGAN", 120, "convergence failure", {WINS}),
        ("percent-accuracies.csv", "", 120, "convergence failure", {WINS}),
        ("pix2pix-loss_log-vanilla.txt", "pix2pix", 60, "convergence failure", {WINS}),
        ("pix2pix-loss_log-lsgan.txt", "pix2pix", 60, "undetermined", set()),
        ("one-row-an-epoch.csv", "", 120, "convergence failure", {WINS, NO_BALANCE}),
        ("keras-history.json", "", 50, "convergence failure", {WINS, NO_BALANCE}),
        ("wandb-chart-export.csv", "W&B, a chart's export", 60, "convergence failure", {WINS}),
        ("stylegan-stats.jsonl", "StyleGAN2-ADA / StyleGAN3", 40, "convergence failure", {WINS, NO_BALANCE}),
        ("studiogan-nan.log", "StudioGAN", 8, "divergence", {"divergence"}),
        ("relativistic-hinge.csv", "", 120, "undetermined", set()),
        ("relativistic-hinge-stdout.txt", "", 6, "undetermined", set()),
        ("wgan-gp-large.csv", "", 300, "undetermined", set()),
    ],
)
def test_a_log_as_somebody_had_it_gets_the_right_answer(
    name: str, form: str, rows: int, verdict: str, findings: set[str]
) -> None:
    found = ganclinic.diagnose(CASES / name)
    assert len(found.reading.history.steps) == rows
    assert (f"read as a log of {form}" in said(found)) == bool(form)
    assert found.diagnosis.verdict == verdict
    assert {finding.name for finding in found.diagnosis.findings} <= findings
    assert bool(found.diagnosis.findings) == bool(findings)


@pytest.mark.parametrize(
    ("name", "objective", "units", "real", "fake"),
    [
        ("dcgan-stdout.txt", "bce", "the sum of its parts", (0.97, 1.0), (0.97, 1.0)),
        ("dcgan-every-10th-step.csv", "bce", "a row every 10 steps", (0.97, 1.0), (0.97, 1.0)),
        ("four-digits-zero.csv", "bce", "the sum of its parts", (0.99, 1.0), (0.99, 1.0)),
        ("percent-accuracies.csv", "bce", "it was read as percents", (0.99, 1.0), (0.99, 1.0)),
        ("pix2pix-loss_log-vanilla.txt", "bce", "", (0.99, 1.0), (0.99, 1.0)),
        ("pix2pix-loss_log-lsgan.txt", "lsgan", "", (0.0, 0.5), (0.0, 0.5)),
        ("one-row-an-epoch.csv", "bce", "one row an epoch", (0.95, 1.0), (0.95, 1.0)),
        ("keras-history.json", "bce", "means of epochs", (0.98, 1.0), (0.98, 1.0)),
        ("wandb-chart-export.csv", "bce", "the mean of its parts", (0.99, 1.0), (0.99, 1.0)),
        ("stylegan-stats.jsonl", "bce", "the sum of its parts", (0.975, 0.99), (0.98, 0.995)),
        ("wgan-gp-large.csv", "wgan", "the mean of its parts", (math.nan, math.nan), (math.nan, math.nan)),
    ],
)
def test_accuracies_and_units_of_a_case_are_those_that_its_numbers_have(
    name: str, objective: str, units: str, real: tuple[float, float], fake: tuple[float, float]
) -> None:
    found = ganclinic.diagnose(CASES / name)
    assert found.reading.implied.objective == objective
    assert units in said(found)
    steps = found.reading.history.steps
    for column, (least, most) in (("d_acc_real", real), ("d_acc_fake", fake)):
        accuracy = float(np.median(steps[-20:, STEP_COLUMNS.index(column)]))
        assert least <= accuracy <= most or math.isnan(least) == math.isnan(accuracy) is True


def test_a_nan_is_a_divergence_with_full_confidence() -> None:
    [finding] = ganclinic.diagnose(CASES / "studiogan-nan.log").diagnosis.findings
    assert (finding.name, finding.confidence) == ("divergence", 1.0)


def test_signs_are_accuracies_exactly() -> None:
    [table] = read_logs([CASES / "stylegan-stats.jsonl"])
    assert table.columns["d_acc_real"].values[0] == pytest.approx((1 + 0.9661728788005147) / 2)
    assert table.columns["d_acc_fake"].values[0] == pytest.approx((1 + 0.9803653454370002) / 2)


@pytest.mark.parametrize("name", ["relativistic-hinge.csv", "relativistic-hinge-stdout.txt"])
def test_an_objective_that_the_numbers_leave_open_is_asked_for(name: str) -> None:
    found = ganclinic.diagnose(CASES / name)
    assert found.reading.implied.left == ("hinge", "relativistic-hinge")
    assert "would fit, too" in found.reading.implied.why
    assert "--objective" in found.would_decide
    assert ganclinic.diagnose(CASES / name, objective="relativistic-hinge").diagnosis.findings == ()


def test_what_a_bracket_counts_to_says_how_many_updates_an_epoch_has() -> None:
    """Rows of [0/32], [10/32], [20/32] and [30/32] are of 8 updates each, though 10 lie from one to the next."""
    history = ganclinic.diagnose(CASES / "dcgan-stdout.txt").reading.history
    assert (history.updates_per_row, history.updates) == (8, 8 * len(history.steps))


def test_losses_that_cannot_be_cross_entropies_are_read_as_a_critics_and_that_is_said() -> None:
    found = ganclinic.diagnose(CASES / "wgan-gp-large.csv")
    assert found.reading.implied.why.startswith("these cannot be cross-entropies (")
    assert found.reading.implied.why.endswith("they were read as those of a critic")


def test_no_accuracy_beyond_1_is_told_of_a_nan() -> None:
    assert "d_acc" not in said(ganclinic.diagnose(CASES / "studiogan-nan.log"))


def test_the_missing_half_is_named_by_a_column_where_the_file_does_not_say_it() -> None:
    with pytest.raises(ganclinic.GanClinicError, match=r"--column d_loss='tensorboard-one-tag' or --column g_loss="):
        ganclinic.diagnose(CASES / "tensorboard-one-tag.csv")
    found = ganclinic.diagnose(CASES / "tensorboard-one-tag.csv", columns={"d_loss": "tensorboard-one-tag"})
    assert found.reading.sources == {"step": "step", "d_loss": "tensorboard-one-tag"}


def test_half_of_a_history_asks_for_the_other_half(tmp_path: Path) -> None:
    path = CASES / "tensorboard-one-tag.csv"
    with pytest.raises(ganclinic.GanClinicError, match=r"holds one metric.*file of the other one beside it"):
        ganclinic.diagnose(path)
    one = shutil.copy(path, tmp_path / "run-a-tag-Loss_D.csv")
    other = shutil.copy(path, tmp_path / "run-a-tag-Loss_G.csv")
    found = ganclinic.diagnose([one, other])
    assert found.reading.sources == {"step": "step", "d_loss": "Loss_D", "g_loss": "Loss_G"}
    assert len(found.reading.history.steps) == 40


def test_the_clients_install_reads_every_case_without_torch_and_what_the_service_needs() -> None:
    code = """
import sys

MISSING = {"torch", "torchvision", "sklearn", "scipy", "fastapi", "sqlalchemy", "celery", "tensorboard", "matplotlib"}

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in MISSING:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Missing())
import ganclinic
for path in sys.argv[1:]:
    print(ganclinic.diagnose(path).diagnosis.verdict)
"""
    cases = [path for path in sorted(CASES.iterdir()) if path.name != "tensorboard-one-tag.csv"]
    done = subprocess.run([sys.executable, "-c", code, *cases], capture_output=True, text=True, check=False)
    assert (done.stderr, len(done.stdout.splitlines())) == ("", len(cases))
