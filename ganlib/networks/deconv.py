"""The published generator: transposed convolutions that double the side, generalised to any number of layers."""

from torch import Tensor, nn
from typing_extensions import override

from ganlib.networks.dropout import dropout
from ganlib.networks.few_outputs import convolution_to_few
from ganlib.networks.frame import Frame, with_class
from ganlib.networks.layers import double_side, keep_side, leaky, norm_layer
from ganlib.spec.checks.networks import halvings
from ganlib.spec.networks import DeconvGenerator


class Deconv(nn.Module):
    """[n, latent_dim] → [n, channels, side, side] in [-1, 1]."""

    def __init__(self, spec: DeconvGenerator, frame: Frame) -> None:
        super().__init__()
        channels, side = frame.shape[0], frame.shape[-1]
        doublings = min(spec.layers, halvings(side))
        self.classes = frame.classes
        self.start = (spec.width, side >> doublings, side >> doublings)
        self.project = nn.Linear(spec.latent_dim + frame.classes, spec.width * (side >> doublings) ** 2)
        self.activation = leaky(spec.leaky_slope)
        kinds = [keep_side] * (spec.layers - doublings) + [double_side] * doublings
        self.hidden = nn.Sequential(
            *(
                nn.Sequential(
                    kind(spec.width, spec.width, spec.kernel_size),
                    norm_layer(spec.norm, spec.width),
                    leaky(spec.leaky_slope),
                    dropout(spec.dropout),
                )
                for kind in kinds
            )
        )
        self.last = convolution_to_few(spec.width, channels, spec.last_kernel_size)

    @override
    def forward(self, latent: Tensor, labels: Tensor | None = None) -> Tensor:
        """[n, latent_dim] → [n, channels, side, side] in [-1, 1]."""
        first = self.activation(self.project(with_class(latent, labels, self.classes)))
        return self.last(self.hidden(first.view(-1, *self.start))).tanh()
