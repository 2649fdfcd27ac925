"""Which objective can a log be of? What its numbers refute is not assumed.

A relation between losses holds for the same samples. The generator's pass sees the discriminator after its update, and
often other fakes: a relation refutes an objective only where it fails in more than TOLERATED of the rows, and by more
than SLACK. A sign refutes by one row.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ganlib.foreign_logs.column_names import D_ACC, D_G_Z, D_G_Z_AFTER, D_LOSS, LOGIT_FAKE, LOGIT_REAL
from ganlib.foreign_logs.implied.numbers import Flags, Floats, Interval, Numbers, share

Objective = Literal[
    "bce", "lsgan", "hinge", "relativistic", "relativistic-hinge", "saturating-bce", "wgan", "negated-bce"
]
"""Families of adversarial losses that numbers can tell apart; `wgan` with and without a gradient penalty, `negated-bce`
a cross-entropy that is printed with its sign turned, as of a trainer that maximises it."""
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
LOG2 = math.log(2)
TOLERATED = 0.1
SLACK = 0.75
"""Of the least a loss can be: three quarters leave room for noise, as in `thresholds.IMPOSSIBLE_G_LOSS`."""
SMALLEST_LOSS = 1e-30
LARGE_SCORE = 20.0
"""A median loss above it is a logit that far from 0, or the score of a critic, which has no scale."""
ONE_SCALE = 0.01
"""Of the larger loss: scores of one critic are of one scale, and a generator's loss of 0.00 beside 60 is not."""
LARGE_SQUARES = 0.6
"""Of both sides together, which cost .5 at chance."""
EXACT_ZEROS = 0.02
"""Share of rows with a loss of exactly 0 that a hinge has where it is small: its batches are all beyond the margin."""
FINE_DIGITS = 5e-5
"""Half of the last digit that a loss is printed with: coarser zeros are no exact ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Possibility:
    """How one objective stands beside the numbers."""

    objective: Objective
    standing: Standing
    reason: str
    """Why it is refuted or unlikely; empty where it is possible."""
    by_sign: bool = False
    """Whether it is refuted by a sign, which code that contradicts itself does not turn, and not by a relation."""


def possibilities(numbers: Numbers) -> tuple[Possibility, ...]:
    """Every candidate with its standing, in the order of CANDIDATES."""
    return tuple(_standing(name, numbers) for name in CANDIDATES)


def left(found: tuple[Possibility, ...]) -> tuple[Objective, ...]:
    """Those that the numbers leave as possible; where none is, those that are only unlikely.

    A critic explains any numbers, and is thought of only where a loss is below 0.
    """
    signed = any(p.by_sign for p in found if p.objective == "bce")
    possible: list[Objective] = [p.objective for p in found if p.standing == "possible"]
    unlikely: list[Objective] = [
        p.objective
        for p in found
        if p.standing == "unlikely" and p.objective != "negated-bce" and (signed or p.objective != "wgan")
    ]
    return tuple(possible or unlikely)


def _standing(name: Objective, numbers: Numbers) -> Possibility:
    for test in REFUTED_BY[name]:
        if reason := test(numbers):
            return Possibility(objective=name, standing="refuted", reason=reason, by_sign=test in SIGNS)
    hinted = numbers.objectives
    if hinted and name not in hinted:
        reason = f"this trainer minimises {' or '.join(hinted)}, unless it was changed"
        return Possibility(objective=name, standing="unlikely", reason=reason)
    tests = () if len(hinted) == 1 else UNLIKELY_BY.get(name, ())
    reason = next((r for test in tests if (r := test(numbers))), "")
    return Possibility(objective=name, standing="unlikely" if reason else "possible", reason=reason)


# --- signs ------------------------------------------------------------------------------------------------------

D_LOSSES = (D_LOSS, "d_loss_real", "d_loss_fake")


def _below_zero(numbers: Numbers, signals: tuple[str, ...], what: str) -> str:
    for signal in signals:
        column = numbers.get(signal)
        if column is not None and (wrong := column.finite & (column.high < 0)).any():
            return f"{signal} is {column.middle[wrong][0]:.4g}, and {what} is never below 0"
    return ""


def _negative_cross_entropy(numbers: Numbers) -> str:
    return _below_zero(numbers, (*D_LOSSES, "g_loss"), "a cross-entropy")


def _negative_squares(numbers: Numbers) -> str:
    return _below_zero(numbers, (*D_LOSSES, "g_loss"), "a square")


def _negative_hinge(numbers: Numbers) -> str:
    return _below_zero(numbers, D_LOSSES, "a hinge loss of the discriminator")


def _negative_pairs_of_hinge(numbers: Numbers) -> str:
    return _below_zero(numbers, (*D_LOSSES, "g_loss"), "a relativistic hinge loss")


def _positive_generator(numbers: Numbers) -> str:
    g_loss = numbers.get("g_loss")
    if g_loss is None:
        return ""
    wrong = g_loss.finite & (g_loss.low > 0)
    return f"g_loss is {g_loss.middle[wrong][0]:.4g}, and log(1 - p) is never above 0" if wrong.any() else ""


def _not_saturating(numbers: Numbers) -> str:
    """g_loss = E[log(1 - p)] = -d_loss_fake, of the same fakes."""
    g_loss, fake = numbers.get("g_loss"), numbers.part("fake")
    if g_loss is None or fake is None:
        return ""
    if _fails(-g_loss.high > fake.high / SLACK + 0.05, g_loss, fake) <= TOLERATED:
        return ""
    return "g_loss is further below 0 than the discriminator's loss on fakes is above it"


def _negative_d_cross_entropy(numbers: Numbers) -> str:
    return _below_zero(numbers, D_LOSSES, "a cross-entropy")


def _positive_discriminator(numbers: Numbers) -> str:
    seen = False
    for signal in D_LOSSES:
        column = numbers.get(signal)
        if column is None:
            continue
        seen = True
        if (wrong := column.finite & (column.low > 0)).any():
            return f"{signal} is {column.middle[wrong][0]:.4g}, and a log-likelihood is never above 0"
    return "" if seen else "no loss of the discriminator was printed"


# --- relations between losses -----------------------------------------------------------------------------------


def _fails(holds: Flags, *known: Interval) -> float:
    """Share of rows in which something fails, among those where all that it needs is known."""
    return share(holds, np.logical_and.reduce([one.finite for one in known]))


def least_g_loss(d_loss_fake: Floats) -> Floats:
    """What fakes that cost the discriminator so much cost a generator at the least: -log(1 - exp(-d_loss_fake)).

    E[-log p] >= -log E[p], and E[p] <= 1 - exp(-d_loss_fake), both by Jensen's inequality.
    """
    return -np.log(-np.expm1(-np.maximum(d_loss_fake, SMALLEST_LOSS)))


def _too_low_for_fakes(numbers: Numbers) -> str:
    g_loss, fake = numbers.get("g_loss"), numbers.part("fake")
    if g_loss is None or fake is None:
        return ""
    least = least_g_loss(fake.high)
    wrong = g_loss.high < SLACK * least
    if _fails(wrong, g_loss, fake) <= TOLERATED:
        return ""
    row = int(np.argmax(wrong & g_loss.finite & fake.finite))
    return (
        f"g_loss is {g_loss.middle[row]:.4g} beside a d_loss of at most {fake.high[row]:.2g} on fakes, of which a "
        f"cross-entropy makes {least[row]:.3g} or more"
    )


def _too_low_for_pairs(numbers: Numbers) -> str:
    """As of a cross-entropy, where p is the chance that a pair is told."""
    g_loss, total = numbers.get("g_loss"), numbers.total
    if g_loss is None or total is None:
        return ""
    least = least_g_loss(np.maximum(total.high, 0.0))
    if _fails(g_loss.high < SLACK * least, g_loss, total) <= TOLERATED:
        return ""
    return "g_loss is lower than pairs that are told so surely make it"


def _less_than_probabilities_allow(numbers: Numbers) -> str:
    """By Jensen: -log D(x) - log(1 - D(G(z))) at the least, of the means that are printed."""
    both, total = numbers.probabilities, numbers.total
    if both is None or total is None:
        return ""
    real, fake = both
    with np.errstate(divide="ignore"):
        least = -np.log(np.maximum(real.high, SMALLEST_LOSS)) - np.log(np.maximum(1 - fake.low, SMALLEST_LOSS))
    if _fails(total.high < SLACK * least - 0.01, total, real, fake) <= TOLERATED:
        return ""
    return "d_loss is lower than the cross-entropy of the D(x) and D(G(z)) beside it can be"


def _not_squares(numbers: Numbers) -> str:
    """(1 - √d)² <= g <= (1 + √d)² where d = E[D(G(z))²], g = E[(1 - D(G(z)))²]; either may be halved."""
    g_loss, fake = numbers.get("g_loss"), numbers.part("fake")
    if g_loss is None or fake is None:
        return ""
    root = np.sqrt(2 * fake.high)
    least, most = np.maximum(1 - root, 0) ** 2 / 2, (1 + root) ** 2
    wrong = (g_loss.high < SLACK * least) | (g_loss.low > most / SLACK)
    if _fails(wrong, g_loss, fake) <= TOLERATED:
        return ""
    row = int(np.argmax(wrong & g_loss.finite & fake.finite))
    return (
        f"g_loss is {g_loss.middle[row]:.4g} where least squares make {least[row]:.2g} to {most[row]:.3g} of fakes "
        f"that cost the discriminator at most {fake.high[row]:.2g}"
    )


def _less_than_squares_of_means(numbers: Numbers) -> str:
    both, total = numbers.probabilities, numbers.total
    if both is None or total is None:
        return ""
    real, fake = both
    least = (np.maximum(1 - real.high, 0) ** 2 + fake.low**2) / 2
    if _fails(total.high < SLACK * least - 0.005, total, real, fake) <= TOLERATED:
        return ""
    return "d_loss is lower than the squares of the D(x) and D(G(z)) beside it"


def _told_and_passed(numbers: Numbers) -> str:
    """Fakes that the discriminator tells before its update, and calls real right after it: no objective makes that."""
    before, after = numbers.get(D_G_Z), numbers.get(D_G_Z_AFTER)
    if before is None or after is None or numbers.probabilities is None:
        return ""
    if _fails((before.high < 0.25) & (after.low > 0.5), before, after) <= 0.5:
        return ""
    return "D(G(z)) is below .25 in the discriminator's pass and above .5 in the generator's, of the same fakes"


def _not_hinge(numbers: Numbers) -> str:
    """d_loss_fake >= 1 + E[D(G(z))] = 1 - g_loss."""
    g_loss, fake = numbers.get("g_loss"), numbers.part("fake")
    if g_loss is None or fake is None:
        return ""
    least = 1 - fake.high
    wrong = g_loss.high < least - (1 - SLACK) * abs(least) - 0.05
    if _fails(wrong, g_loss, fake) <= TOLERATED:
        return ""
    row = int(np.argmax(wrong & g_loss.finite & fake.finite))
    return f"g_loss is {g_loss.middle[row]:.4g} where a hinge makes at least {least[row]:.2g} of the same fakes"


def _less_than_hinge_of_means(numbers: Numbers) -> str:
    both, total = numbers.probabilities, numbers.total
    if both is None or total is None:
        return ""
    real, fake = both
    least = (1 - real.high) + (1 + fake.low)
    if _fails(total.high < SLACK * least, total, real, fake) <= TOLERATED:
        return ""
    return "D(x) and D(G(z)) lie from 0 to 1, where a hinge costs at least 1 on fakes, and d_loss is lower"


def _less_than_pairs(least: float) -> Callable[[Numbers], str]:
    """f(x) + f(-x) has its least value at 0: the losses of both networks on the same pairs."""

    def test(numbers: Numbers) -> str:
        g_loss, d_loss = numbers.get("g_loss"), numbers.total
        if g_loss is None or d_loss is None:
            return ""
        wrong = d_loss.high + g_loss.high < 0.95 * least
        if _fails(wrong, g_loss, d_loss) <= TOLERATED:
            return ""
        row = int(np.argmax(wrong & g_loss.finite & d_loss.finite))
        return (
            f"d_loss and g_loss make at most {d_loss.high[row] + g_loss.high[row]:.3g} together, and losses of the "
            f"same pairs at least {least:.3g}"
        )

    return test


def _critic_of_probabilities(numbers: Numbers) -> str:
    """A critic's loss is D(G(z)) - D(x), and no more than a penalty above it."""
    both, loss = numbers.probabilities, numbers.get(D_LOSS)
    if both is None or loss is None:
        return ""
    real, fake = both
    wrong = loss.low > fake.high - real.low + 0.05
    if _fails(wrong, loss, real, fake) <= 1 - TOLERATED:
        return ""
    return "D(x) and D(G(z)) are probabilities, and d_loss is not their difference"


