"""Treatments, and the families of runs that come of them."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ganlib.findings import FindingName, Severity, Verdict
from ganlib.wire.runs import RunView
from ganlib.wire.statuses import Status
from ganlib.wire.view import View, WrittenAs

TreatmentStatus = Literal["running", "cured", "exhausted", "cancelled"]


class TreatmentRequest(BaseModel):
    """What to treat in a run that is over, and how much may be tried."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    finding: FindingName | None = Field(
        default=None,
        description="The finding to treat; null: the first moderate or severe one, which gives the verdict.",
    )
    max_tries: int = Field(default=3, ge=1, le=20, description="Runs that may be made, one after the other.")
    max_epochs: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000_000,
        description="Epochs that all tries may take together; null: for each try, and once more, as many as the run.",
    )


class TreatmentLinks(View):
    """Paths of what belongs to a treatment."""

    self: str
    run: str
    """The sick run."""
    family: str


class TreatmentView(View):
    """The search for a cure of a run, as it is now."""

    id: str
    run_id: str
    """The sick run."""
    finding: FindingName
    """What is treated."""
    status: TreatmentStatus
    """`cured`: the last try succeeded, its verdict is known and names nothing moderate or severe, nor what is treated,
    however mild. `exhausted`: no try, no epochs or no remedy was left before."""
    reason: str | None
    """Why it is over."""
    max_tries: int
    max_epochs: int
    """Of all tries together."""
    best_run_id: str | None
    """Of a treatment that is over: the cure, or the try that came nearest to one; null where it was cancelled."""
    created_at: datetime
    finished_at: datetime | None
    tries: tuple[RunView, ...]
    """The runs that it made, in their order; at most the last one is not over."""
    links: Annotated[dict[str, str], WrittenAs(lambda: TreatmentLinks)]


class TreatmentList(View):
    """The treatments of a run, in their order."""

    items: tuple[TreatmentView, ...]


class MemberView(View):
    """One run of a family."""

    id: str
    parent_id: str | None
    """Null for the root, which people made."""
    depth: int
    """Remedies that were added up in its spec; 0 for the root."""
    treatment_id: str | None
    """The treatment that made it."""
    name: str | None
    preset: str | None
    remedy: str | None
    """Name of the remedy that made it of its parent."""
    patch: dict[str, Any] | None
    """What the remedy changed: dotted spec paths and their new values."""
    status: Status
    verdict: Verdict | None
    severity: Severity | None
    epochs_done: int
    epochs_total: int
    seed: int


class FamilyView(View):
    """The root, which people made, and every run that remedies made of it.

    A list, however deep the tree is: each run is followed by its children, in their order, and theirs.
    """

    items: tuple[MemberView, ...]
