"""Findings that the numbers of a log show beside those of the rules on a history.

They are losses that stand still, which only the digits of what was printed tell from levels, and losses of pairs that
cannot both be.
"""

import math
from collections.abc import Callable
from dataclasses import replace

from ganlib.diagnosis.evidence import finding, of_window
from ganlib.diagnosis.history import History
from ganlib.diagnosis.signals import CHANCE_D_LOSS, Dynamics, dynamics
from ganlib.diagnosis.thresholds import IMPOSSIBLE_G_LOSS, VANISHED_SHARE, WINDOW_UPDATES, Threshold
from ganlib.diagnosis.verdict import Diagnosis, Finding
from ganlib.diagnosis.words import bare, evidence_words
from ganlib.findings import FINDING_NAMES, SEVERITIES, Verdict
from ganlib.foreign_logs.implied.faults import is_still, last_rows
from ganlib.foreign_logs.implied.numbers import D_LOSSES, Numbers, median
from ganlib.foreign_logs.implied.relations import LEAST_OF_PAIRS, SMALLEST_LOSS

STILL_UPDATES = 2 * WINDOW_UPDATES
REPEATED = Threshold(
    value=STILL_UPDATES,
    source="two windows: losses of batches that differ repeat to the last digit by rare chance only",
)
AT_CHANCE = 0.02
"""How near d_loss lies to that of guesses where networks in balance may leave it, whatever its digits."""
PAID_BY_GUESSES = Threshold(value=1.0, source="the loss of a discriminator that says the same of every sample")
MAY_BE_HALVED = frozenset({"lsgan"})
"""Objectives whose squares some code halves, and with them what guesses cost."""


def with_printed_rules(found: Diagnosis, history: History, numbers: Numbers) -> Diagnosis:
    """The diagnosis with what these rules add; a finding that is there already is not told twice.

    `numbers` are those of the reading that made the history: turned as its objective has them, and with its meaning of
    `d_loss`. Where both meanings are left, each has its own reading (`agreement`).
    """
    known = {one.name for one in found.findings}
    window = dynamics(history, history.rows_of(WINDOW_UPDATES))
    added = [one for rule in RULES if (one := rule(window, history, numbers)) is not None and one.name not in known]
    if not added:
        return found
    findings = sorted((*found.findings, *added), key=lambda one: FINDING_NAMES.index(one.name))
    cause = next(one for one in findings if one.severity != "mild")
    verdict: Verdict = cause.name.split(":")[0]  # pyright: ignore[reportAssignmentType]
    return replace(
        found,
        findings=tuple(findings),
        severity=SEVERITIES[max(SEVERITIES.index(one.severity) for one in findings)],
        verdict=verdict,
        reason=evidence_words(cause.evidence[0]),
    )


def losses_stand_still(window: Dynamics, history: History, numbers: Numbers) -> Finding | None:
    """Every loss repeats to its last digit, and not where a discriminator in balance would leave it."""
    rows = history.rows_of(STILL_UPDATES)
    recent = last_rows(numbers, rows)
    if len(numbers) < rows or not is_still(recent) or recent.total is None:
        return None
    losses = [loss for signal in (*D_LOSSES, "g_loss") if (loss := recent.get(signal)) is not None]
    if not any((loss.low < loss.high).any() for loss in losses):  # exact values were never printed
        return None
    if _is_at_chance(median(recent.total), history.objective):
        return None
    updates = int(rows * history.updates_per_row)
    return replace(
        finding(
            "convergence failure: discriminator inert",
            "severe",
            f"Every loss is printed alike to its last digit in {rows} rows, of {updates} updates: as where no weight "
            "moves and batches do not differ, or where the same numbers are printed again.",
            of_window(window, "updates in which every printed loss repeats", updates, ">=", REPEATED),
        ),
        first_epoch=history.epoch,
    )


def _is_at_chance(total: float, objective: str) -> bool:
    """Whether the losses on reals and fakes together are those of guesses."""
    chance = 2 * CHANCE_D_LOSS.get(objective, 0.0)
    levels = (chance, chance / 2) if objective in MAY_BE_HALVED else (chance,)
    return any(abs(total - level) <= AT_CHANCE * level for level in levels)


def pairs_contradict(window: Dynamics, history: History, numbers: Numbers) -> Finding | None:
    """The discriminator tells every pair, and yet the generator's loss is lower than the same pairs can make it.

    As `dynamic_rules.both_losses_vanish`; f(x) + f(-x) has its least value at 0.
    """
    least = LEAST_G_LOSS_OF_PAIRS.get(history.objective)
    if least is None or not window.finite or window.updates < WINDOW_UPDATES or "d_loss_real" not in history.columns:
        return None
    vanished = window.d_loss / CHANCE_D_LOSS[history.objective]
    share = window.g_loss / max(least(window.d_loss), SMALLEST_LOSS)
    if not (vanished < VANISHED_SHARE.value and share < IMPOSSIBLE_G_LOSS.value):
        return None
    return replace(
        finding(
            "convergence failure: both losses vanish",
            "severe",
            f"The discriminator tells nearly every pair, yet the generator's loss is {bare(f'{window.g_loss:.2g}')}, "
            "less than the same pairs can make it: the two updates do not see the same, as where batch statistics or "
            "labels differ.",
            of_window(window, "g_loss over the least that d_loss allows", share, "<", IMPOSSIBLE_G_LOSS),
            of_window(window, "d_loss over that of guesses", vanished, "<", VANISHED_SHARE),
        ),
        first_epoch=history.epoch,
    )


def pairs_are_ranked_wrong(window: Dynamics, history: History, numbers: Numbers) -> Finding | None:
    """The generator pays nothing, so that nearly every pair is ranked the wrong way round.

    f(x) + f(-x) has its least value at 0, and so the discriminator pays more than guesses do.
    """
    chance = CHANCE_D_LOSS.get(history.objective, math.nan)
    if history.objective not in LEAST_OF_PAIRS or not window.finite or window.updates < WINDOW_UPDATES:
        return None
    paid, of_d = window.g_loss / chance, window.d_loss / chance
    if not (paid < VANISHED_SHARE.value and of_d > PAID_BY_GUESSES.value):
        return None
    return replace(
        finding(
            "convergence failure: discriminator inert",
            "severe",
            f"The generator's loss is {bare(f'{window.g_loss:.2g}')}: the discriminator ranks nearly every pair the "
            "wrong way round, and guesses would cost it less.",
            of_window(window, "g_loss over that of guesses", paid, "<", VANISHED_SHARE),
            of_window(window, "d_loss over that of guesses", of_d, ">", PAID_BY_GUESSES),
        ),
        first_epoch=history.epoch,
    )


def _least_of_cross_entropies(d_loss: float) -> float:
    return -math.log(-math.expm1(-max(d_loss, SMALLEST_LOSS)))


def _least_of_hinges(d_loss: float) -> float:
    return LEAST_OF_PAIRS["relativistic-hinge"] - d_loss


LEAST_G_LOSS_OF_PAIRS: dict[str, Callable[[float], float]] = {
    "relativistic": _least_of_cross_entropies,
    "relativistic-hinge": _least_of_hinges,
}
RULES = (losses_stand_still, pairs_contradict, pairs_are_ranked_wrong)
