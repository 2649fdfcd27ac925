"""Uploads over HTTP: what is taken, what is refused, and the runs that train on them."""

import io
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from PIL import Image
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from ganlib.data.resize import cut
from store import uploads
from store.core.models import Upload
from store.scheduling.owners import Owner
from store.uploads import UploadedSet
from tests.support.api import Service, make_service
from tests.support.store import SPEC
from tests.support.uploads import pixels

PATH = "/v1/uploads"
PROBLEM = "application/problem+json"
NOTHING = "0" * 16


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def zip_of(pictures: Mapping[str, np.ndarray | bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, picture in pictures.items():
            content = io.BytesIO()
            if isinstance(picture, bytes):
                content.write(picture)
            else:
                Image.fromarray(picture).save(content, format="PNG")
            archive.writestr(name, content.getvalue())
    return file.getvalue()


def pets(*shape: int) -> dict[str, np.ndarray]:
    """Twenty cats and forty dogs, each in a folder."""
    names = [f"cats/{n:02}.png" for n in range(20)] + [f"dogs/{n:02}.png" for n in range(40)]
    return {name: pixels(seed, *shape) for seed, name in enumerate(names)}


FILE = zip_of(pets(8, 8, 3))
POINTS = npy(np.random.default_rng(0).uniform(-1, 1, (70, 2)).astype(np.float32))


def post(service: Service, file: bytes = FILE, **fields: Any) -> httpx2.Response:
    return service.client.post(PATH, files={"file": file}, data={name: str(value) for name, value in fields.items()})


def files_of(service: Service) -> list[Path]:
    """Everything in the service's home but its database."""
    return [p for p in service.settings.home.rglob("*") if p.is_file() and not p.name.startswith("ganclinic.db")]


def stored(service: Service) -> list[np.ndarray]:
    """The stored arrays, largest first."""
    return sorted((np.load(path) for path in files_of(service)), key=lambda array: -array.size)


def refused(service: Service, answer: httpx2.Response, status: int = 422) -> dict[str, str]:
    """The fields that are wrong; nothing is left of the request."""
    assert (answer.status_code, answer.headers["content-type"]) == (status, PROBLEM), answer.text
    assert files_of(service) == []
    assert service.client.get(PATH).json() == {"items": []}
    return {problem["field"]: problem["message"] for problem in answer.json().get("errors", [])}


def run_on(upload_id: str, **dataset: Any) -> dict[str, Any]:
    return {"spec": {**SPEC, "dataset": {"name": "upload", "upload": upload_id, **dataset}}}


# --- making, looking, deleting ----------------------------------------------------------------------------------


def test_pictures_in_folders_become_an_upload_with_classes(service: Service) -> None:
    answer = post(service, name="pets")
    assert answer.status_code == 201, answer.text
    view = answer.json()
    assert answer.headers["location"] == view["links"]["self"] == f"{PATH}/{view['id']}"
    assert (view["name"], view["kind"], view["count"], view["shape"]) == ("pets", "images", 60, [3, 8, 8])
    assert (view["class_names"], view["class_counts"]) == (["cats", "dogs"], [20, 40])
    samples, labels = stored(service)
    assert (samples == np.stack([p.transpose(2, 0, 1) for p in pets(8, 8, 3).values()])).all()
    assert labels.tolist() == [0] * 20 + [1] * 40
    assert view["size"] == sum(path.stat().st_size for path in files_of(service))
    assert service.client.get(f"{PATH}/{view['id']}").json() == view
    assert service.client.get(PATH).json() == {"items": [view]}


def test_the_same_set_is_one_upload_in_whatever_form_it_comes(service: Service) -> None:
    images = pixels(0, 60, 8, 8)
    first = post(service, npy(images), name="first").json()
    again = post(service, zip_of({f"{n:02}.png": image for n, image in enumerate(images)}), name="again")
    assert (again.status_code, again.json()) == (201, first)
    assert (first["class_names"], first["class_counts"]) == ([], [60])
    assert len(files_of(service)) == 1


def test_points_can_be_uploaded(service: Service) -> None:
    view = post(service, POINTS).json()
    assert (view["kind"], view["shape"], view["count"], view["name"]) == ("points", [2], 70, None)
    answer = service.client.post("/v1/runs", json=run_on(view["id"]))
    assert answer.status_code == 202, answer.text


def test_pictures_of_different_sizes_are_cut_to_the_one_that_is_given(sqlite_service: Service) -> None:
    pictures = pets(8, 8, 3) | {"cats/00.png": pixels(99, 24, 30, 3)}
    answer = post(sqlite_service, zip_of(pictures), image_size=12)
    assert answer.json()["shape"] == [3, 12, 12]
    samples, _ = stored(sqlite_service)
    expected = [cut(picture.transpose(2, 0, 1)[None], crop=True, side=12)[0] for picture in pictures.values()]
    assert (samples == np.stack(expected)).all()


def test_grey_and_coloured_pictures_become_alike_where_that_is_asked_for(sqlite_service: Service) -> None:
    mixed = {f"{number:02}.png": pixels(number, 8, 8) for number in range(40)}
    mixed |= {f"{number:02}.png": pixels(number, 8, 8, 3) for number in range(40, 80)}
    assert "convert to grey or rgb" in post(sqlite_service, zip_of(mixed)).json()["errors"][0]["message"]
    assert post(sqlite_service, zip_of(mixed), convert="grey").json()["shape"] == [1, 8, 8]
    assert post(sqlite_service, zip_of(mixed), convert="rgb").json()["shape"] == [3, 8, 8]
    assert post(sqlite_service, zip_of(mixed), convert="blue").json()["errors"][0]["field"] == "convert"


def test_arrays_of_images_are_cut_too(sqlite_service: Service) -> None:
    images = pixels(0, 60, 20, 30)
    assert post(sqlite_service, npy(images), image_size=16).json()["shape"] == [1, 16, 16]
    assert (stored(sqlite_service)[0] == cut(images[:, None], crop=True, side=16)).all()


def test_an_upload_is_deleted_with_its_files(service: Service) -> None:
    path = post(service).json()["links"]["self"]
    for file in files_of(service):
        os.utime(file, (1.0, 1.0))
    answer = service.client.delete(path)
    assert (answer.status_code, answer.content) == (204, b"")
    assert files_of(service) == []
    for method in ("GET", "DELETE"):
        gone = service.client.request(method, path)
        assert (gone.status_code, gone.json()["type"]) == (404, "urn:ganclinic:problem:upload-not-found")
    assert post(service).status_code == 201
    assert len(files_of(service)) == 2


def test_files_that_were_deleted_before_the_row_was_made_are_stored_again(
    sqlite_service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def create_late(session: Session, uploaded: UploadedSet, *, name: str | None, owner: Owner) -> Upload:
        for path in files_of(sqlite_service):  # as the same set is deleted just now
            path.unlink()
        return create(session, uploaded, name=name, owner=owner)

    create = uploads.create
    monkeypatch.setattr(uploads, "create", create_late)
    assert post(sqlite_service).status_code == 201
    assert [array.shape for array in stored(sqlite_service)] == [(60, 3, 8, 8), (60,)]


# --- runs on it -------------------------------------------------------------------------------------------------


def test_a_run_on_an_upload_is_told_its_shape_and_counts(service: Service) -> None:
    upload_id = post(service).json()["id"]
    answer = service.client.post("/v1/runs", json=run_on(upload_id, classes=[1, 0], image_size=16))
    assert answer.status_code == 202, answer.text
    view = service.client.get(answer.headers["location"]).json()
    assert view["spec"]["dataset"] == {
        "name": "upload",
        "upload": upload_id,
        "shape": [3, 8, 8],
        "class_counts": [20, 40],
        "classes": [1, 0],
        "limit": None,
        "image_size": 16,
        "crop": False,
    }
    again = service.client.post("/v1/runs", json={"spec": view["spec"]})
    assert again.json()["spec_hash"] == view["spec_hash"]
    preset = {"dataset.name": "upload", "dataset.upload": upload_id, "dataset.classes": None}
    by_preset = service.client.post("/v1/runs", json={"preset": "digit8-stable", "set": {**preset, **TINY}})
    assert by_preset.status_code == 202, by_preset.text


TINY = {
    "training.batch_size": 16,
    "training.discriminator_batch_size": None,
    "generator": {"family": "mlp"},
    "discriminator": {"family": "mlp"},
}


@pytest.mark.parametrize(
    ("dataset", "field", "words"),
    [
        (
            {"upload": NOTHING},
            "dataset.upload",
            f"there is no upload '{NOTHING}'; `ganclinic uploads`, or GET /v1/uploads, lists them",
        ),
        ({"upload": "../x"}, "dataset.upload", "there is no upload '../x'"),
        ({"upload": 3}, "dataset.upload", "valid string"),
        ({"shape": [3, 9, 9]}, "dataset.shape", "the upload has [3, 8, 8]; leave it out"),
        ({"class_counts": [60]}, "dataset.class_counts", "the upload has [20, 40]; leave it out"),
        ({"classes": [2]}, "dataset.classes", "there is no class 2; allowed: 0 to 1"),
        ({"size": 60}, "dataset.size", "is not a field of the spec here"),
    ],
)
def test_a_run_that_does_not_fit_its_upload_is_refused(
    sqlite_service: Service, dataset: dict[str, Any], field: str, words: str
) -> None:
    upload_id = post(sqlite_service).json()["id"]
    answer = sqlite_service.client.post("/v1/runs", json=run_on(upload_id, **dataset))
    assert answer.status_code == 422
    problems = {problem["field"]: problem["message"] for problem in answer.json()["errors"]}
    assert words in problems[field]
    assert sqlite_service.count_runs() == 0


def test_each_run_of_a_batch_may_train_on_an_upload(sqlite_service: Service) -> None:
    upload_id = post(sqlite_service).json()["id"]
    wanted = [run_on(upload_id), run_on(NOTHING)]
    answer = sqlite_service.client.post("/v1/batches", json={"runs": wanted})
    assert [problem["field"] for problem in answer.json()["errors"]] == ["runs[1].dataset.upload"]
    assert sqlite_service.client.post("/v1/batches", json={"runs": [wanted[0]] * 2}).status_code == 202


def test_an_upload_that_a_run_waits_for_is_not_deleted(service: Service) -> None:
    path = post(service).json()["links"]["self"]
    run = service.client.post("/v1/runs", json=run_on(path.rpartition("/")[2])).headers["location"]
    answer = service.client.delete(path)
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:ganclinic:problem:upload-in-use")
    assert run.rpartition("/")[2] in answer.json()["detail"]
    assert len(files_of(service)) == 2
    service.client.post(f"{run}/cancel")
    assert service.client.delete(path).status_code == 204


# --- pairs ------------------------------------------------------------------------------------------------------


def drawings(count: int = 110) -> dict[str, np.ndarray]:
    """Grey inputs and coloured targets, partners by their names."""
    sides = {"lines": (12, 12), "photos": (12, 12, 3)}
    return {f"{side}/{n:03}.png": pixels(n, *shape) for side, shape in sides.items() for n in range(count)}


PAIRS = zip_of(drawings())
PAIRED = {
    "generator": {"family": "unet", "width": 4},
    "discriminator": {"family": "patch", "width": 4, "layers": 1},
    "training": {"epochs": 2, "steps_per_epoch": 2, "batch_size": 4},
    "samples": {"count": 3},
    "evaluation": {"num_samples": 50, "measures": ["paired"]},
}


def paired_run(upload_id: str, **dataset: Any) -> dict[str, Any]:
    chosen = {"name": "upload-pairs", "upload": upload_id, "input": "lines", "target": "photos", "held_out": 50}
    return {"spec": {**PAIRED, "dataset": {**chosen, **dataset}}}


def test_pairs_are_stored_in_the_order_of_their_names_and_trained_on(service: Service) -> None:
    view = post(service, PAIRS, pairs="true").json()
    assert (view["kind"], view["count"], view["shape"]) == ("pairs", 220, [3, 12, 12])
    assert (view["class_names"], view["class_counts"]) == (["lines", "photos"], [110, 110])
    samples, labels = stored(service)
    assert (samples[0] == pixels(0, 12, 12)).all()
    assert (samples[110] == pixels(0, 12, 12, 3).transpose(2, 0, 1)).all()
    assert labels.tolist() == [0] * 110 + [1] * 110
    answer = service.client.post("/v1/runs", json=paired_run(view["id"]))
    assert answer.status_code == 202, answer.text
    dataset = service.client.get(answer.headers["location"]).json()["spec"]["dataset"]
    assert (dataset["folders"], dataset["class_counts"]) == (["lines", "photos"], [110, 110])
    assert service.client.delete(view["links"]["self"]).status_code == 409


def test_the_same_images_without_pairs_are_another_upload(sqlite_service: Service) -> None:
    coloured = zip_of({f"{folder}/{n:03}.png": pixels(n, 12, 12, 3) for folder in "AB" for n in range(110)})
    plain, pairs = post(sqlite_service, coloured).json(), post(sqlite_service, coloured, pairs="true").json()
    assert (plain["kind"], pairs["kind"], plain["id"] == pairs["id"]) == ("images", "pairs", False)
    assert len(files_of(sqlite_service)) == 2
    assert sqlite_service.client.delete(plain["links"]["self"]).status_code == 204
    assert len(files_of(sqlite_service)) == 2


@pytest.mark.parametrize(
    ("dataset", "field", "words"),
    [
        ({"input": "A"}, "dataset.input", "there is no folder 'A'; the upload has 'lines' and 'photos'"),
        ({"target": "lines"}, "dataset.target", "'lines' has the inputs"),
        ({"held_out": 61}, "dataset.held_out", "allowed: 50 to 60"),
        ({"folders": ["A", "B"]}, "dataset.folders", "the upload has ['lines', 'photos']; leave it out"),
        ({"upload": NOTHING}, "dataset.upload", f"there is no upload '{NOTHING}'"),
        ({"image_size": 15}, "dataset.image_size", "15 is odd"),
    ],
)
def test_a_run_that_does_not_fit_its_pairs_is_refused(
    sqlite_service: Service, dataset: dict[str, Any], field: str, words: str
) -> None:
    upload_id = post(sqlite_service, PAIRS, pairs="true").json()["id"]
    answer = sqlite_service.client.post("/v1/runs", json=paired_run(upload_id, **dataset))
    assert answer.status_code == 422, answer.text
    problems = {problem["field"]: problem["message"] for problem in answer.json()["errors"]}
    assert words in problems[field]


def test_what_was_not_uploaded_as_pairs_is_not_trained_on_as_such(sqlite_service: Service) -> None:
    answer = sqlite_service.client.post("/v1/runs", json=paired_run(post(sqlite_service).json()["id"]))
    assert answer.json()["errors"][0]["field"] == "dataset.upload"
    assert "holds no pairs; upload it again, with pairs=true" in answer.json()["errors"][0]["message"]


def test_edges_of_an_upload_need_images(sqlite_service: Service) -> None:
    images = post(sqlite_service, npy(pixels(0, 110, 12, 12))).json()["id"]
    points = post(sqlite_service, npy(np.linspace(-1, 1, 220, dtype=np.float32).reshape(110, 2))).json()
    dataset = {"name": "upload-edges", "upload": images, "held_out": 50}
    assert sqlite_service.client.post("/v1/runs", json={"spec": {**PAIRED, "dataset": dataset}}).status_code == 202
    of_points = {"spec": {**PAIRED, "dataset": {**dataset, "upload": points["id"]}}}
    [problem] = sqlite_service.client.post("/v1/runs", json=of_points).json()["errors"]
    assert (problem["field"], "points have no edges" in problem["message"]) == ("dataset.upload", True)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"lines/007.png": None},
            "'photos/007.png' has no partner in 'lines'; add one of the same name, or leave it out",
        ),
        ({"lines/007.webp": pixels(0, 12, 12)}, "'lines/007.png' and 'lines/007.webp' have one name; keep one of them"),
        ({"more/007.png": pixels(0, 12, 12)}, "has pictures in 3 folders"),
        ({"lines/007.png": pixels(0, 12, 13)}, "all pictures need the same size, or send image_size"),
    ],
)
def test_pictures_without_one_partner_are_refused(
    sqlite_service: Service, changes: dict[str, np.ndarray | None], words: str
) -> None:
    pictures = {name: picture for name, picture in (drawings() | changes).items() if picture is not None}
    assert words in refused(sqlite_service, post(sqlite_service, zip_of(pictures), pairs="true"))["file"]