# --- what speaks for nothing ------------------------------------------------------------------------------------


def _is_negative(column: Interval | None) -> bool:
    return column is not None and bool((column.finite & (column.high < 0)).any())


def _exact_zeros(numbers: Numbers) -> float:
    """Share of rows in which the discriminator's loss prints as 0 with digits enough to mean it."""
    zeros: list[float] = []
    for signal in D_LOSSES:
        column = numbers.get(signal)
        if column is None or numbers.are_means:
            continue
        fine = (column.high - column.low) / 2 <= FINE_DIGITS
        zeros.append(share((column.middle == 0) & fine, column.finite))
    return max(zeros, default=0.0)


def _scores_of_zero(numbers: Numbers) -> str:
    zeros = _exact_zeros(numbers)
    return f"d_loss is exactly 0 in {zeros:.0%} of the rows, and scores never are" if zeros > EXACT_ZEROS else ""


def _no_sign_of_hinge(numbers: Numbers) -> str:
    if _is_negative(numbers.get("g_loss")) or _exact_zeros(numbers) > EXACT_ZEROS:
        return ""
    return "g_loss is never below 0 and d_loss never exactly 0, as happens with a hinge"


def _no_sign_of_pairs_of_hinge(numbers: Numbers) -> str:
    if _exact_zeros(numbers) > EXACT_ZEROS or _logits_only_differ(numbers):
        return ""
    return "d_loss is never exactly 0, as happens with a hinge, and nothing else speaks for pairs"


