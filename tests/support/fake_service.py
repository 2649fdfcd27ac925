"""A GAN Clinic service in memory, behind `httpx.MockTransport`: enough of the API for the client and command line."""

import json
from collections import deque
from collections.abc import Callable
from typing import Any

import httpx

from ganclinic.client import Client
from ganlib.diagnosis.verdict import Diagnosis, Evidence, Finding, Remedy
from ganlib.records import EpochEvaluation, Null
from ganlib.wire.comparisons import ComparisonLinks
from ganlib.wire.runs import RunLinks
from ganlib.wire.treatments import TreatmentLinks

URL = "http://clinic.test"
TOKEN = "right"
PNG = b"\x89PNG, or so"


def run_document(run_id: str = "00000000000000aa", **changes: Any) -> dict[str, Any]:
    """A run as the API answers it."""
    return {
        "id": run_id,
        "name": None,
        "preset": "digit8-stable",
        "status": "queued",
        "batch_id": None,
        "parent_id": None,
        "treatment_id": None,
        "remedy": None,
        "patch": None,
        "warm_start": None,
        "spec_hash": "0" * 64,
        "seed": 0,
        "priority": 0,
        "user": "default",
        "team": None,
        "created_at": "2026-11-24T12:00:00Z",
        "started_at": None,
        "finished_at": None,
        "attempt": 0,
        "cancel_requested": False,
        "pause_requested": False,
        "gives_way_to": None,
        "epochs_total": 10,
        "extended_from": None,
        "epochs_done": 0,
        "steps_per_epoch": 30,
        "step": 0,
        "verdict": None,
        "severity": None,
        "first_epoch_seen": None,
        "error": None,
        "error_kind": None,
        "links": {name: f"/v1/runs/{run_id}/{name}" for name in RunLinks.model_fields},
        "a_field_of_a_newer_service": 1,
        **changes,
    }


COLLAPSE = Diagnosis(
    epoch=10,
    verdict="mode collapse",
    severity="severe",
    findings=(
        Finding(
            name="mode collapse",
            severity="severe",
            first_epoch=3,
            summary="Most fakes are the same picture.",
            evidence=(
                Evidence(
                    signal="coverage",
                    value=0.008,
                    threshold=0.1,
                    comparison="<",
                    first_epoch=8,
                    last_epoch=10,
                    source="-",
                ),
            ),
            remedies=(
                Remedy(
                    name="larger latent", reason="Give the generator more to vary:", patch={"generator.latent_dim": 50}
                ),
            ),
        ),
    ),
    reason="coverage .008 of what real data scores",
    ruleset="1",
)
EVALUATION = EpochEvaluation(
    epoch=10,
    space="pixels",
    n_real=500,
    n_fake=500,
    n_subset=250,
    num_bins=20,
    values={"ndb_over_k": 0.98},
    nulls={"ndb_over_k": Null(mean=0.08, q05=0.0, q95=0.1, excess=0.9)},
    shift={},
    bins=(),
)
COMPARISON_ID = "00000000000000cc"


def batch_document(runs: list[dict[str, Any]], name: str | None = None) -> dict[str, Any]:
    """A batch as the API answers it."""
    return {"id": "ba", "name": name, "created_at": "2026-11-24T12:00:00Z", "runs": runs}


def comparison_document(**changes: Any) -> dict[str, Any]:
    """A comparison as the API answers it."""
    return {
        "id": COMPARISON_ID,
        "status": "queued",
        "created_at": "2026-11-24T12:00:00Z",
        "started_at": None,
        "finished_at": None,
        "attempt": 0,
        "cancel_requested": False,
        "n_real": 60,
        "n_fake": 70,
        "shape": [1, 28, 28],
        "options": {"space": "pixels"},
        "error": None,
        "error_kind": None,
        "evaluation": None,
        "links": {name: f"/v1/evaluations/{COMPARISON_ID}/{name}" for name in ComparisonLinks.model_fields},
        **changes,
    }


UPLOAD_ID = "00000000000000ee"


def upload_document(**changes: Any) -> dict[str, Any]:
    """An upload as the API answers it."""
    return {
        "id": UPLOAD_ID,
        "name": "pets.zip",
        "kind": "images",
        "count": 60,
        "shape": [3, 32, 32],
        "class_names": ["cats", "dogs"],
        "class_counts": [20, 40],
        "size": 184_320,
        "created_at": "2026-11-24T12:00:00Z",
        "links": {"self": f"/v1/uploads/{UPLOAD_ID}"},
        "a_field_of_a_newer_service": 1,
        **changes,
    }


LABEL_ID = "00000000000000dd"


def label_document(**changes: Any) -> dict[str, Any]:
    """A label as the API answers it."""
    return {
        "id": LABEL_ID,
        "run_id": "a",
        "finding": "mode collapse",
        "holds": False,
        "epoch": None,
        "author": "ada",
        "note": "",
        "ruleset": "1",
        "verdict": "mode collapse",
        "created_at": "2026-11-24T12:00:00Z",
        "a_field_of_a_newer_service": 1,
        **changes,
    }


