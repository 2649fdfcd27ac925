"""The published generator and discriminator for 28 x 28 images: two (transposed) convolutions of stride 2."""

from torch import Tensor, nn

from ganlib.networks.layers import norm_layer
from ganlib.spec import ConvDiscriminator, DeconvGenerator


class Deconv(nn.Module):
    """[n, latent_dim] → [n, channels, side, side] in [-1, 1]."""

    def __init__(self, spec: DeconvGenerator, shape: tuple[int, ...]) -> None:
        super().__init__()
        channels, side = shape[0], shape[-1]
        self.start = (spec.width, side // 4, side // 4)
        self.project = nn.Linear(spec.latent_dim, spec.width * (side // 4) ** 2)
        self.up1 = _double(spec)
        self.norm1 = norm_layer(spec.norm, spec.width)
        self.up2 = _double(spec)
        self.norm2 = norm_layer(spec.norm, spec.width)
        self.last = nn.Conv2d(spec.width, channels, spec.last_kernel_size, padding="same")
        self.activation = nn.LeakyReLU(spec.leaky_slope)

    def forward(self, latent: Tensor) -> Tensor:
        """[n, latent_dim] → [n, channels, side, side] in [-1, 1]."""
        hidden = self.activation(self.project(latent)).view(-1, *self.start)
        hidden = self.activation(self.norm1(self.up1(hidden)))
        hidden = self.activation(self.norm2(self.up2(hidden)))
        return self.last(hidden).tanh()


class Conv(nn.Module):
    """[n, channels, side, side] → [n] logits."""

    def __init__(self, spec: ConvDiscriminator, shape: tuple[int, ...]) -> None:
        super().__init__()
        channels, side = shape[0], shape[-1]
        pad = (spec.kernel_size - 1) // 2  # halves the side for odd and even kernels alike
        self.down1 = nn.Conv2d(channels, spec.width, spec.kernel_size, stride=2, padding=pad)
        self.norm1 = norm_layer(spec.norm, spec.width)
        self.down2 = nn.Conv2d(spec.width, spec.width, spec.kernel_size, stride=2, padding=pad)
        self.norm2 = norm_layer(spec.norm, spec.width)
        self.last = nn.Linear(spec.width * (side // 4) ** 2, 1)
        self.activation = nn.LeakyReLU(spec.leaky_slope)

    def forward(self, samples: Tensor) -> Tensor:
        """[n, channels, side, side] → [n] logits."""
        return self.last(self.features(samples)).squeeze(1)

    def features(self, samples: Tensor) -> Tensor:
        """[n, channels, side, side] → [n, d] what the last layer sees."""
        hidden = self.activation(self.norm1(self.down1(samples)))
        hidden = self.activation(self.norm2(self.down2(hidden)))
        return hidden.flatten(1)


def _double(spec: DeconvGenerator) -> nn.ConvTranspose2d:
    """A transposed convolution that doubles the side whatever its kernel."""
    pad, odd = (spec.kernel_size - 1) // 2, spec.kernel_size % 2
    return nn.ConvTranspose2d(spec.width, spec.width, spec.kernel_size, stride=2, padding=pad, output_padding=odd)
