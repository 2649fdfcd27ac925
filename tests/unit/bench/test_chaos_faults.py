"""How the chaos bench draws its faults, and what it says of recovery times."""

from collections import Counter

import numpy as np

from bench.chaos.faults import FAULTS, RARE, draw_faults
from bench.chaos.storm import Recovery, recovery

KINDS = tuple(FAULTS)


def test_the_seed_alone_decides_which_faults_come():
    first, again, other = (draw_faults(np.random.default_rng(seed), 200, KINDS) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_each_kind_comes_as_often_as_the_others_but_for_rare_ones():
    counts = Counter(draw_faults(np.random.default_rng(1), 4 * len(KINDS) - 3, KINDS))
    assert {kind: count for kind, count in counts.items() if kind not in RARE} == {
        kind: 4 for kind in KINDS if kind not in RARE
    }
    assert counts["spec that crashes every time"] == 1


def test_recoveries_are_told_with_and_without_what_the_lease_takes():
    recoveries = [Recovery(kind="worker killed", seconds=s, lease_s=lease) for s, lease in ((5, 4), (6, 4), (1, 4))]
    figures = recovery(recoveries)
    assert (figures["recoveries"], figures["recovery_p50_s"]) == (3, 5)
    assert figures["recovery_without_lease_p50_s"] == 1
    assert recovery([])["recovery_p95_s"] is None
