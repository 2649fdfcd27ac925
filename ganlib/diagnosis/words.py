"""How numbers and evidence are written for people: the same in a verdict's reason and on a screen."""

import math

from ganlib.diagnosis.verdict import Evidence


def bare(number: str) -> str:
    """A number without a leading zero: `.08` of `0.08`."""
    return number.replace("0.", ".", 1) if number.startswith(("0.", "-0.")) else number


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
