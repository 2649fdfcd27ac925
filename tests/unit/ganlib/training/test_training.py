"""Training: reports, resuming, data order, and what each published update does."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ganlib.data.load import load_dataset
from ganlib.records import STEP_COLUMNS
from ganlib.seeding import Stream, numpy_generator
from ganlib.spec.request import RunRequest
from ganlib.spec.run import RunSpec
from ganlib.training import checkpoint
from ganlib.training.data_order import batch_indices
from ganlib.training.loop import SpecMismatch, TrainingLoop, train
from ganlib.training.sampling import untrained_fakes

CPU = torch.device("cpu")
SMALL_IMAGES = {
    "dataset.name": "mnist-5k",
    "generator.width": 4,
    "discriminator.width": 4,
    "training.epochs": 4,
    "training.steps_per_epoch": 3,
    "training.batch_size": 8,
    "training.discriminator_batch_size": 4,
    "evaluation.num_samples": 50,
    "samples.count": 4,
}


def image_spec(**changes: object) -> RunSpec:
    settings = SMALL_IMAGES | {key.replace("__", "."): value for key, value in changes.items()}
    return RunRequest(preset="digit8-stable", set=settings).resolve()


@pytest.fixture(scope="module")
def eights() -> object:
    return load_dataset(image_spec().dataset, Path(), 0)


@pytest.mark.parametrize("update", ["together", "half_batches", "joined_batch"])
@pytest.mark.parametrize("interrupted_after", [1, 3])
def test_resumed_training_is_bit_identical_to_an_uninterrupted_one(eights, tmp_path, update, interrupted_after):
    spec = image_spec(training__discriminator_update=update, training__discriminator_steps=2)
    whole = TrainingLoop(spec, eights, device=CPU)
    expected = list(whole.epochs())
    first = TrainingLoop(spec, eights, device=CPU)
    for _ in zip(range(interrupted_after), first.epochs(), strict=False):
        checkpoint.save(tmp_path / "c.safetensors", first.state())
    resumed = TrainingLoop(spec, eights, device=CPU, state=checkpoint.load(tmp_path / "c.safetensors"))
    reports = list(resumed.epochs())
    assert [r.epoch for r in reports] == list(range(interrupted_after + 1, 5))
    for got, want in zip(reports, expected[interrupted_after:], strict=True):
        assert got.steps.tobytes() == want.steps.tobytes()
        assert got.samples.tobytes() == want.samples.tobytes()
        assert got.fakes is not None
        assert want.fakes is not None
        assert got.fakes.tobytes() == want.fakes.tobytes()
    for name in ("generator", "discriminator"):
        for key, value in getattr(whole, name).state_dict().items():
            assert torch.equal(getattr(resumed, name).state_dict()[key], value), key


def test_reports_have_the_shapes_that_they_promise(eights):
    spec = image_spec(evaluation__every_epochs=3)
    reports = list(train(spec, eights, device=CPU))
    assert [r.first_step for r in reports] == [0, 3, 6, 9]
    assert all(r.steps.shape == (3, len(STEP_COLUMNS)) and r.steps.dtype == np.float32 for r in reports)
    assert all(r.samples.shape == (4, 1, 28, 28) and np.abs(r.samples).max() <= 1 for r in reports)
    assert [r.fakes is not None for r in reports] == [False, False, True, True]


def test_evaluating_more_often_leaves_the_training_as_it_was(eights):
    rare, often = (
        np.concatenate([r.steps for r in train(image_spec(evaluation__every_epochs=n), eights, device=CPU)])
        for n in (4, 1)
    )
    assert rare.tobytes() == often.tobytes()


def test_another_seed_is_another_training(eights):
    one, two = (next(train(image_spec(seed=s), eights, device=CPU)).steps for s in (1, 2))
    assert not np.array_equal(one, two)


def test_a_checkpoint_of_another_spec_is_refused(eights):
    state = TrainingLoop(image_spec(), eights, device=CPU).state()
    with pytest.raises(SpecMismatch):
        TrainingLoop(image_spec(seed=5), eights, device=CPU, state=state)


def test_on_step_counts_every_step_and_can_stop_the_training(eights):
    seen = []

    def stop_at_five(step: int) -> None:
        seen.append(step)
        if step == 5:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        list(train(image_spec(), eights, device=CPU, on_step=stop_at_five))
    assert seen == [1, 2, 3, 4, 5]


def test_without_replacement_a_pass_shows_every_sample_once():
    spec = image_spec(training__sampling="without_replacement", training__discriminator_batch_size=64)
    one_pass = np.concatenate([batch_indices(spec, draw) for draw in range(8)])
    assert [len(batch_indices(spec, draw)) for draw in (0, 7)] == [64, 500 - 7 * 64]
    assert sorted(one_pass) == list(range(500))
    assert not np.array_equal(batch_indices(spec, 0), batch_indices(spec, 8))


def test_the_order_of_a_pass_depends_on_seed_and_number_alone():
    """Whoever changes a batch in place, and whatever was asked for before."""
    settings = {"training__sampling": "without_replacement", "training__discriminator_batch_size": 64}
    spec, other = image_spec(**settings), image_spec(**settings, seed=5)
    first = batch_indices(spec, 3)
    kept = first.copy()
    first[:] = 0
    for draw in range(80):
        batch_indices(other, draw)
        batch_indices(spec, draw)
    assert np.array_equal(batch_indices(spec, 3), kept)
    assert np.array_equal(batch_indices(spec, 3), numpy_generator(0, Stream.DATA_ORDER).permutation(500)[192:256])
    assert not np.array_equal(batch_indices(other, 3), kept)


def test_with_replacement_each_update_draws_anew():
    spec = image_spec(training__discriminator_batch_size=400)
    assert len(set(batch_indices(spec, 0))) < 400


def test_numbers_that_are_not_finite_are_reported_as_data(eights):
    spec = image_spec(optimizer__learning_rate=10, objective__name="bce", training__epochs=2)
    diverged = TrainingLoop(spec, eights, device=CPU)
    with torch.no_grad():
        next(diverged.generator.parameters()).fill_(float("nan"))
    reports = list(diverged.epochs())
    assert len(reports) == 2
    assert np.isnan(reports[0].steps).any()


def test_untrained_fakes_are_those_of_the_first_weights(eights):
    spec = image_spec()
    assert untrained_fakes(spec, CPU).tobytes() == TrainingLoop(spec, eights, device=CPU).fakes().tobytes()


def test_moving_statistics_change_what_the_discriminator_sees(eights):
    batch, moving = (
        next(train(image_spec(training__fake_statistics=s), eights, device=CPU)).steps for s in ("batch", "moving")
    )
    assert not np.array_equal(batch[:, 1], moving[:, 1])


READS = ("item", "tolist", "cpu", "numpy", "__bool__", "__float__", "__int__", "__index__")
"""Of a tensor on a GPU, each waits for everything that is queued there."""


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"training__discriminator_steps": 2, "penalties__r1": 1.0},
        {"remedies__ema": {}, "remedies__adaptive_augment": {"interval": 1}, "optimizer__clip_norm": 1.0},
    ],
)
def test_a_step_reads_nothing_back_from_the_device(eights, monkeypatch, changes):
    training = TrainingLoop(image_spec(**changes), eights, device=CPU)
    training.trace.begin_epoch()
    training.make_step()  # an optimizer's first step makes its state
    with monkeypatch.context() as patch:
        for name in READS:

            def refuse(*_: object, name: str = name) -> None:
                raise AssertionError(f"a step reads a tensor by {name}")

            patch.setattr(torch.Tensor, name, refuse)
        row = training.make_step()
    assert row.isfinite().all()
