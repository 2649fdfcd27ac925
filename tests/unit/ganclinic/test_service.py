import signal
import socket
import stat
import sys
from pathlib import Path

import pytest

from ganclinic.config import ConfigSources
from ganclinic.errors import AlreadyRunning, InvalidInput, PortTaken, StartFailed
from ganclinic.service import broker, checkout, home, machine
from ganclinic.service.background import some_service
from ganclinic.service.child import Child, Server
from ganclinic.service.children import Children, Stop
from ganclinic.service.plan import Options, options_from, server_environ


def around(tmp_path: Path, **variables: str) -> ConfigSources:
    return ConfigSources(environ=variables, cwd=tmp_path, user_home=tmp_path)


def python_server(tmp_path: Path, code: str, grace_s: float = 5.0) -> Server:
    command = [sys.executable, "-c", code]
    return Server(name="thing", command=command, environ={}, log=tmp_path / "thing.log", grace_s=grace_s)


class FakeClock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


# --- the state directory ----------------------------------------------------------------------------------------


def test_a_held_home_is_private_and_refuses_a_second_up(tmp_path: Path) -> None:
    state = tmp_path / "deep" / ".ganclinic"
    with home.hold(state):
        home.announce(state, "http://127.0.0.1:9")
        assert stat.S_IMODE(state.stat().st_mode) == 0o700
        with pytest.raises(AlreadyRunning, match=r"at http://127.0.0.1:9 .*GANCLINIC_HOME=other"), home.hold(state):
            pass
        assert (state / "service.json").exists()
    assert not (state / "service.json").exists()
    with home.hold(state):
        pass


def test_a_home_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StartFailed, match="GANCLINIC_HOME"), home.hold(tmp_path / "file" / "home"):
        pass


def test_the_log_of_the_last_start_is_kept(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    home.log_file(tmp_path, "api").write_text("first")
    assert not home.log_file(tmp_path, "api").exists()
    assert (tmp_path / "logs" / "api.log.1").read_text() == "first"


def test_last_lines_are_few_and_a_missing_log_has_none(tmp_path: Path) -> None:
    (tmp_path / "x.log").write_text("\n".join(map(str, range(100))))
    assert home.last_lines(tmp_path / "x.log", 2) == "  98\n  99"
    assert home.last_lines(tmp_path / "no.log") == ""


# --- the broker -------------------------------------------------------------------------------------------------


def test_the_broker_lives_in_a_private_folder_of_the_home(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir(mode=0o755)
    with broker.socket_directory(tmp_path) as directory:
        assert directory == tmp_path / "run"
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_a_long_home_gets_a_short_private_folder_for_the_time_being(tmp_path: Path) -> None:
    with broker.socket_directory(tmp_path / ("x" * 100)) as directory:
        assert len(str(directory / "broker.sock")) < 107
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert not directory.exists()


def test_the_broker_opens_no_port_and_keeps_nothing_on_disk(tmp_path: Path) -> None:
    command = broker.command(Path("valkey-server"), tmp_path)
    assert command[command.index("--port") + 1] == "0"
    assert command[command.index("--save") + 1] == ""
    assert command[command.index("--unixsocketperm") + 1] == "700"


def test_the_url_of_a_socket_with_spaces_is_quoted() -> None:
    assert broker.url(Path("/a b/run")) == "redis+socket:///a%20b/run/broker.sock"


def test_a_broker_that_is_not_there_does_not_answer(tmp_path: Path) -> None:
    assert not broker.answers(tmp_path)


def test_a_broker_is_found_in_the_wheel() -> None:
    assert broker.find_binary(path="").name in broker.BINARIES


# --- the machine ------------------------------------------------------------------------------------------------


def test_a_taken_port_is_refused_with_another_proposed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(PortTaken, match=f"--port {port + 1}"):
            machine.free_port("127.0.0.1", port)


def test_port_0_is_any_free_port() -> None:
    assert machine.free_port("127.0.0.1", 0) > 0


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(StartFailed, match="--host"):
        machine.free_port("192.0.2.1", 0)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),
        ("::", "http://[::1]:80"),
        ("gpu-server", "http://gpu-server:80"),
    ],
)
def test_clients_reach_a_server_that_listens_everywhere_on_the_loopback(host: str, url: str) -> None:
    assert machine.url_of(host, 80) == url


@pytest.mark.parametrize(("visible", "gpus"), [("", 0), ("-1", 0), ("0", 1), ("0,2", 2), ("GPU-ab,GPU-cd", 2)])
def test_gpus_that_are_hidden_are_not_counted(visible: str, gpus: int) -> None:
    assert machine.count_gpus({"CUDA_VISIBLE_DEVICES": visible, "PATH": ""}) == gpus


def test_gpus_are_counted_by_the_driver(tmp_path: Path) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(
        "#!/bin/sh\necho 'GPU 0: A (UUID: a)'\necho '  MIG 1g.5gb Device 0: (UUID: b)'\necho 'GPU 1: B'\n"
    )
    program.chmod(0o755)
    assert machine.count_gpus({"PATH": str(tmp_path)}) == 2
    assert machine.count_gpus({"PATH": ""}) == 0


@pytest.mark.parametrize(("gpus", "cores", "workers"), [(0, 1, 1), (0, 2, 2), (0, 64, 2), (3, 8, 3)])
def test_workers_by_default(gpus: int, cores: int, workers: int) -> None:
    assert machine.default_workers(gpus, cores) == workers


