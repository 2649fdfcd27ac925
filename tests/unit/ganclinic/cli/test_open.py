"""`ganclinic open`: a link that logs in where the service runs from our state directory, else the page's address."""

import fcntl
import json
import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from ganclinic.cli import main
from ganclinic.config import ConfigSources

HERE = "http://127.0.0.1:8000"
RUN = "0123456789abcdef"


@pytest.fixture
def around(tmp_path: Path) -> Iterator[ConfigSources]:
    """Beside the state directory of an `up` that runs until the end of the test."""
    home = tmp_path / ".ganclinic"
    home.mkdir()
    (home / "token").write_text("of the home\n")
    (home / "service.json").write_text(json.dumps({"url": HERE, "pid": os.getpid()}))
    with (home / "up.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield ConfigSources(environ={}, cwd=tmp_path, user_home=tmp_path / "person")


def links(around: ConfigSources) -> list[str]:
    folder = around.cwd / ".ganclinic" / "links"
    return [file.name for file in folder.iterdir()] if folder.is_dir() else []


@pytest.mark.parametrize("run", [None, RUN])
def test_here_a_link_is_made_whose_key_is_written_nowhere(
    around: ConfigSources, capsys: pytest.CaptureFixture[str], run: str | None
) -> None:
    assert main(["open", "--print", *([] if run is None else [run])], around=around) == 0
    link = capsys.readouterr().out.strip()
    assert link.startswith(f"{HERE}/open/")
    key, _, onward = link.removeprefix(f"{HERE}/open/").partition("/")
    assert onward == (run or "")
    assert len(key) == 64
    assert links(around) == [sha256(key.encode()).hexdigest()]


@pytest.mark.parametrize(("run", "path"), [(None, "/"), (RUN, f"/runs/{RUN}")])
def test_elsewhere_the_page_is_opened_which_asks_for_a_token(
    around: ConfigSources, capsys: pytest.CaptureFixture[str], run: str | None, path: str
) -> None:
    arguments = ["open", "--print", "--url", "https://clinic.example/", *([] if run is None else [run])]
    assert main(arguments, around=around) == 0
    assert capsys.readouterr().out.strip() == f"https://clinic.example{path}"
    assert links(around) == []


def test_what_is_no_id_of_a_run_makes_no_link(around: ConfigSources, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["open", "--print", "../token"], around=around) == 2
    assert "is not a run's id" in capsys.readouterr().err
    assert links(around) == []
