"""How numbers and evidence are written for people: the same in a verdict's reason and on a screen."""

import math

from ganlib.diagnosis.verdict import Evidence


def bare(number: str) -> str:
    """A number without a leading zero: `.08` of `0.08`."""
    return number.replace("0.", ".", 1) if number.startswith(("0.", "-0.")) else number


def percent_words(share: float) -> str:
    """`85 %` of a share in [0, 1]."""
    return f"{100 * share:.0f} %"


def evidence_words(evidence: Evidence) -> str:
    """`coverage .008 < .1 (epochs 8–10)`."""
    epochs = epochs_words(evidence.first_epoch, evidence.last_epoch)
    if not math.isfinite(evidence.value):
        return f"{evidence.signal} not finite ({epochs})"
    value, threshold = bare(f"{evidence.value:.3g}"), bare(f"{evidence.threshold:g}")
    return f"{evidence.signal} {value} {evidence.comparison} {threshold} ({epochs})"


def epochs_words(first: int, last: int) -> str:
    """`epoch 8`, `epochs 8–10`."""
    return f"epoch {last}" if first == last else f"epochs {first}–{last}"


NOTICED = 1.1
"""Times the median of the window before: from here on a loss is said to climb, or to fall below its inverse."""


def course_words(now: float, before: float) -> str:
    """`4.2 and climbs, from 3.1 in the window before`: a loss above 0; its level alone where `before` is not known."""
    level = bare(f"{now:.3g}")
    if not math.isfinite(before):
        return level
    earlier = f"{bare(f'{before:.3g}')} in the window before"
    if now > NOTICED * before:
        return f"{level} and climbs, from {earlier}"
    if now < before / NOTICED:
        return f"{level}, though it falls, from {earlier}"
    return f"{level}, about as in the window before"
