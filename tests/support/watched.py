"""Watched runs over HTTP, and a worker's look at them in this process."""

import io
import json
import os
from pathlib import Path
from typing import Any

import httpx2
import numpy as np

from ganlib.step_blocks import MEDIA_TYPE, encode
from store.core.db import transaction
from store.runs import claims
from tests.support.api import Service
from tests.support.store import LEASE
from worker.attempt.channel import Channel
from worker.attempt.context import AttemptContext
from worker.attempt.training import WORK
from worker.messages import Ticket

PATH = "/v1/watched-runs"
NAMES = ("d_loss_real", "d_loss_fake", "g_loss", "d_acc_real", "d_acc_fake")


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def rows(count: int, seed: int = 0) -> np.ndarray:
    """Steps of a training in equilibrium."""
    rng = np.random.default_rng(seed)
    middle, spread = np.array([0.65, 0.66, 0.75, 0.6, 0.62]), np.array([0.03, 0.03, 0.05, 0.05, 0.05])
    return middle + spread * rng.standard_normal((count, len(NAMES)))


class Trainer:
    """Sends what it has, each message with the next number."""

    def __init__(self, service: Service, **request: Any) -> None:
        answer = service.client.post(PATH, json=request)
        assert answer.status_code == 201, answer.text
        self.service, self.run, self.sequence = service, answer.json(), 0
        self.id: str = self.run["id"]
        self.path = f"{PATH}/{self.id}"

    def put(self, what: str, *, sequence: int | None = None, **parts: Any) -> httpx2.Response:
        self.sequence = self.sequence + 1 if sequence is None else sequence
        return self.service.client.put(f"{self.path}/{what}/{self.sequence}", **parts)

    def steps(
        self, values: np.ndarray, names: tuple[str, ...] = NAMES, *, sequence: int | None = None
    ) -> httpx2.Response:
        headers = {"Content-Type": MEDIA_TYPE}
        return self.put("steps", sequence=sequence, content=encode(names, values), headers=headers)

    def epoch(self, fakes: np.ndarray | None = None, *, sequence: int | None = None) -> httpx2.Response:
        files = {} if fakes is None else {"files": {"fakes": ("fakes.npy", npy(fakes))}}
        return self.put("epochs", sequence=sequence, params={"seconds": 2.5}, **files)

    def end(self, outcome: str = "succeeded", *, sequence: int | None = None) -> httpx2.Response:
        return self.put("end", sequence=sequence, params={"outcome": outcome})

    def get(self, what: str = "") -> dict[str, Any]:
        answer = self.service.client.get(f"/v1/runs/{self.id}{what}")
        assert answer.status_code == 200, answer.text
        return answer.json()


def look(service: Service) -> list[dict[str, Any]]:
    """What a worker was told by one look at a watched run, which must be queued."""
    with transaction(service.engine) as session:
        claimed = claims.claim(session, "worker-1", LEASE)
    assert claimed is not None
    ticket = Ticket(run_id=claimed.run_id, token=claimed.token, attempt=claimed.attempt, device="cpu")
    events = service.settings.home / "told"
    with Path(os.devnull).open("rb") as commands, events.open("wb") as output:
        channel = Channel(commands.fileno(), output.fileno())
        WORK["look"](AttemptContext(ticket=ticket, channel=channel, engine=service.engine, settings=service.settings))
    return [json.loads(line) for line in events.read_text().splitlines()]
