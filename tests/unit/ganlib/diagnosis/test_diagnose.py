"""Diagnosis: a golden history for each finding, and what must never change a verdict."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ganlib.diagnosis.history import History
from ganlib.diagnosis.prescribe import prescribe, with_remedies
from ganlib.diagnosis.rules import diagnose
from ganlib.diagnosis.signals import quality_of
from ganlib.diagnosis.verdict import Diagnosis
from ganlib.findings import FINDING_NAMES
from ganlib.records import STEP_COLUMNS, EpochEvaluation, LayerGradients, Null
from ganlib.spec.preset import get_preset
from ganlib.spec.request import RunRequest

HEALTHY = {"d_loss_real": 0.65, "d_loss_fake": 0.62, "g_loss": 0.9, "d_acc_real": 0.7, "d_acc_fake": 0.72}
GOOD = {
    "precision": 0.6,
    "coverage": 0.6,
    "recall": 0.6,
    "fake_distance": 11.5,
    "missing_mass": 0.03,
    "ndb_over_k": 0.4,
}
NULLS = {
    "precision": 0.94,
    "coverage": 0.96,
    "recall": 0.95,
    "fake_distance": 11.6,
    "missing_mass": 0.0,
    "ndb_over_k": 0.05,
    "high_quality": 0.98,
}
NOISE = {
    "precision": 0.0,
    "coverage": 0.0,
    "recall": 0.0,
    "fake_distance": 10.0,
    "missing_mass": 0.9,
    "ndb_over_k": 0.95,
}
STEPS_PER_EPOCH = 30
FAR_AHEAD = {"d_loss_real": 0.13, "d_loss_fake": 0.11, "g_loss": 12.0, "d_acc_real": 0.96, "d_acc_fake": 0.97}


def evaluation(epoch: int, **values: float) -> EpochEvaluation:
    return EpochEvaluation(
        epoch=epoch,
        space="pixels",
        n_real=500,
        n_fake=1000,
        n_subset=250,
        num_bins=20,
        shift={},
        values={"js": 0.1, "spread": 0.3, **GOOD, **values},
        nulls={name: Null(mean=v, q05=v, q95=v, excess=0.0) for name, v in NULLS.items()},
        bins=(),
    )


def history(
    epochs: int = 10,
    *,
    dynamics: dict[str, float] | None = None,
    outcome: dict[str, float] | None = None,
    objective: str = "bce",
    spread_null: float | None = None,
) -> History:
    """A history whose steps wobble around constant values."""
    rng = np.random.default_rng(0)
    level = {"d_grad_norm": 3.0, "g_grad_norm": 2.0, "d_auc": 0.8, **HEALTHY, **(dynamics or {})}
    steps = np.tile([level[name] for name in STEP_COLUMNS], (epochs * STEPS_PER_EPOCH, 1))
    steps *= 1 + 0.01 * rng.uniform(-1, 0, steps.shape) * (steps < 0.99)
    evaluations = (evaluation(0, **NOISE), *(evaluation(e, **(outcome or {})) for e in range(1, epochs + 1)))
    if spread_null is not None:
        null = Null(mean=spread_null, q05=0, q95=1, excess=0)
        evaluations = tuple(replace(e, nulls={**e.nulls, "spread": null}) for e in evaluations)
    return History(
        objective=objective,
        steps_per_epoch=STEPS_PER_EPOCH,
        epochs_total=epochs,
        steps=steps.astype(np.float32),
        evaluations=evaluations,
    )


def pulled(name: str, ratio: float, **changes: Any) -> History:
    """A history in which one layer's gradient has changed by that factor since the first updates."""
    others = {"generator.0.weight": 0.1, "discriminator.0.weight": 0.2}
    first = LayerGradients(step=STEPS_PER_EPOCH, ratios=others)
    last = LayerGradients(step=10 * STEPS_PER_EPOCH, ratios=others | {name: others[name] * ratio})
    return replace(history(**changes), gradients=(first, last))


def grown(factor: float) -> History:
    """A history in which the generator's gradient grows by that factor after its first hundred updates."""
    past = history()
    steps = past.steps.copy()
    steps[100:, STEP_COLUMNS.index("g_grad_norm")] *= factor
    return replace(past, steps=steps)


def improving_discriminator() -> History:
    """A history whose discriminator begins far above chance, and halves its loss every hundred updates."""
    past = history(dynamics={"d_acc_real": 0.2, "d_acc_fake": 0.3})
    steps = past.steps.copy()
    for name in ("d_loss_real", "d_loss_fake"):
        steps[:, STEP_COLUMNS.index(name)] = 12 * 0.5 ** (np.arange(len(steps)) / 100)
    return replace(past, steps=steps)