COMPARED = comparison_document(status="succeeded", evaluation={**EVALUATION.to_json(), "a_newer_field": 1})
DONE: dict[str, Any] = {
    "status": "succeeded",
    "epochs_done": 10,
    "step": 300,
    "verdict": "mode collapse",
    "severity": "severe",
    "first_epoch_seen": 3,
    "started_at": "2026-11-24T12:00:00Z",
    "finished_at": "2026-11-24T12:01:05Z",
}


TREATMENT_ID = "00000000000000ff"
SICK_ID = "00000000000000aa"


def try_document(number: int, remedy: str, **changes: Any) -> dict[str, Any]:
    """A run that a treatment made, as the API answers it."""
    made = {"parent_id": SICK_ID, "treatment_id": TREATMENT_ID, "remedy": remedy, "patch": {"penalties.r1": number}}
    return run_document(f"{number:016x}", name=f"sick: {remedy}", seed=number, **made, **changes)


def treatment_document(*tries: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A treatment as the API answers it."""
    return {
        "id": TREATMENT_ID,
        "run_id": SICK_ID,
        "finding": "mode collapse",
        "status": "running",
        "reason": None,
        "max_tries": 3,
        "max_epochs": 40,
        "best_run_id": None,
        "created_at": "2026-11-24T12:00:00Z",
        "finished_at": None,
        "tries": list(tries) or [try_document(1, "larger latent")],
        "links": {name: f"/v1/treatments/{TREATMENT_ID}/{name}" for name in TreatmentLinks.model_fields},
        "a_field_of_a_newer_service": 1,
        **changes,
    }


def member_document(**changes: Any) -> dict[str, Any]:
    """The root of a family as the API answers it."""
    fields = ("parent_id", "treatment_id", "name", "preset", "remedy", "patch", "status", "verdict", "severity")
    run = run_document(SICK_ID, **DONE)
    shown = {name: run.get(name) for name in ("id", *fields, "epochs_done", "epochs_total", "seed")}
    return {**shown, "depth": 0, **changes}


def member_of(run: dict[str, Any]) -> dict[str, Any]:
    """The member of a family that a try is."""
    return member_document(depth=1, **{name: run[name] for name in member_document() if name in run})


class FakeService:
    """Holds runs, each with the states that it still has to go through: every look shows the next one."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.runs: dict[str, deque[dict[str, Any]]] = {}
        self.comparison: deque[dict[str, Any]] = deque()
        """States of the only comparison."""
        self.uploads: list[dict[str, Any]] = []
        self.treatments: deque[dict[str, Any]] = deque()
        """States of the only treatment."""
        self.labels: list[dict[str, Any]] = []
        """Newest first."""
        self.next_answers: deque[httpx.Response | httpx.TransportError] = deque()
        """Given before anything else."""
        self.slept: list[float] = []
        self.now = 0.0
        self.page_size = 2

    def client(self, url: str = URL, token: str | None = TOKEN) -> Client:
        """A client whose clock runs only while it sleeps."""
        return Client(url, token, httpx.MockTransport(self), self.sleep, lambda: self.now)

    def sleep(self, seconds: float) -> None:
        """Moves the clock on."""
        self.slept.append(seconds)
        self.now += seconds

    def add(self, run_id: str, *states: dict[str, Any], **changes: Any) -> None:
        """A run that goes through these states."""
        self.runs[run_id] = deque(run_document(run_id, **changes, **state) for state in states or ({},))

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answers one request."""
        self.requests.append(request)
        if self.next_answers:
            answer = self.next_answers.popleft()
            if isinstance(answer, httpx.TransportError):
                raise answer
            return answer
        if request.headers.get("Authorization") != f"Bearer {TOKEN}" and request.url.path != "/v1/health":
            return problem(401, "Not authorised")
        return self._route(request.method, request.url.path.removeprefix("/v1/").split("/"), request)

    def _route(self, method: str, path: list[str], request: httpx.Request) -> httpx.Response:
        match method, path:
            case "GET", ["health"]:
                return httpx.Response(200, json={"status": "ok"})
            case "POST", ["runs"]:
                return httpx.Response(202, json=self._create(json.loads(request.content)))
            case "POST", ["batches"]:
                body = json.loads(request.content)
                runs = [self._create(r) for r in body["runs"]]
                return httpx.Response(202, json=batch_document(runs, body.get("name")))
            case "POST", ["evaluations"]:
                self.comparison.extend([comparison_document(status="running"), COMPARED])
                return httpx.Response(202, json=comparison_document())
            case "GET", ["evaluations"]:
                return httpx.Response(200, json={"items": list(self.comparison), "next_cursor": None})
            case "GET", ["evaluations", _, "figures", _]:
                return httpx.Response(200, content=PNG)
            case "GET", ["evaluations", "00000000000000cc"] if self.comparison:
                states = self.comparison
                return httpx.Response(200, json=states.popleft() if len(states) > 1 else states[0])
            case "DELETE", ["evaluations", "00000000000000cc"] if self.comparison:
                self.comparison.clear()
                return httpx.Response(204)
            case "POST", ["evaluations", "00000000000000cc", "cancel"] if self.comparison:
                return httpx.Response(202, json=comparison_document(status="cancelled"))
            case _, ["runs", _, "treatments" | "family"] | ["treatments", *_] if self.treatments:
                return httpx.Response(202 if method == "POST" else 200, json=self._treat(method, path))
            case "POST", ["uploads"]:
                self.uploads = [upload_document()]
                return httpx.Response(201, json=self.uploads[0])
            case "GET", ["uploads"]:
                return httpx.Response(200, json={"items": self.uploads})
            case "GET", ["uploads", "00000000000000ee"] if self.uploads:
                return httpx.Response(200, json=self.uploads[0])
            case "DELETE", ["uploads", "00000000000000ee"] if self.uploads:
                self.uploads = []
                return httpx.Response(204)
            case "GET", ["labels"]:
                return httpx.Response(200, json=self._page_of(self.labels, request.url.params))
            case "GET", ["labels", "export"]:
                lines = [json.dumps(label | {"spec": {}, "seed": 0}) + "\n" for label in reversed(self.labels)]
                return httpx.Response(200, text="".join(lines))
            case "POST", ["runs", run_id, "labels"] if run_id in self.runs:
                self.labels.insert(0, label_document(run_id=run_id, **json.loads(request.content)))
                return httpx.Response(201, json=self.labels[0])
            case "GET", ["batches", _]:
                return httpx.Response(200, json=batch_document([self._look(i) for i in self.runs]))
            case "GET", ["runs"]:
                return httpx.Response(200, json=self._page(request.url.params))
            case "DELETE", ["runs", run_id] if run_id in self.runs:
                return self._delete(run_id, request.url.params.get("with_labels") == "true")
            case _, ["runs", run_id, *rest] if run_id in self.runs:
                return self._of_run(method, run_id, rest)
            case _:
                return problem(404, "No such run", f"There is no run '{path[1]}'.")

    def _of_run(self, method: str, run_id: str, rest: list[str]) -> httpx.Response:
        documents: dict[tuple[str, ...], Callable[[], Any]] = {
            (): lambda: self._look(run_id) | {"spec": {}, "request_id": None, "attempts": []},
            ("cancel",): lambda: self._cancel(run_id),
            ("diagnosis",): COLLAPSE.to_json,
            ("diagnosis", "history"): lambda: {"items": [COLLAPSE.to_json()]},
            ("evaluations",): lambda: {"items": [EVALUATION.to_json()]},
            ("samples",): lambda: {"items": [{"epoch": 1}, {"epoch": 10}]},
            ("labels",): lambda: {"items": [label for label in self.labels if label["run_id"] == run_id]},
        }
        if tuple(rest) in documents:
            return httpx.Response(200, json=documents[tuple(rest)]())
        return httpx.Response(200, content=PNG + "/".join(rest).encode())

    def _create(self, body: dict[str, Any]) -> dict[str, Any]:
        run_id = f"{len(self.runs) + 1:016x}"
        document = run_document(run_id, preset=body.get("preset"), name=body.get("name"))
        self.runs[run_id] = deque([document, document | {"status": "running", "step": 12}, document | DONE])
        return document

    def _treat(self, method: str, path: list[str]) -> dict[str, Any]:
        """The next state of the treatment, or what else there is of it."""
        states = self.treatments
        seen = states.popleft() if method == "GET" and path[0] == "treatments" and len(states) > 1 else states[0]
        if path[-1] == "family":
            return {"items": [member_document(), *map(member_of, seen["tries"])]}
        if path[-1] == "cancel":
            return seen | {"status": "cancelled"}
        return {"items": [seen]} if (method, path[-1]) == ("GET", "treatments") else seen

    def _look(self, run_id: str) -> dict[str, Any]:
        states = self.runs[run_id]
        return states.popleft() if len(states) > 1 else states[0]

    def _delete(self, run_id: str, with_labels: bool) -> httpx.Response:
        if not with_labels and any(label["run_id"] == run_id for label in self.labels):
            return problem(409, "The run cannot be deleted", "It has labels.")
        del self.runs[run_id]
        return httpx.Response(204)

    def _cancel(self, run_id: str) -> dict[str, Any]:
        states = self.runs[run_id]
        if states[0]["status"] == "queued":
            self.runs[run_id] = deque([states[0] | {"status": "cancelled"}])
        return self.runs[run_id][0]

    def _page(self, query: httpx.QueryParams) -> dict[str, Any]:
        wanted = [states[0] for states in self.runs.values() if query.get("status") in (None, states[0]["status"])]
        return self._page_of(wanted, query)

    def _page_of(self, wanted: list[dict[str, Any]], query: httpx.QueryParams) -> dict[str, Any]:
        start = int(query.get("cursor", "0"))
        end = start + self.page_size
        return {"items": wanted[start:end], "next_cursor": str(end) if end < len(wanted) else None}


def problem(status: int, title: str, detail: str = "", **more: Any) -> httpx.Response:
    """A problem document as an answer."""
    document = {"type": "about:blank", "title": title, "status": status, "detail": detail, **more}
    return httpx.Response(status, content=json.dumps(document), headers={"Content-Type": "application/problem+json"})
