"""Figures of a run, drawn when they are asked for."""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from api.deps import FoundRun, Reader
from api.errors import NotRecorded, documented
from api.images import REVALIDATE, image_response, image_responses
from api.requests import EpochQuery
from ganlib.figures import FIGURES_VERSION, FigureFormat, loss_figure, ndb_figure
from store import epochs
from store.models import Run
from store.series import read_steps

MEDIA_TYPES: dict[FigureFormat, str] = {"png": "image/png", "svg": "image/svg+xml"}
RESPONSES = {**image_responses(*MEDIA_TYPES.values()), **documented(404, 422)}

router = APIRouter(prefix="/runs/{run_id}/figures", tags=["figures"])


@router.get("/losses.{format}", response_class=Response, responses=RESPONSES)
def get_losses(run: FoundRun, format: FigureFormat, session: Reader, request: Request) -> Response:
    """Draw the run's losses and accuracies, every step and the epochs' means."""
    if run.epochs_done == 0:
        raise NotRecorded("epoch yet")

    def draw() -> bytes:
        return loss_figure(read_steps(session, run.id), run.steps_per_epoch, format, _title(run))

    return _figure_response(request, run, draw, format, "losses")


@router.get("/ndb.{format}", response_class=Response, responses=RESPONSES)
def get_ndb(
    run: FoundRun, format: FigureFormat, session: Reader, request: Request, query: Annotated[EpochQuery, Query()]
) -> Response:
    """Draw the NDB bins of an epoch: shares of the training data and of the fakes."""
    wanted = [e for e in epochs.evaluations(session, run.id) if e.bins and query.epoch in {None, e.epoch}]
    if not wanted:
        raise NotRecorded("NDB yet" if query.epoch is None else f"NDB of epoch {query.epoch}")
    last = wanted[-1]
    return _figure_response(request, run, lambda: ndb_figure(last, format, _title(run)), format, f"ndb-{last.epoch}")


def _title(run: Run) -> str:
    return run.name or run.preset or run.id


def _figure_response(
    request: Request, run: Run, draw: Callable[[], bytes], format: FigureFormat, figure: str
) -> Response:
    tag = f"{figure}-{FIGURES_VERSION}-{run.attempt}-{run.epochs_done}"  # all that the drawing depends on
    return image_response(request, draw, media_type=MEDIA_TYPES[format], tag=tag, cache_control=REVALIDATE)
