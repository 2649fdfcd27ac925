"""Whether the service works."""

from typing import Literal

from ganlib.wire.view import View

DatabaseState = Literal["ok", "unavailable", "not migrated"]


class HealthView(View):
    """Whether the service works. The broker is only a bell: without it runs start later, by polling."""

    status: Literal["ok", "unavailable"]
    database: Literal["ok", "unavailable"]
    broker: Literal["ok", "unavailable"]
    drained: bool = False
    """Whether the whole service is drained: what runs is finished, and nothing else begins."""


class LivenessView(View):
    """The process answers."""

    status: Literal["ok"]


class ReadinessView(View):
    """Whether requests can be served. That needs the database, and not the broker."""

    status: Literal["ok", "unavailable"]
    database: DatabaseState
    """`not migrated`: its tables are those of another version."""
    broker: Literal["ok", "unavailable"]
