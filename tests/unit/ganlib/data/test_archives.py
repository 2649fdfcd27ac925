import gzip
import io
import struct
import tarfile
import tempfile
import time
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ganlib.data.archives import DifferentSizes, InvalidUpload, Limits, ReadSamples, read_samples, save_npy
from ganlib.data.resize import cut

LIMITS = Limits(min_samples=2)
GIB = 1024**3


def bytes_of(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def npy(array: np.ndarray, **options: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def picture(pixels: np.ndarray, format: str = "PNG", mode: str | None = None) -> bytes:
    file = io.BytesIO()
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(file, format=format)
    return file.getvalue()


PICTURES = {f"{number}.png": picture(bytes_of(number, 4, 5)) for number in range(3)}
PIXELS = np.stack([bytes_of(number, 4, 5) for number in range(3)])[:, None]


def zipped(entries: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return file.getvalue()


def tarred(entries: dict[str, bytes], mode: Any = "w") -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:
        for name, content in entries.items():
            info = tarfile.TarInfo(name)
            info.size, info.type = len(content), tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def tar_gz(entries: dict[str, bytes]) -> bytes:
    return tarred(entries, "w:gz")


def read_all(content: bytes, limits: Limits = LIMITS, image_size: int | None = None) -> ReadSamples:
    with tempfile.TemporaryFile() as file:
        file.write(content)
        return read_samples(file, limits, image_size)


def read(content: bytes) -> np.ndarray:
    return np.array(read_all(content).array)


def refused(content: bytes, words: str, limits: Limits = LIMITS) -> None:
    with pytest.raises(InvalidUpload, match=words):
        read_all(content, limits)


# --- arrays -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", ">f4"])
@pytest.mark.parametrize("shape", [(5, 3), (5, 2, 3), (5, 1, 4, 4)])
def test_floats_are_taken_as_they_are(tmp_path: Path, dtype: str, shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    (tmp_path / "x").write_bytes(npy(array))
    samples = read_samples(tmp_path / "x", LIMITS)
    assert (samples.labels, samples.class_names, samples.shape) == (None, (), shape[1:])
    assert np.array_equal(samples.array, array)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((6, 4, 5), (6, 1, 4, 5)),
        ((6, 4, 5, 1), (6, 1, 4, 5)),
        ((6, 4, 5, 3), (6, 3, 4, 5)),
        ((6, 1, 4, 5), (6, 1, 4, 5)),
        ((6, 3, 4, 5), (6, 3, 4, 5)),
        ((6, 2, 2, 3), (6, 3, 2, 2)),
    ],
)
def test_bytes_are_images_with_their_channels_second(shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    array = bytes_of(0, *shape)
    found = read(npy(array))
    assert found.shape == expected
    assert np.array_equal(
        found[2],
        array[2].reshape(expected[1:]) if shape[1:] == expected[1:] or array.ndim == 3 else array[2].transpose(2, 0, 1),
    )


@pytest.mark.parametrize("shape", [(6, 3, 4, 3), (6, 1, 4, 1), (6, 1, 4, 3), (6, 3, 3, 3)])
def test_images_whose_channels_could_be_on_either_side_are_refused(shape: tuple[int, ...]) -> None:
    refused(npy(bytes_of(0, *shape)), "both the second and the last axis could be channels")


def test_a_fortran_array_is_read_in_its_own_order() -> None:
    array = np.asfortranarray(bytes_of(0, 7, 4, 5))
    assert np.array_equal(read(npy(array))[:, 0], array)


@pytest.mark.parametrize("name", ["samples", "images", "features", "anything"])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_an_npz_gives_its_one_array(name: str, save: Callable[..., None]) -> None:
    file = io.BytesIO()
    array = bytes_of(0, 6, 4, 5)
    save(file, **{name: array})
    assert np.array_equal(read(file.getvalue())[:, 0], array)


def test_an_npz_with_several_arrays_gives_the_one_that_is_named() -> None:
    file = io.BytesIO()
    features = np.eye(6, dtype=np.float32)
    np.savez(file, labels=np.arange(6), features=features)
    assert np.array_equal(read(file.getvalue()), features)
    file = io.BytesIO()
    np.savez(file, a=features, b=features)
    refused(file.getvalue(), "holds the arrays 'a', 'b'; save one, or call one of them samples or images or features")
    file = io.BytesIO()
    np.savez(file, images=features, features=features)
    refused(file.getvalue(), "save one")


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.array([{}, [], None], dtype=object), "never unpickled"),
        (np.ones((5, 2), complex), "complex128; save pixels as uint8"),
        (np.array([["a"], ["b"]]), "type <U1"),
        (np.array([[b"a"], [b"b"]]), r"type \|S1"),
        (np.arange(10).reshape(5, 2), "int64; save pixels as uint8"),
        (np.eye(4, dtype=bool), "bool"),
        (np.zeros(4, dtype=[("a", "f4"), ("b", "u1")]), "save pixels as uint8"),
        (np.zeros((4, 2), "M8[s]"), "datetime64"),
        (np.float32(3.0), r"shape \[\]"),
        (np.ones(7, np.float32), r"shape \[7\]"),
        (np.ones((0, 7), np.float32), "holds no value"),
        (np.ones((7, 0), np.float32), "holds no value"),
        (np.ones((5, 6), np.uint8), "features have to be float32"),
        (np.ones((5, 2, 2, 2, 2), np.uint8), "no images"),
        (np.ones((5, 4, 4, 4), np.uint8), "no axis has 1 or 3 channels; leave out others, such as alpha"),
        (np.ones((1, 7), np.float32), "holds 1 samples; at least 2"),
        (np.ones((4, 7), np.float32), "all samples are equal"),
        (np.full((4, 7, 7), 9, np.uint8), "all samples are equal"),
        (np.array([[0.0], [1.0], [np.nan]]), r"sample 2 \(from 0\) has a value that is not finite"),
        (np.array([[0.0], [np.inf], [1.0]]), "sample 1"),
        (np.array([[0.0], [1e300], [1.0]]), "sample 1"),
    ],
)
def test_an_array_that_holds_no_samples_is_refused(array: np.ndarray, words: str) -> None:
    refused(npy(array), words)


