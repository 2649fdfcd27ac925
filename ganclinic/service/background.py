"""A service for as long as one command needs it: the one that runs already, or one of its own."""

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import ganclinic
from ganclinic.client import Client
from ganclinic.config import Address, ConfigSources, find_home, find_service, running_service
from ganclinic.errors import StartFailed
from ganclinic.service.child import end_with_parent
from ganclinic.service.home import log_file, make_home
from ganclinic.service.plan import server_environ

START_TIMEOUT_S = 120.0  # the first start compiles byte code and makes the database
POLL_INTERVAL_S = 0.1


@contextlib.contextmanager
def some_service(
    around: ConfigSources, url: str | None, token: str | None, say: Callable[[str], None]
) -> Iterator[Client]:
    """A client of the service that was named, or that runs here; else of one that is started, and stopped at the end.

    Raises:
        StartFailed: it cannot be started.
    """
    if url is not None or around.variable("URL") is not None:
        address = find_service(around, url=url, token=token)
        with Client(address.url, address.token) as client:
            yield client
        return
    home = find_home(around)
    running = running_service(home)
    if running is not None:
        say(f"Using the service that runs at {running.url}.")
        with _client_of(running, around, token) as client:
            yield client
        return
    with _own_service(home, around, say) as started, _client_of(started, around, token) as client:
        yield client


def _client_of(address: Address, around: ConfigSources, token: str | None) -> Client:
    return Client(address.url, token or around.variable("TOKEN") or address.token)


@contextlib.contextmanager
def _own_service(home: Path, around: ConfigSources, say: Callable[[str], None]) -> Iterator[Address]:
    """`ganclinic up` on any free port."""
    say("Starting the service …")
    make_home(home)
    log = log_file(home, "up")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "ganclinic", "up", "--port", "0"],
            env=server_environ(around, Path(ganclinic.__file__).resolve().parents[1], home),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=end_with_parent,
        )
    try:
        yield _address_once_up(process, home, log)
    finally:
        say("Stopping the service …")
        _stop(process)


def _address_once_up(process: subprocess.Popen[bytes], home: Path, log: Path) -> Address:
    deadline = time.monotonic() + START_TIMEOUT_S
    while (address := running_service(home)) is None:
        if process.poll() is not None:
            raise StartFailed(log.read_text("utf-8", errors="replace").strip().removeprefix("error: "))
        if time.monotonic() > deadline:
            raise StartFailed(
                f"The service did not start within {START_TIMEOUT_S:g} s. Its logs are in {home / 'logs'}."
            )
        time.sleep(POLL_INTERVAL_S)
    return address


def _stop(process: subprocess.Popen[bytes]) -> None:
    """As Ctrl-C does; a second Ctrl-C insists."""
    while process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait()
        except KeyboardInterrupt:
            continue
