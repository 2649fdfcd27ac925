"""What numbers show an objective not to be: signs that it never has, and relations between losses that it always has.

A relation holds for the same samples. The generator's pass sees the discriminator after its update, and often other
fakes: a relation refutes an objective only where it fails in more than TOLERATED of the rows, and by more than SLACK.
A sign refutes by one row. Each test gives its reason, or nothing.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import numpy as np

from ganlib.foreign_logs.column_names import D_G_Z, D_G_Z_AFTER, D_LOSS
from ganlib.foreign_logs.implied.numbers import D_LOSSES, LOG2, Flags, Floats, Interval, Numbers, share

Test = Callable[[Numbers], str]
TOLERATED = 0.1
"""Of 84 trainings none misses a relation of its own objective in more than .012 of its steps, and most in none, but
those whose two updates see different batches (bench/foreign/games.py)."""
SLACK = 0.75
"""Of the least a loss can be: three quarters leave room for noise, as in `thresholds.IMPOSSIBLE_G_LOSS`."""
OF_PAIRS = 0.95
"""The same where both losses are of the same pairs, but for the update between them."""
SMALLEST_LOSS = 1e-30
BELOW_1 = 2.0**-24
"""By how much a mean output that single precision rounds to 1 may lie below it."""
AS_OF_ONE = 0.02
"""By how much d_loss and g_loss of a hinge may miss 1, as a share of g_loss where that is large: the generator's update
sees a later discriminator."""
OF_REALS = 3.0
"""1, and what reals on the wrong side cost: up to 2 where most lie within the margin."""
HALF = 0.5
"""Of the rows, and of both scores together: in trainings of a critic whose updates see the same, fakes rise so far in
.013 of the steps at the most, and where they do not see the same in all (bench/foreign/games.py)."""
FAR = 30.0
"""How far g_loss has to go, ten times as far as OF_REALS, before a sum with d_loss that stays is no chance."""
HALVED = ((1.0, 1.0), (1.0, 2.0), (2.0, 1.0), (2.0, 2.0))
"""What makes whole squares of g_loss and of the discriminator's loss on fakes."""
OF_ONE_UPDATE = 0.1
"""By how far, in the root of a mean square, the discriminator's update may have moved what it says of fakes: labels are
1 apart. In 99 of 100 steps of 14 trainings with squares it is less than .05 (bench/foreign/games.py)."""
BOUND = 0.25
"""Root of the loss on fakes up to which squares bind g_loss to .56 to 1.56; from 1 on they bind it to nothing."""
FEWEST_BOUND = 20
"""Rows that are so bound before they alone are looked at."""
ROOM = 0.05
"""By how much more a loss may miss a relation in which it is near 0, where a share of it leaves no room."""


# --- signs ------------------------------------------------------------------------------------------------------


def _never_below_0(signals: tuple[str, ...], what: str) -> Test:
    def test(numbers: Numbers) -> str:
        for signal in signals:
            column = numbers.get(signal)
            if column is not None and (wrong := column.finite & (column.high < 0)).any():
                return f"{signal} is {column.middle[wrong][0]:.4g}, and {what} is never below 0"
        return ""

    return test


negative_cross_entropy = _never_below_0((*D_LOSSES, "g_loss"), "a cross-entropy")
negative_d_cross_entropy = _never_below_0(D_LOSSES, "a cross-entropy")
negative_squares = _never_below_0((*D_LOSSES, "g_loss"), "a square")
negative_hinge = _never_below_0(D_LOSSES, "a hinge loss of the discriminator")
negative_pairs_of_hinge = _never_below_0((*D_LOSSES, "g_loss"), "a relativistic hinge loss")


def positive_generator(numbers: Numbers) -> str:
    """log(1 - p) is never above 0."""
    g_loss = numbers.get("g_loss")
    if g_loss is None:
        return ""
    wrong = g_loss.finite & (g_loss.low > 0)
    return f"g_loss is {g_loss.middle[wrong][0]:.4g}, and log(1 - p) is never above 0" if wrong.any() else ""


