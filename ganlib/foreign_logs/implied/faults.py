"""Mistakes of code that leave typical numbers behind: each with its reason and with what would show it."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ganlib.foreign_logs.column_names import D_ACC, D_LOSS
from ganlib.foreign_logs.implied.numbers import D_LOSSES, LOG2, Interval, Numbers, median, share
from ganlib.foreign_logs.implied.relations import SLACK, least_g_loss

ALL = 0.99
"""Share of rows that is all of them but one in a window of 100."""
MOST = 0.5
"""Share of rows in which numbers stand where code cuts them: no loss of a training that is well comes there at all."""
SOFTPLUS_OF_ONE = math.log1p(math.exp(-1.0))
"""What a cross-entropy with its own sigmoid makes of an output of 1 that should be 1: a sigmoid's most."""
TWICE = (SOFTPLUS_OF_ONE, LOG2, 1 + SOFTPLUS_OF_ONE)
"""Of outputs in [0, 1]: the least loss where they should be 1; the most, which is the least where they should be 0; and
the most there."""
CLIPPED = (15.424948, 15.942385, 16.118096)
"""-log of 2e-7, of single precision's epsilon and of 1e-7: where Keras cuts a probability of 0."""
CUT_BY_TORCH = 100.0
"""Where PyTorch's BCELoss cuts the logarithm of 0."""
STILL_ROWS = 20
"""Rows that repeat to the last digit before it is no chance: a loss that moves by no more than its last digit shows the
same one in all of so many in one of 500,000 logs (half of the time each, 2 to the power of -19)."""
FINE = 1e-3
"""The last digit of a loss that does not move, over the loss: losses of batches of 128 move by .7 % and more from
step to step (bench/foreign/games.py), and coarser digits repeat without meaning it."""
VANISHED = 0.1
"""Of both together, as `thresholds.VANISHED_D_LOSS` of their mean."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeFault:
    """A mistake that the numbers are typical of."""

    name: str
    reason: str
    check: str
    """What to do to see whether it is so."""


def code_faults(numbers: Numbers, last: int) -> tuple[CodeFault, ...]:
    """Mistakes that the last so many rows are typical of, the most specific first; numbers alone make none certain."""
    window = last_rows(numbers, last)
    return tuple(fault for test in TESTS if (fault := test(window)) is not None)


def last_rows(numbers: Numbers, rows: int) -> Numbers:
    """The same of the last rows only."""
    columns = {s: Interval(low=c.low[-rows:], high=c.high[-rows:]) for s, c in numbers.columns.items()}
    return Numbers(columns=columns, d_loss=numbers.d_loss, objectives=numbers.objectives, are_means=numbers.are_means)


def _sigmoid_twice(numbers: Numbers) -> CodeFault | None:
    """All outputs lie in [0, 1], and the loss takes them for logits."""
    g_loss, total = numbers.get("g_loss"), numbers.total
    if g_loss is None or total is None:
        return None
    low, middle, high = TWICE
    inside = (g_loss.high >= low) & (g_loss.low <= middle + 1e-3) & (total.high >= low + middle)
    inside &= total.low <= low + high + 1e-3
    if share(inside, g_loss.finite & total.finite) < ALL or not _at_an_end(g_loss, total):
        return None
    return CodeFault(
        name="sigmoid twice",
        reason=f"g_loss never leaves {low:.3f} to {middle:.3f} and d_loss on reals and fakes together never falls "
        f"below "
        f"{low + middle:.3f}: so it is where a loss that has its own sigmoid is fed with a sigmoid's output",
        check="Leave one of the two out: a network that ends in logits with BCEWithLogitsLoss (from_logits=True), "
        "or a "
        "sigmoid with BCELoss.",
    )


def _at_an_end(g_loss: Interval, total: Interval) -> bool:
    low, middle, high = TWICE
    of_g, of_d = median(g_loss), median(total)
    near = {"called real": (low, low + high), "told": (middle, low + middle)}
    return any(abs(of_g - g) < 0.03 and abs(of_d - d) < 0.06 for g, d in near.values())


def _loss_of_logits(numbers: Numbers) -> CodeFault | None:
    """The logarithm of a probability outside (0, 1) is cut, and stands where it is cut."""
    for signal in (*D_LOSSES, "g_loss"):
        column = numbers.get(signal)
        if column is None:
            continue
        for cut in (*CLIPPED, *(value / 2 for value in CLIPPED)):
            if share(abs(column.middle - cut) <= 0.01, column.finite) > MOST:
                return CodeFault(
                    name="loss fed with logits",
                    reason=f"{signal} stands at {median(column):.4g}, where Keras cuts the logarithm of 0: the "
                    f"loss takes for "
                    "probabilities what lies outside 0 to 1, or a sigmoid that is saturated",
                    check="Give the last layer a sigmoid, or the loss from_logits=True; print the least and the "
                    "largest output.",
                )
    return None


def _cut_by_torch(numbers: Numbers) -> CodeFault | None:
    for signal in (*D_LOSSES, "g_loss"):
        column = numbers.get(signal)
        if column is None:
            continue
        for cut in (CUT_BY_TORCH, CUT_BY_TORCH / 2):
            if share(abs(column.middle - cut) <= 0.01, column.finite) > MOST:
                return CodeFault(
                    name="saturated sigmoid",
                    reason=f"{signal} stands at {median(column):.4g}, where PyTorch's BCELoss cuts the logarithm "
                    f"of 0: the "
                    "sigmoid has rounded to 0 or 1, and no gradient comes through it",
                    check="Use BCEWithLogitsLoss on logits, and a lower rate; look at the largest weight of the "
                    "discriminator.",
                )
    return None


def _labels_swapped(numbers: Numbers) -> CodeFault | None:
    """A small loss of a discriminator that gives fakes more than reals."""
    both, total = numbers.probabilities, numbers.total
    if both is None or total is None:
        return None
    real, fake = both
    wrong = (real.high < fake.low) & (total.high < LOG2)
    if share(wrong, total.finite & real.finite & fake.finite) < MOST:
        return None
    return CodeFault(
        name="labels swapped",
        reason=f"d_loss is small though D(x) is {median(real):.2g} and D(G(z)) {median(fake):.2g}, as of a "
        "discriminator that is taught that reals are 0 and fakes 1",
        check="Compare the targets of the discriminator's update with those of the generator's, which wants the "
        "reals' one.",
    )


def _shared_batch(numbers: Numbers) -> CodeFault | None:
    """The generator's loss is lower than it can be of fakes that are told so surely."""
    g_loss, fake, total = numbers.get("g_loss"), numbers.part("fake"), numbers.total
    if g_loss is None or fake is None or total is None or median(total) > VANISHED:
        return None
    if not median(g_loss) < SLACK * float(np.median(least_g_loss(fake.high[fake.finite]))):
        return None
    return CodeFault(
        name="real and fake share a batch",
        reason=f"d_loss is {median(total):.2g} on both together and g_loss {median(g_loss):.2g}: the same fakes "
        f"cannot be told and pass, as where batch normalisation sees reals and fakes together in one update and fakes "
        "alone in the other, or where the labels of the two updates disagree",
        check="Pass reals and fakes through the discriminator one after the other; print D(G(z)) before and after "
        "its update.",
    )


