# pyright: standard
"""Training as a sequence of epoch reports. Does no I/O and reads no clock: whoever iterates stores what comes.

training = TrainingLoop(spec, data, device=torch.device("cpu"))
for report in training.epochs():
    ...                      # store the report
    state = training.state() # what a resume needs
"""

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ganlib.data.held_out import held_out_of
from ganlib.data.load import DataArrays
from ganlib.networks.build import build_discriminator, build_generator
from ganlib.objectives.penalties import one_centred, zero_centred
from ganlib.objectives.table import loss_of
from ganlib.objectives.wasserstein import clip_weights
from ganlib.records import GRADIENT_UPDATES, EpochReport, LayerGradients
from ganlib.remedies.remedy import ActingRemedy, GeneratorBatch, Seen, Setting
from ganlib.remedies.table import build_remedies
from ganlib.seeding import Stream, latents, numpy_generator, torch_generator
from ganlib.spec.hashing import spec_hash
from ganlib.spec.objective import WassersteinObjective
from ganlib.spec.run import RunSpec
from ganlib.spec.training import SettledPrecision
from ganlib.training.data_order import batch_indices
from ganlib.training.gradient_norms import GradientTrace
from ganlib.training.optimizer import NetworkOptimizer, taken_over
from ganlib.training.precision import computing, settle_precision
from ganlib.training.ranks import ALONE, Ranks
from ganlib.training.sampling import SAMPLE_BATCH, generate, make_fakes, sample, scale
from ganlib.training.step import (
    DiscriminatorOutcome,
    GeneratorOutcome,
    StepBatch,
    Terms,
    beside,
    logits_of,
    update_discriminator,
    update_generator,
)


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
    remedies: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By name, of remedies whose future depends on their past."""


class SpecMismatch(ValueError):
    """The state belongs to a training with another spec."""


class TrainingLoop:
    """One training: networks, optimizers and the number of steps made."""

    def __init__(
        self,
        spec: RunSpec,
        data: DataArrays,
        *,
        device: torch.device,
        state: TrainingState | None = None,
        before: Sequence[RunSpec] = (),
        ranks: Ranks = ALONE,
        precision: SettledPrecision | None = None,
    ) -> None:
        """Build it at its start, or at `state`, which may also be that of a spec in `before` with fewer epochs.

        With `ranks` it is one process's part of the training. `precision`: what `auto` means here; None: float32.

        Raises:
            SpecMismatch: the state was saved under another spec.
        """
        self.spec, self.device, self.ranks = spec, device, ranks
        self.precision: SettledPrecision = settle_precision(spec, precision)
        """What the networks multiply in; anything but steps is made in float32."""
        self.data = torch.from_numpy(data.samples).to(device)
        self.inputs = None if data.inputs is None else torch.from_numpy(data.inputs).to(device)
        self.held_out = held_out_of(data)
        self.labels = _class_numbers(data, device) if spec.generator.condition != "none" else None
        self.loss, self.penalties = loss_of(spec), spec.all_penalties
        self.generator = build_generator(spec, device)
        self.discriminator = build_discriminator(spec, device)
        steps = spec.total_steps
        discriminators = spec.discriminator_optimizer or spec.optimizer
        self.generator_optimizer = NetworkOptimizer(self.generator, spec.optimizer, steps, ranks)
        self.discriminator_optimizer = NetworkOptimizer(self.discriminator, discriminators, steps, ranks)
        self.remedies = self._build_remedies()
        self.trace = GradientTrace(
            generator=self.generator_optimizer.gradients, discriminator=self.discriminator_optimizer.gradients
        )
        self.epoch = self.step = 0
        if state is not None:
            self._restore(state, before)

    def epochs(self, on_step: Callable[[int], None] | None = None) -> Iterator[EpochReport]:
        """The epochs that are left, one report each; `on_step` is told the steps made, and may raise to stop.

        On a GPU a step is made when it is queued there: nothing waits for it before the end of the epoch.
        """
        while self.epoch < self.spec.training.epochs:
            first = self.step
            steps, gradients = self._make_epoch(on_step)
            yield EpochReport(
                epoch=self.epoch,
                first_step=first,
                steps=steps,
                samples=self._sample(Stream.SAMPLE_LATENTS, self.spec.samples.count),
                fakes=self.fakes() if evaluation_is_due(self.spec, self.epoch) else None,
                gradients=gradients,
                **self._shown_pairs(),
            )

    def follow(self) -> None:
        """Make the steps that are left without a report, as every process does but rank 0."""
        while self.epoch < self.spec.training.epochs:
            self._make_epoch(None)

    def make_step(self) -> Tensor:
        """One step; its series in the order of STEP_COLUMNS, on the device."""
        count = self.spec.training.discriminator_steps
        with computing(self.precision, self.device):
            updates = [self._update_discriminator(self.step * count + k) for k in range(count)]
            outcome = update_generator(
                self.generator_optimizer, self.discriminator, self._generator_losses, step=self.step
            )
        self.trace.add()
        self.step += 1
        for remedy in self.remedies.values():
            remedy.after_step(self.step)
        return _row(updates, outcome)

    def warm_start(self, state: TrainingState) -> None:
        """Begin, before the first step, with the weights of another training whose networks are the same.

        The optimizers take over what they keep of past gradients where they are of the same kind; rates, counters and
        remedies are this training's own.
        """
        self.generator.load_state_dict(state.generator)
        self.discriminator.load_state_dict(state.discriminator)
        for own, other in (
            (self.generator_optimizer, state.generator_optimizer),
            (self.discriminator_optimizer, state.discriminator_optimizer),
        ):
            own.load_state_dict(deepcopy(taken_over(own.state_dict(), other)))
        self.remedies = self._build_remedies()  # some begin with a copy of the weights

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
            remedies={name: state for name, remedy in self.remedies.items() if (state := remedy.state())},
        )

    @property
    def sampled(self) -> nn.Module:
        """The generator that pictures and evaluation take."""
        own = [remedy.sampled for remedy in self.remedies.values() if remedy.sampled is not None]
        return own[0] if own else self.generator

    def fakes(self) -> NDArray[np.float32]:
        """[num_samples, *shape] what an evaluation compares with reals."""
        return self._sample(Stream.EVALUATION_LATENTS, self.spec.evaluation.num_samples)

    @torch.no_grad()
    def discriminator_features(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """[n, d] what the discriminator's last layer sees of samples [n, *shape], with moving statistics."""
        self.discriminator.eval()
        parts = torch.from_numpy(samples).split(SAMPLE_BATCH)
        embed = cast("Callable[[Tensor], Tensor]", self.discriminator.features)
        features = [embed(part.to(self.device)).float().cpu() for part in parts]
        self.discriminator.train()
        return torch.cat(features).numpy()

    def _build_remedies(self) -> dict[str, ActingRemedy]:
        return build_remedies(
            Setting(
                spec=self.spec,
                generator=self.generator,
                discriminator=self.discriminator,
                discriminator_optimizer=self.discriminator_optimizer,
                loss=self.loss,
            )
        )

    def _restore(self, state: TrainingState, before: Sequence[RunSpec]) -> None:
        if state.spec_hash not in {spec_hash(spec) for spec in (self.spec, *before)}:
            raise SpecMismatch("the checkpoint belongs to a run with another spec")
        self.epoch, self.step = state.epoch, state.step
        self.generator.load_state_dict(state.generator)
        self.discriminator.load_state_dict(state.discriminator)
        self.generator_optimizer.load_state_dict(state.generator_optimizer)
        self.discriminator_optimizer.load_state_dict(state.discriminator_optimizer)
        for name, values in state.remedies.items():
            self.remedies[name].restore(values)

    def _make_epoch(
        self, on_step: Callable[[int], None] | None
    ) -> tuple[NDArray[np.float32], tuple[LayerGradients, ...]]:
        """The epoch's series [steps, columns] and what its layers' gradients were."""
        rows, gradients = list[Tensor](), list[LayerGradients]()
        self.trace.begin_epoch()
        for _ in range(self.spec.steps_per_epoch):
            if self.step == GRADIENT_UPDATES and rows:
                gradients.append(self.trace.measured(self.step))
            rows.append(self.make_step())
            if on_step is not None:
                on_step(self.step)
        self.epoch += 1
        gradients.append(self.trace.measured(self.step))
        return self.ranks.mean(torch.stack(rows)).cpu().numpy(), tuple(gradients)

    def _update_discriminator(self, draw: int) -> DiscriminatorOutcome:
        indices = batch_indices(self.spec, draw)
        reals = self._reals(indices)
        given = reals.inputs
        if given is None:
            given = self._latents(Stream.DISCRIMINATOR_LATENTS, draw, len(indices))
        # of the reals' classes, so that no pair and no point between them has two
        fakes = make_fakes(self.generator, given, self.spec.training.fake_statistics, reals.labels)
        fakes = beside(reals.inputs, fakes)
        for remedy in self.remedies.values():
            fakes = remedy.shown(fakes, draw)
        seen_reals = self._as_seen(reals, Seen.REALS, draw)
        seen_fakes = self._as_seen(StepBatch(samples=fakes, labels=reals.labels), Seen.FAKES, draw)
        outcome = update_discriminator(
            self.spec.training.discriminator_update,
            self.discriminator_optimizer,
            self.loss,
            seen_reals,
            seen_fakes,
            step=self.step,
            terms=self._terms(seen_reals, seen_fakes, draw),
        )
        if isinstance(self.spec.objective, WassersteinObjective):
            clip_weights(self.discriminator, self.spec.objective.clip)
        for remedy in self.remedies.values():
            remedy.after_discriminator(outcome, count=len(reals), step=self.step)
        return outcome

    def _terms(self, reals: StepBatch, fakes: StepBatch, draw: int) -> Terms:
        """The penalties and the remedies' terms of discriminator update number `draw`."""

        def at_samples(gamma: float, batch: StepBatch) -> Tensor:
            return gamma * zero_centred(self._judge(batch.labels), batch.samples)

        def between(weight: float) -> Tensor:
            generator = torch_generator(self.spec.seed, Stream.INTERPOLATION, draw)
            shares = self.ranks.part(torch.rand(len(reals) * self.ranks.count, generator=generator)).to(self.device)
            return weight * one_centred(self._judge(reals.labels), reals.samples, fakes.samples, shares)

        r1, r2, gradient = self.penalties.r1, self.penalties.r2, self.penalties.gradient
        of_remedies = [term for remedy in self.remedies.values() for term in remedy.discriminator_terms(fakes)]
        return Terms(
            reals=() if r1 is None else (partial(at_samples, r1, reals),),
            fakes=() if r2 is None else (partial(at_samples, r2, fakes),),
            both=(*(() if gradient is None else (partial(between, gradient),)), *of_remedies),
        )

    def _judge(self, labels: Tensor | None) -> Callable[[Tensor], Tensor]:
        return lambda samples: logits_of(self.discriminator, StepBatch(samples=samples, labels=labels))

    def _generator_losses(self) -> tuple[Tensor, Tensor]:
        """The generator's adversarial loss, and what it minimises."""
        seen = self._generator_batch()
        judge = partial(logits_of, self.discriminator)
        logits = judge(seen.fakes)
        if self.loss.paired and seen.reals is not None:
            _, logits = self.loss.compare(judge(seen.reals), logits)
        adversarial = self.loss.generator(logits)
        terms = [t for remedy in self.remedies.values() if (t := remedy.generator_term(seen)) is not None]
        replaced = any(remedy.replaces_loss for remedy in self.remedies.values())
        return adversarial, sum(terms[1:], terms[0]) if replaced else sum(terms, adversarial)

    def _generator_batch(self) -> GeneratorBatch:
        """What the generator makes in its next update, and the reals beside it where something needs them."""
        count, step = self.spec.training.batch_size, self.step
        drawn = reals = None
        needs_reals = self.loss.paired or any(remedy.needs_reals for remedy in self.remedies.values())
        if needs_reals or self.labels is not None or self.inputs is not None:
            rng = numpy_generator(self.spec.seed, Stream.GENERATORS_REALS, step)
            drawn = self._reals(rng.integers(0, len(self.data), count))
            reals = self._as_seen(drawn, Seen.GENERATORS_REALS, step) if needs_reals else None
        inputs, labels = (None, None) if drawn is None else (drawn.inputs, drawn.labels)
        given = self._latents(Stream.GENERATOR_LATENTS, step, count) if inputs is None else inputs
        fakes = generate(self.generator, given, labels)
        seen = StepBatch(samples=fakes, labels=labels, inputs=inputs)
        return GeneratorBatch(
            step=step,
            fakes=self._as_seen(seen, Seen.GENERATORS_FAKES, step),
            reals=reals,
            outputs=None if inputs is None else fakes,
            targets=None if drawn is None or inputs is None else drawn.samples,
        )

    def _reals(self, indices: NDArray[np.int64]) -> StepBatch:
        """The training samples of these numbers, or this process's part of them."""
        chosen = torch.from_numpy(self.ranks.part(indices)).to(self.device)
        return StepBatch(
            samples=scale(self.data[chosen]),
            labels=None if self.labels is None else self.labels[chosen],
            inputs=None if self.inputs is None else scale(self.inputs[chosen]),
        )

    def _latents(self, stream: Stream, index: int, count: int) -> Tensor:
        """[count, latent_dim] of draw number `index`, or this process's part of them."""
        drawn = latents(self.spec.seed, stream, index, (count, self.spec.generator.latent_dim))
        return self.ranks.part(drawn).to(self.device)

    def _as_seen(self, batch: StepBatch, seen: Seen, index: int) -> StepBatch:
        """A batch as the discriminator sees it: beside its inputs, through the remedies' views."""
        samples = beside(batch.inputs, batch.samples)
        for remedy in self.remedies.values():
            samples = remedy.view(samples, seen, index)
        return StepBatch(samples=samples, labels=batch.labels)

    def _sample(self, stream: Stream, count: int) -> NDArray[np.float32]:
        return sample(self.sampled, self.spec, stream, count, self.held_out)

    def _shown_pairs(self) -> dict[str, NDArray[np.float32]]:
        """Inputs and targets of the samples in the picture; nothing without pairs."""
        pairs, count = self.held_out, self.spec.samples.count
        return {} if pairs is None else {"inputs": pairs.inputs[:count], "targets": pairs.targets[:count]}


