"""Files whose store is slow: the worker hears of it, and is obeyed meanwhile."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from store.files.artifacts import Artifacts
from store.files.local import LocalFiles
from worker.attempt import retry
from worker.attempt.channel import Channel, Stopped
from worker.attempt.retry import RetryingFiles
from worker.messages import Event, Working, parse_event

OFTEN = 3


class HeldFiles(LocalFiles):
    """Begins no transfer before it is let go."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.may_go_on = threading.Event()

    def put(self, name: str, content: BinaryIO) -> None:
        self.may_go_on.wait()
        super().put(name, content)

    def fetch(self, name: str, sha256: str | None) -> Path:
        self.may_go_on.wait()
        return super().fetch(name, sha256)


class Hearing(Channel):
    """Lets the files go once the worker was told so often that they are waited for."""

    def __init__(self, commands: int, events: int, path: Path, files: HeldFiles) -> None:
        super().__init__(commands, events)
        self._path, self._files = path, files

    def tell(self, event: Event) -> None:
        super().tell(event)
        if len(self.told()) == OFTEN:
            self._files.may_go_on.set()

    def told(self) -> list[object]:
        return [parse_event(line) for line in self._path.read_text().splitlines()]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HeldFiles:
    monkeypatch.setattr(retry, "SAY_SO_INTERVAL_S", 0.01)
    return HeldFiles(tmp_path / "files")


@pytest.fixture
def channel(files: HeldFiles, tmp_path: Path) -> Iterator[Hearing]:
    path = tmp_path / "events"
    with Path(os.devnull).open("rb") as commands, path.open("wb") as events:
        yield Hearing(commands.fileno(), events.fileno(), path, files)


def test_the_worker_hears_of_a_transfer_that_takes_long(files: HeldFiles, channel: Hearing) -> None:
    artifacts = Artifacts(RetryingFiles(files, channel))
    stored = artifacts.put(b"picture", "image/png")
    told = channel.told()
    assert len(told) >= OFTEN
    assert told == [Working(on="waiting for the store of files")] * len(told)
    assert artifacts.fetch(stored.sha256).read_bytes() == b"picture"


def test_nothing_is_said_of_one_that_does_not(
    files: HeldFiles, channel: Hearing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "SAY_SO_INTERVAL_S", 60.0)
    files.may_go_on.set()
    Artifacts(RetryingFiles(files, channel)).put(b"picture", "image/png")
    assert channel.told() == []


def test_a_training_that_waits_for_a_transfer_can_be_stopped(files: HeldFiles, channel: Hearing) -> None:
    channel._command = "cancel"
    with pytest.raises(Stopped, match="cancel"):
        Artifacts(RetryingFiles(files, channel)).put(b"picture", "image/png")
    files.may_go_on.set()
