"""The Python client: the same verbs as the command line.

with Client.here() as client:                     # or Client("http://gpu-server:8000", token="…")
    run = client.create_run(RunRequest(preset="digit8-latent-1", set={"training.epochs": 3}))
    run = client.wait(run.id)
    print(run.verdict, client.diagnosis(run.id).reason)
"""

import json
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, Literal, Self, TypeVar
from urllib.parse import quote

import httpx
from pydantic import ValidationError

from ganclinic.config import Surroundings, find_service
from ganclinic.errors import GanClinicError, NotFound, ServiceFailed, ServiceUnreachable, UnexpectedAnswer, WaitTimeout
from ganclinic.transport import Query, Transport, document_of
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
    View,
    WaitingView,
    WorkerView,
)
from ganlib.diagnose.verdict import Diagnosis, FindingName
from ganlib.label import Labelled
from ganlib.report import Evaluation
from ganlib.request import RunRequest

POLL_INTERVAL_S = 0.5
POLL_INTERVAL_PER_RUN_S = 0.02  # a look at 1,000 runs takes the service seconds: leave it the time to work
OUTAGE_PATIENCE_S = 60.0  # a restarting API is back in seconds; a run goes on without it
PAGE_SIZE = 100
COMPARISONS = "/v1/evaluations"
UPLOADS = "/v1/uploads"
LABELS = "/v1/labels"

