"""Events: what has changed, so that whoever waits need not ask. The resource itself has the data."""

from datetime import datetime

from ganlib.findings import FindingName, Severity
from ganlib.wire.statuses import EventKind, Status
from ganlib.wire.treatments import TreatmentStatus
from ganlib.wire.view import View


class EventView(View):
    """Something that has changed in a run. Fields that its kind does not have are left out."""

    id: int | None = None
    """Rises; `Last-Event-ID` of whoever goes on after it. Progress has none, and is not sent again."""
    kind: EventKind
    run_id: str
    batch_id: str | None = None
    """The batch that the run belongs to."""
    at: datetime
    """When it was stored."""
    status: Status | None = None
    """Of the run, with its kind `status`."""
    attempt: int | None = None
    """Number of the run's last attempt, with `status` and `epoch`: a resumed run may make epochs again."""
    cancel_requested: bool | None = None
    """With `status`, as the next."""
    pause_requested: bool | None = None
    epoch: int | None = None
    """That was recorded, or after which the finding was seen or over; with `progress`, the last one recorded."""
    step: int | None = None
    """The last step that was reported, with `progress`."""
    finding: FindingName | None = None
    """With `finding seen` and `finding over`."""
    severity: Severity | None = None
    """Of the finding when it was seen first."""
    treatment_id: str | None = None
    """With `treatment`: the one of this run that has begun, has made a try or has ended."""
    treatment_status: TreatmentStatus | None = None
    try_id: str | None = None
    """The run that the treatment has just made; left out at its end."""
