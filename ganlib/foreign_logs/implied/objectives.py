"""Which objective can a log be of? What its numbers refute (`relations`) is not assumed."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ganlib.diagnosis.signals import CHANCE_D_LOSS
from ganlib.diagnosis.thresholds import WORSE_THAN_CHANCE
from ganlib.foreign_logs.column_names import D_ACC, LOGIT_FAKE, LOGIT_REAL
from ganlib.foreign_logs.implied import relations
from ganlib.foreign_logs.implied.numbers import D_LOSSES, LOG2, Interval, Numbers, median, share
from ganlib.foreign_logs.implied.relations import (
    LEAST_OF_PAIRS,
    SIGNS,
    TOLERATED,
    Test,
    is_negative,
    meaning_of_a_hinge,
)

Objective = Literal[
    "bce", "lsgan", "hinge", "relativistic", "relativistic-hinge", "saturating-bce", "wgan", "negated-bce", "other"
]
"""Families of adversarial losses that numbers can tell apart; `wgan` with and without a gradient penalty, `negated-bce`
a cross-entropy that is printed with its sign turned, as of a trainer that maximises it. `other` is none of them."""
CANDIDATES: tuple[Objective, ...] = (
    "bce",
    "lsgan",
    "hinge",
    "relativistic",
    "relativistic-hinge",
    "saturating-bce",
    "wgan",
    "negated-bce",
)
"""In the order in which one of several is taken."""
Standing = Literal["possible", "unlikely", "refuted"]
LARGE_SCORE = 20.0
"""A median loss above it is a logit that far from 0, or the score of a critic, which has no scale: a cross-entropy that
climbs for 1,600 steps has a median of 17 to 19 on both together, a healthy one 1.3 (bench/foreign/games.py)."""
ONE_SCALE = 0.01
"""Of the larger loss: scores of one critic are of one scale, and a generator's loss of 0.00 beside 60 is not."""
LARGE_SQUARES = 0.6
"""Of both sides together, which cost .5 at chance; healthy trainings end at .45 to .46."""
LARGE_HINGE = 2 * CHANCE_D_LOSS["hinge"] * WORSE_THAN_CHANCE.value
"""Of both sides together: 3. From there on the rule on a discriminator that is worse than guessing finds a hinge inert,
as it does squares, so that both come to the same. A hinge that is healthy stays below it wherever its log ends: how far
it comes is in `levels` of bench/results/foreign.json."""
EXACT_ZEROS = 0.02
"""Share of rows with a loss of exactly 0 that a hinge has where it is small: its batches are all beyond the margin.
Where one network is ahead, .46 to 1 of the steps of a hinge, alone or of pairs, are so; of all other objectives
none."""
FINE_DIGITS = 5e-5
"""Half of the last digit that a loss is printed with: coarser zeros are no exact ones."""
NEXT_TO_0 = 10.0
"""Last digits up to which a loss is next to 0. Where it is so as often as it prints 0, zeros are rounded ones: a
cross-entropy comes down through all of them, and a hinge jumps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Possibility:
    """How one objective stands beside the numbers."""

    objective: Objective
    standing: Standing
    reason: str
    """Why it is refuted or unlikely; empty where it is possible."""
    doubts: int = 0
    """Of one that is unlikely: how many things speak against it that a training which fails does not explain."""
    by_sign: bool = False
    """Whether it is refuted by a sign, which code that contradicts itself does not turn, and not by a relation."""


def possibilities(numbers: Numbers) -> tuple[Possibility, ...]:
    """Every candidate with its standing, in the order of CANDIDATES."""
    return tuple(_standing(name, numbers) for name in CANDIDATES)


def left(found: tuple[Possibility, ...]) -> tuple[Objective, ...]:
    """Those that the numbers leave as possible; where none is, those of which least is in doubt.

    A critic explains any numbers, and is thought of only where a loss is below 0.
    """
    signed = any(p.by_sign for p in found if p.objective == "bce")
    possible: list[Objective] = [p.objective for p in found if p.standing == "possible"]
    unlikely = [
        p
        for p in found
        if p.standing == "unlikely" and p.objective != "negated-bce" and (signed or p.objective != "wgan")
    ]
    least = min((p.doubts for p in unlikely), default=0)
    return tuple(possible or [p.objective for p in unlikely if p.doubts == least])


def _standing(name: Objective, numbers: Numbers) -> Possibility:
    for test in REFUTED_BY[name]:
        if reason := test(numbers):
            return Possibility(objective=name, standing="refuted", reason=reason, by_sign=test in SIGNS)
    hinted = numbers.objectives
    reasons = [f"this trainer minimises {' or '.join(hinted)}, unless it was changed"] if name not in hinted else []
    tests = () if hinted == (name,) else UNLIKELY_BY.get(name, ())
    speak_against = [*(reasons if hinted else []), *(reason for test in tests if (reason := test(numbers)))]
    failing = _beyond_squares_and_hinge(numbers) if name == "lsgan" else ""
    return Possibility(
        objective=name,
        standing="unlikely" if speak_against or failing else "possible",
        reason=next(iter(speak_against), failing),
        doubts=len(speak_against),
    )


# --- what speaks for nothing ------------------------------------------------------------------------------------


def _exact_zeros(numbers: Numbers) -> float:
    """Share of rows in which the discriminator's loss prints as 0 with digits enough to mean it."""
    zeros: list[float] = []
    for signal in D_LOSSES:
        column = numbers.get(signal)
        if column is None:
            continue
        digit = column.high - column.low
        zero = share((column.middle == 0) & (digit / 2 <= FINE_DIGITS), column.finite)
        rounded = share((column.middle != 0) & (np.abs(column.middle) <= NEXT_TO_0 * digit), column.finite)
        zeros.append(zero if zero > rounded else 0.0)
    return max(zeros, default=0.0)


