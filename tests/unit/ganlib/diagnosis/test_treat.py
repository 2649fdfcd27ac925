"""What follows a try: the decision alone, on made-up cases."""

from typing import Any

import pytest

from ganlib.diagnosis.prescribe import prescribe
from ganlib.diagnosis.treatment import (
    Budget,
    Case,
    Ending,
    NextTry,
    Saved,
    WarmStart,
    best_of,
    decide,
    default_max_epochs,
    is_cured,
    may_warm_start,
)
from ganlib.diagnosis.verdict import Diagnosis, Finding
from ganlib.findings import SEVERITIES, FindingName, Severity
from ganlib.spec.request import RunRequest
from ganlib.spec.run import RunSpec
from tests.support.store import SPEC

AMPLE = Budget(max_tries=20, max_epochs=1000)
EPOCHS = 3


def spec(**settings: Any) -> RunSpec:
    return RunRequest(spec=SPEC, set=settings).resolve()


def diagnosis(*findings: FindingName, severity: Severity = "severe", undetermined: bool = False) -> Diagnosis:
    found = tuple(Finding(name=name, severity=severity, first_epoch=1, summary="", evidence=()) for name in findings)
    verdict: Any = found[0].name.partition(":")[0] if found and severity != "mild" else "healthy"
    return Diagnosis(
        epoch=EPOCHS,
        verdict="undetermined" if undetermined else verdict,
        severity=severity if found else "none",
        findings=found,
        reason="",
        ruleset="1",
    )


def case(run_id: str = "sick", *, of: NextTry | None = None, **values: Any) -> Case:
    """A run that is over: the sick one, or what became of a try."""
    made: dict[str, Any] = (
        {"spec": spec()} if of is None else {"spec": of.spec, "parent_id": of.parent_id, "remedy": of.remedy.name}
    )
    defaults: dict[str, Any] = {"status": "succeeded", "epochs": EPOCHS, "diagnosis": diagnosis("mode collapse")}
    return Case(run_id=run_id, **{**defaults, **made, **values})


SICK = case()
REMEDIES = [remedy.name for remedy in prescribe("mode collapse", SICK.spec)]


def next_try(*tries: Case, sick: Case = SICK, finding: FindingName = "mode collapse") -> NextTry:
    decision = decide(sick, finding, tries, AMPLE)
    assert isinstance(decision, NextTry)
    return decision


def ending(*tries: Case, budget: Budget = AMPLE) -> Ending:
    decision = decide(SICK, "mode collapse", tries, budget)
    assert isinstance(decision, Ending)
    return decision


def tried(count: int, **values: Any) -> list[Case]:
    """So many tries that all came to the same."""
    tries: list[Case] = []
    for number in range(count):
        tries.append(case(f"try {number}", of=next_try(*tries), **values))
    return tries


# --- the next remedy --------------------------------------------------------------------------------------------


def test_the_first_try_takes_the_first_remedy_and_another_seed() -> None:
    decided = next_try()
    assert (decided.parent_id, decided.remedy.name) == ("sick", REMEDIES[0])
    assert decided.spec == spec(**decided.remedy.patch, seed=1)


def test_each_remedy_is_tried_once_with_a_seed_of_its_own_until_none_is_left() -> None:
    assert len(REMEDIES) >= 3
    tries = tried(len(REMEDIES))
    assert [t.remedy for t in tries] == REMEDIES
    assert [t.spec.seed for t in tries] == list(range(1, len(REMEDIES) + 1))
    assert ending(*tries).status == "exhausted"
    assert "no remedy is left" in ending(*tries).reason


def test_seeds_stay_in_their_range() -> None:
    sick = case(spec=spec(seed=2**63 - 1))
    assert next_try(sick=sick).spec.seed == 0


@pytest.mark.parametrize(
    "became",
    [
        {"diagnosis": diagnosis("mode collapse", severity="moderate")},
        {"diagnosis": diagnosis(undetermined=True)},
        {"diagnosis": None, "status": "failed"},
        {"diagnosis": diagnosis(), "status": "failed"},
        {"diagnosis": diagnosis("divergence"), "status": "failed"},
        {"diagnosis": diagnosis("mode collapse"), "status": "halted"},
        {"diagnosis": diagnosis("divergence", "mode collapse")},
    ],
)
def test_a_try_that_did_not_help_gives_way_to_the_sick_runs_next_remedy(became: dict[str, Any]) -> None:
    decided = next_try(case("first", of=next_try(), **became))
    assert (decided.parent_id, decided.remedy.name) == ("sick", REMEDIES[1])