def _no_sign_of_pairs(numbers: Numbers) -> str:
    return "" if _logits_only_differ(numbers) else "nothing in the log speaks for losses of pairs"


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
    if any(_is_negative(column) for column in columns):
        return ""
    largest = max((_median_size(c) for signal in D_LOSSES if (c := numbers.get(signal)) is not None), default=0.0)
    g_loss = numbers.get("g_loss")
    if largest > LARGE_SCORE and (g_loss is None or _median_size(g_loss) > ONE_SCALE * largest):
        return ""
    return "no loss is ever below 0, and a critic's losses are scores of any sign"


def _no_sign_of_a_turned_one(numbers: Numbers) -> str:
    columns = [c for signal in D_LOSSES if (c := numbers.get(signal)) is not None]
    if not any(_is_negative(column) for column in columns):
        return "no loss of the discriminator is below 0"
    if any(_median_size(column) > LARGE_SCORE for column in columns):
        return "a cross-entropy is hardly ever so large"
    return ""


def _signed_generator(numbers: Numbers) -> str:
    g_loss = numbers.get("g_loss")
    if g_loss is None or not _is_negative(g_loss) or not (g_loss.finite & (g_loss.low > 0)).any():
        return ""
    return "g_loss has either sign, and neither a cross-entropy nor a log-likelihood has"


