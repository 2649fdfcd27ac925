# pyright: standard
"""Augmentation as often as overfitting needs it (Karras et al. 2020)."""

from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from ganlib.remedies.augment import DRAWS, augmented
from ganlib.remedies.remedy import ActingRemedy, Seen, Setting, draw_number
from ganlib.seeding import Stream, torch_generator
from ganlib.spec.remedies import AdaptiveAugment, DiffAugment
from ganlib.training.step import DiscriminatorOutcome


class AdaptiveAugmentRemedy(ActingRemedy):
    """Augments with a probability that follows the discriminator's certainty about reals."""

    def __init__(self, part: AdaptiveAugment, setting: Setting) -> None:
        self.part, self.seed = part, setting.spec.seed
        self.ops = DiffAugment(ops=part.ops)
        device = next(setting.discriminator.parameters()).device
        self.probability = torch.zeros((), device=device)
        """p; on the device, so that following it does not wait for the device."""
        self.signs = torch.zeros((), device=device)
        """Sum of the signs of the reals' logits since p was last changed."""
        self.reals = self.updates = 0
        """Reals and discriminator updates since then."""

    @override
    def view(self, samples: Tensor, seen: Seen, index: int) -> Tensor:
        """Images [n, c, h, w], each operation done to each of them with the present probability."""
        generator = torch_generator(self.seed, Stream.ADAPTIVE_AUGMENT, draw_number(seen, index))
        uniforms = torch.rand(DRAWS + 3, len(samples), generator=generator).to(samples.device)
        return augmented(samples, uniforms[:DRAWS], self.ops, uniforms[DRAWS:] < self.probability)

    @override
    def after_discriminator(self, outcome: DiscriminatorOutcome, *, count: int, step: int) -> None:
        """Counts signs; after every `interval` updates moves p by one notch."""
        self.signs = self.signs + (2 * outcome.acc_real - 1) * count  # a logit above 0 counts 1, any other -1
        self.reals, self.updates = self.reals + count, self.updates + 1
        if self.updates < self.part.interval:
            return
        direction = torch.sign(self.signs / self.reals - self.part.target)
        self.probability = (self.probability + direction * self.reals / self.part.images).clamp(0, 1)
        self.signs = torch.zeros_like(self.signs)
        self.reals = self.updates = 0

    @override
    def state(self) -> dict[str, Any]:
        counts = torch.tensor([self.reals, self.updates])
        return {"probability": self.probability, "signs": self.signs, "counts": counts}

    @override
    def restore(self, state: dict[str, Any]) -> None:
        self.probability, self.signs = (state[name].to(self.signs.device) for name in ("probability", "signs"))
        self.reals, self.updates = state["counts"].tolist()