@pytest.mark.parametrize("status", ["succeeded", "halted"])
def test_a_try_with_another_finding_in_place_of_the_treated_one_is_treated_itself(status: str) -> None:
    first = case("first", of=next_try(), status=status, diagnosis=diagnosis("oscillation"))
    decided = next_try(first)
    assert decided.parent_id == "first"
    assert decided.spec == spec(**next_try().remedy.patch, **decided.remedy.patch, seed=2)


def test_when_its_remedies_are_used_up_those_of_the_run_before_follow() -> None:
    tries = [case("first", of=next_try(), diagnosis=diagnosis("oscillation"))]
    for number in range(len(prescribe("oscillation", tries[0].spec))):
        tries.append(case(f"{number}", of=next_try(*tries), diagnosis=diagnosis("oscillation")))
        assert tries[-1].parent_id == "first"
    decided = next_try(*tries)
    assert (decided.parent_id, decided.remedy.name) == ("sick", REMEDIES[1])


def test_a_try_that_is_worse_than_its_parent_is_not_treated() -> None:
    sick = case(diagnosis=diagnosis("mode collapse", severity="moderate"))
    first = case("first", of=next_try(sick=sick), diagnosis=diagnosis("divergence"))
    assert next_try(first, sick=sick).parent_id == "sick"


def test_the_same_spec_is_not_trained_twice_whatever_way_led_there() -> None:
    sick = case(diagnosis=diagnosis("exploding gradients"))
    found: dict[tuple[str, ...], FindingName] = {("R1 penalty",): "divergence", ("gradient clipping",): "oscillation"}
    tries: list[Case] = []
    while len(tries) < 20:
        decision = decide(sick, "exploding gradients", tries, AMPLE)
        if isinstance(decision, Ending):
            break
        patient = "".join(t.remedy or "" for t in tries if t.run_id == decision.parent_id)
        way = (*([patient] if patient else []), decision.remedy.name)
        tries.append(case(" + ".join(way), of=decision, diagnosis=diagnosis(found.get(way, "divergence"))))
    ways = [t.run_id for t in tries]
    assert "R1 penalty + gradient clipping" in ways
    assert "gradient clipping" in ways
    assert "gradient clipping + averaged generator" in ways
    assert "gradient clipping + R1 penalty" not in ways


# --- the end ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("found", [diagnosis(), diagnosis("slow convergence", severity="mild")])
def test_a_try_that_succeeds_without_a_harmful_finding_is_the_cure(found: Diagnosis) -> None:
    end = ending(*tried(1), case("second", of=next_try(*tried(1)), diagnosis=found))
    assert (end.status, end.best) == ("cured", "second")
    assert REMEDIES[1] in end.reason


@pytest.mark.parametrize(
    "became",
    [
        {"diagnosis": diagnosis(undetermined=True)},
        {"diagnosis": diagnosis(), "status": "halted"},
        {"diagnosis": diagnosis(), "status": "failed"},
        {"diagnosis": None},
        {"diagnosis": diagnosis("stalled", severity="moderate")},
    ],
)
def test_what_is_not_known_to_be_healthy_is_no_cure(became: dict[str, Any]) -> None:
    assert not is_cured(case(**became), "mode collapse")


def test_a_mild_finding_that_is_treated_and_stays_is_not_cured() -> None:
    slow = case(diagnosis=diagnosis("slow convergence", severity="mild"))
    made = next_try(sick=slow, finding="slow convergence")
    stayed = decide(slow, "slow convergence", [case("first", of=made, diagnosis=slow.diagnosis)], AMPLE)
    assert isinstance(stayed, Ending)
    assert (stayed.status, stayed.best) == ("exhausted", "first")
    gone = decide(slow, "slow convergence", [case("first", of=made, diagnosis=diagnosis())], AMPLE)
    assert isinstance(gone, Ending)
    assert gone.status == "cured"


def test_a_cancelled_try_ends_its_treatment() -> None:
    assert ending(case("first", of=next_try(), status="cancelled")).status == "cancelled"


def test_no_more_tries_are_made_than_were_allowed() -> None:
    assert ending(*tried(2), budget=Budget(max_tries=2, max_epochs=1000)).status == "exhausted"