# --- what is refused --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (
            zip_of(pets(8, 8, 3) | {"dogs/07.png": pixels(0, 9, 8, 3)}),
            "'dogs/07.png' is 8 x 9 pixels, coloured, 'cats/00.png' is 8 x 8 pixels, coloured; all pictures need the "
            "same size, or send image_size, to which the centre square of each is resized",
        ),
        (zip_of(pets(8, 8, 3) | {"dogs/07.png": pixels(0, 8, 8)}), "'dogs/07.png' is 8 x 8 pixels, grey"),
        (zip_of(pets(8, 8, 3) | {"dogs/07.png": b"\x89PNG\r\n\x1a\n and so on"}), "'dogs/07.png' is"),
        (zip_of({f"{n}/x.png": pixels(n, 2, 2) for n in range(1001)}), "has pictures in 1,001 folders"),
        (npy(pixels(0, 49, 8, 8)), "holds 49 samples"),
        (npy(np.zeros((60, 3, 8, 8), np.float32) + pixels(0, 60, 1, 1, 1)), "images have to be uint8"),
        (npy(np.full((60, 2), 1.5) * np.arange(60)[:, None]), "holds points beyond -1 to 1"),
        (b"nothing", "is not one of the files that are read"),
    ],
)
def test_a_set_that_cannot_be_trained_on_is_refused(sqlite_service: Service, file: bytes, words: str) -> None:
    problems = refused(sqlite_service, post(sqlite_service, file))
    assert list(problems) == ["file"]
    assert words in problems["file"]


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"image_size": 4}, "image_size", "greater than or equal to 8"),
        ({"image_size": "large"}, "image_size", "valid integer"),
        ({"name": "bell\a"}, "name", "match"),
        ({"pairs": "perhaps"}, "pairs", "valid boolean"),
        ({"crop": "yes"}, "crop", "is not a field here; allowed: file, name, image_size, pairs"),
    ],
)
def test_a_field_that_cannot_be_is_refused(
    sqlite_service: Service, fields: dict[str, Any], field: str, words: str
) -> None:
    problems = refused(sqlite_service, post(sqlite_service, **fields))
    assert list(problems) == [field]
    assert words in problems[field]


def test_points_have_no_size_to_be_cut_to(sqlite_service: Service) -> None:
    assert "leave image_size out" in refused(sqlite_service, post(sqlite_service, POINTS, image_size=32))["file"]


def test_what_is_no_form_or_too_large_is_refused(sqlite_engine: Engine, tmp_path: Path) -> None:
    service = make_service(sqlite_engine, tmp_path, max_upload_bytes=2000, max_unpacked_bytes=1000)
    assert refused(service, service.client.post(PATH, json={}), 415) == {}
    assert refused(service, post(service, bytes(3000)), 413) == {}
    assert "allowed: 1,000" in refused(service, post(service, npy(pixels(0, 60, 5, 5))))["file"]


def test_a_folder_whose_name_reaches_into_terminals_is_shown_without_that(sqlite_service: Service) -> None:
    pictures = {name.replace("cats", "c\x1b[2Jts"): picture for name, picture in pets(8, 8, 3).items()}
    assert post(sqlite_service, zip_of(pictures)).json()["class_names"] == ["c\ufffd[2Jts", "dogs"]