def test_nothing_is_ever_unpickled(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "sprung",)

    array = np.array([Trap(), Trap()], dtype=object)
    refused(npy(array, allow_pickle=True), "never unpickled")
    refused(zipped({"samples.npy": npy(array, allow_pickle=True)}), "never unpickled")
    assert not (tmp_path / "sprung").exists()


# --- what is stored ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "array", [bytes_of(0, 70, 5, 4, 3), np.random.default_rng(0).normal(size=(70, 3)).astype(">f8")]
)
def test_what_is_stored_is_the_same_samples(tmp_path: Path, array: np.ndarray) -> None:
    samples = read_all(npy(array), Limits())
    with (tmp_path / "stored.npy").open("wb") as file:
        save_npy(samples.array, file)
    stored = np.load(tmp_path / "stored.npy", allow_pickle=False)
    assert stored.flags.c_contiguous
    assert stored.dtype == (np.uint8 if array.dtype == np.uint8 else np.float32)
    assert np.array_equal(stored, array.transpose(0, 3, 1, 2) if array.ndim == 4 else array.astype(np.float32))


def test_equal_samples_are_stored_as_equal_files_however_they_came() -> None:
    files = [io.BytesIO() for _ in range(4)]
    for content, file in zip(
        [npy(PIXELS), npy(np.asfortranarray(PIXELS)), zipped(PICTURES), tar_gz(PICTURES)], files, strict=True
    ):
        save_npy(read_all(content).array, file)
    assert len({file.getvalue() for file in files}) == 1


# --- pictures ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pack", [zipped, tarred, tar_gz])
def test_pictures_of_an_archive_are_read_in_its_order(pack: Callable[[dict[str, bytes]], bytes]) -> None:
    samples = read_all(pack(PICTURES))
    assert np.array_equal(samples.array, PIXELS)
    assert samples.labels is None


@pytest.mark.parametrize("pack", [zipped, tarred, tar_gz])
def test_folders_name_classes(pack: Callable[[dict[str, bytes]], bytes]) -> None:
    names = ("data/cat/1.png", "data/ant/2.png", "./data/cat/3.png")
    samples = read_all(pack(dict(zip(names, PICTURES.values(), strict=True))))
    assert samples.class_names == ("ant", "cat")
    assert samples.labels is not None
    assert samples.labels.tolist() == [1, 0, 1]


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_what_systems_leave_in_archives_is_skipped(pack: Callable[[dict[str, bytes]], bytes]) -> None:
    extras = {"__MACOSX/._0.png": b"x", ".DS_Store": b"x", "a/.hidden/0.png": b"x", "folder/": b""}
    assert read(pack({**extras, **PICTURES})).shape == (3, 1, 4, 5)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "BMP", "WEBP"])
