# pyright: standard
"""What watching a run costs: the series of every step, the evaluation and the diagnosis after every epoch.

    make bench-overhead   # minutes; writes bench/results/overhead.json
    python -m bench.overhead --device cuda --preset mnist-stable --results overhead-mnist-stable-cuda   # on a GPU

One training; both sides of the ratio are its own. What watches is timed call by call and taken off the rest.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench import results
from ganlib.data.load import load_dataset
from ganlib.diagnosis.history import History
from ganlib.diagnosis.rules import diagnose
from ganlib.evaluation.cache import Cache
from ganlib.evaluation.for_run import run_reference
from ganlib.evaluation.reference import evaluate
from ganlib.records import STEP_COLUMNS
from ganlib.spec.preset import get_preset
from ganlib.training import gradient_norms, step
from ganlib.training.loop import TrainingLoop

PRESET = "digit8-stable"
CACHE = Path(".ganclinic/cache")


class Watch:
    """Seconds spent in what it wraps."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def timed(self, name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, its time counted under the name."""

        def counted(*args: Any, **options: Any) -> Any:
            started = time.perf_counter()
            try:
                return work(*args, **options)
            finally:
                self.seconds[name] = self.seconds.get(name, 0) + time.perf_counter() - started

        return counted

    def wrap(self, owner: Any, attribute: str) -> None:
        """Count every call of the owner's function from now on."""
        setattr(owner, attribute, self.timed("series", getattr(owner, attribute)))


def measure(preset: str, data_dir: Path, epochs: int, device: torch.device) -> dict[str, Any]:
    """Shares of the training time.

    A GPU works while the process goes on: what a step's series cost there is in the training's time, uncounted.
    """
    spec = get_preset(preset).spec
    data = load_dataset(spec.dataset, data_dir, spec.seed)
    watch = Watch()
    watch.wrap(step, "area_under_curve")
    watch.wrap(step, "_outcome")
    for method in ("take", "weights"):
        watch.wrap(gradient_norms.LayerNorms, method)
    watch.wrap(gradient_norms.GradientTrace, "measured")
    reference = run_reference(spec, data, data_dir, device=device, cache=Cache(CACHE))
    history = History(
        objective=spec.objective.name,
        steps_per_epoch=spec.steps_per_epoch,
        epochs_total=epochs,
        steps=np.empty((0, len(STEP_COLUMNS)), np.float32),
    )
    evaluations: list[Any] = []
    total, started = 0.0, time.perf_counter()
    for report in TrainingLoop(spec, data, device=device).epochs():
        total += time.perf_counter() - started
        assert report.fakes is not None
        evaluations.append(watch.timed("evaluation", evaluate)(reference, report.fakes, report.epoch))
        history = replace(history.after(report, ()), evaluations=tuple(evaluations))
        diagnosis = watch.timed("diagnosis", diagnose)(history)
        history = replace(history, previous=diagnosis)
        if report.epoch == epochs:
            break
        started = time.perf_counter()
    training = total - watch.seconds["series"]
    shares = {name: round(seconds / training, 5) for name, seconds in watch.seconds.items()}
    return {
        "preset": preset,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "epochs": epochs,
        "seconds_training": round(training, 1),
        "shares": shares,
        "overhead_fraction": round(sum(shares.values()), 4),
    }


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, default=Path(".ganclinic/data"))
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--preset", default=PRESET)
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--results", default="overhead", help="name of the file in bench/results")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = measure(options.preset, options.data_dir, options.epochs, options.device)
    print(found, results.write(options.results, found))


if __name__ == "__main__":
    main()
