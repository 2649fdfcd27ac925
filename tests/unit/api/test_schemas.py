"""Answers show all that the values and rows behind them hold, under the same names, so that clients read them back."""

from dataclasses import fields
from typing import Any

import pytest
from pydantic import TypeAdapter

from ganlib.diagnosis.verdict import Diagnosis, Episode, Evidence, Finding, Remedy
from ganlib.records import Bin, EpochEvaluation, Null
from ganlib.wire.diagnoses import DiagnosisView, EpisodeView, EvidenceView, FindingView, RemedyView
from ganlib.wire.epochs import BinView, EvaluationView, NullView
from ganlib.wire.runs import AttemptView, RunDetail, RunView
from ganlib.wire.view import View
from store.core.models import Attempt, Run

PRIVATE = {
    "stack_key",
    "idempotency_key",
    "request_hash",
    "token",
    "traceparent",
    "waits_since",
    "lease_worker",
    "lease_expires_at",
    "kind",
    "owner",
    "extension_key",
}
VALUES: list[tuple[type[View], type[Any]]] = [
    (EvaluationView, EpochEvaluation),
    (NullView, Null),
    (BinView, Bin),
    (DiagnosisView, Diagnosis),
    (FindingView, Finding),
    (EvidenceView, Evidence),
    (EpisodeView, Episode),
    (RemedyView, Remedy),
]
WORDS = ("title", "description", "default", "additionalProperties")


@pytest.mark.parametrize(("view", "value"), VALUES)
def test_a_view_has_the_fields_of_its_value(view: type[View], value: type[Any]) -> None:
    assert [name for name in view.model_fields if name != "href"] == [field.name for field in fields(value)]


@pytest.mark.parametrize(("view", "value"), VALUES)
def test_a_view_has_the_types_of_its_value(view: type[View], value: type[Any]) -> None:
    names = {shown.__name__: kept.__name__ for shown, kept in VALUES}

    def types(schema: Any) -> Any:
        """The schema without words for people, views by the names of their values."""
        match schema:
            case {"$ref": str(path)}:
                name = path.rsplit("/", 1)[-1]
                return {"$ref": names.get(name, name)}
            case dict():
                kept = {key: types(part) for key, part in schema.items() if key not in WORDS or isinstance(part, dict)}
                return kept.get("properties", kept)
            case list():
                return [types(part) for part in schema]
            case _:
                return schema

    shown = types(view.model_json_schema())
    shown.pop("href", None)
    assert shown == types(TypeAdapter(value).json_schema())


def test_a_run_shows_every_column_that_is_not_the_services_own() -> None:
    assert set(RunView.model_fields) - {"links"} == set(Run.__table__.columns.keys()) - PRIVATE - {"spec", "request_id"}
    assert set(RunDetail.model_fields) - {"links", "attempts"} == set(Run.__table__.columns.keys()) - PRIVATE


def test_an_attempt_shows_every_column_that_is_not_the_services_own() -> None:
    assert set(AttemptView.model_fields) == set(Attempt.__table__.columns.keys()) - PRIVATE - {"run_id"}
