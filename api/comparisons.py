"""Evaluations of uploaded samples: two sets in, every measure out. Inside, such a job is called a comparison."""

from typing import Annotated, Any, BinaryIO

from fastapi import APIRouter, BackgroundTasks, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from api.deletion import delete_files_of_run
from api.deps import (
    CallerDep,
    EvaluationId,
    Reader,
    Services,
    ServicesDep,
    StorageRoom,
    Writer,
    require_may_change,
)
from api.errors import NotRecorded, documented
from api.http.arrays import FILE, as_npy, form_body
from api.http.concurrency import READING_TURNS
from api.http.etag import REVALIDATE, image_response
from api.http.multipart import Form, receive_form
from api.requests import ComparisonQuery
from api.runs.figures import MEDIA_TYPES, RESPONSES
from api.sandbox.reader import read_apart
from api.submission import Submission, SubmissionDep, accepted
from api.views import fields_of
from ganlib.data.archives import InvalidUpload, Limits, ReadSamples
from ganlib.evaluation.scales import scale_of_fakes, scale_of_reals, span
from ganlib.plots.versions import FIGURES_VERSION, FigureFormat
from ganlib.spec.comparison import ComparisonSpec
from ganlib.spec.request import ComparisonOptions, InvalidRequest, StoredSamples
from ganlib.wire.comparisons import ComparisonDetail, ComparisonPage, ComparisonView
from ganlib.wire.paths import comparison_path
from store import comparisons
from store.core.db import reading, transaction
from store.core.models import Run
from store.files.local import hash_file
from store.runs import deletion, records
from store.scheduling.accounts import EQUAL

FORM = form_body(
    {"real": FILE, "fake": FILE, "options": {"$ref": "#/components/schemas/ComparisonOptions"}},
    required=("real", "fake"),
    encoding={"options": {"contentType": "application/json"}},
)

router = APIRouter(prefix="/evaluations", tags=["evaluations"])


@router.post(
    "",
    status_code=202,
    dependencies=[StorageRoom],
    openapi_extra=FORM,
    responses=accepted(400, 409, 413, 415, 422, 429, 507),
)
async def create_evaluation(request: Request, submission: SubmissionDep) -> ComparisonView:
    """Queue the comparison of two sets of samples. It is stored, with its samples, when this is answered."""
    form_of = receive_form(request, submission.services.settings.uploads, ("real", "fake"), ("options",))
    async with form_of as form, READING_TURNS.limiter():
        run = await run_in_threadpool(_create, form, submission)
    submission.announce(comparison_path(run.id))
    return _view(run)


def _create(form: Form, submission: Submission) -> Run:
    """The comparison that the form asks for, stored; nothing is stored unless all of it is valid."""
    options = ComparisonOptions.from_json(form.texts.get("options", "{}"))
    services, key = submission.services, submission.idempotency_key
    real, fake = _read(form, services)
    folder = services.settings.uploads
    with as_npy(real.array, folder) as reals, as_npy(fake.array, folder) as fakes:
        spec = options.spec(_described(real, reals), _described(fake, fakes))
        if key is not None:
            with reading(services.engine) as session:
                before = comparisons.made_before(session, spec, key)
            if before is not None:
                return before
        for file in (reals, fakes):  # before the row, which may not name what is not there
            services.artifacts.put_file(file, "application/octet-stream")
    with transaction(services.engine) as session:
        made = comparisons.create(session, spec, owner=submission.caller.owner, idempotency_key=key)
        submission.admit(session, [made])
        return made


def _read(form: Form, services: Services) -> tuple[ReadSamples, ReadSamples]:
    """The real and the fake samples, which fit together."""
    settings = services.settings
    limits = Limits(unpacked_bytes=settings.max_unpacked_bytes, scratch=settings.uploads)
    sets: dict[str, ReadSamples] = {}
    problems: dict[str, str] = {}
    for field, file in form.files.items():
        try:
            sets[field] = read_apart(file, limits)
        except InvalidUpload as error:
            problems[field] = str(error)
    if not problems and _words(sets["real"]) != _words(sets["fake"]):
        problems["fake"] = f"holds {_words(sets['fake'])}, real holds {_words(sets['real'])}; both need the same"
    if not problems and (said := _scales_differ(sets["real"], sets["fake"])):
        problems["fake"] = said
    if problems:
        raise InvalidRequest(problems)
    return sets["real"], sets["fake"]


