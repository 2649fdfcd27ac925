"""Evaluations of uploaded samples, over HTTP: what is taken, what is refused, and that nothing is left of that."""

import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from PIL import Image
from sqlalchemy import Engine

from store import comparisons
from store.core.db import reading, transaction
from store.files.artifacts import LocalArtifacts
from store.runs import endings
from tests.support.api import Service, make_service, record, record_comparison
from tests.support.comparison import create_comparison
from tests.support.store import claim_run

PATH = "/v1/evaluations"
PROBLEM = "application/problem+json"


def npy(array: np.ndarray, **options: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def points(seed: int, count: int = 60, dims: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, dims)).astype(np.float32)


def pixels(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def zip_of(images: np.ndarray) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for number, image in enumerate(images):
            content = io.BytesIO()
            Image.fromarray(image).save(content, format="PNG")
            archive.writestr(f"{number}.png", content.getvalue())
    return file.getvalue()


REAL, FAKE = npy(points(0)), npy(points(1))


def post(service: Service, real: bytes = REAL, fake: bytes = FAKE, **options: Any) -> httpx2.Response:
    data = {"options": json.dumps(options)} if options else {}
    return service.client.post(PATH, files={"real": real, "fake": fake}, data=data)


def files_of(service: Service) -> list[Path]:
    """Everything in the service's home but its database."""
    return [p for p in service.settings.home.rglob("*") if p.is_file() and not p.name.startswith("ganclinic.db")]


def refused(service: Service, answer: httpx2.Response, status: int = 422) -> dict[str, str]:
    """The fields that are wrong; nothing is left of the request."""
    assert (answer.status_code, answer.headers["content-type"]) == (status, PROBLEM), answer.text
    assert service.count_runs() == 0
    assert service.rung == []
    assert files_of(service) == []
    return {problem["field"]: problem["message"] for problem in answer.json().get("errors", [])}


# --- making one -------------------------------------------------------------------------------------------------


def test_two_sets_become_a_queued_evaluation_that_is_stored_when_it_is_answered(service: Service) -> None:
    answer = post(service, num_bins=2, seed=2**63 - 1)
    assert (answer.status_code, service.rung) == (202, [1])
    view = answer.json()
    assert answer.headers["location"] == view["links"]["self"] == f"{PATH}/{view['id']}"
    assert (view["status"], view["n_real"], view["n_fake"], view["shape"]) == ("queued", 60, 60, [2])
    assert (view["options"]["num_bins"], view["options"]["seed"]) == (2, 2**63 - 1)
    assert view["options"]["space"] == "pixels"
    assert service.client.get(view["links"]["self"]).json() == {**view, "evaluation": None}


def test_the_stored_arrays_are_those_that_were_uploaded(service: Service) -> None:
    images = pixels(0, 60, 4, 5, 3)
    answer = post(service, zip_of(images), npy(images[::-1]))
    with reading(service.engine) as session:
        spec = comparisons.get(session, answer.json()["id"]).spec
    artifacts = LocalArtifacts(service.settings.artifacts)
    assert np.array_equal(np.load(artifacts.path(spec["reals"])), images.transpose(0, 3, 1, 2))
    assert np.array_equal(np.load(artifacts.path(spec["fakes"])), images[::-1].transpose(0, 3, 1, 2))
    assert sorted(files_of(service)) == sorted(artifacts.path(spec[name]) for name in ("reals", "fakes"))


@pytest.mark.parametrize("name", ["x.npy", "", "../../x", "real.txt", "\N{PILE OF POO}"])
def test_the_name_of_a_file_says_nothing(sqlite_service: Service, name: str) -> None:
    files = {"real": (name, REAL, "text/plain"), "fake": (None, FAKE)}
    assert sqlite_service.client.post(PATH, files=files).status_code == 202


def test_a_key_makes_one_evaluation_however_often_it_is_sent(service: Service) -> None:
    key = {"Idempotency-Key": "once"}
    first, again = (service.client.post(PATH, files={"real": REAL, "fake": FAKE}, headers=key) for _ in range(2))
    assert first.json() == again.json()
    left = len(files_of(service))
    for other in ({"real": FAKE, "fake": REAL}, {"real": REAL, "fake": npy(points(2))}):
        answer = service.client.post(PATH, files=other, headers=key)
        assert (answer.status_code, answer.headers["content-type"]) == (409, PROBLEM)
    answer = service.client.post("/v1/runs", json={"preset": "digit8-stable"}, headers=key)
    assert answer.status_code == 409
    assert (service.count_runs(), len(files_of(service))) == (1, left)


# --- looking at it ----------------------------------------------------------------------------------------------


def test_an_evaluation_that_has_succeeded_shows_what_it_found(service: Service) -> None:
    evaluation_id = record_comparison(service)
    view = service.client.get(f"{PATH}/{evaluation_id}").json()
    assert (view["status"], view["error"], view["attempt"]) == ("succeeded", None, 1)
    assert (view["evaluation"]["values"]["ndb_over_k"], view["evaluation"]["values"]["js"]) == (0.5, None)
    assert view["evaluation"]["nulls"]["ndb_over_k"]["mean"] == 0.05
    for format, start in (("png", b"\x89PNG"), ("svg", b"<?xml")):
        figure = service.client.get(f"{PATH}/{evaluation_id}/figures/ndb.{format}")
        assert (figure.status_code, figure.content[: len(start)]) == (200, start)
        known = {"If-None-Match": figure.headers["etag"]}
        assert service.client.get(f"{PATH}/{evaluation_id}/figures/ndb.{format}", headers=known).status_code == 304
    assert service.client.get(f"{PATH}/{evaluation_id}/figures/ndb.gif").status_code == 422


def test_an_evaluation_that_failed_says_why(service: Service) -> None:
    with transaction(service.engine) as session:
        evaluation_id = create_comparison(session).id
        claim = claim_run(session)
        endings.finish(session, evaluation_id, claim.token, "failed", error="no luck", error_kind="Luck")
    view = service.client.get(f"{PATH}/{evaluation_id}").json()
    assert (view["status"], view["error"], view["error_kind"], view["evaluation"]) == (
        "failed",
        "no luck",
        "Luck",
        None,
    )
    figure = service.client.get(f"{PATH}/{evaluation_id}/figures/ndb.png")
    assert (figure.status_code, figure.json()["detail"]) == (404, "The evaluation has recorded no NDB yet.")


def test_runs_and_evaluations_are_not_found_as_each_other(service: Service) -> None:
    evaluation_id, run = record_comparison(service), record(service, 1)
    for path in (f"/v1/runs/{evaluation_id}", f"/v1/runs/{evaluation_id}/evaluations", f"{PATH}/{run.id}"):
        answer = service.client.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (404, PROBLEM), path
    assert service.client.post(f"/v1/runs/{evaluation_id}/cancel").status_code == 404
    assert service.client.post(f"{PATH}/{run.id}/cancel").status_code == 404
    assert [item["id"] for item in service.client.get("/v1/runs").json()["items"]] == [run.id]
    assert [item["id"] for item in service.client.get(PATH).json()["items"]] == [evaluation_id]


def test_evaluations_are_listed_page_by_page_newest_first(service: Service) -> None:
    made = [post(service, seed=seed).json()["id"] for seed in range(3)]
    first = service.client.get(PATH, params={"limit": 2}).json()
    rest = service.client.get(PATH, params={"limit": 2, "cursor": first["next_cursor"]}).json()
    assert [item["id"] for item in first["items"] + rest["items"]] == made[::-1]
    assert rest["next_cursor"] is None
    service.client.post(f"{PATH}/{made[1]}/cancel")
    found = service.client.get(PATH, params={"status": "cancelled"}).json()["items"]
    assert [item["id"] for item in found] == [made[1]]
    assert service.client.get(PATH, params={"cursor": "x"}).status_code == 422
    assert service.client.get(PATH, params={"preset": "x"}).status_code == 422


def test_a_queued_evaluation_is_cancelled_at_once(service: Service) -> None:
    path = post(service).json()["links"]["self"]
    for _ in range(2):
        answer = service.client.post(f"{path}/cancel")
        assert (answer.status_code, answer.json()["status"]) == (202, "cancelled")


# --- what is refused --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (points(0, 49), "holds 49 samples; at least 50 are needed"),
        (np.ones((60, 2), np.float32), "all samples are equal"),
        (np.where(points(0) > 2, np.nan, points(0)), "not finite"),
        (np.full((60, 2), np.inf), "not finite"),
        (points(0).astype(complex), "complex128; save pixels as uint8"),
        (points(0).astype(str), "save pixels as uint8"),
        (points(0)[:, 0], r"samples need one row each"),
        (np.float32(1), r"samples need one row each"),
        (pixels(0, 60, 4), "features have to be float32"),
        (pixels(0, 60, 3, 4, 3), "could be channels"),
    ],
)
@pytest.mark.parametrize("field", ["real", "fake"])
def test_samples_that_cannot_be_compared_are_refused(
    sqlite_service: Service, field: str, array: np.ndarray, words: str
) -> None:
    problems = refused(sqlite_service, post(sqlite_service, **{field: npy(array)}))
    assert list(problems) == [field]
    assert words in problems[field]


