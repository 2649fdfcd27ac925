# pyright: standard
"""What can be seen of a training beside its curves and evaluations, and is kept for labels and for measures to come.

How the shares of the modes moved over the last updates; its discriminator at the end; how far the fakes of the same
latents moved from epoch to epoch; all bins of all evaluations; and, of images, the figures in other spaces.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.verdicts.inside_figures import DISCRIMINATOR, ELSEWHERE, Inside
from ganlib.data.load import DataArrays, scaled
from ganlib.evaluation.cache import Cache
from ganlib.evaluation.for_run import run_reference
from ganlib.evaluation.reference import evaluate
from ganlib.records import EpochEvaluation, EpochReport
from ganlib.seeding import Stream
from ganlib.spec.evaluation import Space
from ganlib.spec.request import RunRequest
from ganlib.spec.run import RunSpec
from ganlib.training.loop import TrainingLoop
from ganlib.training.sampling import sample
from ganlib.training.step import StepBatch, logits_of

WATCHED = 512  # updates at the end, over which modes are counted
EVERY = {"points": 4, "images": 8}  # updates from one count to the next
COUNTED = 256  # fakes
SAMPLES = 500  # of each kind that the discriminator is shown
LATE = 0.9  # of the budget: from here to the end its weights are compared
SPACES: tuple[Space, ...] = ("efficientnet-lite0", "discriminator")
CPU = torch.device("cpu")

Shares = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Fakes [n, *shape] to the share [modes] of each mode."""


def looks_elsewhere(epochs: int) -> tuple[int, ...]:
    """The epochs whose fakes are seen in other spaces: every quarter of the budget, and the last three."""
    return tuple(sorted({epochs // 4, epochs // 2, 3 * epochs // 4, epochs - 2, epochs - 1, epochs}))


@dataclass(kw_only=True)
class Watcher:
    """Looks at a training on the way: tell it of every step and epoch, and ask at the end."""

    loop: TrainingLoop
    data: DataArrays
    data_dir: Path
    cache: Cache
    shares: Shares
    _counts: list[NDArray[np.float32]] = field(default_factory=list[NDArray[np.float32]], init=False)
    _late_weights: Tensor | None = field(default=None, init=False)
    _before: NDArray[np.float32] | None = field(default=None, init=False)
    _bins: list[list[int]] = field(default_factory=list[list[int]], init=False)
    _moves: list[float] = field(default_factory=list[float], init=False)
    _elsewhere: dict[str, list[list[list[float]]]] = field(
        default_factory=dict[str, list[list[list[float]]]], init=False
    )

    def after_step(self, step: int) -> None:
        """To be told the steps made."""
        spec = self.loop.spec
        total, every = spec.total_steps, EVERY["images" if is_of_images(self.data) else "points"]
        if self._late_weights is None and step >= LATE * total:
            self._late_weights = _weights(self.loop)
        if step > total - WATCHED and (total - step) % every == 0:
            fakes = sample(self.loop.generator, spec, Stream.EVALUATION_LATENTS, COUNTED)
            self._counts.append(self.shares(fakes))

    def after_evaluation(self, fakes: NDArray[np.float32], evaluation: EpochEvaluation) -> None:
        """To be told each evaluation, that of the untrained generator first."""
        self._bins.append([round(b.fake * evaluation.n_fake) for b in evaluation.bins])
        flat = np.nan_to_num(fakes.reshape(len(fakes), -1))
        if self._before is not None:
            self._moves.append(float(np.linalg.norm(flat - self._before, axis=1).mean()))
        self._before = flat
        if is_of_images(self.data) and evaluation.epoch in looks_elsewhere(self.loop.spec.training.epochs):
            for space in SPACES:
                self._elsewhere.setdefault(space, []).append(self._seen_in(space, fakes, evaluation.epoch))

    def seen(self, report: EpochReport) -> Inside:
        """All of it, at the end."""
        assert report.fakes is not None
        return Inside(
            shares=np.array(self._counts, np.float32),
            discriminator=self._discriminator(report.fakes),
            bins=np.array(self._bins, np.int32),
            movement=np.array(self._moves, np.float32),
            elsewhere={space: np.array(looks, np.float32) for space, looks in self._elsewhere.items()},
        )

    def _seen_in(self, space: Space, fakes: NDArray[np.float32], epoch: int) -> list[list[float]]:
        spec = _in_space(self.loop.spec, space)
        own = self.loop.discriminator_features if space == "discriminator" else None
        reference = run_reference(spec, self.data, self.data_dir, device=CPU, cache=self.cache, embed=own)
        found = evaluate(reference, fakes, epoch)
        return [[found.values[name], found.nulls[name].mean] for name in ELSEWHERE]

    def _discriminator(self, fakes: NDArray[np.float32]) -> dict[str, float]:
        assert self._late_weights is not None, "asked for at the end"
        reals = _logits(self.loop, _some(scaled(self.data)))
        shown, noise = _logits(self.loop, _some(fakes)), _logits(self.loop, _noise_like(fakes))
        everything, now = torch.cat([reals, shown, noise]), _weights(self.loop)
        above, equal = reals[:, None] > shown[None], reals[:, None] == shown[None]
        figures = {
            "separation": (above.float() + equal.float() / 2).mean(),
            "slope": _slope(self.loop, shown, reals),
            "answers": everything.std() / everything.abs().mean().clamp_min(1e-12),
            "motion": (now - self._late_weights).norm() / now.norm(),
        }
        return {name: float(figures[name]) for name in DISCRIMINATOR}


def is_of_images(data: DataArrays) -> bool:
    """Whether samples are images, and no points."""
    return data.samples.ndim == 4


def _in_space(spec: RunSpec, space: Space) -> RunSpec:
    changes = {"evaluation.space": space, "evaluation.measures": ["ndb", "prdc", "repetition"]}
    return RunRequest(spec=spec.model_dump(mode="json"), set=changes).resolve()


def _weights(loop: TrainingLoop) -> Tensor:
    return torch.cat([p.detach().flatten() for p in loop.discriminator.parameters()])


def _some(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    chosen = np.random.default_rng(0).permutation(len(samples))[:SAMPLES]
    return np.nan_to_num(samples[np.sort(chosen)])


def _noise_like(fakes: NDArray[np.float32]) -> NDArray[np.float32]:
    shape = (min(SAMPLES, len(fakes)), *fakes.shape[1:])
    return np.random.default_rng(1).uniform(-1, 1, shape).astype(np.float32)


@torch.no_grad()
def _logits(loop: TrainingLoop, samples: NDArray[np.float32]) -> Tensor:
    """[n] with the statistics of batches of the training's size, as it sees them; the moving ones are left alone."""
    network, size = loop.discriminator, loop.spec.training.batch_size
    kept = {name: buffer.clone() for name, buffer in network.named_buffers()}
    parts = [part for part in torch.from_numpy(samples).split(size) if len(part) > 1]
    found = torch.cat([logits_of(network, StepBatch(samples=part)).flatten() for part in parts])
    for name, buffer in network.named_buffers():
        buffer.copy_(kept[name])
    return found


def _slope(loop: TrainingLoop, fakes: Tensor, reals: Tensor) -> Tensor:
    logits = fakes.clone().requires_grad_()
    few = min(len(reals), len(fakes))
    seen = loop.loss.compare(reals[:few], logits[:few])[1] if loop.loss.paired else logits
    loop.loss.generator(seen).backward()
    assert logits.grad is not None
    return logits.grad.abs().sum()
