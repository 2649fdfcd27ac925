"""Why a run waits."""

from typing import Literal

from ganlib.wire.statuses import Status
from ganlib.wire.view import View

ReasonKind = Literal[
    "paused",
    "quota",
    "drained",
    "no worker",
    "no label",
    "no gpu",
    "too large",
    "no room",
    "gave way",
    "gives way",
    "priority",
    "share",
    "older",
    "busy",
    "together",
]
Scope = Literal["user", "team"]
Limit = Literal["running", "queued", "device_hours", "storage_bytes"]


class SpreadView(View):
    """The quartiles of a duration, in seconds."""

    low: float
    median: float
    high: float


class ReasonView(View):
    """One thing that a run waits for."""

    kind: ReasonKind
    text: str


class LimitView(View):
    """A quota of whoever the run belongs to."""

    scope: Scope
    name: str
    """Of the user or the team."""
    limit: Limit
    used: float
    allowed: float
    text: str


class WaitingView(View):
    """Why a run waits."""

    run_id: str
    status: Status
    ahead: int | None
    """Runs that would be claimed before it; null where it is not queued, held back by a quota, or too far behind."""
    reasons: tuple[ReasonView, ...]
    """Empty where it does not wait, or a worker is about to claim it. Of a running run, only whether it is trained
    together with others."""
    starts_in_s: SpreadView | None
    """From now, if nobody submits meanwhile; null: unknown."""
    takes_s: SpreadView | None
    """Its training from where it is, by finished runs of the same preset, data set and generator; null: unknown."""
    compared_with: int
    """Finished runs that `takes_s` is taken from."""
    limits: tuple[LimitView, ...]
    """The quotas of its user and team. `running` and `device_hours` hold runs back; the others refuse requests."""