# --- options and environment ------------------------------------------------------------------------------------


def test_options_come_before_variables_before_defaults(tmp_path: Path) -> None:
    variables = around(tmp_path, GANCLINIC_PORT="9000", GANCLINIC_HOST="0.0.0.0")
    assert options_from(variables, host=None, port=None, workers=None) == Options(host="0.0.0.0", port=9000)
    assert options_from(variables, host="::1", port=0, workers=3) == Options(host="::1", port=0, workers=3)
    assert options_from(around(tmp_path), host=None, port=None, workers=None) == Options()
    with pytest.raises(InvalidInput, match="GANCLINIC_PORT"):
        options_from(around(tmp_path, GANCLINIC_PORT="http"), host=None, port=None, workers=None)


def test_servers_import_from_the_checkout_first_and_not_from_the_current_directory(tmp_path: Path) -> None:
    environ = server_environ(around(tmp_path, PYTHONPATH="/mine"), Path("/checkout"), tmp_path)
    assert environ["PYTHONPATH"] == "/checkout:/mine"
    assert environ["PYTHONSAFEPATH"] == "1"
    assert environ["GANCLINIC_HOME"] == str(tmp_path)


def test_the_checkout_is_the_folder_around_this_package(tmp_path: Path) -> None:
    assert checkout.find_checkout(tmp_path) == Path(__file__).parents[3]


# --- processes --------------------------------------------------------------------------------------------------


def test_a_dead_child_is_started_again_after_growing_pauses(tmp_path: Path) -> None:
    clock = FakeClock()
    child = Child(python_server(tmp_path, "import sys; print('x'); sys.exit(3)"), clock)
    pauses: list[str] = []
    child.start()
    for _ in range(3):
        child.wait()
        news = child.revive()
        assert news is not None
        pauses.append(news)
        assert child.revive() is None
        assert not child.is_running
        clock.now += 30
        child.revive()
    child.wait()
    assert [("again in 1 s" in pauses[0]), ("again in 2 s" in pauses[1]), ("again in 4 s" in pauses[2])] == [True] * 3
    assert "exit status 3" in pauses[0]
    assert (tmp_path / "thing.log").read_text() == "x\n" * 4


def test_a_child_that_lived_long_is_started_again_soon(tmp_path: Path) -> None:
    clock = FakeClock()
    child = Child(python_server(tmp_path, ""), clock)
    for _ in range(2):
        child.start()
        child.wait()
        clock.now += 61
        assert "again in 1 s" in str(child.revive())


def test_a_killed_child_is_named_by_its_signal(tmp_path: Path) -> None:
    child = Child(python_server(tmp_path, "import os; os.kill(os.getpid(), 9)"), FakeClock())
    child.start()
    child.wait()
    assert "SIGKILL" in str(child.revive())


def test_a_server_that_ends_at_its_start_fails_with_the_end_of_its_log(tmp_path: Path) -> None:
    children = Children(lambda _: None, Stop())
    with pytest.raises(StartFailed, match=r"thing ended at its start(.|\n)*no database"):
        children.start_and_wait(python_server(tmp_path, "raise SystemExit('no database')"), lambda: False)


def test_later_stages_are_stopped_first(tmp_path: Path) -> None:
    stages = Children(lambda _: None, Stop())
    log = tmp_path / "order"
    code = (
        "import signal, sys, pathlib, time\n"
        "def end(*_):\n open({log!r}, 'a').write({name!r}); sys.exit()\n"
        "signal.signal(signal.SIGTERM, end); pathlib.Path({log!r} + {name!r}).touch(); time.sleep(60)"
    )
    for name in "abc":
        server = python_server(tmp_path, code.format(log=str(log), name=name))
        stages.start_and_wait(server, Path(f"{log}{name}").exists)
    stages.stop()
    assert log.read_text() == "cba"


def test_a_child_that_will_not_stop_is_killed_after_its_grace(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    code = (
        "import signal, pathlib, time\n"
        f"signal.signal(signal.SIGTERM, signal.SIG_IGN); pathlib.Path({str(ready)!r}).touch(); time.sleep(60)"
    )
    children = Children(lambda _: None, Stop())
    children.start_and_wait(python_server(tmp_path, code, grace_s=0.2), ready.exists)
    children.stop()


def test_the_second_signal_insists(tmp_path: Path) -> None:
    with Stop().on_signals() as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop.asked.is_set()
        assert not stop.insisted.is_set()
        signal.raise_signal(signal.SIGTERM)
        assert stop.insisted.is_set()


# --- a service for one command ----------------------------------------------------------------------------------


def test_a_named_service_is_used_and_none_is_started(tmp_path: Path) -> None:
    said: list[str] = []
    with some_service(around(tmp_path), "http://named", "t", said.append) as client:
        assert client.url == "http://named"
    assert said == []
    assert list(tmp_path.iterdir()) == []


def test_the_service_that_runs_here_is_used(tmp_path: Path) -> None:
    said: list[str] = []
    state = tmp_path / ".ganclinic"
    with home.hold(state):
        home.announce(state, "http://127.0.0.1:9")
        with some_service(around(tmp_path), None, None, said.append) as client:
            assert client.url == "http://127.0.0.1:9"
    assert said == ["Using the service that runs at http://127.0.0.1:9."]