def positive_discriminator(numbers: Numbers) -> str:
    """A log-likelihood is never above 0."""
    seen = False
    for signal in D_LOSSES:
        column = numbers.get(signal)
        if column is None:
            continue
        seen = True
        if (wrong := column.finite & (column.low > 0)).any():
            return f"{signal} is {column.middle[wrong][0]:.4g}, and a log-likelihood is never above 0"
    return "" if seen else "no loss of the discriminator was printed"


def signed_generator(numbers: Numbers) -> str:
    """A generator's loss of either sign."""
    g_loss = numbers.get("g_loss")
    if g_loss is None or not is_negative(g_loss) or not (g_loss.finite & (g_loss.low > 0)).any():
        return ""
    return "g_loss has either sign, and neither a cross-entropy nor a log-likelihood has"


def is_negative(column: Interval | None) -> bool:
    """Whether a value is below 0 for certain."""
    return column is not None and bool((column.finite & (column.high < 0)).any())


SIGNS: tuple[Test, ...] = (
    negative_cross_entropy,
    negative_d_cross_entropy,
    negative_squares,
    negative_hinge,
    negative_pairs_of_hinge,
    positive_generator,
    positive_discriminator,
    signed_generator,
)


# --- relations between losses -----------------------------------------------------------------------------------


def _broken(wrong: Flags, *known: Interval, said: Callable[[int], str], most: float = TOLERATED) -> str:
    """What is said of the first row in which a relation fails, where it fails in more than `most` of them.

    Rows count in which all is known that the relation needs.
    """
    among = np.logical_and.reduce([one.finite for one in known])
    return said(int(np.argmax(wrong & among))) if share(wrong, among) > most else ""


def least_g_loss(d_loss_fake: Floats) -> Floats:
    """What fakes that cost the discriminator so much cost a generator at the least: -log(1 - exp(-d_loss_fake)).

    E[-log p] >= -log E[p], and E[p] <= 1 - exp(-d_loss_fake), both by Jensen's inequality.
    """
    return -np.log(-np.expm1(-np.maximum(d_loss_fake, SMALLEST_LOSS)))


def too_low_for_fakes(numbers: Numbers) -> str:
    """See `least_g_loss`."""
    g_loss, fake = numbers.get("g_loss"), numbers.part("fake")
    if g_loss is None or fake is None:
        return ""
    least = least_g_loss(fake.high)
    return _broken(
        g_loss.high < SLACK * least,
        g_loss,
        fake,
        said=lambda row: (
            f"g_loss is {g_loss.middle[row]:.4g} beside a d_loss of at most {fake.high[row]:.2g} on fakes, "
            f"of which a cross-entropy makes {least[row]:.3g} or more"
        ),
    )


def too_low_for_pairs(numbers: Numbers) -> str:
    """As of a cross-entropy, where p is the chance that a pair is told."""
    g_loss, total = numbers.get("g_loss"), numbers.total
    if g_loss is None or total is None:
        return ""
    least = least_g_loss(np.maximum(total.high, 0.0))
    words = "g_loss is lower than pairs that are told so surely make it"
    return _broken(g_loss.high < SLACK * least, g_loss, total, said=lambda _: words)


def less_than_pairs(least: float) -> Test:
    """f(x) + f(-x) has its least value at 0: the losses of both networks on the same pairs.

    Where the discriminator has a loss on reals and one on fakes, so has the generator, and prints their sum or mean:
    each of its two makes at least that value with one of the discriminator's.
    """

    def test(numbers: Numbers) -> str:
        g_loss, d_loss = numbers.get("g_loss"), numbers.total
        if g_loss is None or d_loss is None:
            return ""
        sides = 2 if numbers.get("d_loss_real") is not None and numbers.get("d_loss_fake") is not None else 1
        both = d_loss.high + sides * g_loss.high
        return _broken(
            both < OF_PAIRS * sides * least,
            g_loss,
            d_loss,
            said=lambda row: (
                f"d_loss and g_loss make at most {both[row]:.3g} together, and losses of the same pairs "
                f"at least {sides * least:.3g}"
            ),
        )

    return test


