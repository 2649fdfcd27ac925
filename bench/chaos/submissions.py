"""Who submits runs, keeps the key of each until it is accepted, and remembers what was."""

import itertools
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np

from bench.chaos.cluster import Cluster
from bench.chaos.specs import CRASHING, SPECS

ACCEPTED = 202
TRY_AGAIN = frozenset({503})


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A run that the API has answered 202 for."""

    run_id: str
    spec: int | None
    """Index in `SPECS`; None: the one that crashes."""


@dataclass(slots=True)
class Submissions:
    """Submits over HTTP. A request without an answer is sent again with its idempotency key."""

    cluster: Cluster
    specs: int
    """How many of `SPECS` are submitted, from the first on."""
    epochs: int
    """Of each run."""
    accepted: list[Accepted] = field(default_factory=list[Accepted])
    refused: list[str] = field(default_factory=list[str])
    """Answers that should not have come."""
    _waiting: list[tuple[str, int | None]] = field(default_factory=list[tuple[str, int | None]])
    """Key and spec of what is not accepted yet."""
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    @property
    def crashing(self) -> set[str]:
        """Ids of the runs that are to fail."""
        return {run.run_id for run in self.accepted if run.spec is None}

    @property
    def num_waiting(self) -> int:
        """How many are not accepted yet."""
        return len(self._waiting)

    def queue(self, spec: int) -> None:
        """Has a run submitted as soon as the API answers."""
        self._waiting.append((self._next_key(), spec))

    def queue_any(self, rng: np.random.Generator) -> None:
        """Likewise, of any spec."""
        self.queue(int(rng.integers(self.specs)))

    def queue_crashing(self) -> None:
        """Likewise, one that crashes."""
        self._waiting.append((self._next_key(), None))

    def submit_one(self, rng: np.random.Generator) -> int:
        """Submits one of any spec now; the status of the answer.

        Raises:
            TransportError: there was none; it is sent again later.
        """
        self._waiting.insert(0, (self._next_key(), int(rng.integers(self.specs))))
        return self._send_first()

    def send(self) -> None:
        """Sends what waits, for as long as the API accepts it."""
        try:
            while self._waiting:
                status = self._send_first()
                if status in TRY_AGAIN:
                    return
                if status != ACCEPTED:
                    self.refused.append(f"a submission was answered with {status}")
                    self._waiting.pop(0)
        except httpx.TransportError:
            return

    def _next_key(self) -> str:
        return f"chaos-{next(self._numbers)}"

    def _send_first(self) -> int:
        key, spec = self._waiting[0]
        body: dict[str, Any] = {
            "spec": CRASHING if spec is None else SPECS[spec],
            "set": {"training.epochs": self.epochs},
        }
        answer = self.cluster.client.post("/runs", json=body, headers={"Idempotency-Key": key})
        if answer.status_code == ACCEPTED:
            self.accepted.append(Accepted(run_id=answer.json()["id"], spec=spec))
            self._waiting.pop(0)
        return answer.status_code
