"""How a worker starts a training process."""

import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from worker.host.attempt_log import AttemptLog
from worker.host.process import TrainingProcess
from worker.messages import Ticket

TICKET = Ticket(run_id="0123456789abcdef", token=1, attempt=1, device="cpu")
TENSORS = """
import resource, sys
import torch
def fill(): torch.empty(10_000_000).zero_()
for _ in range(20): fill()  # glibc takes up to ten rounds to settle
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20): fill()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before, file=sys.stderr)
"""
PAGES_OF_A_TENSOR = 10_000_000 * 4 // 4096


def faults_in_a_training_process(tmp_path: Path) -> int:
    """Pages that the kernel had to give to 20 tensors of 40 MB, made and freed in turn."""
    log = AttemptLog(tmp_path, TICKET.run_id, TICKET.attempt)
    with closing(log), TrainingProcess([sys.executable, "-c", TENSORS], TICKET, log) as process:
        while not process.has_ended():
            process.hear(0.1)
    return int(log.tail(1))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's settings")
def test_memory_that_a_step_frees_is_there_for_the_next(tmp_path: Path) -> None:
    assert faults_in_a_training_process(tmp_path) < PAGES_OF_A_TENSOR


def test_settings_of_the_workers_own_environment_prevail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MALLOC_MMAP_MAX_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_"):
        monkeypatch.setenv(name, {"MALLOC_MMAP_MAX_": "65536"}.get(name, "131072"))
    assert faults_in_a_training_process(tmp_path) > 10 * PAGES_OF_A_TENSOR


def test_the_worker_itself_keeps_the_c_librarys_own_settings() -> None:
    script = "import os, worker.host.process; sys = __import__('sys'); sys.exit('MALLOC_MMAP_MAX_' in os.environ)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


LEAVES_A_DAEMON = """
import os, subprocess, sys
daemon = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
print(daemon.pid, "last words", file=sys.stderr, flush=True)
"""


def test_a_kill_does_not_wait_for_what_has_left_the_group_and_holds_the_pipes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("worker.host.process.LAST_WORDS_S", 0.5)
    log = AttemptLog(tmp_path, TICKET.run_id, TICKET.attempt)
    with closing(log):
        process = TrainingProcess([sys.executable, "-c", LEAVES_A_DAEMON], TICKET, log)
        while not process.has_ended():
            process.hear(0.1)
        began = time.monotonic()
        process.kill()
        assert time.monotonic() - began < 10
    daemon, *words = log.tail(1).split()
    assert words == ["last", "words"]
    assert "nobody waits for it" in caplog.text
    os.kill(int(daemon), signal.SIGKILL)  # the readers come to their ends and close the pipes
    for reader in (process._listener, process._logger):
        reader.join(60)
        assert not reader.is_alive()
