# pyright: standard
"""Packing (PacGAN, Lin et al. 2018)."""

from torch import Tensor
from typing_extensions import override

from ganlib.remedies.remedy import ActingRemedy, Seen, Setting
from ganlib.spec.remedies import Packing


def pack(samples: Tensor, size: int) -> Tensor:
    """[n, c, *rest] → [n // size, size·c, *rest]; what does not fill a pack is left out."""
    packs, (_, channels, *rest) = len(samples) // size, samples.shape
    return samples[: packs * size].reshape(packs, size * channels, *rest)


class PackingRemedy(ActingRemedy):
    """Shows the discriminator several samples at once."""

    def __init__(self, part: Packing, setting: Setting) -> None:
        self.size = part.samples

    @override
    def view(self, samples: Tensor, seen: Seen, index: int) -> Tensor:
        """Samples [n, *shape] as packs."""
        return pack(samples, self.size)
