"""Whoever sends a request."""

from ganlib.wire.view import View


class CallerView(View):
    """Whose token, or session, the request has."""

    user: str
    team: str | None
    administrator: bool
    """Whether runs of other users and teams may be changed."""
