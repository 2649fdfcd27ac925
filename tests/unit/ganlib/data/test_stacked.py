"""Stacked MNIST and mixtures on a line: how they are drawn, their modes, and that they are trained and evaluated."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ganlib.data.load import DataArrays, load_dataset, scaled
from ganlib.data.stacked import draw_stacked
from ganlib.evaluation.cache import Cache
from ganlib.evaluation.classifier import load_classifier
from ganlib.evaluation.for_run import run_reference
from ganlib.evaluation.measures import modes as modes_module
from ganlib.evaluation.measures.modes import ClassModes, StackedModes, count_modes, mode_counter, mode_oracle
from ganlib.evaluation.reference import evaluate
from ganlib.plots.image_grids import sample_grid
from ganlib.spec.data import MixtureDataset, StackedDataset
from ganlib.spec.run import RunSpec
from ganlib.training.loop import TrainingLoop

CPU = torch.device("cpu")
NOWHERE = Path("/nowhere")
STACKED = StackedDataset(of="mnist-5k", size=300)


@pytest.fixture(scope="module")
def stacked() -> DataArrays:
    return load_dataset(STACKED, NOWHERE, 7)


def test_a_mode_is_written_by_its_three_digits() -> None:
    digits = (10 * np.arange(10)).astype(np.uint8)[:, None, None, None] * np.ones((1, 1, 2, 2), np.uint8)
    images, modes = draw_stacked(digits, np.arange(10), 50, np.random.default_rng(0))
    assert images.shape == (50, 3, 2, 2)
    assert (images[:, :, 0, 0] @ np.array([10, 1, 0.1])).tolist() == pytest.approx(modes.tolist())
    assert len(set(modes.tolist())) > 40


def test_stacked_digits_come_from_the_seed(stacked: DataArrays) -> None:
    again, other = load_dataset(STACKED, NOWHERE, 7), load_dataset(STACKED, NOWHERE, 8)
    assert stacked.samples.tobytes() == again.samples.tobytes() != other.samples.tobytes()
    assert (stacked.samples.shape, stacked.samples.dtype) == ((300, 3, 28, 28), np.uint8)
    assert stacked.digits is not None
    known = {image.tobytes() for image in stacked.digits.samples}
    assert all(channel.tobytes() in known for image in stacked.samples for channel in image)


class Bright:
    """In place of a classifier: the digit is a tenth of the image's brightness, and it is sure but of white."""

    accuracy = 0.9

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        value = images.reshape(len(images), -1).mean(1)
        sure = np.eye(10)[(value * 10).astype(int).clip(0, 9)]
        return np.where((value < 1)[:, None], sure, 0.1).astype(np.float32)


def test_an_image_shows_a_mode_where_the_classifier_is_sure_of_all_digits() -> None:
    classes = ClassModes(classifier=Bright(), shares=np.full(10, 0.1))  # pyright: ignore[reportArgumentType]
    oracle = StackedModes(digits=classes)
    images = np.array([[0.75, 0.05, 0.35], [0.05, 0.05, 0.95], [0.5, 0.5, 1]], np.float32)
    assert oracle(images[:, :, None, None] * np.ones((1, 1, 4, 4), np.float32)).tolist() == [703, 9, -1]
    assert oracle(np.full((1, 3, 4, 4), np.nan, np.float32)).tolist() == [-1]


def test_shares_of_modes_are_products_of_the_digits_shares() -> None:
    shares = np.array([0.19, 0.01, *[0.1] * 8])
    oracle = StackedModes(digits=ClassModes(classifier=Bright(), shares=shares))  # pyright: ignore[reportArgumentType]
    assert oracle.shares.shape == (1000,)
    assert oracle.shares.sum() == pytest.approx(1)
    assert oracle.shares[15] == pytest.approx(0.19 * 0.01 * 0.1)


def test_stacks_have_the_oracle_of_their_digits(stacked: DataArrays, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[DataArrays] = []
    monkeypatch.setattr(modes_module, "load_classifier", lambda data, *_: asked.append(data) or Bright())
    oracle = mode_oracle(STACKED, stacked, Cache(None), CPU)
    assert isinstance(oracle, StackedModes)
    assert asked == [stacked.digits]
    assert oracle.digits.shares.tolist() == [0.1] * 10
    counter = mode_counter(STACKED, stacked, Cache(None), CPU)
    assert counter is not None
    assert {"modes_total": 1000, "classifier_accuracy": 0.9}.items() <= counter(scaled(stacked)).items()


def test_the_modes_of_real_stacks_are_read(stacked: DataArrays) -> None:
    assert stacked.digits is not None
    classifier = load_classifier(stacked.digits, Cache(None), CPU, steps=200)
    oracle = StackedModes(digits=ClassModes(classifier=classifier, shares=np.full(10, 0.1)))
    modes = oracle(scaled(stacked))
    found = count_modes(modes, oracle.shares)
    assert found.total == 1000
    assert found.high_quality > 0.6  # it is trained briefly
    assert (modes == stacked.labels)[modes >= 0].mean() > 0.96
    assert found.captured > 0.6 * len(set(stacked.labels.tolist()))


# --- trained ----------------------------------------------------------------------------------------------------


def trained(dataset: dict[str, Any], **evaluation: Any) -> tuple[RunSpec, DataArrays, TrainingLoop, Any]:
    network = {"family": "mlp", "width": 16, "layers": 1}
    spec = RunSpec.model_validate(
        {
            "dataset": dataset,
            "generator": network,
            "discriminator": network,
            "training": {"epochs": 1, "steps_per_epoch": 3, "batch_size": 20},
            "samples": {"count": 9},
            "evaluation": {"num_samples": 60, **evaluation},
        }
    )
    data = load_dataset(spec.dataset, NOWHERE, spec.seed)
    training = TrainingLoop(spec, data, device=CPU)
    return spec, data, training, next(training.epochs())


def test_stacked_digits_are_trained_and_drawn_in_colour() -> None:
    _, _, _, report = trained({"name": "stacked-mnist", "of": "mnist-5k", "size": 100})
    assert (report.samples.shape, report.fakes.shape) == ((9, 3, 28, 28), (60, 3, 28, 28))
    assert np.isfinite(report.steps).all()
    assert sample_grid(report.samples).startswith(b"\x89PNG")


@pytest.mark.parametrize("space", ["pixels", "discriminator"])
def test_points_on_a_line_are_trained_and_evaluated(space: str) -> None:
    spec, data, training, report = trained({"name": "mixture1d", "size": 200}, space=space)
    assert (data.samples.shape, report.samples.shape) == ((200, 1), (9, 1))
    reference = run_reference(spec, data, NOWHERE, device=CPU, cache=Cache(None), embed=training.discriminator_features)
    values = evaluate(reference, report.fakes, 1).values
    assert values["modes_total"] == 5
    assert all(np.isfinite(values[name]) for name in ("ndb_over_k", "precision", "coverage", "memorisation"))
    assert sample_grid(report.samples).startswith(b"\x89PNG")


def test_every_mode_on_the_line_is_told_from_its_neighbours() -> None:
    data = load_dataset(MixtureDataset(name="mixture1d", size=5000), NOWHERE, 1)
    oracle = mode_oracle(MixtureDataset(name="mixture1d"), data, Cache(None), CPU)
    assert oracle is not None
    modes = oracle(scaled(data))
    assert (modes >= 0).mean() == pytest.approx(0.9973, abs=0.003)  # within 3 standard deviations
    assert (modes == data.labels)[modes >= 0].all()
    assert oracle(np.array([[0.2], [np.inf], [0.4]], np.float32)).tolist() == [-1, -1, 3]
