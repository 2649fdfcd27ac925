# pyright: standard
"""Trainings of points under six objectives, healthy and with planted faults: every step at full precision, kept once.

    python -m bench.foreign.games          # minutes on one core, resumable; .ganclinic/bench/games

Plain loops with networks of two hidden layers on a ring of eight modes; those of one objective run side by side in one
process, each with weights, data and rates of its own. What a step was is kept in SIGNALS; every
trainer's log is written from that (`bench.foreign.writers`), so that a verdict by a log can be held against the verdict
by all that there was. What is true of a training is told by its accuracies of every step and by where its fakes lie.
"""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

KEPT = Path(".ganclinic/bench/games")
SIGNALS = (
    "d_loss_real",
    "d_loss_fake",
    "g_loss",
    "d_acc_real",
    "d_acc_fake",
    "d_auc",
    "g_acc",
    "d_x",
    "d_g_z",
    "d_g_z_after",
    "d_logit_real",
    "d_logit_fake",
    "penalty",
)
"""Of a step: `d_x`, `d_g_z` are mean outputs as a trainer of that objective has them (a sigmoid's where it has one);
`g_acc` the share of fakes called real in the generator's pass; a relativistic objective's losses are of pairs."""
MODES, RADIUS, STD = 8, 1.0, 0.08
BATCH, LATENT, WIDTH = 128, 8, 64
FAKES = 2000

Game = Literal["bce", "lsgan", "hinge", "wgan-gp", "relativistic", "relativistic-hinge"]
Fault = Literal[
    "healthy",
    "discriminator wins",
    "inert",
    "both vanish",
    "collapse",
    "not a number",
    "worse than guessing",
]
GAMES: tuple[Game, ...] = ("bce", "lsgan", "hinge", "wgan-gp", "relativistic", "relativistic-hinge")
STEPS = 1600


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How a training goes about it."""

    generator_rate: float = 1e-3
    discriminator_rate: float = 1e-3
    latent: int = LATENT
    joined: bool = False
    """Whether batch normalisation sees reals and fakes together in the discriminator's update only."""
    climbs: bool = False
    """Whether the discriminator climbs its loss instead of going down."""
    breaks_at: int | None = None
    """The step at which a batch holds a number that is none."""


FAULTS: dict[Fault, Setting] = {
    "healthy": Setting(),
    "discriminator wins": Setting(generator_rate=1e-6),
    "inert": Setting(discriminator_rate=0.0),
    "both vanish": Setting(joined=True),
    "collapse": Setting(latent=1, generator_rate=5e-3),
    "not a number": Setting(breaks_at=1200),
    "worse than guessing": Setting(climbs=True, discriminator_rate=1e-5),
}
SEEDS: dict[Fault, int] = {"healthy": 4}
"""Trainings of each fault and objective in each part, where they are not two."""
Part = Literal["studied", "reported"]
"""What is inferred of objectives was mended by what the studied ones showed; the others were made after that."""
PARTS: dict[Part, tuple[Game, ...]] = {"studied": GAMES, "reported": GAMES[:-1]}
"""With their objectives; the hinge of pairs, the rarest, was studied only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """What a training left behind."""

    game: Game
    fault: Fault
    seed: int
    steps: NDArray[np.float32]
    """[STEPS, len(SIGNALS)]."""
    fakes: NDArray[np.float32]
    """[FAKES, 2] at its end."""

    @property
    def name(self) -> str:
        """What its file is called."""
        return name_of(self.game, self.fault, self.seed)

    def signal(self, name: str) -> NDArray[np.float64]:
        """[STEPS] one signal."""
        return self.steps[:, SIGNALS.index(name)].astype(np.float64)


def name_of(game: Game, fault: Fault, seed: int) -> str:
    """What the file of a training is called."""
    return "-".join([game, *fault.split(), str(seed)])


def planned(part: Part) -> list[tuple[Fault, int]]:
    """Every training of an objective: its fault and its seed."""
    found: list[tuple[Fault, int]] = []
    for fault in get_args(Fault):
        count = SEEDS.get(fault, 2)
        first = list(PARTS).index(part) * count
        found += [(fault, seed) for seed in range(first, first + count)]
    return found


def trainings(game: Game, part: Part) -> list[Training]:
    """All of an objective; they are made where they are not kept yet, all at once."""
    path = KEPT / f"{game}-{part}.npz"
    if not path.exists():
        KEPT.mkdir(parents=True, exist_ok=True)
        made = train(game, planned(part), chance=len(GAMES) * list(PARTS).index(part) + GAMES.index(game))
        arrays = {f"{t.name} {what}": getattr(t, what) for t in made for what in ("steps", "fakes")}
        begun = path.with_suffix(".part.npz")
        np.savez_compressed(begun, **arrays)  # pyright: ignore[reportArgumentType]  (its own stub)
        begun.rename(path)
    with np.load(path) as kept:
        return [
            Training(
                game=game,
                fault=fault,
                seed=seed,
                steps=kept[f"{name_of(game, fault, seed)} steps"],
                fakes=kept[f"{name_of(game, fault, seed)} fakes"],
            )
            for fault, seed in planned(part)
        ]


# --- objectives -------------------------------------------------------------------------------------------------

Loss = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Of logits of reals and of fakes, [k, n] each: the loss on either, [k]."""


