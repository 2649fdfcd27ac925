"""Figures of a run, drawn when they are asked for: only then is matplotlib imported."""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from api.deps import FoundRun, Reader, ServicesDep
from api.errors import NotRecorded, documented
from api.http.etag import REVALIDATE, image_response, image_responses
from api.requests import EpochQuery
from api.runs.ndb import find_bin_images, find_ndb
from ganlib.plots.versions import FIGURES_VERSION, FigureFormat
from store.core.models import Run
from store.runs.series import read_steps

MEDIA_TYPES: dict[FigureFormat, str] = {"png": "image/png", "svg": "image/svg+xml"}
RESPONSES = {**image_responses(*MEDIA_TYPES.values()), **documented(404, 422)}

router = APIRouter(prefix="/runs/{run_id}/figures", tags=["figures"])


@router.get("/losses.{format}", response_class=Response, responses=RESPONSES)
def get_losses(run: FoundRun, format: FigureFormat, session: Reader, request: Request) -> Response:
    """Draw the run's losses and accuracies, every step and the epochs' means."""
    if run.epochs_done == 0:
        raise NotRecorded("epoch yet")

    def draw() -> bytes:
        from ganlib.plots.losses import loss_figure

        return loss_figure(read_steps(session, run.id), run.steps_per_epoch, format, _title(run))

    return _figure_response(request, run, draw, format, "losses")


@router.get("/ndb.{format}", response_class=Response, responses=RESPONSES)
def get_ndb_figure(
    run: FoundRun,
    format: FigureFormat,
    session: Reader,
    services: ServicesDep,
    request: Request,
    query: Annotated[EpochQuery, Query()],
) -> Response:
    """Draw the NDB bins of an epoch: shares of the training data and of the fakes, and the bins' mean images."""
    evaluation = find_ndb(session, run.id, query.epoch)
    images = find_bin_images(session, run.id, evaluation)

    def draw() -> bytes:
        from ganlib.plots.bins import ndb_figure

        strip = None if images is None else services.artifacts.get(images.sha256)
        return ndb_figure(evaluation, format, _title(run), strip)

    return _figure_response(request, run, draw, format, f"ndb-{evaluation.epoch}")


def _title(run: Run) -> str:
    return run.name or run.preset or run.id


def _figure_response(
    request: Request, run: Run, draw: Callable[[], bytes], format: FigureFormat, figure: str
) -> Response:
    tag = f"{figure}-{FIGURES_VERSION}-{run.attempt}-{run.epochs_done}"  # all that the drawing depends on
    return image_response(request, draw, media_type=MEDIA_TYPES[format], tag=tag, cache_control=REVALIDATE)