def not_saturating(numbers: Numbers) -> str:
    """g_loss = E[log(1 - p)] = -d_loss_fake, of the same fakes."""
    g_loss, fake = numbers.get("g_loss"), numbers.part("fake")
    if g_loss is None or fake is None:
        return ""
    words = "g_loss is further below 0 than the discriminator's loss on fakes is above it"
    return _broken(-g_loss.high > fake.high / SLACK + ROOM, g_loss, fake, said=lambda _: words)


def less_than_probabilities_allow(numbers: Numbers) -> str:
    """By Jensen: -log D(x) - log(1 - D(G(z))) at the least, of the means that are printed."""
    both, total = numbers.probabilities, numbers.total
    if both is None or total is None:
        return ""
    real, fake = both
    least = -np.log(np.maximum(real.high, SMALLEST_LOSS)) - np.log(np.maximum(1 - fake.low, BELOW_1))
    words = "d_loss is lower than the cross-entropy of the D(x) and D(G(z)) beside it can be"
    return _broken(total.high < SLACK * least - ROOM / 5, total, real, fake, said=lambda _: words)


def not_squares(numbers: Numbers) -> str:
    """|√g - 1| <= √d where d = E[D(G(z))²], g = E[(1 - D(G(z)))²], by the triangle inequality.

    Either may be halved, in every row of a log or in none. Rows count in which fakes cost the discriminator so little
    that g_loss is bound to a level, where there are a few of them.
    """
    g_loss, fake = numbers.get("g_loss"), numbers.part("fake")
    if g_loss is None or fake is None:
        return ""
    reasons = [_not_squares_of(g_loss.scaled(g_factor), fake.scaled(factor)) for g_factor, factor in HALVED]
    return reasons[0] if all(reasons) else ""


def _not_squares_of(g_loss: Interval, fake: Interval) -> str:
    root = np.sqrt(np.maximum(fake.high, 0.0))
    low, high = (np.sqrt(np.maximum(end, 0.0)) for end in (g_loss.low, g_loss.high))
    wrong = (high < 1 - root - OF_ONE_UPDATE) | (low > 1 + root + OF_ONE_UPDATE)
    among = g_loss.finite & fake.finite & (root <= BOUND)
    if among.sum() < FEWEST_BOUND:
        among = g_loss.finite & fake.finite
    if share(wrong, among) <= TOLERATED:
        return ""
    row = int(np.argmax(wrong & among))
    least, most = max(1 - root[row], 0.0) ** 2, (1 + root[row]) ** 2
    return (
        f"g_loss is {g_loss.middle[row]:.4g} where least squares make {least:.2g} to {most:.3g} of fakes that cost the "
        f"discriminator at most {fake.high[row]:.2g}"
    )


def less_than_squares_of_means(numbers: Numbers) -> str:
    """E[D²] >= E[D]², on either side; the sum of both may be halved."""
    both, total = numbers.probabilities, numbers.total
    if both is None or total is None:
        return ""
    real, fake = both
    least = (np.maximum(1 - real.high, 0) ** 2 + fake.low**2) / 2
    words = "d_loss is lower than the squares of the D(x) and D(G(z)) beside it"
    return _broken(total.high < SLACK * least - ROOM / 10, total, real, fake, said=lambda _: words)


def told_and_passed(numbers: Numbers) -> str:
    """Fakes that the discriminator tells before its update, and calls real right after it: no objective makes that.

    An update can turn a few batches, and hardly every second one from a quarter to a half.
    """
    before, after = numbers.get(D_G_Z), numbers.get(D_G_Z_AFTER)
    if before is None or after is None or numbers.probabilities is None:
        return ""
    words = "D(G(z)) is below .25 in the discriminator's pass and above .5 in the generator's, of the same fakes"
    return _broken((before.high < 0.25) & (after.low > 0.5), before, after, said=lambda _: words, most=0.5)


