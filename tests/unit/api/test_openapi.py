"""The OpenAPI document: what clients can rely on."""

import json
from pathlib import Path
from typing import Any

import pytest

from api.http.auth import OPEN_PATHS
from api.openapi import main, openapi_document

GOLDEN = Path(__file__).with_name("openapi.json")
PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return openapi_document()


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(path, method, operation) for path, item in document["paths"].items() for method, operation in item.items()]


def test_the_document_changes_only_on_purpose(document: dict[str, Any]) -> None:
    """After a change: python -m api.openapi > tests/unit/api/openapi.json"""
    assert json.loads(GOLDEN.read_text("utf-8")) == document


def test_the_script_writes_the_golden_file(capsys: pytest.CaptureFixture[str]) -> None:
    main()
    assert capsys.readouterr().out == GOLDEN.read_text("utf-8")


def test_every_operation_but_health_names_the_security_scheme(document: dict[str, Any]) -> None:
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    for path, _, operation in operations(document):
        assert operation.get("security", []) == ([] if path in OPEN_PATHS else [{"token": []}]), path


def test_every_error_is_documented_as_a_problem(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        if path in OPEN_PATHS:
            continue
        errors = {s: r["content"] for s, r in operation["responses"].items() if s == "default" or int(s) >= 400}
        assert {"401", "503", "default"} <= set(errors), path
        assert all(content == PROBLEM for content in errors.values()), path
        if "{" in path:
            assert "404" in errors, path
        if method == "post" and "requestBody" in operation:
            assert {"400", "413", "415", "422"} <= set(errors), path
            has_key = any(
                parameter["name"].lower() == "idempotency-key" for parameter in operation.get("parameters", ())
            )
            assert has_key == ("409" in errors), path


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    text = json.dumps(document)
    names = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert names <= set(document["components"]["schemas"])
    assert "HTTPValidationError" not in text


def test_operation_ids_are_unique_names(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(ids) == len(set(ids))
    assert all(name.isidentifier() for name in ids)
