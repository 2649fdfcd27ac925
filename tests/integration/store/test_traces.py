"""Traces through a real API, worker and training process, to a collector that takes OTLP."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from store.core.db import transaction
from store.core.models import Run
from store.core.settings import Settings
from store.operations import tracing
from tests.support.images import CHECKOUT
from tests.support.otlp import Collector, collecting
from tests.support.worker import SPEC, Clinic, clinic_at
from worker.host.slot import Slot
from worker.host.supervise import supervise

CALLERS_TRACE, CALLERS_SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with collecting() as made:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", made.url)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")  # ms
        yield made


@pytest.fixture
def clinic(sqlite_url: str, tmp_path: Path) -> Iterator[Clinic]:
    yield from clinic_at(tmp_path, sqlite_url)


def wait_until(is_so: Callable[[], bool]) -> None:
    while not is_so():
        time.sleep(0.05)


@pytest.mark.slow
def test_one_trace_leads_from_the_request_to_every_epoch(clinic: Clinic, collector: Collector) -> None:
    headers = {"traceparent": f"00-{CALLERS_TRACE}-{CALLERS_SPAN}-01", "X-Request-ID": "mine"}
    body = {"spec": SPEC, "set": {"training.epochs": 3}}
    with clinic.api() as (_, http), clinic.worker():
        run_id = http.post("/runs", json=body, headers=headers).json()["id"]
        assert http.get(f"/runs/{'0' * 16}").status_code == 404
        clinic.wait_for_end(run_id)
        wait_until(lambda: len(collector.named("epoch")) == 3 and len(collector.named("attempt")) == 1)
        wait_until(lambda: len(collector.named("GET /v1/runs/{run_id}")) == 1)
    (request,), (claim,), (attempt,) = (collector.named(name) for name in ("POST /v1/runs", "claim", "attempt"))
    epochs = collector.named("epoch")
    assert {span.trace for span in (request, claim, attempt, *epochs)} == {CALLERS_TRACE}
    assert [span.parent for span in (request, claim, attempt)] == [CALLERS_SPAN, request.id, request.id]
    assert {span.parent for span in epochs} == {attempt.id}
    assert {span.attributes["ganclinic.run"] for span in (request, claim, attempt, *epochs)} == {run_id}
    assert {span.attributes["ganclinic.attempt"] for span in (claim, attempt, *epochs)} == {1}
    assert [span.attributes["ganclinic.epoch"] for span in epochs] == [1, 2, 3]
    assert sum(span.seconds for span in epochs) < attempt.seconds
    assert request.attributes["http.response.status_code"] == 202
    assert request.attributes["ganclinic.request"] == "mine"
    services = [span.service for span in (request, claim, attempt, epochs[0])]
    assert services == ["ganclinic-api", "ganclinic-worker", "ganclinic-worker", "ganclinic-training"]
    (looked,) = collector.named("GET /v1/runs/{run_id}")
    assert looked.trace != CALLERS_TRACE
    assert (looked.attributes["ganclinic.run"], looked.parent) == ("0" * 16, "")
    assert collector.paths == {"/v1/traces"}
    assert not [span for span in collector.spans if span.is_error or "health" in span.name]


def test_every_attempt_goes_on_in_the_trace_of_its_run_and_one_that_fails_says_so(
    clinic: Clinic, collector: Collector
) -> None:
    run_id = clinic.create_run()
    with transaction(clinic.engine) as session:
        session.get_one(Run, run_id).traceparent = f"00-{CALLERS_TRACE}-{CALLERS_SPAN}-01"
    settings = Settings(home=clinic.home)
    tracing.configure_tracing("ganclinic-worker", settings)
    train = partial(supervise, engine=clinic.engine, settings=settings, command=[sys.executable, "-c", "exit(1)"])
    Slot("worker-1", train, engine=clinic.engine, settings=settings).drain()
    tracing.stop_tracing()
    assert clinic.run(run_id).status == "failed"
    for spans in (collector.named("attempt"), collector.named("claim")):
        assert [(span.trace, span.parent) for span in spans] == [(CALLERS_TRACE, CALLERS_SPAN)] * 3
        assert [span.attributes["ganclinic.attempt"] for span in spans] == [1, 2, 3]
    assert [(s.is_error, s.attributes["process.exit.code"]) for s in collector.named("attempt")] == [(True, 1)] * 3


def test_a_collector_that_does_not_answer_holds_nobody_up() -> None:
    script = (
        "import time\n"
        "from store.core.settings import Settings\n"
        "from store.operations import tracing\n"
        "tracing.configure_tracing('x', Settings())\n"
        "tracing.add_span('epoch', {}, traceparent=None, seconds=1)\n"
        "started_at = time.monotonic()\n"
        "tracing.stop_tracing()\n"
        "print(time.monotonic() - started_at)\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        done = subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": address},
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            check=True,
            timeout=30,  # and then it has ended
        )
    assert tracing.FLUSH_S <= float(done.stdout) < tracing.FLUSH_S + 5


def test_nothing_of_opentelemetry_is_imported_where_no_collector_is_configured() -> None:
    script = (
        "import sys\n"
        "from store.core.settings import Settings\n"
        "from store.operations import tracing\n"
        "tracing.configure_tracing('x', Settings())\n"
        "with tracing.span('x', {}) as span: span.note({'a': 1}); span.fail('no'); span.rename('y')\n"
        "tracing.add_span('x', {}, traceparent=None, seconds=1)\n"
        "tracing.current_span().note({'a': 1})\n"
        "assert tracing.current_traceparent() is None\n"
        "tracing.stop_tracing()\n"
        "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))\n"
    )
    assert subprocess.run([sys.executable, "-c", script], cwd=CHECKOUT, check=False).returncode == 0


def test_without_the_packages_it_is_said_how_to_get_them(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    tracing.configure_tracing("x", Settings())
    assert "nothing is traced" in caplog.text
    assert "install ganclinic[traces], or unset" in caplog.text
    assert tracing.current_traceparent() is None
