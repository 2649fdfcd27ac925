"""Nearest-neighbour measures against the package prdc, and the evaluation as a whole."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prdc import compute_prdc

from ganlib.evaluate import neighbours
from ganlib.evaluate.evaluation import evaluate, prepare_reference
from ganlib.report import Evaluation
from ganlib.request import RunRequest
from ganlib.spec import RunSpec


def ring_spec(**evaluation: object) -> RunSpec:
    document = {
        "dataset": {"name": "ring8", "size": 2000},
        "generator": {"family": "mlp"},
        "discriminator": {"family": "mlp"},
        "evaluation": {"num_samples": 400, **evaluation},
    }
    return RunRequest(spec=document).resolve()


@given(seed=st.integers(0, 1000), d=st.integers(1, 40), k=st.integers(1, 7), shift=st.floats(0, 2))
@settings(deadline=None, max_examples=25)
def test_precision_and_coverage_are_those_of_prdc(seed, d, k, shift):
    rng = np.random.default_rng(seed)
    real = rng.normal(size=(90, d)).astype(np.float32)
    fake = (rng.normal(size=(70, d)) + shift).astype(np.float32)
    expected = compute_prdc(real, fake, k)
    precision, coverage = neighbours.precision_and_coverage(neighbours.real_balls(real, k), fake)
    assert precision == pytest.approx(expected["precision"], abs=1e-6)
    assert coverage == pytest.approx(expected["coverage"], abs=1e-6)


def test_blocks_change_nothing(monkeypatch):
    rng = np.random.default_rng(0)
    real, fake = (rng.normal(size=(60, 5)).astype(np.float32) for _ in range(2))
    whole = neighbours.precision_and_coverage(neighbours.real_balls(real, 5), fake)
    distance = neighbours.median_nearest_distance(fake)
    monkeypatch.setattr(neighbours, "BLOCK", 7)
    assert neighbours.precision_and_coverage(neighbours.real_balls(real, 5), fake) == whole
    assert neighbours.median_nearest_distance(fake) == distance


def test_repeated_samples_have_distance_zero():
    assert neighbours.median_nearest_distance(np.ones((50, 3), dtype=np.float32)) == 0


@pytest.fixture(scope="module")
def ring() -> np.ndarray:
    from ganlib.datasets.mixtures import draw_mixture

    return draw_mixture("ring8", 2000, np.random.default_rng(0))[0]


def test_real_data_as_fakes_score_as_the_null_says(ring):
    from ganlib.datasets.mixtures import draw_mixture

    fresh = draw_mixture("ring8", 400, np.random.default_rng(9))[0]
    result = evaluate(prepare_reference(ring, ring_spec()), fresh, epoch=1)
    for name in ("precision", "coverage", "fake_distance", "spread"):
        assert result.values[name] == pytest.approx(result.nulls[name].mean, rel=0.12), name
    assert result.values["missing_mass"] == 0
    assert result.values["ndb_over_k"] <= 0.25
    assert (result.n_real, result.n_fake, result.n_neighbours, result.num_bins) == (2000, 400, 400, 16)


def test_one_repeated_point_is_seen_by_every_measure(ring):
    result = evaluate(prepare_reference(ring, ring_spec()), np.tile(ring[:1], (400, 1)), epoch=1)
    assert result.values["precision"] == 1
    assert result.values["coverage"] < 0.05
    assert result.values["fake_distance"] == result.values["spread"] == 0
    assert result.values["missing_mass"] > 0.8


def test_fakes_that_are_not_finite_score_nothing_and_raise_nothing(ring):
    result = evaluate(prepare_reference(ring, ring_spec()), np.full((400, 2), np.nan, dtype=np.float32), epoch=1)
    assert (result.values["precision"], result.values["coverage"]) == (0, 0)
    assert all(np.isfinite(v) for v in result.values.values())


def test_an_evaluation_survives_json(ring):
    result = evaluate(prepare_reference(ring, ring_spec()), ring[:400], epoch=3)
    assert Evaluation.from_json(result.to_json()) == result


def test_an_evaluation_is_bit_identical_when_made_again(ring):
    one, two = (evaluate(prepare_reference(ring, ring_spec()), ring[:400] * 0.9, epoch=1) for _ in range(2))
    assert one == two


def test_the_seed_of_the_null_depends_on_the_epoch_alone(ring):
    reference = prepare_reference(ring, ring_spec())
    one, two = evaluate(reference, ring[:400], epoch=1), evaluate(reference, ring[:400], epoch=2)
    assert one.nulls["js"] != two.nulls["js"]
    assert one.values == two.values
