"""The tables. Every `*_at` is in seconds since 1970 on the database's clock; ids are 16 hex digits."""

from typing import Any, Literal

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Text,
    TypeDecorator,
    false,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from typing_extensions import override

from ganlib.spec.training import SettledPrecision
from ganlib.wire.statuses import AttemptOutcome, EventKind, Status, WebhookFormat, WebhookKind
from ganlib.wire.treatments import TreatmentStatus
from ganlib.wire.uploads import UploadKind

ArtifactKind = Literal["samples", "bins", "reals", "fakes"]
"""`fakes`: what another trainer sent of an epoch, until it is looked at."""
Kind = Literal["training", "comparison", "look"]
"""`look`: a worker's look at the epochs of a watched run."""
DEFAULT_USER = "default"
"""Who has the service's one token."""
DEFAULT_OWNER = f"/{DEFAULT_USER}"


class AnyText(TypeDecorator[str]):
    """Text from outside: NUL and lone surrogates, which databases refuse, become U+FFFD."""

    impl = Text
    cache_ok = True

    @override
    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        if value is None:
            return None
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\0", "\ufffd")


class Base(DeclarativeBase):
    """Base of the tables."""

    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012  SQLAlchemy's own declaration
        str: AnyText,
        float: Double,
        bool: Boolean,
        bytes: LargeBinary,
        dict[str, Any]: JSON(none_as_null=True),
    }


class Batch(Base):
    """Runs that were created in one call."""

    __tablename__ = "batches"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str | None]
    idempotency_key: Mapped[str | None] = mapped_column(unique=True)
    request_hash: Mapped[str]
    created_at: Mapped[float]

    runs: Mapped[list["Run"]] = relationship(order_by="Run.created_at, Run.id")
    """In the order of the request."""


class OwnerRow(Base):
    """Whom device time is counted for: a user, in a team or in none."""

    __tablename__ = "owners"

    id: Mapped[str] = mapped_column(primary_key=True)
    """`team/user`; `/user` without a team."""
    user: Mapped[str]
    team: Mapped[str | None]
    device_seconds: Mapped[float] = mapped_column(default=0.0)
    """Of attempts that have ended, each second halved for every half-life that has passed since."""
    as_of: Mapped[float]
    """When that was true."""


class WorkerRow(Base):
    """A worker, and when it was last heard of."""

    __tablename__ = "workers"

    name: Mapped[str] = mapped_column(primary_key=True)
    started_at: Mapped[float]
    seen_at: Mapped[float]
    gpus: Mapped[int] = mapped_column(default=1, server_default="1")
    """That one run may have, or processes where it has none."""
    gpu_memory: Mapped[int | None] = mapped_column(BigInteger)
    """Bytes of its largest GPU; null where it has none."""
    labels: Mapped[list[str]] = mapped_column(JSON, default=list, server_default="[]")
    """That a run may ask for; sorted, each once."""
    obstacle: Mapped[str | None]
    """Why it did not claim the run whose turn it is, the last time that it looked, for people; null where it might."""
    bf16_speedup: Mapped[float | None]
    """How many times as fast it multiplies in bf16 as in float32; null until it has measured, and where it trains on
    GPUs, on which each training measures."""


class Drain(Base):
    """A worker that claims nothing more; `*` is every worker."""

    __tablename__ = "drains"

    worker: Mapped[str] = mapped_column(primary_key=True)
    since: Mapped[float]


LISTED_BY = ("status", "preset", "verdict", "name", "batch_id")
"""Columns that lists are filtered by, besides the user."""
QUEUED = text("status = 'queued'")
TRAINED_ALONE = "alone"
"""The `stack_key` of a run that no other can be trained with."""