def _beyond_squares(numbers: Numbers) -> str:
    total = numbers.total
    if total is None or np.median(total.low[total.finite]) <= LARGE_SQUARES:
        return ""
    return "d_loss lies far above .25 a side, which least squares cost where every sample is called the same"


REFUTED_BY: dict[Objective, tuple[Callable[[Numbers], str], ...]] = {
    "bce": (_negative_cross_entropy, _too_low_for_fakes, _less_than_probabilities_allow),
    "lsgan": (_negative_squares, _not_squares, _less_than_squares_of_means, _told_and_passed),
    "hinge": (_negative_hinge, _not_hinge, _less_than_hinge_of_means),
    "relativistic": (_negative_cross_entropy, _less_than_pairs(2 * LOG2), _too_low_for_pairs),
    "relativistic-hinge": (_negative_pairs_of_hinge, _less_than_pairs(2.0), _less_than_hinge_of_means),
    "saturating-bce": (
        _negative_d_cross_entropy,
        _positive_generator,
        _not_saturating,
        _less_than_probabilities_allow,
    ),
    "negated-bce": (_positive_discriminator, _signed_generator),
    "wgan": (_critic_of_probabilities, _scores_of_zero),
}
"""What shows that an objective cannot be."""
SIGNS = (
    _negative_cross_entropy,
    _negative_squares,
    _negative_hinge,
    _negative_pairs_of_hinge,
    _positive_generator,
    _negative_d_cross_entropy,
    _positive_discriminator,
    _signed_generator,
)
"""Of those, the ones that look at signs."""
UNLIKELY_BY: dict[Objective, tuple[Callable[[Numbers], str], ...]] = {
    "lsgan": (_beyond_squares,),
    "hinge": (_no_sign_of_hinge,),
    "relativistic": (_no_sign_of_pairs,),
    "relativistic-hinge": (_no_sign_of_pairs_of_hinge,),
    "wgan": (_no_sign_of_a_critic,),
    "negated-bce": (_no_sign_of_a_turned_one,),
}
"""What is left out of account though it cannot be excluded: rarer losses for which nothing speaks."""
