"""Counts of the HTTP requests that this server has answered."""

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics
from prometheus_client.multiprocess import MultiProcessCollector

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER = "other"
"""Label of a method that is none of those, and of a path that no route serves: what a stranger sends makes no label."""
BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)


class RequestMetrics:
    """What is counted of requests. Processes that share PROMETHEUS_MULTIPROC_DIR count together."""

    def __init__(self) -> None:
        disable_created_metrics()  # the time at which each count began would be half of all numbers
        registry = CollectorRegistry()
        labels = ("method", "route", "status")
        self._requests = Counter(
            "ganclinic_http_requests", "HTTP requests that were answered.", labels, registry=registry
        )
        self._seconds = Histogram(
            "ganclinic_http_request_duration_seconds",
            "Time from a request to the end of its answer.",
            ("method", "route"),
            buckets=BUCKETS_S,
            registry=registry,
        )
        self.registry = _shared_registry() or registry
        """What a scrape reads."""

    def observe(self, method: str, route: str | None, status: int, seconds: float) -> None:
        """Counts one request; `route`: its pattern, None where none matched; `seconds`: until its answer was sent."""
        method, route = method if method in METHODS else OTHER, route or OTHER
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)


def _shared_registry() -> CollectorRegistry | None:
    registry = CollectorRegistry()
    try:
        MultiProcessCollector(registry)
    except ValueError:  # the variable is not set
        return None
    return registry
