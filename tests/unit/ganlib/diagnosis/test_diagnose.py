"""Diagnosis: a golden history for each finding, and what must never change a verdict."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ganlib.diagnosis.prescribe import prescribe, with_remedies
from ganlib.diagnosis.rules import diagnose
from ganlib.diagnosis.signals import quality_of
from ganlib.diagnosis.verdict import Diagnosis
from ganlib.findings import FINDING_NAMES
from ganlib.records import Null
from ganlib.spec.preset import get_preset
from ganlib.spec.request import RunRequest
from tests.support.histories import (
    CLASSES,
    GOLDEN,
    NOISE,
    NULLS,
    POOR,
    STEPS_PER_EPOCH,
    evaluation,
    grown,
    history,
    pulled,
    swinging,
)


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_each_signature_gets_its_verdict_and_finding(name):
    past, verdict, finding = GOLDEN[name]
    diagnosis = diagnose(past)
    assert diagnosis.verdict == verdict
    assert (diagnosis.findings[0].name if diagnosis.findings else None) == finding
    assert diagnosis.epoch == past.epoch
    assert diagnosis.reason


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"precision": 0.47, "coverage": 0.96, "recall": 0.95}, 0.5),  # noise that reaches everything
        ({"precision": 0.94, "coverage": 0.24, "recall": 0.0}, 0.125),  # blurred averages
        ({"precision": 0.94, "coverage": 0.96, "recall": 0.95, "high_quality": 0.49, "mode_kl": 0.1, **CLASSES}, 0.75),
        ({"precision": 0.94, "coverage": 0.96, "recall": 0.95, "high_quality": 0.1}, 1.0),  # no classifier: exact modes
        ({"precision": 0.94, "ssim": 0.4}, 0.4),
    ],
)
def test_quality_is_what_is_real_and_reaches_the_data(values, expected):
    assert quality_of(evaluation(3, **values)) == pytest.approx(expected)


def test_a_classifier_that_is_sure_of_few_reals_is_not_asked():
    unsure = evaluation(3, precision=0.94, coverage=0.96, recall=0.95, high_quality=0.1, mode_kl=2.0, **CLASSES)
    unsure = replace(unsure, nulls={**unsure.nulls, "high_quality": Null(mean=0.3, q05=0, q95=1, excess=0)})
    assert quality_of(unsure) == pytest.approx(1)


def test_there_is_no_quality_without_its_figures():
    unmeasured = evaluation(3)
    values = {name: value for name, value in unmeasured.values.items() if name != "recall"}
    assert quality_of(replace(unmeasured, values=values)) is None


def test_a_diagnosis_says_that_memorisation_was_not_looked_at_and_is_no_less_sure_of_the_rest():
    sick = GOLDEN["latent of 1"][0]
    measured = replace(
        sick,
        evaluations=tuple(replace(e, values=e.values | {"memorisation": 0.5, "copies": 0}) for e in sick.evaluations),
    )
    assert (diagnose(sick).missing, diagnose(measured).missing) == (("memorisation",), ())
    assert diagnose(sick).findings == diagnose(measured).findings


def test_every_finding_has_a_golden_history():
    assert {f.name for past, *_ in GOLDEN.values() for f in diagnose(past).findings} == set(FINDING_NAMES)


@pytest.mark.parametrize(("recognised", "found"), [(0.3, True), (0.05, False)])
def test_samples_that_a_classifier_recognises_are_more_than_noise_however_precise_noise_is(recognised, found):
    repeating = {"precision": 0.3, "coverage": 0.02, "recall": 0.0, "fake_distance": 0.1 * NULLS["fake_distance"]}
    past = history(outcome={**repeating, "high_quality": recognised, "mode_kl": 2.0, **CLASSES})
    blank = evaluation(0, **{**NOISE, "precision": 1.0})
    names = [f.name for f in diagnose(replace(past, evaluations=(blank, *past.evaluations[1:]))).findings]
    assert ("mode collapse" in names) is found


def test_where_gradients_explode_the_layer_that_grew_most_is_named():
    past = replace(pulled("generator.0.weight", 1e5), steps=grown(2e3).steps)
    [finding] = diagnose(past).findings
    assert finding.severity == "moderate"
    whole, layer = finding.evidence
    assert whole.value == pytest.approx(2e3)
    assert "generator.0.weight" in layer.signal
    assert layer.value == pytest.approx(1e5)
    [far] = diagnose(grown(2e4)).findings
    assert far.severity == "severe"


@pytest.mark.parametrize(("share", "severity"), [(0.45, "mild"), (0.5, "moderate")])
def test_an_oscillation_in_the_first_half_of_the_budget_is_no_alarm_yet(share: float, severity: str):
    past = swinging(25)
    found = diagnose(replace(past, epochs_total=round(past.epoch / share)))
    assert [(f.name, f.severity) for f in found.findings] == [("oscillation", severity)]
    assert found.verdict == ("healthy" if severity == "mild" else "oscillation")


def test_an_oscillation_is_given_its_period():
    [finding] = diagnose(GOLDEN["a swing of 25 steps"][0]).findings
    assert re.search(r"about 2[4-6] steps", finding.summary), finding.summary


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_findings_cite_evidence_that_passes_its_own_threshold(name):
    compare = {"<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal}
    for finding in diagnose(GOLDEN[name][0]).findings:
        assert finding.evidence
        for evidence in finding.evidence:
            assert compare[evidence.comparison](evidence.value, evidence.threshold), evidence
            assert 1 <= evidence.first_epoch <= evidence.last_epoch <= 40
            assert evidence.source


def test_one_bad_evaluation_between_good_ones_is_no_collapse():
    past = history()
    bad = evaluation(past.epoch, precision=0.9, coverage=0.1, missing_mass=0.6)
    assert diagnose(replace(past, evaluations=(*past.evaluations[:-1], bad))).findings == ()


def test_a_finding_keeps_the_epoch_it_was_first_seen_until_it_is_gone():
    sick = GOLDEN["latent of 1"][0]
    first = diagnose(replace(sick, steps=sick.steps[: 6 * STEPS_PER_EPOCH], evaluations=sick.evaluations[:7]))
    later = diagnose(replace(sick, previous=first))
    assert (first.findings[0].first_epoch, later.findings[0].first_epoch) == (6, 6)
    well = diagnose(replace(history(), previous=later))
    assert diagnose(replace(sick, previous=well)).findings[0].first_epoch == 10


@pytest.mark.parametrize(
    ("objective", "name"), [("saturating-bce", "joined batches"), ("wgan", "everything called fake"), ("wgan", "wins")]
)
def test_signatures_of_cross_entropies_mean_nothing_to_losses_of_other_scales(objective, name):
    [past] = [past for known, (past, *_) in GOLDEN.items() if name in known][:1]
    assert diagnose(past).findings[0].name.startswith("convergence failure")
    assert not [f for f in diagnose(replace(past, objective=objective)).findings if f.name.startswith("convergence")]


def test_a_number_that_is_none_is_a_divergence_beyond_doubt_whatever_else_is_missing():
    past = history(dynamics={"g_loss": float("nan")})
    assert diagnose(past).findings[0].confidence == 1
    assert diagnose(replace(past, columns=("d_loss_real", "g_loss"))).findings[0].confidence == 1
    assert diagnose(history(dynamics={"g_loss": 1e6})).findings[0].confidence < 1


@pytest.mark.parametrize(("every", "rows", "full"), [(10, 12, True), (50, 12, True), (50, 4, False), (1, 12, False)])
def test_updates_are_counted_and_not_rows(every, rows, full):
    past = GOLDEN["discriminator wins"][0]
    rare = replace(past, steps=past.steps[:rows], steps_per_epoch=rows, updates_per_row=every, evaluations=())
    assert bool(diagnose(rare).findings) is full


def test_loss_levels_mean_nothing_to_other_objectives():
    past = GOLDEN["Adam defaults"][0]
    assert diagnose(past).findings
    assert {f.name for f in diagnose(replace(past, objective="wgan")).findings} <= {"stalled"}  # the samples are poor


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_a_diagnosis_survives_json(name):
    diagnosis = with_remedies(diagnose(GOLDEN[name][0]), get_preset("digit8-latent-1").spec)
    again = Diagnosis.from_json(diagnosis.to_json())
    if diagnosis.verdict != "divergence":  # its infinities become null, and null not-a-number
        assert again == diagnosis
    assert again.to_json() == diagnosis.to_json()


@given(st.sampled_from(sorted(GOLDEN)), st.integers(1, 10))
@settings(deadline=None, max_examples=40)
def test_a_verdict_never_reads_later_epochs(name, epoch):
    past = GOLDEN[name][0]
    epoch = min(epoch, past.epoch)
    known = past.until(epoch, None)
    rng = np.random.default_rng(epoch)
    later = replace(
        past,
        steps=np.concatenate([known.steps, rng.normal(size=past.steps[len(known.steps) :].shape).astype(np.float32)]),
        evaluations=(*known.evaluations, *(evaluation(e, **POOR) for e in range(epoch + 1, past.epoch + 1))),
    )
    assert diagnose(later.until(epoch, None)) == diagnose(known)


@given(st.sampled_from(sorted(GOLDEN)), st.randoms())
@settings(deadline=None, max_examples=30)
def test_the_order_of_dictionaries_changes_nothing(name, order):
    past = GOLDEN[name][0]

    def shuffled(mapping: dict[str, Any]) -> dict[str, Any]:
        keys = list(mapping)
        order.shuffle(keys)
        return {key: mapping[key] for key in keys}

    mixed = tuple(replace(e, values=shuffled(e.values), nulls=shuffled(e.nulls)) for e in past.evaluations)
    assert diagnose(replace(past, evaluations=mixed)) == diagnose(past)


@pytest.mark.parametrize("preset", ["digit8-latent-1", "digit8-combined-batch", "digit8-adam-default", "mnist-lr-0.2"])
@pytest.mark.parametrize("finding", FINDING_NAMES)
def test_every_remedy_is_a_valid_spec_that_differs(preset, finding):
    spec = get_preset(preset).spec
    remedies = prescribe(finding, spec)
    assert remedies
    for remedy in remedies:
        assert RunRequest(preset=preset, set=remedy.patch).resolve() != spec


@pytest.mark.parametrize("finding", FINDING_NAMES)
def test_every_remedy_fits_a_translation_of_images(finding):
    pairs: dict[str, Any] = {"dataset": {"name": "edges"}, "generator": {"family": "unet"}}
    request = RunRequest(preset="digit8-stable", set=pairs)
    remedies = prescribe(finding, request.resolve())
    assert remedies
    for remedy in remedies:
        assert RunRequest(preset="digit8-stable", set=pairs | remedy.patch).resolve() != request.resolve()


@pytest.mark.parametrize("optimizer", ["rmsprop", "sgd"])
@pytest.mark.parametrize("finding", FINDING_NAMES)
def test_every_remedy_fits_other_optimizers(optimizer, finding):
    changes: dict[str, Any] = {"optimizer": {"name": optimizer}}
    spec = RunRequest(preset="digit8-stable", set=changes).resolve()
    for remedy in prescribe(finding, spec):
        assert RunRequest(preset="digit8-stable", set=changes | remedy.patch).resolve() != spec


@pytest.mark.parametrize(
    ("preset", "finding", "patch"),
    [
        ("digit8-latent-1", "mode collapse", {"generator.latent_dim": 50}),
        (
            "digit8-combined-batch",
            "convergence failure: both losses vanish",
            {"training.discriminator_update": "half_batches"},
        ),
        (
            "digit8-adam-default",
            "convergence failure: no equilibrium",
            {"optimizer.beta1": 0.5, "optimizer.learning_rate": 2e-4},
        ),
    ],
)
def test_the_first_remedy_undoes_the_published_mistake(preset, finding, patch):
    assert prescribe(finding, get_preset(preset).spec)[0].patch == patch


def test_without_the_measures_that_it_needs_no_outcome_is_judged():
    past = history()
    bare = tuple(replace(e, values={"vendi": 3.0}, nulls={}) for e in past.evaluations)
    found = diagnose(replace(past, evaluations=bare))
    assert (found.verdict, found.findings) == ("undetermined", ())
    assert "ndb, prdc and repetition" in found.reason