def _scores_of_zero(numbers: Numbers) -> str:
    zeros = _exact_zeros(numbers)
    return f"d_loss is exactly 0 in {zeros:.0%} of the rows, and scores never are" if zeros > EXACT_ZEROS else ""


def _no_sign_of_hinge(numbers: Numbers) -> str:
    if is_negative(numbers.get("g_loss")) or _exact_zeros(numbers) > EXACT_ZEROS:
        return ""
    return "g_loss is never below 0 and d_loss never exactly 0, as happens with a hinge"


def _stays_at_0(numbers: Numbers) -> str:
    """A mean score of fakes that lies at 0 and never crosses it, beside reals whose scores do not lie there.

    Where fakes cost 1, reals cost as much more or less as their scores lie from 0.
    """
    g_loss, total = numbers.get("g_loss"), numbers.total
    if g_loss is None or total is None or is_negative(g_loss):
        return ""
    late = (len(g_loss) + 1) // 2
    reals = abs(median(total.low, late) - 2 * CHANCE_D_LOSS["hinge"])
    near = abs(median(g_loss.middle, late)) < ONE_SCALE * reals
    return "g_loss lies at 0 and never crosses it, as losses do and mean scores do not" if near else ""


def _follows_as_of_a_hinge(numbers: Numbers) -> str:
    return (
        "d_loss and g_loss make 1 together, as of a hinge whose fakes are all called real"
        if meaning_of_a_hinge(numbers) is not None
        else ""
    )


def _no_sign_of_pairs_of_hinge(numbers: Numbers) -> str:
    if _exact_zeros(numbers) > EXACT_ZEROS or _logits_only_differ(numbers):
        return ""
    return "d_loss is never exactly 0, as happens with a hinge, and nothing else speaks for pairs"


def _no_sign_of_pairs(numbers: Numbers) -> str:
    if _logits_only_differ(numbers) or _probabilities_only_differ(numbers):
        return ""
    return "nothing in the log speaks for losses of pairs"


def _probabilities_only_differ(numbers: Numbers) -> bool:
    """A discriminator at chance whose D(x) and D(G(z)) are far from 1/2 on the same side: only pairs cost so little."""
    total = numbers.total
    at_chance = total is not None and median(total.high) > LOG2
    return at_chance and bool(relations.less_than_probabilities_allow(numbers))


def _logits_only_differ(numbers: Numbers) -> bool:
    """Reals below 0 or fakes above it beside a small loss: only the difference of a pair can be judged."""
    real, fake, total = numbers.get(LOGIT_REAL), numbers.get(LOGIT_FAKE), numbers.total
    if real is None or fake is None or total is None:
        return False
    odd = ((real.high < 0) | (fake.low > 0)) & (total.high < LOG2)
    return share(odd, real.finite & fake.finite & total.finite) > TOLERATED


