"""A disk that is full while a training writes its checkpoint: files cannot grow beyond a limit."""

import sys
from pathlib import Path

import pytest
from sqlalchemy import Engine

from store.core.db import transaction
from store.core.models import Run
from store.core.settings import Settings
from store.runs import claims
from tests.support.store import LEASE, create_run
from tests.support.worker import Clinic
from worker.host.supervise import supervise

LIMIT_BYTES = 4 * 1024 * 1024
LIMITED = (
    "import os, resource, sys\n"
    f"resource.setrlimit(resource.RLIMIT_FSIZE, ({LIMIT_BYTES}, {LIMIT_BYTES}))\n"
    "os.execv(sys.executable, [sys.executable, '-m', 'worker.attempt.training'])\n"
)


def test_a_full_disk_costs_an_attempt_names_the_directory_and_leaves_the_run_to_others(
    postgres_engine: Engine, migrated_postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(home=tmp_path, database_url=migrated_postgres_url, device="cpu", threads=1, max_attempts=2)
    clinic = Clinic(home=tmp_path, engine=postgres_engine, database_url=migrated_postgres_url)
    for name, value in clinic.environment().items():
        monkeypatch.setenv(name, value)
    with transaction(postgres_engine) as session:
        run_id = create_run(session).id
        wide = {"family": "mlp", "width": 1024}
        run = session.get_one(Run, run_id)
        run.spec = run.spec | {"generator": run.spec["generator"] | wide}
    limited = [sys.executable, "-c", LIMITED]

    def attempt() -> Run:
        with transaction(postgres_engine) as session:
            claimed = claims.claim(session, "worker-1", LEASE)
        assert claimed is not None
        assert supervise(claimed, lambda: False, engine=postgres_engine, settings=settings, command=limited)
        return clinic.run(run_id)

    words = f"no room for a file in '{settings.checkpoints / run_id}' (File too large)"
    assert attempt().status == "queued"
    (lost,) = clinic.attempts(run_id)
    assert lost.outcome == "lost"
    assert words in str(lost.error)
    assert list((settings.checkpoints / run_id).iterdir()) == []
    run = attempt()
    assert (run.status, run.error_kind) == ("failed", "DiskFull")
    assert words in str(run.error)
