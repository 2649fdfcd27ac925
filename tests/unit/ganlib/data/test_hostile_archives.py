"""Files that lie, or that are made to harm."""

import gzip
import io
import struct
import tarfile
import time
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ganlib.data.archives import InvalidUpload, Limits
from tests.support.sample_files import GIB, PICTURES, PIXELS, npy, read, refused, tar_gz, tarred, zipped


@pytest.mark.parametrize("name", ["../x.png", "a/../../x.png", "/etc/x.png", "C:/x.png", "..\\x.png", "C:\\x.png"])
@pytest.mark.parametrize("pack", [zipped, tarred])
def test_no_entry_leads_out_of_its_archive(pack: Callable[[dict[str, bytes]], bytes], name: str) -> None:
    refused(pack({**PICTURES, name: PICTURES["0.png"]}), "leads out of the archive")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_a_tar_with_a_link_or_a_device_is_refused(kind: bytes) -> None:
    file = io.BytesIO(tarred(PICTURES))
    with tarfile.open(fileobj=file, mode="a") as archive:
        link = tarfile.TarInfo("link.png")
        link.type, link.linkname = kind, "/etc/passwd"
        archive.addfile(link)
    refused(file.getvalue(), "'link.png' is a link or no ordinary file")


def test_a_zip_with_a_link_is_refused() -> None:
    file = io.BytesIO(zipped(PICTURES))
    with zipfile.ZipFile(file, "a") as archive:
        link = zipfile.ZipInfo("link.png")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    refused(file.getvalue(), "'link.png' is a link")


def test_an_encrypted_or_unusual_zip_is_refused() -> None:
    content = bytearray(zipped(PICTURES))
    content[content.index(b"PK\1\2") + 8] |= 1
    refused(bytes(content), "'0.png' is encrypted")
    refused(zipped(PICTURES, compression=zipfile.ZIP_LZMA), "unusual way")


def header_of(shape: tuple[int, ...], dtype: str = "|u1") -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": shape})
    return file.getvalue()


@pytest.mark.parametrize("shape", [(10 * GIB, 1), (10_000, 1024, 1024), (2**62, 2**62, 2**62), (2**64, 3)])
def test_an_array_that_claims_to_be_huge_is_refused_by_its_header(shape: tuple[int, ...]) -> None:
    for content in (header_of(shape), zipped({"samples.npy": header_of(shape)})):
        refused(content, r"unpacks to [\d,]+ bytes; allowed: 2,147,483,648")


def test_an_array_that_is_cut_off_or_goes_on_is_refused() -> None:
    whole = npy(PIXELS)
    for content in (whole[:-1], whole + b"\0", whole + whole):
        refused(content, f"has {len(content)} bytes, its header says {len(whole)}")
        refused(zipped({"x.npy": content}), "its header says")


@pytest.mark.parametrize(
    "header",
    [
        b"{" * 500,
        b"(" * 5000,
        b"__import__('os').getcwd()",
        b"{'descr': '|u1', 'fortran_order': False, 'shape': (-3, 4)}",
        b"{'descr': '|u1', 'fortran_order': False, 'shape': 'x'}",
        b"{'descr': '|u1', 'fortran_order': False, 'shape': (3.5, 4)}",
        b"{'descr': [('a', '|O')], 'fortran_order': False, 'shape': (3, 4)}",
        b"{'descr': 'nonsense', 'fortran_order': False, 'shape': (3, 4)}",
        b"\xff" * 50,
        b" " * 60_000,
    ],
)
def test_a_header_that_is_no_header_is_refused(header: bytes) -> None:
    refused(MAGIC_1_0 + struct.pack("<H", len(header)) + header + bytes(100), ".")


MAGIC_1_0 = b"\x93NUMPY\x01\x00"


def test_a_header_that_never_ends_is_refused() -> None:
    refused(b"\x93NUMPY\x02\x00" + struct.pack("<L", 2**32 - 1) + b" " * 1_000_000, "header that is not NumPy's")
    refused(b"\x93NUMPY\x03\x00" + bytes(100), "columns with names")
    refused(b"\x93NUMPY\x09\x00" + bytes(100), "columns with names")


