"""Is the evaluation right where the truth is known?

    make bench-calibrate   # about 15 minutes on 2 cores; writes bench/results/calibration.json

Needs full MNIST in the data directory. Four parts: how every measure scores known kinds of runs on the eights; how
often a real held-out split is called different; how many fakes it takes to see an empty bin; and how well each
feature space shows that one class of ten is missing.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench import results
from bench.record import Planned, record_all
from bench.replay import Recording
from ganlib.data.load import load_dataset, load_test_split, scaled
from ganlib.evaluation.cache import Cache
from ganlib.evaluation.measures import ndb
from ganlib.evaluation.reference import embedding, flat
from ganlib.spec.data import ImageDataset
from ganlib.spec.request import RunRequest
from ganlib.training.loop import TrainingLoop

CACHE = Cache(Path(".ganclinic/cache"))
CPU = torch.device("cpu")
WIDTH = 48
PRESETS = ("digit8-stable", "digit8-latent-1", "digit8-adam-default", "digit8-combined-batch")
FIGURES = ("precision", "recall", "density", "coverage", "ndb_over_k", "js", "missing_mass", "fake_distance")
NUM_SAMPLES = (256, 1000)
NUM_BINS = (10, 20, 40)
DRAWS = 200
ALPHA = 0.001
REFERENCE_SIZE = 10_000  # reals behind the bins of part four, the same for every space


def runs_plan() -> list[Planned]:
    """Each kind of run on all eights, 3 seeds."""
    small = {"generator.width": WIDTH, "discriminator.width": WIDTH}
    return [
        Planned(id=f"calibration/{preset}-s{seed}", request=RunRequest(preset=preset, set={"seed": seed, **small}))
        for seed in range(3)
        for preset in PRESETS
    ]


def known_runs(data_dir: Path) -> dict[str, Any]:
    """Figures of each kind of run at its end, mean over seeds, beside the null's."""
    table: dict[str, Any] = {}
    for preset in PRESETS:
        plans = [p for p in runs_plan() if p.request.preset == preset]
        ends = [Recording(p.path, data_dir).evaluations()[-1] for p in plans]
        table[preset] = {f: _mean(e.values[f] for e in ends) for f in FIGURES}
        table["null"] = {f: _mean(e.nulls[f].mean for e in ends) for f in FIGURES if f in ends[0].nulls}
        table["own test split"] = {f: round(ends[0].shift[f], 4) for f in FIGURES}
    return table


def _mean(values: Any) -> float:
    return round(float(np.mean(list(values))), 4)


def held_out(images: np.ndarray, test: np.ndarray) -> dict[str, Any]:
    """NDB/K (K = 100) of 2,500 reals that the bins have not seen, and what other nulls would have said."""
    rng = np.random.default_rng(0)
    order = rng.permutation(len(images))
    train, pool = images[order[:50_000]], images[order[50_000:]]
    bins = ndb.fit_bins(train, 100, np.random.default_rng(1))
    unseen = bins.assign(pool)
    splits = [np.bincount(unseen[rng.permutation(len(unseen))[:2500]], minlength=100) for _ in range(DRAWS)]
    small = unseen[:2500]
    resampled = [np.bincount(rng.choice(small, 2500), minlength=100) for _ in range(DRAWS)]
    fakes = np.bincount(bins.assign(test)[rng.permutation(len(test))[:2500]], minlength=100)
    null = ndb.null_of_bins(bins.counts, splits[0], np.random.default_rng(2))["ndb_over_k"]
    noisy = {
        str(std): float(ndb.ndb_over_k(bins.counts, bins.count(_noisy(pool[:2500], std, rng)))) for std in (0.3, 1, 3)
    }
    return {
        "held_out_splits": _spread(ndb.ndb_over_k(bins.counts, np.array(splits))),
        "null": {"mean": null.mean, "q05": null.q05, "q95": null.q95},
        "resampled_pool_of_2500": _spread(ndb.ndb_over_k(bins.counts, np.array(resampled))),
        "test_split": float(ndb.ndb_over_k(bins.counts, fakes)),
        "held_out_plus_noise": noisy,
    }


def _noisy(images: np.ndarray, std: float, rng: np.random.Generator) -> np.ndarray:
    return (images + std * rng.standard_normal(images.shape)).astype(np.float32)


