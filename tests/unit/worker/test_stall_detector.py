from datetime import timedelta

import pytest

from worker.host.stall_detector import StallDetector, StallLimits
from worker.messages import Stepped, Working

PATIENCE = StallLimits(stall_factor=10, stall_minimum=timedelta(seconds=60), start_timeout=timedelta(seconds=300))


def heard(*steps: tuple[float, int]) -> StallDetector:
    """Begun at 0, with steps reported at these times."""
    stall_detector = StallDetector(PATIENCE, 0)
    for at, step in steps:
        stall_detector.hear(Stepped(step=step), at)
    return stall_detector


def test_before_the_first_steps_the_start_timeout_counts() -> None:
    assert not heard().is_stall(300)
    assert heard().is_stall(300.1)
    assert heard((100, 1)).limit_s() == 300  # one step has no pace


def test_a_pace_of_short_steps_gives_the_minimum() -> None:
    stall_detector = heard((0, 1), (1, 101), (2, 201))
    assert stall_detector.limit_s() == 60
    assert not stall_detector.is_stall(62)
    assert stall_detector.is_stall(62.1)


def test_a_pace_of_long_steps_gives_a_multiple_of_their_median() -> None:
    stall_detector = heard((0, 1), (20, 2), (40, 3), (200, 4))
    assert stall_detector.limit_s() == 10 * 20


def test_a_report_of_many_steps_counts_as_that_many() -> None:
    assert heard((0, 0), (100, 5), (200, 10)).limit_s() == 10 * 20


def test_other_work_has_no_pace() -> None:
    stall_detector = heard((0, 1), (1, 2))
    stall_detector.hear(Working(on="recording epoch 1"), 2)
    assert stall_detector.limit_s() == 300
    assert not stall_detector.is_stall(302)
    stall_detector.hear(Stepped(step=3), 250)
    assert stall_detector.limit_s() == 60


def test_the_time_of_other_work_is_not_taken_for_a_slow_step() -> None:
    stall_detector = heard((0, 1), (1, 2))
    stall_detector.hear(Working(on="recording epoch 1"), 1)
    stall_detector.hear(Stepped(step=3), 200)
    stall_detector.hear(Stepped(step=4), 201)
    assert stall_detector.limit_s() == 60


@pytest.mark.parametrize("steps", [[(0, 5), (1, 5)], [(0, 5), (1, 4)]])
def test_a_step_that_is_not_new_gives_no_pace(steps: list[tuple[float, int]]) -> None:
    assert heard(*steps).limit_s() == 300
