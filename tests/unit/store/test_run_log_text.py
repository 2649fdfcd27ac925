import os
from pathlib import Path

import pytest

from store.runs.logs import LONGEST_LINE, LogPart, last_lines, readable, whole_lines
from worker.host import attempt_log
from worker.host.attempt_log import AttemptLog


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"plain\n\ttext\n", "plain\n\ttext\n"),
        ("Größe ×2 ✓\n".encode(), "Größe ×2 ✓\n"),
        (b"\x1b[2J\x1b]0;title\x07", r"\x1b[2J\x1b]0;title\x07"),
        (b"10%\r20%\r\ndone", "10%\n20%\ndone"),
        (b"\xff\xfe broken \xc3", "�� broken �"),
        ("\x9b31m\u202egnp.exe\u2028".encode(), r"\x9b31m\u202egnp.exe\u2028"),
        (b"nothing\x00here\x7f", r"nothing\x00here\x7f"),
    ],
)
def test_what_would_steer_a_terminal_is_spelt_out(content: bytes, text: str) -> None:
    assert readable(content) == text


def test_a_huge_line_is_cut() -> None:
    first, second, _ = readable(b"x" * 1_000_000 + b"\nshort\n").split("\n")
    assert first == f"{'x' * LONGEST_LINE}… (996,000 more)"
    assert second == "short"


@pytest.mark.parametrize(
    ("content", "whole"),
    [(b"one\ntwo", b"one\n"), (b"one\n", b"one\n"), (b"half", b""), (b"x" * 5000, b"x" * 5000), (b"", b"")],
)
def test_a_line_that_is_still_written_is_held_back_unless_it_is_too_long(content: bytes, whole: bytes) -> None:
    assert whole_lines(LogPart(start=7, content=content)) == LogPart(start=7, content=whole)


def test_the_last_lines_know_where_they_begin() -> None:
    part = LogPart(start=100, content=b"one\ntwo\nthree\n")
    assert last_lines(part, 2) == LogPart(start=104, content=b"two\nthree\n")
    assert last_lines(part, 9) == part


def test_a_log_file_is_rotated_and_its_size_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt_log, "FILE_BYTES", 100)
    log = AttemptLog(tmp_path / "logs", "0123", 2)
    for number in range(100):
        log.write(f"line {number:03}\n".encode())
    log.close()
    newest, older = tmp_path / "logs/0123.2.log", tmp_path / "logs/0123.2.log.1"
    assert sorted(newest.parent.iterdir()) == [newest, older]
    assert newest.stat().st_size <= 100
    assert older.stat().st_size <= 100
    assert (older.read_text() + newest.read_text()).endswith("line 098\nline 099\n")
    assert log.tail(2) == "line 098\nline 099"


def test_a_full_disk_ends_nothing_and_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "0123.1.log").symlink_to("/dev/full")
    log = AttemptLog(tmp_path, "0123", 1)
    for _ in range(3):
        log.write(b"still \x1b[1mhere\n")
    assert log.tail(1) == r"still \x1b[1mhere"
    log.close()
    (told,) = caplog.messages
    assert told.endswith("0123.1.log cannot be written or rotated: [Errno 28] No space left on device")


def test_a_log_file_that_cannot_be_put_away_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt_log, "FILE_BYTES", 100)
    (tmp_path / "0123.1.log.1").mkdir()
    log = AttemptLog(tmp_path, "0123", 1)
    for number in range(100):
        log.write(f"line {number:03}\n".encode())
    log.close()
    assert (tmp_path / "0123.1.log").read_text().endswith("line 098\nline 099\n")
    assert log.tail(1) == "line 099"


def test_a_log_whose_file_cannot_be_made_is_written_once_it_can(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "logs"
    folder.touch()
    log = AttemptLog(folder, "0123", 1)
    log.write(b"one\n")
    folder.unlink()
    folder.mkdir()
    log.write(b"two\n")
    log.close()
    assert (folder / "0123.1.log").read_text() == "two\n"
    assert log.tail(2) == "one\ntwo"
    assert len(caplog.messages) == 1


def test_files_of_attempts_that_ended_long_ago_are_deleted_and_no_others(tmp_path: Path) -> None:
    names = ["0123456789abcdef.1.log", "0123456789abcdef.1.log.1", "worker-1.log", "fedcba9876543210.2.log"]
    for name in names:
        (tmp_path / name).touch()
    for name in names[:3]:
        os.utime(tmp_path / name, (1.0, 1.0))
    AttemptLog(tmp_path, "0123", 1).close()
    assert {file.name for file in tmp_path.iterdir()} == {"worker-1.log", "fedcba9876543210.2.log", "0123.1.log"}
