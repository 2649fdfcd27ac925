"""What numbers imply: which objective, which bounds, which units, which mistake. Every level is one that people met."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ganlib.foreign_logs.implied.accuracies import accuracy_bounds
from ganlib.foreign_logs.implied.answer import implications, standing_words, would_decide
from ganlib.foreign_logs.implied.excluded import excluded
from ganlib.foreign_logs.implied.faults import code_faults, is_still
from ganlib.foreign_logs.implied.numbers import Interval, Numbers
from ganlib.foreign_logs.implied.objectives import left, possibilities
from ganlib.foreign_logs.implied.relations import least_g_loss
from ganlib.foreign_logs.implied.scales import rescaled

ROWS = 200


def printed(decimals: int | None = None, **levels: float) -> dict[str, Interval]:
    """Columns that hold one level each, printed with so many digits behind the point."""
    half = 0.0 if decimals is None else 0.5 * 10.0**-decimals
    return {
        name: Interval.printed(np.full(ROWS, level if decimals is None else round(level, decimals)), half)
        for name, level in levels.items()
    }


def numbers(decimals: int | None = None, **levels: Any) -> Numbers:
    options = {name: levels.pop(name) for name in ("d_loss_is", "objectives", "are_means") if name in levels}
    return Numbers(
        columns=printed(decimals, **levels),
        d_loss=options.get("d_loss_is"),
        objectives=options.get("objectives", ()),
        are_means=options.get("are_means", False),
    )


def with_values(base: Numbers, **values: Any) -> Numbers:
    columns = {name: Interval.printed(np.asarray(v, float)) for name, v in values.items()}
    return Numbers(columns={**base.columns, **columns}, d_loss=base.d_loss, objectives=base.objectives)


# --- rounding ---------------------------------------------------------------------------------------------------


def test_what_prints_as_0_is_anything_below_half_of_its_last_digit() -> None:
    zero = numbers(4, d_loss=0.0, g_loss=12.0)
    fake = zero.part("fake")
    assert fake is not None
    assert fake.high == pytest.approx(2 * 5e-5)
    assert float(least_g_loss(np.array([5e-5]))[0]) == pytest.approx(9.9, abs=0.01)
    assert "bce" in left(possibilities(zero))


def test_a_comparison_holds_for_every_value_that_would_print_so() -> None:
    """0.00 may be 5e-3, whose least g_loss is 4.6 as a mean of both; with six digits it is 13.8."""
    assert "bce" in left(possibilities(numbers(2, d_loss=0.0, g_loss=4.0)))
    assert "bce" not in left(possibilities(numbers(6, d_loss=0.0, g_loss=4.0)))


# --- objectives -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("levels", "taken"),
    [
        ({"d_loss": 0.65, "g_loss": 0.9}, "bce"),
        ({"d_loss": 0.002, "g_loss": 9.1}, "bce"),
        ({"d_loss_real": 0.25, "d_loss_fake": 0.25, "g_loss": 0.25}, "lsgan"),
        ({"d_loss_real": 0.15, "d_loss_fake": 0.14, "g_loss": 0.55}, "lsgan"),
        ({"d_loss": -2671.0, "g_loss": 1381.0}, "wgan"),
        ({"d_loss": -1.7, "g_loss": 12.5}, "wgan"),
        ({"d_loss": 1.2, "g_loss": -0.4}, "hinge"),
        ({"d_loss": 0.9, "g_loss": -0.7, "d_acc_real": 0.7}, "hinge"),
        ({"d_loss": 0.6, "g_loss": -0.55}, "saturating-bce"),
        ({"d_loss": 0.0, "g_loss": 9.0}, "hinge"),  # exact: a cross-entropy of 0 leaves a g_loss of 69
    ],
)
def test_the_objective_is_one_that_the_numbers_do_not_refute(levels: dict[str, float], taken: str) -> None:
    assert implications(numbers(None, **levels), 100).objective == taken


def test_one_negative_row_refutes_a_cross_entropy_and_says_so() -> None:
    base = numbers(4, g_loss=0.5, d_loss=0.4)
    found = implications(with_values(base, g_loss=[0.5] * 199 + [-0.2]), 100)
    assert found.objective == "hinge"
    assert "g_loss is -0.2, and a cross-entropy is never below 0" in found.why


def test_outputs_that_are_rounded_to_1_do_not_refute_a_loss_of_logits() -> None:
    """Single precision has no number between 1 - 6e-8 and 1: -log of what is left is 17, and the loss may be 30."""
    found = implications(numbers(d_loss=30.0, g_loss=1e-10, d_x=0.6, d_g_z=1.0, d_loss_is="sum"), 100)
    assert "bce" in found.left
    swapped = implications(numbers(d_loss=0.01, g_loss=0.01, d_x=0.01, d_g_z=1.0, d_loss_is="sum"), 100)
    assert "bce" not in swapped.left or swapped.contradiction


def test_a_relativistic_hinge_is_left_beside_a_hinge_and_asked_about() -> None:
    rng = np.random.default_rng(0)
    d_loss = np.where(rng.random(ROWS) < 0.07, rng.uniform(0.01, 0.15, ROWS), 0.0)
    log = Numbers(
        columns={
            "d_loss": Interval.printed(np.asarray(np.round(d_loss, 6), np.float64), 5e-7),
            "g_loss": Interval.printed(np.abs(rng.normal(16, 8, ROWS)), 5e-7),
        }
    )
    found = implications(log, 100)
    assert set(found.left) == {"hinge", "relativistic-hinge"}
    assert "--objective hinge or relativistic-hinge" in would_decide(found, by_objective=True)


def test_a_hint_counts_as_long_as_the_numbers_do_not_refute_it() -> None:
    hint = ("bce", "lsgan", "wgan")
    squares = {"d_loss_real": 0.25, "d_loss_fake": 0.25, "g_loss": 0.25}
    assert implications(numbers(3, **squares, objectives=hint), 100).left == ("lsgan",)
    assert implications(numbers(3, d_loss=-40.0, g_loss=3.0, objectives=("bce",)), 100).objective == "wgan"


def test_what_one_says_is_taken_even_where_numbers_refute_it() -> None:
    found = implications(numbers(d_loss=-3.0, g_loss=1.0), 100, told="bce")
    assert found.left == ("bce",)
    assert "the numbers refute it" in found.why


def test_numbers_that_no_objective_explains_are_a_contradiction_of_the_code() -> None:
    found = implications(numbers(4, d_loss=0.001, g_loss=0.002), 100)
    assert found.contradiction
    assert found.left == ("bce",)
    assert [fault.name for fault in found.faults] == ["real and fake share a batch"]


def test_a_cross_entropy_that_is_printed_with_its_sign_turned_is_thought_of() -> None:
    found = implications(numbers(d_loss=-1.3, g_loss=0.8), 100)
    assert set(found.left) == {"wgan", "negated-bce"}
    turned = found.numbers_under("negated-bce").get("d_loss")
    assert turned is not None
    assert turned.low[0] == pytest.approx(1.3)


@pytest.mark.parametrize(
    ("levels", "told", "says", "never"),
    [
        ({"d_loss": -40.0, "g_loss": 3.0, "objectives": ("bce",)}, None, "these cannot be cross-ent", "minimises it"),
        ({"d_loss": -4.0, "g_loss": 3.0, "objectives": ("wgan",)}, None, "this trainer minimises it", "usual one"),
        ({"d_loss": 4.0, "g_loss": 3.0, "objectives": ("wgan",)}, None, "this trainer", "cannot be cross-entropies"),
        ({"d_loss": 0.4, "g_loss": 0.4, "objectives": ("lsgan",)}, None, "this trainer minimises it", "usual one"),
        ({"d_loss": 0.65, "g_loss": 0.9, "objectives": ("bce", "lsgan")}, None, "one of bce, lsgan", "minimises it"),
        ({"d_loss": 0.65, "g_loss": 0.9}, None, "a cross-entropy is the usual one", "refuted"),
        ({"d_loss": -3.0, "g_loss": 1.0}, "other", "as you said", "refute"),
        ({"d_loss": 0.001, "g_loss": 0.002}, None, "as bce they were read though g_loss is 0.002", "would fit"),
    ],
)
def test_why_an_objective_was_taken_is_true_of_the_numbers(
    levels: dict[str, Any], told: str | None, says: str, never: str
) -> None:
    found = implications(numbers(4, **levels), 100, told=told)
    assert says in found.why
    assert never not in found.why


def test_of_another_objective_nothing_is_assumed() -> None:
    found = implications(numbers(4, d_loss=0.01, g_loss=8.0), 100, told="other")
    assert (found.objective, found.left, found.faults) == ("other", ("other",), ())
    assert "tells" not in standing_words(found)
    assert set(excluded(found)) == {"divergence"}


def test_what_is_ruled_out_is_so_under_every_objective_that_is_left() -> None:
    """Losses of 1 a side are far from none of a cross-entropy; a fifth of what guesses cost a hinge is not."""
    both = implications(numbers(4, d_loss_real=0.05, d_loss_fake=0.05, g_loss=0.6), 100)
    assert "lsgan" in both.left
    assert "convergence failure: both losses vanish" not in excluded(both)
    hinge = numbers(4, d_loss_real=0.9, d_loss_fake=1.25, g_loss=-0.2, d_acc_real=0.7, d_acc_fake=0.6)
    left_open = implications(hinge, 100)
    assert set(left_open.left) == {"hinge", "saturating-bce"}
    assert "convergence failure: discriminator inert" in excluded(left_open)
    a_critic_too = replace(
        left_open,
        possibilities=tuple(
            replace(p, standing="possible") if p.objective == "wgan" else p for p in left_open.possibilities
        ),
    )
    assert set(excluded(a_critic_too)) == {"divergence"}


def test_a_discriminator_that_is_worse_than_guessing_is_not_ruled_out_by_some_that_it_tells() -> None:
    found = implications(numbers(4, d_loss_real=1.5, d_loss_fake=1.5, g_loss=0.9, d_acc_real=0.2, d_acc_fake=0.3), 100)
    assert "convergence failure: discriminator inert" not in excluded(found)


# --- bounds -----------------------------------------------------------------------------------------------------


def test_a_generator_whose_loss_is_near_0_has_its_fakes_called_real() -> None:
    bounds = accuracy_bounds(numbers(d_loss=4.0, g_loss=0.001), "bce")["fake"].bounds
    assert bounds.high[0] == pytest.approx(0.001 / math.log(2))


def test_a_pooled_accuracy_of_a_half_then_says_that_every_real_is_called_real_too() -> None:
    bounds = accuracy_bounds(numbers(d_loss=4.0, g_loss=0.001, d_acc=0.5), "bce")["real"].bounds
    assert bounds.low[0] == pytest.approx(1 - 0.001 / math.log(2))


@pytest.mark.parametrize(("objective", "cost"), [("bce", math.log(2)), ("lsgan", 0.25), ("hinge", 1.0)])
def test_a_sample_on_the_wrong_side_costs_at_the_least(objective: str, cost: float) -> None:
    log = numbers(d_loss_real=0.02, d_loss_fake=0.04, g_loss=5.0)
    found = accuracy_bounds(log, objective)
    assert found["real"].bounds.low[0] == pytest.approx(1 - 0.02 / cost)
    assert found["fake"].bounds.low[0] == pytest.approx(1 - 0.04 / cost)


def test_a_critic_s_losses_bound_nothing() -> None:
    found = accuracy_bounds(numbers(d_loss=-3.0, g_loss=0.0), "wgan")
    assert [(b.bounds.low[0], b.bounds.high[0]) for b in found.values()] == [(0, 1), (0, 1)]


@given(st.integers(0, 10_000), st.integers(1, 60), st.integers(1, 5))
@settings(deadline=None, max_examples=60)
def test_bounds_of_a_rounded_log_hold_for_any_discriminator(seed: int, samples: int, decimals: int) -> None:
    rng = np.random.default_rng(seed)
    real, fake = (rng.normal(0, 3, (20, samples)) + rng.normal(0, 6) for _ in range(2))
    costs = {
        "bce": (np.logaddexp(0, -real), np.logaddexp(0, fake), np.logaddexp(0, -fake), 0.0),
        "lsgan": ((real - 1) ** 2, fake**2, (fake - 1) ** 2, 0.5),
        "hinge": (np.maximum(1 - real, 0), np.maximum(1 + fake, 0), -fake, 0.0),
    }
    for objective, (of_real, of_fake, of_g, cut) in costs.items():
        columns = {
            name: Interval.printed(np.round(cost.mean(axis=1), decimals), 0.5 * 10.0**-decimals)
            for name, cost in (("d_loss_real", of_real), ("d_loss_fake", of_fake), ("g_loss", of_g))
        }
        found = accuracy_bounds(Numbers(columns=columns), objective)
        for bounds, right in ((found["real"].bounds, real > cut), (found["fake"].bounds, fake <= cut)):
            accuracy = right.mean(axis=1)
            assert (bounds.low <= accuracy + 1e-9).all(), objective
            assert (accuracy <= bounds.high + 1e-9).all(), objective


# --- units ------------------------------------------------------------------------------------------------------


def test_percents_are_told_from_shares_by_their_range() -> None:
    found = rescaled(numbers(d_loss=0.005, g_loss=5.0, d_acc=98.5))
    assert found.numbers.columns["d_acc"].middle[0] == pytest.approx(0.985)
    assert found.said == ("d_acc goes up to 98.5: it was read as percents",)


def test_all_accuracies_of_a_log_are_percents_where_one_is() -> None:
    found = rescaled(numbers(d_acc_real=97.0, d_acc_fake=0.8, d_auc=0.9))
    assert {name: column.middle[0] for name, column in found.numbers.columns.items()} == pytest.approx(
        {"d_acc_real": 0.97, "d_acc_fake": 0.008, "d_auc": 0.9}
    )


def test_a_share_that_was_rounded_above_1_is_1() -> None:
    found = rescaled(numbers(d_acc_real=1.0000001, d_acc_fake=-0.0002))
    assert [column.middle[0] for column in found.numbers.columns.values()] == [1.0, 0.0]
    assert found.said == ()


@pytest.mark.parametrize("value", [1.2, 2.0])
def test_what_is_just_above_a_share_is_no_percentage(value: float) -> None:
    """Two shares that were added up; .02 would be a dead discriminator's."""
    found = rescaled(numbers(d_acc_real=value, g_loss=1.0))
    assert "d_acc_real" not in found.numbers.columns
    assert "neither a share nor a percentage; not used" in found.said[0]


