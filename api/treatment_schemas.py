"""What the API answers of treatments and of the runs that they make."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Self

from api.schemas import RunView, run_path
from api.views import View, fields_of
from ganlib.findings import FindingName, Severity, Verdict
from store.core.models import Run, Status, Treatment, TreatmentStatus
from store.runs.lineage import Member


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
    tries: list[RunView]
    """The runs that it made, in their order; at most the last one is not over."""
    links: TreatmentLinks

    @classmethod
    def of(cls, treatment: Treatment, tries: Iterable[Run]) -> Self:
        """The view of a stored treatment and its tries."""
        run = run_path(treatment.run_id)
        return cls(
            **fields_of(cls, treatment),
            tries=[RunView.of(run) for run in tries],
            links=TreatmentLinks(self=treatment_path(treatment.id), run=run, family=f"{run}/family"),
        )


class TreatmentList(View):
    """The treatments of a run, in their order."""

    items: list[TreatmentView]


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

    @classmethod
    def of(cls, member: Member) -> Self:
        """The view of a member."""
        return cls(**fields_of(cls, member.run), depth=member.depth)


class FamilyView(View):
    """The root, which people made, and every run that remedies made of it.

    A list, however deep the tree is: each run is followed by its children, in their order, and theirs.
    """

    items: list[MemberView]


def treatment_path(treatment_id: str) -> str:
    """Path of a treatment."""
    return f"/v1/treatments/{treatment_id}"
