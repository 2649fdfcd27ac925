"""Every error that the store raises on purpose.

StoreError
├── RunNotFound             no run has this id
├── BatchNotFound           no batch has this id
├── ComparisonNotFound      no comparison has this id
├── TreatmentNotFound       no treatment has this id
├── WebhookNotFound         no webhook has this id
├── TooManyWebhooks         the user has as many as it may
├── NotTreatable            the run cannot be treated now
├── UploadNotFound          no upload has this id
├── UploadInUse             a run that is not over trains on the upload
├── ArtifactNotFound        no stored file has this hash
├── FileMissing             no stored file has this name
├── FileDamaged             a stored file is not what was stored
├── DiskFull                there is no room for a file on this machine
├── BackupFailed            the database cannot be copied, or restored
├── StorageFull             stored files take all that they may
├── StorageQuotaExceeded    those of a user or a team take all that they may
├── StoreUnavailable        the store of files does not answer, or not in time
├── QuotaExceeded           more runs would wait than the user or the team may have queued
├── PriorityNotAllowed      a run asks for a higher priority than its user and team may give
├── NotPausable             the run is over, so that it cannot be paused or resumed
├── NotExtendable           the run cannot go on with more epochs
├── WorkerNotFound          no worker has this name
├── RunInUse                something needs the run, which is to be deleted
├── RunNotOver              the run is queued or running: what it records may still change
├── IdempotencyConflict     the key was used for another request
├── InvalidCursor           the cursor was not made by this list
├── WatchOutOfOrder         messages of the watched run are missing before this one
├── WatchedRunOver          the watched run is over, and takes no more
├── LeaseLost               the token no longer holds the run
├── EpochOutOfOrder         the epoch is not the next one of its run
├── DatabaseNotMigrated     the schema is not the one this code needs
│   └── DatabaseTooNew      it was made by a newer version of this code
└── DatabaseUnavailable     the database does not answer, or not in time
"""

from pathlib import Path

WHAT_TO_DELETE = (
    "delete runs, evaluations or uploads that nobody needs: GET /v1/storage lists the runs and evaluations that take "
    "most, GET /v1/uploads the uploads"
)


class StoreError(Exception):
    """Base of every error of the store."""


class RunNotFound(StoreError):
    """No run has this id."""

    def __init__(self, run_id: str) -> None:
        super().__init__(f"there is no run '{run_id}'")
        self.run_id = run_id


class BatchNotFound(StoreError):
    """No batch has this id."""

    def __init__(self, batch_id: str) -> None:
        super().__init__(f"there is no batch '{batch_id}'")
        self.batch_id = batch_id


class ComparisonNotFound(StoreError):
    """No comparison has this id."""

    def __init__(self, comparison_id: str) -> None:
        super().__init__(f"there is no evaluation '{comparison_id}'")
        self.comparison_id = comparison_id


class TreatmentNotFound(StoreError):
    """No treatment has this id."""

    def __init__(self, treatment_id: str) -> None:
        super().__init__(f"there is no treatment '{treatment_id}'")
        self.treatment_id = treatment_id


class WebhookNotFound(StoreError):
    """No webhook has this id."""

    def __init__(self, webhook_id: str) -> None:
        super().__init__(f"there is no webhook '{webhook_id}'")


class TooManyWebhooks(StoreError):
    """The user has as many webhooks as it may."""

    def __init__(self, most: int) -> None:
        super().__init__(f"there are {most} webhooks already, which is all that one user may have; delete one")


class WatchOutOfOrder(StoreError):
    """Messages of the watched run are missing before this one."""

    def __init__(self, run_id: str, sequence: int, expected: int) -> None:
        super().__init__(f"the message {sequence} of the run '{run_id}' comes too early; send {expected} first")


class WatchedRunOver(StoreError):
    """The watched run is over, and takes no more."""

    def __init__(self, run_id: str, status: str) -> None:
        super().__init__(f"the watched run '{run_id}' is over ({status}) and takes no more; begin another one")


class NotTreatable(StoreError):
    """The run cannot be treated now; the message says why."""

    def __init__(self, run_id: str, why: str) -> None:
        super().__init__(f"the run '{run_id}' cannot be treated: {why}")
        self.run_id = run_id


class UploadNotFound(StoreError):
    """No upload has this id."""

    def __init__(self, upload_id: str) -> None:
        super().__init__(f"there is no upload '{upload_id:.80}'")
        self.upload_id = upload_id


class UploadInUse(StoreError):
    """A run that is queued or running trains on the upload."""

    def __init__(self, upload_id: str, run_id: str) -> None:
        super().__init__(f"the run '{run_id}' trains on the upload '{upload_id}'; cancel it first, or wait for its end")
        self.upload_id = upload_id
        self.run_id = run_id


class ArtifactNotFound(StoreError):
    """No stored file has this hash."""

    def __init__(self, sha256: str) -> None:
        super().__init__(f"there is no artifact '{sha256}'")
        self.sha256 = sha256


class QuotaExceeded(StoreError):
    """More runs would wait than the user or the team may have queued."""

    def __init__(self, scope: str, name: str, *, queued: int, allowed: int) -> None:
        super().__init__(
            f"the {scope} '{name}' would have {queued} runs queued, and may have {allowed}; "
            "wait until some have started, or cancel some"
        )
        self.allowed = allowed


