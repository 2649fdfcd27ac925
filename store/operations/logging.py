"""How every process of the service logs: lines on stderr, as text for people or as JSON for machines.

Text is `time level logger key=value … message`; JSON has the same as fields, one object a line.
"""

import json
import logging
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from typing_extensions import override

from store.core.settings import LogFormat

SHORTEST_SECRET = 8  # characters; a shorter one would hide half of what is logged
HIDDEN = "***"
_context: ContextVar[Mapping[str, object]] = ContextVar("log_context", default={})  # noqa: B039  never changed in place


def add_context(**context: object) -> None:
    """Puts these on every line that this thread or task logs from now on."""
    _context.set({**_context.get(), **context})


@contextmanager
def log_context(**context: object) -> Iterator[None]:
    """Puts these on every line that this thread or task logs in the block."""
    token = _context.set({**_context.get(), **context})
    try:
        yield
    finally:
        _context.reset(token)


class LineFormatter(logging.Formatter):
    """One line a record, in UTC, with its context; a traceback follows on lines of its own."""

    converter = time.gmtime
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(self, secrets: Iterable[str] = (), **context: object) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(context)s%(message)s")
        self._secrets, self._own = _worth_hiding(secrets), context

    @override
    def format(self, record: logging.LogRecord) -> str:
        context = {**self._own, **_context.get()}
        record.context = "".join(f"{key}={value} " for key, value in context.items())
        return _hide(super().format(record), self._secrets)


class JsonFormatter(logging.Formatter):
    """One JSON object a record: `time` (RFC 3339, UTC), `level`, `logger`, `message`, its context, `traceback`."""

    def __init__(self, secrets: Iterable[str] = (), **context: object) -> None:
        super().__init__()
        self._secrets, self._own = _worth_hiding(secrets), context

    @override
    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        document: dict[str, Any] = {
            "time": moment,
            "level": record.levelname,
            "logger": record.name,
            **self._own,
            **_context.get(),
            "message": record.getMessage(),
        }
        if record.exc_info:
            document["traceback"] = self.formatException(record.exc_info)
        # Hidden before they are escaped for JSON, and never among the names of the fields.
        return json.dumps({name: self._hidden(value) for name, value in document.items()})

    def _hidden(self, value: object) -> object:
        return value if isinstance(value, bool | int | float | None) else _hide(str(value), self._secrets)


FORMATTERS: dict[LogFormat, type[LineFormatter] | type[JsonFormatter]] = {"text": LineFormatter, "json": JsonFormatter}


def configure_logging(kind: LogFormat = "text", *, secrets: Iterable[str] = (), **context: object) -> None:
    """Sends every record of this process to stderr; `context` is on each line.

    `secrets` of at least `SHORTEST_SECRET` characters are on none, as they are or escaped.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(FORMATTERS[kind](secrets, **context))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for talkative in ("alembic", "celery"):  # every check of the schema and every bell is two lines
        logging.getLogger(talkative).setLevel(logging.WARNING)


def _worth_hiding(secrets: Iterable[str]) -> tuple[str, ...]:
    """The forms in which they may stand in a line, the longest first: as they are, and escaped for JSON or Python."""
    forms = {form for secret in secrets if len(secret) >= SHORTEST_SECRET for form in (secret, *_escaped(secret))}
    return tuple(sorted(forms, key=len, reverse=True))


def _escaped(secret: str) -> tuple[str, ...]:
    quoted = (json.dumps(secret), json.dumps(secret, ensure_ascii=False), repr(secret))
    return tuple(form[1:-1] for form in quoted)


def _hide(text: str, secrets: Iterable[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    return text
