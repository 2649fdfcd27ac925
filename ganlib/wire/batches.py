"""Batches: runs that were made together."""

from datetime import datetime

from ganlib.wire.runs import RunView
from ganlib.wire.view import View


class BatchView(View):
    """Runs that were made in one call, in the order of the request."""

    id: str
    name: str | None
    created_at: datetime
    runs: tuple[RunView, ...]
