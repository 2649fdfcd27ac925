"""What a training runs on: the device, and everything that can change the last bit of its numbers."""

import logging
import os
import platform
import subprocess
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Literal, cast

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from ganlib.spec.checks.precision import needs_float32
from ganlib.spec.run import RunSpec
from ganlib.spec.training import SettledPrecision
from ganlib.training.precision import faster_precision, measure_bf16_speedup, settle_precision
from store.core.models import Attempt
from store.runs.machines import Machine
from worker import gpus

CHECKOUT = Path(__file__).parents[2]
GIT_TIMEOUT_S = 5.0

logger = logging.getLogger(__name__)


class DeviceUnavailable(ValueError):
    """The device that a run is to be trained on is not there, on this worker."""


def choose_device(wanted: Literal["auto", "cpu", "cuda"], workers: str) -> torch.device:
    """The device for a spec that wants `wanted`, on a worker whose device is `workers` (`auto`, `cpu`, `cuda:N`).

    Raises:
        DeviceUnavailable: the spec wants a GPU and the worker has none, or torch cannot use the worker's.
    """
    if workers == "auto":
        workers = "cuda" if torch.cuda.is_available() else "cpu"
    if wanted == "cuda" and workers == "cpu":
        raise DeviceUnavailable(
            "resources.device: 'cuda' is not available on this worker; "
            "use --set resources.device=auto, or start a worker that has a GPU"
        )
    device = torch.device("cpu" if wanted == "cpu" else workers)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise DeviceUnavailable(
            f"resources.device: the worker's device is '{workers}', which torch {torch.__version__} cannot use here "
            f"(it finds {torch.cuda.device_count()} GPUs); install a torch with CUDA that the driver takes, or start "
            "the worker with --device cpu"
        )
    return device


def set_threads(setting: int | None, earlier: Iterable[Attempt]) -> int:
    """Sets the CPU threads of everything that computes, and says how many.

    As many as the run's first attempt took, so that a resume is bit-identical; else the setting, else what torch takes.
    """
    first = next((attempt.threads for attempt in earlier if attempt.threads is not None), None)
    if first is not None and first > (os.cpu_count() or 1):
        logger.warning("the first attempt had %d threads, more than there are here", first)
        first = None
    threads = first or setting or torch.get_num_threads()
    limit_threads(threads)
    return threads


def limit_threads(threads: int) -> None:
    """Sets the CPU threads of everything that computes."""
    torch.set_num_threads(threads)
    threadpool_limits(threads)


def choose_precision(
    spec: RunSpec, device: torch.device, earlier: Iterable[Attempt], bf16_speedup: float | None
) -> SettledPrecision:
    """What the networks multiply in.

    For `auto` what the run's first attempt took, so that a resume is bit-identical; else what is faster, as the worker
    has measured or, where it has not, as is measured here.
    """
    recorded = next((attempt.precision for attempt in earlier if attempt.precision is not None), None)
    first = cast("SettledPrecision | None", recorded)
    if spec.training.precision == "auto" and first is None and needs_float32(spec) is None:
        first = faster_precision(measure_bf16_speedup(device) if bf16_speedup is None else bf16_speedup)
    return settle_precision(spec, first)


def this_machine(device: torch.device, threads: int, precision: SettledPrecision = "float32") -> Machine:
    """The machine that this process runs on."""
    return Machine(
        device=f"cuda: {torch.cuda.get_device_name(device)}" if device.type == "cuda" else device.type,
        threads=threads,
        cpu_capability=torch.backends.cpu.get_cpu_capability(),
        versions=_versions(device),
        precision=precision,
    )


def _versions(device: torch.device) -> dict[str, str]:
    """Of this code and of everything below it that computes."""
    versions = {
        "ganclinic": code_version(),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "torchvision": metadata.version("torchvision"),
        "numpy": np.__version__,
    }
    if device.type != "cuda":
        return versions
    found = {"cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version(), "driver": gpus.driver_version()}
    return versions | {name: str(version) for name, version in found.items() if version is not None}


def code_version(checkout: Path = CHECKOUT) -> str:
    """The package's version and the git revision, e.g. `0.1.0+e21447b-dirty`; without git the version alone."""
    try:
        version = metadata.version("ganclinic")
    except metadata.PackageNotFoundError:
        version = "0"
    # Of any owner: in an image or a shared checkout the files are not ours.
    command = ["git", "--no-optional-locks", "-c", f"safe.directory={checkout}", "-C", str(checkout)]
    try:
        described = subprocess.run(
            [*command, "describe", "--always", "--dirty", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=GIT_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return version
    revision = described.stdout.strip() if described.returncode == 0 else ""
    return f"{version}+{revision}" if revision else version
