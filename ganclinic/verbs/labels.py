"""What people say of verdicts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ganclinic import views
from ganclinic.connection import Connection
from ganlib.findings import Labelled
from ganlib.wire.paths import LABELS, run_path

if TYPE_CHECKING:  # models and specs are imported when they are used: most of them cost a command its start
    from ganclinic.views import LabelView


class LabelVerbs(Connection):
    """What people say of verdicts."""

    def dispute(
        self,
        run_id: str,
        finding: Labelled,
        *,
        holds: bool,
        author: str,
        epoch: int | None = None,
        note: str = "",
        idempotency_key: str | None = None,
    ) -> LabelView:
        """Stores that a finding is in a run or, where it does not hold, is not: after `epoch`, or all in all.

        Raises:
            NotFound: the run has no verdict yet.
            InvalidSpec: with every field that is wrong.
        """
        body = {"finding": finding, "holds": holds, "author": author, "epoch": epoch, "note": note}
        return self._answers.create(views.LabelView, f"{run_path(run_id)}/labels", body, idempotency_key)

    def labels_of(self, run_id: str) -> list[LabelView]:
        """What people said of a run's verdict, newest first."""
        return self._answers.views(views.LabelView, f"{run_path(run_id)}/labels")

    def labels(self) -> Iterator[LabelView]:
        """What people said of verdicts, newest first; further pages are fetched as they are reached."""
        return self._answers.pages(views.LabelView, LABELS, {})

    def export_labels(self) -> list[dict[str, Any]]:
        """Every label with its run's spec and seed, oldest first."""
        return self._answers.json_lines(f"{LABELS}/export")
