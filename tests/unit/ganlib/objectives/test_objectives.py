"""Objectives and penalties on literal values, their gradients and extremes, and what each is usually trained with."""

import math

import pytest
import torch
from torch import Tensor

from ganlib.objectives.penalties import one_centred, zero_centred
from ganlib.objectives.table import LOSSES
from ganlib.objectives.wasserstein import clip_weights
from ganlib.spec.objective import USUAL, Penalties
from ganlib.spec.optimizer import Adam, Sgd
from ganlib.spec.request import InvalidRequest, RunRequest
from ganlib.spec.run import RunSpec

LOG2 = math.log(2)
MLP = {"family": "mlp", "width": 8}
RING = {"dataset": {"name": "ring8", "size": 200}, "generator": MLP, "discriminator": MLP}
BCE_LIKE = ("bce", "clamped-bce")


def ring_spec(**changes: object) -> RunSpec:
    return RunRequest(spec=RING, set={key.replace("__", "."): value for key, value in changes.items()}).resolve()


@pytest.mark.parametrize("name", BCE_LIKE)
@pytest.mark.parametrize(
    ("side", "logit", "expected"),
    [
        ("real", 0.0, LOG2),
        ("fake", 0.0, LOG2),
        ("generator", 0.0, LOG2),
        ("real", 2.0, math.log(1 + math.exp(-2))),
        ("fake", 2.0, math.log(1 + math.exp(2))),
        ("generator", 2.0, math.log(1 + math.exp(-2))),
    ],
)
def test_cross_entropies_are_the_textbook_ones(name, side, logit, expected):
    assert getattr(LOSSES[name], side)(torch.tensor([logit])).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("name", "real", "fake", "generator"),
    [
        ("saturating-bce", math.log(1 + math.exp(-3)), math.log(1 + math.exp(3)), -math.log(1 + math.exp(3))),
        ("lsgan", 4.0, 9.0, 2.0),
        ("wgan", -3.0, 3.0, -3.0),
        ("wgan-gp", -3.0, 3.0, -3.0),
        ("hinge", 0.0, 4.0, -3.0),
    ],
)
def test_values_at_a_logit_of_three(name, real, fake, generator):
    logit, loss = torch.tensor([3.0]), LOSSES[name]
    assert [side(logit).item() for side in (loss.real, loss.fake, loss.generator)] == pytest.approx(
        [real, fake, generator], rel=1e-6
    )


def test_the_hinge_teaches_only_within_the_margin():
    loss = LOSSES["hinge"]
    assert [loss.real(torch.tensor([x])).item() for x in (-2.0, 0.5, 1.0, 9.0)] == [3.0, 0.5, 0.0, 0.0]
    assert [loss.fake(torch.tensor([x])).item() for x in (-9.0, -1.0, -0.5, 2.0)] == [0.0, 0.0, 0.5, 3.0]


def test_relativistic_pairs_compare_each_real_with_its_fake():
    loss = LOSSES["relativistic"]
    real, fake = torch.tensor([2.0, -1.0]), torch.tensor([1.0, 1.0])
    expected = (math.log(1 + math.exp(-1)) + math.log(1 + math.exp(2))) / 2
    for_real, for_fake = loss.compare(real, fake)
    assert loss.real(for_real).item() == pytest.approx(expected, rel=1e-6)
    assert loss.fake(for_fake).item() == pytest.approx(expected, rel=1e-6)
    for_generator = (math.log(1 + math.exp(1)) + math.log(1 + math.exp(-2))) / 2
    assert loss.generator(for_fake).item() == pytest.approx(for_generator, rel=1e-6)


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_logits_of_patches_are_averaged_like_others(name):
    flat, loss = torch.linspace(-2, 2, 24), LOSSES[name]
    for side in (loss.real, loss.fake, loss.generator):
        assert side(flat.view(2, 3, 4)).item() == pytest.approx(side(flat).item(), rel=1e-5)


