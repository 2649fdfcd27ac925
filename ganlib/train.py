# pyright: standard
"""Training as a sequence of epoch reports. Does no I/O and reads no clock: whoever iterates stores what comes.

training = Training(spec, data, device=torch.device("cpu"))
for report in training.epochs():
    ...                      # store the report
    state = training.state() # what a resume needs
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ganlib.datasets.load import DataArrays
from ganlib.losses import LOSSES
from ganlib.networks.build import build_discriminator, build_generator
from ganlib.report import STEP_COLUMNS, EpochReport
from ganlib.seeding import Stream, latents, numpy_generator
from ganlib.spec import Adam, RunSpec, spec_hash
from ganlib.step import DiscriminatorOutcome, GeneratorOutcome, update_discriminator, update_generator


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingState:
    """Everything that the rest of a training depends on; random draws and data order follow from seed and step."""

    spec_hash: str
    epoch: int
    """Epochs made."""
    step: int
    """Steps made."""
    generator: dict[str, Any]
    """State dicts of torch."""
    discriminator: dict[str, Any]
    generator_optimizer: dict[str, Any]
    discriminator_optimizer: dict[str, Any]


class SpecMismatch(ValueError):
    """The state belongs to a training with another spec."""


class Training:
    """One training: networks, optimizers and the number of steps made."""

    def __init__(
        self, spec: RunSpec, data: DataArrays, *, device: torch.device, state: TrainingState | None = None
    ) -> None:
        """Build it at its start, or at `state`.

        Raises:
            SpecMismatch: the state was saved under another spec.
        """
        self.spec, self.device = spec, device
        self.data = torch.from_numpy(data.samples).to(device)
        self.loss = LOSSES[spec.objective.name]
        self.generator = build_generator(spec, device)
        self.discriminator = build_discriminator(spec, device)
        self.generator_optimizer = _optimizer(self.generator, spec.optimizer)
        self.discriminator_optimizer = _optimizer(self.discriminator, spec.discriminator_optimizer or spec.optimizer)
        self.epoch = self.step = 0
        if state is not None:
            self._restore(state)

    def epochs(self, on_step: Callable[[int], None] | None = None) -> Iterator[EpochReport]:
        """The epochs that are left, one report each; `on_step` is told the steps made, and may raise to stop."""
        while self.epoch < self.spec.training.epochs:
            first = self.step
            rows = [self._step(on_step) for _ in range(self.spec.steps_per_epoch)]
            self.epoch += 1
            yield EpochReport(
                epoch=self.epoch,
                first_step=first,
                steps=np.array(rows, dtype=np.float32).reshape(-1, len(STEP_COLUMNS)),
                samples=sample(self.generator, self.spec, Stream.SAMPLE_LATENTS, self.spec.samples.count),
                fakes=self._fakes() if evaluation_is_due(self.spec, self.epoch) else None,
            )

    def state(self) -> TrainingState:
        """A snapshot; its tensors are the live ones, so save it before the next step."""
        return TrainingState(
            spec_hash=spec_hash(self.spec),
            epoch=self.epoch,
            step=self.step,
            generator=self.generator.state_dict(),
            discriminator=self.discriminator.state_dict(),
            generator_optimizer=self.generator_optimizer.state_dict(),
            discriminator_optimizer=self.discriminator_optimizer.state_dict(),
        )

    @torch.no_grad()
    def discriminator_features(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """[n, d] what the discriminator's last layer sees of samples [n, *shape], with moving statistics."""
        self.discriminator.eval()
        parts = torch.from_numpy(samples).split(SAMPLE_BATCH)
        embed = cast("Callable[[Tensor], Tensor]", self.discriminator.features)
        features = [embed(part.to(self.device)).float().cpu() for part in parts]
        self.discriminator.train()
        return torch.cat(features).numpy()

    def _restore(self, state: TrainingState) -> None:
        if state.spec_hash != spec_hash(self.spec):
            raise SpecMismatch("the checkpoint belongs to a run with another spec")
        self.epoch, self.step = state.epoch, state.step
        self.generator.load_state_dict(state.generator)
        self.discriminator.load_state_dict(state.discriminator)
        _restore_optimizer(self.generator_optimizer, state.generator_optimizer)
        _restore_optimizer(self.discriminator_optimizer, state.discriminator_optimizer)

    def _step(self, on_step: Callable[[int], None] | None) -> list[float]:
        training = self.spec.training
        updates = [
            self._update_discriminator(self.step * training.discriminator_steps + k)
            for k in range(training.discriminator_steps)
        ]
        outcome = update_generator(
            self.generator,
            self.discriminator,
            self.generator_optimizer,
            self.loss,
            self._latents(Stream.GENERATOR_LATENTS, self.step, training.batch_size),
        )
        self.step += 1
        row = _row(updates, outcome)
        if on_step is not None:
            on_step(self.step)
        return row

    def _update_discriminator(self, draw: int) -> DiscriminatorOutcome:
        reals = self._reals(draw)
        latent = self._latents(Stream.DISCRIMINATOR_LATENTS, draw, len(reals))
        fakes = make_fakes(self.generator, latent, self.spec.training.fake_statistics)
        return update_discriminator(
            self.spec.training.discriminator_update,
            self.discriminator,
            self.discriminator_optimizer,
            self.loss,
            reals,
            fakes,
        )

    def _reals(self, draw: int) -> Tensor:
        """The reals of one discriminator update: [batch, *shape] float32 in [-1, 1]."""
        indices = torch.from_numpy(batch_indices(self.spec, draw)).to(self.device)
        return scale(self.data[indices])

    def _latents(self, stream: Stream, index: int, count: int) -> Tensor:
        return latents(self.spec.seed, stream, index, (count, self.spec.generator.latent_dim)).to(self.device)

    def _fakes(self) -> NDArray[np.float32]:
        return sample(self.generator, self.spec, Stream.EVALUATION_LATENTS, self.spec.evaluation.num_samples)


