"""What is concluded from a log without a word on its objective: never more than every possible one comes to."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ganlib.foreign_logs.agreement import ReadingAs, agreed
from ganlib.foreign_logs.history import HistoryDiagnosis, diagnose_reading, read_history
from ganlib.foreign_logs.implied.objectives import LARGE_HINGE
from ganlib.foreign_logs.table import Column, Table, table_of
from tests.support.images import CHECKOUT

ROWS = 400


def log(decimals: int | None = None, *, every: int = 1, **columns: Any) -> Table:
    """A table of columns around a level, or of values, as a text file with so many digits has them."""
    rng = np.random.default_rng(0)
    values = {
        name: np.asarray(level, float) if np.ndim(level) else level * rng.uniform(0.9, 1.1, ROWS)
        for name, level in columns.items()
    }
    rows = len(next(iter(values.values())))
    table = table_of(values | {"step": every * np.arange(rows)})
    if decimals is None:
        return table
    return replace(table, columns={s: _rounded(s, c, decimals) for s, c in table.columns.items()})


def _rounded(signal: str, column: Column, decimals: int) -> Column:
    if signal == "step":
        return column
    return replace(column, values=np.round(column.values, decimals), decimals=decimals, significant=9)


def judged(table: Table, **options: Any) -> HistoryDiagnosis:
    return diagnose_reading(read_history(table, **options))


def names(found: HistoryDiagnosis) -> list[str]:
    return [finding.name.removeprefix("convergence failure: ") for finding in found.diagnosis.findings]


def pairs_of_a_hinge() -> dict[str, Any]:
    """d_loss of 0 but for one row in fourteen, g_loss anywhere from 1 to 40, as people print it."""
    rng = np.random.default_rng(1)
    d_loss = np.where(rng.random(2000) < 0.07, rng.uniform(0.01, 0.15, 2000), 0.0)
    return {"d_loss": d_loss, "g_loss": np.abs(rng.normal(16, 8, 2000))}


def test_a_relativistic_hinge_that_trains_properly_is_no_severe_finding() -> None:
    found = judged(log(6, every=9, **pairs_of_a_hinge()))
    assert found.diagnosis.findings == ()
    assert found.diagnosis.recovered == ()
    [conditional] = found.conditional
    assert conditional.words == (
        "convergence failure: discriminator wins, if it is hinge; not if it is relativistic-hinge"
    )
    assert found.would_decide == "say which it is: --objective hinge or --objective relativistic-hinge"
    assert found.to_json()["conditional"][0]["denied_under"] == ["relativistic-hinge"]


def test_who_says_the_objective_gets_what_it_comes_to() -> None:
    assert names(judged(log(6, every=9, **pairs_of_a_hinge()), objective="hinge")) == ["discriminator wins"]
    assert names(judged(log(6, every=9, **pairs_of_a_hinge()), objective="relativistic-hinge")) == []


@pytest.mark.parametrize(
    ("columns", "decimals", "every", "expected"),
    [
        ({"Loss_D": 0.00002, "Loss_G": 12.2, "D(x)": np.ones(ROWS), "D(G(z))": 0.00001}, 4, 1, "discriminator wins"),
        ({"d_loss": 0.002, "g_loss": 9.2}, 6, 50, "discriminator wins"),
        ({"d_loss": 0.005, "g_loss": 5.6, "d_acc": np.full(ROWS, 100.0)}, 6, 1, "discriminator wins"),
        ({"errD_real": 0.001, "errD_fake": 0.001, "G_loss": 8.0}, 3, 100, "discriminator wins"),
        ({"d_loss": 0.27, "g_loss": 14.0, "d_acc_real": 0.89, "d_acc_fake": 0.89}, None, 60, None),
        ({"d_loss": 0.0004, "g_loss": 0.004}, 4, 1, "both losses vanish"),
        ({"d_loss": 4.0, "g_loss": 0.001}, 4, 1, "discriminator inert"),
        ({"d_loss": 4.0, "g_loss": 0.001, "d_acc_real": 0.65, "d_acc_fake": 0.0}, 4, 1, "discriminator inert"),
        ({"d_loss": 2.0, "g_loss": 0.7}, 3, 1, None),  # a sum of 2 is half as much again as guesses cost, a mean thrice
        ({"d_loss": 0.65, "g_loss": 0.9}, 4, 1, None),
        ({"errD_real": 0.25, "errD_fake": 0.25, "G_loss": 0.25}, 3, 100, None),
        ({"d_loss": -2600.0, "g_loss": 1380.0}, 4, 1, None),
        ({"d_loss": -26000.0, "g_loss": 13800.0}, 4, 1, None),
        ({"d_loss": 1.3863, "g_loss": 0.6931, "d_acc_real": np.ones(400), "d_acc_fake": np.zeros(400)}, 4, 1, None),
        ({"d_loss": -0.9, "g_loss": 0.4, "d_acc_real": np.full(400, 2889.0)}, 4, 1, None),
    ],
)
def test_what_people_print_gets_the_finding_that_is_true(
    columns: dict[str, Any], decimals: int | None, every: int, expected: str | None
) -> None:
    if columns.get("d_loss") == 1.3863:  # levels without noise
        columns = {name: np.full(ROWS, level) if np.ndim(level) == 0 else level for name, level in columns.items()}
    found = judged(log(decimals, every=every, **columns))
    assert names(found)[:1] == ([] if expected is None else [expected])
    assert found.diagnosis.reason


def test_a_loss_that_may_be_a_mean_or_a_sum_is_judged_as_either_and_the_condition_is_told() -> None:
    found = judged(log(3, d_loss=2.0, g_loss=0.7))
    assert [c.words for c in found.conditional] == [
        "convergence failure: discriminator inert, if it is bce with a d_loss that is a mean; not if it is bce with a "
        "d_loss that is a sum"
    ]
    assert names(judged(log(3, d_loss=2.0, g_loss=0.7), d_loss="mean")) == ["discriminator inert"]


def test_another_failure_under_another_objective_leaves_the_verdict_and_is_told() -> None:
    """Squares that the discriminator wins, or a cross-entropy whose updates see different batches."""
    table = log(4, d_loss_real=0.002, d_loss_fake=0.002, g_loss=0.9)
    squares, entropy = (judged(table, objective=name).diagnosis for name in ("lsgan", "bce"))
    assert squares.findings[0].name != entropy.findings[0].name
    own, other = (ReadingAs(objective=name, option=f"--objective {name}") for name in ("lsgan", "bce"))
    found, [conditional] = agreed(squares, own, [(other, entropy)])
    assert (found.verdict, found.findings) == (squares.verdict, squares.findings)
    assert conditional.words == "convergence failure: discriminator wins, if it is lsgan; not if it is bce"
    nothing = replace(entropy, findings=(), verdict="undetermined")
    found, [conditional] = agreed(squares, own, [(other, nothing)])
    assert (found.verdict, found.findings) == ("undetermined", ())
    whole = judged(table)
    assert (names(whole), [c.words for c in whole.conditional]) == (
        ["discriminator wins"],
        ["convergence failure: both losses vanish, if it is bce; not if it is lsgan"],
    )
    assert whole.would_decide == "say which it is: --objective bce or --objective lsgan"


def test_means_of_epochs_are_less_sure_and_rows_that_are_none_leave_no_doubt() -> None:
    history = log(3, d_loss=0.005, g_loss=7.2)
    by_step, by_epoch = judged(history), judged(replace(history, row_span="epoch"))
    assert by_epoch.diagnosis.findings[0].confidence < by_step.diagnosis.findings[0].confidence
    broken = judged(log(3, every=100, d_loss=[-1.7, -1.6, -3.0, np.nan], g_loss=[7.0, 12.5, 9.6, np.nan]))
    assert broken.diagnosis.verdict == "divergence"
    assert broken.diagnosis.findings[0].confidence == 1.0


def test_what_is_ruled_out_and_what_would_decide_are_said_of_a_log_without_findings() -> None:
    found = judged(log(4, d_loss_real=0.5, d_loss_fake=0.4, g_loss=1.3, d_acc_real=0.8, d_acc_fake=0.85))
    assert set(found.excluded) == {
        "divergence",
        "convergence failure: both losses vanish",
        "convergence failure: discriminator wins",
        "convergence failure: discriminator inert",
    }
    assert found.would_decide.startswith("fakes beside reals")
    assert found.to_json()["implied"]["excluded"] == found.excluded


def test_a_format_s_hint_decides_between_what_the_numbers_leave() -> None:
    zeros: dict[str, Any] = {"d_loss": np.zeros(ROWS), "g_loss": np.linspace(14, 30, ROWS)}
    assert judged(log(4, **zeros)).diagnosis.findings == ()
    hinted = replace(log(4, **zeros), objectives=("bce",))
    assert names(judged(hinted)) == ["discriminator wins"]


def test_losses_that_contradict_a_cross_entropy_may_be_squares_or_a_mistake_and_both_are_told() -> None:
    found = judged(log(4, d_loss_real=0.04, d_loss_fake=0.04, g_loss=0.25))
    assert found.diagnosis.findings == ()
    assert [c.words for c in found.conditional] == [
        "convergence failure: both losses vanish, if it is bce; not if it is lsgan"
    ]
    table = log(4, every=1, **{"Loss_D": 0.08, "Loss_G": 0.25, "D(x)": 0.9, "D(G(z))": 0.03})
    after = replace(table.columns["g_loss"], name="D(G(z)) / 2", values=np.full(ROWS, 0.8))
    both = replace(table, columns={**table.columns, "d_g_z_after": after}, d_loss="sum")
    assert names(judged(both)) == ["both losses vanish"]


def test_logits_tell_on_which_side_of_a_cross_entropy_samples_lie() -> None:
    table = log(4, d_loss_real=0.05, d_loss_fake=13.0)
    side = replace(table.columns["d_loss_fake"], name="out_d_fake")
    found = judged(replace(table, columns={**table.columns, "d_logit_fake": side}))
    assert names(found) == ["discriminator inert"]


def test_without_a_loss_of_the_generator_nobody_knows_whether_both_vanish() -> None:
    assert names(judged(log(6, d_loss_real=0.001, d_loss_fake=0.001), objective="bce")) == []


def test_a_discriminator_that_is_only_bounded_is_inert_unless_both_sides_are_told() -> None:
    one_side: dict[str, Any] = {"d_loss_real": 0.0, "d_loss_fake": 3.9, "g_loss": -2.9}
    assert names(judged(log(6, **one_side), objective="hinge")) == ["discriminator inert"]


@pytest.mark.parametrize(
    ("d_loss", "g_loss", "decimals", "updates", "is_found"),
    [
        (1.4213, 0.7321, 4, 400, True),
        (0.5012, 0.9003, 4, 400, True),
        (1.4213, 0.7321, 4, 150, False),  # not yet two windows
        (1.3863, 0.6931, 4, 400, False),  # two networks in balance may print just that
        (1.42, 0.73, 2, 400, False),  # too few digits to see whether it moves
        (0.0, 12.3, 4, 400, False),  # rounded to 0
    ],
)
def test_losses_that_repeat_to_their_last_digit_are_a_finding_of_its_own(
    d_loss: float, g_loss: float, decimals: int, updates: int, is_found: bool
) -> None:
    table = log(decimals, d_loss=np.full(updates, d_loss), g_loss=np.full(updates, g_loss))
    found = judged(table, objective="bce", d_loss="sum").diagnosis
    still = [f for f in found.findings if f.evidence[0].signal == "updates in which every printed loss repeats"]
    assert bool(still) == is_found
    if is_found:
        assert (found.verdict, still[0].name) == ("convergence failure", "convergence failure: discriminator inert")
        assert still[0].evidence[0].value == 200
        assert "as where no weight moves" in still[0].summary


@pytest.mark.parametrize(
    ("objective", "d_loss"),
    [
        ("bce", 1.3863),  # chance, if it is a sum
        ("bce", 0.6931),  # chance, if it is a mean
        ("hinge", 2.0),
        ("hinge", 1.0),
        ("lsgan", 0.5),
        ("lsgan", 0.25),  # chance of a mean, or of a sum of halved squares
    ],
)
def test_losses_that_stand_at_chance_of_a_mean_or_of_a_sum_are_no_severe_finding(objective: str, d_loss: float) -> None:
    still = log(4, d_loss=np.full(ROWS, d_loss), g_loss=np.full(ROWS, 0.8123))
    assert judged(still, objective=objective).diagnosis.findings == ()
    assert judged(replace(still, objectives=(objective,))).diagnosis.findings == ()


def test_losses_that_stand_at_chance_of_a_sum_are_inert_if_they_are_a_mean_and_that_is_said() -> None:
    still = log(4, d_loss=np.full(ROWS, 1.3863), g_loss=np.full(ROWS, 0.8123))
    found = judged(still, objective="bce")
    assert [c.words for c in found.conditional] == [
        "convergence failure: discriminator inert, if it is bce with a d_loss that is a mean; "
        "not if it is bce with a d_loss that is a sum"
    ]
    assert names(judged(still, objective="bce", d_loss="mean")) == ["discriminator inert"]


@pytest.mark.parametrize("d_loss", [0.5, 0.25])
def test_squares_that_stand_at_chance_may_be_halved(d_loss: float) -> None:
    part = np.full(ROWS, d_loss / 2)
    still = log(4, d_loss_real=part, d_loss_fake=part, g_loss=np.full(ROWS, 0.3123))
    assert judged(still, objective="lsgan").diagnosis.findings == ()


def test_losses_that_move_in_their_last_digit_do_not_stand_still() -> None:
    rng = np.random.default_rng(0)
    moves = 1.42 + 1e-4 * rng.integers(0, 2, ROWS)
    assert judged(log(4, d_loss=moves, g_loss=np.full(ROWS, 0.7321))).diagnosis.findings == ()


@pytest.mark.parametrize(
    ("objective", "d_loss", "g_loss", "expected"),
    [
        ("relativistic", 0.0005, 1.05, ["both losses vanish"]),  # at least 7.6 of the same pairs
        ("relativistic", 0.0005, 9.0, []),
        ("relativistic", 0.6, 0.8, []),
        ("relativistic-hinge", 0.0, 0.9, ["both losses vanish"]),  # at least 2
        ("relativistic-hinge", 0.0, 16.0, []),
        ("relativistic-hinge", 0.8, 1.2, []),
    ],
)
def test_pairs_that_are_told_and_pass_contradict_each_other(
    objective: str, d_loss: float, g_loss: float, expected: list[str]
) -> None:
    parts: dict[str, Any] = {"d_loss_real": d_loss, "d_loss_fake": d_loss, "g_loss": g_loss}
    assert names(judged(log(6, **parts), objective=objective)) == expected


def test_a_loss_far_above_what_any_guess_costs_is_that_of_squares_that_fail() -> None:
    """A square of 2.6 on both together; a hinge at chance costs 2, and a g_loss that never crosses 0 is no score."""
    table = log(4, d_loss_real=1.63, d_loss_fake=0.999, g_loss=0.0002)
    assert names(judged(table)) == ["discriminator inert"]
    assert judged(table).reading.implied.left == ("lsgan",)
    at_chance = log(4, d_loss_real=1.0, d_loss_fake=np.full(ROWS, 1.0), g_loss=0.0002)
    assert judged(at_chance).diagnosis.findings == ()


def test_a_hinge_whose_fakes_all_pass_is_told_from_the_scores_of_a_critic() -> None:
    g_loss = -np.geomspace(0.05, 5000, ROWS)
    found = judged(log(4, d_loss=2.1 - g_loss, g_loss=g_loss))
    assert (found.reading.implied.left, names(found)[:1]) == (("hinge",), ["discriminator inert"])
    assert "d_loss is the sum of its parts: that makes 1 with g_loss, as of a hinge" in found.reading.implied.said
    critic = judged(log(4, d_loss=-0.7 * g_loss, g_loss=g_loss))
    assert "wgan" in critic.reading.implied.left


def test_a_share_that_is_exactly_1_stays_one_however_few_digits_it_prints_with() -> None:
    table = log(4, d_loss=4.0, g_loss=0.001, d_acc_real=np.ones(ROWS), d_acc_fake=np.zeros(ROWS))
    coarse = replace(
        table, columns={s: replace(c, decimals=1, significant=1) if "acc" in s else c for s, c in table.columns.items()}
    )
    history = judged(coarse).reading.history
    assert history.steps[:, 3:5].tolist() == [[1.0, 0.0]] * ROWS


def test_a_cross_entropy_that_comes_down_through_its_last_digits_is_no_hinge() -> None:
    """Four digits: .0000 in a tenth of the rows, and .0001 to .0010 in more."""
    rng = np.random.default_rng(0)
    d_loss = np.exp(rng.normal(np.log(3e-4), 1.4, 2000))
    found = judged(log(4, d_loss_real=d_loss, d_loss_fake=d_loss, g_loss=-np.log(d_loss) + 1.0))
    assert (np.round(d_loss, 4) == 0).mean() > 0.05
    assert found.reading.implied.left == ("bce",)
    assert names(found) == ["discriminator wins"]


def test_squares_are_halved_in_every_row_or_in_none() -> None:
    """Fakes that cost .002 make a g_loss of .91 to 1.09, or half of that; one from .35 to 1.4 is neither."""
    rng = np.random.default_rng(0)
    swings: dict[str, Any] = {
        "d_loss_real": 0.002,
        "d_loss_fake": 0.002,
        "g_loss": np.geomspace(0.35, 1.4, ROWS)[rng.permutation(ROWS)],
    }
    found = judged(log(4, **swings))
    assert "lsgan" not in found.reading.implied.left
    assert names(found) == ["both losses vanish"]
    for level in (1.0, 0.5):
        steady: dict[str, Any] = swings | {"g_loss": level * rng.uniform(0.95, 1.05, ROWS)}
        kept = judged(log(4, **steady))
        assert kept.reading.implied.left == ("lsgan",)


def test_pairs_of_two_sides_make_twice_the_least_of_one() -> None:
    """g_loss of 0 beside 2.8 of two hinges: each makes 2 with its own of the discriminator's, 4 in all."""
    sides: dict[str, Any] = {"d_loss_real": 1.8, "d_loss_fake": 1.0, "g_loss": 0.0002}
    stands = {p.objective: p.standing for p in judged(log(4, **sides)).reading.implied.possibilities}
    assert stands["relativistic-hinge"] == "refuted"
    one = judged(log(4, d_loss=2.8, g_loss=0.0002), d_loss="sum")
    assert {p.objective: p.standing for p in one.reading.implied.possibilities}["relativistic-hinge"] == "unlikely"


