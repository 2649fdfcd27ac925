"""Histories of other trainers: whose columns are understood, what is concluded from them, and what is not."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ganlib.diagnosis.prescribe import PRESCRIPTIONS
from ganlib.findings import FINDING_NAMES
from ganlib.foreign_logs.column_names import InvalidHistory, signal_of
from ganlib.foreign_logs.history import NEEDS, OBJECTIVES, diagnose_history, diagnose_reading, read_history
from ganlib.foreign_logs.table import table_of
from ganlib.records import STEP_COLUMNS, EpochEvaluation, Null
from ganlib.spec.objective import Objective

WINS = {"d_loss_real": 0.001, "d_loss_fake": 0.002, "g_loss": 9.0, "d_acc_real": 1.0, "d_acc_fake": 1.0}
HEALTHY = {"d_loss_real": 0.65, "d_loss_fake": 0.62, "g_loss": 0.9, "d_acc_real": 0.7, "d_acc_fake": 0.72}


def held(levels: dict[str, float], rows: int = 300) -> dict[str, Any]:
    return {name: np.full(rows, level) for name, level in levels.items()}


def constant(rows: int = 300, **levels: float) -> dict[str, Any]:
    return held(levels, rows)


def names_found(history: dict[str, Any], **options: Any) -> list[str]:
    return [finding.name for finding in diagnose_history(history, **options).diagnosis.findings]


# --- names ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("signal", "names"),
    [
        ("d_loss", ["d_loss", "loss_d", "D_loss", "errD", "Loss_D", "Loss D", "loss/discriminator", "critic-loss"]),
        ("d_loss", ["train/d_loss", "discriminator_loss", "lossD", "DLoss", "disc loss", "d_loss_step", "netD.loss"]),
        ("d_loss_real", ["d_loss_real", "errD_real", "loss_D_real", "D/real/loss", "disc_real_loss", "real_loss"]),
        ("d_loss_fake", ["d_loss_fake", "errD_fake", "loss_D_fake", "d_loss_generated", "Loss/discriminator/fake"]),
        ("g_loss", ["g_loss", "errG", "loss_G", "generator_loss", "Generator Loss", "avg_gen_loss", "\uff47_loss"]),
        ("d_acc_real", ["d_acc_real", "D acc (real)", "discriminator_accuracy_real"]),
        ("d_acc_fake", ["d_acc_fake", "acc_fake"]),
        ("d_acc", ["d_acc", "D accuracy"]),
        ("d_x", ["D(x)", "D_x", "Dx", "D( x )"]),
        ("d_g_z", ["D(G(z))", "D_G_z1", "D(G(z1))"]),
        ("d_grad_norm", ["d_grad_norm", "grad_norm/D", "D gradient norm"]),
        ("step", ["step", "global_step", "iteration", "iter", "batch", "_step"]),
        ("epoch", ["epoch", "Epoch", "epochs"]),
    ],
)
def test_columns_of_common_trainers_are_understood(signal: str, names: list[str]) -> None:
    assert [signal_of(name) for name in names] == [signal] * len(names)


@pytest.mark.parametrize(
    "name",
    ["", "time", "lr", "loss", "val_d_loss", "test/g_loss", "d_loss_std", "d_loss_epoch", "D(G(z2))", "loss_D_A"],
)
def test_what_a_name_does_not_say_is_not_guessed(name: str) -> None:
    assert signal_of(name) is None


def test_two_columns_of_one_signal_are_both_named() -> None:
    with pytest.raises(InvalidHistory, match="'errD' and 'loss_D' are both d_loss"):
        read_history(constant(errD=1.0, loss_D=1.0))


def test_a_history_without_a_known_column_names_what_there_is_and_what_is_known() -> None:
    with pytest.raises(InvalidHistory, match=r"there are: 'loss', 'lr'.*d_loss_real"):
        read_history(constant(loss=1.0, lr=1.0))


def test_unknown_columns_are_named_and_left_out() -> None:
    assert read_history(constant(g_loss=1.0, lr=1.0, time=3.0)).left_out == ("lr", "time")


# --- what is concluded ------------------------------------------------------------------------------------------


def test_all_columns_give_the_verdict_of_a_run() -> None:
    found = diagnose_history(held(WINS))
    assert found.diagnosis.verdict == "convergence failure"
    assert found.diagnosis.findings[0].name == "convergence failure: discriminator wins"
    assert found.diagnosis.missing == ("d_grad_norm", "g_grad_norm", "d_auc")
    assert found.reading.bounded == ()


def test_remedies_are_named_without_a_patch_because_no_spec_is_known() -> None:
    [finding] = diagnose_history(held(WINS)).diagnosis.findings
    assert [remedy.name for remedy in finding.remedies] == list(PRESCRIPTIONS[finding.name][:4])
    assert all(remedy.reason and remedy.patch == {} for remedy in finding.remedies)


def test_mean_probabilities_are_no_accuracies() -> None:
    tutorial = held({"errD": 0.9, "errG": 3.0, "D(x)": 0.75, "D(G(z))": 0.2})
    steps = read_history(tutorial).history.steps
    assert steps[0, STEP_COLUMNS.index("d_acc_real")] == 0.5
    assert steps[0, STEP_COLUMNS.index("d_acc_fake")] == pytest.approx(0.6)
    assert read_history(tutorial).bounded == ("d_loss_real", "d_loss_fake", "d_acc_real", "d_acc_fake")
    assert read_history(tutorial).missing[:4] == ("d_loss_real", "d_loss_fake", "d_acc_real", "d_acc_fake")


def test_probabilities_near_1_and_0_bound_accuracies_well_enough_to_see_who_wins() -> None:
    tutorial = {"errD": 0.006, "errG": 8.0, "D(x)": 0.998, "D(G(z))": 0.002}
    assert names_found(held(tutorial), d_loss="sum") == ["convergence failure: discriminator wins"]
    assert names_found(held({**tutorial, "D(x)": 0.9, "errD": 0.2}), d_loss="sum") == []


def test_small_losses_alone_bound_accuracies_but_only_where_a_loss_has_levels() -> None:
    history = constant(loss_D=0.003, loss_G=8.0)
    for objective in (None, "bce", "hinge"):
        assert names_found(history, objective=objective) == ["convergence failure: discriminator wins"]
    for objective in ("wgan", "lsgan", "relativistic", "relativistic-hinge", "other"):
        assert names_found(history, objective=objective) == []


def test_everything_called_real_is_seen_from_mean_probabilities() -> None:
    tutorial = {"errD": 50.0, "errG": 0.001, "D(x)": 1.0, "D(G(z))": 0.999}
    assert names_found(held(tutorial)) == ["convergence failure: discriminator inert"]


@given(st.integers(0, 10_000), st.integers(1, 60))
@settings(deadline=None, max_examples=60)
def test_bounds_hold_for_any_discriminator(seed: int, samples: int) -> None:
    rng = np.random.default_rng(seed)
    p = 1 / (1 + np.exp(-rng.normal(0, 3, (20, samples)) - rng.normal(0, 6)))
    q = 1 / (1 + np.exp(-rng.normal(0, 3, (20, samples)) - rng.normal(0, 6)))
    history = {
        "d_loss": (-np.log(p).mean(axis=1) - np.log1p(-q).mean(axis=1)) / 2,
        "D(x)": p.mean(axis=1),
        "D(G(z))": q.mean(axis=1),
    }
    steps = read_history(history).history.steps
    for name, right in (("d_acc_real", p > 0.5), ("d_acc_fake", q < 0.5)):
        estimate, accuracy = steps[:, STEP_COLUMNS.index(name)], right.mean(axis=1)
        assert (1 - accuracy <= 2 * (1 - estimate) + 1e-5).all()
        assert (accuracy <= 2 * estimate + 1e-5).all()


def test_a_loss_of_both_parts_is_their_mean_or_their_sum_as_one_says() -> None:
    parts = [STEP_COLUMNS.index(name) for name in ("d_loss_real", "d_loss_fake")]
    mean, total = (read_history(constant(errD=1.2, errG=1.0), d_loss=kind) for kind in ("mean", "sum"))
    assert mean.history.steps[0, parts] == pytest.approx([1.2, 1.2])
    assert total.history.steps[0, parts] == pytest.approx([0.6, 0.6])
    assert mean.missing[:2] == ("d_loss_real", "d_loss_fake")
    assert not any("say so" in note for note in mean.notes)
    assert any("say so: --d-loss sum" in note for note in read_history(constant(errD=1.2, errG=1.0)).notes)


def test_one_part_follows_from_the_mean_and_the_other() -> None:
    reading = read_history(constant(d_loss=0.5, d_loss_real=0.2, g_loss=1.0))
    assert reading.history.steps[0, :2] == pytest.approx([0.2, 0.8])
    assert "d_loss_fake" not in reading.missing


def test_a_loss_and_probabilities_that_contradict_each_other_are_named() -> None:
    swapped = held({"errD": 0.01, "errG": 0.01, "D(x)": 0.02, "D(G(z))": 0.98})
    said = [note for note in read_history(swapped, d_loss="sum").notes if "contradict each other" in note]
    assert len(said) == 2
    assert said[0].startswith("the history, row 1: the first of 300 rows in which 'errD' and 'D(x)' contradict")
    assert "d_acc_real at least 0.99 by one, at most 0.04 by another). Are labels" in said[0]
    assert "'errD' and 'D(G(z))'" in said[1]
    rounded = held({"errD": 0.01 * math.log(2), "D(x)": 0.48, "D(G(z))": 0.0})  # at least .98 right, at most .96
    assert not any("contradict" in note for note in read_history(rounded).notes)


@given(st.integers(0, 10_000), st.integers(1, 60))
@settings(deadline=None, max_examples=30)
def test_what_one_discriminator_gives_never_contradicts_itself(seed: int, samples: int) -> None:
    rng = np.random.default_rng(seed)
    p, q = (1 / (1 + np.exp(rng.normal(0, 3, (20, samples)) + rng.normal(0, 6))) for _ in range(2))
    loss = -np.log(p).mean(axis=1) - np.log1p(-q).mean(axis=1)
    history = {"Loss_D": loss.round(4), "D(x)": p.mean(axis=1).round(4), "D(G(z))": q.mean(axis=1).round(4)}
    assert not any("contradict" in note for note in read_history(history, d_loss="sum").notes)


def test_percents_are_read_as_shares_and_what_is_neither_is_no_evidence() -> None:
    percents = read_history(constant(d_acc_real=63.0, d_acc_fake=100.0, g_loss=1.0))
    assert percents.history.steps[0, 3:5] == pytest.approx([0.63, 1.0])
    assert any("d_acc_real goes up to 63: it was read as percents" in note for note in percents.notes)
    scores = diagnose_history(constant(d_acc_real=2889.0, d_acc_fake=-3.0, d_loss=-40.0, g_loss=9.0))
    assert scores.diagnosis.findings == ()
    assert any("d_acc_real goes from 2889" in n and n.endswith("not used") for n in scores.reading.notes)


def test_outputs_that_are_no_probabilities_bound_nothing() -> None:
    reading = read_history(held({"D(x)": -3.2, "g_loss": 1.0}))
    assert "d_acc_real" not in reading.bounded
    assert any("no probability" in note for note in reading.notes)


def test_missing_signals_lower_confidence_and_are_named_with_what_they_hide() -> None:
    full, poor = diagnose_history(held(WINS)), diagnose_history(constant(loss_D=0.002, loss_G=9.0))
    assert poor.diagnosis.findings[0].name == full.diagnosis.findings[0].name
    assert poor.diagnosis.findings[0].confidence < full.diagnosis.findings[0].confidence
    assert "mode collapse" in full.unsaid["fakes and reals"]
    assert "convergence failure: discriminator inert" in poor.unsaid["d_acc_real"]
    assert "d_acc_real" not in full.unsaid


def test_every_finding_says_what_it_needs_and_every_objective_is_known() -> None:
    assert tuple(NEEDS) == FINDING_NAMES
    named = {member.model_fields["name"].default for member in Objective.__args__[0].__args__}  # pyright: ignore
    assert set(OBJECTIVES) == named | {"relativistic-hinge", "other"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"objective": "gan"}, "objective: 'gan' is not known; allowed: bce"),
        ({"d_loss": "max"}, "d_loss: 'max' is not known; allowed: mean, sum"),
        ({"steps_per_epoch": 0}, "steps_per_epoch: 0; allowed: 1"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidHistory, match=words):
        read_history(constant(g_loss=1.0), **options)


# --- values that are none ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e300])
@pytest.mark.parametrize("name", ["g_loss", "d_loss", "d_loss_fake", "d_grad_norm"])
def test_values_that_are_not_finite_are_a_divergence_and_are_named(name: str, value: float) -> None:
    history = constant(g_loss=1.0) | held({name: 1.0})
    history[name][280:] = value
    found = diagnose_history(history)
    assert found.diagnosis.verdict == "divergence"
    if not math.isfinite(value):
        assert any(f"row 281, column '{name}': the first of 20" in note for note in found.reading.notes)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["D(x)", "D(G(z))", "d_acc"])
def test_bounds_that_are_not_finite_are_not_used_and_are_named(name: str, value: float) -> None:
    history = constant(g_loss=1.0) | held({name: 0.5})
    history[name][280:] = value
    reading = read_history(history)
    assert not np.isinf(reading.history.steps).any()
    assert any(f"row 281, column '{name}': the first of 20" in n and n.endswith("; not used") for n in reading.notes)
    assert diagnose_history(history).diagnosis.verdict != "divergence"


def test_a_loss_that_its_parts_make_needless_is_not_called_data_where_it_is_not_finite() -> None:
    history = held(HEALTHY) | held({"d_loss": math.nan})
    assert any("300 values that are not finite; not used" in note for note in read_history(history).notes)
    one = constant(d_loss=math.inf, d_loss_real=0.5, g_loss=1.0)
    assert any("300 values that are not finite; kept as data" in note for note in read_history(one).notes)


def test_a_divergence_after_the_last_whole_epoch_is_seen() -> None:
    history = held(HEALTHY, 250)
    history["g_loss"][249] = math.nan
    found = diagnose_history(history, steps_per_epoch=100)
    assert found.diagnosis.verdict == "divergence"
    assert any("last 50 rows" in note for note in found.reading.notes)


# --- order and epochs -------------------------------------------------------------------------------------------


def rows_per_epoch(history: dict[str, Any], **options: Any) -> tuple[int, bool]:
    reading = read_history(history, **options)
    return reading.history.steps_per_epoch, reading.epochs_known


def test_epochs_are_those_of_the_column() -> None:
    epoch = np.repeat(np.arange(3), 100)[:-30]
    history = constant(rows=270, g_loss=1.0) | {"epoch": epoch}
    assert rows_per_epoch(history) == (100, True)
    assert any("begins at 0" in note for note in read_history(history).notes)


def test_epochs_of_different_lengths_are_about_right_and_say_so() -> None:
    epoch = np.repeat([1, 2, 3, 4], [31, 32, 31, 32])
    reading = read_history(constant(rows=126, g_loss=1.0) | {"epoch": epoch})
    assert (reading.history.steps_per_epoch, reading.history.epoch) == (31, 4)
    assert any("31 to 32 rows" in note for note in reading.notes)


@pytest.mark.parametrize(
    ("steps", "by_column", "rows", "made"),
    [(391, True, 4, 97), (190, True, 2, 95), (250, False, 3, 83), (391, False, 4, 97)],
)
def test_epochs_that_rows_do_not_part_are_not_called_the_trainers_own(
    steps: int, by_column: bool, rows: int, made: int
) -> None:
    step = np.arange(0, 100 * steps, 100)
    history = constant(rows=len(step), g_loss=1.0) | {"step": step}
    options: dict[str, Any] = {} if by_column else {"steps_per_epoch": steps}
    reading = read_history(history | ({"epoch": step // steps + 1} if by_column else {}), **options)
    assert (reading.history.steps_per_epoch, reading.history.epoch, reading.epochs_known) == (rows, made, False)
    assert any(f"every {rows} rows" in note and f"{made} of the trainer's 100" in note for note in reading.notes)
    assert not any("about right" in note for note in reading.notes)


@pytest.mark.parametrize(("steps", "rows"), [(390, 4), (250, 2), (410, 4)])
def test_few_epochs_that_rows_nearly_part_are_the_trainers_own(steps: int, rows: int) -> None:
    step = np.arange(0, 5 * steps, 100)
    history = constant(rows=len(step), g_loss=1.0) | {"step": step}
    assert rows_per_epoch(history, steps_per_epoch=steps) == (rows, True)


def test_one_row_an_epoch_is_weaker_evidence_and_not_none() -> None:
    by_step = diagnose_history(held(WINS, 400)).diagnosis.findings[0]
    found = diagnose_history(held(WINS, 40) | {"epoch": np.arange(1, 41)})
    assert found.reading.history.steps_per_epoch == 1
    assert (found.diagnosis.verdict, found.diagnosis.epoch) == ("convergence failure", 40)
    assert any("one row an epoch, 40 in all" in note for note in found.reading.notes)
    means = replace(table_of(held(WINS, 40) | {"epoch": np.arange(1, 41)}), row_span="epoch")
    assert diagnose_reading(read_history(means)).diagnosis.findings[0].confidence < by_step.confidence
    assert diagnose_history(held(WINS, 4) | {"epoch": np.arange(1, 5)}).diagnosis.verdict == "undetermined"


def test_steps_that_begin_anew_are_epochs() -> None:
    reading = read_history(constant(rows=90, g_loss=1.0) | {"batch": np.tile(np.arange(30), 3)})
    assert (reading.history.steps_per_epoch, reading.epochs_known) == (30, True)


def test_rows_are_put_in_order_and_each_step_counts_once() -> None:
    steps, values = np.array([3, 1, 2, 2, 4]), np.array([3.0, 1.0, 0.0, 2.0, 4.0])
    reading = read_history({"step": steps, "g_loss": values})
    assert reading.history.steps[:, STEP_COLUMNS.index("g_loss")].tolist() == [1, 2, 3, 4]
    assert any("order of 'step'" in note for note in reading.notes)
    assert any("1 rows repeat a step" in note for note in reading.notes)


def test_a_row_every_50_steps_and_a_gap_are_said() -> None:
    steps = np.concatenate([np.arange(0, 5000, 50), np.arange(8000, 9000, 50)])
    notes = " ".join(read_history(constant(rows=120, g_loss=1.0) | {"step": steps}).notes)
    assert "a row every 50 steps" in notes
    assert "steps are missing in 1 places, the first between 4950 and 8000 (row 101)" in notes


def test_epochs_without_rows_are_the_trainers_too() -> None:
    steps = np.concatenate([np.arange(0, 5000, 50), np.arange(8000, 9000, 50)])
    reading = read_history(constant(rows=120, g_loss=1.0) | {"step": steps}, steps_per_epoch=1000)
    assert (reading.history.steps_per_epoch, reading.epochs_known) == (20, False)
    assert any("every 20 rows" in note and "6 of the trainer's 9:" in note for note in reading.notes)
    rare = read_history(constant(rows=120, g_loss=1.0) | {"epoch": np.arange(10, 1210, 10)})
    assert (rare.history.epoch, rare.epochs_known) == (120, False)
    assert any("each row is called an epoch" in note and "trainer's 1191:" in note for note in rare.notes)
    resumed = np.repeat([1, 2, 3, 7, 8], 100)
    assert rows_per_epoch(constant(rows=500, g_loss=1.0) | {"epoch": resumed}) == (100, False)
    assert rows_per_epoch(constant(rows=90, g_loss=1.0) | {"it": np.tile(np.arange(30), 3)}, steps_per_epoch=30) == (
        30,
        True,
    )


def test_without_epochs_a_history_is_looked_at_in_parts_and_says_so() -> None:
    assert rows_per_epoch(constant(rows=1000, g_loss=1.0)) == (100, False)
    assert rows_per_epoch(constant(rows=60, g_loss=1.0)) == (60, False)
    assert rows_per_epoch(constant(rows=20_000, g_loss=1.0)) == (400, False)
    assert any("nothing says where epochs end" in note for note in read_history(constant(g_loss=1.0)).notes)


def test_a_finding_has_the_epoch_in_which_it_was_first_seen_and_what_is_over_is_kept() -> None:
    history = {name: np.repeat([HEALTHY[name], WINS[name]], 300) for name in HEALTHY}
    found = diagnose_history(history, steps_per_epoch=100).diagnosis
    assert (found.epoch, found.findings[0].first_epoch) == (6, 4)
    back = {name: np.repeat([HEALTHY[name], WINS[name], HEALTHY[name]], 300) for name in HEALTHY}
    [episode] = diagnose_history(back, steps_per_epoch=100).diagnosis.recovered
    assert (episode.first_epoch, episode.last_epoch) == (4, 6)


@pytest.mark.parametrize("step", [1.5, math.nan])
def test_a_step_that_is_no_whole_number_is_named(step: float) -> None:
    with pytest.raises(InvalidHistory, match=r"row 2, column 'step': there is no whole number"):
        read_history({"step": [1, step], "g_loss": [1.0, 1.0]})


@pytest.mark.parametrize(
    ("history", "words"),
    [
        ({"g_loss": []}, "no values"),
        ({"g_loss": [1.0], "d_loss": [1.0, 2.0]}, "'g_loss' has 1 values, 'd_loss' 2"),
        ({"g_loss": ["a"]}, "'g_loss' holds other things than numbers"),
        ({"g_loss": [[1.0]]}, r"'g_loss' has the shape \[1, 1\]"),
        ({"epoch": np.arange(20_000), "g_loss": np.ones(20_000)}, "20,000 epochs; allowed: 10,000"),
    ],
)
def test_arrays_that_are_no_history_are_named(history: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidHistory, match=words):
        read_history(history)


@given(arrays(np.float64, (40, 3), elements=st.floats(width=64) | st.floats(width=32)), st.integers(1, 50))
@example(np.full((40, 3), -1.7e308), 40)
@example(np.full((40, 3), 3e38), 7)
@settings(deadline=None, max_examples=60)
def test_no_values_break_it(values: np.ndarray, steps_per_epoch: int) -> None:
    history: dict[str, Any] = dict(zip(("d_loss", "g_loss", "D(x)"), values.T, strict=True))
    document = diagnose_history(history, steps_per_epoch=steps_per_epoch).to_json()
    assert document["diagnosis"]["verdict"] in {"divergence", "undetermined", "convergence failure"}


# --- evaluations ------------------------------------------------------------------------------------------------


def evaluation(epoch: int, **values: float) -> EpochEvaluation:
    levels = {"precision": 0.6, "coverage": 0.6, "recall": 0.6, "fake_distance": 11.0, "missing_mass": 0.02, **values}
    nulls = {"precision": 0.94, "coverage": 0.96, "recall": 0.95, "fake_distance": 11.6, "missing_mass": 0.0}
    return EpochEvaluation(
        epoch=epoch,
        space="pixels",
        n_real=500,
        n_fake=1000,
        n_subset=250,
        num_bins=20,
        values=levels,
        nulls={name: Null(mean=v, q05=v, q95=v, excess=0.0) for name, v in nulls.items()},
        shift={},
        bins=(),
    )


def test_fakes_give_outcome_findings_as_in_a_run() -> None:
    history = held(HEALTHY)
    good = diagnose_history(history, steps_per_epoch=100, evaluations=[evaluation(3)])
    bad = diagnose_history(history, steps_per_epoch=100, evaluations=[evaluation(3, fake_distance=0.05)])
    assert (good.diagnosis.verdict, bad.diagnosis.verdict) == ("healthy", "mode collapse")
    assert "fakes and reals" not in good.unsaid
    assert good.to_json()["evaluation"]["values"]["precision"] == 0.6


def test_evaluations_may_come_in_any_order() -> None:
    found = [evaluation(e, fake_distance=0.05 if e > 1 else 11.0) for e in (3, 1, 2)]
    diagnosis = diagnose_history(held(HEALTHY), steps_per_epoch=100, evaluations=found).diagnosis
    assert (diagnosis.verdict, diagnosis.findings[0].first_epoch) == ("mode collapse", 3)
    assert replace(diagnosis, epoch=3) == diagnosis
