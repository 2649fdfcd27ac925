# pyright: standard
"""The published trainings as a reader of the articles writes them in plain PyTorch: the yardstick of speed.

A DataLoader whose samples are PIL images, networks in torch's own memory layout, float32, default Adam, losses on a
sigmoid's probabilities, numbers read with `.item()` every step. Nothing of `ganlib` is used.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Subset
from torchvision import datasets, transforms

RATE, BETAS = 2e-4, (0.5, 0.999)


def mnist_steps(data_dir: Path, batch: int, device: torch.device) -> Iterator[None]:
    """Of `mnist-stable`: reals and fakes in one discriminator update; a step each time."""
    generator, discriminator = _generator(128, 3, has_norm=False).to(device), _discriminator(has_norm=False).to(device)
    optimizers = [torch.optim.Adam(n.parameters(), lr=RATE, betas=BETAS) for n in (generator, discriminator)]
    criterion, sums = nn.BCELoss(), [0.0, 0.0]
    for reals in _batches(data_dir, batch, digit=None):
        real = reals.to(device)
        ones, zeros = torch.ones(len(real), 1, device=device), torch.zeros(len(real), 1, device=device)
        optimizers[1].zero_grad()
        fakes = generator(torch.randn(len(real), 128, device=device))
        d_loss = criterion(discriminator(real), ones) + criterion(discriminator(fakes.detach()), zeros)
        d_loss.backward()
        optimizers[1].step()
        optimizers[0].zero_grad()
        g_loss = criterion(discriminator(generator(torch.randn(len(real), 128, device=device))), ones)
        g_loss.backward()
        optimizers[0].step()
        sums[0] += d_loss.item()
        sums[1] += g_loss.item()
        yield


def digit8_steps(data_dir: Path, batch: int, device: torch.device) -> Iterator[None]:
    """Of `digit8-stable`: a discriminator update on half a batch of reals, one on as many fakes; a step each time."""
    half = batch // 2
    generator, discriminator = _generator(50, 7, has_norm=True).to(device), _discriminator(has_norm=True).to(device)
    optimizers = [torch.optim.Adam(n.parameters(), lr=RATE, betas=BETAS, eps=1e-7) for n in (generator, discriminator)]
    criterion = nn.BCELoss()
    ones, zeros = torch.ones(half, 1, device=device), torch.zeros(half, 1, device=device)
    for reals in _batches(data_dir, half, digit=8):
        optimizers[1].zero_grad()
        on_reals = discriminator(reals.to(device))
        real_loss = criterion(on_reals, ones)
        real_loss.backward()
        optimizers[1].step()
        optimizers[1].zero_grad()
        on_fakes = discriminator(generator(torch.randn(half, 50, device=device)).detach())
        fake_loss = criterion(on_fakes, zeros)
        fake_loss.backward()
        optimizers[1].step()
        optimizers[0].zero_grad()
        g_loss = criterion(discriminator(generator(torch.randn(batch, 50, device=device))), torch.cat([ones, ones]))
        g_loss.backward()
        optimizers[0].step()
        accuracies = (on_reals > 0.5).float().mean(), (on_fakes < 0.5).float().mean()
        _ = [value.item() for value in (real_loss, fake_loss, g_loss, *accuracies)]
        yield


STEPS: dict[str, Callable[[Path, int, torch.device], Iterator[None]]] = {
    "digit8-stable": digit8_steps,
    "mnist-stable": mnist_steps,
}
"""By preset."""


def _batches(data_dir: Path, batch: int, digit: int | None) -> Iterator[Tensor]:
    """[batch, 1, 28, 28] in [-1, 1], for ever, in a new order each pass."""
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))])
    samples: Dataset[tuple[Tensor, int]] = datasets.MNIST(str(data_dir), train=True, transform=transform)
    if digit is not None:
        chosen = (samples.targets == digit).nonzero().flatten().tolist()  # pyright: ignore[reportAttributeAccessIssue]
        samples = Subset(samples, chosen)
    loader = DataLoader(samples, batch_size=batch, shuffle=True, drop_last=True)
    while True:
        for images, _ in loader:
            yield images


def _generator(latent_dim: int, last_kernel: int, *, has_norm: bool) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(latent_dim, 128 * 7 * 7),
        nn.LeakyReLU(0.2),
        nn.Unflatten(1, (128, 7, 7)),
        nn.ConvTranspose2d(128, 128, 4, stride=2, padding=1),
        *_after(128, has_norm=has_norm),
        nn.ConvTranspose2d(128, 128, 4, stride=2, padding=1),
        *_after(128, has_norm=has_norm),
        nn.Conv2d(128, 1, last_kernel, padding=last_kernel // 2),
        nn.Tanh(),
    )


def _discriminator(*, has_norm: bool) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 64, 4, stride=2, padding=1),
        *_after(64, has_norm=has_norm),
        nn.Conv2d(64, 64, 4, stride=2, padding=1),
        *_after(64, has_norm=has_norm),
        nn.Flatten(),
        nn.Linear(64 * 7 * 7, 1),
        nn.Sigmoid(),
    )


def _after(channels: int, *, has_norm: bool) -> list[nn.Module]:
    norm = [nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)] if has_norm else []
    return [*norm, nn.LeakyReLU(0.2)]