def test_nothing_is_unpickled(sqlite_service: Service) -> None:
    problems = refused(sqlite_service, post(sqlite_service, npy(np.array([{}] * 60), allow_pickle=True)))
    assert "never unpickled" in problems["real"]


def test_both_files_are_looked_at(sqlite_service: Service) -> None:
    assert set(refused(sqlite_service, post(sqlite_service, b"x", b"y"))) == {"real", "fake"}


@pytest.mark.parametrize(
    ("fake", "words"),
    [
        (
            npy(points(1, dims=3)),
            "holds floats of the shape [3], real holds floats of the shape [2]; both need the same",
        ),
        (npy(pixels(0, 60, 4, 5)), "holds images of the shape [1, 4, 5]"),
    ],
)
def test_sets_that_do_not_fit_together_are_refused(sqlite_service: Service, fake: bytes, words: str) -> None:
    problems = refused(sqlite_service, post(sqlite_service, fake=fake))
    assert words in problems["fake"]


@pytest.mark.parametrize(
    ("options", "field", "words"),
    [
        ({"measures": ["paired"]}, "options.measures", "as many real images as fake ones"),
        ({"num_bins": 3}, "options.num_bins", "3 bins need at least 75 fakes and 75 reals (25 a bin)"),
        ({"num_bins": 1}, "options.num_bins", "greater than or equal to 2, not 1"),
        ({"neighbours": 30}, "options.neighbours", "needs more than 60 samples on either side"),
        ({"space": "discriminator"}, "options.space", "needs the discriminator of a run; allowed: 'pixels'"),
        ({"space": "inception-v3"}, "options.space", "needs images; allowed: 'pixels'"),
        ({"space": "vgg"}, "options.space", "not 'vgg'"),
        ({"measures": []}, "options.measures", "at least 1 item"),
        ({"measures": ["ndb", "ndb"]}, "options.measures", "may be named once"),
        ({"measures": ["ndb", "fid"]}, "options.measures[1]", "not 'fid'"),
        ({"seed": -1}, "options.seed", "greater than or equal to 0"),
        ({"every_epochs": 2}, "options.every_epochs", "is not a field here; allowed: measures, space, num_bins"),
    ],
)
def test_options_that_cannot_be_are_refused(
    sqlite_service: Service, options: dict[str, Any], field: str, words: str
) -> None:
    problems = refused(sqlite_service, post(sqlite_service, **options))
    assert list(problems) == [field]
    assert words in problems[field]


