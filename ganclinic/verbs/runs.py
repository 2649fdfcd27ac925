"""Runs and batches of them: making, looking, ending."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ganclinic import views
from ganclinic.connection import Connection
from ganclinic.polling import WhenWaiting
from ganlib.wire.paths import BATCHES, COMPARE, RUNS, batch_path, run_path

if TYPE_CHECKING:  # models and specs are imported when they are used: most of them cost a command its start
    from datetime import datetime

    from ganclinic.transport import Query
    from ganclinic.views import BatchResults, BatchView, ComparedRuns, RunDetails, RunView
    from ganlib.findings import Verdict
    from ganlib.spec.request import RunRequest
    from ganlib.spec.sweep import Sweep


class RunVerbs(Connection):
    """Runs and batches of them: making, looking, ending."""

    def create_run(self, request: RunRequest, *, idempotency_key: str | None = None) -> RunView:
        """Queues a run. With the same key, the same request gives the first run again, however often it is sent.

        Raises:
            InvalidSpec: with every field that is wrong.
        """
        body = request.model_dump(mode="json", exclude_unset=True)
        return self._answers.create(views.RunView, RUNS, body, idempotency_key)

    def create_batch(
        self, requests: Sequence[RunRequest], *, name: str | None = None, idempotency_key: str | None = None
    ) -> BatchView:
        """Queues up to 1,000 runs, all or none.

        Raises:
            InvalidSpec: with every field that is wrong, as `runs[3].training.epochs`.
        """
        runs = [request.model_dump(mode="json", exclude_unset=True) for request in requests]
        body = {"runs": runs} if name is None else {"name": name, "runs": runs}
        return self._answers.create(views.BatchView, BATCHES, body, idempotency_key)

    def sweep(self, sweep: Sweep, *, name: str | None = None, idempotency_key: str | None = None) -> BatchView:
        """Queues up to 1,000 runs that differ in what the sweep varies, all or none.

        Raises:
            InvalidSpec: with the first fields that are wrong, as `runs[3].optimizer.learning_rate`.
        """
        body = {"sweep": sweep.model_dump(mode="json", exclude_unset=True), **({} if name is None else {"name": name})}
        return self._answers.create(views.BatchView, BATCHES, body, idempotency_key)

    def list_runs(
        self,
        *,
        status: str | None = None,
        preset: str | None = None,
        verdict: str | None = None,
        batch: str | None = None,
        name: str | None = None,
        user: str | None = None,
        team: str | None = None,
        tags: Sequence[str] = (),
        made_after: datetime | None = None,
        made_before: datetime | None = None,
    ) -> Iterator[RunView]:
        """Runs that match all filters, newest first; further pages are fetched as they are reached.

        `tags`: those that have all of them. Times have to have a time zone.
        """
        query: Query = {
            **{"status": status, "preset": preset, "verdict": verdict, "batch": batch, "name": name},
            **{"user": user, "team": team, "tag": list(tags) or None},
            "made_after": None if made_after is None else made_after.isoformat(),
            "made_before": None if made_before is None else made_before.isoformat(),
        }
        return self._answers.pages(views.RunView, RUNS, query)

    def get_run(self, run_id: str) -> RunDetails:
        """A run with its spec and attempts."""
        return self._answers.view(views.RunDetails, run_path(run_id))

    def get_batch(self, batch_id: str) -> BatchView:
        """A batch with its runs."""
        return self._answers.view(views.BatchView, batch_path(batch_id))

    def results(self, batch_id: str, *, sort: str | None = None, verdict: Verdict | None = None) -> BatchResults:
        """What came of a batch's runs so far: the fields that differ, last figures with their nulls, verdicts.

        `sort`: a figure, as `ndb_over_k`, or `seconds`; with a `-` before it, the highest first.
        """
        query = {"sort": sort, "verdict": verdict}
        return self._answers.view(views.BatchResults, f"{batch_path(batch_id)}/results", query)

    def results_csv(self, batch_id: str, *, sort: str | None = None, verdict: Verdict | None = None) -> str:
        """The same as a table: a line for each run."""
        query = {"sort": sort, "verdict": verdict, "format": "csv"}
        return self._transport.get(f"{batch_path(batch_id)}/results", query).text

    def compare_runs(self, run_ids: Sequence[str]) -> ComparedRuns:
        """Up to 100 runs side by side: differing fields, losses, figures and verdicts over the same epochs."""
        return self._answers.view(views.ComparedRuns, COMPARE, {"runs": list(run_ids)})

    def watch(self, run_id: str) -> Iterator[RunDetails]:
        """The run each time it has changed, until it is over. Outages of up to a minute are waited out."""
        return (run for [run] in self.watch_runs([run_id]))

    def watch_runs(
        self, run_ids: Sequence[str], *, when_waiting: WhenWaiting | None = None
    ) -> Iterator[tuple[RunDetails, ...]]:
        """The runs each time one of them has changed, until all are over.

        `when_waiting` is called once, with those that are queued, where none has begun within some seconds.
        """
        seen: dict[str, RunDetails] = {}

        def look() -> tuple[RunDetails, ...]:
            seen.update({i: self.get_run(i) for i in run_ids if i not in seen or not seen[i].is_final})
            return tuple(seen[i] for i in run_ids)

        return self._polling.changes(look, lambda runs: runs, when_waiting)

    def watch_batch(self, batch_id: str, *, when_waiting: WhenWaiting | None = None) -> Iterator[BatchView]:
        """The batch each time one of its runs has changed, until all are over; `when_waiting` as in `watch_runs`."""
        return self._polling.changes(lambda: self.get_batch(batch_id), lambda batch: batch.runs, when_waiting)

    def wait(self, run_id: str, *, timeout_s: float | None = None) -> RunDetails:
        """The run once it is over.

        Raises:
            WaitTimeout: `timeout_s` passed; the run goes on.
        """
        return self._polling.until_final(lambda: self.get_run(run_id), run_id, timeout_s)

    def tag(self, run_id: str, tags: Sequence[str]) -> RunView:
        """Gives a run these tags instead of those that it has.

        Raises:
            InvalidSpec: one of them is no tag.
            NotAllowed: the run is somebody else's.
        """
        return self._answers.put(views.RunView, f"{run_path(run_id)}/tags", {"tags": list(tags)})

    def cancel(self, run_id: str) -> RunView:
        """Asks for the end of a run; one that is over stays as it is."""
        return self._answers.post(views.RunView, f"{run_path(run_id)}/cancel")

    def pause(self, run_id: str) -> RunView:
        """Asks a run to pause: a queued one at once, a running one at the end of its epoch.

        Raises:
            Conflict: it is over.
        """
        return self._answers.post(views.RunView, f"{run_path(run_id)}/pause")

    def resume(self, run_id: str) -> RunView:
        """Puts a paused run back into the queue, at its old place, or calls off a pause.

        Raises:
            Conflict: it is over.
        """
        return self._answers.post(views.RunView, f"{run_path(run_id)}/resume")

    def extend(self, run_id: str, epochs: int, *, idempotency_key: str | None = None) -> RunView:
        """Lets a run that succeeded, was halted, or has used up its time go on from its last checkpoint.

        It gets so many epochs more than it has made.

        Raises:
            Conflict: it cannot; the message says why.
        """
        return self._answers.create(views.RunView, f"{run_path(run_id)}/extend", {"epochs": epochs}, idempotency_key)

    def delete(self, run_id: str, *, with_labels: bool = False) -> None:
        """Deletes a run that is over, with everything that it has recorded.

        Raises:
            Conflict: it is not over, remedies made other runs of it, or people's labels would be lost and
                `with_labels` does not say that they may.
        """
        self._transport.delete(f"{run_path(run_id)}{'?with_labels=true' if with_labels else ''}")