class Run(Base):
    """One training, or one comparison of uploaded samples: its spec, who holds it, and how far it is.

    A comparison is a job of one epoch and one step, so that workers treat both alike; so is a look. A watched run is a
    training that runs elsewhere: nobody claims it, and it has no attempts.
    """

    __tablename__ = "runs"
    __table_args__ = (
        Index("ix_runs_queue", "status", "owner", "priority", "created_at", "id"),
        Index("ix_runs_user", "user", "kind", "created_at", "id"),
        Index("ix_runs_team", "team"),
        Index("ix_runs_list", "kind", "created_at", "id"),
        *(Index(f"ix_runs_list_{column}", "kind", column, "created_at", "id") for column in LISTED_BY),
        Index("ix_runs_batch_id", "batch_id"),
        Index("ix_runs_parent_id", "parent_id"),
        Index("ix_runs_treatment_id", "treatment_id"),
        Index("ix_runs_gives_way_to", "gives_way_to", unique=True),
        Index("ix_runs_stack", "owner", "stack_key", "created_at", "id", postgresql_where=QUEUED, sqlite_where=QUEUED),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[Kind] = mapped_column(Text, default="training", server_default="training")
    watched: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Whether another trainer sends its steps: see `WatchRow`."""
    name: Mapped[str | None]
    tags: Mapped[list[str]] = mapped_column(JSON, default=list, server_default="[]")
    """Sorted, each once; changed by `store.runs.tags` alone."""
    preset: Mapped[str | None]
    spec: Mapped[dict[str, Any]]
    spec_hash: Mapped[str]
    seed: Mapped[int] = mapped_column(BigInteger)
    status: Mapped[Status] = mapped_column(Text)
    priority: Mapped[int]
    """Higher is claimed first."""
    user: Mapped[str] = mapped_column(default=DEFAULT_USER, server_default=DEFAULT_USER)
    """Who submitted it."""
    team: Mapped[str | None]
    owner: Mapped[str] = mapped_column(ForeignKey("owners.id"), default=DEFAULT_OWNER, server_default=DEFAULT_OWNER)
    """Whom its device time is counted for: user and team."""
    batch_id: Mapped[str | None] = mapped_column(ForeignKey("batches.id"))
    parent_id: Mapped[str | None] = mapped_column(ForeignKey("runs.id"))
    """The run whose spec a remedy changed; null where people made the run, as in the next four."""
    treatment_id: Mapped[str | None]
    """The treatment that made it. No foreign key: treatments have one to runs, and tables are filled one by one."""
    remedy: Mapped[str | None]
    """Name of the remedy."""
    patch: Mapped[dict[str, Any] | None]
    """What the remedy changed: dotted spec paths and their new values."""
    warm_start: Mapped[dict[str, Any] | None]
    """Document of WarmStart: the checkpoint that it begins with; null: it begins with weights of its own."""
    idempotency_key: Mapped[str | None] = mapped_column(unique=True)
    request_hash: Mapped[str]
    request_id: Mapped[str | None]
    """Of the HTTP request that made it, as in the API's log; null where no request did."""
    traceparent: Mapped[str | None]
    """The trace that the request belongs to, in W3C's format; null where nothing was traced."""
    created_at: Mapped[float]
    started_at: Mapped[float | None]
    finished_at: Mapped[float | None]

    attempt: Mapped[int] = mapped_column(default=0)
    """Number of the last attempt; 0 before the first."""
    token: Mapped[int] = mapped_column(BigInteger, default=0)
    """Fencing token: one higher at each claim. A write with an older one is refused."""
    lease_worker: Mapped[str | None]
    lease_expires_at: Mapped[float | None]
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    pause_requested: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Of a running run: it becomes paused with its next epoch."""
    gives_way_to: Mapped[str | None]
    """The queued run that a running one gives its slot to with its next epoch; one gives way to each at most.

    No foreign key: that run may be deleted.
    """
    waits_since: Mapped[float | None]
    """When it was queued last, or another last gave way to it, whichever came later; null: when it was made."""

    epochs_total: Mapped[int]
    extended_from: Mapped[list[int] | None] = mapped_column(JSON(none_as_null=True))
    """What `epochs_total` was before each time that the run was extended."""
    extension_key: Mapped[str | None]
    """Epochs and idempotency key of the last extension, as `20:key`."""
    epochs_done: Mapped[int] = mapped_column(default=0)
    steps_per_epoch: Mapped[int]
    stack_key: Mapped[str | None]
    """See `ganlib.spec.checks.stacking`, or TRAINED_ALONE; null for a comparison, and of an earlier version."""
    step: Mapped[int] = mapped_column(BigInteger, default=0)
    """The last step that was reported."""
    verdict: Mapped[str | None]
    severity: Mapped[str | None]
    first_epoch_seen: Mapped[int | None]
    """First epoch with the finding that the verdict names; null without findings."""
    error: Mapped[str | None]
    error_kind: Mapped[str | None]


class RunTagRow(Base):
    """A tag of a run, by which lists find it."""

    __tablename__ = "run_tags"
    __table_args__ = (Index("ix_run_tags_tag", "tag", "run_id"),)

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    tag: Mapped[str] = mapped_column(primary_key=True)


class Treatment(Base):
    """The search for a cure of a run: what it is for, how much it may try, and what came of it. Its tries are runs."""

    __tablename__ = "treatments"
    __table_args__ = (Index("ix_treatments_run_id", "run_id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"))
    """The sick run."""
    finding: Mapped[str]
    """What is treated."""
    status: Mapped[TreatmentStatus] = mapped_column(Text)
    reason: Mapped[str | None]
    """Why it ended."""
    max_tries: Mapped[int]
    max_epochs: Mapped[int]
    """Of all tries together."""
    best_run_id: Mapped[str | None] = mapped_column(ForeignKey("runs.id"))
    """The try that came nearest to a cure; null while it is running, and where its try was cancelled."""
    idempotency_key: Mapped[str | None] = mapped_column(unique=True)
    request_hash: Mapped[str]
    created_at: Mapped[float]
    finished_at: Mapped[float | None]


class WatchRow(Base):
    """What a trainer elsewhere has sent of a watched run. Changed under the lock of the run's row."""

    __tablename__ = "watches"
    __table_args__ = (Index("ix_watches_heard_at", "heard_at"),)

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger, default=0)
    """Number of the last message that is stored. A message with a number up to it has come before."""
    steps: Mapped[int] = mapped_column(BigInteger, default=0)
    epochs: Mapped[int] = mapped_column(default=0)
    heard_at: Mapped[float]
    ending: Mapped[Status | None] = mapped_column(Text)
    """What the run becomes once its epochs are judged, as its trainer said; null: it goes on."""
    look_id: Mapped[str | None]
    """The run of kind `look` that judges its epochs, one after the other. No foreign key: tables are filled in turn."""
    names: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    """Names of what was sent, each once; null: its blocks tell them, of a version that kept none."""


