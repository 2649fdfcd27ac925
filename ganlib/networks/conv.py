"""The published discriminator: convolutions that halve the side, generalised to any number of layers."""

from torch import Tensor, nn
from typing_extensions import override

from ganlib.networks.dropout import dropout
from ganlib.networks.frame import Frame, with_planes
from ganlib.networks.head import Head, appended_classes
from ganlib.networks.layers import halve_side, keep_side, leaky, norm_layer
from ganlib.spec.checks.networks import halvings
from ganlib.spec.networks import ConvDiscriminator


class Conv(nn.Module):
    """[n, channels, side, side] → [n] logits."""

    def __init__(self, spec: ConvDiscriminator, frame: Frame) -> None:
        super().__init__()
        channels, side = frame.shape[0], frame.shape[-1]
        halved = min(spec.layers, halvings(side))
        self.planes = appended_classes(spec, frame.classes)
        kinds = [halve_side] * halved + [keep_side] * (spec.layers - halved)
        inputs = [channels + self.planes, *[spec.width] * (spec.layers - 1)]
        self.hidden = nn.Sequential(
            *(
                nn.Sequential(
                    kind(size, spec.width, spec.kernel_size),
                    norm_layer(spec.norm, spec.width),
                    leaky(spec.leaky_slope),
                    dropout(spec.dropout),
                )
                for kind, size in zip(kinds, inputs, strict=True)
            )
        )
        self.head = Head(spec, spec.width * (side >> halved) ** 2, frame.classes)

    @override
    def forward(self, samples: Tensor, labels: Tensor | None = None) -> Tensor:
        """[n, channels, side, side] → [n] logits."""
        return self.head(self.features(samples, labels), labels)

    def features(self, samples: Tensor, labels: Tensor | None = None) -> Tensor:
        """[n, channels, side, side] → [n, d] what the last layer sees of each sample alone."""
        return self.hidden(with_planes(samples, labels, self.planes)).flatten(1)
