"""Pairs that people upload: which pictures belong together, what is refused, and that partners are cut alike."""

import io
import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from ganlib.data.archives import DifferentSizes, InvalidUpload, Limits, ReadSamples, read_samples
from ganlib.data.edges import edges_of
from ganlib.data.load import DatasetUnavailable, UploadedFiles, load_dataset
from ganlib.data.pairs import matched
from ganlib.data.resize import cut
from ganlib.spec.data import UploadEdgesDataset, UploadPairsDataset
from tests.support.sample_files import bytes_of, npy, picture, tar_gz, tarred, zipped

LIMITS = Limits(min_samples=2)
ID = "0123456789abcdef"


def read(content: bytes, image_size: int | None = None, limits: Limits = LIMITS) -> ReadSamples:
    with tempfile.TemporaryFile() as file:
        file.write(content)
        return read_samples(file, limits, image_size, pairs=True)


def npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def images(folder: str, *shape: int, count: int = 4) -> dict[str, np.ndarray]:
    """Pictures `folder/0.png` and so on."""
    return {f"{folder}/{n}.png": bytes_of(100 * len(folder) + ord(folder[0]) + n, *shape) for n in range(count)}


def encoded(pictures: Mapping[str, np.ndarray]) -> dict[str, bytes]:
    return {name: picture(pixels) for name, pixels in pictures.items()}


# --- matching ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "folders", "pairs"),
    [
        (["A/1.png", "A/2.png", "B/1.png", "B/2.png"], ("A", "B"), [(0, 2), (1, 3)]),
        (["B/2.jpg", "A/1.png", "B/1.JPEG", "A/2.png"], ("A", "B"), [(1, 2), (3, 0)]),
        (["set/photo/x/1.png", "./set/edges/x/1.bmp"], ("edges", "photo"), [(1, 0)]),
        (["A/train/1.png", "A/test/1.png", "B/test/1.png", "B/train/1.png"], ("A", "B"), [(1, 2), (0, 3)]),
        (["A/1.5.png", "A/1.6.png", "B/1.6.webp", "B/1.5.webp"], ("A", "B"), [(0, 3), (1, 2)]),
        (["A\\1.png", "B\\1.png"], ("A", "B"), [(0, 1)]),
        (["A/u\u0308.png", "B/\u00fc.png"], ("A", "B"), [(0, 1)]),
    ],
)
def test_partners_have_the_same_path_whatever_its_ending(
    names: list[str], folders: tuple[str, str], pairs: list[tuple[int, int]]
) -> None:
    found = matched(names)
    assert found.folders == folders
    assert list(zip(*found.numbers, strict=True)) == pairs


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (
            ["A/1.png", "A/2.png", "B/1.png"],
            "'A/2.png' has no partner in 'B'; add one of the same name, or leave it out",
        ),
        (
            ["train/A/1.png", "train/B/1.png", "test/A/1.png", "test/B/1.png"],
            "has the folders 'test' and 'train', which are no inputs and targets; pack two folders",
        ),
        (["A/1.png", "B/3.png", "B/1.png", "B/2.png"], "'B/2.png' has no partner in 'A', and 1 more have none; add"),
        (
            ["A/1.png", "B/2.png"],
            "holds no pairs: 'A/1.png' has no partner in 'B', nor has any other; pack two folders",
        ),
        (["A/1.png", "A/1.jpg", "B/1.png"], "'A/1.png' and 'A/1.jpg' have one name; keep one of them"),
        (["A/1.png", "B/1.png", "B/1.png"], "'B/1.png' and 'B/1.png' have one name; keep one of them"),
        (["A/1.png", "A/2.png"], "'A/1.png' lies in the only folder, or in none; pack two folders"),
        (["A/1.png", "B/1.png", "readme.png"], "'readme.png' lies in the only folder, or in none; pack two folders"),
        (["A/1.png", "B/1.png", "C/1.png"], "has pictures in 3 folders ('A', 'B', 'C'), which are no pairs; pack two"),
        (["1.png"], "'1.png' lies in the only folder"),
    ],
)
def test_what_has_not_one_partner_is_named_with_the_fix(names: list[str], words: str) -> None:
    with pytest.raises(InvalidUpload, match=re.escape(words)):
        matched(names)


# --- reading ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pack", [zipped, tarred, tar_gz])
def test_all_inputs_come_before_all_targets_in_whatever_order_they_are_packed(
    pack: Callable[[dict[str, bytes]], bytes],
) -> None:
    pictures = images("B", 4, 5, 3) | images("A", 4, 5, 3)
    found = read(pack(encoded(pictures)))
    expected = [pictures[f"{folder}/{n}.png"].transpose(2, 0, 1) for folder in "AB" for n in range(4)]
    assert (found.array == np.stack(expected)).all()
    assert (found.class_names, found.labels is not None) == (("A", "B"), True)
    assert found.labels is not None
    assert found.labels.tolist() == [0] * 4 + [1] * 4
    again = read(pack(encoded(dict(sorted(pictures.items(), reverse=True)))))
    assert again.array.tobytes() == found.array.tobytes()


