"""Runs side by side."""

from collections.abc import Mapping, Sequence
from typing import Annotated

from fastapi import APIRouter, Query

from api.deps import Reader
from api.errors import documented
from api.requests import CompareQuery
from api.runs.results import result_row
from ganlib.records import STEP_COLUMNS
from ganlib.wire.results import AlignedFigures, AlignedSeries, ComparedRuns, JudgedEpochs
from store.runs import lifecycle, results

COLUMNS = (*STEP_COLUMNS, "d_loss")
Values = Mapping[int, Mapping[str, float | None]]
"""By epoch and name."""

router = APIRouter(prefix="/compare", tags=["runs"])


@router.get("", responses=documented(404, 422))
def compare_runs(session: Reader, query: Annotated[CompareQuery, Query()]) -> ComparedRuns:
    """Compare runs: in what specs differ, losses, figures and verdicts over the same epochs, which have a picture."""
    ids = list(dict.fromkeys(query.runs))
    varied, found = results.results_of(session, [lifecycle.get(session, run_id) for run_id in ids])
    means = results.means_of(session, ids)
    figures = {
        run_id: {each.epoch: each.values for each in of_run}
        for run_id, of_run in results.figures_of(session, ids).items()
    }
    names = dict.fromkeys(name for of_run in figures.values() for values in of_run.values() for name in values)
    epochs, evaluated = _epochs(means), _epochs(figures)
    return ComparedRuns(
        varied=tuple(varied),
        items=tuple(result_row(each) for each in found),
        series=AlignedSeries(epochs=epochs, columns=_aligned(means, COLUMNS, epochs)),
        evaluations=AlignedFigures(epochs=evaluated, values=_aligned(figures, list(names), evaluated)),
        verdicts={
            run_id: tuple(JudgedEpochs.model_validate(each) for each in judged)
            for run_id, judged in results.verdicts_of(session, ids).items()
        },
        samples={run_id: tuple(epochs) for run_id, epochs in results.pictured_epochs(session, ids).items()},
    )


def _epochs(of_runs: Mapping[str, Values]) -> tuple[int, ...]:
    return tuple(sorted({epoch for of_run in of_runs.values() for epoch in of_run}))


def _aligned(
    of_runs: Mapping[str, Values], names: Sequence[str], epochs: Sequence[int]
) -> dict[str, dict[str, tuple[float | None, ...]]]:
    """Of each name and run, a value an epoch."""
    return {
        name: {run_id: tuple(of_run.get(epoch, {}).get(name) for epoch in epochs) for run_id, of_run in of_runs.items()}
        for name in names
    }
