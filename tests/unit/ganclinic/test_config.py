import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from ganclinic.client import Client
from ganclinic.config import Address, ConfigSources, find_home, find_service, program_name, running_service
from ganclinic.errors import InvalidInput, ServiceNotFound
from ganclinic.service import home as service_home

Home = Callable[[Path], Path]
LOOK_ON = """
import sys
from pathlib import Path
from ganclinic.config import running_service
print("looks", flush=True)
while True:
    running_service(Path(sys.argv[1]))
"""
"""Looks whether a service runs, again and again."""


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def around(work: Path, **variables: str) -> ConfigSources:
    environ = {f"GANCLINIC_{name}": value for name, value in variables.items()}
    return ConfigSources(environ=environ, cwd=work, user_home=work.parent / "person")


def leave_home(folder: Path, url: str = "http://127.0.0.1:9") -> Path:
    """What an `up` that was killed has left, whose process id is now that of another."""
    home = folder / ".ganclinic"
    home.mkdir()
    (home / "token").write_text("of the home\n")
    (home / "up.lock").touch()
    (home / "service.json").write_text(json.dumps({"url": url, "pid": os.getpid()}))
    return home


@pytest.fixture
def make_home() -> Iterator[Callable[[Path], Path]]:
    """Makes the state directory of an `up` that runs until the end of the test."""
    with ExitStack() as stack:

        def make(folder: Path) -> Path:
            home = leave_home(folder)
            lock = stack.enter_context((home / "up.lock").open("a"))
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return home

        yield make


def write_config(work: Path, text: str) -> None:
    file = work.parent / "person" / ".config" / "ganclinic" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text(text)


def test_the_running_service_of_a_folder_above_is_found(work: Path, make_home: Home) -> None:
    make_home(work)
    below = work / "a" / "b"
    below.mkdir(parents=True)
    assert find_service(around(below)) == Address(url="http://127.0.0.1:9", token="of the home")


def test_without_any_service_the_error_says_how_to_start_one(work: Path) -> None:
    with pytest.raises(ServiceNotFound, match="ganclinic up"):
        find_service(around(work))


def test_options_come_before_variables_before_the_file_before_the_home(work: Path, make_home: Home) -> None:
    make_home(work)
    write_config(work, 'url = "http://file"\ntoken = "of the file"')
    variables = around(work, URL="http://variable", TOKEN="of the variable")
    assert find_service(variables, url="http://option", token="given") == Address(url="http://option", token="given")
    assert find_service(variables) == Address(url="http://variable", token="of the variable")
    assert find_service(around(work)) == Address(url="http://file", token="of the file")


def test_a_token_goes_only_to_the_service_that_it_was_given_for(work: Path, make_home: Home) -> None:
    make_home(work)
    write_config(work, 'url = "http://file"\ntoken = "of the file"')
    assert find_service(around(work), url="http://stranger").token is None
    assert find_service(around(work), url="http://127.0.0.1:9/").token == "of the home"
    assert find_service(around(work, URL="http://file")).token == "of the file"


def test_what_a_killed_up_left_behind_is_not_believed_though_somebody_has_its_process_id(work: Path) -> None:
    """Nor who listens on its port: they would be sent the token."""
    home = leave_home(work)
    assert running_service(home) is None
    with pytest.raises(ServiceNotFound):
        find_service(around(work))
    assert find_service(around(work), url="http://127.0.0.1:9").token is None
    (home / "up.lock").unlink()
    assert running_service(home) is None


def test_an_up_in_another_process_namespace_is_found(work: Path, make_home: Home) -> None:
    """One in a container shows its lock to the host, and not its process id."""
    home = make_home(work)
    (home / "service.json").write_text(json.dumps({"url": "http://127.0.0.1:9", "pid": 2**22 + 1}))
    assert running_service(home) == Address(url="http://127.0.0.1:9", token="of the home")


def test_looking_for_a_service_keeps_none_from_starting(work: Path) -> None:
    home = leave_home(work)
    looking = subprocess.Popen(
        [sys.executable, "-c", LOOK_ON, str(home)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]
    )
    assert looking.stdout is not None
    assert looking.stdout.readline()
    try:
        for _ in range(50):
            with service_home.hold(home):
                pass
    finally:
        looking.kill()
        looking.communicate()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"url": 1}', '{"pid": 1}'])
def test_a_damaged_service_file_is_no_service(work: Path, text: str, make_home: Home) -> None:
    home = make_home(work)
    (home / "service.json").write_text(text)
    assert running_service(home) is None


def test_a_config_file_that_is_no_toml_is_named(work: Path) -> None:
    write_config(work, "url = http://file")
    with pytest.raises(InvalidInput, match=r"config\.toml cannot be read"):
        find_service(around(work))


def test_xdg_config_home_is_respected(work: Path) -> None:
    (work / "ganclinic").mkdir()
    (work / "ganclinic" / "config.toml").write_text('url = "http://xdg"')
    surroundings = ConfigSources(environ={"XDG_CONFIG_HOME": str(work)}, cwd=work, user_home=work)
    assert find_service(surroundings).url == "http://xdg"


def test_a_url_without_a_scheme_is_refused(work: Path) -> None:
    with pytest.raises(InvalidInput, match="http://"):
        find_service(around(work), url="127.0.0.1:8000")


def test_the_home_is_the_variable_else_the_nearest_else_here(work: Path, make_home: Home) -> None:
    assert find_home(around(work)) == work / ".ganclinic"
    home = make_home(work)
    (work / "below").mkdir()
    assert find_home(around(work / "below")) == home
    assert find_home(around(work, HOME="other")) == work / "other"
    assert find_home(around(work, HOME="/else/where")) == Path("/else/where")
    assert find_home(around(work, HOME="")) == home


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_a_strangers_home_is_not_taken(work: Path, make_home: Home) -> None:
    home = make_home(work)
    os.chown(home, 65534, 65534)
    below = work / "below"
    below.mkdir()
    assert find_home(around(below)) == below / ".ganclinic"


def test_the_program_is_named_as_a_person_can_type_it(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = work / ".venv" / "bin" / "ganclinic"
    program.parent.mkdir(parents=True)
    monkeypatch.setattr(sys, "executable", str(program.parent / "python"))
    nowhere = ConfigSources(environ={"PATH": str(work)}, cwd=work, user_home=work)
    assert program_name(nowhere) == "python -m ganclinic"
    program.touch(mode=0o755)
    assert program_name(nowhere) == ".venv/bin/ganclinic"
    on_path = ConfigSources(environ={"PATH": str(program.parent)}, cwd=work, user_home=work)
    assert program_name(on_path) == "ganclinic"


def test_a_client_finds_service_and_token_by_itself(monkeypatch: pytest.MonkeyPatch, work: Path) -> None:
    asked: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.headers.get("Authorization"))
        return httpx.Response(200, json={"status": "ok"})

    transport = httpx.MockTransport(answer)
    monkeypatch.setattr(ConfigSources, "real", lambda: around(work, URL="http://clinic.test/", TOKEN="configured"))
    for client in (Client(transport=transport), Client(token="given", transport=transport)):
        assert client.url == "http://clinic.test"
        assert client.is_healthy()
    assert Client.here().url == "http://clinic.test"
    assert Client("http://other.test", transport=transport).is_healthy()
    assert asked == ["Bearer configured", "Bearer given", None]  # no token goes to another service
    monkeypatch.setattr(ConfigSources, "real", lambda: around(work))
    with pytest.raises(ServiceNotFound):
        Client()
