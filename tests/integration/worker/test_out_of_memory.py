"""A training process whose device is out of memory, from the claim to the run's error."""

import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from store.core.db import transaction
from store.core.settings import Settings
from store.runs import claims
from tests.support.images import CHECKOUT
from tests.support.store import LEASE
from tests.support.worker import Clinic
from worker.host.supervise import supervise

WIDTH, FITTING = 64, 256
SETTINGS: dict[str, Any] = {
    "dataset": {"name": "ring8", "size": 5000},
    "generator.width": WIDTH,
    "discriminator.width": WIDTH,
    "training.batch_size": 2000,
}
LIMITED = f"""
import sys
from typing import Any
sys.path.insert(0, {str(CHECKOUT)!r})
from tests.support.memory import train_with_little_memory
sys.exit(train_with_little_memory({FITTING * 4 * WIDTH}))
"""


def test_a_run_that_is_out_of_memory_fails_at_once_and_says_which_batch_size_fits(
    sqlite_engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = str(sqlite_engine.url)
    settings = Settings(home=tmp_path, database_url=url, device="cpu", threads=1)
    clinic = Clinic(home=tmp_path, engine=sqlite_engine, database_url=url)
    for name, value in clinic.environment().items():
        monkeypatch.setenv(name, value)
    run_id = clinic.create_run(**SETTINGS)
    with transaction(sqlite_engine) as session:
        claimed = claims.claim(session, "worker-1", LEASE)
    assert claimed is not None
    command = [sys.executable, "-c", LIMITED]
    assert not supervise(claimed, lambda: False, engine=sqlite_engine, settings=settings, command=command)
    run = clinic.run(run_id)
    assert (run.status, run.error_kind, run.attempt) == ("failed", "OutOfMemory", 1)
    assert str(run.error).endswith(
        f"A batch size of {FITTING} fits (tried on this GPU): --set training.batch_size={FITTING}"
    )