@pytest.mark.parametrize("options", ["", "{", "[]", "null", "1", '{"seed": NaN}', "[" * 5000, "\ud800"])
def test_options_that_are_no_json_object_are_refused(sqlite_service: Service, options: str) -> None:
    content = options.encode("utf-8", "surrogatepass")
    files = {"real": REAL, "fake": FAKE, "options": (None, content)}
    problems = refused(sqlite_service, sqlite_service.client.post(PATH, files=files))
    assert [field.partition(".")[0] for field in problems] == ["options"]


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({}, {}),
        ({"real": REAL}, {"fake": "is missing; send it as a file"}),
        ({"fake": FAKE}, {"real": "is missing; send it as a file"}),
        ({"real": REAL, "fakes": FAKE}, {"fakes": "is not a field here; allowed: real, fake, options"}),
        ({"options": b"{}"}, dict.fromkeys(["real", "fake"], "is missing; send it as a file")),
        ({"options": b" " * 70_000}, {"options": "is too long; allowed: 65,536 bytes"}),
    ],
)
def test_a_form_with_other_fields_is_refused(
    sqlite_service: Service, fields: dict[str, bytes], wrong: dict[str, str]
) -> None:
    answer = sqlite_service.client.post(PATH, files=fields)
    assert refused(sqlite_service, answer, 422 if fields else 415) == wrong


