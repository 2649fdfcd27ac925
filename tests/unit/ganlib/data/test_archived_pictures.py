"""Pictures in archives: order, classes, modes, sizes, and what a viewer shows of them."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ganlib.data.archives import DifferentSizes, InvalidUpload, Limits, read_samples
from ganlib.data.resize import cut
from tests.support.sample_files import (
    PICTURES,
    PIXELS,
    bytes_of,
    npy,
    picture,
    read,
    read_all,
    refused,
    tar_gz,
    tarred,
    zipped,
)


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
