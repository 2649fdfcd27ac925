"""What the numbers of a log rule out, whatever they leave open: one sentence for each finding that cannot be."""

import numpy as np

from ganlib.findings import FindingName
from ganlib.foreign_logs.implied.answer import Implied
from ganlib.foreign_logs.implied.numbers import Floats, Interval
from ganlib.foreign_logs.implied.objectives import D_LOSSES

FINITE_BELOW = 1e4
FAR_FROM_NOTHING = 0.2
"""Losses on reals and fakes together above which none has vanished."""
NOT_ALL = 0.98
"""Most of the samples that are told, below which the discriminator is wrong often enough to teach something."""
SOME = 0.05


def excluded(implied: Implied) -> dict[FindingName, str]:
    """Finding → why it cannot be, by the rows that are judged; under every objective that is left."""
    found: dict[FindingName, str] = {}
    losses = [column for signal in (*D_LOSSES, "g_loss") if (column := implied.numbers.get(signal)) is not None]
    if losses and all(_stays_small(column) for column in losses):
        found["divergence"] = "every loss is a number of a sensible size"
    if "wgan" in implied.left:
        return found
    total = _median(implied.numbers.total, implied.last, upper=False)
    if total > FAR_FROM_NOTHING:
        found["convergence failure: both losses vanish"] = f"d_loss on both together is {total:.2g} or more"
        found["convergence failure: discriminator wins"] = found["convergence failure: both losses vanish"]
    bounds = {of: one.bounds for of, one in implied.accuracies().items() if one.by}
    for of, one in bounds.items():
        most = _median(one, implied.last, upper=True)
        if most < NOT_ALL:
            found["convergence failure: discriminator wins"] = f"it tells at most {100 * most:.3g} % of the {of}s"
    least = [_median(one, implied.last, upper=False) for one in bounds.values()]
    if len(least) == len(("real", "fake")) and min(least) > SOME:
        found["convergence failure: discriminator inert"] = (
            f"it tells at least {100 * least[0]:.3g} % of the reals and {100 * least[1]:.3g} % of the fakes"
        )
    return found


def _stays_small(column: Interval) -> bool:
    return bool(column.finite.all()) and float(np.abs(column.middle).max(initial=0.0)) < FINITE_BELOW


def _median(column: Interval | None, last: int, *, upper: bool) -> float:
    """Of one end of the last rows; not-a-number, which excludes nothing, where none is known."""
    if column is None:
        return float("nan")
    values: Floats = (column.high if upper else column.low)[-last:]
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else float("nan")
