"""Image sets that are not digits: what is found, downloaded, missing or damaged, and how images are cut to size."""

import functools
import hashlib
import http.server
import io
import pickle
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import CIFAR10, CelebA

from ganlib.data.load import DatasetUnavailable, load_dataset, load_test_split
from ganlib.data.resize import centre_square, cut, resized
from ganlib.data.torchvision_sets import KMNIST, SETS, FashionMNIST, load_torchvision
from ganlib.spec.data import ImageDataset

NOWHERE = ["http://127.0.0.1:9/"]


def bytes_of(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


# --- CIFAR-10 and KMNIST ----------------------------------------------------------------------------------------


@pytest.fixture
def cifar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A local HTTP server with a CIFAR-10 of four training images and two test images."""
    files = {
        "data_batch_1": pickle.dumps({"data": bytes_of(0, 4, 3072), "labels": [3, 1, 4, 1]}),
        "test_batch": pickle.dumps({"data": bytes_of(1, 2, 3072), "labels": [5, 1]}),
        "batches.meta": pickle.dumps({"label_names": [str(number) for number in range(10)]}),
    }
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    with tarfile.open(mirror / CIFAR10.filename, "w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(f"{CIFAR10.base_folder}/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    sums = {name: hashlib.md5(content).hexdigest() for name, content in files.items()}
    monkeypatch.setattr(CIFAR10, "train_list", [["data_batch_1", sums["data_batch_1"]]])
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", sums["test_batch"]]])
    monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": sums["batches.meta"]})
    monkeypatch.setattr(CIFAR10, "tgz_md5", hashlib.md5((mirror / CIFAR10.filename).read_bytes()).hexdigest())
    handler = functools.partial(QuietHandler, directory=str(mirror))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def test_cifar_is_downloaded_once_and_has_both_splits(cifar: str, tmp_path: Path) -> None:
    images, labels = load_torchvision("cifar10", tmp_path / "data", [cifar])
    assert (images == bytes_of(0, 4, 3072).reshape(4, 3, 32, 32)).all()
    assert labels.tolist() == [3, 1, 4, 1]
    assert sorted(p.name for p in (tmp_path / "data").iterdir()) == [".cifar10.lock", CIFAR10.base_folder]
    data = load_dataset(ImageDataset(name="cifar10", classes=(1,), image_size=16), tmp_path / "data", 0)
    assert (data.samples == resized(images[[1, 3]], 16)).all()
    test = load_test_split(ImageDataset(name="cifar10", classes=(1,), image_size=16, limit=2), tmp_path / "data")
    assert test is not None
    assert (test.samples.shape, test.labels.tolist()) == ((1, 3, 16, 16), [1])


@pytest.mark.parametrize(("name", "folder"), [("cifar10", "cifar-10-batches-py"), ("kmnist", "KMNIST/raw")])
def test_a_set_that_cannot_be_had_names_its_folder_and_the_cure(tmp_path: Path, name: str, folder: str) -> None:
    with pytest.raises(DatasetUnavailable, match=rf"a directory that has {folder}, or .*--set dataset\.name=mnist-5k"):
        load_torchvision(name, tmp_path / "data", NOWHERE)


def test_sets_in_the_form_of_mnist_lie_in_folders_of_their_own() -> None:
    assert (SETS["kmnist"].kind, SETS["fashion-mnist"].kind) == (KMNIST, FashionMNIST)
    assert all((wanted.folder == wanted.kind.__name__) for name, wanted in SETS.items() if name != "cifar10")


# --- CelebA -----------------------------------------------------------------------------------------------------


@pytest.fixture
def celeba(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory with a CelebA of six faces: three to train, one to validate, two to test."""
    folder = tmp_path / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    names = [f"{number}.jpg" for number in range(6)]
    for number, name in enumerate(names):
        Image.fromarray(bytes_of(number, 24, 18, 3)).save(folder / "img_align_celeba" / name)
    lists = {
        "list_eval_partition.txt": [f"{name} {split}" for name, split in zip(names, (0, 0, 2, 0, 1, 2), strict=True)],
        "identity_CelebA.txt": [f"{name} 1" for name in names],
        **{
            f"list_{what}_celeba.txt": ["6", "one two", *(f"{name} 1 1" for name in names)]
            for what in ("bbox", "landmarks_align", "attr")
        },
    }
    for name, lines in lists.items():
        (folder / name).write_text("\n".join(lines) + "\n")
    sums = {name: hashlib.md5((folder / name).read_bytes()).hexdigest() for name in lists}
    monkeypatch.setattr(CelebA, "file_list", [("", md5, name) for name, md5 in sums.items()])
    return tmp_path


def test_celeba_is_read_from_the_data_directory_and_cut(celeba: Path) -> None:
    data = load_dataset(ImageDataset(name="celeba", crop=True, image_size=8), celeba, 0)
    assert (data.samples.shape, data.samples.dtype, data.labels.tolist()) == ((3, 3, 8, 8), np.uint8, [0, 0, 0])
    with Image.open(celeba / "celeba/img_align_celeba/3.jpg") as image:
        pixels = np.asarray(image).transpose(2, 0, 1)[None]
    assert (data.samples[2] == cut(pixels, crop=True, side=8)[0]).all()
    few = load_dataset(ImageDataset(name="celeba", crop=True, limit=2), celeba, 0)
    assert few.samples.shape == (2, 3, 18, 18)
    test = load_test_split(ImageDataset(name="celeba", crop=True, limit=2), celeba)
    assert test is not None
    assert test.samples.shape == (2, 3, 18, 18)


def test_celeba_that_is_not_there_says_what_to_put_where(tmp_path: Path) -> None:
    dataset = ImageDataset(name="celeba", crop=True, image_size=64)
    with pytest.raises(DatasetUnavailable, match=r"img_align_celeba and the files list_attr.*/celeba, or upload"):
        load_dataset(dataset, tmp_path, 0)


def test_a_damaged_face_is_named(celeba: Path) -> None:
    (celeba / "celeba/img_align_celeba/1.jpg").write_bytes(b"no face")
    with pytest.raises(DatasetUnavailable, match=r"picture .*1\.jpg of 'celeba' cannot be read"):
        load_dataset(ImageDataset(name="celeba", crop=True, image_size=64), celeba, 0)


# --- sizes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("shape", "rows", "columns"), [((4, 7), (0, 4), (1, 5)), ((6, 3), (1, 4), (0, 3))])
def test_the_centre_square_is_the_largest(shape: tuple[int, int], rows: tuple[int, int], columns: tuple[int, int]):
    image = np.arange(np.prod(shape), dtype=np.uint8).reshape(1, 1, *shape)
    assert (centre_square(image) == image[..., slice(*rows), slice(*columns)]).all()


def test_shrinking_averages_over_all_pixels() -> None:
    stripes = np.zeros((1, 1, 64, 64), np.uint8)
    stripes[..., ::2] = 255  # taking every eighth column would give white, or black
    assert np.abs(resized(stripes, 8).astype(int) - 127).max() < 8


def test_each_image_and_channel_is_resized_by_itself() -> None:
    images = bytes_of(0, 3, 3, 12, 12)
    small = resized(images, 9)
    assert (small.shape, small.dtype) == ((3, 3, 9, 9), np.uint8)
    assert (small[1:2, 2:] == resized(images[1:2, 2:], 9)).all()


def test_images_of_the_wanted_size_stay_as_they_are() -> None:
    images = bytes_of(0, 3, 1, 12, 12)
    assert cut(images, crop=True, side=12) is not None
    assert (cut(images, crop=True, side=12) == images).all()
    assert (cut(images, side=24)[:, :, ::2, ::2].mean() - images.mean()) < 3
