"""How the worker and its training processes log: lines of `time level logger key=value … message` on stderr."""

import logging
import sys
import time


class LineFormatter(logging.Formatter):
    """One line a record, in UTC, with the same context on each; a traceback follows on lines of its own."""

    converter = time.gmtime
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(self, **context: object) -> None:
        pairs = "".join(f"{key}={value} " for key, value in context.items()).replace("%", "%%")
        super().__init__(f"%(asctime)s %(levelname)s %(name)s {pairs}%(message)s")


def configure_logging(**context: object) -> None:
    """Sends every record of this process to stderr; `context` is on each line."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter(**context))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for talkative in ("alembic", "celery"):  # every check of the schema and every bell is two lines
        logging.getLogger(talkative).setLevel(logging.WARNING)
