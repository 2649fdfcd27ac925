# pyright: standard
"""How hard each layer is pulled: norms of gradients over norms of weights, layer by layer.

A gradient that vanishes or explodes on its way through the layers shows here, and not in the norm of the whole.
"""

from collections import deque

import torch
from torch import Tensor, nn

from ganlib.records import GRADIENT_UPDATES, LayerGradients


class LayerNorms:
    """The gradient of one network, by parameter. A layer is a parameter with two or more dimensions."""

    def __init__(self, network: nn.Module) -> None:
        self.parameters = list(network.parameters())
        self.layers = [name for name, p in network.named_parameters() if p.dim() > 1]
        self.places: Tensor | None = None
        """[layers] where they stand among the parameters, on their device; made once, for making it waits for a GPU."""
        self.last: Tensor | None = None
        """[layers] norms of the last gradient that was taken; 0 for a layer that had none."""

    @torch.no_grad()
    def take(self) -> Tensor:
        """Look at the gradient that is there; the norm of the whole."""
        gradients = [torch.zeros((), device=p.device) if p.grad is None else p.grad for p in self.parameters]
        norms = torch.stack(_norms(gradients))
        if self.places is None:
            layers = [place for place, p in enumerate(self.parameters) if p.dim() > 1]
            self.places = torch.tensor(layers, device=norms.device)
        self.last = norms[self.places]
        return torch.linalg.vector_norm(norms)

    @torch.no_grad()
    def weights(self) -> Tensor:
        """[layers] norms of the weights."""
        return torch.stack(_norms([p for p in self.parameters if p.dim() > 1]))


class GradientTrace:
    """The last updates of one epoch. Holds nothing over its end, so that a resume needs nothing."""

    def __init__(self, **networks: LayerNorms) -> None:
        self.networks = networks
        self.norms: deque[list[Tensor]] = deque(maxlen=GRADIENT_UPDATES)

    def begin_epoch(self) -> None:
        """Forgets the epoch before."""
        self.norms.clear()

    def add(self) -> None:
        """Remembers the gradients of this step, of the last GRADIENT_UPDATES at most."""
        self.norms.append([n.last for n in self.networks.values() if n.last is not None])

    def measured(self, step: int) -> LayerGradients:
        """The layers' median gradients over the remembered steps, over their weights' norms after `step` steps."""
        ratios: dict[str, float] = {}
        for index, (name, network) in enumerate(self.networks.items()):
            gradients = torch.stack([norms[index] for norms in self.norms]).double()
            shares = gradients.quantile(0.5, dim=0) / network.weights().double().clamp(min=TINY)
            ratios |= {f"{name}.{layer}": share for layer, share in zip(network.layers, shares.tolist(), strict=True)}
        return LayerGradients(step=step, ratios=ratios)


def _norms(tensors: list[Tensor]) -> tuple[Tensor, ...]:
    # One call for all, as torch.nn.utils.get_total_norm makes it: a call a layer costs 2 % of a small training.
    return torch._foreach_norm(tensors)  # pyright: ignore[reportPrivateImportUsage]


TINY = 1e-30  # of a layer whose weights are all 0
