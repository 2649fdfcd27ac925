"""What the API answers. Times are RFC 3339 in UTC; numbers that are not finite are null."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict

from ganlib.datasets.catalog import DatasetInfo
from ganlib.diagnose.verdict import FindingName, Severity, Verdict
from ganlib.preset import Preset
from ganlib.report import ALPHA, NDB_FIGURES, Evaluation
from ganlib.request import ComparisonOptions
from ganlib.spec import ComparisonSpec, RunSpec
from store.models import Artifact, Attempt, AttemptOutcome, Batch, Run, Status


class View(BaseModel):
    """Base of all answers."""

    model_config = ConfigDict(frozen=True, from_attributes=True, use_attribute_docstrings=True)


def utc(seconds: float | None) -> datetime | None:
    """Seconds since 1970 as a time."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


# --- runs and batches -------------------------------------------------------------------------------------------


class RunLinks(View):
    """Paths of everything that belongs to a run."""

    self: str
    series: str
    samples: str
    losses: str
    ndb: str
    ndb_figure: str
    diagnosis: str
    evaluations: str

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
            evaluations=f"{run}/evaluations",
        )


def run_path(run_id: str) -> str:
    """Path of a run."""
    return f"/v1/runs/{run_id}"


class RunView(View):
    """A run as it is now."""

    id: str
    name: str | None
    preset: str | None
    status: Status
    batch_id: str | None
    spec_hash: str
    """Equal specs have equal hashes."""
    seed: int
    priority: int
    """Higher is trained first."""
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    attempt: int
    """Number of the last attempt; 0 before the first."""
    cancel_requested: bool
    epochs_total: int
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
        return cls(**_fields_of(cls, run), links=RunLinks.of(run.id))


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
        return cls(**_fields_of(cls, attempt))


class RunDetail(RunView):
    """A run with its spec and its attempts."""

    spec: RunSpec
    attempts: list[AttemptView]

    @classmethod
    def with_attempts(cls, run: Run, attempts: Iterable[Attempt]) -> Self:
        """The view of a stored run and its attempts."""
        return cls(
            **_fields_of(cls, run),
            links=RunLinks.of(run.id),
            attempts=[AttemptView.of(attempt) for attempt in attempts],
        )


def _fields_of(view: type[View], row: Run | Attempt) -> dict[str, Any]:
    """The row's columns that the view shows, seconds since 1970 as times."""
    shown = [name for name in view.model_fields if name in row.__table__.columns]
    return {name: utc(getattr(row, name)) if name.endswith("_at") else getattr(row, name) for name in shown}


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


# --- what a run has recorded ------------------------------------------------------------------------------------


class ColumnView(View):
    """One column of a series, a number a point."""

    mean: list[float | None]
    """Null where one of the point's values is not finite."""
    min: list[float | None]
    """Over the finite values; null where there is none."""
    max: list[float | None]


class SeriesView(View):
    """Losses (nats), accuracies and gradient norms over a run's steps, in at most `max_points` points.

    A point stands for consecutive steps (or epochs); its minimum and maximum keep what the mean hides.
    """

    resolution: Literal["epoch", "step"]
    steps_per_epoch: int
    steps: list[int]
    """First step of each point, from 1."""
    epochs: list[int]
    """The epoch of that step, from 1."""
    columns: dict[str, ColumnView]


class SampleView(View):
    """The picture of an epoch's samples, always from the same latents."""

    epoch: int
    sha256: str
    media_type: str
    size: int
    """In bytes."""
    href: str

    @classmethod
    def of(cls, artifact: Artifact) -> Self:
        """The view of a stored picture."""
        href = f"{run_path(artifact.run_id)}/samples/{artifact.epoch}"
        return cls(
            epoch=artifact.epoch, sha256=artifact.sha256, media_type=artifact.media_type, size=artifact.size, href=href
        )


class SampleList(View):
    """All pictures of a run."""

    items: list[SampleView]


class NullView(View):
    """The same figure where fakes are real data."""

    mean: float | None
    q05: float | None
    q95: float | None
    excess: float | None
    """The figure minus `mean`."""


class BinView(View):
    """One NDB bin."""

    real: float
    """Share of the training data in it."""
    fake: float
    """Share of the fakes in it."""
    real_se: float
    fake_se: float
    z: float
    """Positive where fakes are too many."""
    p: float
    different: bool
    ratio_upper: float | None
    """Upper 95 % bound on fake share over real share; null where the bin has neither."""
    missing: bool
    """`ratio_upper` is below a quarter."""


