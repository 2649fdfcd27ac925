"""A stack of trainings: each member computes what it would alone, whatever the others do."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ganlib.data.load import load_dataset
from ganlib.records import EpochReport
from ganlib.spec.checks.stacking import stack_key, why_alone
from ganlib.spec.request import RunRequest
from ganlib.spec.run import RunSpec
from ganlib.training import checkpoint
from ganlib.training.loop import SpecMismatch, TrainingLoop, TrainingState
from ganlib.training.stacked.loop import NotStackable, StackedLoop, StackMember

CPU = torch.device("cpu")
SMALL: dict[str, Any] = {
    "dataset.size": 300,
    "generator.width": 16,
    "discriminator.width": 16,
    "training.epochs": 3,
    "training.steps_per_epoch": 5,
    "training.batch_size": 40,
    "evaluation.num_samples": 60,
    "samples.count": 10,
}
"""With a last batch of a pass that is smaller, and sizes that fill no vector of a CPU."""
TOLERANCE = 2e-4
"""Of losses and weights after 15 steps, for 1 and what is smaller: rounding alone differs."""


def spec_of(**changes: object) -> RunSpec:
    named = {key.replace("__", "."): value for key, value in changes.items()}
    return RunRequest(preset="ring8-stable", set=SMALL | named).resolve()


def member(spec: RunSpec, name: str, state: TrainingState | None = None) -> StackMember:
    return StackMember(name=name, spec=spec, data=load_dataset(spec.dataset, Path(), spec.seed), state=state)


def several(count: int, **changes: object) -> list[StackMember]:
    return [
        member(
            spec_of(
                seed=10 + place, optimizer__learning_rate=1e-4 * (1 + place), penalties__r1=0.01 + place, **changes
            ),
            f"run {place}",
        )
        for place in range(count)
    ]


def results(stack: StackedLoop) -> dict[str, tuple[list[EpochReport], TrainingState]]:
    """Reports and last state of each member, by name."""
    reports: dict[str, list[EpochReport]] = {name: [] for name in stack.names}
    states: dict[str, TrainingState] = {}
    for _ in stack.epochs():
        for name in stack.names:
            reports[name].append(stack.report(name))
            states[name] = copied(stack.state(name))
    return {name: (reports[name], states[name]) for name in states}


def copied(state: TrainingState) -> TrainingState:
    parts = ("generator", "discriminator", "generator_optimizer", "discriminator_optimizer", "remedies")
    return replace(state, **{part: _copied(getattr(state, part)) for part in parts})


def _copied(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.clone()
    return {key: _copied(part) for key, part in value.items()} if isinstance(value, dict) else value


def assert_same(got: tuple[list[EpochReport], TrainingState], want: tuple[list[EpochReport], TrainingState]) -> None:
    """Bit by bit."""
    for own, other in zip(got[0], want[0], strict=True):
        assert own.steps.tobytes() == other.steps.tobytes()
        assert own.samples.tobytes() == other.samples.tobytes()
        assert own.gradients == other.gradients
    for part in ("generator", "discriminator"):
        assert_equal_tensors(getattr(got[1], part), getattr(want[1], part))


def assert_equal_tensors(got: Mapping[str, torch.Tensor], want: Mapping[str, torch.Tensor]) -> None:
    assert got.keys() == want.keys()
    for name, value in want.items():
        assert torch.equal(got[name], value), name


VARIANTS: dict[str, dict[str, Any]] = {
    "as the preset": {},
    "clipped, with schedules": {
        "optimizer__clip_norm": 0.1,
        "discriminator_optimizer__schedule": {"kind": "cosine", "warmup_steps": 3},
    },
    "smoothed labels": {"remedies__label_smoothing": {"target": 0.8}},
    "noise": {"remedies__instance_noise": {"std": 0.3}},
    "both penalties": {"penalties__r2": 0.1, "penalties__gradient": 1.0},
    "least squares": {"objective__name": "lsgan"},
    "hinge, five updates": {"objective__name": "hinge", "training__discriminator_steps": 5},
    "clamped": {"objective__name": "clamped-bce", "training__discriminator_batch_size": 24},
    "saturating": {"objective__name": "saturating-bce", "training__sampling": "with_replacement"},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_each_member_computes_what_the_training_alone_does(variant):
    members = several(3, **VARIANTS[variant])
    together = results(StackedLoop(members, device=CPU))
    for one in members:
        alone = TrainingLoop(one.spec, one.data, device=CPU)
        reports, state = together[one.name]
        for got, want in zip(reports, alone.epochs(), strict=True):
            assert (got.epoch, got.first_step) == (want.epoch, want.first_step)
            np.testing.assert_allclose(got.steps, want.steps, rtol=TOLERANCE, atol=TOLERANCE)
            np.testing.assert_allclose(got.samples, want.samples, rtol=TOLERANCE, atol=TOLERANCE)
            assert got.fakes is not None
            assert want.fakes is not None
            np.testing.assert_allclose(got.fakes, want.fakes, rtol=TOLERANCE, atol=TOLERANCE)
            assert [g.step for g in got.gradients] == [g.step for g in want.gradients]
            for own, other in zip(got.gradients, want.gradients, strict=True):
                assert own.ratios == pytest.approx(other.ratios, rel=1e-3)
        for part in ("generator", "discriminator"):
            for name, value in getattr(alone.state(), part).items():
                np.testing.assert_allclose(getattr(state, part)[name], value, rtol=TOLERANCE, atol=TOLERANCE)


WIDE = {"generator__width": 64, "discriminator__width": 64, "training__batch_size": 128}
WIDER = {"generator__width": 256, "discriminator__width": 256, "training__batch_size": 96, "optimizer__clip_norm": 0.1}


@pytest.mark.parametrize(
    ("changes", "count", "threads"),
    [
        *(pytest.param({}, count, 1, id=f"small {count}") for count in (2, 5, 32)),
        pytest.param(WIDE, 5, 2, id="wide 5 on two threads"),
        pytest.param(WIDE, 32, 2, id="wide 32 on two threads"),
        pytest.param(WIDER, 2, 2, id="wider 2 on two threads"),
        pytest.param({"optimizer__clip_norm": 0.1}, 5, 1, id="clipped 5"),
    ],
)
def test_a_members_numbers_do_not_depend_on_those_beside_it(changes, count, threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        members = several(count, training__epochs=1, training__steps_per_epoch=9, **changes)
        together = results(StackedLoop(members, device=CPU))
        for one in (members[0], members[count // 2], members[-1]):
            assert_same(together[one.name], results(StackedLoop([one], device=CPU))[one.name])
    finally:
        torch.set_num_threads(before)


def test_a_member_that_leaves_in_the_middle_of_an_epoch_changes_nothing_of_the_others():
    members = several(4)
    whole = results(StackedLoop(members, device=CPU))
    stack = StackedLoop(members, device=CPU)
    reports: dict[str, list[EpochReport]] = {one.name: [] for one in members}

    def leave(step: int) -> None:
        if step == 7:
            stack.drop("run 1")

    for _ in stack.epochs(leave):
        for name in stack.names:
            reports[name].append(stack.report(name))
    assert [len(reports[one.name]) for one in members] == [3, 1, 3, 3]
    for name in ("run 0", "run 2", "run 3"):
        assert_same((reports[name], copied(whole[name][1])), whole[name])


def test_a_member_whose_numbers_are_no_numbers_changes_nothing_of_the_others():
    healthy = several(3)
    sick = member(
        spec_of(seed=1, optimizer__learning_rate=10, discriminator_optimizer__learning_rate=10, penalties__r1=1e30),
        "sick",
    )
    whole = results(StackedLoop(healthy, device=CPU))
    mixed = results(StackedLoop([healthy[0], sick, *healthy[1:]], device=CPU))
    assert not np.isfinite(mixed["sick"][0][-1].steps).all()
    for one in healthy:
        assert_same(mixed[one.name], whole[one.name])


def test_members_end_with_their_own_epochs():
    short, long = member(spec_of(seed=1, training__epochs=1), "short"), member(spec_of(seed=2), "long")
    found = results(StackedLoop([short, long], device=CPU))
    assert [len(found[name][0]) for name in ("short", "long")] == [1, 3]
    assert_same(found["long"], results(StackedLoop([long], device=CPU))["long"])


def test_a_member_goes_on_from_its_checkpoint_in_another_stack_bit_by_bit(tmp_path):
    members = several(3)
    whole = results(StackedLoop(members, device=CPU))
    first = StackedLoop(members, device=CPU)
    for _ in zip(range(1), first.epochs(), strict=False):
        for name in first.names:
            checkpoint.save(tmp_path / name, first.state(name))
    for names in (["run 0"], ["run 2", "run 1"]):
        left = [replace(one, state=checkpoint.load(tmp_path / one.name)) for one in members if one.name in names]
        resumed = results(StackedLoop(left, device=CPU))
        for name in names:
            assert [report.epoch for report in resumed[name][0]] == [2, 3]
            assert_same(resumed[name], (whole[name][0][1:], whole[name][1]))


def test_checkpoints_of_a_stack_and_of_a_training_alone_are_of_one_form(tmp_path):
    [one] = several(1)
    stack, alone = StackedLoop([one], device=CPU), TrainingLoop(one.spec, one.data, device=CPU)
    next(iter(stack.epochs()))
    next(iter(alone.epochs()))
    checkpoint.save(tmp_path / "stack", stack.state(one.name))
    checkpoint.save(tmp_path / "alone", alone.state())
    of_stack, of_alone = checkpoint.load(tmp_path / "stack"), checkpoint.load(tmp_path / "alone")
    assert form(of_stack) == form(of_alone)
    expected = list(alone.epochs())
    resumed = TrainingLoop(one.spec, one.data, device=CPU, state=of_stack)
    entered = StackedLoop([replace(one, state=of_alone)], device=CPU)
    for got in (list(resumed.epochs()), results(entered)[one.name][0]):
        for own, other in zip(got, expected, strict=True):
            np.testing.assert_allclose(own.steps, other.steps, rtol=TOLERANCE, atol=TOLERANCE)


def form(state: TrainingState) -> Any:
    """The state without its numbers: names, shapes and settings."""

    def of(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return tuple(value.shape), value.dtype
        if isinstance(value, dict):
            return {key: of(part) for key, part in value.items()}
        return [of(part) for part in value] if isinstance(value, list) else value

    parts = ("generator", "discriminator", "generator_optimizer", "discriminator_optimizer", "remedies")
    return {part: of(getattr(state, part)) for part in parts} | {"step": state.step, "epoch": state.epoch}


def test_a_member_begins_with_the_weights_of_another_training_as_it_would_alone():
    [one, other] = several(2)
    alone = TrainingLoop(other.spec, other.data, device=CPU)
    next(iter(alone.epochs()))
    stack, expected = StackedLoop([one], device=CPU), TrainingLoop(one.spec, one.data, device=CPU)
    state = alone.state()
    stack.warm_start(one.name, state)
    expected.warm_start(state)
    for got, want in zip(results(stack)[one.name][0], expected.epochs(), strict=True):
        np.testing.assert_allclose(got.steps, want.steps, rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize("kind", ["rmsprop", "sgd"])
def test_a_member_takes_no_moments_over_from_an_optimizer_of_another_kind(kind):
    [one, other] = several(2)
    of_other_kind = RunSpec.model_validate(
        other.spec.model_dump(mode="json") | {"optimizer": {"name": kind, "learning_rate": 1e-3}}
    )
    alone = TrainingLoop(of_other_kind, other.data, device=CPU)
    next(iter(alone.epochs()))
    stack, expected = StackedLoop([one], device=CPU), TrainingLoop(one.spec, one.data, device=CPU)
    state = alone.state()
    stack.warm_start(one.name, state)
    expected.warm_start(state)
    for got, want in zip(results(stack)[one.name][0], expected.epochs(), strict=True):
        np.testing.assert_allclose(got.steps, want.steps, rtol=TOLERANCE, atol=TOLERANCE)


def test_features_of_a_member_are_those_of_its_discriminator():
    members = several(2)
    stack = StackedLoop(members, device=CPU)
    alone = TrainingLoop(members[1].spec, members[1].data, device=CPU)
    samples = np.zeros((3, 2), np.float32)
    np.testing.assert_array_equal(stack.discriminator_features("run 1", samples), alone.discriminator_features(samples))


def test_a_state_of_another_spec_is_refused():
    [one, other] = several(2)
    state = StackedLoop([one], device=CPU).state(one.name)
    with pytest.raises(SpecMismatch):
        StackedLoop([replace(other, state=state)], device=CPU)


@pytest.mark.parametrize(
    ("second", "why"),
    [
        (spec_of(generator__width=8), "not alike"),
        (spec_of(training__discriminator_steps=2), "not alike"),
        (spec_of(generator__dropout=0.1), "generator.dropout"),
    ],
)
def test_trainings_that_do_not_fit_together_are_refused(second, why):
    with pytest.raises(NotStackable, match=why):
        StackedLoop([member(spec_of(), "a"), member(second, "b")], device=CPU)


def test_trainings_that_have_not_made_as_many_epochs_are_refused():
    one, other = several(2)
    stack = StackedLoop([one], device=CPU)
    next(iter(stack.epochs()))
    with pytest.raises(NotStackable, match="epochs"):
        StackedLoop([replace(one, state=stack.state(one.name)), other], device=CPU)


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 5},
        {"optimizer__learning_rate": 0.1, "optimizer__beta1": 0.9, "optimizer__clip_norm": 1},
        {"discriminator_optimizer": None},
        {"penalties__r1": 5},
        {"remedies__ema__decay": 0.5},
        {"generator__init": {"kind": "normal"}},
        {"training__epochs": 7},
        {"evaluation__every_epochs": 2},
        {"diagnosis__halt_on": ["divergence"]},
    ],
)
def test_runs_that_differ_in_numbers_of_their_own_have_one_key(changes):
    assert stack_key(spec_of(**changes)) == stack_key(spec_of()) is not None


@pytest.mark.parametrize(
    "changes",
    [
        {"generator__width": 8},
        {"generator__latent_dim": 3},
        {"discriminator__leaky_slope": 0.1},
        {"penalties__r1": None},
        {"remedies__ema": None},
        {"objective__name": "lsgan"},
        {"training__batch_size": 41},
        {"dataset__size": 301},
        {"resources__labels": ["fast"]},
    ],
)
def test_runs_that_differ_in_what_a_stack_shares_have_other_keys(changes):
    assert stack_key(spec_of(**changes)) not in (None, stack_key(spec_of()))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"generator__norm": {"kind": "batch"}}, "generator.norm"),
        ({"discriminator__minibatch": {}}, "discriminator.minibatch"),
        ({"optimizer": {"name": "sgd"}, "discriminator_optimizer": None}, "optimizer"),
        ({"objective__name": "relativistic", "penalties__r1": None}, "objective"),
        ({"remedies__packing": {}}, "remedies.packing"),
        ({"training__discriminator_update": "half_batches"}, "training.discriminator_update"),
        ({"training__precision": "auto", "penalties__r1": None}, "training.precision"),
        ({"training__batch_size": 10_000, "dataset__size": 20_000}, "training.batch_size"),
        ({"resources__max_hours": 1}, "resources.max_hours"),
    ],
)
def test_what_is_not_stacked_is_trained_alone_and_says_why(changes, field):
    spec = spec_of(**changes)
    assert (why_alone(spec) or "").startswith(field)
    assert stack_key(spec) is None


def test_images_are_trained_alone():
    assert (why_alone(RunRequest(preset="digit8-stable").resolve()) or "").startswith("dataset")
