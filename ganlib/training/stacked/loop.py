# pyright: standard
"""Many trainings at once, as one stack of networks: each computes what it would alone, up to rounding.

stack = StackedLoop([StackMember(name="a", spec=spec, data=data), …], device=torch.device("cpu"))
for epoch in stack.epochs():
    for name in stack.names:
        ...                                # store stack.report(name) and stack.state(name), or stack.drop(name)

A member's numbers do not depend on which others are beside it: they are those of a stack of one, bit by bit.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ganlib.data.load import DataArrays
from ganlib.networks.build import build_discriminator, build_generator
from ganlib.objectives.table import LOSSES
from ganlib.records import GRADIENT_UPDATES, EpochReport, LayerGradients
from ganlib.remedies.remedy import Seen
from ganlib.seeding import Stream
from ganlib.spec.checks.stacking import stack_key, why_alone
from ganlib.spec.hashing import spec_hash
from ganlib.spec.optimizer import Adam
from ganlib.spec.run import RunSpec
from ganlib.training.gradient_norms import TINY
from ganlib.training.loop import SpecMismatch, TrainingState, evaluation_is_due
from ganlib.training.optimizer import NetworkOptimizer, taken_over
from ganlib.training.sampling import SAMPLE_BATCH, sample
from ganlib.training.stacked.adam import StackedAdam
from ganlib.training.stacked.draws import StackedDraws
from ganlib.training.stacked.layout import Layout
from ganlib.training.stacked.losses import StackedLoss, areas_under_curves
from ganlib.training.stacked.mlp import generated, input_gradients, judged


@dataclass(frozen=True, slots=True, kw_only=True)
class StackMember:
    """One training of a stack."""

    name: str
    """By which it is told from the others."""
    spec: RunSpec
    data: DataArrays
    state: TrainingState | None = None
    """Where it goes on; None: at its start. All of a stack have made as many epochs."""
    before: tuple[RunSpec, ...] = ()
    """Specs that the state may also be of: its own with fewer epochs."""


class NotStackable(ValueError):
    """These trainings cannot be made as one stack; the message says why."""


class StackedLoop:
    """n trainings that take each step together."""

    def __init__(self, members: Sequence[StackMember], *, device: torch.device) -> None:
        """Build them at their start, or at their states.

        Raises:
            NotStackable: a member can only be trained alone, or they do not fit together.
            SpecMismatch: a state was saved under another spec.
        """
        self.step, self.epoch = _common_start(members)
        self.members, self.device = list(members), device
        specs = self.specs
        generators = [build_generator(spec, device) for spec in specs]
        discriminators = [build_discriminator(spec, device) for spec in specs]
        self.generator = _optimizer(generators, [_adam(spec.optimizer) for spec in specs], specs)
        own = [_adam(spec.discriminator_optimizer or spec.optimizer) for spec in specs]
        self.discriminator = _optimizer(discriminators, own, specs)
        self.averages = self.generator.rows.clone() if specs[0].remedies.ema is not None else None
        """[n, P] moving averages of the generators."""
        self.draws = StackedDraws(specs, [member.data for member in members], device)
        self._slopes = specs[0].generator.leaky_slope, specs[0].discriminator.leaky_slope  # pyright: ignore[reportAttributeAccessIssue]
        self._norms: deque[Tensor] = deque(maxlen=GRADIENT_UPDATES)
        self._rows: list[Tensor] = []
        self._gradients: list[list[LayerGradients]] = []
        self._set_out()
        for place, member in enumerate(members):
            if member.state is not None:
                self._restore(place, member.state, member.before)

    @property
    def names(self) -> tuple[str, ...]:
        """The members that are left."""
        return tuple(member.name for member in self.members)

    @property
    def specs(self) -> list[RunSpec]:
        """Of the members that are left."""
        return [member.spec for member in self.members]

    def epochs(self, on_step: Callable[[int], None] | None = None) -> Iterator[int]:
        """Makes an epoch of all members that have any left, and gives its number; so until none has.

        `on_step` is told the steps made, may `drop` members, and may raise to stop.
        """
        while True:
            for member in list(self.members):
                if self.epoch >= member.spec.training.epochs:
                    self.drop(member.name)
            if not self.members:
                return
            self._make_epoch(on_step)
            if self.members:
                yield self.epoch

    def drop(self, name: str) -> None:
        """Goes on without a member; nothing where it is not there (any more)."""
        kept = [place for place, member in enumerate(self.members) if member.name != name]
        if len(kept) == len(self.members):
            return
        self.members = [self.members[place] for place in kept]
        if not kept:
            return
        places = torch.tensor(kept, device=self.device)
        for part in (self.generator, self.discriminator, self.draws):
            part.keep(kept)
        if self.averages is not None:
            self.averages = self.averages[places]
        self._norms = deque((norms[places] for norms in self._norms), maxlen=GRADIENT_UPDATES)
        self._rows = [row[places] for row in self._rows]
        self._gradients = [[found[place] for place in kept] for found in self._gradients]
        self._set_out()

    def warm_start(self, name: str, state: TrainingState) -> None:
        """Begin, before the first step, with the weights and moments of another training: as `TrainingLoop` does.

        Of an optimizer of another kind no moments are taken over.
        """
        place = self.names.index(name)
        own = self.state(name)
        self._load(
            place,
            replace(
                state,
                generator_optimizer=taken_over(own.generator_optimizer, state.generator_optimizer),
                discriminator_optimizer=taken_over(own.discriminator_optimizer, state.discriminator_optimizer),
                remedies={},
            ),
        )
        if self.averages is not None:
            self.averages[place] = self.generator.rows[place]

    def report(self, name: str) -> EpochReport:
        """What a member reports of the epoch that was made last."""
        place = self.names.index(name)
        spec = self.members[place].spec
        generator = self._sampled(place)
        is_due = evaluation_is_due(spec, self.epoch)
        return EpochReport(
            epoch=self.epoch,
            first_step=self.step - spec.steps_per_epoch,
            steps=torch.stack([row[place] for row in self._rows]).cpu().numpy(),
            samples=sample(generator, spec, Stream.SAMPLE_LATENTS, spec.samples.count),
            fakes=sample(generator, spec, Stream.EVALUATION_LATENTS, spec.evaluation.num_samples) if is_due else None,
            gradients=tuple(found[place] for found in self._gradients),
        )

    def state(self, name: str) -> TrainingState:
        """A snapshot of a member, as that of a training alone; its tensors are parts of live ones."""
        place = self.names.index(name)
        spec, generator, discriminator = self.members[place].spec, self.generator, self.discriminator
        averages = self.averages
        return TrainingState(
            spec_hash=spec_hash(spec),
            epoch=self.epoch,
            step=self.step,
            generator=generator.layout.named(generator.rows[place]),
            discriminator=discriminator.layout.named(discriminator.rows[place]),
            generator_optimizer=self._optimizer_state(generator, place, build_generator),
            discriminator_optimizer=self._optimizer_state(discriminator, place, build_discriminator),
            remedies={} if averages is None else {"ema": generator.layout.named(averages[place])},
        )

    @torch.no_grad()
    def discriminator_features(self, name: str, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """[n, d] what a member's last layer sees of samples [n, *shape]: as `TrainingLoop` does."""
        place = self.names.index(name)
        network = build_discriminator(self.members[place].spec, self.device)
        network.load_state_dict(self.discriminator.layout.named(self.discriminator.rows[place]))
        embed = cast("Callable[[Tensor], Tensor]", network.features)
        parts = torch.from_numpy(samples).split(SAMPLE_BATCH)
        return torch.cat([embed(part.to(self.device)).cpu() for part in parts]).numpy()

    def make_step(self) -> Tensor:
        """One step of all; their series [n, columns] in the order of STEP_COLUMNS, on the device."""
        count = self.specs[0].training.discriminator_steps
        updates = [self._update_discriminators(self.step * count + k) for k in range(count)]
        columns = torch.stack([series for series, _ in updates]).mean(0)
        loss, norm, layers = self._update_generators()
        self._norms.append(torch.cat([layers, updates[-1][1]], 1))
        self.step += 1
        self._move_averages()
        real, fake, acc_real, acc_fake, own_norm, area = columns.unbind(1)
        return torch.stack([real, fake, loss, acc_real, acc_fake, own_norm, norm, area], 1)

    def _set_out(self) -> None:
        """What follows from the members that there are."""
        specs = self.specs
        smoothing = [spec.remedies.label_smoothing for spec in specs]
        targets = None if not any(smoothing) else self._numbers([part.target for part in smoothing if part is not None])
        self.loss = StackedLoss(LOSSES[specs[0].objective.name], targets)
        penalties = [spec.all_penalties for spec in specs]
        self.penalties = {
            name: self._numbers([getattr(each, name) for each in penalties])
            for name in type(penalties[0]).model_fields
            if getattr(penalties[0], name) is not None
        }
        """[n] weights, by name."""

    def _numbers(self, values: Sequence[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=self.device)

    def _make_epoch(self, on_step: Callable[[int], None] | None) -> None:
        self._norms.clear()
        self._rows, self._gradients = [], []
        for _ in range(self.specs[0].steps_per_epoch):
            if self.step == GRADIENT_UPDATES and self._rows:
                self._gradients.append(self._measured())
            self._rows.append(self.make_step())
            if on_step is not None:
                on_step(self.step)
            if not self.members:
                return
        self.epoch += 1
        self._gradients.append(self._measured())

    def _update_discriminators(self, draw: int) -> tuple[Tensor, Tensor]:
        """Their columns of the series, [n, 6], and the norms of their layers' gradients, [n, layers]."""
        reals = self.draws.reals(draw)
        latents = self.draws.latents(Stream.DISCRIMINATOR_LATENTS, draw, reals.shape[1])
        with torch.no_grad():
            fakes = generated(self.generator.parameters, latents, self._slopes[0])
        reals = self.draws.seen(reals, Seen.REALS, draw)
        fakes = self.draws.seen(fakes, Seen.FAKES, draw)
        real, of_reals = judged(self.discriminator.parameters, reals, self._slopes[1])
        fake, of_fakes = judged(self.discriminator.parameters, fakes, self._slopes[1])
        on_reals, on_fakes = self.loss.real(real), self.loss.fake(fake)
        minimised = (on_reals + on_fakes) / 2
        weight = self.loss.loss.penalty_weight
        if "r1" in self.penalties:
            minimised = minimised + weight * self.penalties["r1"] * self._zero_centred(of_reals)
        if "r2" in self.penalties:
            minimised = minimised + weight * self.penalties["r2"] * self._zero_centred(of_fakes)
        if "gradient" in self.penalties:
            minimised = minimised + weight * self.penalties["gradient"] * self._one_centred(reals, fakes, draw)
        norm, layers = self.discriminator.follow(minimised, self.step)
        with torch.no_grad():
            threshold = self.loss.loss.threshold
            right = (real > threshold).float().mean(1), (fake <= threshold).float().mean(1)
            columns = [on_reals.detach(), on_fakes.detach(), *right, norm, areas_under_curves(real, fake)]
        return torch.stack(columns, 1), layers

    def _zero_centred(self, hidden: list[Tensor]) -> Tensor:
        """[n] ½·E‖∇D‖²: see `ganlib.objectives.penalties`."""
        gradients = input_gradients(self.discriminator.parameters, hidden, self._slopes[1])
        return gradients.square().sum(2).mean(1) / 2

    def _one_centred(self, reals: Tensor, fakes: Tensor, draw: int) -> Tensor:
        """[n] E[(‖∇D‖ − 1)²] between reals and fakes."""
        shares = self.draws.shares(draw, reals.shape[1])[:, :, None]
        parameters, slope = self.discriminator.parameters, self._slopes[1]
        with torch.no_grad():  # the values say only which way the layers slope
            _, hidden = judged(parameters, shares * reals + (1 - shares) * fakes, slope)
        norms = torch.linalg.vector_norm(input_gradients(parameters, hidden, slope), dim=2)
        return (norms - 1).square().mean(1)

    def _update_generators(self) -> tuple[Tensor, Tensor, Tensor]:
        """Their losses [n], the norms of their gradients [n], and of their layers' [n, layers]."""
        count = self.specs[0].training.batch_size
        latents = self.draws.latents(Stream.GENERATOR_LATENTS, self.step, count)
        fakes = generated(self.generator.parameters, latents, self._slopes[0])
        fakes = self.draws.seen(fakes, Seen.GENERATORS_FAKES, self.step)
        logits, _ = judged([p.detach() for p in self.discriminator.parameters], fakes, self._slopes[1])
        losses = self.loss.generator(logits)
        return losses.detach(), *self.generator.follow(losses, self.step)

    @torch.no_grad()
    def _move_averages(self) -> None:
        parts = [spec.remedies.ema for spec in self.specs]
        if self.averages is None:
            return
        shares = [1.0 if part is None or self.step <= part.start else 1 - part.decay for part in parts]
        column, rows = self._numbers(shares)[:, None], self.generator.rows
        moved = self.averages + (rows - self.averages) * column
        self.averages = torch.where(column == 1, rows, moved)

    def _measured(self) -> list[LayerGradients]:
        """Of each member: see `GradientTrace`."""
        norms = torch.stack(list(self._norms)).double()
        weights = torch.cat([self.generator.weight_norms(), self.discriminator.weight_norms()], 1).double()
        shares = norms.quantile(0.5, dim=0) / weights.clamp(min=TINY)
        names = [
            f"{network}.{optimizer.layout.names[place]}"
            for network, optimizer in (("generator", self.generator), ("discriminator", self.discriminator))
            for place in optimizer.layout.layers
        ]
        return [LayerGradients(step=self.step, ratios=dict(zip(names, own, strict=True))) for own in shares.tolist()]

    def _sampled(self, place: int) -> nn.Module:
        """The generator that a member's pictures and evaluation take."""
        rows = self.generator.rows if self.averages is None else self.averages
        network = build_generator(self.members[place].spec, self.device)
        network.load_state_dict(self.generator.layout.named(rows[place]))
        return network

    def _optimizer_state(
        self, optimizer: StackedAdam, place: int, build: Callable[[RunSpec, torch.device], nn.Module]
    ) -> dict[str, Any]:
        """As torch's Adam has it."""
        own = optimizer.specs[place]
        network = build(self.members[place].spec, self.device)
        alone = NetworkOptimizer(network, own, optimizer.total_steps[place]).state_dict()
        if self.step > 0:
            alone["param_groups"][0]["lr"] = optimizer.rate(place, self.step - 1)
        return alone | {"state": optimizer.moments(place)}

    def _restore(self, place: int, state: TrainingState, before: Sequence[RunSpec]) -> None:
        if state.spec_hash not in {spec_hash(spec) for spec in (self.members[place].spec, *before)}:
            raise SpecMismatch("the checkpoint belongs to a run with another spec")
        self._load(place, state)

    def _load(self, place: int, state: TrainingState) -> None:
        own = (
            (self.generator, state.generator, state.generator_optimizer),
            (self.discriminator, state.discriminator, state.discriminator_optimizer),
        )
        for optimizer, weights, moments in own:
            optimizer.rows[place] = optimizer.layout.row(weights)
            optimizer.load_moments(place, moments["state"])
        if self.averages is not None and "ema" in state.remedies:
            self.averages[place] = self.generator.layout.row(state.remedies["ema"])


def _common_start(members: Sequence[StackMember]) -> tuple[int, int]:
    """Steps and epochs that all have made.

    Raises:
        NotStackable: they do not fit together.
    """
    for member in members:
        reason = why_alone(member.spec)
        if reason is not None:
            raise NotStackable(reason)
    if len({stack_key(member.spec) for member in members}) != 1:
        raise NotStackable("their networks, data or updates are not alike")
    if len({member.name for member in members}) != len(members):
        raise NotStackable("two members have the same name")
    starts = {(0, 0) if m.state is None else (m.state.step, m.state.epoch) for m in members}
    if len(starts) != 1:
        raise NotStackable("they have not made as many epochs")
    return starts.pop()


def _optimizer(networks: Sequence[nn.Module], optimizers: Sequence[Adam], specs: Sequence[RunSpec]) -> StackedAdam:
    layout = Layout.of(networks[0])
    rows = torch.stack([layout.row(dict(network.named_parameters())) for network in networks])
    return StackedAdam(optimizers, [spec.total_steps for spec in specs], layout, rows)


def _adam(optimizer: object) -> Adam:
    assert isinstance(optimizer, Adam), "no other is stacked"
    return optimizer
