"""Train runs and keep what they reported, without the service: the raw material of calibration and benches.

    python -m bench.record PLAN.json --into DIR [--process 0/2]

PLAN.json is a list of {"id": …, "preset": …, "set": {…}}. A recording that exists is skipped, so a plan can be
stopped and taken up again. One thread a process.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

from ganlib.datasets.load import load_dataset
from ganlib.request import RunRequest
from ganlib.train import Training, untrained_fakes


def record(request: RunRequest, data_dir: Path, path: Path) -> None:
    """Train the request's run and write steps, fakes (uint8 for images) and seconds to `path` (npz)."""
    spec = request.resolve()
    device = torch.device("cpu")
    data = load_dataset(spec.dataset, data_dir, spec.seed)
    started = time.perf_counter()
    reports = list(Training(spec, data, device=device).epochs())
    arrays = {
        "request": np.array(request.model_dump_json()),
        "seconds": np.array(time.perf_counter() - started),
        "steps": np.concatenate([r.steps for r in reports]),
        "fakes_0": packed(untrained_fakes(spec, device)),
        **{f"fakes_{r.epoch}": packed(r.fakes) for r in reports if r.fakes is not None},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.savez_compressed(file, **arrays)
    part.rename(path)


def packed(fakes: np.ndarray) -> np.ndarray:
    """Images as uint8, points as they are."""
    return np.round((fakes + 1) * 127.5).clip(0, 255).astype(np.uint8) if fakes.ndim == 4 else fakes


def main() -> None:
    """Record this process's share of the plan."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("plan", type=Path)
    parser.add_argument("--into", type=Path, required=True)
    parser.add_argument("--data-dir", type=Path, default=Path(".ganclinic/data"))
    parser.add_argument("--process", default="0/1", help="which share of the plan: INDEX/COUNT")
    options = parser.parse_args()
    torch.set_num_threads(1)
    index, count = map(int, options.process.split("/"))
    for number, entry in enumerate(json.loads(options.plan.read_text())):
        path = options.into / f"{entry.pop('id')}.npz"
        if number % count == index and not path.exists():
            record(RunRequest(**entry), options.data_dir, path)


if __name__ == "__main__":
    main()
