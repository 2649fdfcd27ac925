"""From a history to a diagnosis: which findings hold at its last epoch, causes before symptoms.

A pure function of recorded numbers. Rules are a table; each looks at signals and returns a finding or None.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import replace

from ganlib.diagnosis import dynamic_rules as dynamic
from ganlib.diagnosis import outcome_rules as outcome
from ganlib.diagnosis.grade import grade_of
from ganlib.diagnosis.history import History
from ganlib.diagnosis.signals import Signals, signals_of
from ganlib.diagnosis.thresholds import RULESET, WINDOW_UPDATES
from ganlib.diagnosis.verdict import Diagnosis, Episode, Finding
from ganlib.diagnosis.words import bare, evidence_words
from ganlib.findings import SEVERITIES, Severity, Verdict
from ganlib.records import STEP_COLUMNS

RULES: tuple[Callable[[Signals], Finding | None], ...] = (
    dynamic.divergence,
    dynamic.both_losses_vanish,
    dynamic.discriminator_wins,
    dynamic.discriminator_inert,
    dynamic.exploding_gradients,
    dynamic.vanishing_gradients,
    outcome.no_equilibrium,
    outcome.mode_collapse,
    outcome.memorisation,
    dynamic.oscillation,
    outcome.deceptive_loss,
    outcome.slow_convergence,
)
"""In the order of findings: a cause before its symptoms. The first harmful one gives the verdict."""
WITHOUT_A_CAUSE: tuple[Callable[[Signals], Finding | None], ...] = (outcome.stalled,)
"""What is looked for where nothing harmful was found that would explain it."""


def diagnose(history: History) -> Diagnosis:
    """The verdict of the history at its last epoch."""
    signals = signals_of(history)
    found = _found(RULES, signals)
    if not _harmful(found):
        found = _found(WITHOUT_A_CAUSE, signals) + found
    missing = tuple(name for name in STEP_COLUMNS if name not in history.columns)
    findings = tuple(_less_sure(finding, missing) for finding in found)
    verdict, reason = _sum_up(findings, signals)
    graded = grade_of(signals)
    diagnosis = Diagnosis(
        epoch=history.epoch,
        verdict=verdict,
        severity=_worst(findings),
        findings=findings,
        reason=reason,
        ruleset=RULESET,
        missing=(*missing, *_unmeasured(signals)),
        grade=None if graded is None else graded.grade,
        quality=None if graded is None else graded.quality,
        quality_error=None if graded is None else graded.error,
    )
    return dated(diagnosis, history)


def dated(diagnosis: Diagnosis, history: History) -> Diagnosis:
    """With the epoch since when each finding holds, and what is over, against the history's diagnosis before it."""
    findings = tuple(_known_since(finding, history) for finding in diagnosis.findings)
    return replace(diagnosis, findings=findings, recovered=_recovered(findings, history))


def _found(rules: Iterable[Callable[[Signals], Finding | None]], signals: Signals) -> list[Finding]:
    return [finding for rule in rules if (finding := rule(signals)) is not None]


def _unmeasured(signals: Signals) -> list[str]:
    """What the last evaluation does not say, though a finding needs it; it speaks against no other one."""
    result = signals.outcome
    return ["memorisation"] if result is not None and math.isnan(result.memorisation) else []


def _harmful(findings: Iterable[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.severity != "mild"]


def _worst(findings: tuple[Finding, ...]) -> Severity:
    return SEVERITIES[max((SEVERITIES.index(f.severity) for f in findings), default=0)]


def _less_sure(finding: Finding, missing: tuple[str, ...]) -> Finding:
    """A finding from a history without all signals, which might have spoken against it, unless it is beyond doubt."""
    return finding.less_sure(1 - len(missing) / (2 * len(STEP_COLUMNS)))


def _known_since(finding: Finding, history: History) -> Finding:
    """The finding with the epoch since when it has held without a break."""
    earlier = history.previous.findings if history.previous is not None else ()
    first = next((f.first_epoch for f in earlier if f.name == finding.name), history.epoch)
    return replace(finding, first_epoch=first)


def _recovered(findings: tuple[Finding, ...], history: History) -> tuple[Episode, ...]:
    """What was found earlier and is over: the episodes known before, and those that ended with the last epoch.

    Each finding once: one that comes and goes would make each epoch's document longer than the one before.
    """
    if history.previous is None:
        return ()
    present = {finding.name for finding in findings}
    ended = [f for f in history.previous.findings if f.name not in present]
    last = history.previous.epoch
    episodes = (Episode(name=f.name, severity=f.severity, first_epoch=f.first_epoch, last_epoch=last) for f in ended)
    merged: dict[str, Episode] = {}
    for episode in (*history.previous.recovered, *episodes):
        earlier = merged.pop(episode.name, None)
        if earlier is not None:
            times = earlier.times + episode.times
            episode = replace(episode, first_epoch=earlier.first_epoch, times=times)
        merged[episode.name] = episode
    return tuple(merged.values())


def _sum_up(findings: tuple[Finding, ...], signals: Signals) -> tuple[Verdict, str]:
    if harmful := _harmful(findings):
        cause = harmful[0]
        verdict: Verdict = cause.name.split(":")[0]  # pyright: ignore[reportAssignmentType]
        return verdict, evidence_words(cause.evidence[0])
    result, window = signals.outcome, signals.dynamics
    if window.updates < WINDOW_UPDATES or result is None:
        return (
            "undetermined",
            f"only {signals.updates} updates so far; a verdict needs {WINDOW_UPDATES} and an evaluation"
            if window.updates < WINDOW_UPDATES
            else "there is no evaluation with the measures ndb, prdc and repetition, which a verdict needs",
        )
    precision, coverage = (bare(f"{value:.2f}") for value in (result.precision, result.coverage))
    quality = f"precision {precision} and coverage {coverage} of what real data scores"
    grade = grade_of(signals)
    if grade is None or not grade.is_below_fair:
        return "healthy", quality
    words = f"the samples are {grade.words}: {quality}"
    if signals.is_rising:
        return "still learning", f"{words}, and become better"
    return "undetermined", f"nothing is known to be wrong, but {words}"
