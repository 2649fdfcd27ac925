"""How many times as fast this machine's CPU multiplies in bf16 as in float32: `python -m worker.attempt.precision`.

A worker starts it once, for it imports no torch itself. GPUs are left alone: a process on one counts as its use.
"""

import os
import sys

import torch

from ganlib.training.precision import measure_bf16_speedup
from store.core.settings import Settings
from worker.attempt.device import limit_threads

if __name__ == "__main__":
    os.nice(10)
    limit_threads(Settings().threads or torch.get_num_threads())
    sys.stdout.write(f"{measure_bf16_speedup(torch.device('cpu')):.3f}\n")