def not_hinge(numbers: Numbers) -> str:
    """d_loss_fake >= 1 + E[D(G(z))] = 1 - g_loss."""
    g_loss, fake = numbers.get("g_loss"), numbers.part("fake")
    if g_loss is None or fake is None:
        return ""
    least = 1 - fake.high
    return _broken(
        g_loss.high < least - (1 - SLACK) * abs(least) - ROOM,
        g_loss,
        fake,
        said=lambda row: (
            f"g_loss is {g_loss.middle[row]:.4g} where a hinge makes at least {least[row]:.2g} of the same fakes"
        ),
    )


def less_than_hinge_of_means(numbers: Numbers) -> str:
    """E[max(0, 1 - x)] >= 1 - E[x], on either side."""
    both, total = numbers.probabilities, numbers.total
    if both is None or total is None:
        return ""
    real, fake = both
    least = (1 - real.high) + (1 + fake.low)
    words = "D(x) and D(G(z)) lie from 0 to 1, where a hinge costs at least 1 on fakes, and d_loss is lower"
    return _broken(total.high < SLACK * least, total, real, fake, said=lambda _: words)


def critic_of_probabilities(numbers: Numbers) -> str:
    """A critic's loss is D(G(z)) - D(x), and no more than a penalty above it."""
    both, loss = numbers.probabilities, numbers.get(D_LOSS)
    if both is None or loss is None:
        return ""
    real, fake = both
    wrong = loss.low > fake.high - real.low + ROOM
    words = "D(x) and D(G(z)) are probabilities, and d_loss is not their difference"
    return _broken(wrong, loss, real, fake, said=lambda _: words, most=1 - TOLERATED)


def fakes_rise_by_the_update(numbers: Numbers) -> str:
    """A critic's loss on fakes is their mean score, of which g_loss is the negative after an update that lowers it.

    Of other fakes it is higher as often as lower.
    """
    g_loss, fake = numbers.get("g_loss"), numbers.get("d_loss_fake")
    if g_loss is None or fake is None:
        return ""
    before, after = fake.high, -g_loss.high
    wrong = after - before > HALF * (np.abs(after) + np.abs(before))
    words = "fakes score far more after the discriminator's update than before it, and a critic's update lowers them"
    return _broken(wrong, g_loss, fake, said=lambda _: words, most=HALF)


def meaning_of_a_hinge(numbers: Numbers) -> Literal["mean", "sum"] | None:
    """What `d_loss` is where it is that of a hinge whose fakes are all called real; None where it is no such loss.

    Then d_loss_fake = 1 + E[D(G(z))] = 1 - g_loss. Together with g_loss that is 1 where reals cost nothing, and 1 to 3
    where they are wrong as well, however far g_loss goes; a critic's are -E[D(x)], of the same scale as g_loss.
    """
    g_loss = numbers.get("g_loss")
    meanings: tuple[Literal["mean", "sum"], ...] = ("sum", "mean") if numbers.d_loss is None else (numbers.d_loss,)
    for meaning in meanings:
        total = replace(numbers, d_loss=meaning).total
        if g_loss is None or total is None or not is_negative(g_loss):
            return None
        both = total.plus(g_loss)
        wide = float(np.ptp(g_loss.middle[g_loss.finite])) > FAR
        most = OF_REALS if wide else 1.0
        room = AS_OF_ONE * np.maximum(1.0, np.abs(g_loss.middle) if wide else 1.0)
        fits = (both.high >= 1 - room) & (both.low <= most + room)
        if share(fits, both.finite) >= 1 - TOLERATED:
            return meaning
    return None


LEAST_OF_PAIRS = {"relativistic": 2 * LOG2, "relativistic-hinge": 2.0}
"""What f(x) + f(-x) is at the least, by objective."""
