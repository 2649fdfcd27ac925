"""The picture of samples that a run stores each epoch."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from api.deps import EpochPath, FoundRun, Reader, ServicesDep
from api.errors import NotRecorded, documented
from api.http.etag import IMMUTABLE, REVALIDATE, image_responses, stored_image
from api.requests import SinceQuery
from ganlib.wire.epochs import SampleList, SampleView
from ganlib.wire.paths import run_path
from store.core.models import Artifact
from store.runs import extensions, records

router = APIRouter(prefix="/runs/{run_id}", tags=["samples"])


@router.get("/samples", responses=documented(404, 422))
def list_samples(run: FoundRun, session: Reader, query: Annotated[SinceQuery, Query()]) -> SampleList:
    """List the epochs that have a picture."""
    found = records.artifacts(session, run.id, "samples", since=query.since)
    return SampleList(items=tuple(sample_view(artifact) for artifact in found))


def sample_view(artifact: Artifact) -> SampleView:
    """A stored picture of samples."""
    return SampleView(
        epoch=artifact.epoch,
        sha256=artifact.sha256,
        media_type=artifact.media_type,
        size=artifact.size,
        href=f"{run_path(artifact.run_id)}/samples/{artifact.epoch}",
    )


@router.get(
    "/samples/{epoch}", response_class=Response, responses={**image_responses("image/png"), **documented(404, 422)}
)
def get_samples(run: FoundRun, epoch: EpochPath, session: Reader, services: ServicesDep, request: Request) -> Response:
    """Look at an epoch's samples."""
    artifact = records.artifact(session, run.id, "samples", epoch)
    if artifact is None:
        raise NotRecorded(f"samples of epoch {epoch}")
    # A run that resumes, or is extended, on a GPU records its last epochs again, with other numbers.
    cache_control = REVALIDATE if extensions.may_go_on(run) else IMMUTABLE
    return stored_image(request, services.artifacts, artifact, cache_control=cache_control)


@router.get("/reals", response_class=Response, responses={**image_responses("image/png"), **documented(404)})
def get_reals(run: FoundRun, session: Reader, services: ServicesDep, request: Request) -> Response:
    """Look at real samples of the run's data, drawn as its own are, to compare the two."""
    artifact = records.artifact(session, run.id, "reals", 1)
    if artifact is None:
        raise NotRecorded("real samples")
    return stored_image(request, services.artifacts, artifact, cache_control=REVALIDATE)