class NdbView(View):
    """Where fakes lie among the bins of the training data."""

    epoch: int
    """0 is the untrained generator."""
    space: str
    n_real: int
    n_fake: int
    num_bins: int
    alpha: float
    """A bin differs where p < alpha."""
    values: dict[str, float | None]
    """`ndb_over_k`, `js` (nats; comparable only at equal counts), `missing_mass`."""
    nulls: dict[str, NullView]
    different: list[int]
    """Bins that differ, by their place in `bins`, from 1."""
    missing: list[int]
    """Bins that fakes surely leave out, likewise."""
    bins: list[BinView]
    """By falling `real`."""
    figure: str
    """Path of the picture."""

    @classmethod
    def of(cls, run_id: str, evaluation: Evaluation) -> Self:
        """The view of an evaluation with bins."""
        document = evaluation.to_json()
        return cls(
            **{name: document[name] for name in ("epoch", "space", "n_real", "n_fake", "num_bins", "bins")},
            alpha=ALPHA,
            values={name: document["values"][name] for name in NDB_FIGURES},
            nulls={name: document["nulls"][name] for name in NDB_FIGURES},
            different=[rank for rank, ndb_bin in enumerate(evaluation.bins, 1) if ndb_bin.different],
            missing=[rank for rank, ndb_bin in enumerate(evaluation.bins, 1) if ndb_bin.missing],
            figure=f"{run_path(run_id)}/figures/ndb.png?epoch={evaluation.epoch}",
        )


class EvaluationView(View):
    """Fakes of one epoch compared with real data."""

    epoch: int
    """0 is the untrained generator."""
    space: str
    n_real: int
    n_fake: int
    n_subset: int
    num_bins: int
    values: dict[str, float | None]
    nulls: dict[str, NullView]
    """Under the same names, where there is one."""
    shift: dict[str, float | None]
    """The same figures of the data set's own test split, where it has one."""
    bins: list[BinView]
    """By falling `real`."""


class EvaluationList(View):
    """All evaluations of a run, in order."""

    items: list[EvaluationView]


class ComparisonLinks(View):
    """Paths of everything that belongs to an evaluation of uploaded samples."""

    self: str
    ndb_figure: str


class ComparisonView(View):
    """An evaluation of uploaded samples as it is now."""

    id: str
    status: Status
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    attempt: int
    """Number of the last attempt; 0 before the first."""
    cancel_requested: bool
    n_real: int
    """Real samples that were uploaded."""
    n_fake: int
    """Fakes that were uploaded."""
    shape: list[int]
    """Of one sample: (channels, height, width) for images."""
    options: ComparisonOptions
    """With every default written out."""
    error: str | None
    """Why it failed."""
    error_kind: str | None
    links: ComparisonLinks

    @classmethod
    def of(cls, run: Run, **more: Any) -> Self:
        """The view of a stored comparison."""
        spec = ComparisonSpec.model_validate(run.spec)
        path = comparison_path(run.id)
        return cls(
            **_fields_of(cls, run),
            n_real=spec.n_real,
            n_fake=spec.n_fake,
            shape=list(spec.shape),
            options=ComparisonOptions.of(spec),
            links=ComparisonLinks(self=path, ndb_figure=f"{path}/figures/ndb.png"),
            **more,
        )


def comparison_path(comparison_id: str) -> str:
    """Path of an evaluation of uploaded samples."""
    return f"/v1/evaluations/{comparison_id}"


class ComparisonDetail(ComparisonView):
    """An evaluation of uploaded samples with what it found."""

    evaluation: EvaluationView | None
    """Null before its success."""


class ComparisonPage(View):
    """A part of the list of evaluations of uploaded samples, newest first."""

    items: list[ComparisonView]
    next_cursor: str | None
    """`cursor` of the next page; null on the last."""


class EvidenceView(View):
    """One signal that passed its threshold."""

    signal: str
    value: float | None
    threshold: float
    comparison: Literal["<", "<=", ">", ">="]
    first_epoch: int
    last_epoch: int
    source: str


class RemedyView(View):
    """A suggested change of the spec."""

    reason: str
    patch: dict[str, Any]
    """What to give as `set` in the next request."""


class FindingView(View):
    """One failure mode, with what shows it."""

    name: FindingName
    severity: Severity
    first_epoch: int
    summary: str
    evidence: list[EvidenceView]
    remedies: list[RemedyView]


class DiagnosisView(View):
    """The verdict of a run up to an epoch."""

    epoch: int
    verdict: Verdict
    severity: Severity
    findings: list[FindingView]
    """Causes before symptoms: the first one gives the verdict."""
    reason: str
    """One line of evidence."""
    ruleset: str
    """Version of the rules and thresholds."""


class DiagnosisList(View):
    """The diagnosis after each epoch, in order."""

    items: list[DiagnosisView]


# --- what there is to choose from -------------------------------------------------------------------------------


class PresetSummary(View):
    """A published experiment."""

    name: str
    title: str
    reports: str
    """What the article reports."""
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
    """Of one sample: (channels, height, width) for images, (2) for points."""
    class_counts: list[int]
    """Training images in each class; empty for mixtures, whose size the spec chooses."""
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
