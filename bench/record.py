# pyright: standard
"""Train runs and keep what they reported, without the service: the raw material of the benches.

Recordings lie in `.ganclinic/bench/` and are not committed. One that exists is not made again, so a bench that was
stopped goes on where it was.
"""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ganlib.data.load import load_dataset
from ganlib.spec.request import RunRequest
from ganlib.training.loop import TrainingLoop
from ganlib.training.sampling import untrained_fakes

RECORDINGS = Path(".ganclinic/bench")


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A run to record."""

    id: str
    """Its recording is RECORDINGS / <id>.npz."""
    request: RunRequest

    @property
    def path(self) -> Path:
        """Where the recording lies."""
        return RECORDINGS / f"{self.id}.npz"


def record_all(plan: Sequence[Planned], data_dir: Path, processes: int) -> None:
    """Record what is missing, in that many processes of one thread each."""
    missing = [p for p in plan if not p.path.exists()]
    children = []
    for share in filter(None, (missing[i::processes] for i in range(processes))):
        lines = "".join(json.dumps([p.id, p.request.model_dump()]) + "\n" for p in share)
        child = subprocess.Popen(
            [sys.executable, "-m", "bench.record", str(data_dir)], stdin=subprocess.PIPE, text=True
        )
        assert child.stdin is not None
        child.stdin.write(lines)
        child.stdin.close()
        children.append(child)
    statuses = [child.wait() for child in children]
    if any(statuses):
        raise SystemExit("a recording failed; its error is above")


def record(planned: Planned, data_dir: Path) -> None:
    """Train the run and write its steps, its fakes (uint8 for images) and its seconds."""
    spec = planned.request.resolve()
    device = torch.device("cpu")
    data = load_dataset(spec.dataset, data_dir, spec.seed)
    started = time.perf_counter()
    reports = list(TrainingLoop(spec, data, device=device).epochs())
    arrays = {
        "request": np.array(planned.request.model_dump_json()),
        "seconds": np.array(time.perf_counter() - started),
        "steps": np.concatenate([r.steps for r in reports]),
        "fakes_0": packed(untrained_fakes(spec, device, data)),
        **{f"fakes_{r.epoch}": packed(r.fakes) for r in reports if r.fakes is not None},
    }
    planned.path.parent.mkdir(parents=True, exist_ok=True)
    part = planned.path.with_suffix(".part")
    with part.open("wb") as file:
        np.savez_compressed(file, **arrays)  # pyright: ignore[reportArgumentType]  (its own stub)
    part.rename(planned.path)


def packed(fakes: np.ndarray) -> np.ndarray:
    """Images as uint8, points as they are."""
    return np.round((fakes + 1) * 127.5).clip(0, 255).astype(np.uint8) if fakes.ndim == 4 else fakes


def main() -> None:
    """Record the runs on stdin, a JSON line each."""
    torch.set_num_threads(1)
    for line in sys.stdin:
        name, request = json.loads(line)
        record(Planned(id=name, request=RunRequest(**request)), Path(sys.argv[1]))
        print(name, flush=True)


if __name__ == "__main__":
    main()