def test_from_logits_the_gradient_survives_any_logit():
    logits = torch.tensor([-1000.0], requires_grad=True)
    loss = LOSSES["bce"].real(logits)
    assert loss.item() == 1000
    assert torch.autograd.grad(loss, logits)[0].item() == -1


def test_clamped_on_a_sigmoid_the_loss_stops_at_100_and_the_gradient_is_gone():
    logits = torch.tensor([-1000.0], requires_grad=True)
    loss = LOSSES["clamped-bce"].real(logits)
    assert loss.item() == 100
    assert torch.autograd.grad(loss, logits)[0].item() == 0


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_the_generator_wants_its_fakes_called_real(name):
    logits = torch.tensor([0.3], requires_grad=True)
    loss = LOSSES[name].generator(logits)
    assert torch.autograd.grad(loss, logits)[0].item() < 0


def test_the_saturating_generator_learns_nothing_from_fakes_that_are_told():
    logits = torch.tensor([-50.0], requires_grad=True)
    minimax, other = (torch.autograd.grad(LOSSES[n].generator(logits), logits)[0] for n in ("saturating-bce", "bce"))
    assert abs(minimax.item()) < 1e-20
    assert other.item() == -1


# --- penalties --------------------------------------------------------------------------------------------------

WEIGHTS = torch.tensor([3.0, 4.0])


def linear(samples: Tensor) -> Tensor:
    return samples @ WEIGHTS


def test_the_zero_centred_penalty_of_a_linear_function_is_half_its_squared_norm():
    assert zero_centred(linear, torch.randn(7, 2)).item() == 12.5


def test_the_zero_centred_penalty_takes_each_samples_own_gradient():
    squares = lambda samples: samples.square().sum(1)  # noqa: E731
    assert zero_centred(squares, torch.tensor([[1.0, 0.0], [0.0, 2.0]])).item() == (4 + 16) / 2 / 2


def test_the_one_centred_penalty_vanishes_at_a_slope_of_one():
    shares = torch.tensor([0.0, 0.5, 1.0])
    assert one_centred(linear, torch.ones(3, 2), torch.zeros(3, 2), shares).item() == 16.0
    unit = lambda samples: samples @ (WEIGHTS / 5)  # noqa: E731
    assert one_centred(unit, torch.ones(3, 2), torch.zeros(3, 2), shares).item() == pytest.approx(0, abs=1e-12)


def test_the_one_centred_penalty_looks_between_reals_and_fakes():
    seen = []

    def judge(samples: Tensor) -> Tensor:
        seen.append(samples.detach().clone())
        return samples.square().flatten(1).sum(1)

    one_centred(judge, torch.full((3, 1, 2, 2), 8.0), torch.zeros(3, 1, 2, 2), torch.tensor([0.0, 0.25, 1.0]))
    assert seen[0][:, 0, 0, 0].tolist() == [0.0, 2.0, 8.0]


def test_penalties_have_finite_gradients_where_the_function_is_flat():
    slope = torch.zeros(2, requires_grad=True)
    flat = lambda samples: samples @ slope  # noqa: E731
    for value in (
        zero_centred(flat, torch.ones(3, 2)),
        one_centred(flat, torch.ones(3, 2), torch.ones(3, 2), torch.ones(3)),
    ):
        [gradient] = torch.autograd.grad(value, slope)
        assert torch.isfinite(gradient).all()


def test_clipping_keeps_every_weight_within_its_bound():
    network = torch.nn.Linear(4, 2)
    clip_weights(network, 0.01)
    assert max(p.abs().max().item() for p in network.parameters()) == pytest.approx(0.01)


# --- what a spec says and leaves out ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_where_a_spec_names_no_optimizer_the_objectives_usual_one_is_written_out(name):
    spec = ring_spec(objective__name=name)
    assert spec.optimizer == USUAL[name].optimizer
    assert spec.training.discriminator_steps == USUAL[name].discriminator_steps
    assert ring_spec(objective__name=name, optimizer=None) == spec


