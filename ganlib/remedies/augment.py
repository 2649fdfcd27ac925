# pyright: standard
"""Differentiable augmentations of images [n, c, h, w], each drawn by uniform numbers in [0, 1) (Zhao et al. 2020)."""

import torch
from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from ganlib.remedies.remedy import ActingRemedy, Seen, Setting, draw_number
from ganlib.seeding import Stream, torch_generator
from ganlib.spec.remedies import DiffAugment

DRAWS = 7
"""Uniform numbers a sample: three for its colours, two for its translation, two for its cutout."""


def colour(images: Tensor, uniforms: Tensor) -> Tensor:
    """Brightness, saturation and contrast changed by uniforms [3, n]."""
    brightness, saturation, contrast = uniforms[:, :, None, None, None]
    images = images + (brightness - 0.5)
    grey = images.mean(1, keepdim=True)
    images = (images - grey) * (2 * saturation) + grey
    level = images.mean((1, 2, 3), keepdim=True)
    return (images - level) * (contrast + 0.5) + level


def translation(images: Tensor, uniforms: Tensor, share: float) -> Tensor:
    """Moved by whole pixels, at most `share` of the side either way, by uniforms [2, n]; zeros move in."""
    height, width = images.shape[2:]
    reach = [int(side * share + 0.5) for side in (height, width)]
    padded = functional.pad(images, (reach[1], reach[1], reach[0], reach[0]))
    top, left = ((u * (2 * r + 1)).long() for u, r in zip(uniforms, reach, strict=True))
    rows = top[:, None] + torch.arange(height, device=images.device)
    columns = left[:, None] + torch.arange(width, device=images.device)
    numbers = torch.arange(len(images), device=images.device)
    return padded.permute(0, 2, 3, 1)[numbers[:, None, None], rows[:, :, None], columns[:, None]].permute(0, 3, 1, 2)


def cutout(images: Tensor, uniforms: Tensor, share: float) -> Tensor:
    """A square of `share` of the side set to 0, its centre anywhere in the image, by uniforms [2, n]."""
    inside = []
    for u, side in zip(uniforms, images.shape[2:], strict=True):
        size = int(side * share + 0.5)
        first = (u * (side + 1 - size % 2)).long() - size // 2
        place = torch.arange(side, device=images.device)
        inside.append((place >= first[:, None]) & (place < first[:, None] + size))
    return images * ~(inside[0][:, None, :, None] & inside[1][:, None, None, :])


def augmented(images: Tensor, uniforms: Tensor, part: DiffAugment, done: Tensor | None = None) -> Tensor:
    """Images after the part's operations, by uniforms [DRAWS, n]; `done` [3, n] says to which samples each is done."""
    steps = {
        "colour": lambda x: colour(x, uniforms[:3]),
        "translation": lambda x: translation(x, uniforms[3:5], part.translation),
        "cutout": lambda x: cutout(x, uniforms[5:], part.cutout),
    }
    for number, (name, step) in enumerate(steps.items()):
        if name in part.ops:
            changed = step(images)
            images = changed if done is None else torch.where(done[number][:, None, None, None], changed, images)
    return images


class DiffAugmentRemedy(ActingRemedy):
    """Augments everything that the discriminator sees."""

    def __init__(self, part: DiffAugment, setting: Setting) -> None:
        self.part, self.seed = part, setting.spec.seed

    @override
    def view(self, samples: Tensor, seen: Seen, index: int) -> Tensor:
        """Images [n, c, h, w], augmented."""
        generator = torch_generator(self.seed, Stream.DIFF_AUGMENT, draw_number(seen, index))
        return augmented(samples, torch.rand(DRAWS, len(samples), generator=generator).to(samples.device), self.part)