class WatchedBlock(Base):
    """Steps as a trainer has sent them."""

    __tablename__ = "watched_blocks"

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    first_step: Mapped[int] = mapped_column(BigInteger)
    """Steps that were sent before."""
    block: Mapped[bytes]
    """As `ganlib.step_blocks` has it."""


class WatchedEpoch(Base):
    """Where an epoch of a watched run ends."""

    __tablename__ = "watched_epochs"

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    epoch: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    steps: Mapped[int] = mapped_column(BigInteger)
    """That were sent by then."""
    seconds: Mapped[float]
    """How long it took, as its trainer says."""


class Attempt(Base):
    """One execution of a run, and the machine it ran on."""

    __tablename__ = "attempts"
    __table_args__ = (Index("ix_attempts_ended_at", "ended_at"),)

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    token: Mapped[int] = mapped_column(BigInteger)
    worker: Mapped[str]
    started_at: Mapped[float]
    ended_at: Mapped[float | None]
    outcome: Mapped[AttemptOutcome] = mapped_column(Text)
    error: Mapped[str | None]
    device: Mapped[str | None]
    threads: Mapped[int | None]
    cpu_capability: Mapped[str | None]
    versions: Mapped[dict[str, Any] | None]
    precision: Mapped[SettledPrecision | None] = mapped_column(Text)
    """What the networks multiplied in; null before the training began, and of a version that knew float32 alone."""
    stack_size: Mapped[int | None]
    """Runs that its process trains together, as one stack, when it begins; null: it trains this one, as a run alone."""
    resumed_from_epoch: Mapped[int | None]
    identical: Mapped[bool | None]
    """Whether a resume gives the numbers of an undisturbed run; null where nothing was resumed."""


