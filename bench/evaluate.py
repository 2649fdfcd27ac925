# pyright: standard
"""What the evaluation costs.

    make bench-evaluate   # about 10 minutes on 2 cores; writes bench/results/evaluate.json

Needs full MNIST in the data directory. Both sides of every ratio are measured in this one run.
"""

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from prdc import compute_prdc  # pyright: ignore[reportUnknownVariableType]

from bench import results
from ganlib.data.load import load_dataset, load_test_split, scaled
from ganlib.evaluation.cache import Cache
from ganlib.evaluation.for_run import run_reference
from ganlib.evaluation.kmeans import fit_clusters
from ganlib.evaluation.measures import ndb
from ganlib.evaluation.measures.neighbours import prdc
from ganlib.evaluation.reference import evaluate, flat
from ganlib.spec.data import ImageDataset
from ganlib.spec.preset import get_preset
from ganlib.training.loop import TrainingLoop
from ganlib.training.sampling import untrained_fakes

CPU = torch.device("cpu")
PRESETS = ("digit8-stable", "mnist-stable")
TIMED_STEPS = 10
NUM_BINS = 100


class _Enough(Exception):
    """Enough steps were timed."""


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """What it gives, and the seconds it took."""
    started = time.perf_counter()
    return work(), time.perf_counter() - started


def kmeans(images: np.ndarray, test: np.ndarray, seeds: int) -> dict[str, Any]:
    """K = 100 on 60,000 x 784, beside scikit-learn's Lloyd with one k-means++ start and 100 iterations."""
    from sklearn.cluster import KMeans

    ours = [timed(lambda s=s: fit_clusters(images, NUM_BINS, np.random.default_rng(s))) for s in range(seeds)]
    options: Any = {"n_init": 1, "max_iter": 100}
    theirs = [timed(lambda s=s: KMeans(NUM_BINS, random_state=s, **options).fit(images)) for s in range(seeds)]
    fakes = {
        "test split": test,
        "shifted by a pixel": np.roll(test.reshape(-1, 28, 28), 1, axis=2).reshape(test.shape),
        "noise": np.random.default_rng(0).uniform(-1, 1, test.shape).astype(np.float32),
    }
    fitted = {
        "ours": [_bins(found.centres, images) for found, _ in ours],
        "scikit-learn": [_bins(found.cluster_centers_.astype(np.float32), images) for found, _ in theirs],
    }
    _, assign_s = timed(lambda: ndb.compare_bins(fitted["ours"][0].counts, fitted["ours"][0].count(test)))
    our_s, their_s = (float(np.median([seconds for _, seconds in side])) for side in (ours, theirs))
    our_inertia = float(np.mean([found.inertia for found, _ in ours]))
    their_inertia = float(np.mean([found.inertia_ for found, _ in theirs]))
    return {
        "kmeans_s": our_s,
        "kmeans_sklearn_s": their_s,
        "kmeans_speedup": their_s / our_s,
        "kmeans_inertia_ratio": our_inertia / their_inertia,
        "kmeans_seeds": seeds,
        "assign_and_test_10k_s": assign_s,
        "ndb_over_k_by_kmeans": {
            side: {
                name: [float(ndb.ndb_over_k(bins.counts, bins.count(samples))) for bins in all_bins]
                for name, samples in fakes.items()
            }
            for side, all_bins in fitted.items()
        },
    }


def _bins(centres: np.ndarray, images: np.ndarray) -> ndb.Bins:
    d = centres.shape[1]
    empty = ndb.Bins(
        centres=centres,
        counts=np.zeros(len(centres), np.int64),
        dims=np.arange(d),
        offset=np.zeros(d, np.float32),
        scale=np.ones(d, np.float32),
    )
    return replace(empty, counts=empty.count(images))


def prdc_alone(library: str) -> None:
    """Precision to coverage of 10,000 x 784 against as many, in a process of its own: prints seconds and MiB."""
    rng = np.random.default_rng(0)
    reals, fakes = (rng.normal(size=(10_000, 784)).astype(np.float32) for _ in range(2))
    measure: Callable[..., Any] = compute_prdc if library == "prdc" else prdc
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    _, seconds = timed(lambda: measure(reals, fakes, 5))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print("PRDC", seconds, peak / 1024)


def prdc_beside_the_package() -> dict[str, float]:
    """Seconds and peak memory of both."""
    found: dict[str, float] = {}
    for library, prefix in (("ours", "prdc_10k"), ("prdc", "prdc_10k_package")):
        command = [sys.executable, "-m", "bench.evaluate", "--prdc", library]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        line = next(line for line in output.splitlines() if line.startswith("PRDC"))
        seconds, peak = map(float, line.split()[1:])
        found |= {f"{prefix}_s": seconds, f"{prefix}_peak_mib": peak}
    return found


def share(preset: str, data_dir: Path) -> dict[str, float]:
    """Seconds of an epoch's training and of its evaluation, one thread of torch, as a worker trains."""
    spec = get_preset(preset).spec
    data = load_dataset(spec.dataset, data_dir, spec.seed)
    cache = Cache(Path(".ganclinic/cache"))
    _, first_s = timed(lambda: run_reference(spec, data, data_dir, device=CPU, cache=cache))
    reference, prepare_s = timed(lambda: run_reference(spec, data, data_dir, device=CPU, cache=cache))
    fakes = untrained_fakes(spec, CPU)
    evaluate_s = min(timed(lambda: evaluate(reference, fakes, 1))[1] for _ in range(3))
    marks = [time.perf_counter()]

    def on_step(step: int) -> None:
        marks.append(time.perf_counter())
        if step == TIMED_STEPS + 2:
            raise _Enough

    with suppress(_Enough):
        next(TrainingLoop(spec, data, device=CPU).epochs(on_step))
    step_s = float(np.median(np.diff(marks)[2:]))
    epoch_s = step_s * spec.steps_per_epoch
    return {
        "step_s": step_s,
        "training_an_epoch_s": epoch_s,
        "evaluation_an_epoch_s": evaluate_s,
        "prepare_first_s": first_s,
        "prepare_cached_s": prepare_s,
        "share": evaluate_s / (epoch_s + evaluate_s),
    }


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, default=Path(".ganclinic/data"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--prdc", choices=("ours", "prdc"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.prdc is not None:
        prdc_alone(options.prdc)
        return
    digits = ImageDataset(name="mnist")
    test = load_test_split(digits, options.data_dir)
    assert test is not None
    found = (
        kmeans(flat(scaled(load_dataset(digits, options.data_dir, 0))), flat(scaled(test)), options.seeds)
        | prdc_beside_the_package()
    )
    torch.set_num_threads(1)
    shares = {preset: share(preset, options.data_dir) for preset in PRESETS}
    found |= {"evaluation_share": {preset: s["share"] for preset, s in shares.items()}, "evaluation": shares}
    print(results.write("evaluate", found))


if __name__ == "__main__":
    main()
