"""The API in this process, on a real database, with a bell that remembers."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import SecretStr
from sqlalchemy import Engine, func, select

from api.app import create_app
from ganlib.plots.image_grids import bin_strip
from ganlib.records import NDB_FIGURES, Bin, EpochEvaluation, Null
from store.core.db import reading, transaction
from store.core.models import Run
from store.core.settings import Settings
from store.files.backends import open_artifacts
from store.runs import recording
from store.runs.claims import Claim
from tests.support import store
from tests.support.comparison import create_comparison
from tests.support.store import STEPS, claim_run, diagnosis, epoch_record, evaluation

TEST_HOST = "testserver"
"""What a `TestClient` calls the service."""
TOKEN = "correct-horse-battery-staple"
PICTURE = b"\x89PNG\r\n\x1a\n of epoch %d"
STRIP = bin_strip(np.zeros((2, 1, 4, 4), np.float32), np.arange(2), 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """The API and what is behind it."""

    app: FastAPI
    engine: Engine
    settings: Settings
    client: TestClient
    """Has the token."""
    rung: list[int]
    """For each time the bell rang: how many runs another connection saw then."""

    @property
    def anonymous(self) -> TestClient:
        """A client without the token."""
        return TestClient(self.app, raise_server_exceptions=False)

    def count_runs(self) -> int:
        """How many runs another connection sees."""
        return count_runs(self.engine)


def count_runs(engine: Engine) -> int:
    with reading(engine) as session:
        return session.scalars(select(func.count()).select_from(Run)).one()


def make_service(engine: Engine, home: Path, **changes: Any) -> Service:
    settings = Settings(home=home, token=SecretStr(TOKEN), allowed_hosts=(TEST_HOST,), **changes)
    rung: list[int] = []

    def ring(_: Settings) -> bool:
        rung.append(count_runs(engine))
        return True

    app = create_app(settings, engine, bell=ring, broker_answers=lambda _: True)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    client = TestClient(app, headers=headers, raise_server_exceptions=False)
    return Service(app=app, engine=engine, settings=settings, client=client, rung=rung)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A run of ring8 with recorded epochs."""

    id: str
    claim: Claim
    path: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", f"/v1/runs/{self.id}")


def record(service: Service, num_epochs: int = 3, *, steps: Callable[[int], np.ndarray] = store.step_block) -> Recorded:
    """A running run with so many epochs, each with an evaluation, a diagnosis and a picture."""
    artifacts = open_artifacts(service.settings)
    with transaction(service.engine) as session:
        claim = claim_run(session)
        for epoch in range(1, num_epochs + 1):
            evaluated = (evaluation(0), with_bins(1)) if epoch == 1 else (with_bins(epoch),)
            collapse = {"collapse_since": 2} if epoch >= 2 else {}
            changes = {
                "steps": steps(epoch),
                "evaluations": evaluated,
                "diagnosis": diagnosis(epoch, **collapse),
                "artifacts": {
                    "samples": artifacts.put(PICTURE % epoch, "image/png"),
                    "bins": artifacts.put(STRIP, "image/png"),
                },
            }
            recording.record_epoch(session, epoch_record(claim, epoch, **changes))
    return Recorded(id=claim.run_id, claim=claim)


def record_comparison(service: Service) -> str:
    """The id of a comparison that has succeeded."""
    with transaction(service.engine) as session:
        comparison_id = create_comparison(session).id
        claim = claim_run(session)
        assert claim.run_id == comparison_id
        recording.record_comparison(session, claim.run_id, claim.token, with_bins(1))
    return comparison_id


def with_bins(epoch: int) -> EpochEvaluation:
    """An evaluation of two bins, one of which differs."""
    bins = tuple(
        Bin(
            real=0.5,
            fake=fake,
            real_se=0.05,
            fake_se=0.04,
            z=z,
            p=p,
            different=p < 0.05,
            ratio_upper=2 * fake + 0.2,
            missing=False,
        )
        for fake, z, p in ((0.8, 4.0, 0.0001), (0.2, -0.1, 0.9))
    )
    return EpochEvaluation(
        epoch=epoch,
        space="pixels",
        n_real=100,
        n_fake=100,
        n_subset=50,
        num_bins=2,
        values={"ndb_over_k": 0.5, "js": float("nan"), "missing_mass": 0.0},
        nulls={name: Null(mean=0.05, q05=0.0, q95=0.5, excess=0.45) for name in NDB_FIGURES},
        shift={},
        bins=bins,
    )


__all__ = [
    "PICTURE",
    "STEPS",
    "TOKEN",
    "Recorded",
    "Service",
    "count_runs",
    "make_service",
    "record",
    "record_comparison",
    "with_bins",
]
