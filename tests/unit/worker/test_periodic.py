"""What is done every so many seconds, in a thread of its own."""

import threading

from worker.periodic import Periodic

SOON_S, NEVER_S = 0.001, 3600.0


def test_it_is_done_again_and_again_until_it_is_stopped() -> None:
    times, often = list[int](), threading.Event()

    def do() -> None:
        times.append(1)
        if len(times) == 3:
            often.set()

    periodic = Periodic("test", do, SOON_S)
    periodic.start()
    assert often.wait(30)
    periodic.stop()
    assert not periodic._thread.is_alive()


def test_the_first_time_comes_after_the_interval_or_at_once() -> None:
    done = threading.Event()
    waiting = Periodic("test", done.set, NEVER_S)
    waiting.start()
    waiting.stop()
    assert not done.is_set()
    at_once = Periodic("test", done.set, NEVER_S, at_once=True)
    at_once.start()
    assert done.wait(30)
    at_once.stop()


def test_where_it_is_not_wanted_nothing_is_done() -> None:
    done = threading.Event()
    periodic = Periodic("test", done.set, SOON_S, at_once=True, wanted=lambda: False)
    periodic.start()
    periodic._thread.join(30)
    assert not periodic._thread.is_alive()
    assert not done.is_set()


def test_a_stop_waits_for_what_goes_on_unless_it_is_told_not_to() -> None:
    begun, may_end = threading.Event(), threading.Event()

    def do() -> None:
        begun.set()
        may_end.wait(30)

    periodic = Periodic("test", do, NEVER_S, at_once=True)
    periodic.start()
    assert begun.wait(30)
    periodic.stop(wait=False)
    assert periodic._thread.is_alive()
    may_end.set()
    periodic.stop()
    assert not periodic._thread.is_alive()


def test_one_that_was_never_started_can_be_stopped() -> None:
    Periodic("test", lambda: None, SOON_S).stop()