def test_every_format_is_read(format: str) -> None:
    entries = {f"{number}.x": picture(bytes_of(number, 8, 8, 3), format) for number in range(3)}
    assert read(zipped(entries)).shape == (3, 3, 8, 8)


@pytest.mark.parametrize(("mode", "channels"), [("1", 1), ("L", 1), ("LA", 1), ("RGB", 3), ("RGBA", 3), ("P", 3)])
def test_pictures_of_every_mode_become_grey_or_coloured(mode: str, channels: int) -> None:
    pixels = [bytes_of(number, 8, 8, 3) for number in range(2)]
    entries = {f"{number}.png": picture(pixels[number], mode=mode) for number in range(2)}
    found = read(zipped(entries))
    assert found.shape == (2, channels, 8, 8)
    if mode in {"RGB", "RGBA"}:
        assert np.array_equal(found[1], pixels[1].transpose(2, 0, 1))


def test_the_first_picture_that_differs_is_named() -> None:
    wider = {**PICTURES, "a/wide.png": picture(bytes_of(0, 4, 6)), "later.png": b"nothing"}
    refused(zipped(wider), r"'a/wide.png' is 6 x 4 pixels, grey, '0.png' is 5 x 4 pixels, grey; all pictures need")
    refused(tarred({**PICTURES, "c.png": picture(bytes_of(0, 4, 5, 3))}), "'c.png' is 5 x 4 pixels, coloured")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"name,label", "'x' is no picture"),
        (picture(bytes_of(0, 4, 5), "GIF"), "'x' is no picture"),
        (PICTURES["0.png"][:60], "'x' is a damaged picture"),
        (zipped(PICTURES), "'x' is itself an archive"),
        (npy(PIXELS), "'x' is itself an archive or an array"),
        (tar_gz(PICTURES), "'x' is itself an archive"),
    ],
)
def test_an_entry_that_is_no_picture_is_named(content: bytes, words: str) -> None:
    for pack in (zipped, tarred):
        refused(pack({**PICTURES, "x": content}), words)


def test_an_animation_is_refused() -> None:
    file = io.BytesIO()
    frames = [Image.fromarray(bytes_of(number, 4, 5)) for number in range(2)]
    frames[0].save(file, format="PNG", save_all=True, append_images=frames[1:])
    refused(zipped({**PICTURES, "x.png": file.getvalue()}), "'x.png' is animated")


def test_an_archive_without_pictures_is_refused() -> None:
    for content in (zipped({}), tar_gz({}), tarred({".hidden": b"x"}), zipped({"__MACOSX/x": b""})):
        refused(content, "holds no pictures")


@pytest.mark.parametrize("zipped_file", [True, False])
def test_a_file_of_torch_is_told_from_other_archives(zipped_file: bool) -> None:
    file = io.BytesIO()
    torch.save(torch.zeros(60, 1, 4, 4), file, _use_new_zipfile_serialization=zipped_file)
    refused(file.getvalue(), r"what torch\.save .*numpy\.save\('samples\.npy', tensor\.numpy\(\)\)")


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", b"hello" * 200, b"\x80\x04\x95", b"BZh9"])
def test_any_other_file_is_refused(content: bytes) -> None:
    refused(content, r"is not one of the files that are read: \.npy, \.npz, \.zip, \.tar and \.tar\.gz")


def test_the_name_of_a_file_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "samples.npy").write_bytes(zipped(PICTURES))
    assert read_samples(tmp_path / "samples.npy", LIMITS).shape == (1, 4, 5)


# --- hostile files ----------------------------------------------------------------------------------------------


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


# --- cut to one size --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pack", [zipped, tarred, tar_gz])
def test_pictures_of_any_size_are_cut_to_the_one_that_is_asked_for(pack: Callable[[dict[str, bytes]], bytes]) -> None:
    sizes = [(4, 5), (9, 9), (20, 12)]
    images = [bytes_of(number, *size) for number, size in enumerate(sizes)]
    content = pack({f"{number}.png": picture(image) for number, image in enumerate(images)})
    with pytest.raises(DifferentSizes, match=r"'1\.png' is 9 x 9 pixels, grey, '0\.png' is 5 x 4 pixels, grey"):
        read_all(content)
    array = read_all(content, image_size=8).array
    assert (array == np.concatenate([cut(image[None, None], crop=True, side=8) for image in images])).all()


def test_colours_have_to_be_the_same_whatever_the_size() -> None:
    content = zipped({"a.png": picture(bytes_of(0, 4, 4)), "b.png": picture(bytes_of(1, 6, 6, 3))})
    with pytest.raises(InvalidUpload, match="all pictures need the same colours") as refused:
        read_all(content, image_size=8)
    assert not isinstance(refused.value, DifferentSizes)