def _pairs(loss: Callable[[Tensor], Tensor]) -> Loss:
    """Relativistic average (Jolicoeur-Martineau 2018): each sample against the mean of the others."""
    return lambda real, fake: (
        loss(real - fake.mean(1, keepdim=True)).mean(1),
        loss(real.mean(1, keepdim=True) - fake).mean(1),
    )


D_LOSSES: dict[Game, Loss] = {
    "bce": lambda real, fake: (functional.softplus(-real).mean(1), functional.softplus(fake).mean(1)),
    "lsgan": lambda real, fake: ((real - 1).square().mean(1), fake.square().mean(1)),
    "hinge": lambda real, fake: (functional.relu(1 - real).mean(1), functional.relu(1 + fake).mean(1)),
    "wgan-gp": lambda real, fake: (-real.mean(1), fake.mean(1)),
    "relativistic": _pairs(lambda difference: functional.softplus(-difference)),
    "relativistic-hinge": _pairs(lambda difference: functional.relu(1 - difference)),
}
G_LOSSES: dict[Game, Callable[[Tensor, Tensor], Tensor]] = {
    "bce": lambda real, fake: functional.softplus(-fake).mean(1),
    "lsgan": lambda real, fake: (fake - 1).square().mean(1),
    "hinge": lambda real, fake: -fake.mean(1),
    "wgan-gp": lambda real, fake: -fake.mean(1),
    "relativistic": lambda real, fake: torch.stack(D_LOSSES["relativistic"](fake, real)).mean(0),
    "relativistic-hinge": lambda real, fake: torch.stack(D_LOSSES["relativistic-hinge"](fake, real)).mean(0),
}
CUTS: dict[Game, float] = {"lsgan": 0.5}
"""Above which output a sample is called real, where that is not 0."""


# --- training ---------------------------------------------------------------------------------------------------


