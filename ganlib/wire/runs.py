"""Runs and their attempts."""

from datetime import datetime
from typing import Annotated, Any, cast

from pydantic import BaseModel, ConfigDict

from ganlib.findings import Severity, Verdict
from ganlib.spec.tags import RunTags
from ganlib.wire.statuses import FINAL_STATUSES, AttemptOutcome, Status
from ganlib.wire.view import View, WrittenAs


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
    tags: tuple[str, ...] = ()
    """Words that people find it by."""
    watched: bool = False
    """Whether it is trained elsewhere, and its trainer sends its steps."""
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
    warm_start: Annotated[dict[str, Any], WrittenAs(lambda: WarmStartView)] | None
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
    extended_from: tuple[int, ...] | None
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
    links: Annotated[dict[str, str], WrittenAs(lambda: RunLinks)]

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
        return max(self.step, self.epochs_done * self.steps_per_epoch)

    @property
    def label(self) -> str:
        """What people call it: its name, else its preset, else its id."""
        return self.name or self.preset or self.id


class TagsRequest(BaseModel):
    """The tags that a run is to have."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    tags: RunTags
    """Instead of those that it has; none: `[]`."""


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
    precision: str | None = None
    """What the networks multiplied in, `float32` or `bf16`; null before the training began."""
    stack_size: int | None = None
    """Runs that its process trained together, as one stack, when it began; null where it trained this one alone."""
    resumed_from_epoch: int | None
    identical: bool | None
    """Whether a resume gives the numbers of an undisturbed run; null where nothing was resumed."""


def run_spec() -> type[BaseModel]:
    """The model of a spec, which costs a command more time than all else."""
    from ganlib.spec.run import RunSpec

    return RunSpec


def watched_spec() -> type[BaseModel]:
    """The model of the spec of a watched run."""
    from ganlib.spec.watched import WatchedSpec

    return WatchedSpec


class WrittenAsItsKind(WrittenAs):
    """Marks the spec of a run, of which there are two models."""

    def __call__(self, value: Any) -> dict[str, Any]:
        """The spec as its model has it."""
        is_watched = isinstance(value, dict) and cast("dict[str, Any]", value).get("kind") == "watched"
        model = watched_spec() if is_watched else self._model()
        return model.model_validate(value).model_dump(mode="json")


class RunDetail(RunView):
    """A run with its spec and its attempts."""

    spec: Annotated[dict[str, Any], WrittenAsItsKind(run_spec)]
    """Of a watched run, which has no attempts, it has only `objective`, `dataset`, `epochs` and `samples`."""
    request_id: str | None
    """Of the request that made it: `X-Request-ID`, as in the API's log; null where no request did."""
    attempts: tuple[AttemptView, ...]


class RunPage(View):
    """A part of the list of runs, newest first."""

    items: tuple[RunView, ...]
    next_cursor: str | None
    """`cursor` of the next page; null on the last."""
