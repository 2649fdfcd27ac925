# pyright: standard
"""A trainer that knows nothing of ours: a loop as tutorials of DCGAN have it, which logs as they do.

    trained = train("healthy", seed=0, steps=450)
    trained.save(folder)                          # history.csv, fakes.npz, real.npz

    python -m bench.foreign.plain_loop healthy 0 450 folder
    ganclinic diagnose folder/history.csv --d-loss sum --fakes folder/fakes.npz --real folder/real.npz

The networks end in a sigmoid, the loss is `BCELoss`, and the log has a row a step: `Loss_D`, the sum of the
discriminator's losses on reals and fakes; `Loss_G`; `D(x)`, and `D(G(z1))` and `D(G(z2))` before and after the
discriminator's update, which are mean probabilities. What such a log leaves out is kept apart, for `truth`.
"""

import csv
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ganlib.data.load import load_dataset
from ganlib.data.mixtures import draw_mixture
from ganlib.records import STEP_COLUMNS
from ganlib.spec.preset import get_preset

NUM_FAKES = 1000
NUM_POINTS = 5000
COLUMNS = ("epoch", "iter", "Loss_D", "Loss_G", "D(x)", "D(G(z1))", "D(G(z2))")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What is trained, and what is done wrong, if anything."""

    data: Literal["ring8", "eights"] = "ring8"
    latent_dim: int = 16
    generator_rate: float = 1e-3
    discriminator_rate: float = 1e-3
    beta1: float = 0.5
    width: int = 128
    batch: int = 128
    loss: type[nn.Module] = nn.BCELoss
    labels: tuple[float, float] = (1.0, 0.0)
    """What the discriminator is taught of reals and of fakes."""
    scaled: bool = True
    """Whether the reals' pixels were taken from [0, 1] to [-1, 1], where the generator's lie."""


DIGITS = Kind(data="eights", latent_dim=100, generator_rate=2e-4, discriminator_rate=2e-4, width=16, batch=64)
KINDS: dict[str, Kind] = {
    "healthy": DIGITS,
    "latent of 1": replace(DIGITS, latent_dim=1),
    "points": Kind(),
    "discriminator wins": Kind(generator_rate=1e-6),
    "large rate": Kind(generator_rate=1e3, discriminator_rate=1e3),
    "fast generator": Kind(generator_rate=1e-2),
    "swapped labels": Kind(labels=(0.0, 1.0)),
    "squashed twice": Kind(loss=nn.BCEWithLogitsLoss),
    "unscaled reals": replace(DIGITS, scaled=False),
}
"""`points` is balanced, and takes thousands of steps before its samples lie in the narrow modes.

