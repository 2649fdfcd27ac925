"""Each remedy's formula on literal values, and what it refuses."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from ganlib.data.load import load_dataset
from ganlib.networks.build import build_generator
from ganlib.networks.several import MixedGenerators, PerClass
from ganlib.objectives.bce import NON_SATURATING
from ganlib.objectives.label_smoothing import smoothed
from ganlib.remedies.adaptive_augment import AdaptiveAugmentRemedy
from ganlib.remedies.augment import augmented, colour, cutout, translation
from ganlib.remedies.ema import MovingAverageRemedy
from ganlib.remedies.feature_matching import absolute_distance, squared_distance
from ganlib.remedies.historical_averaging import PastWeights
from ganlib.remedies.instance_noise import InstanceNoiseRemedy
from ganlib.remedies.packing import pack
from ganlib.remedies.remedy import Seen
from ganlib.remedies.replay import ReplayRemedy
from ganlib.remedies.unrolling import Moments, UnrollingRemedy, adam_step
from ganlib.spec.optimizer import Adam
from ganlib.spec.remedies import AdaptiveAugment, DiffAugment, InstanceNoise, MovingAverage, Replay
from ganlib.spec.request import InvalidRequest, RunRequest
from ganlib.spec.run import RunSpec
from ganlib.training.loop import TrainingLoop

MLP = {"family": "mlp", "width": 8}
RING: dict[str, Any] = {
    "dataset": {"name": "ring8", "size": 200},
    "generator": MLP,
    "discriminator": MLP,
    "training": {"epochs": 2, "steps_per_epoch": 5, "batch_size": 16},
}


def ring_spec(**changes: object) -> RunSpec:
    return RunRequest(spec=RING, set={key.replace("__", "."): value for key, value in changes.items()}).resolve()


def setting(**parts: Any) -> Any:
    return SimpleNamespace(spec=ring_spec(), **parts)


# --- label smoothing, feature matching, historical averaging ----------------------------------------------------


def test_smoothing_moves_the_target_of_reals_alone():
    loss, logits = smoothed(NON_SATURATING, 0.9), torch.tensor([2.0])
    p = 1 / (1 + math.exp(-2))
    assert loss.real(logits).item() == pytest.approx(-0.9 * math.log(p) - 0.1 * math.log(1 - p), rel=1e-5)
    assert loss.fake is NON_SATURATING.fake
    assert loss.generator is NON_SATURATING.generator


def test_the_smoothed_loss_is_least_at_the_target():
    logits = torch.tensor([math.log(9)], requires_grad=True)  # a probability of .9
    value = smoothed(NON_SATURATING, 0.9).real(logits)
    assert value.item() == pytest.approx(0.325, abs=1e-3)
    assert torch.autograd.grad(value, logits)[0].item() == pytest.approx(0, abs=1e-6)


def test_feature_distances_are_between_means():
    reals, fakes = torch.tensor([[0.0, 1.0], [2.0, 3.0]]), torch.tensor([[0.0, 0.0], [0.0, 0.0]])
    assert squared_distance(reals, fakes).item() == 1 + 4
    assert absolute_distance(reals, fakes).item() == 1.5


def test_the_history_is_the_mean_of_past_weights():
    network = nn.Linear(1, 1, bias=False)
    history = PastWeights(network)
    for count, weight in enumerate((1.0, 2.0, 6.0), start=1):
        nn.init.constant_(network.weight, weight)
        history.add(count)
    assert history.means["weight"].item() == pytest.approx(3)
    assert history.distance().item() == pytest.approx(9)
    [gradient] = torch.autograd.grad(history.distance(), network.weight)
    assert gradient.item() == pytest.approx(6)


# --- moving average ---------------------------------------------------------------------------------------------


def test_the_average_moves_by_its_share_after_each_step():
    generator: Any = nn.Linear(1, 1, bias=False)
    nn.init.constant_(generator.weight, 1.0)
    remedy: Any = MovingAverageRemedy(MovingAverage(decay=0.9), setting(generator=generator))
    nn.init.constant_(generator.weight, 2.0)
    remedy.after_step(1)
    assert remedy.sampled.weight.item() == pytest.approx(1.1)
    remedy.after_step(2)
    assert remedy.sampled.weight.item() == pytest.approx(1.19)


def test_before_its_start_the_average_is_the_generator():
    generator: Any = nn.BatchNorm1d(2)
    remedy: Any = MovingAverageRemedy(MovingAverage(start=1), setting(generator=generator))
    nn.init.constant_(generator.weight, 5.0)
    generator.running_mean += 3
    remedy.after_step(1)
    assert remedy.sampled.weight.tolist() == [5.0, 5.0]
    assert remedy.sampled.running_mean.tolist() == [3.0, 3.0]
    nn.init.constant_(generator.weight, 7.0)
    remedy.after_step(2)
    assert remedy.sampled.weight[0].item() == pytest.approx(5.002)


# --- what the discriminator sees --------------------------------------------------------------------------------


def test_packs_stack_neighbours_along_the_channels_and_drop_what_is_left_over():
    images = torch.arange(5.0)[:, None, None, None].expand(5, 1, 2, 2)
    assert pack(images, 2).shape == (2, 2, 2, 2)
    assert pack(images, 2)[:, :, 0, 0].tolist() == [[0.0, 1.0], [2.0, 3.0]]
    assert pack(torch.tensor([[0.0, 1.0], [2.0, 3.0]]), 2).tolist() == [[0.0, 1.0, 2.0, 3.0]]


def test_noise_falls_to_nothing_in_a_straight_line():
    remedy = InstanceNoiseRemedy(InstanceNoise(std=0.4, until=0.5), setting())  # 10 steps in all
    assert [remedy.std(step) for step in (0, 1, 4, 5, 9)] == pytest.approx([0.4, 0.32, 0.08, 0, 0])
    samples = torch.zeros(4000, 2)
    assert remedy.view(samples, Seen.REALS, 0).std().item() == pytest.approx(0.4, rel=0.05)
    assert remedy.view(samples, Seen.REALS, 5) is samples


def test_each_view_has_noise_of_its_own():
    remedy = InstanceNoiseRemedy(InstanceNoise(), setting())
    views = [remedy.view(torch.zeros(3, 2), seen, index) for seen in Seen for index in (0, 1)]
    assert len({tuple(view.flatten().tolist()) for view in views}) == len(views)
    assert torch.equal(remedy.view(torch.zeros(3, 2), Seen.FAKES, 1), views[3])


def test_replay_fills_its_pool_first_and_then_swaps():
    remedy = ReplayRemedy(Replay(pool=4, probability=1), setting(generator=nn.Linear(1, 1)))
    first, second = torch.arange(3.0)[:, None], torch.arange(3.0, 6.0)[:, None]
    assert remedy.shown(first, 0) is first
    assert remedy.shown(second, 1) is second
    assert remedy.state()["pool"].flatten().tolist() == [0, 1, 2, 3]
    third = torch.arange(10.0, 16.0)[:, None]
    shown, pool = remedy.shown(third, 2).flatten().tolist(), remedy.state()["pool"].flatten().tolist()
    assert sorted(shown) == [0, 1, 2, 3, 14, 15]
    assert sorted(pool) == [10, 11, 12, 13]
    assert third.flatten().tolist() == [10, 11, 12, 13, 14, 15]


def test_replay_swaps_with_its_probability():
    remedy = ReplayRemedy(Replay(pool=1000, probability=0.5), setting(generator=nn.Linear(1, 1)))
    remedy.shown(torch.zeros(1000, 1), 0)
    assert remedy.shown(torch.ones(1000, 1), 1).mean().item() == pytest.approx(0.5, abs=0.05)


# --- augmentation -----------------------------------------------------------------------------------------------


def test_colours_are_changed_as_the_numbers_say():
    image = torch.tensor([1.0, -1.0, 0.0])[None, :, None, None].expand(1, 3, 2, 2)
    middle = torch.full((3, 1), 0.5)
    assert torch.allclose(colour(image, middle), image)
    brighter = torch.tensor([[1.0], [0.5], [0.5]])
    assert torch.allclose(colour(image, brighter), image + 0.5)
    grey = torch.tensor([[0.5], [0.0], [0.5]])
    assert torch.allclose(colour(image, grey), torch.zeros_like(image))
    contrast = torch.tensor([[0.5], [0.5], [1.0]])
    assert torch.allclose(colour(image, contrast), image * 1.5)


def test_translation_moves_whole_pixels_and_lets_zeros_in():
    image = torch.arange(1.0, 65.0).view(1, 1, 8, 8)
    still = translation(image, torch.full((2, 1), 0.5), 0.125)
    assert torch.equal(still, image)
    moved = translation(image, torch.tensor([[0.0], [0.99]]), 0.125)
    assert torch.equal(moved[0, 0, 1:, :-1], image[0, 0, :-1, 1:])
    assert moved[0, 0, 0].abs().sum() == moved[0, 0, :, -1].abs().sum() == 0


def test_cutout_blanks_a_square_that_may_reach_over_the_edge():
    images = torch.ones(2, 3, 8, 8)
    cut = cutout(images, torch.tensor([[0.5, 0.0], [0.5, 0.0]]), 0.5)
    assert (cut[0, 0] == 0).sum() == 16
    assert (cut[0, :, 2:6, 2:6] == 0).all()
    assert (cut[1, 0] == 0).sum() == 4


def test_augmentation_leaves_a_gradient_and_does_only_what_is_asked():
    images = torch.randn(5, 3, 8, 8, generator=torch.Generator().manual_seed(0)).requires_grad_()
    uniforms = torch.rand(7, 5, generator=torch.Generator().manual_seed(1))
    [gradient] = torch.autograd.grad(augmented(images, uniforms, DiffAugment()).square().sum(), images)
    assert torch.isfinite(gradient).all()
    assert gradient.abs().sum() > 0
    none_done = augmented(images, uniforms, DiffAugment(), torch.zeros(3, 5, dtype=torch.bool))
    assert torch.equal(none_done, images)
    done = torch.zeros(3, 5, dtype=torch.bool)
    done[2, 4] = True
    assert torch.equal(augmented(images, uniforms, DiffAugment(), done)[:4], images[:4])
    assert torch.equal(augmented(images, uniforms, DiffAugment(ops=("colour",))), colour(images, uniforms[:3]))


def test_the_adaptive_probability_follows_the_sign_of_the_reals_logits():
    discriminator: Any = nn.Linear(1, 1)
    remedy = AdaptiveAugmentRemedy(AdaptiveAugment(images=100, interval=2), setting(discriminator=discriminator))
    told: Any = SimpleNamespace(acc_real=torch.tensor(0.9))  # r_t = .8
    untold: Any = SimpleNamespace(acc_real=torch.tensor(0.7))  # r_t = .4
    seen = []
    for outcome in (told, told, told, told, untold, untold, untold, untold, untold, untold):
        remedy.after_discriminator(outcome, count=10, step=0)
        seen.append(round(remedy.probability.item(), 6))
    assert seen == [0, 0.2, 0.2, 0.4, 0.4, 0.2, 0.2, 0, 0, 0]


# --- unrolling --------------------------------------------------------------------------------------------------


def test_the_unrolled_update_is_that_of_adam():
    spec = Adam(learning_rate=0.1, beta1=0.5, beta2=0.9)
    weight = torch.tensor([1.0, -2.0], requires_grad=True)
    optimizer = torch.optim.Adam([weight], lr=0.1, betas=(0.5, 0.9))
    weights = {"w": weight.detach().clone()}
    moments = Moments(first={"w": torch.zeros(2)}, second={"w": torch.zeros(2)}, count=0)
    for gradient in ([0.3, -1.0], [0.2, 2.0], [-0.1, 0.5]):
        weight.grad = torch.tensor(gradient)
        optimizer.step()
        weights, moments = adam_step(weights, {"w": torch.tensor(gradient)}, moments, 0.1, spec)
        assert torch.allclose(weights["w"], weight.detach(), rtol=1e-5)


def unrolling_of(training: TrainingLoop) -> UnrollingRemedy:
    remedy = training.remedies["unrolling"]
    assert isinstance(remedy, UnrollingRemedy)
    return remedy


def test_the_generator_minimises_what_the_discriminator_will_have_lost():
    spec = ring_spec(remedies__unrolling={"steps": 3})
    training = TrainingLoop(spec, load_dataset(spec.dataset, Path(), 0), device=torch.device("cpu"))
    batch = training._generator_batch()
    assert batch.reals is not None
    judge = unrolling_of(training).unrolled(batch)
    lost = training.loss.real(judge(batch.reals)) + training.loss.fake(judge(batch.fakes))
    _, minimised = training._generator_losses()
    assert minimised.item() == pytest.approx(-lost.item(), rel=1e-5)


def test_the_unrolled_discriminator_is_the_trained_one_some_updates_later():
    spec = ring_spec(remedies__unrolling={"steps": 2})
    training = TrainingLoop(spec, load_dataset(spec.dataset, Path(), 0), device=torch.device("cpu"))
    training._update_discriminator(0)
    batch = training._generator_batch()
    assert batch.reals is not None
    before = {n: p.detach().clone() for n, p in training.discriminator.named_parameters()}
    judge = unrolling_of(training).unrolled(batch)
    assert all(torch.equal(before[n], p) for n, p in training.discriminator.named_parameters())
    unrolled = judge(batch.reals)
    for _ in range(2):  # what the unrolled discriminator has gone through, by its own optimizer
        real, fake = training.discriminator(batch.reals.samples), training.discriminator(batch.fakes.samples.detach())
        training.discriminator_optimizer.minimise((training.loss.real(real) + training.loss.fake(fake)) / 2, 0)
    assert torch.allclose(unrolled, training.discriminator(batch.reals.samples), atol=1e-5)
    assert not torch.allclose(
        unrolled, torch.func.functional_call(training.discriminator, before, (batch.reals.samples,)), atol=1e-5
    )


def test_the_generators_gradient_flows_through_the_unrolled_updates():
    spec = ring_spec(remedies__unrolling={"steps": 1})
    training = TrainingLoop(spec, load_dataset(spec.dataset, Path(), 0), device=torch.device("cpu"))
    training._update_discriminator(0)
    batch = training._generator_batch()
    assert batch.reals is not None
    [weight, *_] = training.generator.parameters()
    [gradient] = torch.autograd.grad(unrolling_of(training).unrolled(batch)(batch.reals).sum(), weight)
    assert torch.isfinite(gradient).all()
    assert gradient.abs().sum() > 0  # logits of reals depend on the generator only through the updates


# --- several generators -----------------------------------------------------------------------------------------


def constant(value: float) -> nn.Module:
    member = nn.Linear(1, 1)
    nn.init.zeros_(member.weight)
    nn.init.constant_(member.bias, value)
    return member


def test_a_mixture_gives_each_generator_every_kth_sample():
    made = MixedGenerators([constant(0), constant(1), constant(2)])(torch.randn(7, 1))
    assert made.flatten().tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert MixedGenerators([constant(0), constant(1), constant(2)])(torch.randn(2, 1)).flatten().tolist() == [0, 1]


def test_each_class_is_made_by_its_own_generator():
    network = PerClass([constant(0), constant(1), constant(2)])
    assert network(torch.randn(5, 1), torch.tensor([2, 0, 0, 1, 2])).flatten().tolist() == [2, 0, 0, 1, 2]
    assert network(torch.randn(2, 1), torch.tensor([1, 1])).flatten().tolist() == [1, 1]


def test_the_first_of_several_generators_is_the_one_that_there_would_be_alone():
    alone = build_generator(ring_spec(), torch.device("cpu")).state_dict()
    several: Any = build_generator(ring_spec(remedies__generators={"kind": "mixture", "count": 3}), torch.device("cpu"))
    first, second, third = (member.state_dict() for member in several.members)
    for key, value in alone.items():
        assert torch.equal(first[key], value)
        assert not torch.equal(second[key], value)
        assert not torch.equal(second[key], third[key])


# --- what does not fit ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("preset", "changes", "field", "words"),
    [
        ("digit8-stable", {"objective.name": "hinge", "remedies.label_smoothing": {}}, "label_smoothing", "'bce'"),
        ("ring", {"remedies.diff_augment": {}}, "diff_augment", "needs images"),
        ("ring", {"remedies.adaptive_augment": {}}, "adaptive_augment", "needs images"),
        ("digit8-stable", {"remedies.diff_augment.ops": ["cutout", "cutout"]}, "diff_augment.ops", "once"),
        ("digit8-stable", {"remedies.diff_augment.ops": ["flip"]}, "diff_augment.ops[0]", "'translation'"),
        ("digit8-stable", {"remedies.diff_augment": {}, "remedies.adaptive_augment": {}}, "adaptive_augment", "one of"),
        ("ring", {"remedies.packing.samples": 1}, "packing.samples", "greater than or equal to 2"),
        ("ring", {"remedies.packing.samples": 9}, "packing.samples", "allowed: up to 8"),  # 200 = 12 · 16 + 8
        ("ring", {"optimizer": {"name": "sgd"}, "remedies.unrolling": {}}, "unrolling", "'adam'"),
        ("ring", {"remedies.generators": {"kind": "mixture", "count": 9}}, "generators.count", "allowed: 2 to 8"),
        ("ring", {"remedies.generators": {"kind": "per_class"}}, "generators.kind", "conditional"),
        ("ring", {"remedies.generators": {"kind": "swarm"}}, "generators.kind", "'per_class'"),
        ("ring", {"remedies": {"generators": {"kind": "mixture", "count": 2}, "replay": {}}}, "replay", "tells apart"),
        (
            "ring",
            {"remedies": {"generators": {"kind": "mixture", "count": 2}, "packing": {}}},
            "packing",
            "tells apart",
        ),
        ("ring", {"remedies.mirrors": {}}, "mirrors", "allowed: label_smoothing"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(preset, changes, field, words):
    source: dict[str, Any] = {"spec": RING} if preset == "ring" else {"preset": preset}
    with pytest.raises(InvalidRequest) as refused:
        RunRequest(**source, set=changes).resolve()
    assert words in refused.value.problems[f"remedies.{field}"]


def test_packs_cannot_be_evaluated_by_the_discriminator():
    with pytest.raises(InvalidRequest, match=r"evaluation\.space: 'discriminator' sees packs"):
        ring_spec(remedies__packing={}, evaluation__space="discriminator")


def test_batch_norm_needs_two_packs():
    norm = {"discriminator.norm": {"kind": "batch"}, "remedies.packing.samples": 5}
    with pytest.raises(InvalidRequest, match=r"discriminator\.norm: 'batch' needs two samples in every batch"):
        RunRequest(spec=RING, set=norm).resolve()  # the last batch of a pass has 8 samples, one pack
    assert RunRequest(spec=RING, set=norm | {"remedies.packing.samples": 4}).resolve().packing == 4


@pytest.mark.parametrize("name", ["packing", "replay"])
def test_what_mixes_classes_is_refused_for_conditional_networks(name):
    changes = {"generator.condition": "concat", "discriminator.condition": "concat", f"remedies.{name}": {}}
    with pytest.raises(InvalidRequest, match=rf"remedies\.{name}: .* conditional"):
        RunRequest(preset="mnist-stable", set=changes).resolve()
