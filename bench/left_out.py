# pyright: standard
"""How much of the data real samples seem to leave out once they are spoilt: the null of missing mass for poor samples.

    make bench-left-out          # two minutes; writes bench/results/left_out.json

Reals are mixed with noise, blended with other reals, or blurred, ever more, and evaluated as fakes are. All of the data
is there, so that whatever mass seems to be missing is missing by the quality alone. What leaves out more than that
leaves something out. Needs MNIST and Fashion-MNIST, and for colours the zip of class folders that the suite uses.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from bench import results
from bench.verdicts.data import training_data, unpack_colour
from bench.verdicts.oracle import CACHE, CPU
from bench.verdicts.suite import planned
from ganlib.data.load import scaled
from ganlib.diagnosis import thresholds as at
from ganlib.diagnosis.signals import outcome
from ganlib.evaluation.for_run import run_reference
from ganlib.evaluation.reference import evaluate

DATA = ("ring8", "grid25", "digits", "three digits", "eights", "fashion", "colour")
NOISE = (0.0, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.8, 1.2)
"""Standard deviations, over that of the data."""
BLEND = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5)
"""Shares of another real."""
BLUR = (0.5, 0.8, 1.2, 1.6, 2.2, 3.0, 4.0)
"""Standard deviations, in pixels."""
FIGURES = ("precision", "coverage", "recall", "spread", "distance", "missing_mass")

Samples = NDArray[np.float32]


def spoilt(reals: Samples, others: Samples, rng: np.random.Generator) -> Iterator[tuple[str, float, Samples]]:
    """What was done, how much of it, and what came of the reals [n, *shape]."""
    images, spread = reals.ndim == 4, float(reals.std(0).mean())
    for amount in NOISE:
        noisy = (reals + amount * spread * rng.standard_normal(reals.shape)).astype(np.float32)
        yield "noise", amount, np.clip(noisy, -1, 1) if images else noisy
    for amount in BLEND:
        yield "blend", amount, ((1 - amount) * reals + amount * others).astype(np.float32)
    for amount in BLUR if images else ():
        yield "blur", amount, gaussian_filter(reals, (0, 0, amount, amount)).astype(np.float32)


def measured(name: str, data_dir: Path) -> list[dict[str, Any]]:
    """A row for each way and amount of spoiling a data set."""
    run = next(r for r in planned() if (r.configuration.data, r.configuration.variant) == (name, "as it should be"))
    spec = run.request.resolve()
    data = training_data(spec.dataset, data_dir, spec.seed)
    reference = run_reference(spec, data, data_dir, device=CPU, cache=CACHE)
    everything, rng = scaled(data), np.random.default_rng(7)
    chosen = rng.permutation(len(everything))[: spec.evaluation.num_samples]
    others = everything[rng.integers(0, len(everything), len(chosen))]
    rows: list[dict[str, Any]] = []
    for way, amount, samples in spoilt(everything[chosen], others, rng):
        seen = outcome(evaluate(reference, samples, 1), None)
        figures = {figure: round(float(getattr(seen, figure)), 3) for figure in FIGURES}
        rows.append({"data": name, "way": way, "amount": amount, **figures})
        print(rows[-1], flush=True)
    return rows


def shows_something(row: dict[str, Any]) -> bool:
    """Whether the diagnosis would ask such samples what they leave out: they are no noise, and are not all alike."""
    return row["precision"] > at.QUALITY_ABOVE_NOISE.value and row["spread"] >= at.NARROW.value


def main() -> None:
    """Measure, and write the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, default=Path(".ganclinic/data"))
    parser.add_argument("--colour", type=Path, help="zip of class folders of colour images; without it these are left")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.colour is not None:
        unpack_colour(options.colour)
    names = [name for name in DATA if name != "colour" or options.colour is not None]
    rows = [row for name in names for row in measured(name, options.data_dir)]
    most = max(row["missing_mass"] for row in rows if shows_something(row))
    print(results.write("left_out", {"most_missing_mass": most, "rows": rows}))


if __name__ == "__main__":
    main()
