"""The evaluation as a whole: figures, nulls, what fakes of every kind score."""

from typing import Any

import numpy as np
import pytest
import torch

from ganlib.data.load import DataArrays
from ganlib.data.mixtures import draw_mixture
from ganlib.evaluation import reference as module
from ganlib.evaluation.cache import Cache
from ganlib.evaluation.measures import table
from ganlib.evaluation.measures.modes import mode_counter
from ganlib.evaluation.measures.table import MEASURES_VERSION, SUBSET_MEASURES, Context, SampleSet, measure_subset
from ganlib.evaluation.reference import InvalidComparison, Reference, compare, evaluate, flat, prepare_reference
from ganlib.records import EpochEvaluation
from ganlib.spec.data import MixtureDataset
from ganlib.spec.evaluation import Comparison, Space

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def ring() -> np.ndarray:
    return draw_mixture("ring8", 2000, np.random.default_rng(0))[0]


def reference_of(reals: np.ndarray, num_samples: int = 400, cache: Cache | None = None, **options: Any) -> Reference:
    points = DataArrays(samples=reals, labels=np.zeros(len(reals), np.int64))
    modes = mode_counter(MixtureDataset(name="ring8"), points, Cache(None), CPU)
    context = Context(options=Comparison(**options), device=CPU, modes=modes)
    return prepare_reference(reals, context, flat, num_samples=num_samples, cache=cache or Cache(None))


@pytest.fixture(scope="module")
def reference(ring: np.ndarray) -> Reference:
    return reference_of(ring)


def test_real_data_as_fakes_score_as_the_null_says(reference):
    fresh = draw_mixture("ring8", 400, np.random.default_rng(9))[0]
    result = evaluate(reference, fresh, epoch=1)
    for name in ("precision", "recall", "coverage", "fake_distance", "spread", "high_quality", "memorisation"):
        assert result.values[name] == pytest.approx(result.nulls[name].mean, rel=0.12), name
    assert result.values["missing_mass"] == 0
    assert result.values["ndb_over_k"] <= 0.25
    assert result.values["chi_square_p"] > 0.001
    assert result.values["modes_captured"] == 8
    assert (result.n_real, result.n_fake, result.n_subset, result.num_bins) == (2000, 400, 400, 16)


def test_held_out_reals_fall_inside_the_null_nine_times_of_ten():
    names = ("precision", "recall", "coverage", "fake_distance", "spread", "memorisation")
    inside = []
    for seed in range(60):
        points = draw_mixture("ring8", 450, np.random.default_rng(100 + seed))[0]
        result = evaluate(
            reference_of(points[:300], 150, measures=("prdc", "repetition", "memorisation")), points[300:], 1
        )
        inside.append([result.nulls[n].q05 <= result.values[n] <= result.nulls[n].q95 for n in names])
    assert np.mean(inside) == pytest.approx(0.9, abs=0.05)  # 60 trials of 6 figures that move together


def test_an_excess_is_the_distance_from_the_null(reference, ring):
    result = evaluate(reference, ring[:400] * 0.5, epoch=1)
    for name, null in result.nulls.items():
        assert null.excess == pytest.approx(result.values[name] - null.mean, nan_ok=True), name


def test_one_repeated_point_is_seen_by_every_measure(reference, ring):
    result = evaluate(reference, np.tile(ring[:1], (400, 1)), epoch=1)
    assert result.values["precision"] == 1
    assert result.values["coverage"] < 0.05
    assert result.values["fake_distance"] == result.values["spread"] == 0
    assert result.values["near_duplicates"] == 1
    assert result.values["support_size"] == 1
    assert result.values["missing_mass"] > 0.8
    assert result.values["modes_captured"] == 1
    assert result.values["memorisation"] == 1
    assert result.values["chi_square_p"] < 1e-9


def test_copies_of_the_training_data_are_memorisation_and_nothing_else(reference, ring):
    result = evaluate(reference, ring[400:800], epoch=1)
    assert result.values["memorisation"] == 1
    assert result.values["copies"] == 1
    assert result.values["ndb_over_k"] <= 0.25


def extracted(space: Space, reals: np.ndarray, cache: Cache | None = None) -> Reference:
    """Of reals in a space of a network, which gives their coordinates themselves."""
    context = Context(options=Comparison(measures=("ndb", "prdc", "memorisation"), space=space), device=CPU)
    return prepare_reference(reals, context, flat, num_samples=200, cache=cache or Cache(None))


def test_copies_of_any_real_are_found_in_a_space_that_embeds_few(ring, monkeypatch):
    monkeypatch.setattr(module, "MAX_EMBEDDED", 300)
    reference = extracted("efficientnet-lite0", ring)
    copies = ring[np.random.default_rng(1).permutation(len(ring))[:200]]
    found = evaluate(reference, copies, epoch=1)
    assert (found.values["memorisation"], found.values["copies"]) == (1, 1)
    assert found.n_real == 300  # of the bins, whose cost grows with them
    fresh = evaluate(reference, draw_mixture("ring8", 200, np.random.default_rng(9))[0], epoch=1)
    assert fresh.nulls["memorisation"].q05 <= fresh.values["memorisation"] <= fresh.nulls["memorisation"].q95


