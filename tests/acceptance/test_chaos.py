"""A short storm of `make chaos`: every kind of fault once against real processes, but for bells rung for nothing."""

import pytest

from bench.chaos.__main__ import PROMISES
from bench.chaos.faults import FAULTS
from bench.chaos.storm import Plan, rage

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]  # twenty processes start one after the other
# Its first ten faults are all but "bell rung 20 times", and the spec that crashes, which takes longest, comes first.
SEED = 52


def test_ten_faults_lose_double_and_change_nothing():
    plan = Plan(
        faults=10, seed=SEED, max_attempts=3, specs=1, epochs=6, unfinished=2, pause_s=(0.1, 0.5), patience_s=100
    )
    figures = rage("postgresql", plan).figures
    assert {name: figures[name] for name in PROMISES} == dict.fromkeys(PROMISES, 0), figures
    assert set(figures["fault_kinds"]) == set(FAULTS) - {"bell rung 20 times"}
    assert figures["runs_made_to_crash"] == 1
    assert figures["runs"] > figures["runs_made_to_crash"]
    assert figures["hits"] > 4  # of trainings and their workers, each of which was in training
    assert figures["attempts"]["lost"] > plan.max_attempts  # the faults took attempts, too
