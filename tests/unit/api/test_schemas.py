"""The API's views show all that ganlib's values hold, under the same names, so that clients read them back."""

from dataclasses import fields
from typing import Any

import pytest

from api import schemas
from api.runs import record_schemas
from ganlib.diagnosis.verdict import Diagnosis, Evidence, Finding, Remedy
from ganlib.records import Bin, EpochEvaluation, Null
from store.core.models import Attempt, Run

PRIVATE = {
    "idempotency_key",
    "request_hash",
    "token",
    "traceparent",
    "waits_since",
    "lease_worker",
    "lease_expires_at",
    "spec",
    "kind",
    "owner",
    "extension_key",
    "request_id",
}


@pytest.mark.parametrize(
    ("view", "value"),
    [
        (record_schemas.EvaluationView, EpochEvaluation),
        (record_schemas.NullView, Null),
        (record_schemas.BinView, Bin),
        (record_schemas.DiagnosisView, Diagnosis),
        (record_schemas.FindingView, Finding),
        (record_schemas.EvidenceView, Evidence),
        (record_schemas.RemedyView, Remedy),
    ],
)
def test_a_view_has_the_fields_of_its_value(view: type[schemas.View], value: Any) -> None:
    assert [name for name in view.model_fields if name != "href"] == [field.name for field in fields(value)]


def test_a_run_shows_every_column_that_is_not_the_services_own() -> None:
    assert set(schemas.RunView.model_fields) - {"links"} == set(Run.__table__.columns.keys()) - PRIVATE


def test_an_attempt_shows_every_column_that_is_not_the_services_own() -> None:
    assert set(schemas.AttemptView.model_fields) == set(Attempt.__table__.columns.keys()) - PRIVATE - {"run_id"}
