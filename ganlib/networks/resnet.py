"""SNGAN's residual networks. Source: Miyato et al. 2018, appendix B.4, there for 32 pixels."""

from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from ganlib.networks.dropout import dropout
from ganlib.networks.few_outputs import convolution_to_few
from ganlib.networks.frame import Frame, with_class, with_planes
from ganlib.networks.head import Head, appended_classes
from ganlib.networks.layers import keep_side, leaky, norm_layer
from ganlib.spec.checks.networks import halvings
from ganlib.spec.networks import ResnetDiscriminator, ResnetGenerator


class ResnetG(nn.Module):
    """[n, latent_dim] → [n, channels, side, side] in [-1, 1]."""

    def __init__(self, spec: ResnetGenerator, frame: Frame) -> None:
        super().__init__()
        channels, side = frame.shape[0], frame.shape[-1]
        doublings = min(spec.layers, halvings(side))
        self.classes = frame.classes
        self.start = (spec.width, side >> doublings, side >> doublings)
        self.project = nn.Linear(spec.latent_dim + frame.classes, spec.width * (side >> doublings) ** 2)
        self.blocks = nn.Sequential(
            *(UpBlock(spec, doubles=i >= spec.layers - doublings) for i in range(spec.layers)),
            norm_layer(spec.norm, spec.width),
            leaky(spec.leaky_slope),
        )
        last = convolution_to_few if spec.kernel_size % 2 else keep_side
        self.last = last(spec.width, channels, spec.kernel_size)

    @override
    def forward(self, latent: Tensor, labels: Tensor | None = None) -> Tensor:
        """[n, latent_dim] → [n, channels, side, side] in [-1, 1]."""
        first = self.project(with_class(latent, labels, self.classes)).view(-1, *self.start)
        return self.last(self.blocks(first)).tanh()


class UpBlock(nn.Module):
    """norm → activation → (doubling) → convolution → norm → activation → convolution, plus the (doubled) input."""

    def __init__(self, spec: ResnetGenerator, *, doubles: bool) -> None:
        super().__init__()
        self.factor = 2 if doubles else 1
        # a LeakyReLU of its own memory: without a norm it would write over the shortcut's input
        self.before = nn.Sequential(norm_layer(spec.norm, spec.width), nn.LeakyReLU(spec.leaky_slope))
        self.after = nn.Sequential(
            keep_side(spec.width, spec.width, spec.kernel_size),
            norm_layer(spec.norm, spec.width),
            leaky(spec.leaky_slope),
            dropout(spec.dropout),
            keep_side(spec.width, spec.width, spec.kernel_size),
        )
        self.shortcut = nn.Conv2d(spec.width, spec.width, 1) if doubles else nn.Identity()

    @override
    def forward(self, images: Tensor) -> Tensor:
        """[n, width, s, s] → [n, width, 2s, 2s], or s where it keeps the side."""
        return self.after(self._enlarged(self.before(images))) + self.shortcut(self._enlarged(images))

    def _enlarged(self, images: Tensor) -> Tensor:
        return functional.interpolate(images, scale_factor=2, mode="nearest") if self.factor == 2 else images


class ResnetD(nn.Module):
    """[n, channels, side, side] → [n] logits."""

    def __init__(self, spec: ResnetDiscriminator, frame: Frame) -> None:
        super().__init__()
        halved = min(max(spec.layers - 2, 1), halvings(frame.shape[-1]))
        self.planes = appended_classes(spec, frame.classes)
        inputs = [frame.shape[0] + self.planes, *[spec.width] * (spec.layers - 1)]
        self.blocks = nn.Sequential(
            *(DownBlock(spec, size, first=i == 0, halves=i < halved) for i, size in enumerate(inputs)),
            leaky(spec.leaky_slope),
        )
        self.head = Head(spec, spec.width, frame.classes)

    @override
    def forward(self, samples: Tensor, labels: Tensor | None = None) -> Tensor:
        """[n, channels, side, side] → [n] logits."""
        return self.head(self.features(samples, labels), labels)

    def features(self, samples: Tensor, labels: Tensor | None = None) -> Tensor:
        """[n, channels, side, side] → [n, width] what the last layer sees of each sample alone."""
        return self.blocks(with_planes(samples, labels, self.planes)).sum((2, 3))


class DownBlock(nn.Module):
    """activation → convolution → activation → convolution → (halving), plus the (halved) input.

    The first block has no activation before its first convolution: that would cut away the dark half of the pixels.
    """

    def __init__(self, spec: ResnetDiscriminator, inputs: int, *, first: bool, halves: bool) -> None:
        super().__init__()
        # a LeakyReLU of its own memory, as in `UpBlock`
        self.before = (
            nn.Identity() if first else nn.Sequential(norm_layer(spec.norm, inputs), nn.LeakyReLU(spec.leaky_slope))
        )
        self.after = nn.Sequential(
            keep_side(inputs, spec.width, spec.kernel_size),
            norm_layer(spec.norm, spec.width),
            leaky(spec.leaky_slope),
            dropout(spec.dropout),
            keep_side(spec.width, spec.width, spec.kernel_size),
        )
        self.shortcut = nn.Conv2d(inputs, spec.width, 1) if first or halves else nn.Identity()
        self.pool = nn.AvgPool2d(2) if halves else nn.Identity()

    @override
    def forward(self, images: Tensor) -> Tensor:
        """[n, inputs, s, s] → [n, width, s / 2, s / 2], or s where it keeps the side."""
        # pooling and a 1 x 1 convolution may change places; pooled first is four times cheaper
        return self.pool(self.after(self.before(images))) + self.shortcut(self.pool(images))
