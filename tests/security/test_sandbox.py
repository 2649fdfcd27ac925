"""Pictures that were made to break a decoder break nothing but their own upload. No decoder is known to be broken, so
one is put in its place that does what a broken one would."""

import contextlib
import errno
import io
import platform
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
from PIL import Image

from api.sandbox import reader, walls
from api.sandbox.messages import MIB, Rations
from api.sandbox.reader import read_apart, seconds_for
from ganclinic.transport import UPLOAD_TIMEOUT_S
from ganlib.data.archives import DifferentSizes, InvalidUpload, Limits, read_samples
from store.core.settings import needed_by_python
from tests.support.api import Service
from tests.support.archives import npz, picture, pictures, tar_gz, zipped
from tests.support.images import CHECKOUT
from tests.support.uploads import pixels

LIMITS = Limits(min_samples=2)
SOON = Rations(memory_bytes=512 * MIB, seconds=1)
CRASHES = {
    "a write beyond the heap": ("ctypes.memset(1, 0, 8)", "makes the decoder crash"),
    "an abort": ("os.abort()", "makes the decoder crash"),
    "an end without a word": ("os._exit(3)", "makes the decoder crash"),
    "an end that looks well": ("os._exit(0)", "cannot be read"),
    "a stack that is used up": (
        "class A: __repr__ = lambda self: repr(self)\n    sys.setrecursionlimit(10**9); repr(A())",
        "makes the decoder crash",
    ),
}


def hostile(what: str) -> tuple[str, ...]:
    """The real program, with a decoder that does this."""
    lines = [
        "import ctypes, os, sys, time",
        "from api.sandbox.child import main",
        "from ganlib.data import archives",
        "def decode(name, content, limits):",
        f"    {what}",
        "archives._decode = decode",
        "sys.exit(main())",
    ]
    return (sys.executable, "-c", "\n".join(lines))


@pytest.fixture
def opened(tmp_path: Path) -> Callable[[bytes], BinaryIO]:
    def write(content: bytes) -> BinaryIO:
        path = tmp_path / "upload"
        path.write_bytes(content)
        return path.open("rb")

    return write


Opened = Callable[[bytes], BinaryIO]


# --- what is read is the same -----------------------------------------------------------------------------------


FOLDERS = {f"{folder}/{name}": content for folder in ("a", "b") for name, content in pictures(4).items()}


@pytest.mark.parametrize(
    ("content", "options"),
    [
        (zipped(pictures()), {}),
        (zipped(FOLDERS), {}),
        (tar_gz(FOLDERS), {"image_size": 4}),
        (zipped(FOLDERS), {"pairs": True}),
        (npz("samples", pixels(0, 5, 8, 8, 3)), {}),
        (npz("features", np.random.default_rng(0).standard_normal((5, 7)).astype(">f8")), {}),
    ],
)
def test_what_is_read_apart_is_what_is_read_here(opened: Opened, content: bytes, options: dict[str, Any]) -> None:
    with opened(content) as file:
        here, apart = read_samples(file, LIMITS, **options), read_apart(file, LIMITS, **options)
    assert np.array_equal(apart.array, here.array.astype(apart.array.dtype))
    assert apart.class_names == here.class_names
    assert (apart.labels is None) == (here.labels is None)
    assert apart.labels is None or apart.labels.tolist() == np.asarray(here.labels).tolist()


def test_what_is_refused_here_is_refused_apart_in_the_same_words(opened: Opened) -> None:
    for content in (b"nothing", zipped({}), zipped({"a.png": b"no picture"}), zipped(pictures())[:-30]):
        with opened(content) as file:
            with pytest.raises(InvalidUpload) as here:
                read_samples(file, LIMITS)
            with pytest.raises(InvalidUpload) as apart:
                read_apart(file, LIMITS)
        assert str(apart.value) == str(here.value)
    different = pictures() | {"x.png": picture(Image.new("RGB", (9, 9)))}
    with opened(zipped(different)) as file, pytest.raises(DifferentSizes):
        read_apart(file, LIMITS)