@pytest.mark.parametrize("value", [2889.0, -0.4])
def test_what_is_neither_a_share_nor_a_percentage_is_no_evidence(value: float) -> None:
    found = rescaled(numbers(d_acc_real=value, g_loss=1.0))
    assert "d_acc_real" not in found.numbers.columns
    assert "neither a share nor a percentage; not used" in found.said[0]


@pytest.mark.parametrize(("level", "meant"), [(1.386, "sum"), (0.693, "mean"), (1.0, None)])
def test_a_loss_at_chance_says_whether_it_is_a_sum(level: float, meant: str | None) -> None:
    assert rescaled(numbers(3, d_loss=level, g_loss=0.693)).numbers.d_loss == meant


def test_a_loss_below_the_least_sum_of_its_probabilities_is_a_mean() -> None:
    assert rescaled(numbers(d_loss=0.5, d_x=0.6, d_g_z=0.4, g_loss=1.0)).numbers.d_loss == "mean"
    assert rescaled(numbers(d_loss=1.05, d_x=0.6, d_g_z=0.4, g_loss=1.0)).numbers.d_loss == "sum"


def test_bits_are_read_as_nats_where_the_discriminator_is_undecided() -> None:
    found = rescaled(numbers(d_loss=2.0, g_loss=1.0, d_x=0.5, d_g_z=0.5))
    assert found.numbers.columns["g_loss"].middle[0] == pytest.approx(math.log(2))
    assert "bits" in found.said[0]