def _median_size(column: Interval) -> float:
    return float(np.median(np.abs(column.middle[column.finite])))


def _no_sign_of_a_critic(numbers: Numbers) -> str:
    if any(numbers.get(signal) is not None for signal in (D_ACC, "d_acc_real", "d_acc_fake")):
        return "an accuracy was printed, and a critic calls nothing real or fake"
    columns = [numbers.get(signal) for signal in (*D_LOSSES, "g_loss")]
    if any(is_negative(column) for column in columns):
        return ""
    largest = max((_median_size(c) for signal in D_LOSSES if (c := numbers.get(signal)) is not None), default=0.0)
    g_loss = numbers.get("g_loss")
    if largest > LARGE_SCORE and (g_loss is None or _median_size(g_loss) > ONE_SCALE * largest):
        return ""
    return "no loss is ever below 0, and a critic's losses are scores of any sign"


def _no_sign_of_a_turned_one(numbers: Numbers) -> str:
    columns = [c for signal in D_LOSSES if (c := numbers.get(signal)) is not None]
    if not any(is_negative(column) for column in columns):
        return "no loss of the discriminator is below 0"
    if any(_median_size(column) > LARGE_SCORE for column in columns):
        return "a cross-entropy is hardly ever so large"
    return ""


def _ranks_the_wrong_way(numbers: Numbers) -> str:
    parts = [numbers.get(name) for name in ("d_loss_real", "d_loss_fake")]
    if any(part is None or is_negative(part) for part in parts):
        return ""
    return (
        "no loss on reals or on fakes is below 0, and a critic would score every batch of reals below 0, of fakes above"
    )


def _level(total: Interval | None) -> float:
    """The least that it may be, over the later half of the rows."""
    return math.nan if total is None else median(total.low, (len(total) + 1) // 2)


def _beyond_squares(numbers: Numbers) -> str:
    if not LARGE_SQUARES < _level(numbers.total) <= LARGE_HINGE:
        return ""
    return "d_loss lies far above .25 a side, which least squares cost where every sample is called the same"


def _beyond_squares_and_hinge(numbers: Numbers) -> str:
    """Such a loss is that of a discriminator which fails, under squares and under what would make it usual."""
    return "d_loss lies far above what guesses cost" if _level(numbers.total) > LARGE_HINGE else ""


REFUTED_BY: dict[Objective, tuple[Test, ...]] = {
    "bce": (relations.negative_cross_entropy, relations.too_low_for_fakes, relations.less_than_probabilities_allow),
    "lsgan": (
        relations.negative_squares,
        relations.not_squares,
        relations.less_than_squares_of_means,
        relations.told_and_passed,
    ),
    "hinge": (relations.negative_hinge, relations.not_hinge, relations.less_than_hinge_of_means),
    "relativistic": (
        relations.negative_cross_entropy,
        relations.less_than_pairs(LEAST_OF_PAIRS["relativistic"]),
        relations.too_low_for_pairs,
    ),
    "relativistic-hinge": (
        relations.negative_pairs_of_hinge,
        relations.less_than_pairs(LEAST_OF_PAIRS["relativistic-hinge"]),
        relations.less_than_hinge_of_means,
    ),
    "saturating-bce": (
        relations.negative_d_cross_entropy,
        relations.positive_generator,
        relations.not_saturating,
        relations.less_than_probabilities_allow,
    ),
    "negated-bce": (relations.positive_discriminator, relations.signed_generator),
    "wgan": (relations.critic_of_probabilities, _scores_of_zero, relations.fakes_rise_by_the_update),
}
"""What shows that an objective cannot be."""
UNLIKELY_BY: dict[Objective, tuple[Test, ...]] = {
    "lsgan": (_beyond_squares,),
    "hinge": (_no_sign_of_hinge, _stays_at_0),
    "relativistic": (_no_sign_of_pairs,),
    "relativistic-hinge": (_no_sign_of_pairs_of_hinge,),
    "saturating-bce": (_follows_as_of_a_hinge,),
    "wgan": (_no_sign_of_a_critic, _ranks_the_wrong_way, _follows_as_of_a_hinge),
    "negated-bce": (_no_sign_of_a_turned_one,),
}
"""What is left out of account though it cannot be excluded: rarer losses for which nothing speaks."""
