"""What the numbers of a log rule out, whatever they leave open: one sentence for each finding that cannot be."""

import math
from collections.abc import Iterator

import numpy as np

from ganlib.diagnosis.signals import CHANCE_D_LOSS
from ganlib.diagnosis.thresholds import (
    CERTAIN,
    EXPLODED_LOSS,
    GUESSED_ACCURACY,
    NEVER,
    VANISHED_D_LOSS,
    VANISHED_SHARE,
    WORSE_THAN_CHANCE,
)
from ganlib.findings import FindingName
from ganlib.foreign_logs.implied.accuracies import Of, accuracy_bounds
from ganlib.foreign_logs.implied.answer import Implied, rules_of
from ganlib.foreign_logs.implied.numbers import D_LOSSES, Interval, Numbers, median

MARGIN = 0.01
"""Between an accuracy at which a rule finds something and one at which that is ruled out: rules take means, this the
median of the same rows."""
NOT_VANISHED = 2.0
"""Times the loss at which rules say that it has vanished."""
WINS: FindingName = "convergence failure: discriminator wins"
VANISH: FindingName = "convergence failure: both losses vanish"
INERT: FindingName = "convergence failure: discriminator inert"
Excluded = dict[FindingName, str]


def excluded(implied: Implied) -> Excluded:
    """Finding → why it cannot be, by the rows that are judged; under every objective that is left."""
    found: Excluded = {}
    losses = [column for signal in (*D_LOSSES, "g_loss") if (column := implied.numbers.get(signal)) is not None]
    if losses and all(_stays_small(column) for column in losses):
        found["divergence"] = "every loss is a number of a sensible size"
    by_objective = [dict(_under(implied.numbers_under(o), rules_of(o), implied.last)) for o in implied.left]
    own = by_objective[0]
    found.update((name, why) for name, why in own.items() if all(name in other for other in by_objective))
    return found


def _stays_small(column: Interval) -> bool:
    return bool(column.finite.all()) and float(np.abs(column.middle).max(initial=0.0)) < EXPLODED_LOSS.value


def _under(numbers: Numbers, objective: str, last: int) -> Iterator[tuple[FindingName, str]]:
    """What cannot be under one objective."""
    if objective not in CHANCE_D_LOSS:  # of scores without a level nothing can be said
        return
    chance = 2 * CHANCE_D_LOSS[objective]
    low, high = (math.nan, math.nan) if numbers.total is None else _ends(numbers.total, last)
    bounds: dict[Of, tuple[float, float]] = {
        of: _ends(one.bounds, last) for of, one in accuracy_bounds(numbers, objective).items() if one.by
    }
    if low > NOT_VANISHED * max(2 * VANISHED_D_LOSS.value, VANISHED_SHARE.value * chance):
        why = f"d_loss on both together is {low:.2g} or more"
        yield VANISH, why
        yield WINS, why
    elif (missed := _missed(bounds)) is not None:
        yield WINS, f"it tells at most {100 * bounds[missed][1]:.3g} % of the {missed}s"
    least = [end for end, _ in bounds.values()]
    if len(least) < len(("real", "fake")) or min(least) <= NEVER.value + MARGIN:
        return
    if min(least) > GUESSED_ACCURACY.value or high < WORSE_THAN_CHANCE.value * chance:
        shares = " and ".join(f"{100 * end:.3g} % of the {of}s" for of, (end, _) in bounds.items())
        yield INERT, f"it tells at least {shares}"


def _missed(bounds: dict[Of, tuple[float, float]]) -> Of | None:
    """Those of which it is wrong too often to be sure."""
    return next((of for of, (_, most) in bounds.items() if most < CERTAIN.value - MARGIN), None)


def _ends(column: Interval, last: int) -> tuple[float, float]:
    """Medians of both ends of the last rows; not-a-number, which excludes nothing, where none is known."""
    return median(column.low, last), median(column.high, last)
