import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ganlib.data.archives import Limits, read_samples, save_npy
from tests.support.sample_files import LIMITS, PICTURES, PIXELS, bytes_of, npy, read, read_all, refused, tar_gz, zipped


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
