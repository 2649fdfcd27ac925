"""Input that was made to break something: it is refused, or stored and given back, and never a server error."""

import base64
import json
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.api import Recorded, Service, record
from tests.support.store import SPEC

JSON = {"Content-Type": "application/json"}
IDS = [
    "..%2f..%2f..%2fetc%2fpasswd",
    "%2e%2e%2f%2e%2e",
    "..\\..\\windows",
    "%00",
    "%ff%fe",
    "%ed%a0%80",
    "\N{PILE OF POO}",
    "' OR 1=1 --",
    "{run_id}",
    "x" * 5000,
    "%0d%0aSet-Cookie:%20x=y",
    "-1",
    str(10**30),
]
TEXTS = [
    "\0",
    "a\0b",
    "'; DROP TABLE runs; --",
    "%",
    "\N{PILE OF POO}",
    "\ufffe",
    "\u202e",
    "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
]


@pytest.fixture
def recorded(service: Service) -> Recorded:
    return record(service, 1)


def refused(service: Service, body: str | bytes, path: str = "/v1/runs") -> dict[str, Any]:
    answer = service.client.post(path, content=body, headers=JSON)
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.json()


def test_no_id_reaches_beyond_its_table(service: Service) -> None:
    for hostile in IDS:
        part = hostile if hostile.startswith("%") or "%2f" in hostile else quote(hostile)
        for path in ("runs/{}", "runs/{}/series", "runs/{}/figures/losses.png", "batches/{}", "presets/{}"):
            answer = service.client.get(f"/v1/{path.format(part)}")
            assert answer.status_code == 404, path
            assert answer.headers["content-type"] == "application/problem+json"
            assert "set-cookie" not in answer.headers
        assert service.client.post(f"/v1/runs/{part}/cancel").status_code == 404


@pytest.mark.parametrize(
    "epoch", ["..%2f1", "%00", "1e3", "0x1", str(10**30), "9" * 5000, "-1", "NaN", "1.5", "\u0661"]
)
def test_no_epoch_but_a_number_of_one_is_taken(service: Service, recorded: Recorded, epoch: str) -> None:
    for path in (f"samples/{epoch}", f"figures/ndb.png?epoch={epoch}", f"diagnosis?epoch={epoch}"):
        answer = service.client.get(f"{recorded.path}/{path}")
        assert answer.status_code in {404, 422}, path


def test_no_filter_breaks_the_list(service: Service, recorded: Recorded) -> None:
    for text in TEXTS:
        for field in ("name", "preset", "batch"):
            answer = service.client.get("/v1/runs", params={field: text})
            assert (answer.status_code, answer.json()["items"]) == (200, [])
        assert service.client.get("/v1/runs", params={"cursor": text}).status_code == 422


def test_a_cursor_with_other_values_breaks_nothing(service: Service, recorded: Recorded) -> None:
    for position in ("-1 \0", "1 x", " ", "1", "1 2 3", "x " + "a" * 16):
        cursor = base64.urlsafe_b64encode(position.encode()).decode().rstrip("=")
        assert service.client.get("/v1/runs", params={"cursor": cursor}).status_code == 422, position
    for created_at in ("nan", "inf", "-inf", "1e999", "9" * 400, "-1"):
        cursor = base64.urlsafe_b64encode(f"{created_at} {'a' * 16}".encode()).decode().rstrip("=")
        assert service.client.get("/v1/runs", params={"cursor": cursor}).status_code in {200, 422}, created_at


@pytest.mark.parametrize(
    "name", ["\N{PILE OF POO} \u0645\u0631\u062d\u0628\u0627", "a" * 200, "<script>alert(1)</script>", "$\\frac{$", " "]
)
def test_an_unusual_name_is_given_back_as_it_was(service: Service, name: str) -> None:
    run = service.client.post("/v1/runs", json={"spec": SPEC, "name": name}).json()
    assert service.client.get(run["links"]["self"]).json()["name"] == name
    assert [r["id"] for r in service.client.get("/v1/runs", params={"name": name}).json()["items"]] == [run["id"]]


@pytest.mark.parametrize(
    "name", ["\\u0000", "a\\u0000b", "\\u001b[2J", "\\n", "\\u009b31m", "\\ud800", "\\udfff\\ud800"]
)
@pytest.mark.parametrize(
    "body", ['{"preset": "digit8-stable", "name": "%s"}', '{"name": "%s", "runs": [{"preset": "digit8-stable"}]}']
)
def test_a_name_with_control_characters_or_half_characters_is_refused(service: Service, name: str, body: str) -> None:
    path = "/v1/batches" if "runs" in body else "/v1/runs"
    assert refused(service, body % name, path)["errors"][0]["field"] == "name"


