"""The bins of NDB: how a run's fakes are spread over them, and what each holds."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy.orm import Session

from api.deps import FoundRun, Reader, ServicesDep
from api.errors import NotRecorded, documented
from api.http.etag import REVALIDATE, image_responses, stored_image
from api.requests import EpochQuery
from ganlib.records import ALPHA, NDB_FIGURES, EpochEvaluation
from ganlib.wire.epochs import NdbView
from ganlib.wire.paths import run_path
from store.core.models import Artifact
from store.runs import records

router = APIRouter(prefix="/runs/{run_id}/ndb", tags=["evaluations"])


@router.get("", responses=documented(404, 422))
def get_ndb(run: FoundRun, session: Reader, query: Annotated[EpochQuery, Query()]) -> NdbView:
    """Look at the bins of an epoch: shares, tests, and the numbers of those that differ."""
    return _view(run.id, find_ndb(session, run.id, query.epoch))


@router.get("/bins.png", response_class=Response, responses={**image_responses("image/png"), **documented(404, 422)})
def get_bin_images(
    run: FoundRun,
    session: Reader,
    services: ServicesDep,
    request: Request,
    query: Annotated[EpochQuery, Query()],
) -> Response:
    """Look at the mean image of each bin, side by side in the order of `bins`. Points have none."""
    artifact = find_bin_images(session, run.id, find_ndb(session, run.id, query.epoch))
    if artifact is None:
        raise NotRecorded("images of its bins")
    return stored_image(request, services.artifacts, artifact, cache_control=REVALIDATE)


def find_bin_images(session: Session, run_id: str, evaluation: EpochEvaluation) -> Artifact | None:
    """The strip of what that evaluation's bins hold; None where they hold no images."""
    found = records.artifact(session, run_id, "bins", evaluation.epoch)
    if found is None and evaluation.epoch == 0 and evaluation.space != "discriminator":
        return records.artifact(session, run_id, "bins", 1)  # all epochs have the same bins
    return found


def find_ndb(session: Session, run_id: str, epoch: int | None) -> EpochEvaluation:
    """The evaluation of that epoch, by default of the last one, with its bins.

    Raises:
        NotRecorded: there is none.
    """
    wanted = [e for e in records.evaluations(session, run_id) if e.bins and epoch in {None, e.epoch}]
    if not wanted:
        raise NotRecorded("NDB yet" if epoch is None else f"NDB of epoch {epoch}")
    return wanted[-1]


def _view(run_id: str, evaluation: EpochEvaluation) -> NdbView:
    document = evaluation.to_json()
    return NdbView(
        **{name: document[name] for name in ("epoch", "space", "n_real", "n_fake", "num_bins", "bins")},
        alpha=ALPHA,
        values={name: document["values"][name] for name in NDB_FIGURES},
        nulls={name: document["nulls"][name] for name in NDB_FIGURES},
        different=tuple(rank for rank, ndb_bin in enumerate(evaluation.bins, 1) if ndb_bin.different),
        missing=tuple(rank for rank, ndb_bin in enumerate(evaluation.bins, 1) if ndb_bin.missing),
        figure=f"{run_path(run_id)}/figures/ndb.png?epoch={evaluation.epoch}",
    )
