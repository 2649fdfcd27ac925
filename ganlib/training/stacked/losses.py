# pyright: standard
"""What each member of a stack minimises: the objectives of `ganlib.objectives`, a row of logits each."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from ganlib.objectives.label_smoothing import smoothed
from ganlib.objectives.loss import GanLoss

VECTOR = 32
"""Logits that a CPU may compute at once: what is left over is computed in another way, to another last bit."""
MOST_AT_ONCE = 16_384
"""Logits; of more, torch may let several threads compute parts that begin anywhere."""


class StackedLoss:
    """The sides of an adversarial loss for n members, each from logits [n, batch] to losses [n]."""

    def __init__(self, loss: GanLoss, targets: Tensor | None) -> None:
        """`targets`: [n] for reals, of smoothed labels; None: they are not smoothed."""
        self.loss, self.targets = loss, targets

    def real(self, logits: Tensor) -> Tensor:
        """The discriminators' losses on reals."""
        if self.targets is None:
            return _means(self.loss.real, logits)

        def side(values: Tensor, target: Tensor) -> Tensor:
            return smoothed(self.loss, target).real(values)

        return _means(side, logits, self.targets)

    def fake(self, logits: Tensor) -> Tensor:
        """The discriminators' losses on fakes."""
        return _means(self.loss.fake, logits)

    def generator(self, logits: Tensor) -> Tensor:
        """The generators' losses on their fakes."""
        return _means(self.loss.generator, logits)


def _means(side: Callable[..., Tensor], logits: Tensor, targets: Tensor | None = None) -> Tensor:
    """[n] mean of a loss over each row of logits [n, batch]; targets [n]."""
    count = logits.shape[1]
    padded = functional.pad(logits, (0, -count % VECTOR))[:, :, None]
    rows = max(1, MOST_AT_ONCE // padded.shape[1])
    # over each logit by itself: a loss is the mean over what it is given
    each = torch.vmap(torch.vmap(side, in_dims=(0, None) if targets is not None else 0))
    parts = (padded.split(rows),) if targets is None else (padded.split(rows), targets.split(rows))
    values = torch.cat([each(*part) for part in zip(*parts, strict=True)])
    return values[:, :count].mean(1)


@torch.no_grad()
def areas_under_curves(real: Tensor, fake: Tensor) -> Tensor:
    """[n] chance that one of a row's real logits [n, batch] is above one of its fake ones: see `area_under_curve`."""
    values, fakes = real.detach().contiguous(), fake.detach().sort(1).values
    below = torch.searchsorted(fakes, values) + torch.searchsorted(fakes, values, right=True)
    return below.float().mean(1) / (2 * fakes.shape[1]) + 0 * (values.sum(1) + fakes.sum(1))