def test_what_grows_too_large_by_resizing_is_refused() -> None:
    images = npy(bytes_of(0, 100, 4, 4))
    assert read_all(images, image_size=8).shape == (1, 8, 8)
    with pytest.raises(InvalidUpload, match="unpacks to 1,638,400 bytes; allowed: 1,000,000"):
        read_all(images, Limits(min_samples=2, unpacked_bytes=1_000_000), image_size=128)
    with pytest.raises(InvalidUpload, match="unpacks to"):
        read_all(zipped(PICTURES), Limits(min_samples=2, unpacked_bytes=30_000), image_size=128)


# --- what a viewer shows ----------------------------------------------------------------------------------------


def encoded(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format=form, **options)
    return file.getvalue()


def read_pictures(*contents: bytes, **options: Any) -> np.ndarray:
    packed = zipped({f"{number}.png": content for number, content in enumerate(contents)})
    return np.asarray(read_samples(io.BytesIO(packed), Limits(min_samples=2), **options).array)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_as_its_exif_says(orientation: int) -> None:
    pixels = np.arange(0, 240, 10, dtype=np.uint8).reshape(4, 6)
    exif = Image.Exif()
    exif[0x0112] = orientation
    shown = {1: pixels, 2: pixels[:, ::-1], 3: pixels[::-1, ::-1], 4: pixels[::-1], 5: pixels.T}
    shown |= {6: np.rot90(pixels, -1), 7: pixels[::-1, ::-1].T, 8: np.rot90(pixels)}
    content = encoded(Image.fromarray(pixels), exif=exif)
    other = encoded(Image.fromarray(np.ascontiguousarray(shown[orientation]) // 2))
    assert np.array_equal(read_pictures(content, other)[0, 0], shown[orientation])


def test_what_is_transparent_is_white_and_its_hidden_colour_is_gone() -> None:
    hidden = np.zeros((4, 4, 4), np.uint8)
    hidden[..., 0] = 200  # red, and seen nowhere
    hidden[:2, :, 3] = 255
    half = hidden.copy()
    half[..., 3] = 128
    first, second = read_pictures(encoded(Image.fromarray(hidden)), encoded(Image.fromarray(half)))
    assert first[:, 0, 0].tolist() == [200, 0, 0]
    assert first[:, 3, 0].tolist() == [255, 255, 255]
    assert second[:, 0, 0] == pytest.approx([227, 127, 127], abs=1)
    grey = np.stack([np.full((4, 4), 50, np.uint8), np.eye(4, dtype=np.uint8) * 255], axis=2)
    blank = np.stack([np.full((4, 4), 50, np.uint8), np.zeros((4, 4), np.uint8)], axis=2)
    shown = read_pictures(encoded(Image.fromarray(grey, "LA")), encoded(Image.fromarray(blank, "LA")))
    assert shown.shape == (2, 1, 4, 4)
    assert (shown[0, 0, 0, 0], shown[0, 0, 0, 1]) == (50, 255)


def test_palettes_and_sixteen_bits_are_what_they_show() -> None:
    palette = Image.fromarray(np.arange(16, dtype=np.uint8).reshape(4, 4)).convert("P")
    palette.putpalette([value for index in range(256) for value in (index, 255 - index, 7)])
    shown = read_pictures(encoded(palette, transparency=3), encoded(palette))
    assert shown[1, :, 0, 3].tolist() != shown[0, :, 0, 3].tolist() == [255, 255, 255]
    deep = np.arange(16, dtype=np.uint16).reshape(4, 4) * 4369
    first = read_pictures(encoded(Image.fromarray(deep)), encoded(Image.fromarray(deep // 2)))[0, 0]
    assert first.tolist() == (deep // 257).tolist()


def test_mixtures_of_grey_and_coloured_pictures_are_converted() -> None:
    grey = encoded(Image.fromarray(np.full((4, 4), 90, np.uint8)))
    red = encoded(Image.new("RGB", (4, 4), (255, 0, 0)))
    with pytest.raises(InvalidUpload, match="same colours, or convert to grey or rgb"):
        read_pictures(grey, red)
    assert read_pictures(grey, red, convert="rgb")[:, :, 0, 0].tolist() == [[90, 90, 90], [255, 0, 0]]
    assert read_pictures(grey, red, convert="grey")[:, :, 0, 0].tolist() == [[90], [76]]
