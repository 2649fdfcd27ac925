# pyright: basic
"""What a verdict must not depend on."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ganlib.diagnosis.dynamic_rules import LEAST_G_LOSS, both_losses_vanish, discriminator_wins
from ganlib.diagnosis.history import History
from ganlib.diagnosis.outcome_rules import deceptive_loss, no_equilibrium
from ganlib.diagnosis.rules import diagnose
from ganlib.diagnosis.signals import signals_of
from ganlib.evaluation.cache import Cache
from ganlib.evaluation.measures.ndb import missing_mass
from ganlib.evaluation.measures.table import Context
from ganlib.evaluation.reference import evaluate, flat, prepare_reference
from ganlib.records import STEP_COLUMNS
from ganlib.spec.evaluation import Comparison
from ganlib.spec.objective import USUAL

N = 120
EPOCHS = 4
STEPS_PER_EPOCH = 60


def clusters(rng: np.random.Generator, present: tuple[int, ...], n: int, noise: float = 0.1) -> np.ndarray:
    """[n, 2] points about four corners."""
    corners = np.array([[-0.5, -0.5], [-0.5, 0.5], [0.5, -0.5], [0.5, 0.5]])
    return (corners[rng.choice(present, n)] + noise * rng.standard_normal((n, 2))).astype(np.float32)


def history_of(reals: np.ndarray, fakes: list[np.ndarray], whiten: bool, **changes: object) -> History:
    """A history with balanced losses and these fakes, an array an epoch."""
    options = Comparison(measures=("ndb", "prdc", "repetition", "memorisation"), whiten=whiten, num_bins=4)
    reference = prepare_reference(
        reals,
        Context(options=options, device=torch.device("cpu")),
        flat,
        num_samples=N,
        cache=Cache(None),
        null_splits=2,
    )
    rng = np.random.default_rng(0)
    level = {
        "d_loss_real": 0.6,
        "d_loss_fake": 0.6,
        "g_loss": 1.0,
        "d_acc_real": 0.7,
        "d_acc_fake": 0.7,
        "d_grad_norm": 1.0,
        "g_grad_norm": 1.0,
        "d_auc": 0.8,
    }
    steps = np.tile([level[name] for name in STEP_COLUMNS], (EPOCHS * STEPS_PER_EPOCH, 1))
    return replace(
        History(
            objective="bce",
            steps_per_epoch=STEPS_PER_EPOCH,
            epochs_total=EPOCHS,
            steps=(steps * (1 + 0.02 * rng.standard_normal(steps.shape))).astype(np.float32),
            evaluations=tuple(evaluate(reference, batch, epoch) for epoch, batch in enumerate(fakes)),
        ),
        **changes,  # pyright: ignore[reportArgumentType]
    )


def said(history: History) -> tuple[str, list[str], list[str]]:
    """Verdict, findings and severities."""
    found = diagnose(history)
    return found.verdict, [f.name for f in found.findings], [f.severity for f in found.findings]


KINDS = {"all": (0, 1, 2, 3), "one": (2,), "three": (0, 1, 3)}


def case(seed: int, kind: str) -> tuple[np.ndarray, list[np.ndarray]]:
    """Reals, and the fakes of the untrained generator and of every epoch."""
    rng = np.random.default_rng(seed)
    reals = clusters(rng, (0, 1, 2, 3), 400)
    untrained = 0.01 * rng.standard_normal((N, 2)).astype(np.float32)
    return reals, [untrained, *(clusters(rng, KINDS[kind], N) for _ in range(EPOCHS))]


@given(st.integers(0, 1000), st.sampled_from(sorted(KINDS)))
@settings(deadline=None, max_examples=15)
def test_the_order_of_fakes_changes_nothing(seed, kind):
    reals, fakes = case(seed, kind)
    order = np.random.default_rng(seed + 1).permutation(N)
    assert said(history_of(reals, fakes, False)) == said(history_of(reals, [batch[order] for batch in fakes], False))


@given(st.integers(0, 1000), st.sampled_from(sorted(KINDS)), st.floats(0.25, 4), st.floats(-1, 1))
@settings(deadline=None, max_examples=15)
def test_an_affine_change_of_all_pixels_changes_nothing_under_whitening(seed, kind, scale, shift):
    reals, fakes = case(seed, kind)

    def changed(samples: np.ndarray) -> np.ndarray:
        return (np.float32(scale) * samples + np.float32(shift)).astype(np.float32)

    moved = history_of(changed(reals), [changed(batch) for batch in fakes], True)
    assert said(moved) == said(history_of(reals, fakes, True))


@given(st.lists(st.integers(1, 60), min_size=3, max_size=12), st.integers(20, 400), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=200)
def test_removing_a_class_never_lowers_missing_mass(real, n, seed):
    """The class is at or below its training share, and its fakes go to the fullest other bin: n stays."""
    rng = np.random.default_rng(seed)
    trained = np.array(real)
    fakes = rng.multinomial(n, rng.dirichlet(np.ones(len(real))))
    below = np.flatnonzero(fakes / n <= trained / trained.sum())
    removed = int(rng.choice(below))
    others = np.where(np.arange(len(real)) == removed, -1, fakes)
    without = fakes.copy()
    without[others.argmax()] += without[removed]
    without[removed] = 0
    before, after = (missing_mass(trained[None], counts[None])[0] for counts in (fakes, without))
    assert after >= before - 1e-12


@pytest.mark.parametrize("objective", sorted(set(USUAL) - set(LEAST_G_LOSS)))
@given(st.floats(0, 20), st.floats(0, 20), st.floats(0, 1), st.floats(0, 1))
@settings(deadline=None, max_examples=30)
def test_other_objectives_never_trigger_a_rule_on_loss_levels(objective, d_loss, g_loss, acc_real, acc_fake):
    steps = np.tile(
        np.array([d_loss, d_loss, g_loss, acc_real, acc_fake, 1.0, 1.0, 0.9], np.float32), (EPOCHS * STEPS_PER_EPOCH, 1)
    )
    past = History(objective=objective, steps_per_epoch=STEPS_PER_EPOCH, epochs_total=EPOCHS, steps=steps)
    signals = signals_of(past)
    for rule in (both_losses_vanish, discriminator_wins, no_equilibrium, deceptive_loss):
        assert rule(signals) is None
