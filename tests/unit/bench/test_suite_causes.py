# pyright: basic
"""Labels by what changes do, on literal cases."""

import numpy as np
import pytest

from bench.verdicts.causes import causes_of, gains_of, swings, worth
from bench.verdicts.inside_figures import Inside
from ganlib.findings import FindingName

WINS: FindingName = "convergence failure: discriminator wins"
NO_EQUILIBRIUM: FindingName = "convergence failure: no equilibrium"
INERT: FindingName = "convergence failure: discriminator inert"


def looks(*qualities: float, missing: float = 0.0):
    return np.array([[missing, quality, 1.0, 0.0, 1.0] for quality in qualities], np.float32)


def inside(shares=None, changes=None, **figures: float) -> Inside:
    return Inside(
        shares=np.full((64, 4), 0.25, np.float32) if shares is None else shares,
        discriminator={"separation": 0.9, "slope": 0.5, "answers": 1.0, "motion": 0.01} | figures,
        bins=np.zeros((41, 20), np.int32),
        movement=np.zeros(40, np.float32),
        elsewhere={},
        changes={"unchanged": looks(0.1, 0.1, 0.1)} | (changes or {}),
    )


def test_a_gain_is_over_going_on_as_before():
    found = inside(changes={"calm": looks(0.1, 0.5, 0.4), "quiet": looks(0.8, missing=0.5)})
    assert gains_of(found) == {"calm": pytest.approx(0.4), "quiet": pytest.approx(0.3)}


def test_samples_that_show_nothing_are_worth_nothing():
    assert worth(np.array([[np.nan, 0.0, 0, 0, 1], [0.5, 0.8, 1, 0, 1]], np.float32)) == pytest.approx([0.0, 0.4])


def test_a_discriminator_wins_where_it_tells_all_and_beginning_anew_helps():
    helped = {"fresh discriminator": looks(0.4), "calm": looks(0.4)}
    assert causes_of(inside(changes=helped, separation=1.0), poor=True).labels == {WINS}
    assert causes_of(inside(changes=helped, separation=1.0), poor=False).labels == set()
    unhelped = {"fresh discriminator": looks(0.1), "calm": looks(0.4)}
    assert causes_of(inside(changes=unhelped, separation=1.0), poor=True).labels == set()


def test_no_equilibrium_is_what_calming_settles():
    assert causes_of(inside(changes={"calm": looks(0.6)}), poor=True).labels == {NO_EQUILIBRIUM}
    assert causes_of(inside(changes={"calm": looks(0.6)}, separation=0.6), poor=True).labels == {NO_EQUILIBRIUM}
    assert causes_of(inside(changes={"calm": looks(0.1)}), poor=True).labels == set()


def test_what_hardly_helps_is_argued_about():
    found = causes_of(inside(changes={"calm": looks(0.17)}), poor=True)
    assert (found.labels, set(found.argued)) == (set(), {NO_EQUILIBRIUM})


def test_gradients_vanish_where_the_loss_is_flat_and_larger_updates_help():
    assert causes_of(inside(changes={"loud": looks(0.5)}, slope=1e-5), poor=True).labels == {"vanishing gradients"}
    assert causes_of(inside(changes={"loud": looks(0.5)}, slope=0.5), poor=True).labels == set()


@pytest.mark.parametrize("figures", [{"motion": 1e-6}, {"answers": 1e-5}])
def test_a_discriminator_is_inert_where_it_does_not_move_or_says_one_thing(figures):
    assert causes_of(inside(**figures), poor=True).labels == {INERT}


def wave(period: float, size: float, count: int = 128):
    going = size * np.sin(2 * np.pi * np.arange(count) / period)
    return np.stack([0.5 + going, 0.5 - going], 1).astype(np.float32)


def test_swings_are_counted():
    assert swings(wave(16, 0.3)) in (7, 8)
    assert swings(wave(16, 0.01)) == 0, "too small"
    assert swings(wave(100, 0.3)) == 0, "too few"
    assert causes_of(inside(shares=wave(16, 0.3)), poor=False).labels == {"oscillation"}


def test_noise_and_wandering_are_no_swings():
    rng = np.random.default_rng(0)
    counted = []
    for _ in range(200):
        walk = np.cumsum(rng.normal(size=(128, 8)), 0) / 10
        shares = np.exp(walk) / np.exp(walk).sum(1, keepdims=True)
        counted.append(swings(shares.astype(np.float32)))
        counted.append(swings((rng.multinomial(256, np.full(8, 1 / 8), 128) / 256).astype(np.float32)))
    assert np.mean(np.array(counted) > 0) < 0.05
