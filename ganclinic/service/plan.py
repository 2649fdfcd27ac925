"""What `ganclinic up` starts: its options, and the command and environment of each server."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ganclinic.config import ConfigSources
from ganclinic.errors import InvalidInput
from ganclinic.service.child import Server
from ganclinic.service.home import log_file

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8000


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Where the service listens, and how many workers it has."""

    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    """0: any free one."""
    workers: int | None = None
    """None: one for each GPU, else up to two."""


def options_from(around: ConfigSources, *, host: str | None, port: int | None, workers: int | None) -> Options:
    """The options given, else the environment's, else the defaults.

    Raises:
        InvalidInput: GANCLINIC_PORT is no port.
    """
    named = around.variable("PORT")
    if port is None and named is not None and not named.isdigit():
        raise InvalidInput(f"GANCLINIC_PORT is '{named}'; allowed: 0 to 65535.")
    return Options(
        host=host or around.variable("HOST") or DEFAULT_HOST,
        port=port if port is not None else int(named or DEFAULT_PORT),
        workers=workers,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The commands and environments of the servers."""

    around: ConfigSources
    checkout: Path
    state: Path
    host: str
    port: int
    broker_url: str

    def server(self, name: str, module: str, *options: str, grace_s: float, threads: int | None = None) -> Server:
        """A Python server of the checkout; it is killed `grace_s` after it was asked to stop."""
        return Server(
            name=name,
            command=self.command(module, *options),
            environ=self.environ(threads),
            log=log_file(self.state, name.lower().replace(" ", "-")),
            grace_s=grace_s,
        )

    def command(self, module: str, *options: str) -> Sequence[str]:
        """The command that runs a module of the checkout."""
        return [sys.executable, "-m", module, *options]

    def environ(self, threads: int | None = None) -> dict[str, str]:
        """Our environment, with what the servers' settings need."""
        environ = server_environ(self.around, self.checkout, self.state)
        environ |= {
            "GANCLINIC_HOST": self.host,
            "GANCLINIC_PORT": str(self.port),
            "GANCLINIC_BROKER_URL": self.broker_url,
        }
        if threads is not None:
            environ.setdefault("GANCLINIC_THREADS", str(threads))
        return environ


def server_environ(around: ConfigSources, checkout: Path, state: Path) -> dict[str, str]:
    """The environment in which modules of the checkout run from any current directory."""
    path = around.environ.get("PYTHONPATH")
    return dict(around.environ) | {
        "GANCLINIC_HOME": str(state),
        "PYTHONPATH": f"{checkout}{os.pathsep}{path}" if path else str(checkout),
        "PYTHONSAFEPATH": "1",  # a folder `api` in the current directory must not hide ours
        "PYTHONUNBUFFERED": "1",
    }