def test_grey_inputs_of_coloured_targets_get_three_equal_channels() -> None:
    grey, coloured = images("A", 4, 5), images("B", 4, 5, 3)
    found = read(zipped(encoded(grey | coloured)))
    assert found.shape == (3, 4, 5)
    assert (found.array[:4] == np.stack(list(grey.values()))[:, None]).all()
    assert (found.array[4:] == np.stack(list(coloured.values())).transpose(0, 3, 1, 2)).all()
    assert read(zipped(encoded(grey | images("B", 4, 5)))).shape == (1, 4, 5)


def test_partners_of_any_size_are_cut_alike() -> None:
    pictures = {f"{f}/{n}.png": bytes_of(n, *size) for f in "AB" for n, size in enumerate([(9, 30), (20, 9), (9, 9)])}
    whole = pictures | {f"{f}/3.png": bytes_of(7, 12, 12) for f in "AB"}
    with pytest.raises(DifferentSizes, match=r"'A/1\.png' is 9 x 20"):
        read(zipped(encoded(whole)))
    found = read(zipped(encoded(whole)), image_size=8).array
    assert (found[:4] == found[4:]).all()
    assert (found[:1] == cut(whole["A/0.png"][None, None], crop=True, side=8)).all()


def test_partners_of_different_sizes_are_both_named() -> None:
    pictures = images("A", 9, 9) | images("B", 9, 9) | {"B/2.png": bytes_of(0, 9, 12)}
    with pytest.raises(InvalidUpload, match=r"'B/2\.png' has 12 x 9 pixels, its partner 'A/2\.png' 9 x 9; partners"):
        read(zipped(encoded(pictures)), image_size=8)


def test_arrays_are_pairs_row_by_row() -> None:
    inputs, targets = bytes_of(0, 5, 8, 10), bytes_of(1, 5, 8, 10, 3)
    found = read(npz(photo=targets, edges=inputs))
    assert (found.class_names, found.array.shape) == (("edges", "photo"), (10, 3, 8, 10))
    assert (found.array[:5] == inputs[:, None]).all()
    assert (found.array[5:] == targets.transpose(0, 3, 1, 2)).all()
    assert read(npz(A=inputs, B=inputs[::-1])).shape == (1, 8, 10)
    small = read(npz(A=inputs, B=inputs), image_size=8).array
    assert (small[:5] == cut(inputs[:, None], crop=True, side=8)).all()
    assert (small[:5] == small[5:]).all()


GREY = bytes_of(0, 5, 8, 8)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (npy(GREY), "is one array; pairs need two, in an .npz file, or two folders in an archive"),
        (npz(A=GREY), "holds 1 arrays; pairs need two, as A and B"),
        (npz(A=GREY, B=GREY, C=GREY), "holds 3 arrays; pairs need two"),
        (npz(A=GREY, B=GREY[:4]), "has 5 images of 8 x 8 pixels in 'A' and 4 images of 8 x 8 pixels in 'B'; each row"),
        (npz(A=GREY, B=GREY[:, :6]), "and 5 images of 8 x 6 pixels in 'B'; each row needs"),
        (npz(A=GREY, B=GREY.astype(np.float32)), "has floats in 'B'; pairs are images"),
        (npz(A=GREY[:3], B=GREY[:3]), "holds 3 pairs; at least 4 are needed, 2 to train on and 2 to hold out"),
        (zipped(encoded(images("A", 4, 4, count=3) | images("B", 4, 4, count=3))), "holds 3 pairs; at least 4"),
        (zipped(encoded({f"{f}/{n}.png": np.zeros((4, 4), np.uint8) for f in "AB" for n in range(4)})), "are equal"),
        (zipped({}), "holds no pictures"),
    ],
)
def test_what_holds_no_pairs_is_refused(content: bytes, words: str) -> None:
    with pytest.raises(InvalidUpload, match=words):
        read(content)


def test_pairs_unpack_to_no_more_than_is_allowed() -> None:
    content = zipped(encoded(images("A", 40, 40) | images("B", 40, 40)))
    with pytest.raises(InvalidUpload, match="unpacks to"):
        read(content, limits=Limits(min_samples=2, unpacked_bytes=8 * 40 * 40))


def test_grey_pairs_count_as_grey_against_what_is_allowed() -> None:
    content = zipped(encoded(images("A", 40, 40) | images("B", 40, 40)))
    found = read(content, limits=Limits(min_samples=2, unpacked_bytes=2 * len(content)))
    assert found.array.nbytes == found.array.size > 2 * len(content) / 3


