"""The training process's end of the pipes, as a small process of its own where it is about to end one."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.images import CHECKOUT
from worker.attempt.channel import ORPHANED, Channel
from worker.messages import Stepped, Ticket, Working, parse_event

TICKET = Ticket(run_id="0123456789abcdef", token=1, attempt=1, device="cpu")
PRELUDE = """
import sys, time
from worker.attempt.channel import Channel, Stopped
from worker.messages import Stepped, Working
channel = Channel.over_standard_streams()
"""


def test_steps_are_reported_a_few_times_a_second(tmp_path: Path) -> None:
    events = tmp_path / "events"
    with Path(os.devnull).open("rb") as commands, events.open("wb") as output:
        channel = Channel(commands.fileno(), output.fileno())
        for step in range(1, 1001):
            channel.step(step)
    reported = [parse_event(text) for text in events.read_text().splitlines()]
    assert reported[0] == Stepped(step=1)
    assert len(reported) < 100


def start(script: str) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, "-c", PRELUDE + script], stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd=CHECKOUT
    )


def test_the_line_hears_its_ticket_and_then_commands() -> None:
    with start("""
ticket = channel.read_ticket()
channel.obey()
channel.tell(Working(on=ticket.run_id))
while True:
    try:
        channel.step(1)
    except Stopped as command:
        channel.tell(Working(on=str(command)))
        break
    time.sleep(.001)
""") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(TICKET.to_line())
        process.stdin.flush()
        assert parse_event(process.stdout.readline()) == Working(on=TICKET.run_id)
        process.stdin.write("cancel\n")
        process.stdin.flush()
        events = [parse_event(line) for line in process.stdout]
        assert events[-1] == Working(on="cancel")
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("work", "is_heard"),
    [
        ("channel.tell(Working(on='it'))\nwhile True: pass", True),
        ("channel.tell(Working(on='it'))\ntime.sleep(600)", False),  # it hangs
        ("channel.tell(Stepped(step=1))\nwhile True: pass", False),  # steps have a pace of their own
    ],
)
def test_a_process_that_computes_something_else_than_steps_is_not_silent(work: str, is_heard: bool) -> None:
    with start(
        f"import worker.attempt.channel\nworker.attempt.channel.PULSE_INTERVAL_S = 0.05\nchannel.read_ticket()\n{work}"
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(TICKET.to_line())
        process.stdin.flush()
        first = process.stdout.readline()
        time.sleep(0.5)
        process.stdin.close()
        later = process.stdout.readlines()
    assert later == [first] * len(later)
    assert bool(later) == is_heard


@pytest.mark.parametrize("work", ["time.sleep(600)", "while True: pass"])
def test_a_process_whose_worker_is_gone_ends_at_once(work: str) -> None:
    with start(f"channel.read_ticket()\nchannel.tell(Working(on='it'))\n{work}") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(TICKET.to_line())
        process.stdin.flush()
        process.stdout.readline()
        gone_at = time.monotonic()
        process.stdin.close()
        assert process.wait() == ORPHANED
        assert time.monotonic() - gone_at < 5


def test_a_process_that_never_gets_a_ticket_ends() -> None:
    with start("channel.read_ticket()") as process:
        process.communicate("")
    assert process.returncode == ORPHANED


def test_a_process_that_nobody_listens_to_ends() -> None:
    with start("channel.read_ticket()\nwhile True: channel.tell(Working(on='it'))") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.close()
        process.stdin.write(TICKET.to_line())
        process.stdin.flush()
        assert process.wait() == ORPHANED


def test_what_is_printed_is_no_event() -> None:
    with start("import os; print('100 %'); os.system('echo and more'); channel.tell(Working(on='it'))") as process:
        output, log = process.communicate("")
    assert [parse_event(line) for line in output.splitlines()] == [Working(on="it")]
    assert "100 %" in log
    assert "and more" in log


def test_commands_to_go_on_without_a_run_are_heard_beside_the_others() -> None:
    with start("""
channel.read_ticket()
heard = []
while True:
    try:
        heard += channel.dropped()
        channel.obey()
    except Stopped:
        channel.tell(Working(on=" ".join(heard + channel.dropped())))
        break
    time.sleep(.001)
""") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(TICKET.to_line() + "drop a\ndrop b\nstop\n")
        process.stdin.flush()
        assert parse_event(process.stdout.readline()) == Working(on="a b")
