"""The data of a spec: shapes, sizes and classes that follow from a choice, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from ganlib.data.load import DatasetUnavailable, UploadedFiles, load_dataset, load_test_split
from ganlib.data.resize import cut
from ganlib.spec.data import Dataset
from ganlib.spec.run import RunSpec

ADAPTER: TypeAdapter[Any] = TypeAdapter(Dataset)
UPLOAD = {"name": "upload", "upload": "0123456789abcdef", "shape": [3, 48, 64], "class_counts": [30, 50]}
POINTS = {**UPLOAD, "shape": [5], "class_counts": [80]}


@pytest.mark.parametrize(
    ("document", "shape", "size", "classes"),
    [
        ({"name": "mnist"}, (1, 28, 28), 60_000, 10),
        ({"name": "kmnist", "classes": [9, 0], "image_size": 32}, (1, 32, 32), 12_000, 2),
        ({"name": "cifar10"}, (3, 32, 32), 50_000, 10),
        ({"name": "cifar10", "limit": 70, "image_size": 64}, (3, 64, 64), 70, 10),
        ({"name": "celeba", "crop": True, "limit": 80_000}, (3, 178, 178), 80_000, 0),
        ({"name": "celeba", "crop": True, "image_size": 128}, (3, 128, 128), 162_770, 0),
        ({"name": "celeba", "crop": True, "image_size": 64, "limit": 100}, (3, 64, 64), 100, 0),
        ({"name": "edges"}, (1, 28, 28), 4000, 10),
        ({"name": "edges", "of": "cifar10", "classes": [1], "held_out": 500, "image_size": 64}, (3, 64, 64), 4500, 1),
        ({"name": "edges", "of": "celeba", "crop": True, "limit": 2000, "image_size": 64}, (3, 64, 64), 1000, 0),
        ({"name": "stacked-mnist", "of": "mnist-5k"}, (3, 28, 28), 25_000, 1000),
        ({"name": "mixture1d"}, (1,), 10_000, 0),
        ({"name": "ring8"}, (2,), 10_000, 0),
        ({"name": "polygons"}, (1, 28, 28), 10_000, 0),
        ({**UPLOAD, "crop": True}, (3, 48, 48), 80, 2),
        ({**UPLOAD, "crop": True, "image_size": 32, "classes": [1]}, (3, 32, 32), 50, 1),
        (POINTS, (5,), 80, 0),
    ],
)
def test_shape_size_and_classes_follow_from_the_choice(
    document: dict[str, Any], shape: tuple[int, ...], size: int, classes: int
) -> None:
    dataset = ADAPTER.validate_python(document)
    assert (dataset.info.shape, dataset.size, len(dataset.kept_classes)) == (shape, size, classes)
    assert ADAPTER.validate_python(dataset.model_dump(mode="json")) == dataset


def test_kept_classes_rise() -> None:
    assert ADAPTER.validate_python({"name": "mnist", "classes": [8, 3]}).kept_classes == (3, 8)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"name": "celeba"}, "crop: images of 178 x 218 pixels are not square"),
        ({"name": "celeba", "image_size": 64}, "crop: images of 178 x 218"),
        ({"name": "celeba", "crop": True}, "limit: 162,770 images of 178 x 178 pixels take 14.4 GiB of memory"),
        ({"name": "celeba", "crop": True, "classes": [0]}, "classes: this data set has none"),
        ({"name": "edges", "of": "celeba"}, "crop: images of 178 x 218 pixels are not square"),
        ({"name": "edges", "limit": 200}, "held_out: 1000 of 200 pairs leave too few to train on, which takes 50"),
        ({"name": "edges", "limit": 200, "held_out": 151}, "which takes 50; allowed: 50 to 150"),
        ({"name": "edges", "limit": 100, "held_out": 51}, "which takes 50; allowed: 50 to 50"),
        ({"name": "edges", "limit": 99, "held_out": 50}, "allowed: 50 or more, of 100 pairs or more"),
        ({"name": "cifar10", "classes": [10]}, "classes: there is no class 10; allowed: 0 to 9"),
        ({"name": "cifar10", "image_size": 4}, "greater than or equal to 8"),
        ({"name": "cifar10", "image_size": 300}, "less than or equal to 256"),
        ({"name": "ring8", "image_size": 32}, "image_size"),
        ({"name": "stacked-mnist", "of": "kmnist"}, "'mnist-5k'"),
        (UPLOAD, "crop: images of 64 x 48 pixels"),
        ({**UPLOAD, "crop": True, "classes": [2]}, "classes: there is no class 2; allowed: 0 to 1"),
        ({**UPLOAD, "upload": "../secrets"}, "upload"),
        ({"name": "upload", "upload": "0123456789abcdef"}, "shape"),
        ({**POINTS, "image_size": 32}, "image_size: points have no pixels"),
        ({**POINTS, "crop": True}, "crop: points have no pixels"),
    ],
)
def test_what_cannot_be_is_refused(document: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as refused:
        ADAPTER.validate_python(document)
    assert words in str(refused.value)


@pytest.mark.parametrize(("limit", "held_out"), [(200, 150), (100, 50)])
def test_as_many_pairs_may_be_held_out_as_leave_fifty(limit: int, held_out: int) -> None:
    assert ADAPTER.validate_python({"name": "edges", "limit": limit, "held_out": held_out}).size == 50


def test_points_that_were_uploaded_train_the_networks_for_points() -> None:
    networks = {"generator": {"family": "mlp"}, "discriminator": {"family": "mlp"}}
    spec = RunSpec.model_validate({"dataset": POINTS, **networks, "training": {"batch_size": 10}})
    assert spec.data.shape == (5,)
    with pytest.raises(ValidationError, match=r"generator\.family"):
        RunSpec.model_validate(
            {**spec.model_dump(mode="json"), "generator": {"family": "deconv"}},
        )


# --- loading an upload ------------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path: Path) -> UploadedFiles:
    """An upload of eight images in two classes."""
    np.save(tmp_path / "samples.npy", IMAGES)
    np.save(tmp_path / "labels.npy", np.array([0, 1] * 4))
    return UploadedFiles(samples=tmp_path / "samples.npy", labels=tmp_path / "labels.npy")


IMAGES = np.random.default_rng(0).integers(0, 256, (8, 3, 10, 12), np.uint8)
EIGHT = {**UPLOAD, "shape": [3, 10, 12], "class_counts": [4, 4], "crop": True}


def test_an_upload_is_loaded_as_its_choice_says(files: UploadedFiles) -> None:
    whole = load_dataset(ADAPTER.validate_python(EIGHT), Path("/nowhere"), 0, upload=files)
    assert (whole.samples == IMAGES[..., 1:11]).all()
    assert whole.labels.tolist() == [0, 1] * 4
    dataset = ADAPTER.validate_python({**EIGHT, "classes": [1], "limit": 3, "image_size": 8})
    some = load_dataset(dataset, Path("/nowhere"), 0, upload=files)
    assert (some.samples == cut(IMAGES[[1, 3, 5]], crop=True, side=8)).all()
    assert (some.samples.flags.writeable, some.samples.flags.c_contiguous) == (True, True)
    assert some.labels.tolist() == [1, 1, 1]
    assert len(some.samples) == dataset.size
    assert load_test_split(dataset, Path("/nowhere")) is None


def test_an_upload_without_classes_has_one_label(files: UploadedFiles) -> None:
    dataset = ADAPTER.validate_python({**EIGHT, "class_counts": [8]})
    data = load_dataset(dataset, Path("/nowhere"), 0, upload=UploadedFiles(samples=files.samples, labels=None))
    assert data.labels.tolist() == [0] * 8


def test_an_upload_that_is_not_here_says_so(tmp_path: Path) -> None:
    for upload in (None, UploadedFiles(samples=tmp_path / "gone", labels=None)):
        with pytest.raises(DatasetUnavailable, match=r"dataset\.upload: .*upload it again"):
            load_dataset(ADAPTER.validate_python(EIGHT), Path("/nowhere"), 0, upload=upload)