# --- training data ----------------------------------------------------------------------------------------------


def dataset(**changes: Any) -> UploadPairsDataset:
    facts: dict[str, Any] = {"upload": ID, "shape": (3, 12, 20), "class_counts": (120, 120), "folders": ("A", "B")}
    return UploadPairsDataset.model_validate({**facts, "held_out": 50, "crop": True, **changes})


@pytest.fixture
def stored(tmp_path: Path) -> UploadedFiles:
    """120 pairs; a target is its input's negative."""
    inputs = bytes_of(0, 120, 3, 12, 20)
    np.save(tmp_path / "samples.npy", np.concatenate([inputs, 255 - inputs]))
    np.save(tmp_path / "labels.npy", np.repeat([0, 1], 120))
    return UploadedFiles(samples=tmp_path / "samples.npy", labels=tmp_path / "labels.npy")


@pytest.mark.parametrize("direction", [{}, {"input": "B", "target": "A"}])
@pytest.mark.parametrize("choice", [{}, {"image_size": 16}, {"limit": 110}])
def test_every_target_keeps_its_input_and_is_cut_like_it(
    stored: UploadedFiles, direction: dict[str, str], choice: dict[str, int]
) -> None:
    chosen = dataset(**direction, **choice)
    data = load_dataset(chosen, Path(), 0, upload=stored)
    apart = data.held_out
    assert apart is not None
    assert apart.inputs is not None
    assert data.inputs is not None
    assert (len(apart.samples), len(data.samples)) == (50, chosen.size)
    assert data.samples.shape[1:] == data.inputs.shape[1:] == chosen.info.shape
    for inputs, targets in ((data.inputs, data.samples), (apart.inputs, apart.samples)):
        assert np.abs(255 - inputs.astype(int) - targets).max() <= 1  # a resize rounds
    everything = np.load(stored.samples)[120 if direction else 0 :][: choice.get("limit", 120)]
    whole = cut(everything, crop=True, side=choice.get("image_size"))
    seen = {image.tobytes() for image in (*data.inputs, *apart.inputs)}
    assert seen == {image.tobytes() for image in whole}


def test_the_same_pairs_are_held_out_under_every_seed(stored: UploadedFiles) -> None:
    one, other = (load_dataset(dataset(), Path(), seed, upload=stored).held_out for seed in (0, 7))
    assert one is not None
    assert other is not None
    assert one.samples.tobytes() == other.samples.tobytes()


def test_edges_are_drawn_from_any_upload_after_it_was_cut(stored: UploadedFiles) -> None:
    facts: dict[str, Any] = {"upload": ID, "shape": (3, 12, 20), "class_counts": (120, 120), "classes": (1,)}
    chosen = UploadEdgesDataset(**facts, held_out=50, crop=True, image_size=16)
    assert (chosen.size, chosen.info.shape, chosen.input_channels) == (70, (3, 16, 16), 1)
    data = load_dataset(chosen, Path(), 0, upload=stored)
    assert data.inputs is not None
    assert data.held_out is not None
    assert (data.inputs == edges_of(data.samples.astype(np.uint8))).all()
    assert (len(data.samples), len(data.held_out.samples)) == (70, 50)


def test_pairs_that_are_gone_are_named() -> None:
    for chosen in (dataset(), UploadEdgesDataset(upload=ID, shape=(1, 8, 8), class_counts=(120,), held_out=50)):
        with pytest.raises(DatasetUnavailable, match=f"the upload '{ID}' is not here any more"):
            load_dataset(chosen, Path(), 0)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"input": "a"}, "input: there is no folder 'a'; the upload has 'A' and 'B'"),
        ({"target": "C"}, "target: there is no folder 'C'; the upload has 'A' and 'B'"),
        ({"target": "A"}, "target: 'A' has the inputs; the upload has 'A' and 'B'"),
        ({"classes": (1,)}, "classes: this data set has none; set it to null"),
        ({"held_out": 71}, "held_out: 71 of 120 pairs leave too few to train on, which takes 50; allowed: 50 to 70"),
        ({"crop": False}, "crop: images of 20 x 12 pixels are not square"),
        ({"class_counts": (120, 119)}, "class_counts: pairs are as many images in either folder"),
        (
            {"class_counts": (40_000, 40_000), "image_size": 256},
            "limit: 39,950 images of 256 x 256 pixels take 14.6 GiB",
        ),
    ],
)
def test_what_does_not_fit_the_pairs_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        dataset(**changes)


def test_points_have_no_edges() -> None:
    with pytest.raises(ValidationError, match="upload: points have no edges; name an upload of images"):
        UploadEdgesDataset(upload=ID, shape=(5,), class_counts=(2000,))