class Epoch(Base):
    """One epoch of a run. Its primary key and the guard in `record_epoch` keep it from being recorded twice."""

    __tablename__ = "epochs"
    __table_args__ = (Index("ix_epochs_recorded_at", "recorded_at"),)

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    epoch: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    attempt: Mapped[int]
    first_step: Mapped[int] = mapped_column(BigInteger)
    num_steps: Mapped[int]
    means: Mapped[dict[str, Any]]
    """Mean of each step column, and `d_loss`; non-finite is null."""
    gradients: Mapped[list[Any]] = mapped_column(JSON, default=list, server_default="[]")
    """Documents of LayerGradients, in order of steps; empty in epochs of a version that recorded none."""
    seconds: Mapped[float]
    checkpoint: Mapped[str | None]
    """File name; null where the epoch has none."""
    checkpoint_sha256: Mapped[str | None]
    """Of its content; null without one, and in epochs of a version that recorded none."""
    recorded_at: Mapped[float]


class EventRow(Base):
    """Something that has changed in a run. Written by `store.runs.events`, never changed, deleted with its run."""

    __tablename__ = "events"
    __table_args__ = (Index("ix_events_run_id", "run_id", "position"), {"sqlite_autoincrement": True})

    position: Mapped[int] = mapped_column(BigInteger().with_variant(Integer(), "sqlite"), primary_key=True)
    """Given under the lock of the run's row: of one run's events, the later has the higher. Never given twice."""
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"))
    kind: Mapped[EventKind] = mapped_column(Text)
    changed: Mapped[dict[str, Any]]
    """Fields of `ganlib.wire.events.EventView` that the kind has."""
    at: Mapped[float]


