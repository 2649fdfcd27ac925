"""Requests that nobody thought of, made from the OpenAPI document: every answer is one that the document promises."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import load_all_checks, negative_data_rejection, positive_data_acceptance

from api.openapi import openapi_document
from ganlib.step_blocks import MEDIA_TYPE
from store.core.db import make_engine, transaction
from store.runs import endings
from tests.support.api import TOKEN, make_service, record, record_comparison

HEADERS = {"Authorization": f"Bearer {TOKEN}"}
EXCLUDED = [
    positive_data_acceptance,  # the schema cannot say which presets and specs are valid
    negative_data_rejection,  # an unknown parameter whose value is an empty list is counted as sent
]


@schemathesis.serializer(MEDIA_TYPE)
def as_bytes(_context: schemathesis.SerializationContext, value: Any) -> bytes:
    """The body of a block of steps, as it was made; what is no text or bytes, in words."""
    return bytes(value) if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")


OPERATIONS = [
    (path, method, mode)
    for path, item in openapi_document()["paths"].items()
    for method, operation in item.items()
    for mode in GenerationMode
    if (mode is GenerationMode.POSITIVE or "parameters" in operation or "requestBody" in operation)
    # what is rightly asked of these is answered for ever; tests/integration/api/test_events.py reads it
    and not (mode is GenerationMode.POSITIVE and path.endswith("/events"))
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is shot at."""

    schema: schemathesis.BaseSchema
    run_id: str
    """A run with three epochs, so that more is reached than its absence."""
    over_id: str
    """A run that has ended, as has its log: that of another is streamed without end."""
    evaluation_id: str
    """An evaluation that has succeeded."""


@pytest.fixture(scope="module")
def target(migrated_sqlite_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    home = tmp_path_factory.mktemp("fuzz")
    engine = make_engine(f"sqlite:///{shutil.copy(migrated_sqlite_file, home / 'ganclinic.db')}")
    service = make_service(engine, home)
    run, over = record(service), record(service)
    with transaction(engine) as session:
        endings.finish(session, over.id, over.claim.token, "succeeded")
    load_all_checks()
    schema = schemathesis.openapi.from_dict(service.app.openapi())
    schema.app = service.app
    yield Target(schema=schema, run_id=run.id, over_id=over.id, evaluation_id=record_comparison(service))
    engine.dispose()


@pytest.mark.parametrize(("path", "method", "mode"), OPERATIONS)
def test_every_answer_is_one_that_is_documented(target: Target, path: str, method: str, mode: GenerationMode) -> None:
    operation = target.schema[path][method]

    @settings(
        max_examples=2 if "figures" in path else 5,  # enough to notice a mistake; a figure takes a quarter of a second
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def check(case: schemathesis.Case[Any]) -> None:
        for name in ("run_id", "evaluation_id"):
            if name in case.path_parameters:
                case.path_parameters[name] = getattr(target, name)
        if path.endswith("/stream"):
            case.path_parameters["run_id"] = target.over_id
        case.call_and_validate(headers=HEADERS, excluded_checks=EXCLUDED)

    check()
