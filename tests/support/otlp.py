"""A collector of OpenTelemetry that keeps what it is sent: OTLP over HTTP, as protobuf."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One that was sent."""

    service: str
    name: str
    trace: str
    id: str
    parent: str
    """Empty: it has none."""
    attributes: dict[str, Any]
    seconds: float
    is_error: bool


@dataclass(slots=True)
class Collector:
    """What was sent, and whereto."""

    url: str
    spans: list[Span] = field(default_factory=list[Span])
    paths: set[str] = field(default_factory=set[str])

    def take(self, path: str, body: bytes) -> None:
        """Takes one request."""
        self.paths.add(path)
        for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = str(_values(of_resource.resource.attributes)["service.name"])
            for span in (span for of_scope in of_resource.scope_spans for span in of_scope.spans):
                self.spans.append(
                    Span(
                        service=service,
                        name=span.name,
                        trace=span.trace_id.hex(),
                        id=span.span_id.hex(),
                        parent=span.parent_span_id.hex(),
                        attributes=_values(span.attributes),
                        seconds=(span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
                        is_error=span.status.code == span.status.STATUS_CODE_ERROR,
                    )
                )

    def named(self, name: str) -> list[Span]:
        """The spans of that name so far, in the order in which they came."""
        return [span for span in list(self.spans) if span.name == name]


def _values(attributes: Any) -> dict[str, Any]:
    def value(attribute: KeyValue) -> Any:
        return getattr(attribute.value, str(attribute.value.WhichOneof("value")))

    return {attribute.key: value(attribute) for attribute in attributes}


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector on a port of its own."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            collector.take(self.path, self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector = Collector(f"http://127.0.0.1:{server.server_port}")
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield collector
        server.shutdown()
        thread.join()
