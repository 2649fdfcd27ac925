"""Attempts in this process: what they record, without a worker."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from store.core.settings import Settings
from tests.support.worker import TINY, Clinic, claim_next, queue_run, stop, train_here
from worker.attempt.channel import Stopped
from worker.messages import Ticket


class Scene:
    """Attempts of runs, one after the other, in this process."""

    def __init__(self, engine: Engine, home: Path) -> None:
        self.engine = engine
        self.settings = Settings(home=home, device="cpu", threads=1)
        self.clinic = Clinic(home=home, engine=engine, database_url="")

    def create_run(self, **settings: Any) -> str:
        return queue_run(self.engine, TINY, settings)

    def claim(self) -> Ticket:
        return claim_next(self.engine)

    def train(
        self, ticket: Ticket, *, at_step: int | None = None, interrupt: Callable[[], None] = stop
    ) -> list[dict[str, Any]]:
        """What the worker was told."""
        return train_here(ticket, engine=self.engine, settings=self.settings, at_step=at_step, interrupt=interrupt)

    def interrupt(self, ticket: Ticket, step: int) -> None:
        """Ends an attempt at that step, and hands its run over."""
        with pytest.raises(Stopped):
            self.train(ticket, at_step=step)

    def checkpoints(self, run_id: str) -> list[str]:
        return sorted(path.name for path in (self.settings.checkpoints / run_id).iterdir())
