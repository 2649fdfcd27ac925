"""Modes: exact where the data is known exactly, and what they say of generators that fail in a known way."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import entropy

from ganlib.data.load import DataArrays, load_dataset, scaled
from ganlib.data.mixtures import MIXTURES
from ganlib.data.polygons import NUM_POLYGONS, SMALLEST_DISTANCE
from ganlib.evaluation.cache import Cache
from ganlib.evaluation.classifier import Classifier
from ganlib.evaluation.measures.modes import (
    ClassModes,
    ModeOracle,
    count_modes,
    expected_hits,
    mode_counter,
    mode_oracle,
    precision_recall,
)
from ganlib.spec.data import Dataset, ImageDataset, MixtureDataset, PolygonDataset

CPU = torch.device("cpu")


def oracle_of(dataset: Dataset, data: DataArrays) -> ModeOracle:
    oracle = mode_oracle(dataset, data, Cache(None), CPU)
    assert oracle is not None
    return oracle


@pytest.fixture(scope="module")
def polygons() -> DataArrays:
    return load_dataset(PolygonDataset(size=1500), Path("/nowhere"), 5)


@pytest.mark.parametrize(("name", "modes"), [("ring8", 8), ("grid25", 25)])
def test_draws_of_a_mixture_show_the_mode_they_were_drawn_from(name, modes):
    dataset = MixtureDataset(name=name, size=20_000)
    data = load_dataset(dataset, Path("/nowhere"), 1)
    oracle = oracle_of(dataset, data)
    found = oracle(scaled(data))
    shown = found != -1
    assert (found[shown] == data.labels[shown]).all()
    assert shown.mean() == pytest.approx(1 - np.exp(-4.5), abs=0.003)  # a plane Gaussian's mass within 3 std
    counted = count_modes(found, oracle.shares)
    assert (counted.captured, counted.total) == (modes, modes)
    assert counted.kl < 0.005


def test_a_point_between_modes_or_just_outside_one_is_of_low_quality():
    mixture = MIXTURES["ring8"]
    oracle = oracle_of(MixtureDataset(name="ring8"), load_dataset(MixtureDataset(name="ring8"), Path("/nowhere"), 0))
    near = mixture.centres[3] + np.array([2.99 * mixture.std, 0])
    far = mixture.centres[3] + np.array([3.01 * mixture.std, 0])
    assert oracle(np.array([near, far, [0, 0]], dtype=np.float32)).tolist() == [3, -1, -1]


def test_samples_that_are_not_finite_show_no_mode(polygons):
    points = np.array([[np.nan, 0], [np.inf, 0], [1e30, -1e30], MIXTURES["ring8"].centres[0]], dtype=np.float32)
    dataset = MixtureDataset(name="ring8")
    assert oracle_of(dataset, load_dataset(dataset, Path("/nowhere"), 0))(points).tolist() == [-1, -1, -1, 0]
    images = scaled(polygons)[:3].copy()
    images[0, 0, 3, 3], images[1] = np.nan, 1e30
    assert oracle_of(PolygonDataset(), polygons)(images).tolist() == [-1, -1, polygons.labels[2]]


def test_polygons_are_found_under_noise_shorter_than_half_their_distance_and_lost_under_longer(polygons):
    images = scaled(polygons)
    noise = np.random.default_rng(0).standard_normal(images.shape)
    noise /= np.linalg.norm(noise.reshape(len(noise), -1), axis=1)[:, None, None, None]
    oracle = oracle_of(PolygonDataset(), polygons)
    half = SMALLEST_DISTANCE / 2
    assert (oracle((images + 0.99 * half * noise).astype(np.float32)) == polygons.labels).all()
    assert (oracle((images + 1.01 * half * noise).astype(np.float32)) == -1).all()


def test_perfect_draws_of_polygons_have_precision_and_recall_of_one(polygons):
    modes = oracle_of(PolygonDataset(), polygons)(scaled(polygons))
    found = precision_recall(modes, NUM_POLYGONS)
    assert found.exact_precision == 1
    assert found.exact_recall == pytest.approx(1, abs=0.03)
    assert found.exact_f1 == pytest.approx(1, abs=0.02)


def test_recall_falls_where_few_members_repeat_and_precision_where_fakes_are_junk():
    repeats = precision_recall(np.full(1000, 7), NUM_POLYGONS)
    assert repeats.exact_precision == 1
    assert repeats.exact_recall == pytest.approx(1 / expected_hits(1000, NUM_POLYGONS))
    half_junk = precision_recall(np.where(np.arange(1000) % 2, -1, np.arange(1000)), NUM_POLYGONS)
    assert half_junk.exact_precision == 0.5
    nothing = precision_recall(np.full(1000, -1), NUM_POLYGONS)
    assert (nothing.exact_precision, nothing.exact_recall, nothing.exact_f1) == (0, 0, 0)


def test_expected_hits_are_those_of_simulated_draws():
    rng = np.random.default_rng(1)
    hits = [len(np.unique(rng.integers(0, 50, 60))) for _ in range(4000)]
    assert expected_hits(60, 50) == pytest.approx(np.mean(hits), abs=0.2)
    assert expected_hits(60, 50) == pytest.approx(50 * (1 - (1 - 1 / 50) ** 60))


def test_recall_of_more_hits_than_expected_is_one():
    assert precision_recall(np.arange(30), 50).exact_recall == 1


def test_modes_are_counted_among_fakes_of_high_quality():
    shares = np.array([0.5, 0.3, 0.2])
    counted = count_modes(np.array([0, 0, 0, 2, -1]), shares)
    assert (counted.captured, counted.total, counted.high_quality) == (2, 3, 0.8)
    assert counted.kl == pytest.approx(entropy([0.75, 0, 0.25], shares))


def test_fakes_distributed_as_the_data_have_no_divergence():
    assert count_modes(np.array([0, 0, 1, 2]), np.array([0.5, 0.25, 0.25])).kl == 0


def test_without_a_fake_of_high_quality_the_divergence_is_not_a_number():
    counted = count_modes(np.array([-1, -1]), np.array([0.5, 0.5]))
    assert (counted.captured, counted.high_quality) == (0, 0)
    assert np.isnan(counted.kl)


def test_a_mode_that_the_data_lacks_is_infinitely_divergent():
    assert count_modes(np.array([0, 1]), np.array([1.0, 0.0])).kl == np.inf


class Brightness(torch.nn.Module):
    """Logits of two classes, dark and bright: sure at the ends, unsure between."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        brightness = 5 * images.mean((1, 2, 3))
        return torch.stack([-brightness, brightness], dim=1)


