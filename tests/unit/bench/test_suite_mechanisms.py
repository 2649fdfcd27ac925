# pyright: basic
"""The suite's second runs: their parts, and what is seen of them from inside."""

from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.verdicts.configuration import HELD_BACK_DATA, HELD_BACK_OBJECTIVE, Planned
from bench.verdicts.data import training_data
from bench.verdicts.inside import EVERY, Watcher
from bench.verdicts.inside_figures import DISCRIMINATOR, UNCHANGED, Inside
from bench.verdicts.interventions import CHANGES, LOOKS, changed_spec, follow_changes
from bench.verdicts.mechanisms import HEALTHY, more_configurations
from bench.verdicts.oracle import mode_shares, oracle_figures
from bench.verdicts.oracle_figures import FIGURES
from bench.verdicts.recording import load, save
from bench.verdicts.suite import planned, planned_more
from ganlib.data.mixtures import MIXTURES
from ganlib.evaluation.cache import Cache
from ganlib.seeding import Stream
from ganlib.spec.request import RunRequest
from ganlib.training.loop import TrainingLoop
from ganlib.training.sampling import sample
from tests.support.verdicts import a_recording

NOWHERE = Path("nowhere")
SMALL = {
    "dataset.name": "ring8",
    "dataset.size": 400,
    "generator.family": "mlp",
    "discriminator.family": "mlp",
    "generator.width": 16,
    "discriminator.width": 16,
    "training.epochs": 4,
    "training.steps_per_epoch": 30,
    "training.batch_size": 32,
    "evaluation.num_samples": 200,
}


def a_spec(**changes) -> Any:
    parts = {"dataset": {}, "generator": {}, "discriminator": {}, "seed": 3}
    return RunRequest(spec=parts, set={**SMALL, **changes}).resolve()


def trained(spec) -> Any:
    data = training_data(spec.dataset, NOWHERE, spec.seed)
    loop = TrainingLoop(spec, data, device=torch.device("cpu"))
    shares = partial(_shares, spec, data)
    watcher = Watcher(loop=loop, data=data, data_dir=NOWHERE, cache=Cache(None), shares=shares)
    reports = list(loop.epochs(watcher.after_step))
    return loop, data, watcher, reports


def _shares(spec, data, fakes):
    return mode_shares(spec, data, fakes, NOWHERE)


def test_every_finding_is_hoped_for_by_several_mechanisms_in_every_part():
    runs = Counter()
    for one in more_configurations():
        runs[one.mechanism, one.part] += one.seeds
    assert sum(runs[HEALTHY, part] for part in ("reported", "sealed")) >= 200
    hopes = {hope for hope, _ in runs} - {HEALTHY, "stalled", "slow convergence"}
    assert len(hopes) == 10
    assert all(runs[hope, "sealed"] >= 10 for hope in hopes)


def test_no_two_runs_have_one_name():
    runs = [*planned(), *planned_more()]
    assert len({run.id for run in runs}) == len(runs)


def test_nothing_held_back_is_calibrated_on():
    calibrated = [one for one in more_configurations() if one.part == "calibration"]
    assert calibrated
    assert HELD_BACK_OBJECTIVE not in {one.objective for one in calibrated}
    assert HELD_BACK_DATA not in {one.data for one in calibrated}


def test_every_second_configuration_is_a_valid_spec_of_its_objective():
    for one in more_configurations():
        spec = Planned(configuration=one, seed=0).request.resolve()
        assert spec.objective.name == one.objective, one.name


def test_a_change_keeps_the_data_and_names_what_it_changes():
    spec = a_spec(**{"optimizer.beta1": 0.9, "optimizer.learning_rate": 1e-3, "objective.name": "saturating-bce"})
    calm: Any = changed_spec(spec, CHANGES["calm"])
    assert (calm.optimizer.beta1, calm.optimizer.learning_rate) == (0.5, pytest.approx(2e-4))
    assert calm.discriminator_optimizer.learning_rate == pytest.approx(2e-4)
    assert changed_spec(spec, CHANGES["loud"]).objective.name == "bce"
    assert changed_spec(spec, CHANGES["quiet"]).optimizer.clip_norm == 1.0
    same: Any = changed_spec(spec, CHANGES[UNCHANGED])
    assert (same.optimizer.beta1, same.objective.name) == (0.9, "saturating-bce")
    assert same.dataset == spec.dataset
    assert same.total_steps == spec.total_steps // 6 // LOOKS * LOOKS