@pytest.mark.parametrize(
    ("objective", "d_loss", "g_loss", "is_found"),
    [
        ("relativistic-hinge", 1.42, 0.0002, True),  # 2.83 of one side, read as the sum of two
        ("relativistic-hinge", 1.0, 1.0, False),
        ("relativistic", 1.5, 0.04, True),
        ("relativistic", 0.7, 0.68, False),
        ("relativistic", 0.3, 0.04, False),  # neither can be of the same pairs
    ],
)
def test_a_generator_that_pays_nothing_has_pairs_ranked_the_wrong_way(
    objective: str, d_loss: float, g_loss: float, is_found: bool
) -> None:
    table = log(6, d_loss_real=d_loss, d_loss_fake=d_loss, g_loss=g_loss)
    found = names(judged(table, objective=objective))
    assert ("discriminator inert" in found) == is_found


def test_a_mean_score_that_lies_at_0_and_never_crosses_it_is_a_loss() -> None:
    """2.1 on both together is that of squares that fail, or of a hinge; and 2.0 of scores that all lie at 0."""
    failing = judged(log(4, d_loss_real=1.1, d_loss_fake=0.999, g_loss=0.0002))
    assert failing.reading.implied.left == ("lsgan",)
    scores = np.linspace(-0.01, 0.01, ROWS)
    crossing = judged(log(4, d_loss_real=1.6, d_loss_fake=1 - scores, g_loss=scores))
    assert "hinge" in crossing.reading.implied.left
    at_0 = judged(log(4, d_loss_real=np.full(ROWS, 1.0), d_loss_fake=np.full(ROWS, 1.0), g_loss=0.0002))
    assert "hinge" in at_0.reading.implied.left