def zeros_zipped(name: str, size: int, start: bytes = b"") -> bytes:
    file = io.BytesIO()
    with (
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open(name, "w", force_zip64=True) as entry,
    ):
        entry.write(start)
        for _ in range(size // 2**20):
            entry.write(bytes(2**20))
    return file.getvalue()


def zeros_in_tar_gz(size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    info = tarfile.TarInfo("zeros.png")
    info.size, info.type = size, kind
    file = io.BytesIO()
    with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=9) as archive:
        archive.write(info.tobuf())
        for _ in range(size // 2**20):
            archive.write(bytes(2**20))
    return file.getvalue()


@contextmanager
def frugal() -> Iterator[None]:
    """What is inside ends quickly and takes little memory."""
    tracemalloc.start()
    started_at = time.process_time()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 32 * 2**20
    assert time.process_time() - started_at < 5


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (zeros_zipped("x.png", 70 * 2**20, b"\x89PNG"), "more than 200 times its size"),
        (zeros_zipped("samples.npy", 70 * 2**20, header_of((100, 512, 1024))), "more than 200 times its size"),
        (zeros_in_tar_gz(70 * 2**20), "more than 200 times its size"),
        (zeros_in_tar_gz(70 * 2**20, tarfile.XHDTYPE), "more than 200 times its size"),
        (zeros_in_tar_gz(70 * 2**20, tarfile.GNUTYPE_LONGNAME), "more than 200 times its size"),
    ],
)
def test_a_small_file_that_unpacks_to_a_large_one_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    with frugal():
        refused(content, words, Limits(scratch=tmp_path))
        refused(content, "unpacks to", Limits(unpacked_bytes=30 * 2**20, scratch=tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_tar_that_claims_to_be_huge_is_refused() -> None:
    for kind in (tarfile.REGTYPE, tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK):
        info = tarfile.TarInfo("x.png")
        info.size, info.type = 10 * GIB, kind
        for content in (info.tobuf(tarfile.GNU_FORMAT), gzip.compress(info.tobuf(tarfile.GNU_FORMAT))):
            with frugal():
                refused(content, ".")


def test_a_tar_of_nothing_but_headers_of_headers_is_refused() -> None:
    info = tarfile.TarInfo("x")
    info.size, info.type = 0, tarfile.GNUTYPE_LONGNAME
    refused(info.tobuf() * 5000, "damaged")


def test_a_picture_that_claims_to_be_huge_is_refused() -> None:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">L", len(content)) + kind + content + struct.pack(">L", zlib.crc32(kind + content))

    for width, words in ((5000, "has 5000 x 5000 pixels; allowed: 16,777,216"), (60_000, "'x' ")):
        size = struct.pack(">LLBBBBB", width, width, 8, 0, 0, 0, 0)
        png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", b"")
        with frugal():
            refused(zipped({**PICTURES, "x": png}), words)


def test_more_entries_than_allowed_are_refused_before_they_are_read() -> None:
    refused(zipped({str(number): b"" for number in range(12)}), "has more than 10 entries", Limits(entries=10))
    entries = {str(number): PICTURES["0.png"] for number in range(12)}
    for pack in (zipped, tarred, tar_gz):
        refused(pack(entries), "has more than 10 entries", Limits(entries=10))
        refused(pack(entries), "holds 12 samples", Limits(entries=12))


def test_a_zip_that_lies_about_its_number_of_entries_is_counted() -> None:
    content = bytearray(zipped({str(number): b"" for number in range(12)}))
    end = content.rindex(b"PK\5\6")
    content[end + 8 : end + 12] = struct.pack("<HH", 1, 1)
    refused(bytes(content), "has more than 10 entries", Limits(entries=10))


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    whole=st.sampled_from(
        [npy(PIXELS), zipped({"a.npy": npy(PIXELS)}), zipped(PICTURES), tarred(PICTURES), tar_gz(PICTURES)]
    ),
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=4),
    kept=st.floats(0.5, 1),
)
def test_a_damaged_file_is_read_or_refused(whole: bytes, changes: list[tuple[float, int]], kept: float) -> None:
    content = bytearray(whole)
    for where, value in changes:
        content[int(where * len(content))] = value
    with suppress(InvalidUpload):
        assert read(bytes(content[: int(kept * len(content)) + 1])).ndim >= 2
