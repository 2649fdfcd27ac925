"""The service as real processes on a home of its own: database, broker, API and two workers, kept alive."""

import contextlib
import itertools
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import httpx
import redis

from bench.chaos.processes import Server, send
from bench.chaos.specs import install_crash
from bench.chaos.witness import DatabaseDown, PostgresWitness, SqliteWitness, Witness
from ganclinic.service import broker as embedded
from store.core.settings import child_environment
from tests.support.processes import free_port, trainings_of
from tests.support.servers import Account, PreparedPostgres, prepared_postgres, private_directory

Backend = Literal["postgresql", "sqlite"]
CHECKOUT = Path(__file__).parents[2]
TOKEN = "correct-horse-battery-staple"  # noqa: S105  of a service that lives for minutes, on the loopback address
LEASE_S = 4.0
SETTINGS = {
    "GANCLINIC_LEASE_DURATION": str(LEASE_S),
    "GANCLINIC_HEARTBEAT_INTERVAL": "1",
    "GANCLINIC_POLL_INTERVAL": "0.5",
    "GANCLINIC_CANCEL_GRACE": "3",
    "GANCLINIC_THREADS": "1",
    "GANCLINIC_DEVICE": "cpu",
    "GANCLINIC_SPARE_TRAINING": "false",  # a worker's trainings are found by their command, which it has too
    "GANCLINIC_TOKEN": TOKEN,
    "OMP_NUM_THREADS": "1",
}
WORKERS = 2
READY_WITHIN_S = 60.0
STOP_WITHIN_S = 15.0


class Worker:
    """A place for a worker process: whoever dies there is followed by another, under a new name."""

    def __init__(self, index: int, new_server: Callable[[Callable[[], Sequence[str]], str], Server]) -> None:
        self._index, self._numbers = index, itertools.count(1)
        self.name = ""
        """Of the process that was last started."""
        self.is_asleep = False
        """Whether it was stopped by SIGSTOP."""
        self.server = new_server(self._command, f"worker-{index}")

    def _command(self) -> Sequence[str]:
        self.name = f"worker-{self._index}-{next(self._numbers)}@chaos"
        return [sys.executable, "-m", "worker", "--name", self.name]

    def trainings(self) -> list[int]:
        """The ids of its training processes: one, or none."""
        return trainings_of(self.server.pid) if self.server.is_running else []


