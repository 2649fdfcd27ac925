"""Traces of OpenTelemetry, from a request to the epochs of the run that it made.

Off unless OTEL_EXPORTER_OTLP_ENDPOINT names a collector. Only then are the packages of the extra `traces` imported, and
the other variables of OpenTelemetry heard. Between processes a context travels as W3C's `traceparent`.
"""

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from store.core.settings import Settings

if TYPE_CHECKING:
    from opentelemetry import trace
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider

Attributes = Mapping[str, str | int | float]
RUN, ATTEMPT, WORKER, EPOCH = "ganclinic.run", "ganclinic.attempt", "ganclinic.worker", "ganclinic.epoch"
"""Names of attributes."""
HEADER = "traceparent"
FLUSH_S = 2.0
"""How long an ending process waits for a collector."""

logger = logging.getLogger(__name__)
_provider: "TracerProvider | None" = None


class Span:
    """Something that goes on, or nothing where nothing is traced."""

    def __init__(self, inner: "trace.Span | None" = None) -> None:
        self._inner = inner

    def note(self, attributes: Attributes) -> None:
        """Adds attributes; those of the same name are replaced."""
        if self._inner is not None:
            self._inner.set_attributes(attributes)

    def rename(self, name: str) -> None:
        """Gives it a name that was not known before."""
        if self._inner is not None:
            self._inner.update_name(name)

    def fail(self, reason: str) -> None:
        """Says that it did not succeed, and why."""
        if self._inner is not None:
            from opentelemetry.trace import StatusCode

            self._inner.set_status(StatusCode.ERROR, reason)


def configure_tracing(service: str, settings: Settings) -> None:
    """Traces what this process does from now on, where a collector is configured; `service`: its name in traces."""
    global _provider
    if settings.traces_endpoint is None:
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        logger.error(
            "OTEL_EXPORTER_OTLP_ENDPOINT is set, and nothing is traced: %s; install ganclinic[traces], or unset",
            error,
        )
        return
    named = Resource.create({SERVICE_NAME: service}).merge(OTELResourceDetector().detect())  # OTEL_SERVICE_NAME wins
    _provider = TracerProvider(resource=named, shutdown_on_exit=False)
    _provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))


def stop_tracing() -> None:
    """Sends what was not sent yet, for at most `FLUSH_S`: a collector that does not answer holds nobody up."""
    global _provider
    provider, _provider = _provider, None
    if provider is not None:
        thread = threading.Thread(target=provider.shutdown, name="traces", daemon=True)
        thread.start()
        thread.join(FLUSH_S)


@contextmanager
def span(
    name: str, attributes: Attributes, *, traceparent: str | None = None, is_request: bool = False
) -> Iterator[Span]:
    """What goes on in the block, below `traceparent`, or else below what this thread or task is in already."""
    if _provider is None:
        yield Span()
        return
    from opentelemetry.trace import SpanKind

    kind = SpanKind.SERVER if is_request else SpanKind.INTERNAL
    with _provider.get_tracer("ganclinic").start_as_current_span(
        name,
        _context(traceparent),
        kind,
        attributes,
        record_exception=False,  # its message may hold what traces must not
        set_status_on_exception=False,
    ) as inner:
        yield Span(inner)


def add_span(name: str, attributes: Attributes, *, traceparent: str | None, seconds: float) -> None:
    """What has just ended, after so many seconds."""
    if _provider is None:
        return
    ended_at = time.time_ns()
    started_at = ended_at - int(1e9 * seconds)
    inner = _provider.get_tracer("ganclinic").start_span(
        name, _context(traceparent), attributes=attributes, start_time=started_at
    )
    inner.end(ended_at)


def current_span() -> Span:
    """The span that this thread or task is in."""
    if _provider is None:
        return Span()
    from opentelemetry import trace

    return Span(trace.get_current_span())


def current_traceparent() -> str | None:
    """Context of the span that this thread or task is in, to be given to another process; None where it is in none."""
    if _provider is None:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier.get(HEADER)


def _context(traceparent: str | None) -> "Context | None":
    if traceparent is None:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({HEADER: traceparent})
