"""`ganclinic up`: the whole service on one machine, as processes that this one starts, watches and stops."""

import contextlib
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

from ganclinic.client import Client
from ganclinic.config import ConfigSources, find_home, program_name
from ganclinic.errors import StartFailed
from ganclinic.service import broker, home, machine
from ganclinic.service.checkout import find_checkout, require_packages
from ganclinic.service.child import Server
from ganclinic.service.children import Children, Stop
from ganclinic.service.plan import Options, Plan

WORKER_GRACE_S = 30.0  # the worker itself gives a training 10 s (`cancel_grace`) before it kills it
SERVER_GRACE_S = 10.0


def run_service(around: ConfigSources, options: Options, say: Callable[[str], None], stop: Stop) -> None:
    """Runs the service until `stop` is asked for.

    Raises:
        StartFailed: it cannot be started; the message says what to do.
    """
    checkout = find_checkout(around.cwd)
    require_packages()
    state = find_home(around)
    with home.hold(state), contextlib.ExitStack() as stack:
        port = machine.free_port(options.host, options.port)
        own_broker = around.variable("BROKER_URL")
        directory = stack.enter_context(broker.socket_directory(state)) if own_broker is None else None
        broker_url = own_broker if directory is None else broker.url(directory)
        plan = Plan(
            around=around, checkout=checkout, state=state, host=options.host, port=port, broker_url=str(broker_url)
        )
        children = Children(say, stop)
        stack.callback(children.stop)
        if directory is not None:
            _start_broker(plan, directory, children)
        url = _start_api(plan, children, stop)
        if not stop.asked.is_set():
            workers = _start_workers(plan, options.workers, children)
            home.announce(state, url)
            say(_welcome(url, state, workers, program_name(around)))
            children.watch()
        home.withdraw(state)
        say("Stopping; trainings go on from their last finished epoch at the next start. Ctrl-C again: at once.")
    say("Stopped.")


def _start_broker(plan: Plan, directory: Path, children: Children) -> None:
    command = broker.command(broker.find_binary(plan.around.environ.get("PATH")), directory)
    log = home.log_file(plan.state, "broker")
    server = Server(name="broker", command=command, environ=plan.environ(), log=log, grace_s=SERVER_GRACE_S)
    children.start_and_wait(server, lambda: broker.answers(directory))


def _start_api(plan: Plan, children: Children, stop: Stop) -> str:
    """Prepares the database, then starts the API; returns its URL."""
    url = machine.url_of(plan.host, plan.port)
    if not stop.asked.is_set():
        _prepare_database(plan, stop)
    if not stop.asked.is_set():
        with Client(url, sleep=lambda _: None) as client:  # waiting is done here
            children.start_and_wait(plan.server("API", "api", grace_s=SERVER_GRACE_S), client.is_healthy)
    return url


def _prepare_database(plan: Plan, stop: Stop) -> None:
    log = home.log_file(plan.state, "migrate")
    with log.open("ab") as output:
        command = plan.command("store.migrate")
        done = subprocess.run(command, env=plan.environ(), stdout=output, stderr=output, check=False)
    if done.returncode != 0 and not stop.asked.is_set():  # Ctrl-C reaches this process too
        raise StartFailed(f"The database cannot be prepared. The end of the log ({log}):\n{home.last_lines(log)}")


def _start_workers(plan: Plan, wanted: int | None, children: Children) -> str:
    """Starts the workers; returns how many there are, in words."""
    gpus = machine.count_gpus(plan.around.environ)
    cores = machine.count_cores()
    number = wanted if wanted is not None else machine.default_workers(gpus, cores)
    threads = None if gpus else max(1, cores // max(1, number))
    names = [f"worker-{index + 1}" for index in range(number)]
    devices = [["--device", f"cuda:{index % gpus}"] if gpus else [] for index in range(number)]
    children.start(
        *(
            plan.server(
                name,
                "worker",
                "--name",
                f"{name}@{socket.gethostname()}",
                *device,
                grace_s=WORKER_GRACE_S,
                threads=threads,
            )
            for name, device in zip(names, devices, strict=True)
        )
    )
    if gpus:
        return f"{number} (on {gpus} GPU{'s' if gpus > 1 else ''})"
    return f"{number} ({threads} CPU thread{'s' if threads != 1 else ''} each)"


def _welcome(url: str, state: Path, workers: str, program: str) -> str:
    return (
        f"GAN Clinic runs at {url}\n"
        f"  state    {state}\n"
        f"  workers  {workers}\n"
        f"  logs     {state / 'logs'}\n"
        f"  pages    {program} open\n"
        f"Try, in another terminal: {program} run digit8-stable --watch\n"
        "Ctrl-C stops everything."
    )
