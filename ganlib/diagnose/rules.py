"""From a history to a diagnosis: which findings hold at its last epoch, causes before symptoms.

A pure function of recorded numbers. Rules are a table; each looks at signals and returns a finding or None.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from ganlib.diagnose import thresholds as at
from ganlib.diagnose.history import History
from ganlib.diagnose.signals import Dynamics, Outcome, dynamics, judged, outcome
from ganlib.diagnose.thresholds import RULESET, WINDOW_UPDATES, Threshold
from ganlib.diagnose.verdict import (
    SEVERITIES,
    Comparison,
    Diagnosis,
    Episode,
    Evidence,
    Finding,
    FindingName,
    Severity,
    Verdict,
)
from ganlib.report import STEP_COLUMNS

LOSS_LEVELS_COUNT = ("bce", "clamped-bce")
"""Objectives whose losses have the levels that rules know."""
NO_ZERO_POINT = ("wgan", "wgan-gp")
"""Objectives whose logits are scores: their sign calls nothing real or fake."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signals:
    """What rules look at."""

    updates: int
    """Since the start."""
    bce: bool
    """Whether loss levels have their usual meaning."""
    accuracies: bool
    """Whether the sign of a logit calls a sample real or fake."""
    dynamics: Dynamics
    outcome: Outcome | None
    outcome_before: Outcome | None
    """Of the evaluation before the last."""


def diagnose(history: History) -> Diagnosis:
    """The verdict of the history at its last epoch."""
    signals = _signals(history)
    found = [finding for rule in RULES if (finding := rule(signals)) is not None]
    findings = tuple(_since(finding, history) for finding in found)
    verdict, reason = _sum_up(findings, signals)
    return Diagnosis(
        epoch=history.epoch,
        verdict=verdict,
        severity=_worst(findings),
        findings=findings,
        reason=reason,
        ruleset=RULESET,
        recovered=_recovered(findings, history),
        missing=tuple(name for name in STEP_COLUMNS if name not in history.columns),
    )


# --- rules ------------------------------------------------------------------------------------------------------


def divergence(signals: Signals) -> Finding | None:
    """Numbers that are no numbers, or losses beyond any sense."""
    window = signals.dynamics
    if window.finite and window.largest_loss < at.EXPLODED_LOSS.value:
        return None
    value = window.largest_loss if window.finite else math.inf
    return _finding(
        "divergence",
        "severe",
        "Losses or gradients are no longer finite numbers of a sensible size: the weights have blown up.",
        _window_evidence(window, "largest loss or gradient", value, ">=", at.EXPLODED_LOSS),
    )


def both_losses_vanish(signals: Signals) -> Finding | None:
    """The discriminator is never wrong, and yet the generator's loss is 0."""
    window = signals.dynamics
    if not (_full(signals) and signals.bce and _certain(window) and window.g_loss < at.VANISHED_G_LOSS.value):
        return None
    return _finding(
        "convergence failure: both losses vanish",
        "severe",
        "The discriminator tells every fake, yet the generator's loss is 0. Both cannot be true of the same fakes: "
        "the two updates see different batch statistics, and the generator learns nothing.",
        _window_evidence(window, "g_loss", window.g_loss, "<", at.VANISHED_G_LOSS),
        *_certainty(window),
    )


def discriminator_wins(signals: Signals) -> Finding | None:
    """The discriminator is never wrong, and the generator's loss is high or rising."""
    window = signals.dynamics
    rising = window.g_loss > at.RISING_G_LOSS.value * window.g_loss_before
    lost = window.g_loss > at.LOST_G_LOSS.value or (rising and window.g_loss > at.UNSETTLED_G_LOSS.value)
    certain = signals.bce and _certain(window) and window.d_loss < at.VANISHED_D_LOSS.value
    if not (_full(signals) and certain and lost):
        return None
    return _finding(
        "convergence failure: discriminator wins",
        "severe",
        "The discriminator is never wrong, so its gradients tell the generator nothing it could follow.",
        _window_evidence(window, "d_loss", window.d_loss, "<", at.VANISHED_D_LOSS),
        _window_evidence(window, "g_loss", window.g_loss, ">", at.UNSETTLED_G_LOSS if rising else at.LOST_G_LOSS),
        *_certainty(window),
    )