def test_changes_begin_with_the_last_weights_and_a_fresh_discriminator_does_not():
    spec = a_spec()
    loop, data, _, _ = trained(spec)
    seen = []

    def ask(_spec, _data, fakes, _dir):
        seen.append(fakes)
        return oracle_figures(spec, data, fakes, NOWHERE)

    before = {name: value.clone() for name, value in loop.generator.state_dict().items()}
    found = follow_changes(spec, data, loop.state(), NOWHERE, ask)
    assert {name: looks.shape for name, looks in found.items()} == dict.fromkeys(CHANGES, (LOOKS, len(FIGURES)))
    assert all(torch.equal(value, before[name]) for name, value in loop.generator.state_dict().items())
    first = {name: seen[LOOKS * index] for index, name in enumerate(CHANGES)}
    far = np.abs(first["fresh discriminator"] - first[UNCHANGED]).mean()
    assert np.abs(first["calm"] - first[UNCHANGED]).mean() > 0
    assert 0 < far < 1, "both go on from the same generator"


def test_an_untrained_discriminator_does_not_move_and_a_trained_one_does():
    still = trained(a_spec(**{"discriminator_optimizer": {"learning_rate": 1e-9}}))
    moving = trained(a_spec(**{"discriminator_optimizer": {"learning_rate": 2e-3}}))
    figures = [watcher._discriminator(reports[-1].fakes) for _, _, watcher, reports in (still, moving)]
    assert set(figures[0]) == set(DISCRIMINATOR)
    assert figures[0]["motion"] < 1e-5 < 1e-3 < figures[1]["motion"]


def test_a_sure_discriminator_gives_a_saturating_loss_no_slope():
    spec = a_spec(**{"objective.name": "saturating-bce"})
    loop, _, watcher, reports = trained(spec)
    with torch.no_grad():
        last = [p for p in loop.discriminator.parameters() if p.ndim == 1][-1]
        last.fill_(-30.0)
    assert watcher._discriminator(reports[-1].fakes)["slope"] < 1e-6


def test_modes_are_counted_to_the_last_update():
    spec = a_spec()
    loop, data, watcher, reports = trained(spec)
    inside = watcher.seen(reports[-1])
    assert inside.shares.shape == (spec.total_steps // EVERY["points"], 8)
    assert inside.shares.sum(1) == pytest.approx(1)
    last = mode_shares(spec, data, sample(loop.generator, spec, Stream.EVALUATION_LATENTS, 256), NOWHERE)
    assert inside.shares[-1] == pytest.approx(last)


def test_shares_are_of_the_modes_that_fakes_are_nearest_to():
    spec = a_spec()
    data = training_data(spec.dataset, NOWHERE, 0)
    centres = MIXTURES["ring8"].centres.astype(np.float32)
    fakes = np.concatenate([np.repeat(centres[2:3], 30, 0), np.repeat(centres[5:6], 10, 0)])
    assert mode_shares(spec, data, fakes, NOWHERE)[[2, 5]].tolist() == [0.75, 0.25]


def test_what_was_seen_inside_survives_its_file(tmp_path):
    inside = Inside(
        shares=np.array([[0.25, 0.75]], np.float32),
        discriminator=dict.fromkeys(DISCRIMINATOR, 0.5),
        bins=np.array([[3, 4], [5, 2]], np.int32),
        movement=np.array([0.5], np.float32),
        elsewhere={"discriminator": np.ones((1, 8, 2), np.float32)},
        changes={"calm": np.ones((3, 5), np.float32)},
    )
    save(replace(a_recording(), inside=inside), tmp_path / "run.npz")
    found = load(tmp_path / "run.npz").inside
    assert found is not None
    assert found.bins.tolist() == [[3, 4], [5, 2]]
    assert found.discriminator == inside.discriminator
    assert (found.shares.tolist(), found.movement.tolist()) == ([[0.25, 0.75]], [0.5])
    assert found.elsewhere["discriminator"].shape == (1, 8, 2)
    assert found.changes["calm"].shape == (3, 5)
