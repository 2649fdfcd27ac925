# pyright: standard
"""What torch loads at its first use, which takes seconds, loaded before there is anything to train."""

import torch
from torch import nn


def warm_up() -> None:
    """A layer, its memory and its optimizer: torch imports its compiler for them. Draws nothing, and touches no GPU."""
    with torch.device("meta"):
        layer = nn.Linear(1, 1)
    layer.to_empty(device="cpu")
    torch.optim.Adam(layer.parameters())
