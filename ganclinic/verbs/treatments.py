"""Treatments of sick runs, and the families that come of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ganclinic import views
from ganclinic.connection import Connection
from ganlib.findings import FindingName
from ganlib.wire.paths import run_path, treatment_path

if TYPE_CHECKING:  # models and specs are imported when they are used: most of them cost a command its start
    from ganclinic.views import MemberView, TreatmentView


class TreatmentVerbs(Connection):
    """Treatments of sick runs, and the families that come of them."""

    def treat(
        self,
        run_id: str,
        *,
        finding: FindingName | None = None,
        max_tries: int = 3,
        max_epochs: int | None = None,
        idempotency_key: str | None = None,
    ) -> TreatmentView:
        """Treats a run that is over: tries the remedies of its verdict, or of `finding`, until one helps.

        `max_epochs` is for all tries together; by default as many as the run's for each try, and once more.

        Raises:
            Conflict: the run cannot be treated; the message says why.
            InvalidSpec: with every field that is wrong.
        """
        body = {"finding": finding, "max_tries": max_tries, "max_epochs": max_epochs}
        return self._answers.create(views.TreatmentView, f"{run_path(run_id)}/treatments", body, idempotency_key)

    def get_treatment(self, treatment_id: str) -> TreatmentView:
        """A treatment with its tries."""
        return self._answers.view(views.TreatmentView, treatment_path(treatment_id))

    def treatments(self, run_id: str) -> list[TreatmentView]:
        """The treatments of a run, in their order."""
        return self._answers.views(views.TreatmentView, f"{run_path(run_id)}/treatments")

    def watch_treatment(self, treatment_id: str) -> Iterator[TreatmentView]:
        """The treatment each time one of its tries has changed, until all is over."""
        return self._polling.changes(lambda: self.get_treatment(treatment_id), lambda treatment: treatment.tries)

    def cancel_treatment(self, treatment_id: str) -> TreatmentView:
        """Ends a treatment, and asks for the end of its try; one that is over stays as it is."""
        return self._answers.post(views.TreatmentView, f"{treatment_path(treatment_id)}/cancel")

    def family(self, run_id: str) -> list[MemberView]:
        """The run that people made and all that remedies made of it; each is followed by its children, and theirs."""
        return self._answers.views(views.MemberView, f"{run_path(run_id)}/family")