# --- mistakes of code -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("levels", "name"),
    [
        ({"d_loss": 1.0064, "g_loss": 0.6931, "d_loss_is": "sum"}, "sigmoid twice"),
        ({"d_loss": 1.6265, "g_loss": 0.3133, "d_loss_is": "sum"}, "sigmoid twice"),
        ({"d_loss": 7.9712, "g_loss": 0.0}, "loss fed with logits"),
        ({"d_loss": 16.118, "g_loss": 0.0}, "loss fed with logits"),
        ({"d_loss": 50.0, "g_loss": 0.0}, "saturated sigmoid"),
        ({"d_loss": 0.01, "g_loss": 0.01, "d_x": 0.01, "d_g_z": 0.99}, "labels swapped"),
        ({"d_loss": 0.001, "g_loss": 0.004}, "real and fake share a batch"),
        ({"d_loss": 1.4213, "g_loss": 0.7321}, "rate of 0"),
        ({"d_loss": 1.3863, "g_loss": 0.6931}, "rate of 0"),
        ({"d_loss": 1.386, "g_loss": 0.693, "d_acc_real": 1.0, "d_acc_fake": 0.0}, "accuracy without a margin"),
    ],
)
def test_each_mistake_is_known_by_its_numbers(levels: dict[str, Any], name: str) -> None:
    found = code_faults(numbers(4, **levels), 100)
    assert name in [fault.name for fault in found]
    assert all(fault.reason and fault.check for fault in found)