def ring(count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """[count, 2] points around eight modes."""
    angles = 2 * np.pi * rng.integers(0, MODES, count) / MODES
    centres = RADIUS * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return (centres + STD * rng.standard_normal((count, 2))).astype(np.float32)


def train(game: Game, members: Sequence[tuple[Fault, int]], steps: int = STEPS, *, chance: int = 0) -> list[Training]:
    """Trainings of one objective side by side, each for itself, on one thread; `chance` seeds weights and latents."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)  # a discriminator that is sure has gradients below 1e-38, which take 10 times longer
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(chance)
        loop = _Loop(game, [FAULTS[fault] for fault, _ in members], [seed for _, seed in members])
        rows = np.stack([loop.step(number) for number in range(steps)], axis=1)
        with torch.no_grad():
            fakes = loop.generator(loop.latents(FAKES)).numpy()
    return [
        Training(game=game, fault=fault, seed=seed, steps=rows[i], fakes=fakes[i])
        for i, (fault, seed) in enumerate(members)
    ]


class _Networks(nn.Module):
    """One network of two hidden layers for each training: [k, n, inputs] to [k, n, outputs]."""

    def __init__(self, count: int, inputs: int, outputs: int, normed: Tensor | None = None) -> None:
        super().__init__()
        sizes = [inputs, WIDTH, WIDTH, outputs]
        pairs = list(pairwise(sizes))
        self.weights = nn.ParameterList([(2 * torch.rand(count, i, o) - 1) / i**0.5 for i, o in pairs])
        self.biases = nn.ParameterList([(2 * torch.rand(count, 1, o) - 1) / i**0.5 for i, o in pairs])
        self.normed = normed

    def forward(self, x: Tensor) -> Tensor:
        """Of each training's samples."""
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            x = torch.baddbmm(bias, x, weight)
            if self.normed is not None:  # batch normalisation, in those trainings that have it
                mean, std = x.mean(1, keepdim=True), x.var(1, keepdim=True, correction=0).add(1e-5).sqrt()
                x = torch.where(self.normed, (x - mean) / std, x)
            x = functional.leaky_relu(x, 0.2)
        return torch.baddbmm(self.biases[-1], x, self.weights[-1])


class _Adam:
    """Adam with a rate for each training."""

    def __init__(self, network: nn.Module, rates: Sequence[float], betas: tuple[float, float]) -> None:
        self.parameters = list(network.parameters())
        self.rates, self.betas, self.steps = torch.tensor(rates)[:, None, None], betas, 0
        self.first = [torch.zeros_like(p) for p in self.parameters]
        self.second = [torch.zeros_like(p) for p in self.parameters]

    @torch.no_grad()
    def step(self, loss: Tensor) -> None:
        """Goes down the loss, which is the sum over trainings."""
        self.steps += 1
        slow, slower = self.betas
        bias_1, bias_2 = 1 - slow**self.steps, 1 - slower**self.steps
        gradients = torch.autograd.grad(loss, self.parameters)
        for p, gradient, first, second in zip(self.parameters, gradients, self.first, self.second, strict=True):
            first.lerp_(gradient, 1 - slow)
            second.lerp_(gradient.square(), 1 - slower)
            p -= self.rates * (first / bias_1) / ((second / bias_2).sqrt() + 1e-8)


class _Loop:
    """All trainings of one objective, a step at a time."""

    def __init__(self, game: Game, settings: Sequence[Setting], seeds: Sequence[int]) -> None:
        self.game: Game = game
        self.settings = settings
        self.rngs = [np.random.default_rng(seed) for seed in seeds]
        count = len(settings)
        self.joined = torch.tensor([setting.joined for setting in settings])[:, None, None]
        self.signs = torch.tensor([-1.0 if setting.climbs else 1.0 for setting in settings])
        self.used = torch.stack([(torch.arange(LATENT) < setting.latent).float() for setting in settings])[:, None]
        self.generator = _Networks(count, LATENT, 2)
        self.discriminator = _Networks(count, 2, 1, self.joined if bool(self.joined.any()) else None)
        with torch.no_grad():  # one that never learns was not always undecided
            for i, setting in enumerate(settings):
                self.discriminator.biases[-1][i] += 3.0 * (setting.discriminator_rate == 0.0)
        betas = (0.0, 0.9) if game == "wgan-gp" else (0.5, 0.999)
        slower = 0.3 if game == "wgan-gp" else 1.0
        self.to_g = _Adam(self.generator, [slower * s.generator_rate for s in settings], betas)
        self.to_d = _Adam(self.discriminator, [s.discriminator_rate for s in settings], betas)

    def latents(self, count: int) -> Tensor:
        """[k, count, LATENT], 0 where a training has fewer."""
        return torch.randn(len(self.settings), count, LATENT) * self.used

    def step(self, number: int) -> NDArray[np.float32]:
        """One update of each network; [k, len(SIGNALS)]."""
        real = torch.from_numpy(np.stack([ring(BATCH, rng) for rng in self.rngs]))
        for i, setting in enumerate(self.settings):
            if number == setting.breaks_at:
                real[i, 0] = torch.nan
        fake = self.generator(self.latents(BATCH))
        on_real, on_fake = self._judge(real, fake.detach())
        loss_real, loss_fake = D_LOSSES[self.game](on_real, on_fake)
        penalty = self._penalty(real, fake.detach()) if self.game == "wgan-gp" else torch.zeros(len(real))
        self.to_d.step((self.signs * (loss_real + loss_fake + penalty)).sum())
        again = self.discriminator(fake).squeeze(2)
        against = self.discriminator(real).squeeze(2) if self.game.startswith("relativistic") else on_real.detach()
        loss_g = G_LOSSES[self.game](against, again)
        self.to_g.step(loss_g.sum())
        return self._rows(loss_real, loss_fake, loss_g, on_real, on_fake, again, penalty)

    def _judge(self, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        """Both batches at once where a training shares its statistics between them, else one after the other."""
        apart = self.discriminator(real).squeeze(2), self.discriminator(fake).squeeze(2)
        if not self.joined.any():
            return apart
        both = self.discriminator(torch.cat([real, fake], dim=1)).squeeze(2).split(BATCH, dim=1)
        joined = self.joined[:, :, 0]
        return torch.where(joined, both[0], apart[0]), torch.where(joined, both[1], apart[1])

    def _penalty(self, real: Tensor, fake: Tensor) -> Tensor:
        mixed = torch.lerp(real, fake, torch.rand(len(real), BATCH, 1)).requires_grad_()
        [gradient] = torch.autograd.grad(self.discriminator(mixed).sum(), mixed, create_graph=True)
        return 10.0 * (gradient.square().sum(2).add(1e-12).sqrt() - 1).square().mean(1)

    @torch.no_grad()
    def _rows(
        self,
        loss_real: Tensor,
        loss_fake: Tensor,
        loss_g: Tensor,
        on_real: Tensor,
        on_fake: Tensor,
        again: Tensor,
        penalty: Tensor,
    ) -> NDArray[np.float32]:
        cut = CUTS.get(self.game, 0.0)
        output = torch.sigmoid if self.game in ("bce", "relativistic") else nn.Identity()
        values = {
            "d_loss_real": loss_real,
            "d_loss_fake": loss_fake,
            "g_loss": loss_g,
            "d_acc_real": (on_real > cut).float().mean(1),
            "d_acc_fake": (on_fake <= cut).float().mean(1),
            "d_auc": (torch.sign(on_real[:, :, None] - on_fake[:, None]).mean((1, 2)) + 1) / 2,
            "g_acc": (again > cut).float().mean(1),
            "d_x": output(on_real).mean(1),
            "d_g_z": output(on_fake).mean(1),
            "d_g_z_after": output(again).mean(1),
            "d_logit_real": on_real.mean(1),
            "d_logit_fake": on_fake.mean(1),
            "penalty": penalty,
        }
        return torch.stack([values[name] for name in SIGNALS], dim=1).numpy()


def main() -> None:
    """Make what is missing."""
    for part, games in PARTS.items():
        for game in games:
            started = time.perf_counter()
            for made in trainings(game, part):
                tail = {name: round(float(np.median(made.signal(name)[-200:])), 3) for name in SIGNALS[:6]}
                sys.stdout.write(f"{made.name} {tail}\n")
            sys.stdout.write(f"{game}, {part}: {time.perf_counter() - started:.0f} s\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
