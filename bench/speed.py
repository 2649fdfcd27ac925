# pyright: standard
"""How fast a training is beside the article's own loop on the same machine, in one command.

    make bench-speed   # about 15 minutes; writes bench/results/speed-MACHINE.json
    python -m bench.speed --device cuda --steps 50   # on a GPU

Each side is a process of its own, which is told to make some steps and says what they took; the sides take turns, and
the figure is the median of the ratios of a turn. On one thread CPU time is the better figure, for what else the machine
does hardly counts in it; on several threads, or a GPU, only the wall clock says anything.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from bench import results
from bench.article_loop import STEPS
from ganlib.data.load import load_dataset
from ganlib.spec.request import RunRequest
from ganlib.training.loop import TrainingLoop
from store.core.settings import child_environment
from worker.host.process import KEEP_MEMORY

BATCH = 128
"""The size that both sides train with: `digit8-stable`'s own. `mnist-stable`'s of 1,024 takes too long a step."""
WARM_UP = 3
INSTRUCTIONS = re.compile(r"avx2|fma|avx512f|avx512_bf16|avx512_fp16|amx_tile|amx_bf16|asimd|sve|bf16")
SIDES: dict[str, dict[str, Any]] = {
    "article": {},
    "ours": {},
    "ours without kept memory": {"keeps_memory": False},
}
"""The first is what the others are compared with."""


def our_steps(preset: str, settings: dict[str, Any], data_dir: Path, device: torch.device) -> Iterator[Any]:
    """A step of ours with its series, each time."""
    more = {"training.batch_size": BATCH, "training.epochs": 10_000, "resources.device": "auto"}
    spec = RunRequest(preset=preset, set=more | settings).resolve()
    training = TrainingLoop(spec, load_dataset(spec.dataset, data_dir, spec.seed), device=device)
    training.trace.begin_epoch()
    while True:
        yield training.make_step()


def serve(side: str, preset: str, data_dir: Path, threads: int, device: torch.device) -> None:
    """For each line on stdin with a number: make as many steps, say CPU and wall seconds a step."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    steps: Iterator[Any] = (
        STEPS[preset](data_dir, BATCH, device)
        if side == "article"
        else our_steps(preset, SIDES[side].get("set", {}), data_dir, device)
    )
    wait: Callable[[], None] = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    for line in sys.stdin:
        count, cpu, wall = int(line), time.process_time(), time.perf_counter()
        for _ in range(count):
            next(steps)
        wait()
        taken = (time.process_time() - cpu) / count, (time.perf_counter() - wall) / count
        print(json.dumps(taken), flush=True)


class Side:
    """The process of one side."""

    def __init__(self, name: str, preset: str, options: argparse.Namespace, threads: int) -> None:
        keeps = SIDES[name].get("keeps_memory", name != "article")
        self.taken: list[tuple[float, float]] = []
        """CPU and wall seconds a step, by turn."""
        command = [sys.executable, "-m", "bench.speed", "--side", name, "--preset", preset]
        command += ["--threads", str(threads), "--device", str(options.device), "--data-dir", str(options.data_dir)]
        environment = (KEEP_MEMORY if keeps else {}) | child_environment()
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def make(self, steps: int) -> tuple[float, float]:
        """Make steps; CPU and wall seconds a step."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{steps}\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("a side has ended, see its error above")
        cpu, wall = json.loads(line)
        return cpu, wall

    def end(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def race(preset: str, threads: int, options: argparse.Namespace) -> dict[str, Any]:
    """Milliseconds a step of each side, and its ratios to the first."""
    load = os.getloadavg()
    sides = {name: Side(name, preset, options, threads) for name in SIDES}
    for side in sides.values():
        side.make(WARM_UP)
    for _ in range(options.rounds):
        for side in sides.values():
            side.taken.append(side.make(options.steps))
    for side in sides.values():
        side.end()
    first = next(iter(sides.values()))
    return {
        "preset": preset,
        "batch_size": BATCH,
        "threads": threads,
        "device": str(options.device),
        "rounds": options.rounds,
        "steps_a_turn": options.steps,
        "load_before": [round(value, 1) for value in load],
        "load_after": [round(value, 1) for value in os.getloadavg()],
        "sides": {name: _figures(side.taken, first.taken) for name, side in sides.items()},
    }


def _figures(taken: list[tuple[float, float]], first: list[tuple[float, float]]) -> dict[str, Any]:
    """Medians, and the quartiles of the ratios, of CPU and wall time."""
    figures: dict[str, Any] = {}
    for place, clock in enumerate(("cpu", "wall")):
        ratios = [of_first[place] / own[place] for of_first, own in zip(first, taken, strict=True)]
        figures[f"ms_a_step_{clock}"] = round(1000 * statistics.median(own[place] for own in taken), 2)
        figures[f"times_as_fast_{clock}"] = [round(value, 3) for value in statistics.quantiles(ratios, n=4)]
    return figures


def instruction_sets() -> list[str]:
    """What the CPU has of those that matter here."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(("flags", "Features")):
            return sorted({flag for flag in line.split() if INSTRUCTIONS.fullmatch(flag)})
    return []


def machine_name(device: torch.device) -> str:
    """Fit for a file's name, e.g. `intel-xeon-processor`."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else results.machine()["cpu"]
    return re.sub(r"[^a-z0-9]+", "-", re.sub(r"\((r|tm)\)", "", name.lower())).strip("-") or "unknown"


def main() -> None:
    """Race, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, default=Path(".ganclinic/data"))
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--preset", action="append", choices=sorted(STEPS))
    parser.add_argument("--threads", type=int, action="append", help="may be given again (default: 1, and all cores)")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--steps", type=int, default=1, help="of a turn")
    parser.add_argument("--side", choices=sorted(SIDES), help=argparse.SUPPRESS)
    options = parser.parse_args()
    presets, threads = options.preset or sorted(STEPS), options.threads or sorted({1, os.cpu_count() or 1})
    if options.side is not None:
        serve(options.side, presets[0], options.data_dir, threads[0], options.device)
        return
    races = [race(preset, count, options) for preset in presets for count in threads]
    found = {"instruction_sets": instruction_sets(), "races": races}
    print(json.dumps(races, indent=1), results.write(f"speed-{machine_name(options.device)}", found))


if __name__ == "__main__":
    main()