def test_a_hinge_is_thought_of_up_to_where_rules_find_it_inert_too() -> None:
    """And no further down than one that is healthy comes."""
    stored = json.loads((CHECKOUT / "bench" / "results" / "foreign.json").read_text())
    assert stored["logs"]["levels"]["largest level of healthy hinges"] < LARGE_HINGE == 3.0
    below, above = (log(4, d_loss_real=side, d_loss_fake=side, g_loss=0.1) for side in (1.35, 1.7))
    assert judged(below).diagnosis.findings == ()
    assert names(judged(above)) == ["discriminator inert"]
    assert names(judged(above, objective="hinge")) == ["discriminator inert"]
    assert names(judged(below, objective="hinge")) == []


def test_a_critic_s_update_does_not_raise_the_scores_of_fakes() -> None:
    """A hinge that tells nearly all and lets the same fakes pass: no objective makes that, and code contradicts."""
    rng = np.random.default_rng(0)
    small = rng.uniform(0.001, 0.01, (2, ROWS))
    found = judged(log(4, d_loss_real=small[0], d_loss_fake=small[1], g_loss=-rng.uniform(0.2, 0.5, ROWS)))
    assert found.reading.implied.contradiction
    assert names(found) == ["both losses vanish"]
    scores = rng.normal(1.0, 0.5, ROWS)
    critic = judged(log(4, d_loss_real=-scores - 0.5, d_loss_fake=scores, g_loss=-scores + rng.normal(0.0, 0.1, ROWS)))
    assert critic.reading.implied.left == ("wgan",)


def test_exact_zeros_are_no_scores() -> None:
    zeros: dict[str, Any] = {"d_loss_real": np.zeros(ROWS), "d_loss_fake": np.zeros(ROWS), "g_loss": -0.3}
    found = judged(log(6, **zeros))
    assert found.reading.implied.contradiction
    assert names(found) == ["both losses vanish"]