def _scales_differ(real: ReadSamples, fake: ReadSamples) -> str | None:
    """What is wrong with images as floats: each file has a scale of its own, and figures need one for both."""
    if real.array.dtype == "uint8" or len(real.shape) != IMAGE_DIMS:
        return None
    of_reals = scale_of_reals(*span(real.array))
    if of_reals is None:
        return None
    of_fakes = scale_of_fakes(*span(fake.array), of_reals)
    if of_fakes is of_reals:
        return None
    return f"has pixels in {of_fakes.name}, real has them in {of_reals.name}; save both in [-1, 1], or as bytes"


IMAGE_DIMS = 3


def _words(samples: ReadSamples) -> str:
    kind = "images" if samples.array.dtype == "uint8" else "floats"
    return f"{kind} of the shape {list(samples.shape)}"


def _described(samples: ReadSamples, file: BinaryIO) -> StoredSamples:
    return StoredSamples(sha256=hash_file(file), count=len(samples.array), shape=samples.shape)


@router.get("", responses=documented(422))
def list_evaluations_of_uploads(session: Reader, query: Annotated[ComparisonQuery, Query()]) -> ComparisonPage:
    """List the evaluations of uploaded samples, newest first."""
    page = comparisons.list_comparisons(session, status=query.status, limit=query.limit, cursor=query.cursor)
    return ComparisonPage(items=tuple(_view(run) for run in page.items), next_cursor=page.next_cursor)


@router.get("/{evaluation_id}", responses=documented(404))
def get_evaluation(evaluation_id: EvaluationId, session: Reader) -> ComparisonDetail:
    """Look at an evaluation of uploaded samples, with what it found."""
    run = comparisons.get(session, evaluation_id)
    return ComparisonDetail(**_shown(run), evaluation=comparisons.result(session, run.id))


@router.post("/{evaluation_id}/cancel", status_code=202, responses=documented(403, 404))
def cancel_evaluation(evaluation_id: EvaluationId, session: Writer, caller: CallerDep) -> ComparisonView:
    """Ask for the end of an evaluation. A queued one ends at once; one that is over stays as it is."""
    require_may_change(caller, comparisons.get(session, evaluation_id))
    return _view(comparisons.cancel(session, evaluation_id))


@router.delete("/{evaluation_id}", status_code=204, responses=documented(403, 404, 409))
def delete_evaluation(
    evaluation_id: EvaluationId,
    session: Writer,
    services: ServicesDep,
    background: BackgroundTasks,
    caller: CallerDep,
) -> None:
    """Delete an evaluation that is over, with its samples and everything that it has found."""
    require_may_change(caller, comparisons.get(session, evaluation_id))
    sharing = EQUAL if caller.administrator else services.accounts.sharing
    sha256s = deletion.delete_comparison(session, evaluation_id, sharing=sharing)
    background.add_task(delete_files_of_run, services, evaluation_id, sha256s)  # runs after the commit


@router.get("/{evaluation_id}/figures/ndb.{format}", response_class=Response, responses=RESPONSES)
def get_ndb_figure_of_evaluation(
    evaluation_id: EvaluationId, format: FigureFormat, session: Reader, services: ServicesDep, request: Request
) -> Response:
    """Draw the NDB bins: shares of the real samples and of the fakes, and the bins' mean images."""
    run = comparisons.get(session, evaluation_id)
    found = comparisons.result(session, run.id)
    if found is None or not found.bins:
        raise NotRecorded("NDB yet" if found is None else "NDB, which its options leave out", "evaluation")
    images = records.artifact(session, run.id, "bins", 1)

    def draw() -> bytes:
        from ganlib.plots.bins import ndb_figure

        strip = None if images is None else services.artifacts.get(images.sha256)
        return ndb_figure(found, format, f"comparison {run.id}", strip, of_run=False)

    return image_response(
        request,
        draw,
        media_type=MEDIA_TYPES[format],
        tag=f"ndb-{FIGURES_VERSION}-{run.id}",
        cache_control=REVALIDATE,
    )


def _view(run: Run) -> ComparisonView:
    return ComparisonView(**_shown(run))


def _shown(run: Run) -> dict[str, Any]:
    """What is shown of a stored comparison, found or not."""
    spec = ComparisonSpec.model_validate(run.spec)
    path = comparison_path(run.id)
    return {
        **fields_of(ComparisonView, run),
        "n_real": spec.n_real,
        "n_fake": spec.n_fake,
        "shape": spec.shape,
        "options": ComparisonOptions.of(spec),
        "links": {"self": path, "ndb_figure": f"{path}/figures/ndb.png"},
    }
