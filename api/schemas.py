"""What the API answers. Times are RFC 3339 in UTC; numbers that are not finite are null."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Literal, Self

from api.views import View, fields_of
from ganlib.findings import Severity, Verdict
from ganlib.spec.catalog import DatasetInfo
from ganlib.spec.preset import Preset
from ganlib.spec.run import RunSpec
from store.core.models import Attempt, AttemptOutcome, Batch, Run, Status

DatabaseState = Literal["ok", "unavailable", "not migrated"]


class RunLinks(View):
    """Paths of everything that belongs to a run."""

    self: str
    series: str
    samples: str
    losses: str
    ndb: str
    ndb_figure: str
    diagnosis: str
    labels: str
    evaluations: str
    treatments: str
    family: str
    log: str
    waiting: str

    @classmethod
    def of(cls, run_id: str) -> Self:
        """The links of that run."""
        run = run_path(run_id)
        return cls(
            self=run,
            series=f"{run}/series",
            samples=f"{run}/samples",
            losses=f"{run}/figures/losses.png",
            ndb=f"{run}/ndb",
            ndb_figure=f"{run}/figures/ndb.png",
            diagnosis=f"{run}/diagnosis",
            labels=f"{run}/labels",
            evaluations=f"{run}/evaluations",
            treatments=f"{run}/treatments",
            family=f"{run}/family",
            log=f"{run}/log",
            waiting=f"{run}/waiting",
        )


def run_path(run_id: str) -> str:
    """Path of a run."""
    return f"/v1/runs/{run_id}"


class WarmStartView(View):
    """The checkpoint that a run begins with, or new weights where it is missing."""

    run_id: str
    epoch: int
    checkpoint: str
    """Name of the file."""


class RunView(View):
    """A run as it is now."""

    id: str
    name: str | None
    preset: str | None
    status: Status
    batch_id: str | None
    parent_id: str | None
    """The run whose spec a remedy changed; null where people made the run, as in the next four."""
    treatment_id: str | None
    """The treatment that made it."""
    remedy: str | None
    """Name of the remedy."""
    patch: dict[str, Any] | None
    """What the remedy changed: dotted spec paths and their new values."""
    warm_start: WarmStartView | None
    """The checkpoint whose weights it begins with; null: with weights of its own."""
    spec_hash: str
    """Equal specs have equal hashes."""
    seed: int
    priority: int
    """Higher is trained first."""
    user: str
    """Who submitted it."""
    team: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    attempt: int
    """Number of the last attempt; 0 before the first."""
    cancel_requested: bool
    pause_requested: bool
    """Of a running run: it becomes paused with its next epoch."""
    gives_way_to: str | None
    """The queued run of higher priority that a running one gives its slot to with its next epoch."""
    epochs_total: int
    extended_from: list[int] | None
    """What `epochs_total` was before each time that the run was extended."""
    epochs_done: int
    steps_per_epoch: int
    step: int
    """The last step that was reported."""
    verdict: Verdict | None
    """The verdict so far; of a run that is over, the final one."""
    severity: Severity | None
    first_epoch_seen: int | None
    """First epoch with the finding that the verdict names."""
    error: str | None
    """Why the run failed."""
    error_kind: str | None
    links: RunLinks

    @classmethod
    def of(cls, run: Run) -> Self:
        """The view of a stored run."""
        return cls(**fields_of(cls, run), links=RunLinks.of(run.id))


class AttemptView(View):
    """One execution of a run."""

    number: int
    worker: str
    started_at: datetime
    ended_at: datetime | None
    outcome: AttemptOutcome
    error: str | None
    device: str | None
    threads: int | None
    cpu_capability: str | None
    versions: dict[str, Any] | None
    resumed_from_epoch: int | None
    identical: bool | None
    """Whether a resume gives the numbers of an undisturbed run; null where nothing was resumed."""

    @classmethod
    def of(cls, attempt: Attempt) -> Self:
        """The view of a stored attempt."""
        return cls(**fields_of(cls, attempt))


class RunDetail(RunView):
    """A run with its spec and its attempts."""

    spec: RunSpec
    request_id: str | None
    """Of the request that made it: `X-Request-ID`, as in the API's log; null where no request did."""
    attempts: list[AttemptView]

    @classmethod
    def with_attempts(cls, run: Run, attempts: Iterable[Attempt]) -> Self:
        """The view of a stored run and its attempts."""
        return cls(
            **fields_of(cls, run),
            links=RunLinks.of(run.id),
            attempts=[AttemptView.of(attempt) for attempt in attempts],
        )


class RunPage(View):
    """A part of the list of runs, newest first."""

    items: list[RunView]
    next_cursor: str | None
    """`cursor` of the next page; null on the last."""


class BatchView(View):
    """Runs that were made in one call, in the order of the request."""

    id: str
    name: str | None
    created_at: datetime
    runs: list[RunView]

    @classmethod
    def of(cls, batch: Batch) -> Self:
        """The view of a stored batch."""
        created_at = datetime.fromtimestamp(batch.created_at, UTC)
        return cls(id=batch.id, name=batch.name, created_at=created_at, runs=[RunView.of(run) for run in batch.runs])


class PresetSummary(View):
    """A published experiment."""

    name: str
    title: str
    reports: str
    """What the article reports, or for a preset of our own what was measured."""
    deviations: list[str]
    """Where this differs from the article, as far as known."""

    @classmethod
    def of(cls, preset: Preset) -> Self:
        """The view of a preset."""
        return cls.model_validate(preset)


class PresetView(PresetSummary):
    """A published experiment with its spec."""

    spec: RunSpec


class PresetList(View):
    """All presets, by name."""

    items: list[PresetSummary]


class DatasetView(View):
    """A data set that a spec can name."""

    name: str
    title: str
    shape: list[int]
    """Of one sample: (channels, height, width) for images, (d) for points."""
    class_counts: list[int]
    """Training images in each class, one number where there are no classes; empty where the spec chooses the size."""
    source: str

    @classmethod
    def of(cls, name: str, info: DatasetInfo) -> Self:
        """The view of a data set."""
        counts = list(info.class_counts)
        return cls(name=name, title=info.title, shape=list(info.shape), class_counts=counts, source=info.source)


class DatasetList(View):
    """All data sets, by name."""

    items: list[DatasetView]


class HealthView(View):
    """Whether the service works. The broker is only a bell: without it runs start later, by polling."""

    status: Literal["ok", "unavailable"]
    database: Literal["ok", "unavailable"]
    broker: Literal["ok", "unavailable"]
    drained: bool = False
    """Whether the whole service is drained: what runs is finished, and nothing else begins."""


class LivenessView(View):
    """The process answers."""

    status: Literal["ok"]


class ReadinessView(View):
    """Whether requests can be served. That needs the database, and not the broker."""

    status: Literal["ok", "unavailable"]
    database: DatabaseState
    """`not migrated`: its tables are those of another version."""
    broker: Literal["ok", "unavailable"]
