# pyright: standard
"""Experience replay of earlier fakes (Shrivastava et al. 2017)."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from ganlib.remedies.remedy import ActingRemedy, Setting
from ganlib.seeding import Stream, numpy_generator
from ganlib.spec.remedies import Replay


class ReplayRemedy(ActingRemedy):
    """Swaps some fakes for earlier ones before the discriminator sees them."""

    def __init__(self, part: Replay, setting: Setting) -> None:
        self.part, self.seed = part, setting.spec.seed
        self.device = next(setting.generator.parameters()).device
        self.pool: Tensor | None = None
        """[filled, *shape] of fakes, the first ones at first."""

    @override
    def shown(self, fakes: Tensor, draw: int) -> Tensor:
        """Fakes [n, *shape], some of them from the pool; while it fills, the fakes as they are."""
        filled = 0 if self.pool is None else len(self.pool)
        if self.pool is None or filled < self.part.pool:
            first = fakes[: self.part.pool - filled]
            self.pool = first.clone() if self.pool is None else torch.cat([self.pool, first])
            return fakes
        fresh, slots = self._swaps(len(fakes), draw, fakes.device)
        shown = fakes.clone()
        shown[fresh], self.pool[slots] = self.pool[slots], fakes[fresh]
        return shown

    @override
    def state(self) -> dict[str, Any]:
        return {} if self.pool is None else {"pool": self.pool}

    @override
    def restore(self, state: dict[str, Any]) -> None:
        self.pool = state["pool"].to(self.device, copy=True)

    def _swaps(self, count: int, draw: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Which of `count` fakes change places with which slots of the pool."""
        rng = numpy_generator(self.seed, Stream.REPLAY, draw)
        fresh = np.flatnonzero(rng.random(count) < self.part.probability)[: self.part.pool]
        slots = rng.permutation(self.part.pool)[: len(fresh)]
        return torch.from_numpy(fresh).to(device), torch.from_numpy(slots).to(device)