@pytest.mark.parametrize(
    "number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1" + "0" * 400, "1e-999", "-0.0"]
)
@pytest.mark.parametrize(
    "field", ["optimizer.learning_rate", "training.epochs", "seed", "samples.count", "generator.width"]
)
def test_no_number_but_a_sensible_one_is_taken(sqlite_service: Service, field: str, number: str) -> None:
    body = f'{{"spec": {json.dumps(SPEC)}, "set": {{"{field}": {number}}}}}'
    if (field, number) in {("seed", "1e-999"), ("seed", "-0.0")}:  # zero is a seed
        assert sqlite_service.client.post("/v1/runs", content=body, headers=JSON).status_code == 202
    else:
        assert refused(sqlite_service, body)["errors"][0]["field"] == field


def test_the_largest_seed_is_kept_exactly(service: Service) -> None:
    run = service.client.post("/v1/runs", json={"spec": SPEC, "set": {"seed": 2**63 - 1}}).json()
    assert service.client.get(run["links"]["self"]).json()["seed"] == 2**63 - 1


def test_no_depth_of_nesting_is_a_server_error(sqlite_service: Service) -> None:
    for depth in (10, 100, *range(200, 1100, 25), 5000, 100_000):
        for opening, closing in (("[", "]"), ('{"a":', "}")):
            deep = opening * depth + "0" + closing * depth
            for body in (
                f'{{"spec": {deep}}}',
                f'{{"preset": "digit8-stable", "set": {{"seed": {deep}}}}}',
                f'{{"preset": "digit8-stable", "name": {deep}}}',
                deep,
            ):
                refused(sqlite_service, body)
            refused(sqlite_service, f'{{"runs": [{{"spec": {deep}}}]}}', "/v1/batches")


@pytest.mark.parametrize(
    "path",
    [
        "",
        ".",
        "..",
        "a..b",
        ".seed",
        "seed.",
        "seed.x",
        "__class__",
        "training",
        "training.epochs.x",
        "\0",
        "\x1b[2J",
        "x" * 10_000,
        "." * 5000,
    ],
)
@pytest.mark.parametrize("value", [1, None, [], {}, "\0"])
def test_no_path_in_set_reaches_anything_but_a_field(sqlite_service: Service, path: str, value: Any) -> None:
    if (path, value) == ("training", {}):
        return  # all fields of `training` have a default
    problem = refused(sqlite_service, json.dumps({"spec": SPEC, "set": {path: value}}))
    assert problem["status"] == 422


@pytest.mark.parametrize(
    "body",
    [
        "null",
        "[]",
        "1",
        '"x"',
        '{"spec": null}',
        '{"spec": []}',
        '{"spec": {}}',
        '{"set": null}',
        '{"preset": ["x"]}',
        '{"preset": "\\u0000"}',
    ],
)
def test_no_other_shape_of_json_is_taken(sqlite_service: Service, body: str) -> None:
    assert refused(sqlite_service, body)["status"] == 422
    assert refused(sqlite_service, f'{{"runs": [{body}]}}', "/v1/batches")["status"] == 422
    assert refused(sqlite_service, f'{{"runs": {body}}}', "/v1/batches")["status"] == 422


@pytest.mark.parametrize("body", [b'{"preset": "\xff"}', b"\xff\xfe{", b"\0", b'{"a"\0: 1}'])
def test_a_body_that_is_not_utf_8_is_refused(sqlite_service: Service, body: bytes) -> None:
    assert refused(sqlite_service, body)["status"] == 400


@pytest.mark.parametrize("half", [b"\\ud800", b"\xed\xa0\x80"])
@pytest.mark.parametrize("body", [b'{"preset": "%s"}', b'{"preset": "digit8-stable", "set": {"%s": 1}}', b'{"%s": 1}'])
def test_half_a_character_is_not_given_back(sqlite_service: Service, body: bytes, half: bytes) -> None:
    problem = refused(sqlite_service, body % half)
    assert json.dumps(problem, ensure_ascii=False).encode("utf-8")


def test_a_problem_does_not_repeat_all_of_a_huge_request(sqlite_service: Service) -> None:
    problem = refused(sqlite_service, json.dumps({"spec": SPEC, "set": {"x" * 100_000: "y" * 100_000}}))
    assert len(json.dumps(problem)) < 5000