def swinging(period: float) -> History:
    """A history whose g_loss swings about 1 under the noise of batches."""
    past = history(epochs=40)
    rng, at = np.random.default_rng(0), np.arange(len(past.steps))
    steps = past.steps.copy()
    steps[:, 2] = 1 + 0.2 * np.sin(2 * np.pi * at / period) + 0.1 * rng.standard_normal(len(at))
    return replace(past, steps=steps)


def improving() -> History:
    """A history whose samples become better from epoch to epoch, to its end."""
    past = history()
    better = tuple(evaluation(e, precision=0.35 + 0.03 * e, coverage=0.33 + 0.03 * e) for e in range(1, 11))
    return replace(past, evaluations=(past.evaluations[0], *better))


CERTAIN = {"d_acc_real": 1.0, "d_acc_fake": 1.0}
CLASSES = {"classifier_accuracy": 0.97, "modes_total": 10.0}
POOR = {"precision": 0.02, "coverage": 0.01, "missing_mass": 0.9}
GOLDEN = {
    "healthy": (history(), "healthy", None),
    "latent of 1": (
        history(outcome={"precision": 0.54, "coverage": 0.04, "fake_distance": 0.07, "missing_mass": 0.88}),
        "mode collapse",
        "mode collapse",
    ),
    "half of the modes": (
        history(outcome={"precision": 0.7, "coverage": 0.2, "fake_distance": 9.0, "missing_mass": 0.5}),
        "mode collapse",
        "mode collapse",
    ),
    "three of ten classes left out": (
        history(outcome={**CLASSES, "high_quality": 0.8, "mode_kl": 0.4}),
        "mode collapse",
        "mode collapse",
    ),
    "unevenly recognised, since poor": (
        history(outcome={**CLASSES, "high_quality": 0.3, "mode_kl": 0.6}),
        "healthy",
        None,
    ),
    "most classes left out by poor samples": (
        history(outcome={**CLASSES, "high_quality": 0.3, "mode_kl": 1.2}),
        "mode collapse",
        "mode collapse",
    ),
    "every class, whatever the bins say": (
        history(outcome={**CLASSES, "high_quality": 0.8, "mode_kl": 0.05, "coverage": 0.2, "missing_mass": 0.5}),
        "healthy",
        None,
    ),
    "all fakes lie close together": (
        history(outcome={"spread": 0.1}, objective="hinge", spread_null=0.3),
        "mode collapse",
        "mode collapse",
    ),
    "a constant image that looks like nothing": (
        history(outcome={"precision": 0.0, "coverage": 0.0, "fake_distance": 0.0, "missing_mass": 0.95}),
        "mode collapse",
        "mode collapse",
    ),
    "joined batches": (
        history(dynamics={"d_loss_real": 0.001, "d_loss_fake": 0.002, "g_loss": 0.01, **CERTAIN}, outcome=POOR),
        "convergence failure",
        "convergence failure: both losses vanish",
    ),
    "less than the same fakes could cost": (
        history(dynamics={"d_loss_real": 0.01, "d_loss_fake": 0.02, "g_loss": 2.6, **CERTAIN}, outcome=POOR),
        "convergence failure",
        "convergence failure: both losses vanish",
    ),
    "every real above every fake": (
        history(20, dynamics={"d_auc": 1.0, "d_loss_real": 0.2, "d_loss_fake": 0.2, "g_loss": 2.2}, outcome=POOR),
        "convergence failure",
        "convergence failure: discriminator wins",
    ),
    "every real above every fake, and good samples": (history(20, dynamics={"d_auc": 1.0}), "healthy", None),
    "losses beyond single precision": (
        history(dynamics={"d_loss_real": 0.0, "d_loss_fake": 0.0, "g_loss": 2000.0, **CERTAIN}, outcome=POOR),
        "convergence failure",
        "convergence failure: discriminator wins",
    ),
    "discriminator wins": (
        history(dynamics={"d_loss_real": 0.01, "d_loss_fake": 0.01, "g_loss": 9.0, **CERTAIN}, outcome=POOR),
        "convergence failure",
        "convergence failure: discriminator wins",
    ),
    "always right, but not sure": (
        history(dynamics={"d_loss_real": 0.5, "d_loss_fake": 0.5, "g_loss": 0.9, **CERTAIN}),
        "healthy",
        None,
    ),
    "everything called real": (
        history(
            dynamics={"d_loss_real": 0.0, "d_loss_fake": 100.0, "g_loss": 0.0, "d_acc_real": 1.0, "d_acc_fake": 0.0},
            outcome=POOR,
        ),
        "convergence failure",
        "convergence failure: discriminator inert",
    ),
    "everything called fake": (
        history(
            dynamics={"d_loss_real": 100.0, "d_loss_fake": 0.0, "g_loss": 100.0, "d_acc_real": 0.0, "d_acc_fake": 1.0},
            outcome=POOR,
        ),
        "convergence failure",
        "convergence failure: discriminator inert",
    ),
    "worse than guessing": (
        history(
            dynamics={"d_loss_real": 1.1, "d_loss_fake": 6.9, "g_loss": 0.001, "d_acc_real": 0.65, "d_acc_fake": 0.0},
            outcome=POOR,
        ),
        "convergence failure",
        "convergence failure: discriminator inert",
    ),
    "beyond the margin of a hinge": (
        history(dynamics={"d_loss_real": 0.01, "d_loss_fake": 0.0, "g_loss": 2.0, **CERTAIN}, objective="hinge"),
        "convergence failure",
        "convergence failure: discriminator wins",
    ),
    "squares of different batches": (
        history(dynamics={"d_loss_real": 0.01, "d_loss_fake": 0.01, "g_loss": 0.1, **CERTAIN}, objective="lsgan"),
        "convergence failure",
        "convergence failure: both losses vanish",
    ),
    "scores of different batches": (
        history(dynamics={"d_loss_real": 0.01, "d_loss_fake": 0.0, "g_loss": -0.8, **CERTAIN}, objective="hinge"),
        "convergence failure",
        "convergence failure: both losses vanish",
    ),
    "certain squares": (
        history(dynamics={"d_loss_real": 0.01, "d_loss_fake": 0.01, "g_loss": 0.5, **CERTAIN}, objective="lsgan"),
        "convergence failure",
        "convergence failure: discriminator wins",
    ),
    "at the margin": (
        history(dynamics={"d_loss_real": 0.2, "d_loss_fake": 0.1, "g_loss": 2.0, **CERTAIN}, objective="hinge"),
        "healthy",
        None,
    ),
    "far ahead for long, and nobody looked": (
        replace(history(20, dynamics=FAR_AHEAD), evaluations=()),
        "convergence failure",
        "convergence failure: no equilibrium",
    ),
    "far ahead for a while, and nobody looked": (
        replace(history(10, dynamics=FAR_AHEAD), evaluations=()),
        "undetermined",
        None,
    ),
    "a critic that is worse than guessing": (
        history(
            dynamics={"d_loss_real": 1.5, "d_loss_fake": 1.6, "g_loss": 0.3, "d_acc_real": 0.2, "d_acc_fake": 0.3},
            objective="hinge",
        ),
        "convergence failure",
        "convergence failure: discriminator inert",
    ),
    "at chance": (
        history(dynamics={"d_loss_real": 0.7, "d_loss_fake": 0.7, "d_acc_real": 0.2, "d_acc_fake": 0.3}),
        "healthy",
        None,
    ),
    "mostly right, and at times far wrong": (
        history(dynamics={"d_loss_real": 4.0, "d_loss_fake": 6.9, "d_acc_real": 0.7, "d_acc_fake": 0.6}),
        "healthy",
        None,
    ),
    "worse than guessing, and learning": (improving_discriminator(), "healthy", None),
    "Adam defaults": (
        history(
            dynamics={"d_loss_real": 0.13, "d_loss_fake": 0.11, "g_loss": 4.6, "d_acc_real": 0.96, "d_acc_fake": 0.96},
            outcome={"precision": 0.07, "coverage": 0.02, "fake_distance": 9.6, "missing_mass": 0.57},
        ),
        "convergence failure",
        "convergence failure: no equilibrium",
    ),
    "not a number": (history(dynamics={"g_loss": float("nan")}), "divergence", "divergence"),
    "exploded": (history(dynamics={"g_loss": 1e6}), "divergence", "divergence"),
    "the generator's gradient explodes": (grown(2e3), "exploding gradients", "exploding gradients"),
    "a layer alone grows": (pulled("discriminator.0.weight", 1e5), "healthy", None),
    "a layer starves": (
        pulled("generator.0.weight", 1e-5, outcome=POOR),
        "vanishing gradients",
        "vanishing gradients",
    ),
    "a layer starves, and the samples are good": (pulled("generator.0.weight", 1e-5), "healthy", None),
    "the training data again": (history(outcome={"memorisation": 0.95, "copies": 0.6}), "memorisation", "memorisation"),
    "real data": (history(outcome={"memorisation": 0.5, "copies": 0.01}), "healthy", None),
    "a swing of 25 steps": (swinging(25), "oscillation", "oscillation"),
    "poor, and no better": (history(outcome=POOR, objective="hinge"), "stalled", "stalled"),
    "not finished": (improving(), "healthy", "slow convergence"),
    "too short": (history(epochs=3), "undetermined", None),
    "still poor": (replace(history(outcome=POOR), epochs_total=20), "undetermined", None),
    "poor at the end beside balanced losses": (history(outcome=POOR), "deceptive loss", "deceptive loss"),
}


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
