"""What the service answers, as frozen values. Fields that a newer service adds are ignored."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from ganlib.records import EpochEvaluation

FINAL_STATUSES = frozenset({"succeeded", "failed", "cancelled", "halted"})


class View(BaseModel):
    """Base of all views."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class RunView(View):
    """One run as the service sees it now."""

    id: str
    name: str | None = None
    preset: str | None = None
    status: str
    """queued, running, paused, succeeded, failed, cancelled or halted."""
    batch_id: str | None = None
    parent_id: str | None = None
    """The run whose spec a remedy changed; None where people made the run, as in the next four."""
    treatment_id: str | None = None
    remedy: str | None = None
    patch: dict[str, Any] | None = None
    """What the remedy changed: dotted spec paths and their new values."""
    warm_start: dict[str, Any] | None = None
    """Run, epoch and file of the checkpoint whose weights it begins with."""
    spec_hash: str = ""
    seed: int = 0
    priority: int = 0
    user: str = "default"
    """Who submitted it."""
    team: str | None = None
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    attempt: int = 0
    """0 before the first."""
    cancel_requested: bool = False
    """Whether it was asked to end; a training ends after its step."""
    pause_requested: bool = False
    """Whether it was asked to pause, and goes on to the end of its epoch."""
    gives_way_to: str | None = None
    """The run of higher priority that it gives its slot to at the end of its epoch."""
    epochs_total: int
    epochs_done: int = 0
    steps_per_epoch: int
    step: int | None = None
    """Last step reported."""
    verdict: str | None = None
    severity: str | None = None
    first_epoch_seen: int | None = None
    """First epoch whose verdict had the worst finding."""
    error: str | None = None
    error_kind: str | None = None
    links: dict[str, str] = Field(default_factory=dict)

    @property
    def is_final(self) -> bool:
        """Whether nothing will change any more."""
        return self.status in FINAL_STATUSES

    @property
    def steps_total(self) -> int:
        """Steps of the whole run."""
        return self.steps_per_epoch * self.epochs_total

    @property
    def steps_done(self) -> int:
        """Steps made so far."""
        return max(self.step or 0, self.epochs_done * self.steps_per_epoch)

    @property
    def label(self) -> str:
        """What people call it: its name, else its preset, else its id."""
        return self.name or self.preset or self.id


class AttemptView(View):
    """One execution of a run."""

    number: int
    outcome: str
    worker: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    device: str | None = None
    threads: int | None = None
    resumed_from_epoch: int | None = None
    identical: bool | None = None
    """Whether a resume continues bit by bit; None for a first attempt."""
    versions: dict[str, Any] | None = None
    """Of GAN Clinic, libraries and drivers."""
    error: str | None = None


class RunDetails(RunView):
    """A run with its spec and its attempts."""

    spec: dict[str, Any] = Field(default_factory=dict)
    attempts: tuple[AttemptView, ...] = ()


class RunLog(View):
    """What an attempt has logged."""

    attempt: int
    text: str
    """Lines."""
    end: int
    """Bytes that it had logged up to the end of that."""


class SeriesColumn(View):
    """One column of a series, a number a point; None where there is none that is finite."""

    mean: tuple[float | None, ...]
    min: tuple[float | None, ...]
    max: tuple[float | None, ...]


class Series(View):
    """Losses (nats), accuracies and gradient norms, each point standing for consecutive steps or epochs."""

    resolution: str
    steps_per_epoch: int
    steps: tuple[int, ...]
    """First step of each point, from 1."""
    epochs: tuple[int, ...]
    """The epoch of that step, from 1."""
    columns: dict[str, SeriesColumn]


class ComparisonView(View):
    """Two uploaded sets of samples, and what their comparison found."""

    id: str
    status: str
    """queued, running, succeeded, failed or cancelled."""
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    n_real: int
    n_fake: int
    shape: tuple[int, ...]
    """Of one sample: (channels, height, width) for images."""
    options: dict[str, Any] = Field(default_factory=dict)
    error: str | None = None
    error_kind: str | None = None
    evaluation: EpochEvaluation | None = None
    """None before its success, and in lists."""

    @property
    def is_final(self) -> bool:
        """Whether nothing will change any more."""
        return self.status in FINAL_STATUSES

    def to_json(self) -> dict[str, Any]:
        """Plain types only; a number that is not finite becomes None."""
        found = None if self.evaluation is None else self.evaluation.to_json()
        return {**self.model_dump(mode="json", exclude={"evaluation"}), "evaluation": found}


