"""Named files, in a directory and in a bucket: the same promises."""

import hashlib
import io
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import obstore
import pytest

from store.core.errors import FileDamaged, FileMissing, StoreUnavailable
from store.core.settings import Settings
from store.files.backends import checkpoint_files
from store.files.local import Files, LocalFiles
from store.files.s3 import MAX_RETRIES, PART_BYTES, S3Files
from tests.support.proxy import proxy
from tests.support.servers import S3Server

Host = Callable[[str], Files]
"""The files as a host of that name sees them."""


@pytest.fixture(params=["directory", "bucket"])
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Host:
    if request.param == "directory":
        return lambda _: LocalFiles(tmp_path / "shared")
    settings = request.getfixturevalue("s3_server").settings()
    return lambda name: checkpoint_files(Settings(home=tmp_path / name, **settings))


@pytest.fixture
def files(host: Host) -> Files:
    return host("host-1")


def put(files: Files, name: str, content: bytes) -> str:
    """The content's hash."""
    files.put(name, io.BytesIO(content))
    return hashlib.sha256(content).hexdigest()


def names(files: Files, folder: str = "") -> dict[str, int]:
    """With their sizes."""
    return {entry.name: entry.size for entry in files.entries(folder)}


def test_a_file_can_be_read_on_every_host(host: Host) -> None:
    content = os.urandom(2 * PART_BYTES + 1)
    sha256 = put(host("host-1"), "run/one", content)
    assert host("host-2").has("run/one")
    assert host("host-2").read("run/one") == content
    assert host("host-2").fetch("run/one", sha256).read_bytes() == content


def test_an_empty_file_can_be_stored(files: Files) -> None:
    sha256 = put(files, "run/one", b"")
    assert files.read("run/one") == files.fetch("run/one", sha256).read_bytes() == b""


def test_a_file_that_was_written_in_its_place_is_seen_once_it_is_published(host: Host) -> None:
    here, there = host("host-1"), host("host-2")
    path = here.local_path("run/one")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"state")
    here.publish("run/one")
    assert there.fetch("run/one", None).read_bytes() == b"state"


def test_files_are_listed_by_folder(files: Files) -> None:
    for name, content in {"run/one": b"1", "run/two": b"22", "runner/one": b"333"}.items():
        put(files, name, content)
    assert names(files) == {"run/one": 1, "run/two": 2, "runner/one": 3}
    assert names(files, "run") == {"run/one": 1, "run/two": 2}
    assert all(abs(entry.modified_at - time.time()) < 60 for entry in files.entries())


def test_a_deleted_file_is_gone(files: Files) -> None:
    put(files, "run/one", b"1")
    put(files, "run/two", b"2")
    files.delete("run/one")
    files.delete("run/one")
    assert (files.has("run/one"), names(files)) == (False, {"run/two": 1})
    with pytest.raises(FileMissing, match="run/one"):
        files.read("run/one")
    with pytest.raises(FileMissing, match="run/one"):
        files.fetch("run/one", None)


def test_a_file_is_discarded_only_where_it_has_not_been_put_since(files: Files) -> None:
    put(files, "run/one", b"1")
    assert not files.discard("run/one", time.time() - 60)
    assert files.read("run/one") == b"1"
    assert files.discard("run/one", time.time() + 60)
    assert not files.discard("run/one", time.time() + 60)
    assert names(files) == {}


def test_a_file_of_another_content_is_damaged(files: Files) -> None:
    put(files, "run/one", b"other")
    with pytest.raises(FileDamaged, match="run/one"):
        files.fetch("run/one", hashlib.sha256(b"whole").hexdigest())


def test_a_fresh_file_needs_not_be_put_again(files: Files) -> None:
    assert not files.refresh("run/one")
    put(files, "run/one", b"1")
    assert files.refresh("run/one")


@pytest.mark.parametrize("name", ["../one", "/etc/passwd", "run/../../one", "", "run//one", ".hidden", "run/a b"])
def test_a_name_that_leads_elsewhere_is_of_no_file(files: Files, name: str) -> None:
    with pytest.raises(FileMissing):
        files.local_path(name)


def test_folders_may_vanish_while_they_are_listed(tmp_path: Path) -> None:
    files = LocalFiles(tmp_path)
    for folder in ("one", "two", "three"):
        put(files, f"{folder}/file", b"1")
    listed = files.entries()
    first = next(listed).name.partition("/")[0]
    for folder in {"one", "two", "three"} - {first}:
        shutil.rmtree(tmp_path / folder)
    assert list(listed) == []


# --- a bucket ---------------------------------------------------------------------------------------------------


@pytest.fixture
def bucket(s3_server: S3Server, tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, **s3_server.settings())


