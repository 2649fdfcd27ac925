"""Every trainer's log, written and read back: what was written is what is understood."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.foreign.games import SIGNALS, Game, Training
from bench.foreign.logs import figures, is_found, judged_log, known
from bench.foreign.writers import LOG_FORMATS, LogFormat
from ganlib.foreign_logs.reading.files import read_logs

STEPS = 1000
BALANCED = {
    "d_loss_real": 0.66,
    "d_loss_fake": 0.67,
    "g_loss": 0.75,
    "d_acc_real": 0.6,
    "d_acc_fake": 0.58,
    "d_auc": 0.6,
    "g_acc": 0.42,
    "d_x": 0.52,
    "d_g_z": 0.48,
    "d_g_z_after": 0.47,
    "d_logit_real": 0.1,
    "d_logit_fake": -0.1,
    "penalty": 0.0,
}
WON = BALANCED | {
    "d_loss_real": 0.001,
    "d_loss_fake": 0.001,
    "g_loss": 9.0,
    "d_acc_real": 1.0,
    "d_acc_fake": 1.0,
    "d_auc": 1.0,
    "g_acc": 0.0,
    "d_x": 0.999,
    "d_g_z": 0.001,
    "d_g_z_after": 0.001,
    "d_logit_real": 8.0,
    "d_logit_fake": -8.0,
}


def made(levels: dict[str, float], game: Game = "bce") -> Training:
    """A training that stays around levels, with fakes far from all modes."""
    rng = np.random.default_rng(0)
    steps = np.tile([levels[name] for name in SIGNALS], (STEPS, 1))
    steps[:, :3] *= rng.uniform(0.95, 1.05, (STEPS, 3))
    fakes = rng.normal(0, 0.2, (2000, 2))
    return Training(game=game, fault="healthy", seed=0, steps=steps.astype(np.float32), fakes=fakes.astype(np.float32))


@pytest.mark.parametrize("form", LOG_FORMATS, ids=lambda form: form.name)
def test_a_log_is_read_with_what_was_written(form: LogFormat, tmp_path: Path) -> None:
    t = made(BALANCED, form.games[0])
    tables = read_logs([form.write(t, tmp_path)])
    [table] = [one for one in tables if one.name.endswith(form.run)] if form.run else tables
    levels = {signal: float(np.nanmedian(column.values)) for signal, column in table.columns.items()}
    if "d_loss" in levels:
        total = levels["d_loss"] * (2 if table.d_loss != "sum" and form.name not in SUMS else 1)
        assert total == pytest.approx(1.33, abs=0.03)
    else:
        assert levels["d_loss_real"] == pytest.approx(0.66, abs=0.03)
        assert levels["d_loss_fake"] == pytest.approx(0.67, abs=0.03)
    if "g_loss" in levels:  # a weight that nobody says hides it in BasicSR's
        assert levels["g_loss"] == pytest.approx(0.75, abs=0.03)
    if "d_acc_real" in levels:
        assert levels["d_acc_real"] == pytest.approx(0.6)


SUMS = {"TensorBoard events", "W&B chart export", "TensorBoard CSV, two runs"}
"""Formats that do not say that their `d_loss` is a sum, which is what was written here."""


@pytest.mark.parametrize("form", [f for f in LOG_FORMATS if "bce" in f.games], ids=lambda form: form.name)
def test_a_discriminator_that_wins_is_found_and_one_in_balance_is_not(form: LogFormat) -> None:
    if form.name != "BasicSR":  # its generator's loss has a weight, without which nobody wins
        assert is_found(judged_log(known(made(WON)), form))
    assert judged_log(known(made(BALANCED)), form)["severe"] == []


def test_figures_count_what_is_missed() -> None:
    won, balanced = known(made(WON)), known(made(BALANCED))
    assert (won.true, won.shown, balanced.true) == ("convergence failure: discriminator wins", True, None)
    rows = [judged_log(one, LOG_FORMATS[0]) for one in (won, balanced)]
    found = figures(rows, [won, balanced])
    assert found["failures_found_of_those_shown"] == {"of": 1, "right": 1, "share": 1.0}
    assert (found["healthy_logs_with_a_severe_finding"], found["misses"]) == (0, [])
    wrong = [rows[0] | {"verdict": "undetermined"}, rows[1] | {"severe": ["divergence"]}, rows[0] | {"read": False}]
    counted = figures(wrong, [won])
    assert len(counted["misses"]) == 3
    assert (counted["read"], counted["healthy_logs_with_a_severe_finding"]) == (2, 1)


def test_what_is_true_comes_from_every_step_and_from_the_fakes() -> None:
    assert known(made(BALANCED | {"d_acc_real": 1.0, "d_acc_fake": 0.0})).true == (
        "convergence failure: discriminator inert"
    )
    assert known(made(WON | {"g_acc": 0.9, "g_loss": 0.1})).true == "convergence failure: both losses vanish"
    assert known(made(BALANCED | {"g_loss": float("nan")})).true == "divergence"
    alike = replace(made(BALANCED), fakes=np.zeros((2000, 2), np.float32))
    assert known(alike).true == "mode collapse"
    assert not known(made(WON, "wgan-gp")).shown
