"""Sweeps: which runs they give, and what is refused."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ganlib.spec.problems import problems_of
from ganlib.spec.sweep import BatchRequest, Sweep, SweepRange

BASE: dict[str, Any] = {"preset": "digit8-stable"}
RATE = "optimizer.learning_rate"


def sweep(**parts: Any) -> Sweep:
    return Sweep.model_validate({"base": BASE, **parts})


def settings(found: Sweep) -> list[dict[str, Any]]:
    return [request.set for request in found.requests()]


def problem(**parts: Any) -> dict[str, str]:
    with pytest.raises(ValidationError) as raised:
        sweep(**parts)
    return problems_of(raised.value, Sweep)


def test_a_grid_has_every_combination_with_every_seed_in_order() -> None:
    found = sweep(vary={RATE: [1e-4, 2e-4], "generator.latent_dim": [1, 50]}, seeds=[7, 8])
    assert settings(found) == [
        {RATE: rate, "generator.latent_dim": latent, "seed": seed}
        for rate in (1e-4, 2e-4)
        for latent in (1, 50)
        for seed in (7, 8)
    ]
    assert found.requests()[1].name == "learning_rate 0.0001, latent_dim 1, seed 8"
    assert {request.resolve().seed for request in found.requests()} == {7, 8}


def test_seeds_alone_are_a_sweep_and_the_bases_changes_stay() -> None:
    found = sweep(base={**BASE, "set": {"training.epochs": 2}, "name": "mine", "priority": -3}, seeds=3)
    assert settings(found) == [{"training.epochs": 2, "seed": seed} for seed in range(3)]
    assert [(r.name, r.priority) for r in found.requests()][2] == ("mine: seed 2", -3)


def test_a_range_of_a_grid_is_evenly_apart() -> None:
    found = sweep(vary={RATE: {"low": 1e-5, "high": 1e-3, "log": True, "points": 3}})
    assert [s[RATE] for s in settings(found)] == [1e-5, 1e-4, 1e-3]
    found = sweep(vary={RATE: {"low": 0, "high": 1, "points": 5}})
    assert [s[RATE] for s in settings(found)] == [0, 0.25, 0.5, 0.75, 1]
    found = sweep(vary={"generator.latent_dim": {"low": 1, "high": 3, "integer": True, "points": 9}})
    assert [s["generator.latent_dim"] for s in settings(found)] == [1, 2, 3]


def test_a_random_sweep_is_the_same_each_time_and_another_with_another_seed() -> None:
    parts: dict[str, Any] = {"kind": "random", "vary": {RATE: {"low": 1e-5, "high": 1e-2, "log": True}}, "count": 20}
    first = settings(sweep(**parts))
    assert first == settings(sweep(**parts)) != settings(sweep(**parts, draw_seed=1))
    assert len({s[RATE] for s in first}) == 20
    with_seeds = settings(sweep(**parts, seeds=2))
    assert [s[RATE] for s in with_seeds] == [s[RATE] for s in first for _ in range(2)]


def test_a_logarithmic_range_draws_every_decade_alike() -> None:
    rng = np.random.default_rng(0)
    drawn = [SweepRange(low=1e-4, high=1e-1, log=True).draw(rng) for _ in range(3000)]
    decades = Counter(int(np.floor(np.log10(value))) for value in drawn)
    assert all(900 < decades[decade] < 1100 for decade in (-4, -3, -2))


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.booleans(), st.booleans(), st.integers(0, 2**32))
def test_what_is_drawn_lies_in_its_range(low: float, width: float, log: bool, integer: bool, seed: int) -> None:
    if log:
        low = abs(low) + 1e-6
    high = low + width
    if integer:
        low, high = float(round(low)) + log, float(round(low) + log + int(width) + 1)
    found = SweepRange(low=low, high=high, log=log, integer=integer)
    rng = np.random.default_rng(seed)
    for value in (found.draw(rng) for _ in range(20)):
        assert low <= value <= high
        assert isinstance(value, int) or not integer


def test_a_name_keeps_to_what_a_name_may_be() -> None:
    found = sweep(vary={"objective": [{"name": "bce"}, {"name": "\x1b[2J" + "x" * 300}]})
    names = [request.name for request in found.requests()]
    assert names[0] == "objective bce"
    assert names[1] is not None
    assert len(names[1]) == 200
    assert names[1].isprintable()


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({}, "vary: nothing varies"),
        ({"vary": {RATE: []}}, "at least 1 item"),
        ({"vary": {"Rate!": [1]}}, "should match pattern"),
        ({"vary": {"seed": [1]}, "seeds": 2}, "seeds: 'seed' is in vary, too"),
        ({"vary": {"generator": [{}], "generator.latent_dim": [1]}}, "lies in 'generator', which varies, too"),
        ({"vary": {RATE: [1]}, "seeds": [1, 1]}, "seeds: one is there twice"),
        ({"vary": {RATE: [1]}, "seeds": 0}, "greater than or equal to 1"),
        ({"vary": {RATE: [1]}, "seeds": 10**12}, "less than or equal to 1000"),
        ({"vary": {RATE: [1]}, "count": 3}, "count: is for random sweeps"),
        ({"kind": "random", "vary": {RATE: [1]}}, "count: says how many"),
        ({"kind": "random", "seeds": 3, "count": 3}, "draws the values of fields, and there are none"),
        ({"vary": {RATE: {"low": 0, "high": 1}}}, "points: says how many values"),
        ({"kind": "random", "count": 1, "vary": {RATE: {"low": 0, "high": 1, "points": 2}}}, "points: is for grids"),
        ({"vary": {RATE: {"low": 1, "high": 1, "points": 2}}}, "has to be above low"),
        ({"vary": {RATE: {"low": 0, "high": 1, "points": 2, "log": True}}}, "has to be above 0"),
        ({"vary": {RATE: {"low": 0.5, "high": 2, "points": 2, "integer": True}}}, "has to be whole"),
        ({"vary": {RATE: [0.1] * 200, "seed": list(range(6))}}, "gives 1,200 runs; allowed: at most 1,000"),
    ],
)
def test_what_is_no_sweep_is_refused_with_the_reason(parts: dict[str, Any], words: str) -> None:
    found = problem(**parts)
    assert words in "; ".join(f"{field}: {text}" for field, text in found.items())


@pytest.mark.parametrize("parts", [{}, {"runs": [BASE], "sweep": {"base": BASE, "seeds": 2}}])
def test_a_batch_is_given_one_way(parts: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="give either 'runs' or 'sweep'"):
        BatchRequest.model_validate(parts)


@pytest.mark.parametrize("kind", ["random", "grid"])
@pytest.mark.parametrize(
    ("log", "low", "high", "field"),
    [
        (True, 1, 2.0**63, "high"),
        (False, 1, 2.0**63, "high"),
        (False, 1, 1e300, "high"),
        (False, -(2.0**54), 1, "low"),
    ],
)
def test_whole_numbers_that_a_double_cannot_tell_apart_are_refused_by_field(
    kind: str, log: bool, low: float, high: float, field: str
) -> None:
    number = {"count": 3} if kind == "random" else {}
    points = {} if kind == "random" else {"points": 3}
    values = {"low": low, "high": high, "integer": True, "log": log, **points}
    found = problem(kind=kind, vary={"seed": values}, **number)
    assert list(found) == [f"vary.seed.range.{field}"]
    assert "from -9007199254740992 to 9007199254740992" in found[f"vary.seed.range.{field}"]


@given(
    st.sampled_from(["random", "grid"]), st.booleans(), st.floats(-(2.0**53), 2.0**53), st.floats(-(2.0**53), 2.0**53)
)
def test_every_range_of_whole_numbers_that_is_taken_gives_some_within_it(
    kind: str, log: bool, low: float, high: float
) -> None:
    low, high = float(round(low)), float(round(high))
    values = {"low": low, "high": high, "integer": True, "log": log}
    parts = {"kind": "random", "count": 5} if kind == "random" else {}
    try:
        found = sweep(vary={"seed": values if kind == "random" else {**values, "points": 5}}, **parts)
    except ValidationError:
        assert low >= high or (log and low <= 0)
        return
    drawn = [request.set["seed"] for request in found.requests()]
    assert drawn
    assert all(isinstance(value, int) and low <= value <= high for value in drawn)


@pytest.mark.parametrize("flag", ["log", "integer"])
def test_only_true_and_false_are_flags_of_a_range(flag: str) -> None:
    assert list(problem(vary={RATE: {"low": 1, "high": 3, "points": 3, flag: 1}})) == [f"vary.{RATE}.range.{flag}"]


MEBIBYTE = "x" * 2**20


@pytest.mark.parametrize(
    "parts",
    [
        {"base": {"spec": {"data": MEBIBYTE}}, "seeds": 40},
        {"base": {**BASE, "set": {"data": MEBIBYTE}}, "seeds": 40},
        {"vary": {"data": [MEBIBYTE] * 2}, "seeds": 40},
        {"vary": {"data": [MEBIBYTE, 1]}, "kind": "random", "count": 40},
    ],
)
def test_a_sweep_that_would_not_fit_into_memory_is_refused_by_field(parts: dict[str, Any]) -> None:
    (found,) = problem(**parts).items()
    assert found[0] == "base"
    assert "allowed: 32 MiB in one sweep" in found[1]


def test_a_sweep_of_all_that_is_allowed_is_taken() -> None:
    assert sweep(base={"spec": {"data": MEBIBYTE}}, seeds=31).size == 31
    assert sweep(vary={"data": [MEBIBYTE, 1]}, seeds=31).size == 62
