"""The metrics, read by Prometheus' own parsers."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from sqlalchemy import Engine, update

from api.app import create_app
from ganlib.wire.statuses import AttemptOutcome
from store.core.db import transaction
from store.core.models import Run
from store.core.settings import Settings
from store.runs import endings
from store.scheduling import gpu_readings
from store.scheduling.gpu_readings import Gpu
from tests.support.api import TEST_HOST, TOKEN, Service, make_service, record
from tests.support.comparison import create_comparison
from tests.support.images import CHECKOUT
from tests.support.metrics import complaints
from tests.support.store import claim_run, create_run, expire_lease

METRICS_TOKEN = "only-for-numbers"


def scrape(service: Service) -> str:
    answer = service.client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return answer.text


def values(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    found = {(sample.name, frozenset(sample.labels.items())): sample.value for sample in samples}
    assert len(found) == len(samples), "a sample is there twice"
    return found


def value(text: str, metric: str, /, **labels: str) -> float:
    return values(text)[metric, frozenset(labels.items())]


def test_an_empty_service_has_metrics(service: Service) -> None:
    text = scrape(service)
    assert value(text, "ganclinic_database_up") == 1
    assert value(text, "ganclinic_runs", kind="training", status="queued") == 0
    assert value(text, "ganclinic_epoch_seconds_count") == 0
    assert value(text, "ganclinic_workers") == 0
    for outcome in get_args(AttemptOutcome):
        assert value(text, "ganclinic_attempts", outcome=outcome) == 0


def test_the_queue_is_measured_by_kind_and_priority(service: Service) -> None:
    with transaction(service.engine) as session:
        for priority, created_at in ((0, 60.0), (0, 3600.0), (5, 10.0)):
            create_run(session, priority=priority).created_at -= created_at
    text = scrape(service)
    labels = {"kind": "training", "priority": "0"}
    assert value(text, "ganclinic_queue_length", **labels) == 2
    assert value(text, "ganclinic_queue_oldest_seconds", **labels) == pytest.approx(3600, abs=60)
    assert value(text, "ganclinic_queue_length", kind="training", priority="5") == 1
    assert value(text, "ganclinic_runs", kind="training", status="queued") == 3


def test_a_run_that_comes_back_into_the_queue_has_waited_since_then(service: Service) -> None:
    with transaction(service.engine) as session:
        run = create_run(session)
        run.created_at -= 3600
        claimed = claim_run(session)
        endings.hand_over(session, run.id, claimed.token)
    text = scrape(service)
    assert value(text, "ganclinic_queue_oldest_seconds", kind="training", priority="0") < 60


def test_epochs_attempts_and_lost_leases_are_counted(service: Service) -> None:
    recorded = record(service, 3)
    with transaction(service.engine) as session:
        endings.finish(session, recorded.id, recorded.claim.token, "succeeded")
        lost = claim_run(session)
        expire_lease(session, lost.run_id)
        assert endings.requeue_expired(session, 3) == [lost.run_id]
        died = claim_run(session)
        endings.requeue(session, died.run_id, died.token, error="killed", error_kind="TrainingDied", max_attempts=3)
    text = scrape(service)
    assert value(text, "ganclinic_epochs") == 3
    assert value(text, "ganclinic_attempts", outcome="succeeded") == 1
    assert value(text, "ganclinic_attempts", outcome="lost") == 2
    assert value(text, "ganclinic_leases_lost") == 1
    assert value(text, "ganclinic_epoch_seconds_count") == 3
    assert value(text, "ganclinic_epoch_seconds", quantile="0.5") > 0


def test_a_comparison_makes_no_epoch(service: Service) -> None:
    record(service, 2)
    with transaction(service.engine) as session:
        made = create_comparison(session)
        claimed = claim_run(session)
        assert claimed.run_id == made.id
        session.execute(update(Run).where(Run.id == made.id).values(epochs_done=1))
        endings.finish(session, made.id, claimed.token, "succeeded")
    text = scrape(service)
    assert value(text, "ganclinic_epochs") == 2
    assert value(text, "ganclinic_runs", kind="comparison", status="succeeded") == 1


def test_a_gpu_is_shown_with_what_its_worker_read_last(service: Service) -> None:
    for used in (2**30, 3 * 2**30):
        gpu = Gpu(number=0, name="NVIDIA H100", utilisation=0.5, memory_used=used, memory_total=80 * 2**30)
        with transaction(service.engine) as session:
            gpu_readings.store(session, "worker-1", [gpu])
    text = scrape(service)
    labels = {"worker": "worker-1", "gpu": "0", "name": "NVIDIA H100"}
    assert value(text, "ganclinic_gpu_memory_used_bytes", **labels) == 3 * 2**30
    assert value(text, "ganclinic_gpu_utilisation_ratio", **labels) == 0.5


def test_requests_are_counted_by_route_and_never_by_path(service: Service) -> None:
    before = len(values(scrape(service)))
    for number in range(20):
        service.client.get(f"/v1/runs/{number:016x}")
        service.client.get(f"/{number}")
        service.client.request(f"VERB{number}", "/v1/runs")
    text = scrape(service)
    labels = {"method": "GET", "route": "/v1/runs/{run_id}"}
    assert value(text, "ganclinic_http_requests_total", status="404", **labels) == 20
    assert value(text, "ganclinic_http_request_duration_seconds_count", **labels) == 20
    assert value(text, "ganclinic_http_requests_total", method="GET", route="other", status="404") == 20
    assert value(text, "ganclinic_http_requests_total", method="other", route="/v1/runs", status="405") == 20
    assert len(values(text)) - before < 100


def test_no_label_names_a_run(service: Service) -> None:
    recorded = record(service)
    service.client.get(recorded.path)
    assert recorded.id not in scrape(service)


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (None, 401),
        ("Bearer wrong", 401),
        (f"Bearer {METRICS_TOKEN}", 200),
        (f"Bearer {TOKEN}", 200),
        (f"Basic {METRICS_TOKEN}", 401),
    ],
)
def test_metrics_need_a_token(sqlite_engine: Engine, tmp_path: Path, header: str | None, status: int) -> None:
    service = make_service(sqlite_engine, tmp_path, metrics_token=SecretStr(METRICS_TOKEN))
    headers = {} if header is None else {"Authorization": header}
    assert service.anonymous.get("/metrics", headers=headers).status_code == status


def test_the_metrics_token_opens_nothing_else(sqlite_engine: Engine, tmp_path: Path) -> None:
    service = make_service(sqlite_engine, tmp_path, metrics_token=SecretStr(METRICS_TOKEN))
    for path in ("/v1/runs", "/metrics/", "/v1/metrics"):
        answer = service.anonymous.get(path, headers={"Authorization": f"Bearer {METRICS_TOKEN}"})
        assert answer.status_code == 401, path


def test_without_a_database_the_rest_is_still_told(tmp_path: Path) -> None:
    settings = Settings(
        home=tmp_path, token=SecretStr(TOKEN), allowed_hosts=(TEST_HOST,), database_url="sqlite:////nowhere/at-all/x.db"
    )
    app = create_app(settings, bell=lambda _: True, broker_answers=lambda _: True)
    client = TestClient(app, headers={"Authorization": f"Bearer {TOKEN}"})
    client.get("/v1/presets")
    text = client.get("/metrics").text
    assert value(text, "ganclinic_database_up") == 0
    assert value(text, "ganclinic_http_requests_total", method="GET", route="/v1/presets", status="200") == 1
    assert "ganclinic_runs" not in text


def text_of_everything(service: Service) -> str:
    """A scrape with a sample of every metric that the service has."""
    record(service)
    with transaction(service.engine) as session:
        create_run(session)
        gpu_readings.store(
            session, "worker-1", [Gpu(number=0, name="NVIDIA H100", utilisation=0.5, memory_used=1, memory_total=2)]
        )
    scrape(service)
    return scrape(service)


def test_nothing_about_the_metrics_is_to_complain_of(service: Service) -> None:
    text = text_of_everything(service)
    assert complaints(text) == []
    families = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE ")}
    assert {name for name in families if not name.startswith("ganclinic_")} == set()
    assert len(families) >= 14
    documented = (CHECKOUT / "docs" / "operations.md").read_text()
    assert [name for name in families if f"`{name}`" not in documented] == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("# TYPE runs gauge\nruns 1\n", "runs: no help"),
        ("# HELP runs Runs.\nruns 1\n", "runs: no type"),
        ("# HELP runs Runs.\n# TYPE runs gauge\nruns 1\nruns 2\n", "runs: a sample is there twice"),
        ("# HELP runs Runs.\n# TYPE runs counter\nruns 1\n", "runs: counters, and nothing else, end in _total"),
        ("# HELP a_total A.\n# TYPE a_total gauge\na_total 1\n", "a_total: counters, and nothing else, end in _total"),
        ("# HELP t_milliseconds T.\n# TYPE t_milliseconds gauge\nt_milliseconds 1\n", "t_milliseconds: no base unit"),
        (
            '# HELP h H.\n# TYPE h histogram\nh_bucket{le="1.0"} 2\nh_bucket{le="+Inf"} 1\nh_sum 1\nh_count 2\n',
            "h: its buckets fall",
        ),
        (
            '# HELP h H.\n# TYPE h histogram\nh_bucket{le="1.0"} 1\nh_sum 1\nh_count 2\n',
            "h: the last bucket is not the count",
        ),
        ("# HELP h_count H.\n# TYPE h_count gauge\nh_count 1\n", "h_count: the name is that of a part"),
        ("# HELP h H.\n# TYPE h gauge\nh 1\n# TYPE h gauge\nh 2\n", "h: is there twice"),
    ],
)
def test_what_is_wrong_with_metrics_is_complained_of(text: str, complaint: str) -> None:
    assert complaint in complaints(text)


def test_promtool_agrees(service: Service) -> None:
    """Where it is installed (Debian: the package prometheus); what it would say, `complaints` says everywhere."""
    if promtool := shutil.which("promtool"):
        command, text = [promtool, "check", "metrics"], text_of_everything(service)
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_processes_that_share_a_directory_count_together(tmp_path: Path) -> None:
    script = (
        "from prometheus_client import generate_latest\n"
        "from api.http.request_metrics import RequestMetrics\n"
        "metrics = RequestMetrics()\n"
        "metrics.observe('GET', '/v1/runs', 200, .01)\n"
        "print(generate_latest(metrics.registry).decode())\n"
    )
    environment: dict[str, Any] = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-c", script]
    texts = [subprocess.check_output(command, cwd=CHECKOUT, env=environment, text=True) for _ in range(2)]
    labels = {"method": "GET", "route": "/v1/runs", "status": "200"}
    assert [value(text, "ganclinic_http_requests_total", **labels) for text in texts] == [1, 2]
