"""An application that traces with the OpenTelemetry SDK: everything a span can have, with fixed ids and times.

    app.py grpc=127.0.0.1:4317 http=http://127.0.0.1:4318/v1/traces …

Every endpoint is sent the same spans. Exits with 0 when every exporter was told that all of it arrived.
"""

import sys
import threading

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as Grpc
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as Http
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

BEGIN = 1_767_607_200_000_000_000
SECOND = 1_000_000_000


class Counting(IdGenerator):
    """Ids that are the same every time."""

    def __init__(self, seed):
        self.next = seed << 32

    def generate_span_id(self):
        self.next += 1
        return self.next

    def generate_trace_id(self):
        self.next += 1
        return 0x0AF7651916CD43DD << 64 | self.next


class Remembering:
    """An exporter that remembers whether all of it was taken."""

    def __init__(self, exporter):
        self.exporter = exporter
        self.results = []

    def export(self, spans):
        result = self.exporter.export(spans)
        self.results.append(result)
        return result

    def shutdown(self):
        self.exporter.shutdown()

    def force_flush(self, timeout_millis=30000):
        return self.exporter.force_flush(timeout_millis)


def exporter(target):
    protocol, endpoint = target.split("=", 1)
    if protocol == "grpc":
        return Remembering(Grpc(endpoint=endpoint, insecure=True, timeout=20))
    return Remembering(Http(endpoint=endpoint, timeout=20))


def attributes():
    return {
        "text": "grüße, 世界, \N{ROCKET}",
        "empty": "",
        "long": "x" * 5000,
        "true": True,
        "false": False,
        "int": 42,
        "smallest": -(2**63),
        "largest": 2**63 - 1,
        "zero": 0,
        "float": 2.5e-300,
        "minus zero": -0.0,
        "texts": ["a", "", "c"],
        "ints": [1, -1, 0],
        "floats": [0.5, 1e300],
        "bools": [True, False],
        "nothing": [],
        "bytes": b"\x00\xff\xfe",
        "nested": {"map": {"list": [1, "two", {"three": 3.0}], "empty": {}}},
    }


def work(provider, base):
    tracer = provider.get_tracer("shop.checkout", "1.2.3", "https://opentelemetry.io/schemas/1.24.0", {"scope.kind": "library"})
    other = provider.get_tracer("another.library")
    remote = SpanContext(
        0x4BF92F3577B34DA6A3CE929D0E0E4736,
        0x00F067AA0BA902B7,
        is_remote=True,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
        trace_state=TraceState([("vendor", "opaque-value"), ("other", "1")]),
    )
    context = trace.set_span_in_context(trace.NonRecordingSpan(remote))
    root = tracer.start_span("POST /checkout/{id}", context, SpanKind.SERVER, attributes(), [Link(remote, {"link": "to the past", "n": 1})], base)
    root.add_event("began", {"cart": ["apple", "pear"], "sum": 12.5}, base + 1)
    root.add_event("", None, base + 2)
    inside = trace.set_span_in_context(root)
    for number, kind in enumerate(SpanKind):
        child = other.start_span(f"{kind.name} {number}", inside, kind, {"number": number}, start_time=base + number * 1000)
        if kind is SpanKind.CLIENT:
            child.set_status(Status(StatusCode.ERROR, "connection reset: Größe 世界"))
            child.record_exception(ValueError("no such product"), timestamp=base + 5)
        elif kind is SpanKind.PRODUCER:
            child.set_status(Status(StatusCode.OK))
        child.end(base + number * 1000 + 7)
    crowded = tracer.start_span("more than its limits", inside, attributes={f"attribute {n}": n for n in range(40)}, start_time=base)
    for number in range(12):
        crowded.add_event(f"event {number}", {f"{n}": n for n in range(40)}, base + number)
    crowded.end(base)
    for number in range(600):
        small = other.start_span(f"item {number}", inside, attributes={"n": number}, start_time=base + number)
        small.end(base + number + SECOND)
    root.end(base + 3 * SECOND)


def main():
    exporters = [exporter(target) for target in sys.argv[1:]]
    resources = [
        Resource({"service.name": "shop", "deployment": {"ring": 1, "zones": ["a", "b"]}, "ratio": 0.25}),
        Resource({"service.name": "bücher", "k8s.pod.name": "web-7d4b9c"}, "https://opentelemetry.io/schemas/1.21.0"),
    ]
    providers = []
    for seed, resource in enumerate(resources, 1):
        limits = SpanLimits(max_span_attributes=30, max_events=10, max_event_attributes=32)
        provider = TracerProvider(resource=resource, span_limits=limits, id_generator=Counting(seed), shutdown_on_exit=False)
        for each in exporters:
            provider.add_span_processor(BatchSpanProcessor(each, max_queue_size=5000, max_export_batch_size=200))
        work(provider, BEGIN + seed * 60 * SECOND)
        providers.append(provider)
    flushes = [threading.Thread(target=provider.force_flush) for provider in providers]
    for flush in flushes:
        flush.start()
    for flush in flushes:
        flush.join()
    for each in exporters:
        assert each.results and all(result is SpanExportResult.SUCCESS for result in each.results), each.results


main()
