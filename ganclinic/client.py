"""The Python client: the same verbs as the command line.

with Client.here() as client:                     # or Client("http://gpu-server:8000", token="…")
    run = client.create_run(RunRequest(preset="digit8-latent-1", set={"training.epochs": 3}))
    run = client.wait(run.id)
    print(run.verdict, client.diagnosis(run.id).reason)
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import httpx

from ganclinic import views
from ganclinic.answers import Answers, new_key
from ganclinic.config import ConfigSources, find_service
from ganclinic.errors import GanClinicError, UnexpectedAnswer
from ganclinic.log_following import LogFollower
from ganclinic.polling import Polling, WhenWaiting
from ganclinic.transport import Query, Transport
from ganlib.diagnosis.verdict import Diagnosis
from ganlib.findings import FindingName, Labelled
from ganlib.records import EpochEvaluation
from ganlib.wire.paths import (
    BATCHES,
    COMPARISONS,
    LABELS,
    RUNS,
    UPLOADS,
    WORKERS,
    batch_path,
    comparison_path,
    drain_path,
    run_path,
    treatment_path,
    upload_path,
)

if TYPE_CHECKING:  # models and specs are imported when they are used: most of them cost a command its start
    from ganclinic.views import (
        BatchView,
        ComparisonView,
        LabelView,
        MemberView,
        RunDetails,
        RunLog,
        RunView,
        Series,
        TreatmentView,
        UploadView,
        WaitingView,
        WorkerView,
    )
    from ganlib.spec.request import RunRequest

REPLAY_TIMEOUT_S = 600.0  # the service answers when it has gone through every epoch

Figure = Literal["losses", "ndb"]


class Client:
    """A connection to one service; usable as a context manager.

    Every verb raises `ganclinic.errors.GanClinicError` or one of its kinds, and nothing else.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`transport`, `sleep` and `clock` are for tests."""
        self._transport = Transport(url, token, transport, sleep)
        self._answers = Answers(self._transport)
        self._polling = Polling(sleep, clock)

    @classmethod
    def here(cls) -> Self:
        """A client of the service that the configuration names (see `ganclinic.config`).

        Raises:
            ServiceNotFound: it names none.
        """
        address = find_service(ConfigSources.real())
        return cls(address.url, address.token)

    @property
    def url(self) -> str:
        """Where the service is."""
        return self._transport.url

    def __enter__(self) -> Self:
        """The client itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes its connections."""
        self.close()

    def close(self) -> None:
        """Closes all connections."""
        self._transport.close()

    # --- making and stopping ------------------------------------------------------------------------------------

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

    def compare(self, real: str | Path, fake: str | Path, /, **options: Any) -> ComparisonView:
        """Uploads two sets of samples and queues their comparison, e.g. with `space="efficientnet-lite0"`.

        Files are .npy, .npz, or .zip, .tar or .tar.gz of pictures.

        Raises:
            InvalidInput: a file cannot be read.
            InvalidSpec: with what is wrong: `real`, `fake` or fields of `options`.
        """
        answer = self._transport.upload(
            COMPARISONS,
            {"real": Path(real), "fake": Path(fake)},
            fields={"options": json.dumps(options)},
            key=new_key(),
        )
        return self._answers.of(views.ComparisonView, answer)

    def upload(
        self,
        file: str | Path,
        *,
        name: str | None = None,
        image_size: int | None = None,
        pairs: bool = False,
        convert: Literal["grey", "rgb"] | None = None,
    ) -> UploadView:
        """Stores a set of samples for runs to train on: .npy, .npz, or .zip, .tar or .tar.gz of pictures.

        With an `image_size`, pictures may have different sizes: the centre square of each is resized to it. Its name
        is by default that of the file. The same set is stored once. Pictures are stored as a viewer shows them, what is
        transparent on white; `convert` makes grey and coloured ones alike.

        Of `pairs` an archive holds two folders whose pictures have the same names, as A/1.png and B/1.png, or an .npz
        two arrays; `upload-pairs` is the data set for them.

        Raises:
            InvalidInput: the file cannot be read.
            InvalidSpec: with what is wrong: `file`, `name` or `image_size`.
        """
        shown = "".join(letter for letter in Path(file).name if letter.isprintable())
        fields = {"name": name or shown[:200] or "upload"}
        if image_size is not None:
            fields["image_size"] = str(image_size)
        if pairs:
            fields["pairs"] = "true"
        if convert is not None:
            fields["convert"] = convert
        return self._answers.of(views.UploadView, self._transport.upload(UPLOADS, {"file": Path(file)}, fields=fields))

    def delete_upload(self, upload_id: str) -> None:
        """Deletes an uploaded set.

        Raises:
            Conflict: a run that is queued or running trains on it.
        """
        self._transport.delete(upload_path(upload_id))

    def cancel_comparison(self, comparison_id: str) -> ComparisonView:
        """Asks for the end of a comparison; one that is over stays as it is."""
        return self._answers.post(views.ComparisonView, f"{comparison_path(comparison_id)}/cancel")

    def cancel(self, run_id: str) -> RunView:
        """Asks for the end of a run; one that is over stays as it is."""
        return self._answers.post(views.RunView, f"{run_path(run_id)}/cancel")

    def delete_comparison(self, comparison_id: str) -> None:
        """Deletes a comparison that is over, with its samples and what it found.

        Raises:
            Conflict: it is not over, or a quota of device hours counts it.
        """
        self._transport.delete(comparison_path(comparison_id))

    def delete(self, run_id: str, *, with_labels: bool = False) -> None:
        """Deletes a run that is over, with everything that it has recorded.

        Raises:
            Conflict: it is not over, remedies made other runs of it, or people's labels would be lost and
                `with_labels` does not say that they may.
        """
        self._transport.delete(f"{run_path(run_id)}{'?with_labels=true' if with_labels else ''}")

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

    def drain(self, worker: str | None = None) -> None:
        """Lets that worker, or every worker, finish what it has and claim nothing more.

        Raises:
            NotAllowed: only administrators may.
        """
        self._transport.post(drain_path(worker))

    def end_drain(self, worker: str | None = None) -> None:
        """Lets that worker, or every worker that is not drained by name, claim again."""
        self._transport.delete(drain_path(worker))

    def rediagnose(self, run_id: str) -> Diagnosis:
        """The diagnosis of a run that is over by the service's own ruleset; what earlier rulesets said stays.

        Raises:
            Conflict: the run is queued or running.
        """
        answer = self._transport.post(f"{run_path(run_id)}/diagnosis", timeout_s=REPLAY_TIMEOUT_S)
        return self._answers.of(Diagnosis, answer)

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

    def cancel_treatment(self, treatment_id: str) -> TreatmentView:
        """Ends a treatment, and asks for the end of its try; one that is over stays as it is."""
        return self._answers.post(views.TreatmentView, f"{treatment_path(treatment_id)}/cancel")

    # --- looking ------------------------------------------------------------------------------------------------

    def list_runs(
        self,
        *,
        status: str | None = None,
        preset: str | None = None,
        verdict: str | None = None,
        batch: str | None = None,
        name: str | None = None,
        user: str | None = None,
    ) -> Iterator[RunView]:
        """Runs that match all filters, newest first; further pages are fetched as they are reached."""
        query = {"status": status, "preset": preset, "verdict": verdict, "batch": batch, "name": name, "user": user}
        return self._answers.pages(views.RunView, RUNS, query)

    def get_run(self, run_id: str) -> RunDetails:
        """A run with its spec and attempts."""
        return self._answers.view(views.RunDetails, run_path(run_id))

    def why_waiting(self, run_id: str) -> WaitingView:
        """Why a run waits: what is claimed before it, what holds it back, and when it may begin."""
        return self._answers.view(views.WaitingView, f"{run_path(run_id)}/waiting")

    def workers(self) -> list[WorkerView]:
        """Every worker that was heard of within a day, by name."""
        return self._answers.views(views.WorkerView, WORKERS)

    def get_batch(self, batch_id: str) -> BatchView:
        """A batch with its runs."""
        return self._answers.view(views.BatchView, batch_path(batch_id))

    def get_comparison(self, comparison_id: str) -> ComparisonView:
        """A comparison with what it found."""
        return self._answers.view(views.ComparisonView, comparison_path(comparison_id))

    def list_comparisons(self, *, status: str | None = None) -> Iterator[ComparisonView]:
        """Comparisons, newest first, without what they found; further pages are fetched as they are reached."""
        return self._answers.pages(views.ComparisonView, COMPARISONS, {"status": status})

    def get_upload(self, upload_id: str) -> UploadView:
        """An uploaded set."""
        return self._answers.view(views.UploadView, upload_path(upload_id))

    def uploads(self) -> list[UploadView]:
        """All uploaded sets, newest first."""
        return self._answers.views(views.UploadView, UPLOADS)

    def get_treatment(self, treatment_id: str) -> TreatmentView:
        """A treatment with its tries."""
        return self._answers.view(views.TreatmentView, treatment_path(treatment_id))

    def treatments(self, run_id: str) -> list[TreatmentView]:
        """The treatments of a run, in their order."""
        return self._answers.views(views.TreatmentView, f"{run_path(run_id)}/treatments")

    def watch_treatment(self, treatment_id: str) -> Iterator[TreatmentView]:
        """The treatment each time one of its tries has changed, until all is over."""
        return self._polling.changes(lambda: self.get_treatment(treatment_id), lambda treatment: treatment.tries)

    def family(self, run_id: str) -> list[MemberView]:
        """The run that people made and all that remedies made of it; each is followed by its children, and theirs."""
        return self._answers.views(views.MemberView, f"{run_path(run_id)}/family")

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

    def wait_for_comparison(self, comparison_id: str, *, timeout_s: float | None = None) -> ComparisonView:
        """The comparison once it is over.

        Raises:
            WaitTimeout: `timeout_s` passed; the comparison goes on.
        """
        return self._polling.until_final(lambda: self.get_comparison(comparison_id), comparison_id, timeout_s)

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

    def labels_of(self, run_id: str) -> list[LabelView]:
        """What people said of a run's verdict, newest first."""
        return self._answers.views(views.LabelView, f"{run_path(run_id)}/labels")

    def labels(self) -> Iterator[LabelView]:
        """What people said of verdicts, newest first; further pages are fetched as they are reached."""
        return self._answers.pages(views.LabelView, LABELS, {})

    def export_labels(self) -> list[dict[str, Any]]:
        """Every label with its run's spec and seed, oldest first."""
        return self._answers.json_lines(f"{LABELS}/export")

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

    def log(self, run_id: str, *, attempt: int | None = None, tail: int | None = None) -> RunLog:
        """What an attempt (by default the last) has logged: all that is kept, or its last `tail` lines.

        Raises:
            NotFound: there is no such run or attempt.
        """
        answer = self._transport.get(f"{run_path(run_id)}/log", {"attempt": attempt, "tail": tail})
        number, end = (answer.headers.get(name, "") for name in ("X-Log-Attempt", "X-Log-End"))
        if not (number.isdecimal() and end.isdecimal()):
            raise UnexpectedAnswer(self.url, "a log without its attempt")
        return views.RunLog(attempt=int(number), text=answer.text, end=int(end))

    def follow_log(self, run_id: str, *, attempt: int | None = None, tail: int | None = None) -> Iterator[str]:
        """Lines as they are logged, after the last `tail` of those before, until the attempt has ended.

        Without `attempt` until the run is over: its attempts one after the other, and the first once it begins.
        Outages of up to a minute are waited out.
        """
        path = f"{run_path(run_id)}/log/stream"
        follower = LogFollower(run_id=run_id, path=path, client=self, transport=self._transport, polling=self._polling)
        return follower.follow(attempt, tail)

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

    def figure(
        self, run_id: str, figure: Figure, *, kind: Literal["png", "svg"] = "png", epoch: int | None = None
    ) -> bytes:
        """The loss figure, or the NDB bars of an epoch (by default the last)."""
        return self._transport.get(f"{run_path(run_id)}/figures/{figure}.{kind}", {"epoch": epoch}).content

    def comparison_figure(self, comparison_id: str, *, kind: Literal["png", "svg"] = "png") -> bytes:
        """The NDB bars of a comparison."""
        return self._transport.get(f"{comparison_path(comparison_id)}/figures/ndb.{kind}").content

    def presets(self) -> list[dict[str, Any]]:
        """The published experiments that the service knows."""
        return self._answers.items("/v1/presets")

    def datasets(self) -> list[dict[str, Any]]:
        """The data sets that the service knows."""
        return self._answers.items("/v1/datasets")

    def is_healthy(self) -> bool:
        """Whether the service answers and says that it is well."""
        try:
            return self._answers.document("/v1/health").get("status") == "ok"
        except GanClinicError:
            return False