class PriorityNotAllowed(StoreError):
    """A run asks for a higher priority than the user, or the team, may give."""

    def __init__(self, field: str, scope: str, name: str, *, priority: int, allowed: int) -> None:
        super().__init__(
            f"{field}: the {scope} '{name}' may give {allowed} at most, not {priority}; "
            f"give less, or let whoever keeps the tokens file raise max_priority in quotas.{scope}s.{name}"
        )
        self.field = field
        self.allowed = allowed


class NotPausable(StoreError):
    """The run is over, or trained elsewhere, so that it cannot be paused or resumed."""

    def __init__(self, run_id: str, status: str, *, watched: bool = False) -> None:
        why = "trained elsewhere" if watched else f"over: {status}"
        super().__init__(f"the run '{run_id}' is {why}; it can neither be paused nor resumed")
        self.run_id = run_id


class NotExtendable(StoreError):
    """The run cannot go on with more epochs; the message says why."""

    def __init__(self, run_id: str, why: str) -> None:
        super().__init__(f"the run '{run_id}' cannot be extended: {why}")
        self.run_id = run_id


class WorkerNotFound(StoreError):
    """No worker has this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no worker '{name:.80}'")
        self.name = name


class FileMissing(StoreError):
    """No stored file has this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no stored file '{name:.200}'")
        self.name = name


class FileDamaged(StoreError):
    """A stored file is not what was stored."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the stored file '{name}' is damaged: its content has another hash")
        self.name = name


class DiskFull(StoreError):
    """There is no room for a file on this machine."""

    def __init__(self, directory: Path | None, reason: str) -> None:
        """`directory`: None where nobody knows which."""
        where = "" if directory is None else f" in '{directory}'"
        super().__init__(f"there is no room for a file{where} ({reason}); free some, and try again")
        self.directory = directory


class BackupFailed(StoreError):
    """The database cannot be copied, or restored; the message says why."""


class StorageFull(StoreError):
    """Stored files take all that they may."""

    def __init__(self, used: int, quota: int) -> None:
        super().__init__(f"stored files take {used:,} bytes, and the service allows {quota:,}; {WHAT_TO_DELETE}")
        self.used = used
        self.quota = quota


class StorageQuotaExceeded(StoreError):
    """The stored files of a user or a team take all that they may."""

    def __init__(self, scope: str, name: str, *, used: int, quota: int) -> None:
        super().__init__(f"the {scope} '{name}' stores {used:,} bytes, and may store {quota:,}; {WHAT_TO_DELETE}")
        self.used = used
        self.quota = quota


class StoreUnavailable(StoreError):
    """The store of files does not answer, or not in time."""


class RunInUse(StoreError):
    """Something needs the run, or comparison, which is to be deleted; the message says what, and what to do."""

    def __init__(self, run_id: str, why: str, *, what: str = "run") -> None:
        super().__init__(f"the {what} '{run_id}' cannot be deleted: {why}")
        self.run_id = run_id


class RunNotOver(StoreError):
    """The run is queued or running: what it has recorded may still change."""

    def __init__(self, run_id: str, status: str) -> None:
        super().__init__(
            f"the run '{run_id}' is {status} and diagnoses each epoch itself; diagnose it again once it is over"
        )
        self.run_id = run_id
        self.status = status


class IdempotencyConflict(StoreError):
    """The idempotency key was used before, for another request."""

    def __init__(self, key: str) -> None:
        self.key = key.rpartition("\n")[2]  # without whose it is
        super().__init__(f"the idempotency key '{self.key}' was used for another request")


class InvalidCursor(StoreError):
    """The cursor was not made by this list."""

    def __init__(self, cursor: str) -> None:
        super().__init__(f"'{cursor:.80}' is not a cursor of this list")
        self.cursor = cursor


class LeaseLost(StoreError):
    """The token no longer holds the run: it ended, was handed over, or another worker claimed it."""

    def __init__(self, run_id: str, token: int) -> None:
        super().__init__(f"token {token} no longer holds run {run_id}")
        self.run_id = run_id
        self.token = token


class EpochOutOfOrder(StoreError):
    """The epoch is not the one after the last that was recorded."""

    def __init__(self, run_id: str, epoch: int, epochs_done: int) -> None:
        super().__init__(f"run {run_id} has {epochs_done} epochs: epoch {epoch} cannot be recorded now")
        self.run_id = run_id
        self.epoch = epoch
        self.epochs_done = epochs_done


class DatabaseNotMigrated(StoreError):
    """The database's schema is not the one this code needs."""

    def __init__(self, revision: str | None, head: str) -> None:
        found = f"is at revision {revision}" if revision else "is empty"
        super().__init__(f"the database {found}, this code needs {head}; run: python -m store.migrate")
        self.revision = revision
        self.head = head


class DatabaseTooNew(DatabaseNotMigrated):
    """The database's schema was made by a newer version of this code."""

    def __init__(self, revision: str, head: str) -> None:
        StoreError.__init__(
            self, f"the database is at revision {revision}, which this code does not know; use the version that made it"
        )
        self.revision = revision
        self.head = head


class DatabaseUnavailable(StoreError):
    """The database does not answer, or not in time."""
