"""A training that begins with the weights of another one."""

from pathlib import Path
from typing import Any

import pytest
import torch

from ganlib.data.load import load_dataset
from ganlib.spec.request import RunRequest
from ganlib.spec.run import RunSpec
from ganlib.training import checkpoint
from ganlib.training.loop import TrainingLoop, TrainingState

CPU = torch.device("cpu")
SPEC: dict[str, Any] = {
    "dataset": {"name": "ring8", "size": 100},
    "generator": {"family": "mlp", "width": 8},
    "discriminator": {"family": "mlp", "width": 8},
    "training": {"epochs": 3, "steps_per_epoch": 4, "batch_size": 16},
    "evaluation": {"num_samples": 50},
    "samples": {"count": 4},
}


def training(**settings: Any) -> TrainingLoop:
    spec: RunSpec = RunRequest(spec=SPEC, set=settings).resolve()
    return TrainingLoop(spec, load_dataset(spec.dataset, Path(), spec.seed), device=CPU)


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> TrainingState:
    path = tmp_path_factory.mktemp("parent") / "c.safetensors"
    trained = training()
    for _ in zip(range(2), trained.epochs(), strict=False):
        checkpoint.save(path, trained.state())
    return checkpoint.load(path)


def started(parent: TrainingState, **settings: Any) -> TrainingLoop:
    child = training(seed=1, **settings)
    child.warm_start(parent)
    return child


def test_weights_are_taken_over_and_counters_are_not(parent: TrainingState) -> None:
    child = started(parent)
    assert (child.epoch, child.step) == (0, 0)
    for name in ("generator", "discriminator"):
        for key, value in getattr(child, name).state_dict().items():
            assert torch.equal(value, getattr(parent, name)[key]), key
    assert [report.first_step for report in child.epochs()] == [0, 4, 8]


def test_the_child_goes_its_own_way_by_its_own_seed(parent: TrainingState) -> None:
    one, same, other = (started(parent) for _ in range(3))
    other.spec = other.spec.model_copy(update={"seed": 2})
    first, second, third = (next(child.epochs()).steps.tobytes() for child in (one, same, other))
    assert first == second != third


def test_moments_are_taken_over_and_settings_of_the_optimizer_are_not(parent: TrainingState) -> None:
    child = started(parent, **{"optimizer.beta1": 0.3, "optimizer.eps": 1e-7})
    optimizer = child.generator_optimizer.optimizer
    assert optimizer.param_groups[0]["betas"] == (0.3, 0.999)
    assert optimizer.param_groups[0]["eps"] == 1e-7
    moments = [state["exp_avg"] for state in optimizer.state.values()]
    wanted = [state["exp_avg"] for state in parent.generator_optimizer["state"].values()]
    assert moments
    assert all(torch.equal(one, two) for one, two in zip(moments, wanted, strict=True))
    assert any(moment.abs().sum() > 0 for moment in moments)


@pytest.mark.parametrize("name", ["rmsprop", "sgd"])
def test_an_optimizer_of_another_kind_begins_without_a_past(parent: TrainingState, name: str) -> None:
    child = started(parent, optimizer={"name": name})
    assert not child.generator_optimizer.state_dict()["state"]
    assert len(list(child.epochs())) == 3


def test_one_optimizer_may_be_taken_over_where_the_other_is_not(parent: TrainingState) -> None:
    child = started(parent, discriminator_optimizer={"name": "sgd"})
    assert child.generator_optimizer.state_dict()["state"]
    assert not child.discriminator_optimizer.state_dict()["state"]


def test_a_moving_average_begins_with_the_weights_that_were_taken_over(parent: TrainingState) -> None:
    child = started(parent, **{"remedies.ema": {"decay": 0.999}})
    for key, value in child.sampled.state_dict().items():
        assert torch.equal(value, parent.generator[key]), key


def test_a_warm_start_resumed_from_its_own_checkpoint_is_bit_identical(parent: TrainingState, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"remedies.ema": {}, "remedies.historical_averaging": {}}
    whole = [report.steps.tobytes() for report in started(parent, **settings).epochs()]
    first = started(parent, **settings)
    next(first.epochs())
    checkpoint.save(tmp_path / "c.safetensors", first.state())
    resumed = TrainingLoop(
        first.spec,
        load_dataset(first.spec.dataset, Path(), 1),
        device=CPU,
        state=checkpoint.load(tmp_path / "c.safetensors"),
    )
    assert [report.steps.tobytes() for report in resumed.epochs()] == whole[1:]
