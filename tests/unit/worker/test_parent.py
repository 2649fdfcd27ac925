"""Properties of the worker's own process."""

import logging
import subprocess
import sys

from store.operations.logging import LineFormatter
from tests.support.images import CHECKOUT
from worker.__main__ import parse_arguments


def test_the_worker_itself_imports_no_torch() -> None:
    script = "import sys, worker.__main__, worker.health; sys.exit('torch' in sys.modules or 'sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], cwd=CHECKOUT, check=False).returncode == 0


def test_a_workers_name_is_its_own_unless_it_is_given_one() -> None:
    assert parse_arguments([]).name.startswith("worker-")
    assert parse_arguments(["--name", "left", "--device", "cuda:1"]).name == "left"


def test_a_log_line_has_its_time_in_utc_and_its_context() -> None:
    record = logging.LogRecord("worker", logging.INFO, "", 0, "epoch %d", (3,), None)
    record.created, record.msecs = 86_400.25, 250
    line = LineFormatter(run="0123", share="5%").format(record)
    assert line == "1970-01-02T00:00:00.250Z INFO worker run=0123 share=5% epoch 3"