def train(
    spec: RunSpec,
    data: DataArrays,
    *,
    device: torch.device,
    state: TrainingState | None = None,
    on_step: Callable[[int], None] | None = None,
) -> Iterator[EpochReport]:
    """The epoch reports of a training from its start, or from `state`."""
    return TrainingLoop(spec, data, device=device, state=state).epochs(on_step)


def evaluation_is_due(spec: RunSpec, epoch: int) -> bool:
    """Whether this epoch's fakes are evaluated; the last epoch's always are."""
    return epoch % spec.evaluation.every_epochs == 0 or epoch == spec.training.epochs


def _class_numbers(data: DataArrays, device: torch.device) -> Tensor:
    """[n] class of each sample, the chosen classes numbered from 0 by rising label."""
    return torch.from_numpy(np.unique(data.labels, return_inverse=True)[1].reshape(-1)).to(device)


def _row(updates: list[DiscriminatorOutcome], outcome: GeneratorOutcome) -> Tensor:
    """The step's values in the order of STEP_COLUMNS, on the device: they are read at the end of the epoch."""
    columns = torch.stack(
        [torch.stack([u.loss_real, u.loss_fake, u.acc_real, u.acc_fake, u.grad_norm, u.auc]) for u in updates]
    ).mean(0)
    real, fake, acc_real, acc_fake, d_norm, auc = columns
    return torch.stack([real, fake, outcome.loss, acc_real, acc_fake, d_norm, outcome.grad_norm, auc])
