"""Everything that this package raises on purpose. Each message says what to do.

GanClinicError
├── ServiceNotFound          nobody said where the service is
├── ServiceUnreachable       nothing answers there
├── UnexpectedAnswer         something answers, but it is no GAN Clinic
├── ApiError                 the service refused; carries its problem document
│   ├── NotAuthorised        401
│   ├── NotAllowed           403
│   ├── NotFound             404
│   ├── Conflict             409
│   ├── TooLarge             413
│   ├── InvalidSpec          422, with the fields that are wrong
│   ├── QuotaExceeded        429
│   └── ServiceFailed        5xx
├── WaitTimeout              the run or comparison is not over yet
├── InvalidInput             a file or an option that cannot be read
└── StartFailed              `ganclinic up` cannot start
    ├── AlreadyRunning       another `ganclinic up` uses this state directory
    └── PortTaken            another program listens there
"""

import re
from difflib import get_close_matches
from pathlib import Path
from typing import ClassVar

from ganlib.wire.problems import Problem

OUTAGES = frozenset({502, 503, 504})
"""Statuses of a service that may answer again soon; other failures, a fault or a full disk, are the same then."""
NO_UPLOAD = "No such upload"  # the title of that problem


class GanClinicError(Exception):
    """Base of all errors here."""

    exit_code: ClassVar[int] = 1
    """What the command line exits with."""


class ServiceNotFound(GanClinicError):
    """Nobody said where the service is."""

    exit_code = 3

    def __init__(self) -> None:
        super().__init__(
            "No GAN Clinic service is running here. Start one with `ganclinic up`, or name one with --url and --token "
            "(or GANCLINIC_URL and GANCLINIC_TOKEN)."
        )


class ServiceUnreachable(GanClinicError):
    """Nothing answers at the service's address."""

    exit_code = 3

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(
            f"The service at {url} does not answer ({reason}). "
            "Start it with `ganclinic up`, or check --url and GANCLINIC_URL."
        )


class UnexpectedAnswer(GanClinicError):
    """The answer is not one that a GAN Clinic service gives."""

    exit_code = 3

    def __init__(self, url: str, what: str) -> None:
        super().__init__(
            f"{url} answered with {what}: is that a GAN Clinic service, and of this version? "
            "Check --url and GANCLINIC_URL."
        )


class ApiError(GanClinicError):
    """The service refused the request; `problem` is its answer."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(self.describe(problem))
        self.problem = problem

    def describe(self, problem: Problem) -> str:
        """The message for people."""
        return f"The service refused: {problem.detail or problem.title} (HTTP {problem.status})."


class NotAuthorised(ApiError):
    """The token is missing or wrong."""

    exit_code = 4

    def describe(self, problem: Problem) -> str:
        """Says where the token is found."""
        return (
            "The service does not accept this token. Use the one in the file `token` of its state directory "
            "(usually .ganclinic/token), with --token or GANCLINIC_TOKEN."
        )


class NotAllowed(ApiError):
    """The run is somebody else's, or only an administrator may do this."""

    exit_code = 4


class QuotaExceeded(ApiError):
    """More runs would be queued than the user or the team may have."""

    exit_code = 2


class NotFound(ApiError):
    """There is no such run, batch, preset or file."""

    exit_code = 2

    def describe(self, problem: Problem) -> str:
        """Says how to find what exists."""
        what = problem.detail or problem.title
        if problem.title == NO_UPLOAD:
            return f"{what.rstrip('.')}. `ganclinic uploads` lists them."
        return f"{what} `ganclinic ls` lists the runs, `ganclinic presets` the presets."


class Conflict(ApiError):
    """Something stands in the way: the key was used for another request, or the run is not over, or needs it."""

    exit_code = 2


class TooLarge(ApiError):
    """The request has more bytes than the service takes."""

    exit_code = 2


class InvalidSpec(ApiError):
    """The request does not give a valid run or comparison; `problem.fields` says why."""

    exit_code = 2

    def describe(self, problem: Problem) -> str:
        """One line a field, with what was perhaps meant."""
        lines = [f"  {name}: {text}{_perhaps(name, text)}" for name, text in problem.fields.items()]
        return "\n".join(["The request was refused:", *(lines or [f"  {problem.detail or problem.title}"])])


class ServiceFailed(ApiError):
    """The service has a fault of its own."""

    exit_code = 3

    def describe(self, problem: Problem) -> str:
        """Says where to look."""
        return (
            f"The service failed: {problem.detail or problem.title} (HTTP {problem.status}). "
            "Its logs are in the folder `logs` of its state directory (usually .ganclinic/logs)."
        )


class WaitTimeout(GanClinicError):
    """The run or comparison is not over yet."""

    def __init__(self, run_id: str, status: str, seconds: float) -> None:
        super().__init__(f"Run {run_id} is still {status} after {seconds:g} s; it goes on. Wait longer, or cancel it.")


class InvalidInput(GanClinicError):
    """A file or an option cannot be understood."""

    exit_code = 2


class StartFailed(GanClinicError):
    """The service cannot be started."""

    exit_code = 3


class AlreadyRunning(StartFailed):
    """Another `ganclinic up` uses this state directory."""

    def __init__(self, home: Path, url: str | None) -> None:
        where = f" at {url}" if url else ""
        super().__init__(
            f"The service already runs{where} from {home}. Use it, stop it with Ctrl-C where it runs, "
            "or start a second one with another state directory: GANCLINIC_HOME=other ganclinic up --port 0."
        )


class PortTaken(StartFailed):
    """Another program listens on the port."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(
            f"Port {port} on {host} is taken. Choose another: --port {port + 1}, or --port 0 for any free one."
        )


def _perhaps(name: str, text: str) -> str:
    """A close match among the values that the message allows, or nothing."""
    _, found, allowed = text.partition("allowed: ")
    quoted = re.search(r"'([^']+)'", text)
    wrong = quoted.group(1) if quoted and quoted.start() < text.find("allowed: ") else name.rsplit(".", 1)[-1]
    choices = [word.strip(" '") for word in allowed.split(",")]
    close = get_close_matches(wrong, choices, n=1) if found else []
    return f" (perhaps '{close[0]}'?)" if close and close[0] != wrong else ""
