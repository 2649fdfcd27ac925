"""What the attempts of a run have logged."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ganclinic import views
from ganclinic.errors import UnexpectedAnswer
from ganclinic.log_following import LogFollower
from ganclinic.verbs.runs import RunVerbs
from ganlib.wire.paths import run_path

if TYPE_CHECKING:  # models and specs are imported when they are used: most of them cost a command its start
    from ganclinic.views import RunLog


class LogVerbs(RunVerbs):
    """What the attempts of a run have logged."""

    def log(self, run_id: str, *, attempt: int | None = None, tail: int | None = None) -> RunLog:
        """What an attempt (by default the last) has logged: all that is kept, or its last `tail` lines.

        Raises:
            NotFound: there is no such run or attempt.
        """
        answer = self._transport.get(f"{run_path(run_id)}/log", {"attempt": attempt, "tail": tail})
        number, end = (answer.headers.get(name, "") for name in ("X-Log-Attempt", "X-Log-End"))
        if not (number.isdecimal() and end.isdecimal()):
            raise UnexpectedAnswer(self.url, "a log without its attempt")
        return views.RunLog(attempt=int(number), text=answer.text, end=int(end))

    def follow_log(self, run_id: str, *, attempt: int | None = None, tail: int | None = None) -> Iterator[str]:
        """Lines as they are logged, after the last `tail` of those before, until the attempt has ended.

        Without `attempt` until the run is over: its attempts one after the other, and the first once it begins.
        Outages of up to a minute are waited out.
        """
        path = f"{run_path(run_id)}/log/stream"
        follower = LogFollower(run_id=run_id, path=path, client=self, transport=self._transport, polling=self._polling)
        return follower.follow(attempt, tail)
