import hashlib
import resource
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from store.core.errors import ArtifactNotFound, DiskFull
from store.files.artifacts import LocalArtifacts


def files(root: Path) -> list[Path]:
    return [path.relative_to(root) for path in root.rglob("*") if path.is_file()]


def test_a_file_is_named_by_the_hash_of_its_content(tmp_path: Path) -> None:
    artifacts = LocalArtifacts(tmp_path)
    stored = artifacts.put(b"picture", "image/png")
    sha256 = hashlib.sha256(b"picture").hexdigest()
    assert (stored.sha256, stored.size, stored.media_type) == (sha256, 7, "image/png")
    assert artifacts.get(sha256) == b"picture"
    assert files(tmp_path) == [Path(sha256[:2], sha256[2:])]
    assert artifacts.path(sha256) == tmp_path / sha256[:2] / sha256[2:]


def test_the_same_content_is_stored_once(tmp_path: Path) -> None:
    artifacts = LocalArtifacts(tmp_path)
    first = artifacts.put(b"picture", "image/png")
    written = artifacts.path(first.sha256).stat().st_ino
    assert artifacts.put(b"picture", "image/png") == first
    assert artifacts.path(first.sha256).stat().st_ino == written


def test_an_empty_file_can_be_stored(tmp_path: Path) -> None:
    artifacts = LocalArtifacts(tmp_path)
    assert artifacts.get(artifacts.put(b"", "text/plain").sha256) == b""


@pytest.mark.parametrize("sha256", ["ab" * 32, "", "ab", "..", "../../../etc/passwd", "nul\0"])
def test_a_hash_that_names_nothing_is_not_found(tmp_path: Path, sha256: str) -> None:
    with pytest.raises(ArtifactNotFound):
        LocalArtifacts(tmp_path).get(sha256)


@contextmanager
def full_disk() -> Iterator[None]:
    """No file can grow beyond 1,000 bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_named_and_a_write_that_fails_leaves_no_file(tmp_path: Path) -> None:
    artifacts = LocalArtifacts(tmp_path)
    content = bytes(5000)
    with full_disk(), pytest.raises(DiskFull, match=rf"no room for a file in '{tmp_path}/.*' \(File too large\)"):
        artifacts.put(content, "image/png")
    assert files(tmp_path) == []
    assert artifacts.get(artifacts.put(content, "image/png").sha256) == content


def test_readers_never_see_half_a_file(tmp_path: Path) -> None:
    artifacts = LocalArtifacts(tmp_path)
    contents = [bytes([number]) * 200_000 for number in range(8)]
    hashes = [hashlib.sha256(content).hexdigest() for content in contents]

    def write(content: bytes) -> None:
        artifacts.put(content, "application/octet-stream")

    def read(number: int) -> bool:
        while True:
            try:
                return artifacts.get(hashes[number]) == contents[number]
            except ArtifactNotFound:
                continue

    with ThreadPoolExecutor(12) as pool:
        readers = [pool.submit(read, number) for number in range(8)]
        list(pool.map(write, contents * 2))
        assert all(reader.result() for reader in readers)
    assert len(files(tmp_path)) == len(contents)


def test_a_large_file_is_stored_as_its_content_would_be(tmp_path: Path) -> None:
    artifacts = LocalArtifacts(tmp_path / "artifacts")
    content = bytes(range(256)) * 20_000
    with (tmp_path / "upload").open("w+b") as upload:
        upload.write(content)
        stored = artifacts.put_file(upload, "application/octet-stream")
        assert artifacts.put_file(upload, "application/octet-stream") == stored
    assert stored == artifacts.put(content, "application/octet-stream")
    assert artifacts.get(stored.sha256) == content
    assert len(files(tmp_path / "artifacts")) == 1


def test_a_file_that_cannot_be_stored_leaves_nothing(tmp_path: Path) -> None:
    artifacts = LocalArtifacts(tmp_path / "artifacts")
    with (tmp_path / "upload").open("w+b") as upload:
        upload.write(bytes(5000))
        with full_disk(), pytest.raises(DiskFull, match="File too large"):
            artifacts.put_file(upload, "application/octet-stream")
    assert files(tmp_path / "artifacts") == []