def discriminator_inert(signals: Signals) -> Finding | None:
    """Everything is called real, or everything fake."""
    window = signals.dynamics
    all_real = window.d_acc_real >= at.CERTAIN.value and window.d_acc_fake <= at.NEVER.value
    all_fake = window.d_acc_fake >= at.CERTAIN.value and window.d_acc_real <= at.NEVER.value
    if not (_full(signals) and signals.accuracies and (all_real or all_fake)):
        return None
    called = "real" if all_real else "fake"
    real_rule, fake_rule = (at.CERTAIN, at.NEVER) if all_real else (at.NEVER, at.CERTAIN)
    return _finding(
        "convergence failure: discriminator inert",
        "severe",
        f"The discriminator calls everything {called}: it has stopped telling reals from fakes, and no longer learns.",
        _window_evidence(window, "d_acc_real", window.d_acc_real, ">=" if all_real else "<=", real_rule),
        _window_evidence(window, "d_acc_fake", window.d_acc_fake, "<=" if all_real else ">=", fake_rule),
    )


def no_equilibrium(signals: Signals) -> Finding | None:
    """The generator's loss is far above its healthy band and the samples stay poor.

    A generator that only repeats itself is told easily: then the discriminator's lead is a symptom, not the cause.
    """
    window, result = signals.dynamics, signals.outcome
    accuracy = (window.d_acc_real + window.d_acc_fake) / 2
    unsettled = window.g_loss > at.UNSETTLED_G_LOSS.value and accuracy > at.UNSETTLED_ACCURACY.value
    if not (_full(signals) and signals.bce and unsettled) or discriminator_wins(signals) is not None:
        return None
    if result is None or _quality(result) >= at.POOR_QUALITY.value or result.distance < at.REPEATING.value:
        return None
    return _finding(
        "convergence failure: no equilibrium",
        "severe" if window.g_loss > at.LOST_G_LOSS.value else "moderate",
        "The discriminator stays ahead, the generator's loss keeps climbing, and the samples do not become real.",
        _window_evidence(window, "g_loss", window.g_loss, ">", at.UNSETTLED_G_LOSS),
        _window_evidence(window, "d_acc", accuracy, ">", at.UNSETTLED_ACCURACY),
        _outcome_evidence(
            result, "smaller of precision and coverage, of their nulls", _quality(result), "<", at.POOR_QUALITY
        ),
    )


def mode_collapse(signals: Signals) -> Finding | None:
    """Fakes repeat, or leave out far more of the data than their quality explains."""
    result, before = signals.outcome, signals.outcome_before
    if result is None or signals.updates < WINDOW_UPDATES or not _is_collapsed(result, signals.updates):
        return None
    if before is not None and not _is_collapsed(before, signals.updates):
        return None  # one evaluation alone may be a moment in passing: samples come to life one mode after another
    complete = result.distance < at.REPEATING_COMPLETELY.value or result.missing_mass > at.COMPLETE_MISSING_MASS.value
    evidence = [
        _outcome_evidence(result, "nearest fake-fake distance / null", result.distance, "<", at.REPEATING)
        if result.distance < at.REPEATING.value
        else _outcome_evidence(
            result, "coverage / precision, of their nulls", _unexplained(result), "<", at.UNEXPLAINED_COVERAGE
        )
    ]
    if result.missing_mass > at.MISSING_MASS.value:
        evidence.append(_outcome_evidence(result, "missing mass", result.missing_mass, ">", at.MISSING_MASS))
    return _finding(
        "mode collapse",
        "severe" if complete else "moderate",
        "The generator makes the same few samples again and again and leaves out most of the data."
        if complete
        else "The generator leaves out a part of the data that its quality does not explain.",
        *evidence,
    )


RULES: tuple[Callable[[Signals], Finding | None], ...] = (
    divergence,
    both_losses_vanish,
    discriminator_wins,
    discriminator_inert,
    no_equilibrium,
    mode_collapse,
)
"""In the order of findings: a cause before its symptoms. The first one found gives the verdict."""


# --- parts of rules ---------------------------------------------------------------------------------------------


def _is_collapsed(result: Outcome, updates: int) -> bool:
    above_noise = result.precision > result.noise + at.QUALITY_ABOVE_NOISE.value
    if result.distance < at.REPEATING_COMPLETELY.value and updates >= at.REPEATING_UPDATES:
        return True
    leaves_out = result.missing_mass > at.MISSING_MASS.value and _unexplained(result) < at.UNEXPLAINED_COVERAGE.value
    return above_noise and (result.distance < at.REPEATING.value or leaves_out)


def _quality(result: Outcome) -> float:
    """The smaller of precision and coverage, as shares of their nulls: blurred averages reach either, not both."""
    return min(result.precision, result.coverage)


def _unexplained(result: Outcome) -> float:
    """Coverage over precision, both as shares of their nulls: samples of that quality should cover as much."""
    return result.coverage / result.precision if result.precision > 0 else 1.0


