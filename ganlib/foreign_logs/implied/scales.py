"""In what units are the numbers? Percents and shares, sums and means, natural and binary logarithms, turned signs.

They are told apart by the ranges that numbers keep to. What is done is said in a sentence.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from ganlib.foreign_logs.column_names import D_ACC, D_LOSS, G_ACC
from ganlib.foreign_logs.implied.numbers import D_LOSSES, LOG2, Interval, Numbers, share
from ganlib.foreign_logs.implied.relations import TOLERATED, meaning_of_a_hinge

ACCURACIES = ("d_acc_real", "d_acc_fake", D_ACC, G_ACC)
SHARES = (*ACCURACIES, "d_auc")
JUST_ABOVE = 1e-3
"""By which a share may seem to be out of [0, 1]: what single precision and means of means round."""
LEAST_PERCENT = 2.0
"""The largest accuracy of a log in percent is above it: two shares that were added up make 2 at the most."""
MOST_PERCENT = 100.0
AT_CHANCE = 0.03
"""How near a loss lies to its value at chance where it is said to be there: g_loss of collapsed trainings, whose
discriminator has nothing to tell, lies within .02 of log 2, of healthy ones .07 to .2 above it."""
NEAR_SUM = 0.97
BELOW_SUM = 0.9
"""Of the least sum that D(x) and D(G(z)) allow: sums of 16 trainings lie at 1.00 to 1.16 of it in the median and in
no step below .9, means at half of that (bench/foreign/games.py)."""
SURE_ENOUGH = 0.2
"""Least sums that are compared: smaller ones are of outputs that are rounded to 0 and 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rescaled:
    """The numbers in our units, and what was done."""

    numbers: Numbers
    said: tuple[str, ...]


def rescaled(numbers: Numbers) -> Rescaled:
    """Accuracies as shares, losses in nats, and whether `d_loss` is a mean or a sum where its numbers tell it."""
    said: list[str] = []
    found = _with_shares(numbers, said)
    found = _in_nats(found, said)
    if found.d_loss is None and (told := _mean_or_sum(found)):
        found = replace(found, d_loss=told[0])
        said.append(told[1])
    return Rescaled(numbers=found, said=tuple(said))


def negated(numbers: Numbers) -> Numbers:
    """The discriminator's losses with their signs turned back; the generator's where it is never above 0 either."""
    columns = dict(numbers.columns)
    signals = [*D_LOSSES]
    g_loss = numbers.get("g_loss")
    if g_loss is not None and not (g_loss.finite & (g_loss.low > 0)).any():
        signals.append("g_loss")
    columns |= {s: columns[s].scaled(-1.0) for s in signals if s in columns}
    return replace(numbers, columns=columns)


def _with_shares(numbers: Numbers, said: list[str]) -> Numbers:
    """Accuracies as shares: all of a log are percents where one is; those that are neither are not used."""
    columns = dict(numbers.columns)
    known = {signal: column for signal in SHARES if (column := numbers.get(signal)) is not None}
    accuracies = [_range(column) for signal, column in known.items() if signal in ACCURACIES]
    percents = any(_are_percents(*ends) for ends in accuracies)
    for signal, column in known.items():
        least, most = _range(column)
        in_percent = percents if signal in ACCURACIES else _are_percents(least, most)
        if least >= -JUST_ABOVE and most <= (MOST_PERCENT if in_percent else 1) + JUST_ABOVE:
            columns[signal] = _within_shares(column.scaled(0.01 if in_percent else 1.0))
            said += [f"{signal} goes up to {most:g}: it was read as percents"] if in_percent else []
        else:
            del columns[signal]
            said.append(f"{signal} goes from {least:.4g} to {most:.4g}, neither a share nor a percentage; not used")
    return replace(numbers, columns=columns)


def _within_shares(column: Interval) -> Interval:
    """What was rounded to just outside of [0, 1] at its end; how far each may be off stays."""
    beyond = np.clip(column.middle, 0.0, 1.0) - column.middle
    return Interval(low=column.low + beyond, high=column.high + beyond)


def _range(column: Interval) -> tuple[float, float]:
    known = column.middle[column.finite]
    return float(known.min()), float(known.max())


def _are_percents(least: float, most: float) -> bool:
    return least >= -JUST_ABOVE and LEAST_PERCENT < most <= MOST_PERCENT + JUST_ABOVE


def _in_nats(numbers: Numbers, said: list[str]) -> Numbers:
    """Binary logarithms are seen where the discriminator is at chance: they cost 1 where natural ones cost log 2."""
    both, g_loss, d_loss = numbers.probabilities, numbers.get("g_loss"), numbers.get(D_LOSS)
    if both is None or g_loss is None or d_loss is None:
        return numbers
    undecided = np.logical_and.reduce([abs(p.middle - 0.5) < AT_CHANCE for p in both])
    among = g_loss.finite & d_loss.finite
    if share(undecided, among) < 1 - TOLERATED:
        return numbers
    level, of_d = np.median(g_loss.middle[among]), np.median(d_loss.middle[among])
    if abs(level - 1) > AT_CHANCE or min(abs(of_d - 1), abs(of_d - 2)) > AT_CHANCE:
        return numbers
    said.append("losses are in bits: they are 1 a side where D(x) and D(G(z)) are .5; read as log 2 each")
    return replace(numbers, columns={s: _to_nats(s, column) for s, column in numbers.columns.items()})


def _to_nats(signal: str, column: Interval) -> Interval:
    return column.scaled(LOG2) if signal in (*D_LOSSES, "g_loss") else column


def _mean_or_sum(numbers: Numbers) -> tuple[str, str] | None:
    """By Jensen's inequality the sum is at least -log D(x) - log(1 - D(G(z))), and near it where outputs are alike."""
    d_loss, both = numbers.get(D_LOSS), numbers.probabilities
    if d_loss is None:
        return None
    if (meaning := meaning_of_a_hinge(numbers)) is not None:
        return meaning, f"d_loss is the {meaning} of its parts: that makes 1 with g_loss, as of a hinge"
    if both is not None:
        real, fake = both
        with np.errstate(divide="ignore", invalid="ignore"):
            least = -np.log(real.high) - np.log1p(-fake.low)
            ratio = d_loss.high / least
        among = d_loss.finite & np.isfinite(least) & (least > SURE_ENOUGH)
        if share(ratio < BELOW_SUM, among) > TOLERATED:
            return "mean", "d_loss is the mean of its parts: it is less than the sum for D(x) and D(G(z)) can be"
        if among.any() and np.median(ratio[among]) >= NEAR_SUM:
            return "sum", "d_loss is the sum of its parts: a mean would be lower beside such D(x) and D(G(z))"
    return _by_level(numbers, d_loss)


def _by_level(numbers: Numbers, d_loss: Interval) -> tuple[str, str] | None:
    g_loss = numbers.get("g_loss")
    if g_loss is None or not (among := g_loss.finite & d_loss.finite).any():
        return None
    if abs(np.median(g_loss.middle[among]) / LOG2 - 1) > AT_CHANCE:
        return None
    level = float(np.median(d_loss.middle[among]))
    for factor, name in ((2.0, "sum"), (1.0, "mean")):
        if math.isclose(level, factor * LOG2, rel_tol=AT_CHANCE):
            return name, f"d_loss is the {name} of its parts: it lies at {level:.3g} where g_loss lies at log 2"
    return None
