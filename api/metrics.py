"""The service's metrics in the text format of Prometheus, for administrators and who has the metrics' own token."""

from collections.abc import Iterable, Iterator

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry
from typing_extensions import override

from api.deps import ServicesDep
from store.core import db
from store.core.errors import DatabaseUnavailable
from store.operations.metrics import EpochTimes, ServiceMetrics, read_metrics

router = APIRouter()


class ScrapedMetrics(Collector):
    """What was read from the database for one scrape."""

    def __init__(self, counts: ServiceMetrics | None) -> None:
        """None: the database did not answer."""
        self._counts = counts

    @override
    def collect(self) -> Iterable[Metric]:
        up = 0 if self._counts is None else 1
        yield GaugeMetricFamily("ganclinic_database_up", "Whether the database answers.", up)
        if self._counts is not None:
            yield from _of_runs(self._counts)
            yield from _of_workers(self._counts)


def _of_runs(counts: ServiceMetrics) -> Iterator[Metric]:
    queued = GaugeMetricFamily("ganclinic_queue_length", "Runs that are queued.", labels=("kind", "priority"))
    oldest = GaugeMetricFamily(
        "ganclinic_queue_oldest_seconds", "Longest wait of a queued run.", labels=("kind", "priority")
    )
    for waiting in counts.waiting:
        labels = (waiting.kind, str(waiting.priority))
        queued.add_metric(labels, waiting.count)
        oldest.add_metric(labels, waiting.oldest_s)
    runs = GaugeMetricFamily("ganclinic_runs", "Runs by what became of them.", labels=("kind", "status"))
    for (kind, status), count in counts.runs.items():
        runs.add_metric((kind, status), count)
    attempts = GaugeMetricFamily("ganclinic_attempts", "Attempts by their outcome.", labels=("outcome",))
    for outcome, count in counts.attempts.items():
        attempts.add_metric((outcome,), count)
    yield from (queued, oldest, runs, attempts)
    # Gauges: runs can be deleted, and a counter that falls looks like one that began anew.
    lost = "Attempts whose worker stopped renewing its lease."
    yield GaugeMetricFamily("ganclinic_leases_lost", lost, counts.leases_lost)
    yield GaugeMetricFamily("ganclinic_epochs", "Epochs that are recorded.", counts.epochs_done)
    yield _epoch_times(counts.epoch_times)


def _epoch_times(times: EpochTimes) -> Metric:
    """A summary with quantiles, which the library's own class of that name cannot hold."""
    name = "ganclinic_epoch_seconds"
    metric = Metric(name, "How long the epochs took that were recorded in the last hour.", "summary")
    for quantile, seconds in times.quantiles.items():
        metric.add_sample(name, {"quantile": f"{quantile:g}"}, seconds)
    metric.add_sample(f"{name}_sum", {}, times.total)
    metric.add_sample(f"{name}_count", {}, times.count)
    return metric


def _of_workers(counts: ServiceMetrics) -> Iterator[Metric]:
    yield GaugeMetricFamily("ganclinic_workers", "Workers that are alive.", counts.workers_alive)
    labels = ("worker", "gpu", "name")
    busy = GaugeMetricFamily("ganclinic_gpu_utilisation_ratio", "Share of time in which it computes.", labels=labels)
    used = GaugeMetricFamily("ganclinic_gpu_memory_used_bytes", "Memory in use on a GPU.", labels=labels)
    total = GaugeMetricFamily("ganclinic_gpu_memory_total_bytes", "Memory of a GPU.", labels=labels)
    for reading in counts.gpus:
        values = (reading.worker, str(reading.gpu), reading.name)
        busy.add_metric(values, reading.utilisation)
        used.add_metric(values, reading.memory_used)
        total.add_metric(values, reading.memory_total)
    yield from (busy, used, total)


@router.get("/metrics", include_in_schema=False)
def get_metrics(services: ServicesDep) -> Response:
    """The metrics. Where the database does not answer, those of this server alone."""
    registry = CollectorRegistry()
    registry.register(ScrapedMetrics(_read(services)))
    text = generate_latest(registry) + generate_latest(services.request_metrics.registry)
    return Response(text, media_type=CONTENT_TYPE_PLAIN_0_0_4)


def _read(services: ServicesDep) -> ServiceMetrics | None:
    try:
        with db.reading(services.engine) as session:
            return read_metrics(session)
    except DatabaseUnavailable:
        return None
