"""Data sets: real digits without a network, mixtures, and what happens when a set cannot be had."""

import functools
import gzip
import http.server
import re
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ganlib.data import torchvision_sets
from ganlib.data.load import DatasetUnavailable, load_dataset, load_test_split, scaled
from ganlib.data.mixtures import MIXTURES
from ganlib.data.torchvision_sets import MNIST, load_torchvision
from ganlib.spec.catalog import DATASETS
from ganlib.spec.data import ImageDataset, MixtureDataset, PolygonDataset


def test_mnist_5k_has_five_hundred_real_digits_a_class():
    data = load_dataset(ImageDataset(name="mnist-5k"), Path("/nowhere"), 0)
    assert data.samples.shape == (5000, 1, 28, 28)
    assert np.bincount(data.labels).tolist() == [500] * 10
    assert (data.samples.min(), data.samples.max()) == (0, 255)


def test_classes_and_limit_choose_images():
    data = load_dataset(ImageDataset(name="mnist-5k", classes=(8, 3), limit=600), Path("/nowhere"), 0)
    assert set(data.labels) == {3, 8}
    assert len(data.samples) == ImageDataset(name="mnist-5k", classes=(8, 3), limit=600).size == 600


def test_pixels_are_scaled_to_minus_one_and_one():
    pixels = scaled(load_dataset(ImageDataset(name="mnist-5k", classes=(1,)), Path("/nowhere"), 0))
    assert (pixels.min(), pixels.max(), pixels.dtype) == (-1, 1, np.float32)


@pytest.mark.parametrize("name", ["ring8", "grid25", "mixture1d"])
def test_mixtures_come_from_their_modes_and_the_seed(name):
    data = load_dataset(MixtureDataset(name=name, size=4000), Path("/nowhere"), 7)
    again = load_dataset(MixtureDataset(name=name, size=4000), Path("/nowhere"), 7)
    other = load_dataset(MixtureDataset(name=name, size=4000), Path("/nowhere"), 8)
    assert data.samples.tobytes() == again.samples.tobytes() != other.samples.tobytes()
    mixture = MIXTURES[name]
    away = np.linalg.norm(data.samples - mixture.centres[data.labels], axis=1)
    assert away.max() < 5.5 * mixture.std
    assert len(set(data.labels)) == len(mixture.centres)
    assert np.abs(data.samples).max() <= 1


def test_polygons_come_from_the_seed():
    data = load_dataset(PolygonDataset(size=400), Path("/nowhere"), 7)
    again = load_dataset(PolygonDataset(size=400), Path("/nowhere"), 7)
    other = load_dataset(PolygonDataset(size=400), Path("/nowhere"), 8)
    assert data.samples.tobytes() == again.samples.tobytes() != other.samples.tobytes()
    assert (data.samples.shape[1:], data.samples.dtype) == (DATASETS["polygons"].shape, np.uint8)
    assert 0 <= data.labels.min() < data.labels.max() < 4017


@pytest.mark.parametrize(
    "dataset", [ImageDataset(name="mnist-5k"), MixtureDataset(name="ring8"), PolygonDataset()], ids=lambda d: d.name
)
def test_sets_without_a_split_of_their_own_have_no_test_images(dataset):
    assert load_test_split(dataset, Path("/nowhere")) is None