def _spread(values: np.ndarray) -> dict[str, float]:
    low, high = np.quantile(values, [0.05, 0.95])
    return {"mean": float(values.mean()), "q05": float(low), "q95": float(high), "n": len(values)}


def smallest_counts() -> dict[str, int]:
    """Fakes that it takes to call an empty average bin different, of 60,000 reals."""
    found: dict[str, int] = {}
    for num_bins in (10, 40, 100):
        real = np.full(num_bins, 60_000 // num_bins)
        for n in range(2, 2000):
            fake = np.append(0, np.full(num_bins - 1, n / (num_bins - 1)))
            if abs(ndb.two_proportion_z(real, fake)[0]) > 1.959964:
                found[str(num_bins)] = n
                break
    return found


def missing_class(
    images: np.ndarray, labels: np.ndarray, spaces: dict[str, Callable[..., np.ndarray]]
) -> dict[str, Any]:
    """Share of draws of reals without one class that χ² calls different, class by class; and of all classes: the null.

    The bins are of 10,000 reals; fakes are drawn from 10,000 others of the same split.
    """
    order = np.random.default_rng(3).permutation(len(images))[: 2 * REFERENCE_SIZE]
    report: dict[str, Any] = {}
    for name, embed in spaces.items():
        features = embed(images[order])
        reals, others = features[:REFERENCE_SIZE], features[REFERENCE_SIZE:]
        classes = labels[order[REFERENCE_SIZE:]]
        report[name] = {}
        for num_bins in NUM_BINS:
            bins = ndb.fit_bins(reals, num_bins, np.random.default_rng(4), starts=10)
            assigned = bins.assign(others)
            for n in NUM_SAMPLES:
                if n // 25 >= num_bins:
                    report[name][f"K={num_bins} n={n}"] = _power(bins, assigned, classes, n)
    return report


def _power(bins: ndb.Bins, assigned: np.ndarray, classes: np.ndarray, n: int) -> dict[str, Any]:
    rng = np.random.default_rng(5)

    def rejected(kept: np.ndarray, draws: int) -> float:
        counts = (np.bincount(rng.permutation(kept)[:n], minlength=len(bins.counts)) for _ in range(draws))
        return float(np.mean([ndb.chi_square(bins.counts, c)[1] < ALPHA for c in counts]))

    by_class = [rejected(assigned[classes != c], DRAWS) for c in range(10)]
    return {
        "by_class": by_class,
        "mean": _mean(by_class),
        "worst": min(by_class),
        "null": rejected(assigned, 5 * DRAWS),
    }


def discriminator_space(data_dir: Path) -> Callable[[np.ndarray], np.ndarray]:
    """What a discriminator of mnist-stable sees after 200 steps at width 32."""
    small = {"generator.width": 32, "discriminator.width": 32, "training.batch_size": 256, "training.epochs": 1}
    spec = RunRequest(preset="mnist-stable", set={**small, "training.steps_per_epoch": 200}).resolve()
    training = TrainingLoop(spec, load_dataset(spec.dataset, data_dir, 0), device=CPU)
    list(training.epochs())
    return training.discriminator_features


def main() -> None:
    """Record what is missing, measure, write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--data-dir", type=Path, default=Path(".ganclinic/data"))
    parser.add_argument("--only", choices=("runs", "held_out", "missing_class"))
    options = parser.parse_args()
    digits = ImageDataset(name="mnist")
    data, test = load_dataset(digits, options.data_dir, 0), load_test_split(digits, options.data_dir)
    assert test is not None
    images = scaled(data)
    parts: dict[str, Callable[[], Any]] = {
        "held_out": lambda: {**held_out(flat(images), flat(scaled(test))), "smallest_counts": smallest_counts()},
        "missing_class": lambda: missing_class(
            images,
            data.labels,
            {
                "pixels": flat,
                "discriminator": discriminator_space(options.data_dir),
                "efficientnet-lite0": embedding("efficientnet-lite0", CPU),
            },
        ),
        "runs": lambda: known_runs(options.data_dir),
    }
    if options.only in (None, "runs"):
        record_all(runs_plan(), options.data_dir, options.processes)
    found = {name: part() for name, part in parts.items() if options.only in (None, name)}
    if options.only is None:
        print(results.write("calibration", found))
    else:
        print(found)


if __name__ == "__main__":
    main()
