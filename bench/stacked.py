# pyright: standard
"""Many small trainings at once: as one stack of networks, and one after another on the same machine.

    make bench-stacked   # about half an hour on an idle machine; writes bench/results/stacked.json
    python -m bench.stacked --device cuda --skip convolutions service   # on a GPU

Steps: both sides are one process and take turns; the figure is the median of the ratios of a turn. On one thread CPU
time is the better one, for what else the machine does hardly counts in it; on several threads, or a GPU, only the wall
clock says anything. Convolutions: three forms of the layers of `digit8-stable` for as many models. Service: runs that
a worker trains, with what starting, evaluating and recording them takes.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from bench import results
from ganlib.data.load import load_dataset
from ganlib.spec.request import RunRequest
from ganlib.training.loop import TrainingLoop
from ganlib.training.stacked.loop import StackedLoop, StackMember
from ganlib.wire.statuses import FINAL_STATUSES
from store.core.db import make_engine, reading, transaction, upgrade
from store.core.settings import child_environment
from store.runs import lifecycle
from worker.host.process import KEEP_MEMORY

PRESET = "ring8-stable"
PARTS = ("steps", "convolutions", "service")
SERVICE_EPOCHS = 2


def clocked(work: Callable[[], Any], device: torch.device) -> tuple[float, float]:
    """CPU and wall seconds that it takes."""
    wait: Callable[[], None] = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    wait()
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    wait()
    return time.process_time() - cpu, time.perf_counter() - wall


def members(count: int) -> list[StackMember]:
    """Runs of the preset that differ in seed and learning rate."""
    specs = [
        RunRequest(preset=PRESET, set={"seed": seed, "optimizer.learning_rate": 5e-4 * 1.02**seed}).resolve()
        for seed in range(count)
    ]
    return [
        StackMember(name=str(spec.seed), spec=spec, data=load_dataset(spec.dataset, Path(), spec.seed))
        for spec in specs
    ]


def race_steps(count: int, threads: int, rounds: int, device: torch.device) -> dict[str, Any]:
    """Milliseconds that a step of one run takes alone and as a member of a stack, and how many times as fast it is."""
    torch.set_num_threads(threads)
    chosen = members(count)
    alone = TrainingLoop(chosen[0].spec, chosen[0].data, device=device)
    alone.trace.begin_epoch()
    stack = StackedLoop(chosen, device=device)
    load = os.getloadavg()

    def steps_alone() -> None:
        for _ in range(40):
            alone.make_step()

    def steps_of_stack() -> None:
        for _ in range(4):
            stack.make_step()

    steps_alone()
    steps_of_stack()
    taken = [(clocked(steps_alone, device), clocked(steps_of_stack, device)) for _ in range(rounds)]
    figures: dict[str, Any] = {}
    for place, clock in enumerate(("cpu", "wall")):
        one = [turn[0][place] / 40 for turn in taken]
        member = [turn[1][place] / 4 / count for turn in taken]
        ratios = [a / b for a, b in zip(one, member, strict=True)]
        figures[f"ms_a_step_alone_{clock}"] = round(1000 * statistics.median(one), 3)
        figures[f"ms_a_step_of_a_member_{clock}"] = round(1000 * statistics.median(member), 3)
        figures[f"times_as_fast_{clock}"] = [round(value, 2) for value in statistics.quantiles(ratios, n=4)]
    return {"runs": count, "threads": threads, "rounds": rounds, "device": str(device)} | figures | _loads(load)


LAYERS: dict[str, dict[str, Any]] = {
    "convolution 64 to 64, stride 2, 14 pixels": {"shape": (64, 14, 14), "outputs": 64, "kernel": 4, "stride": 2},
    "convolution 128 to 1, stride 1, 28 pixels": {"shape": (128, 28, 28), "outputs": 1, "kernel": 3, "stride": 1},
    "transposed 128 to 128, stride 2, 7 pixels": {"shape": (128, 7, 7), "outputs": 128, "kernel": 4, "transposed": 1},
    "transposed 128 to 128, stride 2, 14 pixels": {
        "shape": (128, 14, 14),
        "outputs": 128,
        "kernel": 4,
        "transposed": 1,
    },
}
"""The hidden layers of `digit8-stable`."""


def race_convolutions(count: int, batch: int, rounds: int, device: torch.device) -> list[dict[str, Any]]:
    """Forward and backward of each layer for `count` models: one after another, grouped, unfolded."""
    torch.set_num_threads(1)
    found: list[dict[str, Any]] = []
    for name, layer in LAYERS.items():
        channels, height, width = layer["shape"]
        outputs, kernel = layer["outputs"], layer["kernel"]
        is_transposed = bool(layer.get("transposed"))
        sides = (channels, outputs) if is_transposed else (outputs, channels)
        images = torch.randn(count, batch, channels, height, width, device=device)
        weights = torch.randn(count, *sides, kernel, kernel, device=device) / channels
        forms = _forms(layer, is_transposed)
        expected = forms["one after another"](images, weights)
        for form in forms.values():
            torch.testing.assert_close(form(images, weights), expected, rtol=1e-3, atol=1e-3)
        taken: dict[str, list[float]] = {form: [] for form in forms}
        for _ in range(rounds):
            for form, compute in forms.items():
                cpu, wall = clocked(partial(_both_ways, compute, images, weights), device)
                taken[form].append(wall if device.type == "cuda" else cpu)
        medians = {form: statistics.median(seconds) for form, seconds in taken.items()}
        first = medians["one after another"]
        found.append(
            {
                "layer": name,
                "models": count,
                "batch": batch,
                "clock": "wall" if device.type == "cuda" else "cpu, one thread",
                "ms": {form: round(1000 * value, 1) for form, value in medians.items()},
                "times_as_fast": {form: round(first / value, 2) for form, value in medians.items()},
            }
        )
    return found


def _forms(layer: dict[str, Any], is_transposed: bool) -> dict[str, Callable[[Tensor, Tensor], Tensor]]:
    """[n, batch, channels, h, w] and weights [n, …] → [n, batch, outputs, h', w']."""
    kernel, outputs, stride = layer["kernel"], layer["outputs"], 2 if is_transposed else layer["stride"]
    pad = (kernel - 1) // 2

    def one(images: Tensor, weight: Tensor, groups: int = 1) -> Tensor:
        if is_transposed:
            return functional.conv_transpose2d(images, weight, stride=stride, padding=pad, groups=groups)
        return functional.conv2d(images, weight, stride=stride, padding=pad, groups=groups)

    def one_after_another(images: Tensor, weights: Tensor) -> Tensor:
        return torch.stack(
            [
                one(own.contiguous(memory_format=torch.channels_last), weight)
                for own, weight in zip(images, weights, strict=True)
            ]
        )

    def grouped(images: Tensor, weights: Tensor) -> Tensor:
        count, batch = images.shape[:2]
        made = one(images.transpose(0, 1).flatten(1, 2), weights.flatten(0, 1), groups=count)
        return made.view(batch, count, outputs, *made.shape[2:]).transpose(0, 1)

    def unfolded(images: Tensor, weights: Tensor) -> Tensor:
        count, batch, channels, height, width = images.shape
        if is_transposed:
            patches = torch.bmm(
                weights.view(count, channels, outputs * kernel * kernel).transpose(1, 2),
                images.permute(0, 2, 1, 3, 4).reshape(count, channels, -1),
            )
            patches = patches.view(count, outputs * kernel * kernel, batch, height * width).transpose(1, 2)
            made = functional.fold(
                patches.flatten(0, 1), (height * stride, width * stride), kernel, padding=pad, stride=stride
            )
            return made.view(count, batch, outputs, height * stride, width * stride)
        patches = functional.unfold(images.flatten(0, 1), kernel, padding=pad, stride=stride)
        patches = patches.view(count, batch, channels * kernel * kernel, -1).transpose(1, 2).flatten(2, 3)
        made = torch.bmm(weights.view(count, outputs, -1), patches)
        side = (height + 2 * pad - kernel) // stride + 1
        return made.view(count, outputs, batch, side, side).transpose(1, 2)

    return {"one after another": one_after_another, "grouped": grouped, "unfolded": unfolded}


def _both_ways(compute: Callable[[Tensor, Tensor], Tensor], images: Tensor, weights: Tensor) -> None:
    images, weights = images.detach().requires_grad_(), weights.detach().requires_grad_()
    compute(images, weights).square().mean().backward()


def race_service(count: int, most: Sequence[int]) -> dict[str, Any]:
    """CPU and wall seconds in which a worker trains so many runs, by how many it may train together."""
    load = os.getloadavg()
    sides = {f"{members} together": _serve(count, members) for members in most}
    first = next(iter(sides.values()))
    ratios = {name: round(first["cpu_s"] / side["cpu_s"], 2) for name, side in sides.items()}
    wall = {name: round(first["wall_s"] / side["wall_s"], 2) for name, side in sides.items()}
    settings = {"runs": count, "epochs": SERVICE_EPOCHS, "threads": 1, "database": "sqlite"}
    return settings | {"sides": sides, "times_as_fast_cpu": ratios, "times_as_fast_wall": wall} | _loads(load)


def _serve(count: int, most_members: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as home:
        engine = make_engine(f"sqlite:///{home}/ganclinic.db")
        upgrade(engine)
        with transaction(engine) as session:
            for seed in range(count):
                request = RunRequest(preset=PRESET, set={"seed": seed, "training.epochs": SERVICE_EPOCHS})
                lifecycle.create(session, request, request.resolve())
        own = {
            "GANCLINIC_HOME": home,
            "GANCLINIC_STACK_MEMBERS": str(most_members),
            "GANCLINIC_THREADS": "1",
            "GANCLINIC_DEVICE": "cpu",
            "GANCLINIC_POLL_INTERVAL": "0.5",
            "GANCLINIC_BROKER_URL": "redis+socket:///nowhere/broker.sock",
        }
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        with subprocess.Popen(
            [sys.executable, "-m", "worker"], env=child_environment(**own), stderr=subprocess.DEVNULL
        ) as worker:
            while True:
                with reading(engine) as session:
                    runs = lifecycle.list_runs(session, limit=200).items
                    if all(run.status in FINAL_STATUSES for run in runs):
                        break
                time.sleep(0.5)
            wall = time.perf_counter() - started
            worker.terminate()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        engine.dispose()
        if any(run.status != "succeeded" for run in runs):
            raise SystemExit(f"not all runs succeeded: {[run.error for run in runs if run.error]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"cpu_s": round(cpu, 1), "wall_s": round(wall, 1)}


def _loads(before: tuple[float, float, float]) -> dict[str, Any]:
    return {
        "load_before": [round(value, 1) for value in before],
        "load_after": [round(value, 1) for value in os.getloadavg()],
    }


def main() -> None:
    """Measure, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--runs", type=int, action="append", help="may be given again (default: 1, 4, 16, 32)")
    parser.add_argument("--threads", type=int, action="append", help="may be given again (default: 1, and all cores)")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--models", type=int, default=32, help="of the convolutions")
    parser.add_argument("--service-runs", type=int, default=32)
    parser.add_argument("--skip", nargs="*", choices=PARTS, default=[])
    parser.add_argument("--keeps-memory", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not options.keeps_memory:  # as a training process does, which has to be said before Python starts
        again = [sys.executable, "-m", "bench.stacked", *sys.argv[1:], "--keeps-memory"]
        raise SystemExit(subprocess.run(again, env=KEEP_MEMORY | child_environment(), check=False).returncode)
    threads = options.threads or sorted({1, os.cpu_count() or 1})
    name = "stacked" if options.device.type == "cpu" else f"stacked-{options.device.type}"
    path = results.RESULTS / f"{name}.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    found = {part: found.get(part) for part in PARTS}
    if "steps" not in options.skip:
        counts = options.runs or [1, 4, 16, 32]
        found["steps"] = [race_steps(n, t, options.rounds, options.device) for t in threads for n in counts]
    if "convolutions" not in options.skip:
        found["convolutions"] = race_convolutions(options.models, 16, 3, options.device)
    if "service" not in options.skip:
        found["service"] = race_service(options.service_runs, [1, 16])
    print(json.dumps(found, indent=1), results.write(name, found))


if __name__ == "__main__":
    main()