def test_what_lies_on_this_machine_is_not_brought_again(bucket: Settings) -> None:
    files = checkpoint_files(bucket)
    sha256 = put(files, "run/one", b"whole")
    path = files.fetch("run/one", sha256)
    written = path.stat().st_ino
    assert files.fetch("run/one", sha256).stat().st_ino == written


def test_a_copy_that_was_damaged_is_brought_again(bucket: Settings) -> None:
    files = checkpoint_files(bucket)
    sha256 = put(files, "run/one", b"whole")
    files.fetch("run/one", sha256).write_bytes(b"torn")
    assert files.fetch("run/one", sha256).read_bytes() == b"whole"


def test_an_object_that_is_not_named_as_files_are_is_none(bucket: Settings) -> None:
    files = checkpoint_files(bucket)
    assert isinstance(files, S3Files)
    for name in ("run/a b", "run/.hidden", "run/one"):
        obstore.put(files._store, name, b"content")
    assert names(files) == {"run/one": 7}


def test_an_object_of_another_content_leaves_no_copy(bucket: Settings) -> None:
    files = checkpoint_files(bucket)
    put(files, "run/one", b"other")
    with pytest.raises(FileDamaged, match="run/one"):
        files.fetch("run/one", hashlib.sha256(b"whole").hexdigest())
    assert list(files.local_path("run").iterdir()) == []


def test_a_put_that_breaks_off_shows_nothing(s3_server: S3Server, bucket: Settings) -> None:
    content = os.urandom(3 * PART_BYTES)
    with proxy(s3_server.port) as way:
        through = checkpoint_files(bucket.model_copy(update={"s3_endpoint": way.url}))
        way.break_after(2 * PART_BYTES)
        with pytest.raises(StoreUnavailable, match="the store of files does not answer"):
            through.put("run/one", io.BytesIO(content))
        assert way.is_down
        assert names(checkpoint_files(bucket)) == {}
        way.mend()
        sha256 = put(through, "run/one", content)
    assert checkpoint_files(bucket).fetch("run/one", sha256).read_bytes() == content


def test_a_download_that_breaks_off_leaves_no_copy(s3_server: S3Server, bucket: Settings) -> None:
    sha256 = put(checkpoint_files(bucket), "run/one", os.urandom(3 * PART_BYTES))
    with proxy(s3_server.port) as way:
        through = checkpoint_files(bucket.model_copy(update={"s3_endpoint": way.url}))
        way.break_after(1000)  # of requests: one or two parts are answered
        with pytest.raises(StoreUnavailable):
            through.fetch("run/one", sha256)
    assert list(checkpoint_files(bucket).local_path("run").iterdir()) == []


def test_a_store_that_does_not_answer_is_told_without_its_key(bucket: Settings) -> None:
    files = checkpoint_files(bucket.model_copy(update={"s3_endpoint": "http://127.0.0.1:9"}))
    with pytest.raises(StoreUnavailable) as told:
        files.has("run/one")
    assert "correct-horse" not in str(told.value)
    assert "\n" not in str(told.value)


def test_a_bucket_that_is_not_there_does_not_answer(bucket: Settings) -> None:
    files = checkpoint_files(bucket.model_copy(update={"store_url": "s3://no-such-bucket"}))
    assert isinstance(files, S3Files)
    for action in (lambda: put(files, "run/one", b""), lambda: files.fetch("run/one", None), lambda: names(files)):
        with pytest.raises(StoreUnavailable, match=r"NoSuchBucket|404"):
            action()


@contextmanager
def answering(*statuses: int) -> Iterator[tuple[str, list[str]]]:
    """The address of a server that answers so, one request after the other, and the requests that came."""
    waiting, came = list(statuses), list[str]()

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            came.append(self.path)
            self.send_response(waiting.pop(0) if len(waiting) > 1 else waiting[0])
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", came
        server.shutdown()
        thread.join()


def test_a_server_that_fails_is_asked_again(bucket: Settings) -> None:
    with answering(500, 503, 404) as (address, came):
        files = checkpoint_files(bucket.model_copy(update={"s3_endpoint": address}))
        assert not files.has("run/one")
    assert len(came) == 3


@pytest.mark.parametrize(("status", "requests"), [(503, MAX_RETRIES + 1), (403, 1)])
def test_a_server_that_goes_on_failing_does_not_answer(bucket: Settings, status: int, requests: int) -> None:
    with answering(status) as (address, came):
        files = checkpoint_files(bucket.model_copy(update={"s3_endpoint": address}))
        with pytest.raises(StoreUnavailable, match=str(status)) as told:
            files.has("run/one")
    assert len(came) == requests
    assert "correct-horse" not in str(told.value)