Figure = Literal["losses", "ndb"]
SomeView = TypeVar("SomeView", bound=View)
Seen = TypeVar("Seen")
Job = TypeVar("Job", RunDetails, ComparisonView)


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
        self._sleep = sleep
        self._clock = clock

    @classmethod
    def here(cls) -> Self:
        """A client of the service that the configuration names (see `ganclinic.config`).

        Raises:
            ServiceNotFound: it names none.
        """
        address = find_service(Surroundings.real())
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
        return self._view(RunView, self._transport.post("/v1/runs", body=body, key=idempotency_key or uuid.uuid4().hex))

    def create_batch(
        self, requests: Sequence[RunRequest], *, name: str | None = None, idempotency_key: str | None = None
    ) -> BatchView:
        """Queues up to 1,000 runs, all or none.

        Raises:
            InvalidSpec: with every field that is wrong, as `runs[3].training.epochs`.
        """
        runs = [request.model_dump(mode="json", exclude_unset=True) for request in requests]
        body = {"runs": runs} if name is None else {"name": name, "runs": runs}
        key = idempotency_key or uuid.uuid4().hex
        return self._view(BatchView, self._transport.post("/v1/batches", body=body, key=key))

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
            key=uuid.uuid4().hex,
        )
        return self._view(ComparisonView, answer)

    def upload(self, file: str | Path, *, name: str | None = None, image_size: int | None = None) -> UploadView:
        """Stores a set of samples for runs to train on: .npy, .npz, or .zip, .tar or .tar.gz of pictures.

        With an `image_size`, pictures may have different sizes: the centre square of each is resized to it. Its name
        is by default that of the file. The same set is stored once.

        Raises:
            InvalidInput: the file cannot be read.
            InvalidSpec: with what is wrong: `file`, `name` or `image_size`.
        """
        shown = "".join(letter for letter in Path(file).name if letter.isprintable())
        fields = {"name": name or shown[:200] or "upload"}
        if image_size is not None:
            fields["image_size"] = str(image_size)
        return self._view(UploadView, self._transport.upload(UPLOADS, {"file": Path(file)}, fields=fields))

    def delete_upload(self, upload_id: str) -> None:
        """Deletes an uploaded set.

        Raises:
            Conflict: a run that is queued or running trains on it.
        """
        self._transport.delete(f"{UPLOADS}/{quote(upload_id, safe='')}")

    def cancel_comparison(self, comparison_id: str) -> ComparisonView:
        """Asks for the end of a comparison; one that is over stays as it is."""
        return self._view(ComparisonView, self._transport.post(f"{_comparison_path(comparison_id)}/cancel"))

    def cancel(self, run_id: str) -> RunView:
        """Asks for the end of a run; one that is over stays as it is."""
        return self._view(RunView, self._transport.post(f"{_path_of(run_id)}/cancel"))

    def delete(self, run_id: str, *, with_labels: bool = False) -> None:
        """Deletes a run that is over, with everything that it has recorded.

        Raises:
            Conflict: it is not over, remedies made other runs of it, or people's labels would be lost and
                `with_labels` does not say that they may.
        """
        self._transport.delete(f"{_path_of(run_id)}{'?with_labels=true' if with_labels else ''}")

    def pause(self, run_id: str) -> RunView:
        """Asks a run to pause: a queued one at once, a running one at the end of its epoch.

        Raises:
            Conflict: it is over.
        """
        return self._view(RunView, self._transport.post(f"{_path_of(run_id)}/pause"))

    def resume(self, run_id: str) -> RunView:
        """Puts a paused run back into the queue, at its old place, or calls off a pause.

        Raises:
            Conflict: it is over.
        """
        return self._view(RunView, self._transport.post(f"{_path_of(run_id)}/resume"))

    def extend(self, run_id: str, epochs: int, *, idempotency_key: str | None = None) -> RunView:
        """Lets a run that succeeded or was halted go on from its last checkpoint, with so many more epochs.

        Raises:
            Conflict: it cannot; the message says why.
        """
        key = idempotency_key or uuid.uuid4().hex
        answer = self._transport.post(f"{_path_of(run_id)}/extend", body={"epochs": epochs}, key=key)
        return self._view(RunView, answer)

    def drain(self, worker: str | None = None) -> None:
        """Lets that worker, or every worker, finish what it has and claim nothing more.

        Raises:
            NotAllowed: only administrators may.
        """
        self._transport.post(_drain_path(worker))

    def end_drain(self, worker: str | None = None) -> None:
        """Lets that worker, or every worker that is not drained by name, claim again."""
        self._transport.delete(_drain_path(worker))

    def rediagnose(self, run_id: str) -> Diagnosis:
        """The diagnosis of a run that is over by the service's own ruleset; what earlier rulesets said stays.

        Raises:
            Conflict: the run is queued or running.
        """
        answer = self._transport.post(f"{_path_of(run_id)}/diagnosis")
        return self._read(Diagnosis.from_json, document_of(answer))

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
        key = idempotency_key or uuid.uuid4().hex
        return self._view(LabelView, self._transport.post(f"{_path_of(run_id)}/labels", body=body, key=key))

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
        key = idempotency_key or uuid.uuid4().hex
        return self._view(TreatmentView, self._transport.post(f"{_path_of(run_id)}/treatments", body=body, key=key))

    def cancel_treatment(self, treatment_id: str) -> TreatmentView:
        """Ends a treatment, and asks for the end of its try; one that is over stays as it is."""
        return self._view(TreatmentView, self._transport.post(f"{_treatment_path(treatment_id)}/cancel"))

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
        return self._pages(RunView, "/v1/runs", query)

    def get_run(self, run_id: str) -> RunDetails:
        """A run with its spec and attempts."""
        return self._view(RunDetails, self._transport.get(f"{_path_of(run_id)}"))

    def why_waiting(self, run_id: str) -> WaitingView:
        """Why a run waits: what is claimed before it, what holds it back, and when it may begin."""
        return self._view(WaitingView, self._transport.get(f"{_path_of(run_id)}/waiting"))

    def workers(self) -> list[WorkerView]:
        """Every worker that was heard of within a day, by name."""
        return [self._parsed(WorkerView, item) for item in self._items("/v1/workers")]

    def get_batch(self, batch_id: str) -> BatchView:
        """A batch with its runs."""
        return self._view(BatchView, self._transport.get(f"/v1/batches/{quote(batch_id, safe='')}"))

    def get_comparison(self, comparison_id: str) -> ComparisonView:
        """A comparison with what it found."""
        return self._view(ComparisonView, self._transport.get(_comparison_path(comparison_id)))

    def list_comparisons(self, *, status: str | None = None) -> Iterator[ComparisonView]:
        """Comparisons, newest first, without what they found; further pages are fetched as they are reached."""
        return self._pages(ComparisonView, COMPARISONS, {"status": status})

    def get_upload(self, upload_id: str) -> UploadView:
        """An uploaded set."""
        return self._view(UploadView, self._transport.get(f"{UPLOADS}/{quote(upload_id, safe='')}"))

    def uploads(self) -> list[UploadView]:
        """All uploaded sets, newest first."""
        return [self._parsed(UploadView, item) for item in self._items(UPLOADS)]

    def get_treatment(self, treatment_id: str) -> TreatmentView:
        """A treatment with its tries."""
        return self._view(TreatmentView, self._transport.get(_treatment_path(treatment_id)))

    def treatments(self, run_id: str) -> list[TreatmentView]:
        """The treatments of a run, in their order."""
        return [self._parsed(TreatmentView, item) for item in self._items(f"{_path_of(run_id)}/treatments")]

    def watch_treatment(self, treatment_id: str) -> Iterator[TreatmentView]:
        """The treatment each time one of its tries has changed, until all is over."""
        return self._changes(lambda: self.get_treatment(treatment_id), lambda treatment: treatment.tries)

    def family(self, run_id: str) -> list[MemberView]:
        """The run that people made and all that remedies made of it; each is followed by its children, and theirs."""
        return [self._parsed(MemberView, item) for item in self._items(f"{_path_of(run_id)}/family")]

    def watch(self, run_id: str) -> Iterator[RunDetails]:
        """The run each time it has changed, until it is over. Outages of up to a minute are waited out."""
        return (run for [run] in self.watch_runs([run_id]))

    def watch_runs(self, run_ids: Sequence[str]) -> Iterator[tuple[RunDetails, ...]]:
        """The runs each time one of them has changed, until all are over."""
        seen: dict[str, RunDetails] = {}

        def look() -> tuple[RunDetails, ...]:
            seen.update({i: self.get_run(i) for i in run_ids if i not in seen or not seen[i].is_final})
            return tuple(seen[i] for i in run_ids)

        return self._changes(look, lambda runs: runs)

    def watch_batch(self, batch_id: str) -> Iterator[BatchView]:
        """The batch each time one of its runs has changed, until all are over."""
        return self._changes(lambda: self.get_batch(batch_id), lambda batch: batch.runs)

    def wait(self, run_id: str, *, timeout_s: float | None = None) -> RunDetails:
        """The run once it is over.

        Raises:
            WaitTimeout: `timeout_s` passed; the run goes on.
        """
        return self._final(self.get_run, run_id, timeout_s)

    def wait_for_comparison(self, comparison_id: str, *, timeout_s: float | None = None) -> ComparisonView:
        """The comparison once it is over.

        Raises:
            WaitTimeout: `timeout_s` passed; the comparison goes on.
        """
        return self._final(self.get_comparison, comparison_id, timeout_s)

    def diagnosis(self, run_id: str, *, epoch: int | None = None, ruleset: str | None = None) -> Diagnosis:
        """The verdict with its findings, evidence and remedies, after `epoch` or the last one.

        By that `ruleset`, or by the newest that has judged the epoch.

        Raises:
            NotFound: there is none yet.
        """
        document = self._document(f"{_path_of(run_id)}/diagnosis", {"epoch": epoch, "ruleset": ruleset})
        return self._read(Diagnosis.from_json, document)

    def diagnosis_history(self, run_id: str, *, ruleset: str | None = None) -> list[Diagnosis]:
        """The verdict after each epoch, by that `ruleset`, or each by the newest that has judged it."""
        items = self._items(f"{_path_of(run_id)}/diagnosis/history", {"ruleset": ruleset})
        return [self._read(Diagnosis.from_json, item) for item in items]

    def labels_of(self, run_id: str) -> list[LabelView]:
        """What people said of a run's verdict, newest first."""
        return [self._parsed(LabelView, item) for item in self._items(f"{_path_of(run_id)}/labels")]

    def labels(self) -> Iterator[LabelView]:
        """What people said of verdicts, newest first; further pages are fetched as they are reached."""
        return self._pages(LabelView, LABELS, {})

    def export_labels(self) -> list[dict[str, Any]]:
        """Every label with its run's spec and seed, oldest first."""
        lines = self._transport.get(f"{LABELS}/export").content.splitlines()
        try:
            return [dict(json.loads(line)) for line in lines]
        except (TypeError, ValueError):
            raise UnexpectedAnswer(self.url, "something that is no JSON lines") from None

    def evaluations(self, run_id: str) -> list[Evaluation]:
        """How each evaluated epoch's fakes compare with real data; epoch 0 is the untrained generator."""
        return [self._read(Evaluation.from_json, e) for e in self._items(f"{_path_of(run_id)}/evaluations")]

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
        answer = self._transport.get(f"{_path_of(run_id)}/series", {"resolution": resolution, **query})
        return self._view(Series, answer)

    def log(self, run_id: str, *, attempt: int | None = None, tail: int | None = None) -> RunLog:
        """What an attempt (by default the last) has logged: all that is kept, or its last `tail` lines.

        Raises:
            NotFound: there is no such run or attempt.
        """
        answer = self._transport.get(f"{_path_of(run_id)}/log", {"attempt": attempt, "tail": tail})
        number, end = (answer.headers.get(name, "") for name in ("X-Log-Attempt", "X-Log-End"))
        if not (number.isdecimal() and end.isdecimal()):
            raise UnexpectedAnswer(self.url, "a log without its attempt")
        return RunLog(attempt=int(number), text=answer.text, end=int(end))

    def follow_log(self, run_id: str, *, attempt: int | None = None, tail: int | None = None) -> Iterator[str]:
        """Lines as they are logged, after the last `tail` of those before, until the attempt has ended.

        Without `attempt` until the run is over: its attempts one after the other, and the first once it begins.
        Outages of up to a minute are waited out.
        """
        number = attempt
        while (began := self._patiently(partial(self._first_log, run_id, number, tail))) is None:
            self._sleep(POLL_INTERVAL_S)
        while True:
            yield began.text
            yield from self._rest_of_log(run_id, began)
            if attempt is not None or (next_one := self._next_log(run_id, began.attempt)) is None:
                return
            began = next_one

    def _first_log(self, run_id: str, number: int | None, tail: int | None) -> RunLog | None:
        try:
            return self.log(run_id, attempt=number, tail=tail)
        except NotFound:
            if number is not None or self.get_run(run_id).is_final:
                raise
            return None

    def _rest_of_log(self, run_id: str, began: RunLog) -> Iterator[str]:
        """What comes after, event by event; goes on where a broken connection left off."""
        after, deadline = began.end, self._clock() + OUTAGE_PATIENCE_S
        while True:
            try:
                path, query = f"{_path_of(run_id)}/log/stream", {"attempt": began.attempt}
                with self._transport.events(path, query, after=after) as events:
                    for event in events:
                        if event.kind == "end":
                            return
                        after, deadline = event.id, self._clock() + OUTAGE_PATIENCE_S
                        yield event.data
            except (ServiceUnreachable, ServiceFailed):
                if self._clock() >= deadline:
                    raise
            self._sleep(POLL_INTERVAL_S)

    def _next_log(self, run_id: str, number: int) -> RunLog | None:
        """The log of the attempt after that one, once it begins; None where the run is over without."""
        while True:
            run = self._patiently(lambda: self.get_run(run_id))
            if run.attempt > number:
                return RunLog(attempt=number + 1, text="", end=0)
            if run.is_final:
                return None
            self._sleep(POLL_INTERVAL_S)

    def sample_epochs(self, run_id: str) -> list[int]:
        """Epochs that have a sample grid."""
        return [int(item["epoch"]) for item in self._items(f"{_path_of(run_id)}/samples")]

    def samples(self, run_id: str, *, epoch: int | None = None) -> bytes:
        """The sample grid of an epoch, by default of the last one, as PNG.

        Raises:
            NotFound: there is none.
        """
        if epoch is None:
            epoch = max(self.sample_epochs(run_id), default=1)
        return self._transport.get(f"{_path_of(run_id)}/samples/{epoch}").content

    def figure(
        self, run_id: str, figure: Figure, *, kind: Literal["png", "svg"] = "png", epoch: int | None = None
    ) -> bytes:
        """The loss figure, or the NDB bars of an epoch (by default the last)."""
        return self._transport.get(f"{_path_of(run_id)}/figures/{figure}.{kind}", {"epoch": epoch}).content

    def comparison_figure(self, comparison_id: str, *, kind: Literal["png", "svg"] = "png") -> bytes:
        """The NDB bars of a comparison."""
        return self._transport.get(f"{_comparison_path(comparison_id)}/figures/ndb.{kind}").content

    def presets(self) -> list[dict[str, Any]]:
        """The published experiments that the service knows."""
        return self._items("/v1/presets")

    def datasets(self) -> list[dict[str, Any]]:
        """The data sets that the service knows."""
        return self._items("/v1/datasets")

    def is_healthy(self) -> bool:
        """Whether the service answers and says that it is well."""
        try:
            return self._document("/v1/health").get("status") == "ok"
        except GanClinicError:
            return False

    # --- inside -------------------------------------------------------------------------------------------------

    def _pages(self, kind: type[SomeView], path: str, query: Query) -> Iterator[SomeView]:
        cursor: str | None = None
        while True:
            page = self._document(path, {**query, "limit": PAGE_SIZE, "cursor": cursor})
            for item in page.get("items", ()):
                yield self._parsed(kind, item)
            cursor = page.get("next_cursor")
            if not cursor:
                return

    def _final(self, look: Callable[[str], Job], job_id: str, timeout_s: float | None) -> Job:
        deadline = None if timeout_s is None else self._clock() + timeout_s
        while not (job := self._patiently(lambda: look(job_id))).is_final:
            if deadline is not None and timeout_s is not None and self._clock() >= deadline:
                raise WaitTimeout(job_id, job.status, timeout_s)
            self._sleep(POLL_INTERVAL_S)
        return job

    def _changes(self, look: Callable[[], Seen], runs_of: Callable[[Seen], Sequence[RunView]]) -> Iterator[Seen]:
        last: Seen | None = None
        while True:
            seen = self._patiently(look)
            if seen != last:
                yield seen
            going_on = sum(not run.is_final for run in runs_of(seen))
            if not going_on:
                return
            last = seen
            self._sleep(max(POLL_INTERVAL_S, POLL_INTERVAL_PER_RUN_S * going_on))

    def _patiently(self, look: Callable[[], Seen]) -> Seen:
        deadline = self._clock() + OUTAGE_PATIENCE_S
        while True:
            try:
                return look()
            except (ServiceUnreachable, ServiceFailed) as error:
                has_fault = (
                    isinstance(error, ServiceFailed) and error.problem.status == HTTPStatus.INTERNAL_SERVER_ERROR
                )
                if has_fault or self._clock() >= deadline:
                    raise
                self._sleep(POLL_INTERVAL_S)

    def _document(self, path: str, query: Query | None = None) -> dict[str, Any]:
        return document_of(self._transport.get(path, query))

    def _items(self, path: str, query: Query | None = None) -> list[dict[str, Any]]:
        return list(self._document(path, query).get("items", ()))

    def _view(self, kind: type[SomeView], answer: httpx.Response) -> SomeView:
        return self._parsed(kind, document_of(answer))

    def _read(self, read: Callable[[dict[str, Any]], Seen], document: dict[str, Any]) -> Seen:
        try:
            return read(document)
        except (KeyError, TypeError, ValueError) as error:
            raise UnexpectedAnswer(self.url, f"a document of another version ({type(error).__name__})") from None

    def _parsed(self, kind: type[SomeView], document: Any) -> SomeView:
        try:
            return kind.model_validate(document)
        except ValidationError as error:
            raise UnexpectedAnswer(self.url, f"a {kind.__name__} that lacks {error.errors()[0]['loc']}") from None


def _path_of(run_id: str) -> str:
    return f"/v1/runs/{quote(run_id, safe='')}"


def _drain_path(worker: str | None) -> str:
    return "/v1/drain" if worker is None else f"/v1/workers/{quote(worker, safe='')}/drain"


def _treatment_path(treatment_id: str) -> str:
    return f"/v1/treatments/{quote(treatment_id, safe='')}"


def _comparison_path(comparison_id: str) -> str:
    return f"{COMPARISONS}/{quote(comparison_id, safe='')}"
