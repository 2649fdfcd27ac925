"""From a sick run towards a cure: what follows the last try of a treatment. Pure; the store does what is decided here.

A treatment tries the remedies of a run's finding one after the other, each in a new run with a new seed. Where a try
has got rid of the finding and shows another one that is no worse, that run is treated next, so that patches add up:
a run may be sick of two things. When its remedies are used up, those that are left of the run before follow.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from ganlib.diagnosis.prescribe import prescribe
from ganlib.diagnosis.verdict import Diagnosis, Finding, Remedy
from ganlib.findings import SEVERITIES, FindingName, Severity, Verdict
from ganlib.spec.request import RunRequest
from ganlib.spec.run import RunSpec

EndingStatus = Literal["cured", "exhausted", "cancelled"]
HARMFUL: frozenset[Severity] = frozenset({"moderate", "severe"})
JUDGED_AT_THE_END: frozenset[FindingName] = frozenset({"deceptive loss", "stalled", "slow convergence"})
"""Findings of which an epoch before the last says nothing, so that its weights are not known to be healthy."""
UNFINISHED: frozenset[Verdict] = frozenset({"undetermined", "still learning"})
"""Verdicts that call samples neither sick nor good."""
SEEDS = 2**63


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """A checkpoint of a run."""

    epoch: int
    file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmStart:
    """The checkpoint whose weights a try begins with."""

    run_id: str
    epoch: int
    checkpoint: str
    """File name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A run that is over, as a treatment sees it."""

    run_id: str
    spec: RunSpec
    status: str
    epochs: int
    """Epochs made."""
    diagnosis: Diagnosis | None
    """The last one; None where the run ended before its first epoch did."""
    quality: float | None = None
    """`signals.quality_of` its last evaluation."""
    last: Saved | None = None
    """The last checkpoint."""
    healthy: Saved | None = None
    """The last checkpoint of an epoch without a harmful finding."""
    parent_id: str | None = None
    """Of a try: the run whose spec its remedy changed."""
    remedy: str | None = None
    """Of a try: the remedy's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How much a treatment may try."""

    max_tries: int
    max_epochs: int
    """Of all tries together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NextTry:
    """A run to make."""

    parent_id: str
    remedy: Remedy
    spec: RunSpec
    warm_start: WarmStart | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """The end of a treatment."""

    status: EndingStatus
    reason: str
    """One sentence for people."""
    best: str | None
    """Id of the try that came nearest to a cure; None where none was made."""


def default_max_epochs(spec: RunSpec, max_tries: int) -> int:
    """Every try as long as the sick run, and once as much again: `longer training` takes twice as long."""
    return (max_tries + 1) * spec.training.epochs


def harmful(diagnosis: Diagnosis | None) -> tuple[Finding, ...]:
    """The moderate and severe findings, causes before symptoms."""
    return () if diagnosis is None else tuple(f for f in diagnosis.findings if f.severity in HARMFUL)


def is_harmless(severity: Severity) -> bool:
    """Whether a diagnosis of this severity has no moderate or severe finding."""
    return severity not in HARMFUL


def is_cured(case: Case, treated: FindingName) -> bool:
    """Whether the run succeeded with good enough samples, and neither the treated nor a harmful finding was found."""
    found = case.diagnosis
    if case.status != "succeeded" or found is None or found.verdict in UNFINISHED:
        return False
    return not harmful(found) and all(other.name != treated for other in found.findings)


def decide(sick: Case, finding: FindingName, tries: Sequence[Case], budget: Budget) -> NextTry | Ending:
    """What follows the last of these tries, which are over, in their order: the next one, or the end."""
    best = best_of(tries)
    if tries and is_cured(tries[-1], finding):
        return Ending(status="cured", reason=f"'{tries[-1].remedy}' cured it", best=tries[-1].run_id)
    if tries and tries[-1].status == "cancelled":
        return Ending(status="cancelled", reason="its try was cancelled", best=best)
    if len(tries) >= budget.max_tries:
        return Ending(status="exhausted", reason=f"no try is left of {budget.max_tries}", best=best)
    left = budget.max_epochs - sum(case.epochs for case in tries)
    candidates = list(_candidates(sick, finding, tries))
    chosen = next((candidate for candidate in candidates if _length(candidate) <= left), None)
    if chosen is not None:
        return chosen
    reason = "no remedy is left that was not tried"
    if candidates:
        shortest = min(candidates, key=_length)
        reason = f"the shortest try takes {_length(shortest)} epochs, and {left} are left of {budget.max_epochs}"
    return Ending(status="exhausted", reason=reason, best=best)


def _length(candidate: NextTry) -> int:
    return candidate.spec.training.epochs


def best_of(tries: Sequence[Case]) -> str | None:
    """The id of the try with the mildest diagnosis and, among equals, the best samples; the first of equal ones."""
    return min(tries, key=_distance_from_cure).run_id if tries else None


def _distance_from_cure(case: Case) -> tuple[bool, int, float]:
    severity = len(SEVERITIES) if case.diagnosis is None else SEVERITIES.index(case.diagnosis.severity)
    quality = case.quality if case.quality is not None else -1.0
    return case.status not in ("succeeded", "halted"), severity, -quality


Patient = tuple[Case, FindingName]
"""A run whose remedies may be tried, and which of its findings they are for."""


def _candidates(sick: Case, finding: FindingName, tries: Sequence[Case]) -> Iterator[NextTry]:
    """The tries that may be made now, in order."""
    seed = (sick.spec.seed + len(tries) + 1) % SEEDS
    tried = [(case.parent_id, case.remedy) for case in tries]
    specs = [_with_seed(case.spec, seed) for case in tries]
    for patient, treated in _patients(sick, finding, tries):
        for remedy in prescribe(treated, patient.spec):
            candidate = _try(patient, treated, remedy, seed)
            if (patient.run_id, remedy.name) not in tried and candidate.spec not in specs:
                yield candidate


def _patients(sick: Case, finding: FindingName, tries: Sequence[Case]) -> list[Patient]:
    """The sick run and the tries that have another finding in place of the treated one, the latest first."""
    patients: dict[str | None, Patient] = {sick.run_id: (sick, finding)}
    for case in tries:
        parent, treated = patients.get(case.parent_id, (sick, finding))
        other = _found_instead(case, parent, treated)
        if other is not None:
            patients[case.run_id] = (case, other)
    return list(patients.values())[::-1]


def _found_instead(case: Case, parent: Case, treated: FindingName) -> FindingName | None:
    """What a try suffers from in place of the treated finding; None where that is still there, or the run is worse."""
    found = harmful(case.diagnosis)
    if case.status not in ("succeeded", "halted") or not found or treated in {f.name for f in found}:
        return None
    return found[0].name if _rank(case) <= _rank(parent) else None


def _rank(case: Case) -> int:
    return SEVERITIES.index(case.diagnosis.severity) if case.diagnosis is not None else 0


def _try(patient: Case, treated: FindingName, remedy: Remedy, seed: int) -> NextTry:
    spec = RunRequest(spec=patient.spec.model_dump(mode="json"), set={**remedy.patch, "seed": seed}).resolve()
    saved = None if treated in JUDGED_AT_THE_END else patient.healthy
    if treated == "slow convergence" and remedy.name == "longer training" and patient.last is not None:
        saved = patient.last  # nothing is wrong with the run but its length: it goes on where it was
        spec = _with_epochs(spec, spec.training.epochs - saved.epoch)
    warm_start = None
    if saved is not None and may_warm_start(patient.spec, spec):
        warm_start = WarmStart(run_id=patient.run_id, epoch=saved.epoch, checkpoint=saved.file)
    return NextTry(parent_id=patient.run_id, remedy=remedy, spec=spec, warm_start=warm_start)


def may_warm_start(before: RunSpec, after: RunSpec) -> bool:
    """Whether weights of a run of the spec `before` have the same meaning in one of the spec `after`."""
    return _weights_of(before) == _weights_of(after)


def _weights_of(spec: RunSpec) -> tuple[object, ...]:
    return spec.dataset, spec.generator, spec.discriminator, spec.packing, spec.remedies.generators


def _with_seed(spec: RunSpec, seed: int) -> RunSpec:
    return spec.model_copy(update={"seed": seed})


def _with_epochs(spec: RunSpec, epochs: int) -> RunSpec:
    return spec.model_copy(update={"training": spec.training.model_copy(update={"epochs": epochs})})