@pytest.mark.parametrize(
    "levels",
    [
        {"d_loss": 1.2, "g_loss": 0.9, "d_x": 0.6, "d_g_z": 0.4, "d_loss_is": "sum"},
        {"d_loss": 0.002, "g_loss": 9.0},
        {"d_loss": 0.65, "g_loss": 0.8, "d_acc_real": 0.7, "d_acc_fake": 0.6},
    ],
)
def test_usual_numbers_are_typical_of_no_mistake(levels: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    base = numbers(4, **levels)
    noisy = {n: Interval.printed(c.middle * rng.uniform(0.9, 1.1, ROWS), 5e-5) for n, c in base.columns.items()}
    assert code_faults(Numbers(columns=noisy, d_loss=base.d_loss), 100) == ()


def at_log_2(*, spread: float, rows: int = ROWS, are_means: bool = False) -> Numbers:
    """Both losses of a cross-entropy around their values at chance, four digits."""
    rng = np.random.default_rng(0)
    levels = {"d_loss": 2 * math.log(2), "g_loss": math.log(2)}
    columns = {
        name: Interval.printed(np.round(level * rng.uniform(1 - spread, 1 + spread, rows), 4), 5e-5)
        for name, level in levels.items()
    }
    return Numbers(columns=columns, d_loss="sum", are_means=are_means)


@pytest.mark.parametrize(
    ("log", "is_found"),
    [
        (at_log_2(spread=1e-3), True),
        (at_log_2(spread=0.05), False),  # two networks in balance move
        (at_log_2(spread=1e-3, rows=19), False),
        (at_log_2(spread=1e-3, are_means=True), False),  # a mean of a thousand batches hardly moves in balance
    ],
)
def test_losses_at_chance_that_hardly_move_are_those_of_a_discriminator_that_learns_nothing(
    log: Numbers, is_found: bool
) -> None:
    assert ("nothing is learnt" in [fault.name for fault in code_faults(log, 100)]) == is_found


def test_zeros_that_repeat_are_rounded_and_not_still() -> None:
    assert code_faults(numbers(4, d_loss=0.0, g_loss=12.3), 100) == ()


@pytest.mark.parametrize("missed", [[-1], slice(-150, None), slice(None)], ids=["one", "most", "all"])
@pytest.mark.parametrize("signal", ["d_loss", "g_loss"])
def test_a_loss_that_is_no_number_in_a_row_does_not_stand_still(signal: str, missed: Any) -> None:
    still = numbers(4, d_loss=1.4213, g_loss=0.7321)
    assert is_still(still)
    values = still.columns[signal].middle.copy()
    values[missed] = np.nan
    assert not is_still(replace(still, columns={**still.columns, signal: Interval.printed(values, 5e-5)}))


# --- the answer -------------------------------------------------------------------------------------------------


def test_the_answer_says_how_the_discriminator_stands_and_what_would_decide() -> None:
    found = implications(numbers(d_loss=0.004, g_loss=6.0), 100)
    assert "tells 98.8 % to 100 % of the fakes (by d_loss, g_loss)" in standing_words(found)
    assert would_decide(found, by_objective=False).startswith("fakes beside reals")
    assert "d_acc_real" in would_decide(implications(numbers(d_loss=0.6, g_loss=0.9), 100), by_objective=False)


@pytest.mark.parametrize(
    ("first", "last", "words"),
    [
        (1.0, 1.5, "rose from 1 to 1.5"),
        (1.0, 0.5, "fell from 1 to 0.5"),
        (1.0, 1.05, "stayed near 1 (in the end 1.05)"),
        (-1.0, -1.05, "stayed near -1 (in the end -1.05)"),
        (-1.0, -1.5, "fell from -1 to -1.5"),
        (-2670.0, -1380.0, "rose from -2.67e+03 to -1.38e+03"),
    ],
)
def test_how_a_loss_has_moved_is_true_of_losses_of_either_sign(first: float, last: float, words: str) -> None:
    d_loss = np.where(np.arange(ROWS) < ROWS // 2, first, last)
    log = Numbers(columns={"d_loss": Interval.printed(d_loss)}, d_loss="sum")
    assert f"its loss on reals and fakes together {words}" in standing_words(implications(log, 100))


def test_rows_that_are_no_numbers_do_not_hide_the_others() -> None:
    values = np.where(np.arange(ROWS) > 150, np.nan, -2.0)
    found = implications(with_values(numbers(g_loss=3.0), d_loss=values, g_loss=values), 100)
    assert found.objective == "wgan"
    assert found.to_json()["left"]
