"""Images from images: pairs, U-Net and L1 in real training steps, measured beside their targets."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ganlib.data.edges import edges_of
from ganlib.data.load import DataArrays, load_dataset, load_test_split, scaled
from ganlib.evaluation.cache import Cache
from ganlib.evaluation.for_run import run_reference
from ganlib.evaluation.measures.paired import l1, ssim
from ganlib.evaluation.reference import evaluate
from ganlib.networks.build import build_discriminator, build_generator
from ganlib.records import EpochReport
from ganlib.remedies.remedy import GeneratorBatch
from ganlib.remedies.target_distance import TargetDistanceRemedy
from ganlib.spec.data import EdgesDataset
from ganlib.spec.remedies import TargetDistance
from ganlib.spec.request import InvalidRequest, RunRequest
from ganlib.spec.run import RunSpec
from ganlib.training import checkpoint
from ganlib.training.loop import TrainingLoop
from ganlib.training.sampling import untrained_fakes
from ganlib.training.step import StepBatch, beside

CPU = torch.device("cpu")
PAIRS: dict[str, Any] = {
    "dataset": {"name": "edges", "classes": [3, 8], "limit": 700, "held_out": 60},
    "generator": {"family": "unet", "width": 4},
    "discriminator": {"family": "patch", "width": 4, "layers": 1},
    "training": {"epochs": 2, "steps_per_epoch": 2, "batch_size": 4},
    "remedies": {"l1": {}},
    "samples": {"count": 3},
    "evaluation": {"num_samples": 50, "measures": ["paired"]},
}
OPTIONS: dict[str, dict[str, Any]] = {
    "as published": {},
    "without l1": {"remedies.l1": None},
    "least squares": {"objective.name": "lsgan"},
    "relativistic": {"objective.name": "relativistic"},
    "half batches": {"training.discriminator_update": "half_batches"},
    "a discriminator of whole images": {"discriminator": {"family": "conv", "width": 4}},
    "classes": {"generator.condition": "concat", "discriminator.condition": "concat"},
    "packing and replay": {"remedies": {"packing": {}, "replay": {"pool": 6}}},
    "a mixture with its moving average": {
        "remedies": {"l1": {}, "ema": {}, "generators": {"kind": "mixture", "count": 2}}
    },
    "augmented": {"remedies": {"l1": {}, "diff_augment": {"ops": ["translation", "cutout"]}, "instance_noise": {}}},
    "penalties and matched features": {"penalties.r1": 1, "penalties.gradient": 1, "remedies.feature_matching": {}},
    "unrolled": {"remedies.unrolling": {"steps": 1}},
}


def paired(**changes: Any) -> RunSpec:
    return RunRequest(spec=PAIRS, set={k.replace("__", "."): v for k, v in changes.items()}).resolve()


@pytest.fixture(scope="module")
def pairs() -> DataArrays:
    return load_dataset(paired().dataset, Path(), 0)


def test_inputs_are_the_edges_of_their_targets_and_some_pairs_are_held_out(pairs: DataArrays) -> None:
    assert pairs.inputs is not None
    assert pairs.held_out is not None
    assert pairs.held_out.inputs is not None
    assert (len(pairs.samples), len(pairs.held_out.samples), paired().dataset.size) == (640, 60, 640)
    assert (pairs.inputs == edges_of(pairs.samples.astype(np.uint8))).all()
    assert (pairs.held_out.inputs == edges_of(pairs.held_out.samples.astype(np.uint8))).all()
    seen = {image.tobytes() for image in pairs.samples}
    assert not any(image.tobytes() in seen for image in pairs.held_out.samples)
    assert set(pairs.held_out.labels[:20]) == {3, 8}
    assert load_test_split(paired().dataset, Path()) is None


def test_the_same_pairs_are_held_out_under_every_seed(pairs: DataArrays) -> None:
    other = load_dataset(paired().dataset, Path(), 7)
    assert pairs.held_out is not None
    assert other.held_out is not None
    assert other.held_out.samples.tobytes() == pairs.held_out.samples.tobytes()


def test_edges_of_resized_images_have_their_size() -> None:
    data = load_dataset(EdgesDataset(limit=110, held_out=50, image_size=32), Path(), 0)
    assert data.inputs is not None
    assert data.inputs.shape == data.samples.shape == (60, 1, 32, 32)


def test_the_discriminator_sees_each_sample_behind_its_input(pairs: DataArrays) -> None:
    spec = paired()
    assert (spec.input_channels, spec.discriminator_shape) == (1, (2, 28, 28))
    assert paired(remedies={"packing": {"samples": 2}}).discriminator_shape == (4, 28, 28)
    training = TrainingLoop(spec, pairs, device=CPU)
    reals = training._reals(np.array([5, 9]))
    stacked = beside(reals.inputs, reals.samples)
    assert (stacked[:, 1:] == torch.from_numpy(scaled(pairs)[[5, 9]])).all()
    assert reals.inputs is not None
    assert (stacked[:, :1] == reals.inputs).all()
    assert build_discriminator(spec, CPU)(stacked).ndim == 3
    assert build_generator(spec, CPU)(reals.inputs).shape == reals.samples.shape


def test_colour_is_made_from_edges_of_one_channel() -> None:
    changes = {"dataset__of": "cifar10", "dataset__limit": 300, "dataset__classes": None}
    spec = paired(**changes)
    assert spec.discriminator_shape == (4, 32, 32)
    assert build_generator(spec, CPU)(torch.zeros(2, 1, 32, 32)).shape == (2, 3, 32, 32)


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_each_option_trains_and_resumes_bit_by_bit(pairs: DataArrays, tmp_path: Path, name: str) -> None:
    spec = RunRequest(spec=PAIRS, set=OPTIONS[name]).resolve()
    expected = list(TrainingLoop(spec, pairs, device=CPU).epochs())
    assert all(np.isfinite(report.steps).all() for report in expected)
    first = TrainingLoop(spec, pairs, device=CPU)
    next(first.epochs())
    checkpoint.save(tmp_path / "c.safetensors", first.state())
    [report] = TrainingLoop(spec, pairs, device=CPU, state=checkpoint.load(tmp_path / "c.safetensors")).epochs()
    assert report.steps.tobytes() == expected[1].steps.tobytes()
    assert report.samples.tobytes() == expected[1].samples.tobytes()
    assert report.fakes is not None
    assert expected[1].fakes is not None
    assert report.fakes.tobytes() == expected[1].fakes.tobytes()


def test_a_report_shows_inputs_outputs_and_targets_of_held_out_pairs(pairs: DataArrays) -> None:
    report = next(TrainingLoop(paired(), pairs, device=CPU).epochs())
    assert pairs.held_out is not None
    assert report.inputs is not None
    assert report.targets is not None
    assert report.samples.shape == (3, 1, 28, 28)
    assert (report.targets == scaled(pairs.held_out)[:3]).all()
    assert (report.inputs > 0).mean() > 0.5  # white paper
    assert report.fakes is not None
    assert report.fakes.shape == (50, 1, 28, 28)


def test_outputs_depend_on_their_inputs(pairs: DataArrays) -> None:
    spec = paired(generator__dropout=0, evaluation__fake_statistics="moving")
    report = next(TrainingLoop(spec, pairs, device=CPU).epochs())
    assert report.inputs is not None
    generator = TrainingLoop(spec, pairs, device=CPU)
    [_, last] = list(generator.epochs())
    network = generator.generator.eval()
    with torch.no_grad():
        assert np.allclose(network(torch.from_numpy(report.inputs)).numpy(), last.samples, atol=1e-6)


def test_the_distance_is_the_weighted_mean_of_absolute_differences() -> None:
    outputs = torch.tensor([[[[0.5, -1.0]]]], requires_grad=True)
    targets = torch.tensor([[[[1.0, 1.0]]]])
    batch = GeneratorBatch(step=0, fakes=StepBatch(samples=outputs), reals=None, outputs=outputs, targets=targets)
    remedy = TargetDistanceRemedy(TargetDistance(), None)  # pyright: ignore[reportArgumentType]
    term = remedy.generator_term(batch)
    assert term.item() == 100 * (0.5 + 2.0) / 2
    term.backward()
    assert outputs.grad is not None
    assert outputs.grad.flatten().tolist() == [-50, -50]


def test_l1_changes_the_generator_and_not_what_the_first_step_draws(pairs: DataArrays) -> None:
    def rows(spec: RunSpec) -> np.ndarray[Any, Any]:
        return np.concatenate([report.steps for report in TrainingLoop(spec, pairs, device=CPU).epochs()])

    with_l1, without = rows(paired()), rows(paired(remedies__l1=None))
    reported = [0, 1, 2, 3, 4, 5]  # all but the norm of the generator's gradient
    assert (with_l1[0, reported] == without[0, reported]).all()
    assert with_l1[0, 6] > without[0, 6]
    assert (with_l1[1:] != without[1:]).any()


def evaluated(spec: RunSpec, data: DataArrays) -> list[dict[str, float]]:
    reference = run_reference(spec, data, Path(), device=CPU, cache=Cache(None))
    reports: list[EpochReport] = list(TrainingLoop(spec, data, device=CPU).epochs())
    fakes = [untrained_fakes(spec, CPU, data), *(report.fakes for report in reports)]
    return [evaluate(reference, made, epoch).values for epoch, made in enumerate(fakes) if made is not None]


def test_every_epoch_says_how_like_its_target_each_output_is(pairs: DataArrays) -> None:
    spec = paired(training__steps_per_epoch=8, optimizer__learning_rate=2e-3)
    figures = evaluated(spec, pairs)
    assert [set(values) for values in figures] == [{"ssim", "l1"}] * 3
    assert figures[2]["l1"] < 0.7 * figures[0]["l1"]
    last = list(TrainingLoop(spec, pairs, device=CPU).epochs())[-1].fakes
    assert pairs.held_out is not None
    assert last is not None
    targets = scaled(pairs.held_out)[:50]
    assert (figures[2]["ssim"], figures[2]["l1"]) == (ssim(targets, last), l1(targets, last))


def test_without_the_measure_no_output_is_compared_with_its_target(pairs: DataArrays) -> None:
    [first, *_] = evaluated(paired(evaluation__measures=["repetition"]), pairs)
    assert "ssim" not in first


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"generator": {"family": "deconv"}}, "generator.family", "allowed: 'unet'"),
        ({"generator.layers": 3}, "generator.layers", "28 pixels halve evenly 2 times, not 3; allowed: 1 to 2"),
        ({"dataset.image_size": 27}, "dataset.image_size", "27 is odd"),
        ({"dataset.held_out": 700}, "dataset.held_out", "allowed: 50 to 650"),
        ({"dataset.of": "ring8"}, "dataset.of", "'mnist-5k'"),
        ({"dataset.classes": [10]}, "dataset.classes", "0 to 9"),
        ({"evaluation.num_samples": 61}, "evaluation.num_samples", "allowed: up to 60"),
        ({"samples.count": 61}, "samples.count", "allowed: up to 60"),
        ({"evaluation.space": "discriminator"}, "evaluation.space", "allowed: 'pixels'"),
        (
            {"dataset.image_size": 10, "discriminator": {"family": "conv"}},
            "evaluation.measures",
            "at least 11 pixels a side",
        ),
        ({"remedies.diff_augment": {}}, "remedies.diff_augment.ops", "allowed: 'translation', 'cutout'"),
        ({"remedies.adaptive_augment": {}}, "remedies.adaptive_augment.ops", "'colour' would mix"),
        (
            {"dataset": {"name": "mnist-5k"}, "generator": {"family": "deconv"}},
            "evaluation.measures",
            "mnist-5k has none",
        ),
        (
            {"dataset": {"name": "mnist-5k"}, "generator": {"family": "deconv"}, "evaluation.measures": ["ndb"]},
            "remedies.l1",
            "allowed: null",
        ),
        ({"dataset": {"name": "mnist-5k"}}, "generator.family", "mnist-5k has no pairs"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_name(changes: dict[str, Any], field: str, words: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        RunRequest(spec=PAIRS, set=changes).resolve()
    assert field in refused.value.problems
    assert words in refused.value.problems[field]