def test_a_field_that_is_given_twice_is_refused(sqlite_service: Service) -> None:
    answer = sqlite_service.client.post(PATH, files=[("real", REAL), ("fake", FAKE), ("real", REAL)])
    assert refused(sqlite_service, answer) == {"real": "is given twice"}


MULTIPART = "multipart/form-data; boundary=b"
PART = b'--b\r\nContent-Disposition: form-data; name="real"; filename="x"\r\n\r\n'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        b"--b",
        b"--b--\r\n",
        PART,
        PART + REAL,
        PART + REAL + b"\r\n--b",
        b"--c\r\n" + PART,
        b"--b\r\n" + b"x" * 100_000,
        b'--b\r\nContent-Disposition: form-data; name="' + b"x" * 100_000,
        b"--b\r\n" + b"A: b\r\n" * 1000,
    ],
)
def test_a_body_that_is_no_form_is_refused(sqlite_service: Service, body: bytes) -> None:
    answer = sqlite_service.client.post(PATH, content=body, headers={"Content-Type": MULTIPART})
    refused(sqlite_service, answer, 422 if body == b"--b--\r\n" else 400)


@pytest.mark.parametrize(
    "part",
    [
        b"A: b\r\n\r\nx",
        b"Content-Disposition: form-data\r\n\r\nx",
        b'Content-Disposition: form-data; name="\xff"\r\n\r\nx',
    ],
)
def test_a_part_without_a_known_name_is_refused(sqlite_service: Service, part: bytes) -> None:
    answer = sqlite_service.client.post(
        PATH, content=b"--b\r\n" + part + b"\r\n--b--\r\n", headers={"Content-Type": MULTIPART}
    )
    assert "is not a field here" in next(iter(refused(sqlite_service, answer).values()))


@pytest.mark.parametrize(
    "content_type",
    [None, "application/json", "multipart/form-data", "multipart/form-data; boundary=", "multipart/mixed; boundary=b"],
)
def test_a_body_that_is_not_declared_as_a_form_is_refused(sqlite_service: Service, content_type: str | None) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    answer = sqlite_service.client.post(PATH, content=PART + REAL + b"\r\n--b--\r\n", headers=headers)
    refused(sqlite_service, answer, 415)
    assert answer.headers["accept"] == "multipart/form-data"


@pytest.mark.parametrize(("scale", "offset", "words"), [(0.5, 0.5, r"\[0, 1\]"), (0.5, 0.0, r"\[-\.5, \.5\]")])
def test_images_of_two_scales_are_refused(sqlite_service: Service, scale: float, offset: float, words: str) -> None:
    real = pixels(0, 60, 1, 8, 8).astype(np.float32) / 127.5 - 1
    fake = pixels(1, 60, 1, 8, 8).astype(np.float32) / 127.5 - 1
    problems = refused(sqlite_service, post(sqlite_service, npy(real), npy(scale * fake + offset)))
    assert re.match(rf"has pixels in {words}, real has them in \[-1, 1\]; save both", problems["fake"])
    assert post(sqlite_service, npy(real), npy(fake)).status_code == 202


def test_what_unpacks_to_too_much_is_refused(sqlite_engine: Engine, tmp_path: Path) -> None:
    service = make_service(sqlite_engine, tmp_path, max_unpacked_bytes=400)
    problems = refused(service, post(service))
    assert problems["real"] == "unpacks to 480 bytes; allowed: 400. Send fewer samples"