def test_features_of_many_reals_are_kept_block_by_block_and_give_the_same_figures(ring, monkeypatch, tmp_path):
    monkeypatch.setattr(module, "MAX_EMBEDDED", 300)
    whole = evaluate(extracted("efficientnet-lite0", ring), ring[:200], epoch=1)
    seen: list[int] = []

    def interrupted(samples: np.ndarray) -> np.ndarray:
        seen.append(len(samples))
        if len(seen) == 3:
            raise KeyboardInterrupt
        return flat(samples)

    context = Context(options=Comparison(measures=("memorisation",), space="efficientnet-lite0"), device=CPU)
    with pytest.raises(KeyboardInterrupt):
        prepare_reference(ring, context, interrupted, num_samples=200, cache=Cache(tmp_path))
    again = prepare_reference(ring, context, interrupted, num_samples=200, cache=Cache(tmp_path))
    assert seen == [300, 300, 300, 300, 300, 300, 300, 200]  # the first two are not made anew
    assert evaluate(again, ring[:200], epoch=1).values["memorisation"] == whole.values["memorisation"]


def test_memorisation_is_left_out_where_not_all_reals_are_looked_at(ring, monkeypatch):
    monkeypatch.setattr(module, "MAX_EMBEDDED", 300)
    assert "memorisation" not in evaluate(extracted("discriminator", ring), ring[:200], epoch=1).values
    few = evaluate(extracted("discriminator", ring[:300]), ring[:200], epoch=1)
    assert few.values["memorisation"] == 1


def test_fakes_that_are_not_finite_score_nothing_and_raise_nothing(reference):
    result = evaluate(reference, np.full((400, 2), np.nan, dtype=np.float32), epoch=1)
    assert (result.values["precision"], result.values["coverage"], result.values["high_quality"]) == (0, 0, 0)
    assert result.to_json()["values"]["mode_kl"] is None


def test_an_evaluation_survives_json(reference, ring):
    result = evaluate(reference, ring[:400] * 0.9, epoch=3)
    again = EpochEvaluation.from_json(result.to_json())
    assert again.to_json() == result.to_json()
    assert again.bins == result.bins


def test_what_another_device_has_computed_does_not_reach_the_cpu_through_the_cache(ring, tmp_path):
    def kept() -> set[str]:
        return {path.name for path in tmp_path.glob("*.npz")}

    options = Comparison(measures=("prdc", "memorisation"))
    found: list[set[str]] = []
    for kind in ("cpu", "cpu", "meta"):  # a kind that is there on every machine; its distances are NumPy's
        context = Context(options=options, device=torch.device(kind))
        prepare_reference(ring, context, flat, num_samples=200, cache=Cache(tmp_path))
        found.append(kept())
    assert found[1] == found[0]
    assert {name.partition("-")[0] for name in found[2] - found[0]} == {"draws", "unseen"}


