"""Named files in a bucket of an S3-compatible store, with copies on this machine of what was needed here."""

import hashlib
import re
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store
from pydantic import SecretStr
from typing_extensions import override

from store.core.errors import FileDamaged, FileMissing, StoreUnavailable
from store.files.local import NAME, Files, LocalFiles, StoredFile, delete_with_folder, hash_of_file, replacing

PART_BYTES = 8 * 1024 * 1024  # of an upload or download; S3 takes 10,000 parts: files up to 80 GB
PARTS_AT_ONCE = 2
CONNECT_TIMEOUT = timedelta(seconds=5)
REQUEST_TIMEOUT = timedelta(seconds=60)  # of one part: 8 MiB at 1.1 Mbit/s
MAX_RETRIES = 4
RETRY_TIMEOUT = timedelta(seconds=15)  # who waits longer than for this many retries waits above
FIRST_BACKOFF = timedelta(milliseconds=200)
LONGEST_BACKOFF = timedelta(seconds=4)
FRESH = timedelta(minutes=10)
"""A file that was put less long ago is not put again by `refresh`. Far shorter than any grace of `discard`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """Where the files lie, and how one gets in."""

    url: str
    """`s3://bucket/prefix`; the prefix may be missing."""
    endpoint: str | None
    """`https://…`; None: Amazon's."""
    region: str
    path_style: bool
    """`endpoint/bucket/…` instead of `bucket.endpoint/…`."""
    access_key: str
    secret_key: SecretStr

    def folder(self, name: str) -> S3Store:
        """The files under `prefix/name`."""
        parts = urlsplit(self.url)
        config = {
            "region": self.region,
            "access_key_id": self.access_key,
            "secret_access_key": self.secret_key.get_secret_value(),
            "virtual_hosted_style_request": not self.path_style,
        }
        if self.endpoint is not None:
            config["endpoint"] = self.endpoint
        return S3Store(
            parts.netloc,
            prefix="/".join(part for part in (parts.path.strip("/"), name) if part),
            config=config,  # pyright: ignore[reportArgumentType]  a TypedDict of these names
            client_options={
                "allow_http": (self.endpoint or "").startswith("http://"),
                "connect_timeout": CONNECT_TIMEOUT,
                "timeout": REQUEST_TIMEOUT,
            },
            retry_config={
                "max_retries": MAX_RETRIES,
                "retry_timeout": RETRY_TIMEOUT,
                "backoff": {"init_backoff": FIRST_BACKOFF, "max_backoff": LONGEST_BACKOFF, "base": 2},
            },
        )


class S3Files(Files):
    """Files in a folder of a bucket. An object appears when all of it has arrived; none is ever changed in part."""

    def __init__(self, store: S3Store, copies: Path) -> None:
        """`copies`: directory of this machine's copies, laid out as the bucket is."""
        self._store, self._copies, self._local = store, copies, LocalFiles(copies)

    @override
    def put(self, name: str, content: BinaryIO) -> None:
        with _translated(name, missing_is_bucket=True):
            # In parts where it is large, which become an object together: no more than a few are in memory.
            obstore.put(self._store, name, content, chunk_size=PART_BYTES, max_concurrency=PARTS_AT_ONCE)

    @override
    def publish(self, name: str) -> None:
        with self.local_path(name).open("rb") as file:
            self.put(name, file)

    @override
    def refresh(self, name: str) -> bool:
        """As there; an object that is not fresh is put again by whoever asks."""
        with _translated(name):
            try:
                found = obstore.head(self._store, name)
            except FileNotFoundError:
                return False
        return found["last_modified"].timestamp() > time.time() - FRESH.total_seconds()

    @override
    def has(self, name: str) -> bool:
        with _translated(name):
            try:
                obstore.head(self._store, name)
            except FileNotFoundError:
                return False
            return True

    @override
    def read(self, name: str) -> bytes:
        with _translated(name):
            return bytes(obstore.get(self._store, name).bytes())

    @override
    def fetch(self, name: str, sha256: str | None) -> Path:
        """As there; a copy that is here and whole is taken as it is."""
        path = self.local_path(name)
        if path.exists() and (sha256 is None or hash_of_file(path) == sha256):
            return path
        with _translated(name):
            # Not HEAD, whose answer has no body: a bucket that is not there would look like a file that is not.
            size = obstore.get(self._store, name).meta["size"]
        with replacing(path) as file:
            found = self._download(name, size, file)
            if sha256 is not None and found != sha256:
                raise FileDamaged(name)
        return path

    def _download(self, name: str, size: int, file: BinaryIO) -> str:
        """Writes the object part by part, each tried again by itself; the content's hash."""
        digest = hashlib.sha256()
        for start in range(0, size, PART_BYTES):
            with _translated(name):
                part = obstore.get_range(self._store, name, start=start, end=min(start + PART_BYTES, size))
            file.write(part)
            digest.update(part)
        return digest.hexdigest()

    @override
    def local_path(self, name: str) -> Path:
        return self._local.local_path(name)

    @override
    def delete(self, name: str) -> None:
        """As there; the copies of other machines stay until they are collected there."""
        with _translated(name):
            obstore.delete(self._store, name)
        self._local.delete(name)

    @override
    def discard(self, name: str, before: float) -> bool:
        """As `Files`; a writer that puts it again in the few ms between look and deletion loses it."""
        with _translated(name):
            try:
                found = obstore.head(self._store, name)
            except FileNotFoundError:
                return False
        if found["last_modified"].timestamp() >= before:
            return False
        self.delete(name)
        return True

    @override
    def entries(self, folder: str = "") -> Iterator[StoredFile]:
        with _translated(folder):
            for page in obstore.list(self._store, prefix=folder or None):
                for found in page:
                    if NAME.fullmatch(found["path"]) is None:
                        continue
                    modified_at = found["last_modified"].timestamp()
                    yield StoredFile(name=found["path"], size=found["size"], modified_at=modified_at)

    @override
    def sweep(self, before: float, spared: Collection[str] = (), ours: re.Pattern[str] = NAME) -> None:
        self._local.sweep(before, spared, ours)
        local = self._local.entries()
        copies = [copy for copy in local if copy.modified_at < before and ours.fullmatch(copy.name)]
        stored = {entry.name for entry in self.entries()} if copies else set[str]()
        for copy in copies:
            if copy.name not in stored and copy.name.partition("/")[0] not in spared:
                delete_with_folder(self.local_path(copy.name), self._copies)


@contextmanager
def _translated(name: str, *, missing_is_bucket: bool = False) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        if missing_is_bucket or "NoSuchBucket" in str(error):
            raise StoreUnavailable(_first_line(error)) from None
        raise FileMissing(name) from None
    except (BaseError, PermissionError, ConnectionError, TimeoutError) as error:
        raise StoreUnavailable(_first_line(error)) from None


def _first_line(error: Exception) -> str:
    """Without the driver's inner values, which fill a page."""
    return f"the store of files does not answer: {str(error).splitlines()[0]:.500}"
