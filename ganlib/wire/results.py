"""What came of runs, side by side."""

from typing import Any

from pydantic import Field

from ganlib.findings import Severity, Verdict
from ganlib.wire.statuses import Status
from ganlib.wire.view import View


class ResultRow(View):
    """What came of one run, as far as it is."""

    run_id: str
    name: str | None
    status: Status
    spec: dict[str, Any]
    """Its values of the fields that differ; a field that its spec does not have is left out."""
    verdict: Verdict | None
    severity: Severity | None
    first_epoch_seen: int | None
    """First epoch with the finding that the verdict names."""
    epochs_done: int
    seconds: float
    """That its epochs took together."""
    evaluated_epoch: int | None
    """The last epoch that was evaluated, which the figures are of; null before the first."""
    values: dict[str, float | None]
    """Figures by name, as `ndb_over_k`."""
    nulls: dict[str, float | None]
    """The same where fakes are real data, on average; only figures that have one."""


class BatchResults(View):
    """What came of a batch's runs, as far as it is."""

    batch_id: str
    name: str | None
    varied: tuple[str, ...]
    """Dotted paths of the spec's fields that differ between runs."""
    figures: tuple[str, ...]
    """Names of the figures that a run has."""
    items: tuple[ResultRow, ...]
    """In the order of the request, or as `sort` says."""


class AlignedSeries(View):
    """Means of epochs, of several runs over the same epochs."""

    epochs: tuple[int, ...]
    columns: dict[str, dict[str, tuple[float | None, ...]]]
    """Of each column and run, by its id, a number an epoch; null where the run has none, or it is not finite."""


class AlignedFigures(View):
    """Figures of several runs over the same epochs."""

    epochs: tuple[int, ...]
    """Those that one of the runs evaluated; 0 is the untrained generator."""
    values: dict[str, dict[str, tuple[float | None, ...]]]
    """Of each figure and run, by its id, a number an epoch; null where the run has none."""


class JudgedEpochs(View):
    """What a run was found to be over neighbouring epochs, both ends included."""

    first_epoch: int
    last_epoch: int
    verdict: Verdict
    severity: Severity


class ComparedRuns(View):
    """Runs side by side: in what their specs differ, and how they went."""

    varied: tuple[str, ...]
    """Dotted paths of the spec's fields that differ."""
    items: tuple[ResultRow, ...]
    """In the order of the request."""
    series: AlignedSeries
    evaluations: AlignedFigures
    verdicts: dict[str, tuple[JudgedEpochs, ...]] = Field(default={})
    """Of each run, by its id, its verdicts in order."""
    samples: dict[str, tuple[int, ...]] = Field(default={})
    """Of each run, by its id, the epochs that have a picture: `/v1/runs/{id}/samples/{epoch}`."""
