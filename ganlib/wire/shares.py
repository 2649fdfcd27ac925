"""What users have used of the service's devices, and whose turn is next."""

from ganlib.wire.view import View


class ShareView(View):
    """One user's, within the team."""

    user: str
    team: str | None
    weight: float
    """Of the user within the team."""
    team_weight: float
    device_seconds: float
    """By which the fair share goes: each has half its weight after 24 hours."""
    week_device_seconds: float
    """In the last seven days, without that."""
    running: int
    """Runs."""
    queued: int
    turn: int | None
    """Place among the users with queued runs, 1: the next run that a worker claims is theirs, as far as it suits the
    worker and no quota holds it back; null where nothing is queued."""


class ShareList(View):
    """Every user who has submitted a run, those with the most use in the week first."""

    items: tuple[ShareView, ...]
