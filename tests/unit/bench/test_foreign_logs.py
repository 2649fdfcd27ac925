"""Every trainer's log, written and read back: what was written is what is understood."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.foreign.games import PARTS, SIGNALS, Game, Part, Training, planned
from bench.foreign.logs import figures, is_found, judged_log, known
from bench.foreign.speed import FORMS, ROWS
from bench.foreign.writers import LOG_FORMATS, LogFormat
from bench.results import RESULTS
from ganclinic.history_following import LOOK_INTERVAL_S, LOOKING
from ganlib.diagnosis.statistics.oscillation import SHORTEST
from ganlib.foreign_logs.reading.files import read_logs
from tests.support.images import CHECKOUT

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


# --- what was measured ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def measured() -> dict[str, Any]:
    return json.loads((RESULTS / "foreign.json").read_text())["logs"]


def share(figure: dict[str, Any]) -> str:
    return f"{100 * figure['right'] / figure['of']:.1f} %"


def words_of(section: str, document: str) -> str:
    text = (CHECKOUT / "docs" / document).read_text("utf-8")
    return " ".join(re.split(r"\n##+ ", text.split(f"# {section}\n")[1])[0].split())


@pytest.mark.parametrize("part", PARTS)
def test_every_training_was_judged_in_every_format_and_no_healthy_one_is_called_severe(
    measured: dict[str, Any], part: Part
) -> None:
    found = measured[part]
    assert found["trainings"] == len(PARTS[part]) * len(planned(part))
    written = sum(len(set(form.games) & set(PARTS[part])) for form in LOG_FORMATS) * len(planned(part))
    assert found["logs"] == found["read"] == written
    assert found["formats"] == len(LOG_FORMATS)
    assert found["healthy_logs"] >= 100
    assert found["healthy_logs_with_a_severe_finding"] == 0


def test_no_training_is_studied_and_reported() -> None:
    assert not set(planned("studied")) & set(planned("reported"))


def test_the_figures_of_logs_in_the_docs_are_those_of_the_file(measured: dict[str, Any]) -> None:
    found, studied = measured["reported"], measured["studied"]
    failures, same = found["failures_found_of_those_shown"], found["as_by_every_step"]
    told = found["failures_found_where_told_the_objective"]
    short = same["of"] - found["as_by_every_step_but_for_swings_in_too_few_rows"]["of"]
    false = f"{found['healthy_logs_with_a_severe_finding']} of the {found['healthy_logs']}"
    assert (
        f"Of {found['logs']} logs of {found['trainings']} trainings, written as fifteen trainers write and judged "
        f"without a word on what was trained, {found['read']} are read. {false} of trainings with nothing wrong "
        f"get a severe finding. {failures['right']} of {failures['of']} failures that losses can show are found "
        f"({share(failures)}; {share(told)} with `--objective`), and the verdict is that of every step at full "
        f"precision in {same['right']} ({share(same)}); {short} logs are of oscillations and have fewer than "
        f"{SHORTEST} rows, which cannot show them. These trainings were made and judged after the rules had been "
        f"mended by {studied['trainings']} others."
    ) in words_of("How right it is", "foreign-logs.md")
    section = words_of("Logs as trainers write them", "findings.md")
    assert f"ruleset {measured['ruleset']}, {measured['measured_on']}" in section
    for name in (figure for figure in found if isinstance(found[figure], dict) and "share" in found[figure]):
        if name in ("objective_taken_is_true", "whole_histories_that_find_what_they_show"):
            continue
        cells = (f"{p[name]['right']} of {p[name]['of']} ({share(p[name])})" for p in (found, studied))
        assert f"| {' | '.join(cells)} |" in section
    for count in found["misses_by_cause"].values():
        assert f"| {count} | " in section
    assert f"{sum(found['misses_by_cause'].values())} logs of the reported part differ" in section


def test_what_long_logs_cost_in_the_docs_is_what_was_measured() -> None:
    cost = json.loads((RESULTS / "foreign_speed.json").read_text())
    assert (cost["rows"], list(cost["forms"])) == (ROWS, list(FORMS))
    printed, table, lines = cost["forms"].values()
    section = words_of("Logs that grow", "foreign-logs.md")
    assert (
        f"{ROWS:,} printed lines take {printed['cpu_s']} s of one core and {printed['most_memory_mib']} MiB with the "
        f"start of Python, CSV {table['cpu_s']} s, JSON lines {lines['cpu_s']} s"
    ) in section
    assert f"The next look comes {LOOK_INTERVAL_S:.0f} s after the last one" in section
    assert LOOKING == 9
    assert "waits nine times as long as that took" in section
    assert f"{100 * cost['followed']['share_of_a_core']:.1f} % was measured" in section
    assert cost["followed"]["share_of_a_core"] < 1 / (1 + LOOKING) + 0.05