class UploadView(View):
    """A set of samples that runs may train on, with `dataset.name=upload` and `dataset.upload=<id>`.

    Of pairs the name is `upload-pairs`.
    """

    id: str
    name: str | None = None
    kind: str
    """images, points or pairs."""
    count: int
    shape: tuple[int, ...]
    """Of one sample: (channels, height, width) for images, (d,) for points."""
    class_names: tuple[str, ...] = ()
    """In the order of their labels; empty where nothing tells classes apart."""
    class_counts: tuple[int, ...]
    size: int
    """Of the stored files, in bytes."""
    created_at: datetime


class LabelView(View):
    """A person's word that a finding is, or is not, in a run."""

    id: str
    run_id: str
    finding: str
    """A failure mode, or healthy."""
    holds: bool
    """Whether it is there."""
    epoch: int | None = None
    """After which epoch; None: of the whole run."""
    author: str
    note: str = ""
    ruleset: str
    """Of the diagnosis that was known then."""
    verdict: str
    """Likewise."""
    created_at: datetime


class SpreadView(View):
    """The quartiles of a duration, in seconds."""

    low: float
    median: float
    high: float


class ReasonView(View):
    """One thing that a run waits for."""

    kind: str
    """paused, quota, drained, no worker, no label, no gpu, too large, no room, gave way, gives way, priority, share,
    older or busy."""
    text: str


class LimitView(View):
    """A quota of whoever the run belongs to."""

    scope: str
    """user or team."""
    name: str
    limit: str
    """running, queued, device_hours or storage_bytes."""
    used: float
    allowed: float
    text: str


class WaitingView(View):
    """Why a run waits."""

    run_id: str
    status: str
    ahead: int | None = None
    """Runs that would be claimed before it."""
    reasons: tuple[ReasonView, ...] = ()
    starts_in_s: SpreadView | None = None
    """From now; None: unknown."""
    takes_s: SpreadView | None = None
    """Its training, by finished runs like it; None: unknown."""
    compared_with: int = 0
    """How many those are."""
    limits: tuple[LimitView, ...] = ()
    """The quotas of its user and team."""


class WorkerView(View):
    """A worker as it was last heard of."""

    name: str
    started_at: datetime
    seen_at: datetime
    is_alive: bool
    is_drained: bool = False
    """Whether it claims nothing more."""
    run_id: str | None = None
    """What it trains."""
    labels: tuple[str, ...] = ()
    """That a run may ask for; sorted."""
    obstacle: str | None = None
    """Why it does not claim the run whose turn it is."""


class BatchView(View):
    """Runs that were made together, in the order of the request."""

    id: str
    name: str | None = None
    runs: tuple[RunView, ...] = ()


class TreatmentView(View):
    """The search for a cure of a run: its tries are runs, one after the other."""

    id: str
    run_id: str
    """The sick run."""
    finding: str
    """What is treated."""
    status: str
    """running, cured, exhausted or cancelled."""
    reason: str | None = None
    """Why it is over."""
    max_tries: int
    max_epochs: int
    """Of all tries together."""
    best_run_id: str | None = None
    """The cure, or the try that came nearest to one."""
    created_at: datetime
    finished_at: datetime | None = None
    tries: tuple[RunView, ...] = ()


class MemberView(View):
    """One run of a family."""

    id: str
    parent_id: str | None = None
    """None for the root, which people made."""
    depth: int = 0
    """Remedies that were added up in its spec."""
    treatment_id: str | None = None
    name: str | None = None
    preset: str | None = None
    remedy: str | None = None
    """The remedy that made it of its parent."""
    patch: dict[str, Any] | None = None
    status: str
    verdict: str | None = None
    severity: str | None = None
    epochs_done: int = 0
    epochs_total: int
    seed: int = 0
