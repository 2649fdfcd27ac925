"""A device without much memory: the CPU, on which every larger tensor fails as on a GPU that is full."""

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


class LittleMemory(TorchDispatchMode):
    """No tensor may be larger than so many bytes while this is entered."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__()
        self.limit_bytes = limit_bytes
        self.failures = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        if isinstance(made, Tensor) and made.nbytes > self.limit_bytes:
            self.failures += 1
            raise torch.OutOfMemoryError(
                f"CUDA out of memory. Tried to allocate {made.nbytes} bytes. GPU 0 has a total capacity of 1 GiB. "
                "If reserved but unallocated memory is large try setting this or that."
            )
        return made


def train_with_little_memory(limit_bytes: int) -> int:
    """What `python -m worker.attempt.training` does, on such a device; its exit status."""
    from worker.attempt.training import main

    with LittleMemory(limit_bytes):
        return main()
