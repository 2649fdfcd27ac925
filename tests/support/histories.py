"""Histories with one signature each, made of nothing but numbers."""

from dataclasses import replace
from typing import Any

import numpy as np

from ganlib.diagnosis.history import History
from ganlib.records import STEP_COLUMNS, EpochEvaluation, LayerGradients, Null

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
