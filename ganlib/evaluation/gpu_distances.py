# pyright: standard
"""`neighbours.squared_distances` on a GPU, where an epoch may take less time than its distances on the CPU."""

import numpy as np
import torch

from ganlib.evaluation.measures.neighbours import Distances, Features, Pairwise


def squared_distances_on(device: torch.device) -> Pairwise:
    """The squared distances as that device computes them, in float64 as well: equal up to rounding."""

    def squared_distances(a: Features, b: Features) -> Distances:
        x, y = (torch.from_numpy(np.ascontiguousarray(side)).to(device).double() for side in (a, b))
        squares = (x**2).sum(1)[:, None] + (y**2).sum(1)[None] - 2 * x @ y.T
        return squares.clamp_(min=0).cpu().numpy()

    return squared_distances