class Webhook(Base):
    """Where somebody wants to be told what changes in runs: in those of an owner, or of a batch."""

    __tablename__ = "webhooks"
    __table_args__ = (
        Index("ix_webhooks_owner", "owner", "created_at", "id"),
        Index("ix_webhooks_batch_id", "batch_id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    user: Mapped[str]
    """Who made it."""
    team: Mapped[str | None]
    owner: Mapped[str]
    """Of user and team. No foreign key: whoever is told need not have made a run."""
    url: Mapped[str]
    format: Mapped[WebhookFormat] = mapped_column(Text)
    secret: Mapped[str]
    """Signs what is sent."""
    kinds: Mapped[list[WebhookKind]] = mapped_column(JSON)
    statuses: Mapped[list[Status]] = mapped_column(JSON)
    """That are told, of the kind `status`."""
    batch_id: Mapped[str | None] = mapped_column(ForeignKey("batches.id"))
    """Null: all runs of the owner."""
    idempotency_key: Mapped[str | None] = mapped_column(unique=True)
    request_hash: Mapped[str]
    created_at: Mapped[float]
    delivered_at: Mapped[float | None]
    """When the receiver last took something."""
    failed_at: Mapped[float | None]
    """When it last did not."""
    error: Mapped[str | None]
    """Why not."""


class Delivery(Base):
    """What is yet to be sent to a webhook. Deleted once it is taken, or given up."""

    __tablename__ = "deliveries"
    __table_args__ = (
        Index("ix_deliveries_due_at", "due_at", "id"),
        Index("ix_deliveries_webhook_id", "webhook_id"),
        Index("ix_deliveries_run_id", "run_id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    webhook_id: Mapped[str]
    """No foreign key: a webhook that is deleted in this moment must not keep a run from going on."""
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"))
    kind: Mapped[WebhookKind] = mapped_column(Text)
    changed: Mapped[dict[str, Any]]
    """Fields of the event."""
    at: Mapped[float]
    """When the event was stored."""
    attempts: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[float]
    """When it is sent next: while it is being sent, when another process may take it for lost."""


class LogPiece(Base):
    """A piece of what an attempt's training process has logged. Old pieces are deleted, none is changed."""

    __tablename__ = "log_pieces"

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    start: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    """Bytes that the attempt had logged before."""
    content: Mapped[bytes]


class GpuReading(Base):
    """What a worker last read of a GPU."""

    __tablename__ = "gpu_readings"

    worker: Mapped[str] = mapped_column(primary_key=True)
    gpu: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """Its number on that machine, as the driver counts."""
    name: Mapped[str]
    utilisation: Mapped[float]
    """Share of the time in which it computed, in [0, 1]."""
    memory_used: Mapped[int] = mapped_column(BigInteger)
    """In bytes, as the next."""
    memory_total: Mapped[int] = mapped_column(BigInteger)
    read_at: Mapped[float]


class Upload(Base):
    """A set of samples that runs may train on. Its arrays are stored files, named by their hashes."""

    __tablename__ = "uploads"

    id: Mapped[str] = mapped_column(primary_key=True)
    """Follows from samples, labels and names of classes: the same set has the same id."""
    name: Mapped[str | None]
    kind: Mapped[UploadKind] = mapped_column(Text)
    """Of pairs, both classes are as large, and the nth image of one belongs to the nth of the other."""
    count: Mapped[int]
    """Samples."""
    shape: Mapped[list[int]] = mapped_column(JSON)
    """Of one sample: (channels, height, width) for images, (d,) for points."""
    class_names: Mapped[list[str]] = mapped_column(JSON)
    """Empty where nothing tells classes apart."""
    class_counts: Mapped[list[int]] = mapped_column(JSON)
    """Samples in each class; all of them, as one number, where there are no classes."""
    size: Mapped[int] = mapped_column(BigInteger)
    """Of the stored files, in bytes."""
    samples_sha256: Mapped[str]
    labels_sha256: Mapped[str | None]
    user: Mapped[str] = mapped_column(default=DEFAULT_USER, server_default=DEFAULT_USER)
    """Who uploaded it first."""
    team: Mapped[str | None]
    created_at: Mapped[float]


class SeriesBlock(Base):
    """The steps of one epoch, packed."""

    __tablename__ = "series"

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    first_step: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    num_steps: Mapped[int]
    columns: Mapped[int]
    """Which columns the block has: a key of `store.runs.series.COLUMNS`."""
    block: Mapped[bytes]
    """Little-endian float32 [num_steps, columns]."""


class EvaluationRow(Base):
    """The evaluation of one epoch; epoch 0 is the untrained generator. That of a comparison has epoch 1."""

    __tablename__ = "evaluations"

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    epoch: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    document: Mapped[dict[str, Any]]


class DiagnosisRow(Base):
    """The diagnosis of a run up to one epoch, by one version of the rules."""

    __tablename__ = "diagnoses"

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    epoch: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    ruleset: Mapped[str] = mapped_column(primary_key=True)
    verdict: Mapped[str]
    severity: Mapped[str]
    document: Mapped[dict[str, Any]]


class Annotation(Base):
    """A person's word that a finding is, or is not, in a run. Never changed once it is stored."""

    __tablename__ = "labels"
    __table_args__ = (Index("ix_labels_list", "created_at", "id"), Index("ix_labels_run_id", "run_id"))

    id: Mapped[str] = mapped_column(primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"))
    finding: Mapped[str]
    """A failure mode, or `healthy`."""
    holds: Mapped[bool]
    """Whether it is there."""
    epoch: Mapped[int | None]
    """After which epoch; null: of the whole run."""
    author: Mapped[str]
    note: Mapped[str]
    ruleset: Mapped[str]
    """Of the diagnosis that was known then."""
    verdict: Mapped[str]
    """Likewise."""
    idempotency_key: Mapped[str | None] = mapped_column(unique=True)
    request_hash: Mapped[str]
    created_at: Mapped[float]


class Artifact(Base):
    """Which stored file is the run's picture of an epoch."""

    __tablename__ = "artifacts"
    __table_args__ = (Index("ix_artifacts_sha256", "sha256"),)

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    kind: Mapped[ArtifactKind] = mapped_column(Text, primary_key=True)
    epoch: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    sha256: Mapped[str]
    media_type: Mapped[str]
    size: Mapped[int] = mapped_column(BigInteger)
    """In bytes."""
