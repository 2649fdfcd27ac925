# pyright: basic
"""Plain loops as a part of the suite: what they keep for the truth, how answers are counted, and what was measured."""

import json
import math
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from bench.foreign.plain_loop import KINDS, train
from bench.foreign.score import FULL, SEEDS, Said, Way, answer, by_kind, row_of, steps_of, surer, totals
from bench.foreign.truth import NOTHING_WRONG, Known, known
from bench.results import RESULTS
from ganlib.foreign_logs.history import read_history
from ganlib.records import STEP_COLUMNS

WINS: Any = "convergence failure: discriminator wins"
NO_EQUILIBRIUM: Any = "convergence failure: no equilibrium"
COLLAPSE: Any = "mode collapse"
SLOW: Any = "slow convergence"
FINDINGS = Path(__file__).parents[3] / "docs" / "findings.md"


def true(*labels: Any, expected: str | None = None) -> Known:
    return Known(labels=labels, expected=expected or labels[0], quality=0.1, missing=math.nan)


def said(*names: Any, verdict: str = "undetermined", sure: float = 0.5) -> Said:
    harmful = tuple(name for name in names if name != SLOW)
    said_verdict = harmful[0].split(":")[0] if harmful else verdict
    return Said(verdict=said_verdict, findings=dict.fromkeys(names, sure), harmful=harmful)


# --- what a loop keeps ------------------------------------------------------------------------------------------


def unlogged(kind: str, steps: int = 40) -> tuple[dict[str, Any], dict[str, Any]]:
    trained = train(kind, seed=0, steps=steps, epochs=2)
    assert trained.unlogged.shape == (steps, len(STEP_COLUMNS))
    return trained.history, dict(zip(STEP_COLUMNS, trained.unlogged.T, strict=True))


@pytest.mark.parametrize("kind", ["points", "swapped labels", "squashed twice"])
def test_what_the_log_leaves_out_is_of_the_same_steps(kind: str) -> None:
    log, kept = unlogged(kind)
    assert kept["d_loss_real"] + kept["d_loss_fake"] == pytest.approx(log["Loss_D"], abs=1e-5)
    assert kept["g_loss"] == pytest.approx(log["Loss_G"], abs=1e-5)
    assert all(((kept[name] >= 0) & (kept[name] <= 1)).all() for name in ("d_acc_real", "d_acc_fake", "d_auc"))
    assert (kept["d_grad_norm"] > 0).all()
    assert (kept["g_grad_norm"] > 0).all()


def test_accuracies_are_by_the_labels_that_are_taught() -> None:
    log, kept = unlogged("swapped labels", 400)
    assert kept["d_acc_real"][-50:].mean() > 0.98
    assert kept["d_acc_fake"][-50:].mean() > 0.98
    assert np.mean(log["D(x)"][-50:]) < 0.1
    assert kept["d_auc"][-50:].mean() < 0.02
    assert np.mean(log["Loss_G"][-50:]) < 0.1


def test_only_a_log_of_swapped_labels_contradicts_itself() -> None:
    notes = {kind: read_history(unlogged(kind, 60)[0], d_loss="sum").notes for kind in ("points", "swapped labels")}
    said = {kind: [note for note in own if "contradict each other" in note] for kind, own in notes.items()}
    assert (len(said["points"]), len(said["swapped labels"])) == (0, 2)


def test_a_second_sigmoid_leaves_losses_that_cannot_vanish() -> None:
    log, _ = unlogged("squashed twice")
    assert min(log["Loss_D"]) >= -math.log(1 / (1 + math.exp(-1))) + math.log(2) - 1e-5
    assert min(log["Loss_G"]) >= -math.log(1 / (1 + math.exp(-1))) - 1e-5


def test_the_truth_of_points_is_their_exact_modes_and_the_hidden_accuracies(tmp_path: Path) -> None:
    trained = train("discriminator wins", seed=0, steps=400, epochs=4)
    found = known("discriminator wins", 0, trained.unlogged, trained.fakes, tmp_path)
    assert found.labels[0] == WINS
    assert (found.expected, found.quality) == (WINS, 0)
    good = dict.fromkeys(range(5), trained.real[:1000])
    kept = np.tile(np.array([0.65, 0.65, 0.9, 0.7, 0.7, 1, 1, 0.7], np.float32), (400, 1))
    healthy = known("points", 0, kept, good, tmp_path)
    assert (healthy.expected, healthy.labels, healthy.missing) == ("healthy", (), 0)
    assert healthy.quality == pytest.approx(1, abs=0.03)
    half = dict.fromkeys(range(5), trained.real[trained.real[:, 0] > 0.1][:1000])
    assert known("points", 0, kept, half, tmp_path).labels == (COLLAPSE, "deceptive loss")


