"""What workers answer to whoever reaches the broker: Celery's commands that only look.

Celery's others stop a worker, change what it listens to or how often, or tell how it is set up. A worker is drained in
the database and stopped by a signal; nobody who can only ring its bell may do either.
"""

import logging
from collections.abc import Callable
from typing import Any, cast

from celery.app.control import Control
from kombu.pidbox import Mailbox, Node

ANSWERED = frozenset(
    {
        *("ping", "heartbeat", "stats", "clock", "active_queues"),
        *("registered", "active", "reserved", "scheduled", "revoked"),
        *("dump_tasks", "dump_active", "dump_reserved", "dump_schedule", "dump_revoked"),  # as older tools call them
    }
)

logger = logging.getLogger(__name__)


class _Node(Node):
    """A worker's end of the mailbox."""

    def __init__(self, hostname: str, state: Any, channel: Any, handlers: Any, mailbox: Any) -> None:
        super().__init__(hostname, state, channel, _Answered(handlers), mailbox=mailbox)

    def handle_message(self, body: Any, message: Any = None) -> None:
        """Answers a command that is for this worker, and drops what is none: an error would cost those behind it."""
        if not _is_command(body):
            logger.warning("was sent what is no command: %.100s", repr(body))
            return
        if body.get("pattern") and body.get("matcher") != "glob":  # a regular expression may be tried for years
            logger.warning("was sent a command for workers by a pattern that is no glob: %.100s", repr(body))
            return
        cast("Any", super()).handle_message(body, message)


def _is_command(body: Any) -> bool:
    """Whether it has the form that Celery's clients send."""
    match body:
        case {"method": str(), **more}:
            kinds = {"arguments": dict, "destination": list, "pattern": str, "matcher": str, "reply_to": dict}
            reply_to = more.get("reply_to") or {"exchange": "", "routing_key": ""}
            return (
                all(isinstance(more.get(name), kind | None) for name, kind in kinds.items())
                and all(isinstance(reply_to.get(name), str) for name in ("exchange", "routing_key"))
                and all(isinstance(name, str) for name in more)
            )
        case _:
            return False


class _Answered(dict[str, Callable[..., Any]]):
    """The functions of the commands that are answered; in place of any other, one that refuses."""

    def __init__(self, commands: dict[str, Callable[..., Any]]) -> None:
        super().__init__({name: function for name, function in commands.items() if name in ANSWERED})

    def __missing__(self, name: object) -> Callable[..., Any]:
        def refuse(*_: object, **__: object) -> dict[str, str]:
            logger.warning("was sent the command %.60s, which it does not take", repr(name))
            return {"error": "workers of this service take no such command"}

        return refuse


class _Mailbox(Mailbox):
    node_cls = _Node


class LookingControl(Control):
    """Celery's remote control with the commands in `ANSWERED`, and no other."""

    Mailbox = _Mailbox
