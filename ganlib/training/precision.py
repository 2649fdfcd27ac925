# pyright: standard
"""In which precision the networks multiply: float32, or bf16 with float32 weights, statistics, losses and updates."""

import time

import torch
from torch import Tensor

from ganlib.spec.checks.precision import needs_float32
from ganlib.spec.run import RunSpec
from ganlib.spec.training import SettledPrecision

PAYS_FROM = 1.25
"""Times as fast as float32: below it, casts eat what faster products gain, and a busy machine's noise decides."""
SIDE = 1024
ROUNDS = 9


def settle_precision(spec: RunSpec, auto: SettledPrecision | None) -> SettledPrecision:
    """What a training multiplies in; `auto`: what that means on this machine, None: float32."""
    if spec.training.precision != "auto":
        return spec.training.precision
    return "float32" if auto is None or needs_float32(spec) is not None else auto


def faster_precision(bf16_speedup: float) -> SettledPrecision:
    """What `auto` means on a machine that multiplies so many times as fast in bf16 as in float32."""
    return "bf16" if bf16_speedup >= PAYS_FROM else "float32"


def computing(precision: SettledPrecision, device: torch.device) -> torch.autocast:
    """A context in which networks multiply in that precision; what they give is float32 where `logits_of` makes it so.

    Without autocast's cache of cast weights: it would outlive the optimizer's steps, which lie within the context.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16", cache_enabled=False)


def measure_bf16_speedup(device: torch.device) -> float:
    """How many times as fast the machine multiplies matrices in bf16 as in float32; with the threads that are set.

    The best of several turns each, for whatever else runs only slows a turn down. Takes about a second on a CPU core.
    """
    if device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        return 0.0
    drawn = torch.rand(SIDE, SIDE, generator=torch.Generator().manual_seed(0)).to(device)
    matrices = {precision: drawn.to(precision) for precision in (torch.float32, torch.bfloat16)}
    best = dict.fromkeys(matrices, float("inf"))
    for _ in range(ROUNDS):
        for precision, matrix in matrices.items():
            best[precision] = min(best[precision], _seconds(matrix))
    return best[torch.float32] / best[torch.bfloat16]


def _seconds(matrix: Tensor) -> float:
    wait = torch.cuda.synchronize if matrix.device.type == "cuda" else None
    if wait is not None:
        wait()
    started = time.perf_counter()
    _ = matrix @ matrix
    if wait is not None:
        wait()
    return time.perf_counter() - started
