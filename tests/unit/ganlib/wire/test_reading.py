"""Answers are written strictly and read leniently."""

import importlib
import pkgutil
from typing import Any, TypeGuard

import pytest
from pydantic import ValidationError

import ganlib.wire
from ganlib.diagnosis.verdict import Diagnosis
from ganlib.wire.annotations import LabelView
from ganlib.wire.comparisons import ComparisonDetail
from ganlib.wire.problems import Problem
from ganlib.wire.reading import read
from ganlib.wire.runs import RunDetail, RunView
from ganlib.wire.treatments import TreatmentView
from ganlib.wire.view import View
from tests.support.fake_service import (
    COLLAPSE,
    COMPARED,
    comparison_document,
    label_document,
    run_document,
    treatment_document,
    try_document,
)

NEWER = "a_field_of_a_newer_service"
WORDS = {"status", "verdict", "severity", "kind", "finding", "outcome", "limit", "scope", "picture", "comparison"}
"""Fields whose values are words of a list."""


def written(document: dict[str, Any]) -> dict[str, Any]:
    """What a service of this version would write."""
    return {name: value for name, value in document.items() if name != NEWER}


def test_a_newer_services_field_is_left_out_where_it_is_read() -> None:
    run = read(RunView, run_document())
    assert not hasattr(run, NEWER)
    assert run == RunView.model_validate(written(run_document()))


def test_a_newer_services_status_stays_as_it_came_where_it_is_read() -> None:
    run = read(RunView, run_document(status="frozen", verdict="bored", severity="cosmic"))
    assert (run.status, run.verdict, run.severity) == ("frozen", "bored", "cosmic")
    assert not run.is_final
    assert run.to_json()["status"] == "frozen"


def test_newer_words_are_read_at_any_depth() -> None:
    treatment = read(TreatmentView, treatment_document(try_document(1, "r1", status="frozen"), status="adjourned"))
    assert (treatment.status, treatment.tries[0].status) == ("adjourned", "frozen")


def test_a_newer_services_finding_is_read() -> None:
    document: dict[str, Any] = COLLAPSE.to_json() | {"verdict": "bored", NEWER: 1}
    document["findings"][0] |= {"name": "bored", "severity": "cosmic", NEWER: 1}
    found = read(Diagnosis, document)
    assert (found.verdict, found.findings[0].name, found.findings[0].severity) == ("bored", "bored", "cosmic")
    assert found.findings[0].evidence == COLLAPSE.findings[0].evidence


def test_newer_links_and_options_are_read_as_they_came() -> None:
    options, links = {"space": "a newer one", "mood": 1}, {"self": "/v1/x", "newer": "/v1/y"}
    comparison = read(ComparisonDetail, comparison_document(options=options, links=links))
    assert (comparison.options, comparison.links) == (options, links)


def test_what_a_comparison_found_is_read_with_a_newer_services_fields() -> None:
    found = read(ComparisonDetail, COMPARED).evaluation
    assert found is not None
    assert found.to_json() == {name: value for name, value in COMPARED["evaluation"].items() if name != "a_newer_field"}


def test_a_field_that_an_older_service_does_not_send_is_empty() -> None:
    document = run_document()
    for name in ("extended_from", "pause_requested", "links"):
        del document[name]
    run = read(RunView, document)
    assert (run.extended_from, run.pause_requested, run.links) == (None, False, {})


def test_what_is_no_answer_at_all_is_refused() -> None:
    with pytest.raises(ValidationError, match="id"):
        read(RunView, {"status": "queued"})
    with pytest.raises(ValidationError):
        read(RunView, run_document(status=3))


def test_an_unknown_field_is_not_written() -> None:
    with pytest.raises(ValidationError, match=NEWER):
        RunView.model_validate(run_document())
    with pytest.raises(ValidationError, match="title"):
        Problem.model_validate({"status": 404})


@pytest.mark.parametrize("changes", [{"status": "frozen"}, {"verdict": "bored"}, {"links": {"self": "/v1/runs/a"}}])
def test_an_unknown_word_or_a_link_too_few_is_not_written(changes: dict[str, Any]) -> None:
    document = written(run_document())
    assert RunView.model_validate(document)
    with pytest.raises(ValidationError, match=next(iter(changes))):
        RunView.model_validate(document | changes)


def test_no_field_may_be_left_out_where_it_is_written() -> None:
    document = written(run_document())
    for name in document:
        with pytest.raises(ValidationError, match=name):
            RunView.model_validate({key: value for key, value in document.items() if key != name})


def test_a_spec_that_is_none_is_not_written() -> None:
    document = written(run_document()) | {"spec": {"dataset": {"name": "nope"}}, "request_id": None, "attempts": []}
    with pytest.raises(ValidationError, match="dataset"):
        RunDetail.model_validate(document)
    assert read(RunDetail, document).spec == {"dataset": {"name": "nope"}}


def test_the_fake_service_answers_as_the_service_does() -> None:
    """Strictly, so that the client is tested on what it really gets."""
    for kind, document in (
        (RunView, run_document()),
        (LabelView, label_document()),
        (TreatmentView, treatment_document(written(try_document(1, "r1")))),
        (ComparisonDetail, comparison_document(options={})),
    ):
        assert kind.model_validate(written(document))


def refusals(view: type[View], document: dict[str, Any]) -> set[str]:
    """Why pydantic refuses to read the document, by the names that it has for reasons."""
    try:
        read(view, document)
    except ValidationError as refused:
        return {item["type"] for item in refused.errors()}
    return set()


def is_view(found: object) -> TypeGuard[type[View]]:
    return isinstance(found, type) and issubclass(found, View) and found is not View


@pytest.mark.parametrize("module", [module.name for module in pkgutil.iter_modules(ganlib.wire.__path__)])
def test_every_view_is_read_leniently(module: str) -> None:
    """Fails where pydantic's schemas get a form that `read` does not know."""
    views = [found for found in vars(importlib.import_module(f"ganlib.wire.{module}")).values() if is_view(found)]
    for view in views:
        words = [name for name, field in view.model_fields.items() if name in WORDS and field.annotation is not int]
        document: dict[str, Any] = {NEWER: 1, **dict.fromkeys(words, "a newer word")}
        assert refusals(view, document) <= {"missing"}, view
