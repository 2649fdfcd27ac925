"""Labels: what people say of verdicts, for suites that measure the rules against it."""

from typing import Annotated

from fastapi import APIRouter, Query, Response
from sqlalchemy.orm import Session

from api.deps import FoundRun, IdempotencyKey, JsonBody, Reader, RunId, Writer
from api.errors import NotRecorded, documented
from api.requests import PageQuery
from api.views import fields_of
from ganlib.diagnosis.verdict import Diagnosis
from ganlib.spec.request import InvalidRequest
from ganlib.wire.annotations import LabelledRun, LabelList, LabelPage, LabelRequest, LabelView
from store import annotations
from store.core.models import Annotation, Run
from store.runs import lifecycle, records

JSON_LINES = "application/x-ndjson"

router = APIRouter(tags=["labels"])


@router.post(
    "/runs/{run_id}/labels",
    status_code=201,
    dependencies=[JsonBody],
    responses=documented(400, 404, 409, 413, 415, 422),
)
def create_label(run_id: RunId, request: LabelRequest, session: Writer, idempotency_key: IdempotencyKey) -> LabelView:
    """Say that a finding is, or is not, there. It is kept beside the verdict that was known then."""
    run = lifecycle.get(session, run_id)
    known = _known(session, run, request.epoch)
    return _view(annotations.add(session, run.id, request, known, idempotency_key=idempotency_key))


def _known(session: Session, run: Run, epoch: int | None) -> Diagnosis:
    """The diagnosis that a label is beside."""
    found = records.diagnosis(session, run.id, epoch)
    if found is not None:
        return found
    if run.epochs_done == 0:
        raise NotRecorded("diagnosis yet")
    raise InvalidRequest({"epoch": f"the run has recorded no epoch {epoch}; allowed: 1 to {run.epochs_done}, or null"})


@router.get("/runs/{run_id}/labels", responses=documented(404))
def list_labels_of_run(run: FoundRun, session: Reader) -> LabelList:
    """List what people said of a run's verdict, newest first."""
    return LabelList(items=tuple(_view(label) for label in annotations.of_run(session, run.id)))


@router.get("/labels", responses=documented(422))
def list_labels(session: Reader, query: Annotated[PageQuery, Query()]) -> LabelPage:
    """List what people said of verdicts, newest first."""
    page = annotations.list_labels(session, limit=query.limit, cursor=query.cursor)
    return LabelPage(items=tuple(_view(label) for label in page.items), next_cursor=page.next_cursor)


@router.get(
    "/labels/export",
    response_class=Response,
    responses={200: {"description": "A `LabelledRun` a line", "content": {JSON_LINES: {"schema": {"type": "string"}}}}},
)
def export_labels(session: Reader) -> Response:
    """Write every label with its run's spec, as JSON lines, oldest first."""
    lines = (_of_run(label, run).model_dump_json() + "\n" for label, run in annotations.with_runs(session))
    return Response("".join(lines), media_type=JSON_LINES)


def _view(label: Annotation) -> LabelView:
    return LabelView(**fields_of(LabelView, label))


def _of_run(label: Annotation, run: Run) -> LabelledRun:
    return LabelledRun(
        **fields_of(LabelView, label),
        spec=run.spec,
        spec_hash=run.spec_hash,
        seed=run.seed,
        warm_start=run.warm_start,
    )
