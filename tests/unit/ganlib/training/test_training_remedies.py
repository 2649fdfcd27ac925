"""Every remedy in real training steps: finite, resumed bit by bit, and without effect on any other draw."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from ganlib.data.load import DataArrays, load_dataset
from ganlib.records import EpochReport
from ganlib.spec.request import RunRequest
from ganlib.spec.run import RunSpec
from ganlib.training import checkpoint, loop, sampling
from ganlib.training.loop import TrainingLoop
from ganlib.training.sampling import untrained_fakes

CPU = torch.device("cpu")
BASE = {
    "dataset.name": "mnist-5k",
    "dataset.classes": [3, 8],
    "generator.width": 4,
    "discriminator.width": 4,
    "training.epochs": 2,
    "training.steps_per_epoch": 2,
    "training.batch_size": 8,
    "training.discriminator_batch_size": 4,
    "training.discriminator_steps": 2,
    "evaluation.num_samples": 50,
    "samples.count": 4,
}
CONDITIONAL = {"generator.condition": "concat", "discriminator.condition": "projection"}
OPTIONS: dict[str, dict[str, Any]] = {
    "label smoothing": {"remedies.label_smoothing": {}},
    "instance noise": {"remedies.instance_noise": {}},
    "ema": {"remedies.ema.decay": 0.9},
    "feature matching": {"remedies.feature_matching": {}},
    "feature matching, l1, beside the loss": {"remedies.feature_matching": {"distance": "l1", "adversarial": True}},
    "historical averaging": {"remedies.historical_averaging": {}},
    "packing": {"remedies.packing": {}},
    "replay": {"remedies.replay": {"pool": 6}},
    "unrolling": {"remedies.unrolling.steps": 2},
    "diff augment": {"remedies.diff_augment": {}},
    "adaptive augment": {"remedies.adaptive_augment": {"images": 10, "target": -0.9, "interval": 2}},
    "mixture of generators": {"remedies.generators": {"kind": "mixture", "count": 2, "diversity": 1}},
    "a generator for each class": CONDITIONAL | {"remedies.generators": {"kind": "per_class"}},
    "classes": CONDITIONAL,
    "everything at once": {
        "remedies": {
            "label_smoothing": {},
            "replay": {"pool": 6},
            "unrolling": {"steps": 1},
            "feature_matching": {"adversarial": True},
            "historical_averaging": {},
            "ema": {"decay": 0.9},
            "diff_augment": {},
            "instance_noise": {},
            "packing": {"samples": 2},
        },
        "penalties.r1": 1,
        "training.discriminator_update": "together",
    },
    "unrolling and penalties over spectral norm and dropout": {
        "discriminator.norm": {"kind": "spectral"},
        "discriminator.dropout": 0.3,
        "generator.dropout": 0.3,
        "remedies": {"unrolling": {"steps": 2}, "ema": {}, "historical_averaging": {}},
        "penalties.r1": 1,
    },
    "everything with classes": CONDITIONAL
    | {
        "objective.name": "relativistic",
        "remedies": {
            "unrolling": {"steps": 1},
            "feature_matching": {},
            "generators": {"kind": "mixture", "count": 2},
            "ema": {},
            "diff_augment": {},
        },
        "training.discriminator_update": "joined_batch",
    },
}


def spec_with(name: str | None) -> RunSpec:
    return RunRequest(preset="digit8-stable", set=BASE | (OPTIONS[name] if name else {})).resolve()


@pytest.fixture(scope="module")
def digits() -> DataArrays:
    return load_dataset(spec_with(None).dataset, Path(), 0)


class Whole(NamedTuple):
    reports: list[EpochReport]
    draws: list[tuple[str, ...]]
    """Latents and reals that were drawn, by stream and number."""


@pytest.fixture(scope="module")
def whole(digits: DataArrays) -> Callable[[str | None], Whole]:
    """An undisturbed training with an option, made once."""

    @cache
    def train(name: str | None) -> Whole:
        draws: list[tuple[str, ...]] = []
        with pytest.MonkeyPatch.context() as patch:
            for module, function in ((loop, "latents"), (loop, "batch_indices"), (sampling, "latents")):
                real = getattr(module, function)

                def spied(*args: Any, real: Callable[..., Any] = real, function: str = function) -> Any:
                    draws.append((function, *map(str, args[1:])))
                    return real(*args)

                patch.setattr(module, function, spied)
            state = torch.get_rng_state()
            reports = list(TrainingLoop(spec_with(name), digits, device=CPU).epochs())
            assert torch.equal(torch.get_rng_state(), state)
        return Whole(reports, draws)

    return train


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_each_remedy_trains_and_resumes_bit_by_bit(digits, whole, tmp_path, name):
    expected = whole(name).reports
    assert all(np.isfinite(report.steps).all() for report in expected)
    first = TrainingLoop(spec_with(name), digits, device=CPU)
    next(first.epochs())
    checkpoint.save(tmp_path / "c.safetensors", first.state())
    resumed = TrainingLoop(spec_with(name), digits, device=CPU, state=checkpoint.load(tmp_path / "c.safetensors"))
    [report] = resumed.epochs()
    assert report.steps.tobytes() == expected[1].steps.tobytes()
    assert report.samples.tobytes() == expected[1].samples.tobytes()
    assert report.fakes is not None
    assert expected[1].fakes is not None
    assert report.fakes.tobytes() == expected[1].fakes.tobytes()


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_each_remedy_changes_the_samples_and_no_other_draw(whole, name):
    plain, remedied = whole(None), whole(name)
    assert remedied.draws == plain.draws
    assert not np.allclose(plain.reports[1].samples, remedied.reports[1].samples, atol=1e-7)


def test_the_moving_average_changes_samples_alone(whole):
    plain, averaged = whole(None).reports, whole("ema").reports
    assert [r.steps.tobytes() for r in plain] == [r.steps.tobytes() for r in averaged]


def test_sampling_from_the_average_leaves_it_as_it_is(digits):
    training = TrainingLoop(spec_with("ema"), digits, device=CPU)
    [first, *_] = training.epochs()
    again = training.sampled.state_dict()
    before = {key: value.clone() for key, value in again.items()}
    training.fakes()
    assert all(torch.equal(before[key], value) for key, value in training.sampled.state_dict().items())
    assert first.fakes is not None


def test_before_the_first_step_the_average_makes_the_untrained_fakes(digits):
    spec = spec_with("ema")
    assert untrained_fakes(spec, CPU).tobytes() == TrainingLoop(spec, digits, device=CPU).fakes().tobytes()


def test_a_discriminator_of_packs_has_as_many_more_channels(digits):
    training = TrainingLoop(spec_with("packing"), digits, device=CPU)
    assert training.spec.discriminator_shape == (2, 28, 28)
    next(training.epochs())
    assert next(p.shape[1] for p in training.discriminator.parameters() if p.dim() == 4) == 2


def test_the_classifier_learns_to_tell_the_generators_of_a_mixture(digits):
    training = TrainingLoop(spec_with("mixture of generators"), digits, device=CPU)
    remedy: Any = training.remedies["generators"]
    before = remedy.head.weight.detach().clone()
    next(training.epochs())
    assert not torch.equal(before, remedy.head.weight)
    assert all(parameter.grad is None for parameter in remedy.head.parameters())


def test_fakes_are_made_of_the_classes_of_the_reals_beside_them(digits, monkeypatch):
    seen: list[tuple[torch.Tensor | None, torch.Tensor | None]] = []
    real = loop.update_discriminator

    def spied(kind: Any, optimizer: Any, loss: Any, reals: Any, fakes: Any, **rest: Any) -> Any:
        seen.append((reals.labels, fakes.labels))
        return real(kind, optimizer, loss, reals, fakes, **rest)

    monkeypatch.setattr(loop, "update_discriminator", spied)
    next(TrainingLoop(spec_with("classes"), digits, device=CPU).epochs())
    assert all(torch.equal(a, b) for a, b in seen if a is not None and b is not None)
    assert {int(label) for labels, _ in seen if labels is not None for label in labels} == {0, 1}


def test_a_conditional_generator_is_sampled_class_by_class(digits):
    training = TrainingLoop(spec_with("classes"), digits, device=CPU)
    told: list[torch.Tensor] = []
    training.generator.register_forward_pre_hook(lambda _, given: told.append(given[1]))
    training.fakes()
    assert torch.cat(told).tolist() == [0, 1] * 25