def test_nulls_of_an_older_version_are_made_anew(ring, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MEASURES_VERSION", 1)
    older = reference_of(ring, cache=Cache(tmp_path))
    for path in tmp_path.glob("draws-*.npz"):
        with np.load(path) as stored:
            few = {name: stored[name] for name in stored.files if not name.startswith("clipped")}
        np.savez(path, **few)
    monkeypatch.undo()
    assert older.draws.keys() == reference_of(ring, cache=Cache(tmp_path)).draws.keys()


def test_figures_change_with_their_version():
    """Raise `MEASURES_VERSION` with them, and write both here."""
    rng = np.random.default_rng(0)
    images = rng.uniform(-1, 1, (60, 1, 16, 16)).astype(np.float32)
    cheap = Comparison(measures=("prdc", "repetition", "vendi", "frechet", "kernel"))
    one, other = (SampleSet(samples=half, features=half.reshape(30, -1)) for half in (images[:30], images[30:]))
    prdc = ["precision", "recall", "density", "coverage", "clipped_density", "clipped_coverage"]
    repetition = ["fake_distance", "near_duplicates", "support_size", "spread"]
    figures = [*prdc, *repetition, "vendi", "frechet", "kernel"]
    assert (MEASURES_VERSION, list(measure_subset(one, other, Context(options=cheap)))) == (2, figures)


def test_an_evaluation_is_bit_identical_when_made_again_or_from_the_cache(ring, reference, tmp_path):
    cached = [reference_of(ring, cache=Cache(tmp_path)) for _ in range(2)]
    one, two = (evaluate(r, ring[:400] * 0.9, epoch=1) for r in cached)
    assert one.to_json() == two.to_json()
    assert one.values["js"] == evaluate(reference, ring[:400] * 0.9, epoch=1).values["js"]


def test_the_draws_of_the_null_depend_on_the_epoch_alone(reference, ring):
    one, two = evaluate(reference, ring[:400], epoch=1), evaluate(reference, ring[:400], epoch=2)
    assert one.nulls["js"] != two.nulls["js"]
    assert one.values == two.values


@pytest.mark.parametrize("name", [*SUBSET_MEASURES, "ndb", "chi_square", "memorisation"])
def test_each_measure_works_alone(name, ring):
    result = evaluate(reference_of(ring[:600], 200, measures=(name,)), ring[:200], epoch=1)
    assert bool(result.values) == (name != "diversity")  # which needs images
    assert bool(result.bins) == (name == "ndb")


def digits(count: int, seed: int) -> np.ndarray:
    """Images of one bright bar each, uint8: quick to make, and none like another."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 30, (count, 1, 28, 28)).astype(np.uint8)
    for image, row in zip(images, rng.integers(2, 24, count), strict=True):
        image[0, row : row + 3] = 255
    return images


def test_two_sets_of_images_are_compared_by_every_measure(monkeypatch):
    monkeypatch.setattr(table, "DIVERSITY_PAIRS", 20)
    names = (*SUBSET_MEASURES, "ndb", "chi_square", "memorisation")
    options = Comparison(measures=names, neighbours=3)
    result, reference = compare(digits(120, 0), digits(60, 1), options, seed=0, device=CPU, cache=Cache(None))
    assert reference.bins is not None
    for name in ("ndb_over_k", "chi_square", "precision", "vendi", "memorisation", "frechet", "kernel", "ms_ssim"):
        assert np.isfinite(result.values[name]), name
        assert name in result.nulls, name
    assert "fid" not in result.values
    assert (result.n_real, result.n_fake, result.n_subset) == (120, 60, 60)


def test_an_extractor_is_named_and_its_distances_are_not_called_fid():
    options = Comparison(measures=("frechet", "prdc"), space="efficientnet-lite0", neighbours=3)
    result, _ = compare(digits(60, 0), digits(50, 1), options, seed=0, device=CPU, cache=Cache(None))
    assert result.space == "efficientnet-lite0"
    clipped = {"clipped_density", "clipped_coverage"}
    assert set(result.values) == {"frechet", "precision", "recall", "density", "coverage", *clipped}


def test_pairs_are_compared_in_their_own_order():
    reals, options = digits(60, 0), Comparison(measures=("paired",), neighbours=3)
    same, _ = compare(reals, reals, options, seed=5, device=CPU, cache=Cache(None))
    assert same.values == pytest.approx({"ssim": 1, "l1": 0}, abs=1e-6)
    other, _ = compare(reals, reals[::-1].copy(), options, seed=5, device=CPU, cache=Cache(None))
    assert other.values["ssim"] < 0.9
    assert other.nulls["l1"].excess == other.values["l1"] > 0.05


@pytest.mark.parametrize(
    ("reals", "fakes", "options", "message"),
    [
        (digits(60, 0), digits(60, 0)[:, :, :20], {}, r"^fake: .*\(1, 20, 28\).*\(1, 28, 28\)"),
        (digits(60, 0), digits(60, 1), {"space": "discriminator"}, "^options.space: "),
        (np.zeros((60, 5), np.float32), np.ones((60, 5), np.float32), {"space": "efficientnet-lite0"}, "needs images"),
        (digits(60, 0), digits(60, 1), {"neighbours": 30}, "^options.neighbours: .* more than 60 reals"),
        (digits(60, 0), digits(50, 1), {"measures": ("paired",)}, "^options.measures: 'paired' needs as many"),
        (digits(200, 0), digits(60, 1), {"num_bins": 8}, "^options.num_bins: 8 bins need at least 200"),
    ],
)
def test_what_cannot_be_compared_is_refused_by_field(reals, fakes, options, message):
    with pytest.raises(InvalidComparison, match=message):
        compare(reals, fakes, Comparison(**options), seed=0, device=CPU, cache=Cache(None))


def test_points_with_the_numbers_of_images_share_no_null_with_them(tmp_path, monkeypatch):
    monkeypatch.setattr(table, "DIVERSITY_PAIRS", 5)
    images = digits(60, 0)
    flat_options = Comparison(measures=("prdc", "diversity"), neighbours=3)
    points = [flat(s.astype(np.float32) / np.float32(127.5) - np.float32(1)) for s in (images, digits(50, 1))]
    compare(points[0], points[1], flat_options, seed=0, device=CPU, cache=Cache(tmp_path))
    found, _ = compare(images, digits(50, 1), flat_options, seed=0, device=CPU, cache=Cache(tmp_path))
    assert {"ms_ssim", "perceptual"} <= found.nulls.keys()
