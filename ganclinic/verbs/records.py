"""What a run has recorded: verdicts, figures, series, pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ganclinic import views
from ganclinic.connection import Connection
from ganclinic.transport import Query
from ganlib.diagnosis.verdict import Diagnosis
from ganlib.records import EpochEvaluation
from ganlib.wire.paths import run_path

if TYPE_CHECKING:  # models and specs are imported when they are used: most of them cost a command its start
    from pathlib import Path

    from ganclinic.views import Series

REPLAY_TIMEOUT_S = 600.0  # the service answers when it has gone through every epoch

Figure = Literal["losses", "ndb"]
Download = Literal["losses", "samples"]
DOWNLOADS: dict[Download, str] = {"losses": "losses.csv", "samples": "samples.zip"}


class RecordVerbs(Connection):
    """What a run has recorded: verdicts, figures, series, pictures."""

    def diagnosis(self, run_id: str, *, epoch: int | None = None, ruleset: str | None = None) -> Diagnosis:
        """The verdict with its findings, evidence and remedies, after `epoch` or the last one.

        By that `ruleset`, or by the newest that has judged the epoch.

        Raises:
            NotFound: there is none yet.
        """
        query: Query = {"epoch": epoch, "ruleset": ruleset}
        return self._answers.view(Diagnosis, f"{run_path(run_id)}/diagnosis", query)

    def diagnosis_history(self, run_id: str, *, ruleset: str | None = None) -> list[Diagnosis]:
        """The verdict after each epoch, by that `ruleset`, or each by the newest that has judged it."""
        path = f"{run_path(run_id)}/diagnosis/history"
        return self._answers.views(Diagnosis, path, {"ruleset": ruleset})

    def rediagnose(self, run_id: str) -> Diagnosis:
        """The diagnosis of a run that is over by the service's own ruleset; what earlier rulesets said stays.

        Raises:
            Conflict: the run is queued or running.
        """
        answer = self._transport.post(f"{run_path(run_id)}/diagnosis", timeout_s=REPLAY_TIMEOUT_S)
        return self._answers.of(Diagnosis, answer)

    def evaluations(self, run_id: str) -> list[EpochEvaluation]:
        """How each evaluated epoch's fakes compare with real data; epoch 0 is the untrained generator."""
        return self._answers.views(EpochEvaluation, f"{run_path(run_id)}/evaluations")

    def series(
        self,
        run_id: str,
        *,
        resolution: Literal["epoch", "step"] = "epoch",
        first_step: int | None = None,
        last_step: int | None = None,
        max_points: int | None = None,
    ) -> Series:
        """Losses, accuracies and gradient norms, thinned out to at most `max_points` points (1,000 by default)."""
        query: Query = {"first_step": first_step, "last_step": last_step, "max_points": max_points}
        return self._answers.view(views.Series, f"{run_path(run_id)}/series", {"resolution": resolution, **query})

    def sample_epochs(self, run_id: str) -> list[int]:
        """Epochs that have a sample grid."""
        return [int(item["epoch"]) for item in self._answers.items(f"{run_path(run_id)}/samples")]

    def samples(self, run_id: str, *, epoch: int | None = None) -> bytes:
        """The sample grid of an epoch, by default of the last one, as PNG.

        Raises:
            NotFound: there is none.
        """
        if epoch is None:
            epoch = max(self.sample_epochs(run_id), default=1)
        return self._transport.get(f"{run_path(run_id)}/samples/{epoch}").content

    def download(self, run_id: str, what: Download, file: Path) -> None:
        """Writes into the file: `losses`, a line of CSV for each step; `samples`, the pictures of all epochs as a ZIP.

        Raises:
            NotFound: the run has recorded none.
            InvalidInput: the file cannot be written.
        """
        self._transport.download(f"{run_path(run_id)}/{DOWNLOADS[what]}", file)

    def figure(
        self, run_id: str, figure: Figure, *, kind: Literal["png", "svg"] = "png", epoch: int | None = None
    ) -> bytes:
        """The loss figure, or the NDB bars of an epoch (by default the last)."""
        return self._transport.get(f"{run_path(run_id)}/figures/{figure}.{kind}", {"epoch": epoch}).content