# --- how answers are counted ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("way", "saying", "truth", "expected"),
    [
        (FULL, said(WINS, COLLAPSE), true(WINS, COLLAPSE), "right"),
        (FULL, said(NO_EQUILIBRIUM), true(WINS, COLLAPSE), "in part"),
        (FULL, said(COLLAPSE), true(WINS, COLLAPSE), "in part"),
        (FULL, said(COLLAPSE), true(WINS), "wrong"),
        (FULL, said(WINS), true(expected="healthy"), "wrong"),
        (FULL, said(verdict="healthy"), true(COLLAPSE), "wrong"),
        (FULL, said(SLOW, verdict="healthy"), true(expected="healthy"), "right"),
        (FULL, said(verdict="healthy"), true(expected=NOTHING_WRONG), "right"),
        (FULL, said(verdict="healthy"), true(expected="undetermined"), "wrong"),
        (FULL, said(), true(expected=NOTHING_WRONG), "right"),
        (FULL, said(), true(expected="undetermined"), "right"),
        (FULL, said(), true(expected="healthy"), "undetermined"),
        (FULL, said(), true(COLLAPSE), "undetermined"),
        ("log", said(), true(expected="undetermined"), "undetermined"),
        ("losses", said(WINS), true(WINS), "right"),
    ],
)
def test_answers_on_literal_cases(way: Way, saying: Said, truth: Known, expected: str) -> None:
    assert answer(way, saying, truth) == expected


def test_an_alarm_is_denied_by_the_truth_and_by_who_has_seen_the_fakes() -> None:
    row = row_of("points", 0, true(COLLAPSE), {"log": said(WINS, SLOW), FULL: said(COLLAPSE), "losses": said()})
    assert row["ways"]["log"]["false"] == row["ways"]["log"]["denied"] == [WINS]
    agreed = row_of("points", 0, true(COLLAPSE), {"log": said(WINS), FULL: said(WINS), "losses": said()})
    assert (agreed["ways"]["log"]["false"], agreed["ways"]["log"]["denied"]) == ([WINS], [])
    total = totals([row, agreed])
    assert (total["log"]["wrong"], total["log"]["runs_with_false_alarms"], total["log"]["runs_with_denied_alarms"]) == (
        2,
        2,
        1,
    )
    assert (total["losses"]["undetermined"], total[FULL]["right"], total[FULL]["wrong"]) == (2, 1, 1)


def test_who_has_seen_less_is_too_sure_only_of_what_both_say() -> None:
    assert surer(said(WINS, sure=0.6), said(WINS, sure=0.5)) == [WINS]
    assert surer(said(WINS, sure=0.5), said(WINS, sure=0.5)) == []
    assert surer(said(WINS, sure=0.9), said(COLLAPSE, sure=0.5)) == []


# --- what was measured ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def measured() -> dict[str, Any]:
    return json.loads((RESULTS / "foreign.json").read_text())


def test_every_kind_was_measured_over_every_seed(measured: dict[str, Any]) -> None:
    rows = [(row["kind"], row["seed"], row["steps"]) for row in measured["rows"]]
    assert rows == [(kind, seed, steps_of(kind)) for kind in KINDS for seed in SEEDS]


def test_totals_are_those_of_the_rows(measured: dict[str, Any]) -> None:
    assert measured["totals"] == totals(measured["rows"])
    assert measured["kinds"] == by_kind(measured["rows"])
    for total in measured["totals"].values():
        assert total["right"] + total["in_part"] + total["undetermined"] + total["wrong"] == total["runs"]


def test_nobody_is_surer_for_having_seen_less(measured: dict[str, Any]) -> None:
    assert [total["surer_than_with_more"] for total in measured["totals"].values()] == [0, 0, 0]


def test_the_figures_in_the_docs_are_those_of_the_file(measured: dict[str, Any]) -> None:
    section = FINDINGS.read_text("utf-8").split("## Other people's histories\n")[1].split("\n## ")[0]
    assert f"ruleset {measured['ruleset']}" in " ".join(section.split())
    assert measured["measured_on"] in section
    assert measured["machine"]["torch"] in section
    for way, total in measured["totals"].items():
        cells = (total[name] for name in ("right", "in_part", "undetermined", "wrong", "runs_with_false_alarms"))
        denied = "–" if way == FULL else total["runs_with_denied_alarms"]
        assert f"| {way} | {' | '.join(map(str, cells))} | {denied} |" in section
    shown = [row for row in measured["rows"] if row["expected"].startswith("convergence failure")]
    log, losses = (sum(row["ways"][way]["answer"] == "right" for row in shown) for way in ("log", "losses"))
    assert (
        f"{len(shown)} of the {len(measured['rows'])} trainings fail in a way that a log can show: "
        f"the log alone finds {log} of them, the losses alone {losses}."
    ) in " ".join(section.split())
    for kind, one in measured["kinds"].items():
        truths = ", ".join(f"{name} {count}" for name, count in one["expected"].items())
        rights = " | ".join(f"{one['right'][way]} of {one['runs']}" for way in get_args(Way))
        assert f"| {kind} | {truths} | {rights} |" in section