def train(
    spec: RunSpec,
    data: DataArrays,
    *,
    device: torch.device,
    state: TrainingState | None = None,
    on_step: Callable[[int], None] | None = None,
) -> Iterator[EpochReport]:
    """The epoch reports of a training from its start, or from `state`."""
    return Training(spec, data, device=device, state=state).epochs(on_step)


def untrained_fakes(spec: RunSpec, device: torch.device) -> NDArray[np.float32]:
    """[num_samples, *shape] from the spec's generator before its first update: the noise floor of evaluation."""
    return sample(build_generator(spec, device), spec, Stream.EVALUATION_LATENTS, spec.evaluation.num_samples)


def evaluation_is_due(spec: RunSpec, epoch: int) -> bool:
    """Whether this epoch's fakes are evaluated; the last epoch's always are."""
    return epoch % spec.evaluation.every_epochs == 0 or epoch == spec.training.epochs


def batch_indices(spec: RunSpec, draw: int) -> NDArray[np.int64]:
    """Which training samples discriminator update number `draw` sees.

    Without replacement every pass over the data is one permutation cut into batches, the last one smaller.
    """
    size, batch = spec.dataset.size, spec.discriminator_batch_size
    if spec.training.sampling == "with_replacement":
        return numpy_generator(spec.seed, Stream.DATA_ORDER, draw).integers(0, size, batch)
    batches = math.ceil(size / batch)
    order = numpy_generator(spec.seed, Stream.DATA_ORDER, draw // batches).permutation(size)
    first = draw % batches * batch
    return order[first : first + batch]


def scale(samples: Tensor) -> Tensor:
    """uint8 pixels to float32 in [-1, 1]; points as they are."""
    return samples.float() / 127.5 - 1 if samples.dtype == torch.uint8 else samples


@torch.no_grad()
def make_fakes(generator: nn.Module, latent: Tensor, statistics: str) -> Tensor:
    """[n, *shape] without a graph, with the batch's own or the moving batch-norm statistics."""
    if statistics == "moving":
        generator.eval()
        fakes = generator(latent)
        generator.train()
        return fakes
    return generator(latent)


SAMPLE_BATCH = 500  # fakes at a time when sampling for evaluation: bounds memory, not results of seeded draws


def sample(generator: nn.Module, spec: RunSpec, stream: Stream, count: int) -> NDArray[np.float32]:
    """[count, *shape] from the stream's latents; leaves the generator and its moving statistics untouched."""
    latent = latents(spec.seed, stream, 0, (count, spec.generator.latent_dim))
    device = next(generator.parameters()).device
    buffers = {name: b.clone() for name, b in generator.named_buffers()}
    parts = [make_fakes(generator, z.to(device), spec.evaluation.fake_statistics) for z in latent.split(SAMPLE_BATCH)]
    for name, buffer in generator.named_buffers():
        buffer.copy_(buffers[name])
    return torch.cat(parts).float().cpu().numpy()


def _optimizer(network: nn.Module, spec: Adam) -> torch.optim.Optimizer:
    return torch.optim.Adam(network.parameters(), lr=spec.learning_rate, betas=(spec.beta1, spec.beta2), eps=spec.eps)


def _restore_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Load the state and lay its tensors out as their weights are: the same update, bit by bit, needs both."""
    optimizer.load_state_dict(state)
    for parameter, values in optimizer.state.items():
        for name, value in values.items():
            if value.shape == parameter.shape:
                values[name] = torch.empty_like(parameter, requires_grad=False).copy_(value)


def _row(updates: list[DiscriminatorOutcome], outcome: GeneratorOutcome) -> list[float]:
    """The step's values in the order of STEP_COLUMNS, read from the device in one go."""
    columns = torch.stack(
        [torch.stack([u.loss_real, u.loss_fake, u.acc_real, u.acc_fake, u.grad_norm]) for u in updates]
    ).mean(0)
    real, fake, acc_real, acc_fake, d_norm = columns
    values = torch.stack([real, fake, outcome.loss, acc_real, acc_fake, d_norm, outcome.grad_norm])
    return values.tolist()
