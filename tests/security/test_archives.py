"""Archives that were made to write elsewhere, to read elsewhere, or to fill a disk are refused, and leave nothing."""

import gzip
import io
import struct
import tarfile
import zipfile
import zlib

import pytest

from tests.support.api import Service
from tests.support.archives import pictures, tar_gz, zipped

PICTURES = pictures(60)
FIRST = PICTURES["0.png"]


def tar_with(**fields: object) -> bytes:
    """A tar of sixty pictures, and an entry with these fields."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, content in PICTURES.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        hostile = tarfile.TarInfo("x.png")
        for field, value in fields.items():
            setattr(hostile, field, value)
        archive.addfile(hostile, io.BytesIO(FIRST) if hostile.size else None)
    return file.getvalue()


def zip_with(name: str, content: bytes = FIRST, mode: int = 0o100644) -> bytes:
    file = io.BytesIO(zipped(PICTURES))
    with zipfile.ZipFile(file, "a") as archive:
        info = zipfile.ZipInfo(name)
        info.external_attr = mode << 16
        archive.writestr(info, content)
    return file.getvalue()


def overlapping(count: int, size: int) -> bytes:
    """So many entries whose content is the same deflated bytes, of `size` once they are unpacked."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    deflated = packer.compress(bytes(size)) + packer.flush()
    common = (20, 0, 8, 0, 0, zlib.crc32(bytes(size)), len(deflated), size, 5, 0)
    local = struct.pack("<4s5H3L2H", b"PK\3\4", *common) + b"x.png" + deflated
    central = struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, *common, 0, 0, 0, 0, 0) + b"x.png"
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, count * len(central), len(local), 0)
    return local + count * central + end


def at(content: bytes, value: int) -> bytes:
    """A zip whose first entry's local header is said to be elsewhere."""
    where = content.index(b"PK\1\2") + 42
    return content[:where] + struct.pack("<L", value) + content[where + 4 :]


def directory_at(content: bytes, value: int) -> bytes:
    """A zip whose list of entries is said to be elsewhere."""
    where = content.rindex(b"PK\5\6") + 16
    return content[:where] + struct.pack("<L", value) + content[where + 4 :]


def bomb_of_tar() -> bytes:
    """A .tar.gz of one picture of 100 MiB."""
    file = io.BytesIO()
    with gzip.GzipFile(fileobj=file, mode="wb") as packed:
        info = tarfile.TarInfo("x.png")
        info.size = 100 * 1024**2
        packed.write(info.tobuf())
        for _ in range(100):
            packed.write(bytes(1024**2))
    return file.getvalue()


def negative_size() -> bytes:
    """A tar whose last entry has a size below nothing."""
    content = bytearray(tar_with(size=len(FIRST)))
    header = content.rindex(b"x.png\0")
    content[header + 124 : header + 136] = b"\xff" * 11 + b"\x00"  # base 256, two's complement
    content[header + 148 : header + 156] = b" " * 8
    content[header + 148 : header + 156] = b"%06o\0 " % sum(content[header : header + 512])
    return bytes(content)


HOSTILE = {
    "a name that goes up": (zip_with("../x.png"), "leads out"),
    "a name that goes up further in": (zip_with("a/../../x.png"), "leads out"),
    "an absolute name": (zip_with("/etc/x.png"), "leads out"),
    "a drive": (zip_with("C:x.png"), "leads out"),
    "backslashes": (zip_with("..\\x.png"), "leads out"),
    "a link": (zip_with("x.png", b"/etc/passwd", 0o120777), "is a link"),
    "a name that goes up, in a tar": (tar_with(name="../x.png", size=len(FIRST)), "leads out"),
    "an absolute name in a tar": (tar_with(name="/etc/x.png", size=len(FIRST)), "leads out"),
    "a symbolic link": (tar_with(type=tarfile.SYMTYPE, linkname="/etc/passwd"), "is a link"),
    "a hard link": (tar_with(type=tarfile.LNKTYPE, linkname="0.png"), "is a link"),
    "a character device": (tar_with(type=tarfile.CHRTYPE, devmajor=1, devminor=5), "is a link or no ordinary file"),
    "a block device": (tar_with(type=tarfile.BLKTYPE, devmajor=8), "is a link or no ordinary file"),
    "a pipe": (tar_with(type=tarfile.FIFOTYPE), "is a link or no ordinary file"),
    "a size below nothing": (negative_size(), "is no picture"),
    "an offset beyond the end": (at(zipped(PICTURES), 2**31), "damaged"),
    "an offset into itself": (at(zipped(PICTURES), 7), "damaged"),
    "a directory beyond the end": (directory_at(zipped(PICTURES), 2**31), "damaged"),
    "entries that overlap": (overlapping(1000, 1024**2), "unpacks to more than 200 times its size"),
    "a bomb": (overlapping(1, 120 * 1024**2), "unpacks to more than 200 times its size"),
    "a bomb in a tar": (bomb_of_tar(), "unpacks to more than 200 times its size"),
    "an archive in an archive": (zipped(PICTURES | {"x.zip": zipped(PICTURES)}), "itself an archive"),
    "a tar in a zip": (zipped(PICTURES | {"x.tar.gz": tar_gz(PICTURES)}), "itself an archive"),
}


@pytest.mark.parametrize(("content", "words"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_archive_is_refused_by_name_and_leaves_nothing(
    sqlite_service: Service, content: bytes, words: str
) -> None:
    answer = sqlite_service.client.post("/v1/uploads", files={"file": content})
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json"), answer.text
    (problem,) = answer.json()["errors"]
    assert problem["field"] == "file"
    assert any(part in problem["message"] for part in words.split("|")), problem["message"]
    home = sqlite_service.settings.home
    assert [path for path in home.rglob("*") if path.is_file() and not path.name.startswith("ganclinic.db")] == []


def test_what_is_not_hostile_of_these_is_taken(sqlite_service: Service) -> None:
    for content in (zip_with("x.png"), tar_with(size=len(FIRST))):
        assert sqlite_service.client.post("/v1/uploads", files={"file": content}).status_code == 201