Mistakes of such loops: `swapped labels` teaches the discriminator that reals are 0 and fakes 1, and the generator still
wants 1; `squashed twice` has a sigmoid in the network and another in the loss; `unscaled reals` leaves out what
takes pixels from [0, 1] to [-1, 1].
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What a training leaves behind."""

    history: dict[str, list[float]]
    """By column of the log, a value a step."""
    fakes: dict[int, NDArray[np.float32]]
    """Epoch → NUM_FAKES fakes; 0 is the untrained generator."""
    real: NDArray[np.float32]
    """[n, d] points, or [n, 1, 28, 28] images in [-1, 1], or as the kind has them."""
    unlogged: NDArray[np.float32]
    """[steps, len(STEP_COLUMNS)] what the log does not have; accuracies by the labels that are taught."""

    def save(self, folder: Path) -> None:
        """Writes history.csv, fakes.npz and real.npz."""
        with (folder / "history.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(self.history)
            writer.writerows(zip(*self.history.values(), strict=True))
        arrays = {f"epoch_{epoch}": fakes for epoch, fakes in self.fakes.items()}
        np.savez(folder / "fakes.npz", **arrays)  # pyright: ignore[reportArgumentType]  (its own stub)
        np.savez(folder / "real.npz", self.real)


def train(kind: str, seed: int, steps: int, epochs: int = 8) -> Trained:
    """Trains for so many steps on one thread, with fakes kept after each of `epochs` equal parts."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # networks this small gain nothing from more
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return _train(KINDS[kind], seed, steps, max(1, steps // epochs))
    finally:
        torch.set_num_threads(threads)


def _train(kind: Kind, seed: int, steps: int, per_epoch: int) -> Trained:
    real = torch.from_numpy(_load(kind, seed))
    generator, discriminator = (_points if kind.data == "ring8" else _images)(kind)
    betas = (kind.beta1, 0.999)
    optimizer_d = torch.optim.Adam(discriminator.parameters(), lr=kind.discriminator_rate, betas=betas)
    optimizer_g = torch.optim.Adam(generator.parameters(), lr=kind.generator_rate, betas=betas)
    history: dict[str, list[float]] = {name: [] for name in COLUMNS}
    unlogged: list[list[float]] = []

    def noise(count: int) -> Tensor:
        return torch.randn(count, kind.latent_dim)

    fakes = {0: _draw(generator, noise)}
    for step in range(steps):
        batch = real[torch.randint(len(real), (kind.batch,))]
        row, unseen = _update(kind, generator, discriminator, optimizer_g, optimizer_d, batch, noise(kind.batch))
        unlogged.append([unseen[name] for name in STEP_COLUMNS])
        for name, value in zip(COLUMNS, (step // per_epoch, step % per_epoch, *row), strict=True):
            history[name].append(value)
        if (step + 1) % per_epoch == 0:
            fakes[(step + 1) // per_epoch] = _draw(generator, noise)
    return Trained(
        history=history, fakes=fakes, real=real.numpy(), unlogged=np.array(unlogged, np.float32).reshape(steps, -1)
    )


def _update(
    kind: Kind,
    generator: nn.Module,
    discriminator: nn.Module,
    optimizer_g: torch.optim.Optimizer,
    optimizer_d: torch.optim.Optimizer,
    batch: Tensor,
    latents: Tensor,
) -> tuple[tuple[float, ...], dict[str, float]]:
    """One step of each network; what the log says of it, and what it does not, by STEP_COLUMNS."""
    loss = kind.loss()
    ones = torch.ones(len(batch))
    label_real, label_fake = (label * ones for label in kind.labels)
    optimizer_d.zero_grad()
    on_real = discriminator(batch).flatten()
    loss_real = _loss(loss, on_real, label_real)
    loss_real.backward()
    fake = generator(latents)
    on_fake = discriminator(fake.detach()).flatten()
    loss_fake = _loss(loss, on_fake, label_fake)
    loss_fake.backward()
    norm_d = _norm(discriminator)
    optimizer_d.step()
    optimizer_g.zero_grad()
    again = discriminator(fake).flatten()
    loss_g = _loss(loss, again, ones)
    loss_g.backward()
    optimizer_g.step()
    seen = (loss_real + loss_fake, loss_g, on_real.mean(), on_fake.mean(), again.mean())
    unseen = {
        "d_loss_real": loss_real,
        "d_loss_fake": loss_fake,
        "g_loss": loss_g,
        "d_acc_real": _accuracy(on_real, label_real),
        "d_acc_fake": _accuracy(on_fake, label_fake),
        "d_grad_norm": norm_d,
        "g_grad_norm": _norm(generator),
        "d_auc": _area(on_real, on_fake),
    }
    return tuple(map(_number, seen)), {name: _number(value) for name, value in unseen.items()}


def _number(value: Tensor) -> float:
    return float(value.detach())


def _accuracy(given: Tensor, labels: Tensor) -> Tensor:
    return ((given > 0.5) == (labels > 0.5)).float().mean()


def _area(on_real: Tensor, on_fake: Tensor) -> Tensor:
    """The chance that a real is given more than a fake; ties count half."""
    return (torch.sign(on_real[:, None] - on_fake[None]).mean() + 1) / 2


def _norm(network: nn.Module) -> Tensor:
    return torch.stack([p.grad.norm() for p in network.parameters() if p.grad is not None]).norm()


def _loss(loss: Callable[[Tensor, Tensor], Tensor], given: Tensor, wanted: Tensor) -> Tensor:
    """`BCELoss` refuses what is no number; a log has it."""
    return loss(given, wanted) if torch.isfinite(given).all() else given.sum() * torch.nan


@torch.no_grad()
def _draw(generator: nn.Module, noise: Callable[[int], Tensor]) -> NDArray[np.float32]:
    return torch.cat([generator(noise(250)) for _ in range(NUM_FAKES // 250)]).numpy()


def _load(kind: Kind, seed: int) -> NDArray[np.float32]:
    if kind.data == "ring8":
        return draw_mixture("ring8", NUM_POINTS, np.random.default_rng(seed))[0]
    spec = get_preset("digit8-stable").spec.dataset
    images = load_dataset(spec.model_copy(update={"name": "mnist-5k"}), Path(), seed).samples
    pixels = images.astype(np.float32) / np.float32(127.5) - 1
    return pixels if kind.scaled else (pixels + 1) / 2


def _points(settings: Kind) -> tuple[nn.Module, nn.Module]:
    width = settings.width

    def tower(inputs: int, outputs: int) -> list[nn.Module]:
        return [
            nn.Linear(inputs, width),
            nn.LeakyReLU(0.2),
            nn.Linear(width, width),
            nn.LeakyReLU(0.2),
            nn.Linear(width, outputs),
        ]

    return nn.Sequential(*tower(settings.latent_dim, 2)), nn.Sequential(*tower(2, 1), nn.Sigmoid())


def _images(settings: Kind) -> tuple[nn.Module, nn.Module]:
    """From 7 x 7 to 28 x 28 pixels, and back."""
    width = settings.width
    generator = nn.Sequential(
        nn.Linear(settings.latent_dim, 2 * width * 7 * 7),
        nn.Unflatten(1, (2 * width, 7, 7)),
        nn.BatchNorm2d(2 * width),
        nn.ReLU(),
        nn.ConvTranspose2d(2 * width, width, 4, 2, 1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.ConvTranspose2d(width, 1, 4, 2, 1),
        nn.Tanh(),
    )
    discriminator = nn.Sequential(
        nn.Conv2d(1, width, 4, 2, 1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(width, 2 * width, 4, 2, 1, bias=False),
        nn.BatchNorm2d(2 * width),
        nn.LeakyReLU(0.2),
        nn.Flatten(),
        nn.Linear(2 * width * 7 * 7, 1),
        nn.Sigmoid(),
    )
    for module in (*generator.modules(), *discriminator.modules()):
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, 0.02)
    return generator, discriminator


def main() -> None:
    """kind, seed, steps, folder."""
    kind, seed, steps, folder = sys.argv[1:]
    Path(folder).mkdir(parents=True, exist_ok=True)
    train(kind, int(seed), int(steps)).save(Path(folder))


if __name__ == "__main__":
    main()