class Cluster:
    """The running parts."""

    def __init__(
        self,
        home: Path,
        *,
        max_attempts: int,
        postgres: PreparedPostgres | None,
        port: int,
        broker_port: int | None,
        workers: int,
        settings: Mapping[str, str],
    ) -> None:
        """Without `postgres`, a SQLite file; without `broker_port`, the embedded broker. `settings` add to SETTINGS."""
        self.home = home
        site, run = home / "site", home / "run"
        install_crash(site)
        run.mkdir(mode=0o700)
        command = embedded.command(embedded.find_binary(), run)
        if broker_port is not None:
            command += ["--port", str(broker_port), "--bind", "127.0.0.1"]
        socket = f"{run}/broker.sock"
        self.broker_url = f"redis://127.0.0.1:{broker_port}/0" if broker_port else f"redis+socket://{socket}"
        self._redis_url = self.broker_url.replace("redis+socket", "unix")
        database = home / "ganclinic.db"
        database_url = f"sqlite:///{database}" if postgres is None else postgres.server.url("postgres")
        self.witness: Witness = SqliteWitness(str(database)) if postgres is None else PostgresWitness(database_url)
        self.environ = _without_settings(child_environment()) | SETTINGS
        self.environ |= settings
        self.environ |= {
            "GANCLINIC_HOME": str(home),
            "GANCLINIC_DATABASE_URL": database_url,
            "GANCLINIC_BROKER_URL": self.broker_url,
            "GANCLINIC_PORT": str(port),
            "GANCLINIC_MAX_ATTEMPTS": str(max_attempts),
            "PYTHONPATH": str(site),
        }
        self.broker = self._server(lambda: command, "broker")
        self.api = self._server(lambda: [sys.executable, "-m", "api"], "api")
        self.workers = [Worker(index, self._server) for index in range(1, workers + 1)]
        self.database = None if postgres is None else _postgres_server(postgres, home / "postgres.log")
        self.leaving: list[subprocess.Popen[bytes]] = []
        """Workers that were told to stop."""
        self.client = httpx.Client(
            base_url=f"http://127.0.0.1:{port}/v1", headers={"Authorization": f"Bearer {TOKEN}"}, trust_env=False
        )

    def _server(self, command: Callable[[], Sequence[str]], name: str) -> Server:
        return Server(command, log=self.home / f"{name}.log", cwd=CHECKOUT, environ=self.environ)

    @property
    def checkpoints(self) -> Path:
        """A directory for each run."""
        return self.home / "checkpoints"

    @property
    def servers(self) -> list[Server]:
        """All of them, in the order in which they are started."""
        database = [] if self.database is None else [self.database]
        return [*database, self.broker, self.api, *(worker.server for worker in self.workers)]

    def start(self) -> None:
        """Starts everything, on an empty database that the witness watches from the beginning."""
        if self.database is not None:
            self.database.start()
            _wait_until(self.database_answers, "the database")
        command = [sys.executable, "-m", "store.migrate"]
        subprocess.run(command, env=self.environ, cwd=CHECKOUT, check=True, stdout=subprocess.DEVNULL)
        self.witness.attach()
        for server in self.servers:
            if not server.is_running:
                server.start()
        _wait_until(self.api_answers, "the API")

    def revive(self) -> None:
        """Starts again who has died, as a supervisor does."""
        for server in self.servers:
            server.revive()
        self.leaving = [process for process in self.leaving if process.poll() is None]

    def stop(self) -> None:
        """Ends everything."""
        for worker in self.workers:
            send(signal.SIGKILL, *worker.trainings())
        for process in self.leaving:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_WITHIN_S)
            process.kill()
            process.wait()
        for server in reversed(self.servers):
            server.kill_all()
        self.client.close()

    def database_answers(self) -> bool:
        """Whether it answers a query."""
        try:
            return self.witness.rows("SELECT 1") == [(1,)]
        except DatabaseDown:
            return False

    def api_answers(self) -> bool:
        """Whether the API is ready, and its database with it."""
        with contextlib.suppress(httpx.TransportError):
            return self.client.get("/health/ready").is_success
        return False

    def broker_answers(self) -> bool:
        """Whether the broker is ready."""
        with contextlib.suppress(redis.RedisError), redis.Redis.from_url(self._redis_url) as client:
            return bool(client.ping())
        return False

    def flush_broker(self) -> None:
        """Deletes everything in the broker."""
        with redis.Redis.from_url(self._redis_url) as client:
            client.flushall()


@contextlib.contextmanager
def cluster(backend: Backend, max_attempts: int, *, workers: int = WORKERS, **settings: str) -> Iterator[Cluster]:
    """A running service: on PostgreSQL and a broker with a port, or on SQLite and the embedded broker."""
    with contextlib.ExitStack() as stack:
        is_server = backend == "postgresql"
        made = Cluster(
            stack.enter_context(private_directory(Account())),
            max_attempts=max_attempts,
            postgres=stack.enter_context(prepared_postgres()) if is_server else None,
            port=free_port(),
            broker_port=free_port() if is_server else None,
            workers=workers,
            settings=settings,
        )
        stack.callback(made.stop)
        made.start()
        yield made


def _postgres_server(prepared: PreparedPostgres, log: Path) -> Server:
    directory = prepared.server.socket_directory
    return Server(
        lambda: prepared.command, log=log, cwd=directory, environ=child_environment(), account=prepared.account
    )


def _without_settings(environ: dict[str, str]) -> dict[str, str]:
    """The settings of the person who runs this are forgotten."""
    return {name: value for name, value in environ.items() if not name.startswith(("GANCLINIC_", "OTEL_"))}


def _wait_until(is_so: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} is not ready after {READY_WITHIN_S:.0f} s")
        time.sleep(0.05)