def test_a_class_counts_only_where_the_classifier_is_sure():
    classifier = Classifier(network=Brightness(), device=CPU, accuracy=1.0)
    images = np.array([-1, -0.1, 0.1, 1, np.nan], dtype=np.float32)[:, None, None, None] * np.ones((1, 28, 28), "f4")
    oracle = ClassModes(classifier=classifier, shares=np.array([0.5, 0.5]))
    assert oracle(images).tolist() == [0, -1, -1, 1, -1]


def test_labels_of_one_class_or_of_too_few_images_have_no_modes():
    one = ImageDataset(name="mnist-5k", classes=(8,))
    images = np.zeros((60, 1, 28, 28), dtype=np.uint8)
    same, few = np.full(60, 8), np.where(np.arange(60) < 5, 0, 1)
    assert mode_oracle(one, DataArrays(samples=images, labels=same), Cache(None), CPU) is None
    assert mode_counter(one, DataArrays(samples=images, labels=same), Cache(None), CPU) is None
    assert mode_oracle(ImageDataset(name="mnist-5k"), DataArrays(samples=images, labels=few), Cache(None), CPU) is None


def test_a_counter_names_its_figures_and_polygons_have_exact_ones(polygons):
    points = load_dataset(MixtureDataset(name="ring8", size=500), Path("/nowhere"), 0)
    counter = mode_counter(MixtureDataset(name="ring8"), points, Cache(None), CPU)
    assert counter is not None
    assert set(counter(scaled(points))) == {"modes_captured", "modes_total", "high_quality", "mode_kl"}
    counter = mode_counter(PolygonDataset(), polygons, Cache(None), CPU)
    assert counter is not None
    figures = counter(scaled(polygons)[:50])
    assert figures["modes_captured"] == len(set(polygons.labels[:50].tolist()))
    assert (figures["modes_total"], figures["high_quality"], figures["exact_precision"]) == (4017, 1, 1)
    assert {"exact_recall", "exact_f1"} < set(figures)