def idx(array: np.ndarray) -> bytes:
    """The array in MNIST's file format: magic number, sizes, bytes."""
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(np.uint8).tobytes()


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[str]:
    """A local HTTP server that offers MNIST's four files by their names, with small contents."""
    directory = tmp_path / "mirror"
    directory.mkdir()
    images = np.arange(4 * 28 * 28).reshape(4, 28, 28) % 256
    for split, labels in (("train", [3, 1, 4, 1]), ("t10k", [5, 9, 2, 9])):
        (directory / f"{split}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images)))
        (directory / f"{split}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(np.array(labels))))
    handler = functools.partial(QuietHandler, directory=str(directory))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def test_a_missing_set_is_downloaded_once_and_then_found(mirror, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(MNIST, "resources", [(name, None) for name, _ in MNIST.resources])
    images, labels = load_torchvision("mnist", tmp_path / "data", [mirror])
    assert images.shape == (4, 1, 28, 28)
    assert labels.tolist() == [3, 1, 4, 1]
    assert re.search(r"100(\.0)?%", capfd.readouterr().err)  # the progress bar, tqdm's where that is installed
    again, _ = load_torchvision("mnist", tmp_path / "data", ["http://127.0.0.1:9/"])
    assert (again == images).all()
    assert sorted(p.name for p in (tmp_path / "data").iterdir()) == [".mnist.lock", "MNIST"]


def test_the_test_split_comes_with_the_training_data_and_has_the_same_classes(mirror, tmp_path, monkeypatch):
    monkeypatch.setattr(MNIST, "resources", [(name, None) for name, _ in MNIST.resources])
    load_torchvision("mnist", tmp_path, [mirror])
    monkeypatch.setattr(MNIST, "mirrors", ["http://127.0.0.1:9/"])  # what is there needs no network
    test = load_test_split(ImageDataset(name="mnist"), tmp_path)
    assert test is not None
    assert test.labels.tolist() == [5, 9, 2, 9]
    nines = load_test_split(ImageDataset(name="mnist", classes=(9, 3), limit=2), tmp_path)
    assert nines is not None
    assert nines.samples.tobytes() == test.samples[[1, 3]].tobytes()


@pytest.mark.parametrize("twice", [False, True])
def test_a_folder_of_somebody_elses_is_kept_beside_the_download(twice, mirror, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(MNIST, "resources", [(name, None) for name, _ in MNIST.resources])
    theirs = tmp_path / "data" / "MNIST" / "thesis.txt"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("three years of work")
    earlier = tmp_path / "data" / "MNIST.kept-1"
    if twice:
        earlier.symlink_to("/nowhere")  # also a name that leads nowhere is taken
    images, _ = load_torchvision("mnist", tmp_path / "data", [mirror])
    kept = tmp_path / "data" / f"MNIST.kept-{2 if twice else 1}"
    assert images.shape == (4, 1, 28, 28)
    assert (kept / "thesis.txt").read_text() == "three years of work"
    assert earlier.is_symlink() == twice
    assert f"it is kept as {kept}" in caplog.text


def test_a_linked_folder_keeps_its_link_and_its_files(mirror, tmp_path, monkeypatch):
    monkeypatch.setattr(MNIST, "resources", [(name, None) for name, _ in MNIST.resources])
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "notes.txt").write_text("mine")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "MNIST").symlink_to(tmp_path / "elsewhere")
    load_torchvision("mnist", tmp_path / "data", [mirror])
    assert (tmp_path / "data" / "MNIST.kept-1" / "notes.txt").read_text() == "mine"
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["notes.txt"]


def test_a_folder_that_cannot_be_moved_aside_is_said_and_left(mirror, tmp_path, monkeypatch):
    monkeypatch.setattr(MNIST, "resources", [(name, None) for name, _ in MNIST.resources])
    theirs = tmp_path / "data" / "MNIST"
    theirs.mkdir(parents=True)
    rename = Path.rename

    def refuse(path: Path, target: Path) -> Path:
        if path == theirs:
            raise PermissionError(1, "Operation not permitted")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(DatasetUnavailable, match=r"cannot be put at .*MNIST \(Operation not permitted\): move"):
        load_torchvision("mnist", tmp_path / "data", [mirror])
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == [".mnist.lock", "MNIST"]


def test_damaged_downloads_are_refused_and_leave_nothing(mirror, tmp_path):
    with pytest.raises(DatasetUnavailable, match="mnist-5k"):
        load_torchvision("mnist", tmp_path / "data", [mirror])  # its checksums are not MNIST's
    assert not (tmp_path / "data" / "MNIST").exists()


def test_a_set_that_cannot_be_had_names_the_cure(tmp_path):
    with pytest.raises(DatasetUnavailable, match=r"GANCLINIC_DATA_DIR.*--set dataset\.name=mnist-5k"):
        load_torchvision("mnist", tmp_path / "data", ["http://127.0.0.1:9/"])


def test_a_mirror_that_hangs_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(torchvision_sets, "NETWORK_TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and never answers
        started = time.monotonic()
        with pytest.raises(DatasetUnavailable, match="timed out"):
            load_torchvision("mnist", tmp_path / "data", [f"http://127.0.0.1:{silent.getsockname()[1]}/"])
        assert time.monotonic() - started < 5


def test_the_catalog_counts_what_it_says():
    assert sum(DATASETS["mnist"].class_counts) == 60_000
    assert DATASETS["mnist"].class_counts[8] == 5851
