# pyright: standard
"""Penalties on the discriminator's gradient with respect to its inputs.

Each takes `judge`, from samples [n, *shape] to logits of any shape, and returns a scalar that can be differentiated by
the discriminator's weights.
"""

from collections.abc import Callable

import torch
from torch import Tensor

Judge = Callable[[Tensor], Tensor]


def zero_centred(judge: Judge, samples: Tensor) -> Tensor:
    """½·E‖∇D‖² at samples [n, *shape]: R1 on reals, R2 on fakes, to be multiplied by γ.

    Source: Mescheder et al. 2018, equations 9 and 10.
    """
    return _gradient(judge, samples).square().sum(1).mean() / 2


def one_centred(judge: Judge, reals: Tensor, fakes: Tensor, shares: Tensor) -> Tensor:
    """E[(‖∇D‖ − 1)²] at shares·reals + (1 − shares)·fakes, with shares [n] in [0, 1]; to be multiplied by λ.

    Source: Gulrajani et al. 2017, equation 3.
    """
    share = shares.view(-1, *[1] * (reals.dim() - 1))
    norms = torch.linalg.vector_norm(_gradient(judge, share * reals + (1 - share) * fakes), dim=1)
    return (norms - 1).square().mean()


def _gradient(judge: Judge, samples: Tensor) -> Tensor:
    """[n, d] gradient of each sample's summed logits."""
    points = samples.detach().requires_grad_()
    [gradient] = torch.autograd.grad(judge(points).sum(), points, create_graph=True)
    return gradient.flatten(1)