def _nothing_moves(numbers: Numbers) -> CodeFault | None:
    if not is_still(numbers):
        return None
    return CodeFault(
        name="rate of 0",
        reason=f"every loss is printed alike to its last digit in {len(numbers)} rows, as where no weight moves and "
        "batches do not differ, or where the same numbers are printed again",
        check="Print the optimizers' rates, and a weight before and after a step; look for detach() before the loss, "
        "no_grad() around it, or parameters that the optimizer was not given.",
    )


def is_still(numbers: Numbers) -> bool:
    """Whether every loss repeats to its last digit, in rows enough and with digits enough to mean it.

    A loss that is no number in any of the rows does not: it was one elsewhere, or may have been.
    """
    losses = [column for signal, column in numbers.columns.items() if signal in (*D_LOSSES, "g_loss")]
    if not losses or len(numbers) < STILL_ROWS or not all(loss.finite.all() for loss in losses):
        return False
    for loss in losses:
        digit = float((loss.high - loss.low).max())
        spread = float(np.ptp(loss.middle))
        if spread > 1e-9 + 1e-6 * abs(median(loss)) or not digit <= FINE * abs(median(loss)):
            return False
    return True


def _undecided(numbers: Numbers) -> CodeFault | None:
    """At chance and still: the discriminator says the same of every sample."""
    g_loss, total = numbers.get("g_loss"), numbers.total
    if g_loss is None or total is None or numbers.are_means or len(numbers) < STILL_ROWS:
        return None
    real, fake = numbers.get("d_loss_real"), numbers.get("d_loss_fake")
    losses = [(g_loss, LOG2), *([] if real is None else [(real, LOG2)]), *([] if fake is None else [(fake, LOG2)])]
    if (d_loss := numbers.get(D_LOSS)) is not None:
        level = LOG2 if abs(median(d_loss) - LOG2) < abs(median(d_loss) - 2 * LOG2) else 2 * LOG2
        losses.append((d_loss, level))
    for loss, level in losses:
        near = abs(loss.middle - level) <= 2e-3 * level + (loss.high - loss.low)
        if share(near, loss.finite) < ALL:
            return None
    return CodeFault(
        name="nothing is learnt",
        reason="both losses lie at log 2 a side and hardly move, as of a discriminator that says the same of every "
        "sample",
        check="Print D's outputs on a batch of reals and of fakes, and the norm of its gradient: where outputs "
        "are all alike, look "
        "at its rate and its last layer; where the gradient is 0, for a detach() too many.",
    )


def _coin_on_its_edge(numbers: Numbers) -> CodeFault | None:
    """Accuracies of 0 and 1 without a margin behind them."""
    real, fake, total = numbers.get("d_acc_real"), numbers.get("d_acc_fake"), numbers.total
    pooled = numbers.get(D_ACC)
    if total is None or (real is None and pooled is None):
        return None
    certain = pooled is not None and abs(median(pooled) - 0.5) < 0.01
    if real is not None and fake is not None:
        certain = abs(median(real) - median(fake)) > 0.95
    return _EDGE if certain and is_at_chance(total) else None


_EDGE = CodeFault(
    name="accuracy without a margin",
    reason="the accuracies call all the same, and the losses are as of outputs that are nearly all 1/2: where a sign "
    "is decided by the last digits, they show no dead discriminator",
    check="Print D(x) and D(G(z)): where both lie at .5 the accuracies say nothing.",
)


def is_at_chance(total: Interval) -> bool:
    """Whether the losses on reals and fakes together are those of a discriminator that says 1/2 of every sample."""
    near = (total.low <= 2 * LOG2 * 1.01) & (total.high >= 2 * LOG2 * 0.99)
    return share(near, total.finite) > 0.9


TESTS: tuple[Callable[[Numbers], CodeFault | None], ...] = (
    _sigmoid_twice,
    _loss_of_logits,
    _cut_by_torch,
    _labels_swapped,
    _shared_batch,
    _nothing_moves,
    _undecided,
    _coin_on_its_edge,
)
