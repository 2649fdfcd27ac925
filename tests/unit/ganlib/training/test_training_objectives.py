"""Every objective, penalty and optimizer in real training steps: finite, deterministic, resumed bit by bit."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ganlib.data.load import DataArrays, load_dataset
from ganlib.objectives.table import LOSSES
from ganlib.spec.optimizer import Adam, ConstantRate, CosineRate, LinearRate, Sgd
from ganlib.spec.request import RunRequest
from ganlib.spec.run import RunSpec
from ganlib.training import checkpoint, loop, sampling
from ganlib.training.loop import TrainingLoop
from ganlib.training.optimizer import NetworkOptimizer, rate_factor

CPU = torch.device("cpu")
MLP = {"family": "mlp", "width": 8}
RING = {
    "dataset": {"name": "ring8", "size": 200},
    "generator": MLP,
    "discriminator": MLP,
    "training": {"epochs": 2, "steps_per_epoch": 3, "batch_size": 16},
    "evaluation": {"num_samples": 50},
    "samples": {"count": 4},
}


def ring_spec(**changes: object) -> RunSpec:
    return RunRequest(spec=RING, set={key.replace("__", "."): value for key, value in changes.items()}).resolve()


@pytest.fixture(scope="module")
def ring() -> DataArrays:
    return load_dataset(ring_spec().dataset, Path(), 0)


def steps_of(spec: RunSpec, data: DataArrays) -> np.ndarray:
    return np.concatenate([report.steps for report in TrainingLoop(spec, data, device=CPU).epochs()])


OPTIONS: dict[str, dict[str, object]] = {
    **{name: {"objective__name": name} for name in LOSSES},
    "r1 and r2": {"penalties__r1": 10, "penalties__r2": 10},
    "r1 in half batches": {
        "penalties__r1": 10,
        "penalties__r2": 10,
        "training__discriminator_update": "half_batches",
    },
    "relativistic in a joined batch": {
        "objective__name": "relativistic",
        "training__discriminator_update": "joined_batch",
    },
    "gradient penalty": {"penalties__gradient": 10},
    "rmsprop": {"optimizer": {"name": "rmsprop"}},
    "sgd": {"optimizer": {"name": "sgd"}},
    "sgd with momentum": {"optimizer": {"name": "sgd", "momentum": 0.9}},
    "clipping": {"optimizer__clip_norm": 0.01},
    "linear": {"optimizer__schedule": {"kind": "linear", "start": 0.2}},
    "cosine with warm-up": {"optimizer__schedule": {"kind": "cosine", "warmup_steps": 2}},
    "two time scales": {"optimizer__learning_rate": 1e-4, "discriminator_optimizer__learning_rate": 4e-4},
}


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_each_option_trains_and_resumes_bit_by_bit(ring, tmp_path, name):
    spec = ring_spec(**OPTIONS[name])
    whole = TrainingLoop(spec, ring, device=CPU)
    expected = list(whole.epochs())
    assert all(np.isfinite(report.steps).all() for report in expected)
    first = TrainingLoop(spec, ring, device=CPU)
    next(first.epochs())
    checkpoint.save(tmp_path / "c.safetensors", first.state())
    resumed = TrainingLoop(spec, ring, device=CPU, state=checkpoint.load(tmp_path / "c.safetensors"))
    [report] = resumed.epochs()
    assert report.steps.tobytes() == expected[1].steps.tobytes()
    assert report.samples.tobytes() == expected[1].samples.tobytes()


@pytest.mark.parametrize("name", sorted(OPTIONS.keys() - {"bce"}))
def test_each_option_changes_the_training(ring, name):
    plain = ring_spec(training__discriminator_steps=ring_spec(**OPTIONS[name]).training.discriminator_steps)
    if name == "clamped-bce":  # the same but for rounding, as long as nothing saturates
        assert np.allclose(steps_of(ring_spec(**OPTIONS[name]), ring), steps_of(plain, ring), rtol=1e-3)
    elif name == "relativistic in a joined batch":  # the same but for rounding: there is no batch norm
        paired = ring_spec(objective__name="relativistic")
        assert np.allclose(steps_of(ring_spec(**OPTIONS[name]), ring), steps_of(paired, ring), rtol=1e-3)
    else:
        assert not np.allclose(steps_of(ring_spec(**OPTIONS[name]), ring)[-1], steps_of(plain, ring)[-1], rtol=1e-6)


@pytest.mark.parametrize("name", ["relativistic", "gradient penalty"])
def test_what_an_option_draws_leaves_reals_and_latents_as_they_were(ring, name, monkeypatch):
    draws: list[tuple[str, ...]] = []
    for module, function in ((loop, "latents"), (loop, "batch_indices"), (sampling, "latents")):
        real = getattr(module, function)

        def spied(*args: object, real: Callable[..., object] = real, function: str = function) -> object:
            draws.append((function, *map(str, args[1:])))
            return real(*args)

        monkeypatch.setattr(module, function, spied)
    steps_of(ring_spec(), ring)
    without = draws.copy()
    draws.clear()
    steps_of(ring_spec(**OPTIONS[name]), ring)
    assert draws == without


def test_penalties_are_no_part_of_the_reported_losses(ring):
    plain, penalised = (steps_of(ring_spec(**changes), ring)[0] for changes in ({}, {"penalties__r1": 1e4}))
    assert plain[:2].tolist() == penalised[:2].tolist()
    assert plain[5] != penalised[5]


def test_wgan_keeps_the_discriminators_weights_within_the_clip(ring):
    training = TrainingLoop(ring_spec(objective__name="wgan"), ring, device=CPU)
    next(training.epochs())
    assert max(p.abs().max().item() for p in training.discriminator.parameters()) <= 0.01


def test_relativistic_accuracies_are_the_share_of_pairs_in_order(ring):
    rows = steps_of(ring_spec(objective__name="relativistic"), ring)
    assert np.array_equal(rows[:, 3], rows[:, 4])
    assert np.allclose(rows[:, 0], rows[:, 1])


def test_least_squares_call_a_sample_real_above_the_middle_of_the_targets(ring):
    assert LOSSES["lsgan"].threshold == 0.5
    assert {loss.threshold for name, loss in LOSSES.items() if name != "lsgan"} == {0.0}


def test_a_penalty_weighs_as_in_the_references_sum():
    for name, weight in (("bce", 0.5), ("hinge", 0.5), ("lsgan", 1.0), ("relativistic", 1.0)):
        assert LOSSES[name].penalty_weight == weight


# --- optimizers -------------------------------------------------------------------------------------------------


def one_weight(spec: Adam | Sgd, loss_scale: float = 1.0, total_steps: int = 10) -> tuple[float, float]:
    network = torch.nn.Linear(2, 1, bias=False)
    torch.nn.init.zeros_(network.weight)
    norm = NetworkOptimizer(network, spec, total_steps).minimise(
        loss_scale * network(torch.tensor([3.0, 4.0])).sum(), 0
    )
    return norm.item(), network.weight.norm().item()


def test_clipping_scales_the_gradient_down_to_its_norm_and_reports_the_whole_one():
    assert one_weight(Sgd(learning_rate=0.1)) == pytest.approx((5.0, 0.5))
    assert one_weight(Sgd(learning_rate=0.1, clip_norm=1.0)) == pytest.approx((5.0, 0.1), rel=1e-5)
    assert one_weight(Sgd(learning_rate=0.1, clip_norm=9.0)) == pytest.approx((5.0, 0.5))


@pytest.mark.parametrize(
    ("schedule", "factors"),
    [
        (ConstantRate(), [1, 1, 1, 1, 1]),
        (ConstantRate(warmup_steps=4), [0.25, 0.75, 1, 1, 1]),
        (LinearRate(), [1, 1, 0.8, 0.4, 0.2]),
        (LinearRate(start=0, final=0.5), [1, 0.9, 0.7, 0.6, 0.55]),
        (CosineRate(), [1, 0.9045085, 0.3454915, 0.0954915, 0.0244717]),
        (CosineRate(final=0.25), [1, 0.9283814, 0.5091186, 0.3216186, 0.2683538]),
        (CosineRate(warmup_steps=4), [0.25, 0.9045085 * 0.75, 0.3454915, 0.0954915, 0.0244717]),
    ],
)
def test_schedules_are_functions_of_the_step(schedule, factors):
    steps = (0, 2, 6, 8, 9)
    assert [rate_factor(schedule, step, 10) for step in steps] == pytest.approx(factors, rel=1e-5)


def test_the_learning_rate_follows_its_schedule():
    norm, moved = one_weight(Sgd(learning_rate=0.1, schedule=ConstantRate(warmup_steps=5)))
    assert (norm, moved) == pytest.approx((5.0, 0.1))