def test_the_usual_settings_are_the_papers():
    wgan, gp, hinge = (ring_spec(objective__name=name) for name in ("wgan", "wgan-gp", "hinge"))
    assert (wgan.optimizer.name, wgan.optimizer.learning_rate, wgan.training.discriminator_steps) == (
        "rmsprop",
        5e-5,
        5,
    )
    for spec, rate in ((gp, 1e-4), (hinge, 2e-4)):
        assert spec.optimizer.model_dump(include={"name", "learning_rate", "beta1", "beta2"}) == {
            "name": "adam",
            "learning_rate": rate,
            "beta1": 0,
            "beta2": 0.9,
        }
        assert spec.training.discriminator_steps == 5


def test_an_optimizer_without_a_name_changes_the_usual_one():
    spec = ring_spec(objective__name="wgan-gp", optimizer__learning_rate=1e-3, training__discriminator_steps=2)
    assert spec.optimizer.model_dump(include={"learning_rate", "beta1"}) == {"learning_rate": 1e-3, "beta1": 0}
    assert spec.training.discriminator_steps == 2


def test_the_discriminators_optimizer_without_a_name_changes_the_generators():
    own = ring_spec(optimizer={"name": "sgd", "momentum": 0.5}, discriminator_optimizer__learning_rate=0.5)
    assert own.discriminator_optimizer == Sgd(learning_rate=0.5, momentum=0.5)
    preset = RunRequest(preset="digit8-stable", set={"discriminator_optimizer.learning_rate": 4e-4}).resolve()
    assert isinstance(preset.discriminator_optimizer, Adam)
    assert (preset.discriminator_optimizer.learning_rate, preset.discriminator_optimizer.eps) == (4e-4, 1e-7)


def test_a_preset_keeps_its_optimizer_under_another_objective():
    spec = RunRequest(
        preset="digit8-stable", set={"objective.name": "wgan-gp", "training.discriminator_update": "together"}
    )
    assert spec.resolve().optimizer == RunRequest(preset="digit8-stable").resolve().optimizer


def test_an_objectives_own_penalties_are_joined_by_those_of_the_spec():
    assert ring_spec(objective__name="relativistic").all_penalties == Penalties(r1=1, r2=1)
    assert ring_spec(objective__name="wgan-gp", penalties__r1=10).all_penalties == Penalties(gradient=10, r1=10)
    assert ring_spec(penalties__r1=10).all_penalties == Penalties(r1=10)


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"objective.name": "wgan-gp", "penalties.gradient": 5}, "penalties.gradient", "objective.gradient_penalty"),
        ({"objective.name": "relativistic", "penalties.r2": 5}, "penalties.r2", "objective.gamma"),
        ({"objective.name": "relativistic"}, "training.discriminator_update", "'together', 'joined_batch'"),
        ({"penalties.gradient": 10}, "training.discriminator_update", "'together', 'joined_batch'"),
        ({"objective.name": "wasserstein"}, "objective.name", "'wgan-gp'"),
        ({"objective.clip": 1}, "objective.clip", "allowed: name"),
        ({"optimizer": {"name": "lion"}}, "optimizer.name", "'adam', 'rmsprop', 'sgd'"),
        ({"optimizer": {"name": "sgd", "beta1": 0}}, "optimizer.beta1", "momentum"),
        ({"optimizer": 3}, "optimizer", "not 3"),
        ({"discriminator_optimizer": 3}, "discriminator_optimizer", "not 3"),
        ({"training": 3}, "training", "not 3"),
        ({"objective": 3}, "objective", "not 3"),
        ({"optimizer.schedule": {"kind": "steps"}}, "optimizer.schedule.kind", "'cosine'"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(changes, field, words):
    with pytest.raises(InvalidRequest) as refused:
        RunRequest(preset="digit8-stable", set=changes).resolve()
    assert words in refused.value.problems[field]
