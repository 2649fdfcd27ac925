"""Findings and their evidence, put together from signals and thresholds."""

from ganlib.diagnosis.confidence import CONFIDENCE
from ganlib.diagnosis.signals import Dynamics, RelativeEvaluation
from ganlib.diagnosis.thresholds import Threshold
from ganlib.diagnosis.verdict import Comparison, Evidence, Finding, Picture
from ganlib.findings import FindingName, Severity

CHECKS: dict[FindingName, str] = {
    "divergence": "Look at the loss curves: whether they leave the plot, or stop where numbers ended.",
    "convergence failure: both losses vanish": (
        "Look at the loss curves: d_loss lies at 0, and whether g_loss, which ought to be high then, lies there, too."
    ),
    "convergence failure: discriminator wins": (
        "Look at the loss curves and at d_auc: whether the discriminator is ever wrong, and whether g_loss climbs; and "
        "whether the samples still become better."
    ),
    "convergence failure: discriminator inert": (
        "Look at the accuracies: whether one is 100 % and the other 0 %, or at d_loss: whether it lies far above that "
        "of guesses; whatever the samples look like."
    ),
    "exploding gradients": (
        "Look at the gradient norms of the generator, and of the layer where one is named: when they began to grow, "
        "and whether the losses went with them."
    ),
    "vanishing gradients": (
        "Look at the gradient norms of the generator, and of the layer where one is named: when they began to shrink."
    ),
    "convergence failure: no equilibrium": (
        "Look at the loss curves: whether g_loss climbs or comes down; and whether the samples become better meanwhile."
    ),
    "mode collapse": "Look at the samples: a few again and again, or whole kinds of the data that never appear.",
    "memorisation": "Look at the samples beside the training images nearest to them: whether they are the same.",
    "oscillation": "Look at the loss curves step by step: whether g_loss swings at the named period.",
    "deceptive loss": "Look at the samples, not at the losses: the curves look balanced; do the samples?",
    "stalled": "Look at the samples of the named epochs: whether they are poor, and change for the better.",
    "slow convergence": "Look at the samples of the named epochs: whether they still become better.",
}
"""What to look at to see for oneself, by finding."""


def finding(name: FindingName, severity: Severity, summary: str, *evidence: Evidence) -> Finding:
    """A finding that begins now."""
    sure = CONFIDENCE[name]
    return Finding(
        name=name,
        severity=severity,
        first_epoch=0,
        summary=summary,
        evidence=evidence,
        confidence=sure.value,
        confidence_low=sure.low,
        confidence_high=sure.high,
        confidence_cases=sure.cases,
        check=CHECKS[name],
    )


def of_window(window: Dynamics, signal: str, value: float, comparison: Comparison, cut: Threshold) -> Evidence:
    """Evidence from the last window of updates."""
    return _evidence(signal, value, comparison, cut, window.first_epoch, window.last_epoch, "losses")


def of_outcome(
    result: RelativeEvaluation,
    signal: str,
    value: float,
    comparison: Comparison,
    cut: Threshold,
    picture: Picture = "samples",
) -> Evidence:
    """Evidence from one evaluation."""
    return _evidence(signal, value, comparison, cut, result.epoch, result.epoch, picture)


def of_outcomes(
    results: tuple[RelativeEvaluation, ...], signal: str, value: float, comparison: Comparison, cut: Threshold
) -> Evidence:
    """Evidence from several evaluations."""
    return _evidence(signal, value, comparison, cut, results[0].epoch, results[-1].epoch, "samples")


def _evidence(
    signal: str, value: float, comparison: Comparison, cut: Threshold, first: int, last: int, picture: Picture
) -> Evidence:
    return Evidence(
        signal=signal,
        value=value,
        threshold=cut.value,
        comparison=comparison,
        first_epoch=first,
        last_epoch=last,
        source=cut.source,
        picture=picture,
    )
