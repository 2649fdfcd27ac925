"""bf16: layers multiply in it, and nothing else does."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from ganlib.data.load import DataArrays, load_dataset
from ganlib.spec.hashing import canonical_json, spec_hash
from ganlib.spec.request import InvalidRequest, RunRequest
from ganlib.spec.run import RunSpec
from ganlib.training import checkpoint
from ganlib.training.loop import TrainingLoop
from ganlib.training.precision import computing, faster_precision, measure_bf16_speedup, settle_precision

CPU = torch.device("cpu")
SMALL = {
    "dataset.name": "mnist-5k",
    "generator.width": 8,
    "discriminator.width": 8,
    "training.batch_size": 16,
    "training.discriminator_batch_size": 16,
    "training.epochs": 2,
    "training.steps_per_epoch": 2,
    "evaluation.num_samples": 50,
    "samples.count": 4,
}
IN_FLOAT32: dict[str, dict[str, Any]] = {
    "penalties.r1": {"penalties.r1": 1.0},
    "penalty gradient": {"objective": {"name": "wgan-gp"}, "training.discriminator_update": "together"},
    "remedies.unrolling": {"remedies.unrolling": {}},
    "generator.norm": {"generator.norm": {"kind": "spectral"}},
    "discriminator.norm": {"discriminator.norm": {"kind": "spectral"}},
}
OPTIONS: dict[str, dict[str, Any]] = {
    "half batches": {},
    "together": {"training.discriminator_update": "together", "objective.name": "clamped-bce"},
    "joined": {"training.discriminator_update": "joined_batch", "objective.name": "hinge"},
    "least squares": {"objective.name": "lsgan", "optimizer__clip_norm": 1.0},
    "resnet": {
        "generator": {"family": "resnet", "width": 8},
        "discriminator": {"family": "resnet", "width": 8, "norm": {"kind": "none"}},
    },
    "patch": {"discriminator": {"family": "patch", "width": 4, "layers": 2}},
    "mlp": {"generator": {"family": "mlp", "width": 8}, "discriminator": {"family": "mlp", "width": 8}},
    "minibatch": {"discriminator.minibatch": {"kernels": 4, "size": 2}},
    "instance and group": {
        "generator.norm": {"kind": "instance"},
        "discriminator.norm": {"kind": "group", "groups": 2},
    },
    "feature matching": {"remedies.feature_matching": {}},
    "mixture": {"remedies.generators": {"kind": "mixture", "count": 2}},
    "ema, augmentation, noise": {
        "remedies.ema": {},
        "remedies.diff_augment": {},
        "remedies.instance_noise": {},
    },
}


def spec_of(**changes: Any) -> RunSpec:
    settings = SMALL | {key.replace("__", "."): value for key, value in changes.items()}
    return RunRequest(preset="digit8-stable", set=settings).resolve()


@pytest.fixture(scope="module")
def eights() -> DataArrays:
    return load_dataset(spec_of().dataset, Path(), 0)


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_trains_in_bf16_near_to_float32(eights, name):
    changes = OPTIONS[name]
    in_bf16, in_float32 = (
        TrainingLoop(spec_of(**changes, training__precision=p), eights, device=CPU) for p in ("bf16", "float32")
    )
    multiplied_in = set[torch.dtype]()
    for network in (in_bf16.generator, in_bf16.discriminator):
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                layer.register_forward_hook(lambda *found: multiplied_in.add(found[2].dtype))
    in_bf16.trace.begin_epoch()
    in_float32.trace.begin_epoch()
    found, wanted = in_bf16.make_step(), in_float32.make_step()
    assert torch.bfloat16 in multiplied_in
    assert found.dtype == torch.float32
    assert not torch.equal(found, wanted)
    losses, gradients = slice(0, 3), slice(5, 7)  # bf16 has 8 bits: a product is right to 1 part in 256
    torch.testing.assert_close(found[losses], wanted[losses], rtol=0.05, atol=0.05)
    torch.testing.assert_close(found[gradients], wanted[gradients], rtol=0.25, atol=0.05)
    state = in_bf16.state()
    tensors = [*state.generator.values(), *state.discriminator.values()]
    tensors += [value for slot in state.generator_optimizer["state"].values() for value in slot.values()]
    assert {tensor.dtype for tensor in tensors if tensor.is_floating_point()} == {torch.float32}
    assert in_bf16.fakes().dtype == np.float32


def test_a_resume_in_bf16_is_bit_identical(eights, tmp_path):
    spec = spec_of(training__precision="bf16")
    whole = TrainingLoop(spec, eights, device=CPU)
    _, expected = whole.epochs()
    first = TrainingLoop(spec, eights, device=CPU)
    next(first.epochs())
    checkpoint.save(tmp_path / "c.safetensors", first.state())
    [resumed] = TrainingLoop(spec, eights, device=CPU, state=checkpoint.load(tmp_path / "c.safetensors")).epochs()
    assert resumed.steps.tobytes() == expected.steps.tobytes()
    assert resumed.samples.tobytes() == expected.samples.tobytes()


def test_samples_are_made_in_float32(eights):
    training = TrainingLoop(spec_of(training__precision="bf16"), eights, device=CPU)
    plain = TrainingLoop(spec_of(), eights, device=CPU)
    assert training.fakes().tobytes() == plain.fakes().tobytes()


def test_the_loss_that_torch_refuses_under_autocast_is_taken_outside_of_it(eights, monkeypatch):
    """On a GPU it raises there; on the CPU it would not be noticed."""
    seen = list[bool]()
    real = torch.nn.functional.binary_cross_entropy

    def spied(*given: Any, **options: Any) -> torch.Tensor:
        seen.append(torch.is_autocast_enabled("cpu"))
        return real(*given, **options)

    monkeypatch.setattr("ganlib.objectives.clamped_bce.functional.binary_cross_entropy", spied)
    spec = spec_of(objective__name="clamped-bce", training__precision="bf16")
    next(TrainingLoop(spec, eights, device=CPU).epochs())
    assert seen
    assert not any(seen)


def test_a_weight_that_was_updated_is_not_multiplied_as_it_was():
    layer, seen = nn.Linear(4, 4), torch.ones(2, 4)
    with computing("bf16", CPU):
        before = layer(seen)
        with torch.no_grad():
            layer.weight.add_(1.0)
        after = layer(seen)
    assert torch.allclose((after - before).float(), torch.full((2, 4), 4.0), atol=0.1)


@pytest.mark.parametrize("name", IN_FLOAT32)
def test_what_needs_float32_refuses_bf16_and_makes_auto_float32(name):
    with pytest.raises(InvalidRequest, match=r"training\.precision: .*allowed: 'float32', or 'auto'"):
        spec_of(**IN_FLOAT32[name], training__precision="bf16")
    auto = spec_of(**IN_FLOAT32[name], training__precision="auto")
    assert settle_precision(auto, "bf16") == "float32"


def test_auto_is_what_pays_on_the_machine():
    auto = spec_of(training__precision="auto")
    assert [faster_precision(speedup) for speedup in (0.0, 0.6, 1.2, 1.3, 4.0)] == ["float32"] * 3 + ["bf16"] * 2
    assert [settle_precision(auto, p) for p in (None, "float32", "bf16")] == ["float32", "float32", "bf16"]
    assert settle_precision(spec_of(training__precision="bf16"), "float32") == "bf16"
    assert settle_precision(spec_of(), "bf16") == "float32"


def test_the_speed_of_bf16_is_measured_within_what_processors_do():
    assert 0.01 < measure_bf16_speedup(CPU) < 100


def test_a_spec_in_float32_has_the_hash_that_it_had_before_it_could_say_so():
    plain = spec_of()
    assert '"precision"' not in canonical_json(plain, "training.precision")
    hashes = {spec_hash(spec_of(training__precision=p)) for p in ("float32", "bf16", "auto")}
    assert len(hashes) == 3
    assert spec_hash(plain) in hashes
