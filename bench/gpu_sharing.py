# pyright: standard
"""What sharing a GPU costs in speed, and what memory a training takes there beside what torch counts.

    make bench-gpu-sharing   # on a machine with a GPU: minutes; writes bench/results/gpu_sharing.json

So many processes as said train the same at once, for the same seconds; the speed is that of all together.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from bench import results
from ganlib.data.load import load_dataset
from ganlib.spec.request import RunRequest
from ganlib.training.loop import TrainingLoop
from store.core.settings import visible_gpus
from worker.gpus import read_use

MIB = 1024**2
WARM_UP_STEPS = 10
REQUESTS = {
    "ring8 (MLPs of width 128, batches of 256)": RunRequest(
        spec={
            "dataset": {"name": "ring8"},
            "generator": {"family": "mlp", "width": 128},
            "discriminator": {"family": "mlp", "width": 128},
            "training": {"batch_size": 256, "epochs": 1000, "steps_per_epoch": 10_000},
        }
    ),
    "digit8-stable": RunRequest(preset="digit8-stable", set={"training.epochs": 1000}),
    "mnist-stable": RunRequest(preset="mnist-stable", set={"training.epochs": 1000}),
}


class TimeIsUp(Exception):
    """The seconds have passed."""


def train_for(request: RunRequest, seconds: float, data_dir: Path, device: torch.device) -> None:
    """Say `ready` after a warm-up, wait for a line, train; say steps a second and bytes that torch has reserved."""
    spec = request.resolve()
    training = TrainingLoop(spec, load_dataset(spec.dataset, data_dir, 0), device=device)
    began: list[float] = []

    def on_step(step: int) -> None:
        if step == WARM_UP_STEPS:
            _synchronise(device)
            print("ready", flush=True)
            sys.stdin.readline()
            began.append(time.perf_counter())
        elif began and time.perf_counter() - began[0] >= seconds:
            _synchronise(device)
            reserved = torch.cuda.memory_reserved(device) if device.type == "cuda" else 0
            print((step - WARM_UP_STEPS) / (time.perf_counter() - began[0]), reserved, flush=True)
            sys.stdin.readline()
            raise TimeIsUp

    try:
        for _ in training.epochs(on_step):
            pass
    except TimeIsUp:
        pass


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def together(name: str, processes: int, options: argparse.Namespace) -> dict[str, Any]:
    """The speed of that many processes at once, and the memory of one beside what torch has reserved."""
    command = [sys.executable, "-m", "bench.gpu_sharing", "--train", name, "--seconds", str(options.seconds)]
    command += ["--device", str(options.device), "--data-dir", str(options.data_dir)]
    pipe = subprocess.PIPE
    children = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for _ in range(processes)]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    _tell(children)
    speeds, reserved = zip(*((float(a), int(b)) for a, b in (_answer(child) for child in children)), strict=True)
    use = read_use(options.device.index or 0, visible_gpus())
    _tell(children)
    assert not any(child.wait() for child in children)
    found: dict[str, Any] = {"training": name, "processes": processes, "steps_per_second": round(sum(speeds), 1)}
    if use is not None and use.processes:
        beside = [p.memory - reserved[0] for p in use.processes if p.memory is not None]
        found |= {
            "memory_reserved_mib": round(reserved[0] / MIB),
            "memory_beside_mib": [round(b / MIB) for b in sorted(beside)],
            "memory_used_mib": round(use.memory_used / MIB),
        }
    return found


def _tell(children: list[subprocess.Popen[str]]) -> None:
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()


def _answer(child: subprocess.Popen[str]) -> list[str]:
    assert child.stdout is not None
    return child.stdout.readline().split()


def main() -> None:
    """Measure and write; or be one of the trainings."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, default=Path(".ganclinic/data"))
    parser.add_argument("--device", type=torch.device, default=torch.device("cuda"))
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--only", default="", help="measure only trainings whose name has this")
    parser.add_argument("--train", help="train this for the seconds; for the bench's own processes")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.train is not None:
        train_for(REQUESTS[options.train], options.seconds, options.data_dir, options.device)
        return
    found = [
        together(name, number, options) for name in REQUESTS if options.only in name for number in options.processes
    ]
    name = torch.cuda.get_device_name(options.device) if options.device.type == "cuda" else "cpu"
    print(*found, results.write("gpu_sharing", {"device": name, "together": found}), sep="\n")


if __name__ == "__main__":
    main()