@pytest.mark.parametrize(("format", "mode"), [("PNG", "RGBA"), ("JPEG", "CMYK"), ("WEBP", "RGBA"), ("BMP", "RGB")])
def test_the_largest_pictures_that_are_allowed_need_no_more_memory_than_there_is(
    opened: Opened, format: str, mode: str
) -> None:
    images = [Image.fromarray(pixels(n, 64, 64, 3)).resize((4096, 4096)).convert(mode) for n in range(2)]
    with opened(zipped({f"{n}.x": picture(image, format) for n, image in enumerate(images)})) as file:
        assert read_apart(file, LIMITS).array.shape == (2, 3, 4096, 4096)


def test_an_array_needs_no_process_of_its_own(opened: Opened) -> None:
    content = io.BytesIO()
    np.save(content, pixels(0, 5, 8, 8))
    with opened(content.getvalue()) as file:
        assert read_apart(file, LIMITS, child=("/nowhere/at-all",)).array.shape == (5, 1, 8, 8)


# --- what breaks it ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("what", "said"), CRASHES.values(), ids=CRASHES)
def test_a_crash_is_an_error_of_the_upload_that_names_the_picture(opened: Opened, what: str, said: str) -> None:
    with opened(zipped(pictures())) as file, pytest.raises(InvalidUpload, match=rf"^{said} at '0\.png'; "):
        read_apart(file, LIMITS, child=hostile(what))


@pytest.mark.parametrize(("what", "wall_factor"), [("while True: pass", 300), ("time.sleep(600)", 10)])
def test_a_hang_ends_and_is_an_error_of_the_upload(
    opened: Opened, monkeypatch: pytest.MonkeyPatch, what: str, wall_factor: int
) -> None:
    """A loop is ended by the limit on the processor's time, whatever the clock says; sleep by the clock."""
    monkeypatch.setattr(reader, "WALL_FACTOR", wall_factor)
    with opened(zipped(pictures())) as file, pytest.raises(InvalidUpload, match=r"longer to read than 1 s at '0\.png'"):
        read_apart(file, LIMITS, child=hostile(what), rations=SOON)


@pytest.mark.parametrize("what", ["bytearray(1 << 30)", "ctypes.c_char.from_buffer(bytearray(1 << 40))"])
def test_too_much_memory_is_an_error_of_the_upload(opened: Opened, what: str) -> None:
    with (
        opened(zipped(pictures())) as file,
        pytest.raises(InvalidUpload, match=r"memory to read than 512 MiB at "),
    ):
        read_apart(file, LIMITS, child=hostile(what), rations=SOON)


def test_open_files_and_their_size_are_limited(opened: Opened) -> None:
    for what in (
        "global kept; kept = [os.dup(0) for _ in range(100)]",
        "os.ftruncate(os.open(limits.scratch, os.O_RDWR), 1 << 40)",
    ):
        limits = Limits(min_samples=2, scratch=Path("/tmp"))
        with opened(zipped(pictures())) as file, pytest.raises(InvalidUpload, match=r"at '0\.png'"):
            read_apart(file, limits, child=hostile(what.replace("limits.scratch", repr(file.name))))