def test_epochs_that_tries_have_made_count_and_a_try_that_does_not_fit_is_passed_over() -> None:
    longest = REMEDIES.index("longer training")
    assert longest > 0
    tries = tried(longest)
    spent = EPOCHS * longest
    end = ending(*tries, budget=Budget(max_tries=20, max_epochs=spent + 2 * EPOCHS - 1))
    assert (end.status, f"takes {2 * EPOCHS} epochs" in end.reason) == ("exhausted", True)
    halted = [case(t.run_id, spec=t.spec, parent_id="sick", remedy=t.remedy, epochs=1) for t in tries]
    fits = decide(SICK, "mode collapse", halted, Budget(max_tries=20, max_epochs=longest + 2 * EPOCHS))
    assert isinstance(fits, NextTry)


def test_the_default_budget_is_enough_for_every_try_and_a_longer_training() -> None:
    assert default_max_epochs(SICK.spec, 3) == 4 * EPOCHS


def test_the_best_try_is_the_mildest_and_among_equals_the_one_with_the_best_samples() -> None:
    mild, poor, good = (
        case("mild", diagnosis=diagnosis("oscillation", severity="moderate"), quality=0.1),
        case("poor", quality=0.2),
        case("good", quality=0.3),
    )
    failed = case("failed", status="failed", diagnosis=None)
    assert best_of([failed, poor, good, mild]) == "mild"
    assert best_of([failed, poor, good]) == "good"
    assert best_of([case("unmeasured"), poor]) == "poor"
    assert best_of([failed]) == "failed"
    assert best_of([]) is None
    assert SEVERITIES.index("moderate") < SEVERITIES.index("severe")


# --- warm starts ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "may"),
    [
        ({"seed": 9, "optimizer.beta1": 0.1, "penalties.r1": 1, "training.epochs": 9, "remedies.ema": {}}, True),
        ({"generator.latent_dim": 16}, False),
        ({"discriminator.width": 16}, False),
        ({"dataset.size": 101}, False),
        ({"remedies.packing.samples": 2}, False),
        ({"remedies.generators": {"kind": "mixture", "count": 2}}, False),
    ],
)
def test_weights_are_taken_over_where_data_and_networks_stay(settings: dict[str, Any], may: bool) -> None:
    assert may_warm_start(spec(), spec(**settings)) is may


SAVED: dict[str, Any] = {"last": Saved(epoch=3, file="c3"), "healthy": Saved(epoch=2, file="c2")}


def test_a_try_begins_with_the_last_healthy_checkpoint_of_its_parent() -> None:
    sick = case(diagnosis=diagnosis("memorisation"), **SAVED)
    decided = next_try(sick=sick, finding="memorisation")
    assert decided.remedy.name == "instance noise"
    assert decided.warm_start == WarmStart(run_id="sick", epoch=2, checkpoint="c2")
    assert decided.spec.training.epochs == EPOCHS


@pytest.mark.parametrize("finding", ["deceptive loss", "stalled"])
def test_a_finding_that_only_the_end_shows_leaves_no_epoch_to_begin_with(finding: FindingName) -> None:
    sick = case(diagnosis=diagnosis(finding), **SAVED)
    assert decide(sick, finding, (), AMPLE) == decide(case(diagnosis=diagnosis(finding)), finding, (), AMPLE)
    assert next_try(sick=sick, finding=finding).warm_start is None


def test_without_a_healthy_checkpoint_a_try_begins_cold() -> None:
    sick = case(diagnosis=diagnosis("oscillation"), last=SAVED["last"])
    assert next_try(sick=sick, finding="oscillation").warm_start is None


def test_a_try_with_other_networks_begins_cold() -> None:
    decided = next_try(sick=case(spec=spec(**{"generator.latent_dim": 1}), **SAVED))
    assert "generator.latent_dim" in decided.remedy.patch
    assert decided.warm_start is None


@pytest.mark.parametrize(("epoch", "left"), [(3, 3), (2, 4)])
def test_a_run_that_converges_slowly_goes_on_where_it_was(epoch: int, left: int) -> None:
    slow = case(
        diagnosis=diagnosis("slow convergence", severity="mild"), last=Saved(epoch=epoch, file="c"), healthy=None
    )
    decided = next_try(sick=slow, finding="slow convergence")
    assert decided.warm_start == WarmStart(run_id="sick", epoch=epoch, checkpoint="c")
    assert decided.spec == spec(seed=1, **{"training.epochs": left})


def test_a_run_that_converges_slowly_and_left_no_checkpoint_is_trained_for_longer_from_its_start() -> None:
    slow = case(diagnosis=diagnosis("slow convergence", severity="mild"))
    decided = next_try(sick=slow, finding="slow convergence")
    assert (decided.warm_start, decided.spec.training.epochs) == (None, 2 * EPOCHS)
