# pyright: basic
"""The fused update is the plain one but for rounding, whatever the gradients' layout and whoever saved the state."""

from copy import deepcopy

import torch
from torch import Tensor, nn

from ganlib.spec.optimizer import Adam
from ganlib.training.optimizer import NetworkOptimizer

SPEC = Adam(learning_rate=1e-3, beta1=0.5, beta2=0.9)
STEPS = 5


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 1, 3)).to(memory_format=torch.channels_last)


def set_gradients(made: nn.Module, number: int) -> None:
    """Random ones, laid out as no weight with channels last is."""
    drawn = torch.Generator().manual_seed(number)
    for parameter in made.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=drawn)


def plain_adam(made: nn.Module) -> torch.optim.Adam:
    return torch.optim.Adam(made.parameters(), lr=1e-3, betas=(0.5, 0.9), eps=SPEC.eps, fused=False, foreach=False)


def weights(made: nn.Module) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in made.parameters()]


def assert_almost_equal(made: nn.Module, wanted: nn.Module) -> None:
    """Within a thousandth of what the five steps have moved a weight."""
    for found, expected in zip(weights(made), weights(wanted), strict=True):
        assert (found - expected).abs().max() < 1e-3 * STEPS * 1e-3


def test_the_update_is_adams_with_gradients_of_any_layout():
    ours, plain = network(), network()
    optimizer, reference = NetworkOptimizer(ours, SPEC, STEPS), plain_adam(plain)
    for step in range(STEPS):
        set_gradients(ours, step)
        optimizer.apply_gradients(step)
        set_gradients(plain, step)
        reference.step()
    assert_almost_equal(ours, plain)


def test_a_state_that_was_saved_before_updates_were_fused_goes_on():
    plain = network()
    reference = plain_adam(plain)
    set_gradients(plain, 0)
    reference.step()
    saved = deepcopy(reference.state_dict())
    saved["param_groups"][0] |= {"fused": None, "foreach": None}
    ours = network()
    ours.load_state_dict(plain.state_dict())
    optimizer = NetworkOptimizer(ours, SPEC, STEPS)
    optimizer.load_state_dict(saved)
    assert optimizer.optimizer.param_groups[0]["fused"] is True
    for step in range(1, STEPS):
        set_gradients(ours, step)
        optimizer.apply_gradients(step)
        set_gradients(plain, step)
        reference.step()
    assert_almost_equal(ours, plain)


def test_a_resumed_optimizer_goes_on_bit_by_bit():
    first = network()
    optimizer = NetworkOptimizer(first, SPEC, STEPS)
    set_gradients(first, 0)
    optimizer.apply_gradients(0)
    second = network()
    second.load_state_dict(first.state_dict())
    resumed = NetworkOptimizer(second, SPEC, STEPS)
    resumed.load_state_dict(deepcopy(optimizer.state_dict()))
    for step in range(1, STEPS):
        for made, own in ((first, optimizer), (second, resumed)):
            set_gradients(made, step)
            own.apply_gradients(step)
    assert all(torch.equal(a, b) for a, b in zip(weights(first), weights(second), strict=True))
