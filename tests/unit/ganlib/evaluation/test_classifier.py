"""The classifier: learns real digits, unsure about nothing, cached as arrays, the same each time."""

import time
from pathlib import Path

import numpy as np
import pytest
import torch

from ganlib.data.load import DataArrays, load_dataset, scaled
from ganlib.evaluation.cache import Cache
from ganlib.evaluation.classifier import load_classifier
from ganlib.evaluation.measures.modes import CONFIDENCE, mode_counter
from ganlib.spec.data import ImageDataset

CPU = torch.device("cpu")
STEPS = 60
TWO_DIGITS = ImageDataset(name="mnist-5k", classes=(3, 8))


@pytest.fixture(scope="module")
def digits() -> DataArrays:
    return load_dataset(TWO_DIGITS, Path("/nowhere"), 0)


def test_it_tells_digits_apart_and_is_unsure_about_noise(digits):
    classifier = load_classifier(digits, Cache(None), CPU, steps=STEPS)
    assert classifier.accuracy > 0.9
    probabilities = classifier.probabilities(scaled(digits))
    assert probabilities.shape == (1000, 2)
    assert probabilities.dtype == np.float32
    assert np.abs(probabilities.sum(1) - 1).max() < 1e-5
    assert (np.array([3, 8])[probabilities.argmax(1)] == digits.labels).mean() > 0.9
    noise = np.random.default_rng(0).uniform(-1, 1, (200, 1, 28, 28)).astype(np.float32)
    assert (classifier.probabilities(noise).max(1) >= CONFIDENCE).mean() < 0.05


def test_it_is_trained_once_for_equal_data_whatever_the_state_of_torch(digits, tmp_path):
    first = load_classifier(digits, Cache(tmp_path / "one"), CPU, steps=5)
    torch.manual_seed(1234)
    anew = load_classifier(digits, Cache(tmp_path / "two"), CPU, steps=5)
    stored = {file: file.stat().st_mtime_ns for file in (tmp_path / "one").glob("*.npz")}
    cached = load_classifier(digits, Cache(tmp_path / "one"), CPU, steps=5)
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "one").glob("*.npz")} == stored
    assert len(stored) == 1
    images = scaled(digits)[:50]
    assert first.probabilities(images).tobytes() == anew.probabilities(images).tobytes()
    assert first.probabilities(images).tobytes() == cached.probabilities(images).tobytes()
    assert first.accuracy == anew.accuracy == cached.accuracy


def test_training_leaves_torchs_threads_and_global_generator_alone(digits):
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    load_classifier(digits, Cache(None), CPU, steps=5)
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(("channels", "side"), [(3, 32), (1, 128)])
def test_it_takes_colour_and_other_sizes(channels, side):
    rng = np.random.default_rng(0)
    labels = np.arange(80) % 2
    bright = (labels * 100)[:, None, None, None]
    images = (rng.integers(0, 100, (80, channels, side, side)) + bright).astype(np.uint8)
    data = DataArrays(samples=images, labels=labels)
    classifier = load_classifier(data, Cache(None), CPU, steps=30)
    assert classifier.accuracy > 0.9
    assert classifier.probabilities(scaled(data)).shape == (80, 2)


@pytest.mark.slow
def test_with_its_own_budget_it_reaches_its_accuracy_on_all_digits(tmp_path):
    dataset = ImageDataset(name="mnist-5k")
    digits = load_dataset(dataset, Path("/nowhere"), 0)
    started = time.process_time()
    classifier = load_classifier(digits, Cache(tmp_path), CPU)
    assert time.process_time() - started < 40  # 8 s on one core of 2026
    assert classifier.accuracy >= 0.96
    counter = mode_counter(dataset, digits, Cache(tmp_path), CPU)
    assert counter is not None
    figures = counter(scaled(digits))
    assert (figures["modes_captured"], figures["modes_total"]) == (10, 10)
    assert figures["high_quality"] > 0.93
    assert figures["mode_kl"] < 0.01