def _full(signals: Signals) -> bool:
    return signals.dynamics.updates >= WINDOW_UPDATES and signals.dynamics.finite


def _certain(window: Dynamics) -> bool:
    return window.d_acc_real >= at.CERTAIN.value and window.d_acc_fake >= at.CERTAIN.value


def _certainty(window: Dynamics) -> tuple[Evidence, Evidence]:
    return (
        _window_evidence(window, "d_acc_real", window.d_acc_real, ">=", at.CERTAIN),
        _window_evidence(window, "d_acc_fake", window.d_acc_fake, ">=", at.CERTAIN),
    )


def _window_evidence(window: Dynamics, signal: str, value: float, comparison: Comparison, cut: Threshold) -> Evidence:
    return _evidence(signal, value, comparison, cut, window.first_epoch, window.last_epoch)


def _outcome_evidence(result: Outcome, signal: str, value: float, comparison: Comparison, cut: Threshold) -> Evidence:
    return _evidence(signal, value, comparison, cut, result.epoch, result.epoch)


def _evidence(signal: str, value: float, comparison: Comparison, cut: Threshold, first: int, last: int) -> Evidence:
    return Evidence(
        signal=signal,
        value=value,
        threshold=cut.value,
        comparison=comparison,
        first_epoch=first,
        last_epoch=last,
        source=cut.source,
    )


def _finding(name: FindingName, severity: Severity, summary: str, *evidence: Evidence) -> Finding:
    return Finding(
        name=name,
        severity=severity,
        first_epoch=0,
        summary=summary,
        evidence=evidence,
    )


# --- summing up -------------------------------------------------------------------------------------------------


def _signals(history: History) -> Signals:
    trained = [e for e in judged(history) if e.epoch > 0]
    return Signals(
        updates=len(history.steps),
        bce=history.objective in LOSS_LEVELS_COUNT,
        accuracies=history.objective not in NO_ZERO_POINT,
        dynamics=dynamics(history),
        outcome=outcome(history, trained[-1]) if trained else None,
        outcome_before=outcome(history, trained[-2]) if len(trained) > 1 else None,
    )


def _worst(findings: tuple[Finding, ...]) -> Severity:
    return SEVERITIES[max((SEVERITIES.index(f.severity) for f in findings), default=0)]


def _since(finding: Finding, history: History) -> Finding:
    """The finding with the epoch since when it has held without a break."""
    earlier = history.previous.findings if history.previous is not None else ()
    first = next((f.first_epoch for f in earlier if f.name == finding.name), history.epoch)
    return replace(finding, first_epoch=first)


def _recovered(findings: tuple[Finding, ...], history: History) -> tuple[Episode, ...]:
    """What was found earlier and is over: the episodes known before, and those that ended with the last epoch."""
    if history.previous is None:
        return ()
    present = {finding.name for finding in findings}
    ended = [f for f in history.previous.findings if f.name not in present]
    last = history.previous.epoch
    episodes = (Episode(name=f.name, severity=f.severity, first_epoch=f.first_epoch, last_epoch=last) for f in ended)
    return (*history.previous.recovered, *episodes)


def _sum_up(findings: tuple[Finding, ...], signals: Signals) -> tuple[Verdict, str]:
    if findings:
        cause = findings[0]
        verdict: Verdict = cause.name.split(":")[0]  # pyright: ignore[reportAssignmentType]
        return verdict, _in_words(cause.evidence[0])
    result, window = signals.outcome, signals.dynamics
    if window.updates < WINDOW_UPDATES or result is None:
        return (
            "undetermined",
            f"only {signals.updates} updates so far; a verdict needs {WINDOW_UPDATES} and an evaluation"
            if window.updates < WINDOW_UPDATES
            else "there is no evaluation with the measures ndb, prdc and repetition, which a verdict needs",
        )
    quality = f"precision {result.precision:.2f} and coverage {result.coverage:.2f} of what real data scores"
    if _quality(result) < at.POOR_QUALITY.value:
        return "undetermined", f"nothing is known to be wrong, but the samples are still poor: {quality}"
    return "healthy", quality


def _in_words(evidence: Evidence) -> str:
    epochs = (
        f"epoch {evidence.last_epoch}"
        if evidence.first_epoch == evidence.last_epoch
        else f"epochs {evidence.first_epoch}-{evidence.last_epoch}"
    )
    return f"{evidence.signal} {evidence.value:.3g} {evidence.comparison} {evidence.threshold:g} ({epochs})"