def test_the_process_knows_none_of_the_services_secrets(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANCLINIC_TOKEN", "correct-horse-battery-staple")
    monkeypatch.setenv("PGPASSWORD", "hunter2-hunter2")
    told = "raise archives.InvalidUpload(' '.join([*os.environ, *os.environ.values()]))"
    with opened(zipped(pictures())) as file, pytest.raises(InvalidUpload) as caught:
        read_apart(file, LIMITS, child=hostile(told))
    assert "PYTHONPATH" in str(caught.value)
    assert not any(word in str(caught.value) for word in ("GANCLINIC", "correct-horse", "PGPASSWORD", "hunter2"))


def test_the_process_is_told_where_python_finds_its_libraries(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", "/nowhere/at-all")
    told = "raise archives.InvalidUpload(os.environ['LD_LIBRARY_PATH'])"
    with opened(zipped(pictures())) as file, pytest.raises(InvalidUpload, match=r"^/nowhere/at-all"):
        read_apart(file, LIMITS, child=hostile(told))
    monkeypatch.setenv("PYTHONHOME", sys.base_prefix)
    monkeypatch.setenv("DYLD_LIBRARY_PATH", "/nowhere/else")
    assert {"PYTHONHOME": sys.base_prefix, "DYLD_LIBRARY_PATH": "/nowhere/else"}.items() <= needed_by_python().items()


# --- what it reaches --------------------------------------------------------------------------------------------


def told(opened: Opened, tmp_path: Path, tried: list[str]) -> dict[str, str]:
    """What a decoder gets that tries all that; HOME is the service's, SCRATCH a folder in it for what it reads."""
    home, scratch = tmp_path / "home", tmp_path / "home" / "uploads"
    scratch.mkdir(parents=True, exist_ok=True)
    (home / "token").write_text("correct-horse-battery-staple")
    code = f"""
    import pathlib
    HOME, SCRATCH = pathlib.Path({str(home)!r}), {str(scratch)!r}
    names, got = dict(globals(), HOME=HOME, SCRATCH=SCRATCH), []
    for what in {tried!r}:
        try:
            got.append(repr(eval(what, names)))
        except Exception as error:
            got.append(repr(error))
    raise archives.InvalidUpload("\\n".join(got))
"""
    with opened(zipped(pictures())) as file, pytest.raises(InvalidUpload) as caught:
        read_apart(file, Limits(min_samples=2, scratch=scratch), child=hostile(code))
    assert sorted(path.name for path in home.iterdir()) == ["token", "uploads"]
    assert (home / "token").read_text() == "correct-horse-battery-staple"
    return dict(zip(tried, str(caught.value).split("\n"), strict=True))


REFUSED_BY_CALLS = [
    "__import__('socket').socket()",
    "__import__('socket').socket(__import__('socket').AF_INET, __import__('socket').SOCK_DGRAM)",
    "__import__('socket').socket(__import__('socket').AF_UNIX)",  # the broker's, the database's
    "__import__('socket').socketpair()",
    "os.execv(sys.executable, [sys.executable])",
    "os.fork()",
    "__import__('subprocess').run(['/bin/true'])",
    "os.posix_spawn('/bin/true', ['true'], {})",
]
OWN = "SCRATCH + '/own'"
"""A file of its own, of which Landlock refuses nothing."""
REFUSED_OF_ANY_FILE = [
    f"os.chmod({OWN}, 0o777)",
    f"os.chmod({OWN}, 0o777, follow_symlinks=False)",  # takes another call where there is one
    f"os.chmod(os.open({OWN}, os.O_RDONLY), 0o777)",
    f"os.chown({OWN}, os.getuid(), os.getgid())",
    f"os.lchown({OWN}, os.getuid(), os.getgid())",
    f"os.chown(os.open({OWN}, os.O_RDONLY), os.getuid(), os.getgid())",
    f"os.utime({OWN}, (0, 0))",
    f"os.utime(os.open({OWN}, os.O_RDONLY), (0, 0))",
    f"os.setxattr({OWN}, 'user.x', b'x')",
    f"os.setxattr(os.open({OWN}, os.O_RDONLY), 'user.x', b'x')",
    f"os.getxattr({OWN}, 'user.x')",
    f"os.listxattr({OWN})",
    f"os.removexattr({OWN}, 'user.x', follow_symlinks=False)",
    f"os.truncate({OWN}, 0)",
    f"os.open({OWN}, os.O_WRONLY | os.O_TRUNC)",
    f"open({OWN}, 'w')",
    "os.chmod(HOME / 'token', 0o777)",
    "os.utime(HOME / 'token', (0, 0))",
    "os.chown(HOME / 'token', os.getuid(), os.getgid())",
    "os.setxattr(HOME / 'token', 'user.x', b'x')",
    "os.listxattr(HOME / 'token')",
    "__import__('resource').prlimit(os.getppid(), 4, (0, 0))",
    "__import__('resource').prlimit(os.getppid(), 4)",
    "__import__('resource').prlimit(0, 7, (1, 1))",
    "__import__('resource').setrlimit(0, (1, 1))",
]
RAW_CALLS = {  # (x86-64, arm64), with arguments; those that Python has no name for, by their numbers
    "chmod": ((90, None), "path, 0o777"),
    "fchmodat2": ((452, 452), "-100, path, 0o777, 0"),
    "utime": ((132, None), "path, 0"),
    "utimes": ((235, None), "path, 0"),
    "futimesat": ((261, None), "-100, path, 0"),
    "creat": ((85, None), "path, 0o600"),
    "open": ((2, None), "path, os.O_WRONLY | os.O_TRUNC, 0"),
    "setrlimit": ((160, 164), "7, b'\\1' * 16"),
    "setxattrat": ((463, 463), "-100, path, 0, b'user.x', b'x' * 16, 16"),
    "file_setattr": ((469, 469), "-100, path, b'x' * 32, 24, 0"),
    "another process's limits, with bits beyond its number": ((302, 261), "1 << 40 | os.getppid(), 4, 0, b'1' * 16"),
    "new limits in the upper half of memory": ((302, 261), "0, 7, ctypes.c_void_p(1 << 32), 0"),
}
REFUSED_BY_FILES = [
    "open('/etc/passwd').read(1)",
    "open(f'/proc/{os.getppid()}/environ').read(1)",  # has the service's secrets
    "open(f'/proc/{os.getppid()}/mem').read(1)",
    "os.listdir('/')",
    "os.listdir(os.environ['PYTHONPATH'])",  # a checkout, in which the service's home may be
    "open(HOME / 'token').read()",
    "open(HOME / 'new', 'w')",
    "os.unlink(HOME / 'token')",
    "os.rename(HOME / 'token', HOME / 'other')",
    "os.symlink(HOME / 'token', HOME / 'link')",
    "os.link(HOME / 'token', SCRATCH + '/link')",
    "os.truncate(HOME / 'token', 0)",
]
ALLOWED = [
    "__import__('lzma').__name__",
    "__import__('PIL.BmpImagePlugin').__name__",
    "__import__('tempfile').TemporaryFile(dir=SCRATCH).write(b'x')",
]


def test_a_decoder_reaches_no_network_and_starts_no_program(opened: Opened, tmp_path: Path) -> None:
    closed = sys.platform == "linux" and platform.machine() in walls.MACHINES
    got = told(opened, tmp_path, REFUSED_BY_CALLS)
    assert [what for what, said in got.items() if ("PermissionError(13" in said) != closed] == []


def test_a_decoder_opens_no_file_of_others(opened: Opened, tmp_path: Path) -> None:
    closed = walls.landlock_version() > 0
    got = told(opened, tmp_path, REFUSED_BY_FILES if closed else REFUSED_BY_FILES[:1])
    refused = ("PermissionError(13", "OSError(18")  # the second of a link from elsewhere
    assert [what for what, said in got.items() if said.startswith(refused) != closed] == []


def own_file(tmp_path: Path) -> Path:
    """Where `told` has its scratch."""
    path = tmp_path / "home" / "uploads" / "own"
    path.parent.mkdir(parents=True)
    path.write_text("own")
    path.chmod(0o600)
    return path


def test_a_decoder_changes_no_file_but_by_writing_and_no_limit(opened: Opened, tmp_path: Path) -> None:
    closed = sys.platform == "linux" and platform.machine() in walls.MACHINES
    own = own_file(tmp_path)
    before = own.stat()
    got = told(opened, tmp_path, REFUSED_OF_ANY_FILE if closed else [])
    assert [(what, said) for what, said in got.items() if "PermissionError(13" not in said] == []
    after = own.stat()
    assert (after.st_mode, after.st_mtime_ns, after.st_size) == (before.st_mode, before.st_mtime_ns, before.st_size)


def test_calls_that_python_has_no_name_for_are_closed_as_well(opened: Opened, tmp_path: Path) -> None:
    if sys.platform != "linux" or platform.machine() not in walls.MACHINES:
        pytest.skip("there are no calls to close")
    column = list(walls.MACHINES).index(platform.machine())
    path = str(own_file(tmp_path)).encode()
    asked = {
        f"(lambda libc, path: (libc.syscall({numbers[column]}, {arguments}), ctypes.get_errno()))"
        f"(ctypes.CDLL(None, use_errno=True), {path!r})": name
        for name, (numbers, arguments) in RAW_CALLS.items()
        if numbers[column] is not None
    }
    got = told(opened, tmp_path, list(asked))
    assert {asked[what]: said for what, said in got.items()} == dict.fromkeys(asked.values(), f"(-1, {errno.EACCES})")


def test_a_decoder_may_read_its_own_limits(opened: Opened, tmp_path: Path) -> None:
    (said,) = told(opened, tmp_path, ["__import__('resource').getrlimit(7)"]).values()
    assert said.startswith(f"({Rations().files},")


@pytest.mark.parametrize("refused", ["walls.RESTRICT_SELF = 9999", "walls.FILTER = 99"])
def test_where_a_wall_that_the_system_has_is_refused_no_upload_is_read(
    opened: Opened, caplog: pytest.LogCaptureFixture, refused: str
) -> None:
    if walls.landlock_version() < 1 or platform.machine() not in walls.MACHINES:
        pytest.skip("the kernel has not both")
    code = f"import sys; from api.sandbox import walls; {refused}; from api.sandbox.child import main; sys.exit(main())"
    with opened(zipped(pictures())) as file, pytest.raises(reader.ReadingFailed):
        read_apart(file, LIMITS, child=(sys.executable, "-c", code))
    assert "could not be put up" in caplog.text


def test_a_decoder_ends_no_other_process(opened: Opened, tmp_path: Path) -> None:
    closed = walls.landlock_version() >= walls.SCOPE_SINCE
    (said,) = told(opened, tmp_path, ["os.kill(os.getppid(), 0)"]).values()
    assert ("PermissionError(1," in said) == closed


def test_a_decoder_has_what_it_needs(opened: Opened, tmp_path: Path) -> None:
    got = told(opened, tmp_path, ALLOWED)
    assert [said for said in got.values() if "Error" in said] == []


@pytest.mark.parametrize("missing", ["walls.CREATE_RULESET = 9999", "walls.MACHINES.clear()", "sys.platform = 'other'"])
def test_where_the_system_has_no_such_walls_uploads_are_read_all_the_same(opened: Opened, missing: str) -> None:
    code = f"import sys; from api.sandbox import walls; {missing}; from api.sandbox.child import main; sys.exit(main())"
    with opened(zipped(pictures())) as file:
        assert len(read_apart(file, LIMITS, child=(sys.executable, "-c", code)).array) == len(pictures())


ANSWERS = {
    "no JSON": "b'not JSON'",
    "no object": "b'[]'",
    "another form": """b'{"outcome": "read", "more": 1}' """,
    "no samples": """b'{"outcome": "read"}' """,
    "more samples than there are": """b'{"outcome": "read", "shape": [1000000, 3, 8, 8], "dtype": "|u1"}' """,
    "objects": """b'{"outcome": "read", "shape": [3, 1], "dtype": "|O"}' """,
    "negative lengths": """b'{"outcome": "read", "shape": [-3, -1], "dtype": "|u1"}' """,
    "words that are none": """b'{"outcome": "failed", "errno": "x"}' """,
    "far too long": "b'[' * (65 << 20)",
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_an_answer_that_lies_is_not_believed(opened: Opened, answer: str) -> None:
    lie = f"import json; os.write(json.loads(sys.argv[1])['answer'], {answer}); os._exit(0)"
    with opened(zipped(pictures())) as file, pytest.raises(InvalidUpload, match=r"cannot be read at '0\.png'"):
        read_apart(file, LIMITS, child=hostile(lie))


def processes_with(mark: str) -> list[Path]:
    """Those that have it in their command line."""
    found: list[Path] = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if mark.encode() in path.read_bytes():
                found.append(path)
    return found


def test_no_process_is_left_over(opened: Opened) -> None:
    mark = uuid.uuid4().hex
    child = hostile(f"time.sleep(600)  # {mark}")
    with opened(zipped(pictures())) as file, ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read_apart, file, LIMITS, child=child, rations=Rations(seconds=2))
        while not reading.done() and not processes_with(mark):
            time.sleep(0.01)
        assert not reading.done()
        with pytest.raises(InvalidUpload):
            reading.result()
        assert processes_with(mark) == []  # while its parent's thread lives, with which it would go anyway


def test_it_is_quick_to_start_for_it_imports_neither_fastapi_nor_torch() -> None:
    code = "import sys, api.sandbox.child; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "PIL" in loaded
    assert not loaded & {"fastapi", "starlette", "pydantic", "sqlalchemy", "torch", "scipy", "matplotlib"}


def test_a_large_upload_may_take_longer_and_none_longer_than_clients_wait() -> None:
    assert seconds_for(1000) == pytest.approx(60, abs=0.1)
    assert seconds_for(25 * MIB) == 110
    files = 2  # of an evaluation, read one after the other
    assert files * reader.WALL_FACTOR * seconds_for(2**40) < UPLOAD_TIMEOUT_S - 30  # which hashing and storing may take


# --- through the service ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "logged"),
    [
        ("import nothing_here", "No module named 'nothing_here'"),
        ("import os; os.abort()", "ended with the status -6"),
        ("", "gave no answer"),
    ],
)
def test_a_process_that_fails_before_a_picture_is_an_error_of_the_service(
    sqlite_service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, code: str, logged: str
) -> None:
    monkeypatch.setattr(reader, "CHILD", (sys.executable, "-c", code))
    file = zipped(pictures())
    for path, files in [("/v1/uploads", {"file": file}), ("/v1/evaluations", {"real": file, "fake": file})]:
        caplog.clear()
        answer = sqlite_service.client.post(path, files=files)
        assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
        (record,) = [record for record in caplog.records if record.name == reader.__name__]
        assert (record.levelname, logged in record.getMessage()) == ("ERROR", True)
    assert list(sqlite_service.settings.uploads.iterdir()) == []


def test_a_crash_costs_the_service_nothing(sqlite_service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    file = zipped(pictures(60))
    healthy = reader.CHILD
    monkeypatch.setattr(reader, "CHILD", hostile(f"__import__('signal').raise_signal({int(signal.SIGSEGV)})"))
    answer = sqlite_service.client.post("/v1/uploads", files={"file": file})
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    (problem,) = answer.json()["errors"]
    assert problem["field"] == "file"
    assert problem["message"] == "makes the decoder crash at '0.png'; leave that picture out, or save it again"
    answer = sqlite_service.client.post("/v1/evaluations", files={"real": file, "fake": file})
    assert [problem["field"] for problem in answer.json()["errors"]] == ["real", "fake"]
    assert list(sqlite_service.settings.uploads.iterdir()) == []
    monkeypatch.setattr(reader, "CHILD", healthy)
    assert sqlite_service.client.post("/v1/uploads", files={"file": file}).status_code == 201
