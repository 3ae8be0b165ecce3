#!/usr/bin/env python3
"""Writes the requests beside this file, with the clients that applications use.

    pip install py-zipkin opentelemetry-exporter-zipkin opentelemetry-sdk && ./make.py
"""
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
START = 1_700_000_000


def py_zipkin():
    from py_zipkin import Encoding, Kind
    from py_zipkin.encoding import get_encoder
    from py_zipkin.encoding._helpers import Endpoint, Span

    spans = [
        Span(
            trace_id="463ac35c9f6413ad48485a3953bb6124", name="get /items", parent_id=None,
            span_id="a2fb4a1d1a96d312", kind=Kind.SERVER, timestamp=START + 0.25, duration=0.150,
            local_endpoint=Endpoint("frontend", "192.168.0.1", None, 8080),
            remote_endpoint=Endpoint("", "10.0.0.7", "2001:db8::c001", 42124),
            annotations={"cache miss": START + 0.3},
            tags={"http.method": "GET", "http.status_code": "500", "error": "true"}, shared=False,
        ),
        Span(
            trace_id="463ac35c9f6413ad48485a3953bb6124", name="query", parent_id="a2fb4a1d1a96d312",
            span_id="b2fb4a1d1a96d313", kind=Kind.CLIENT, timestamp=START + 0.26, duration=0.1,
            local_endpoint=Endpoint("frontend", "192.168.0.1", None, 8080),
            remote_endpoint=Endpoint("postgres", "10.0.0.9", None, 5432),
            annotations={}, tags={"error": "deadlock detected", "retried": "false"}, shared=False,
        ),
        Span(
            trace_id="00000000000000000000000000000abc", name="query", parent_id=None,
            span_id="b2fb4a1d1a96d313", kind=Kind.SERVER, timestamp=None, duration=0.05,
            local_endpoint=Endpoint("postgres", None, None, None),
            remote_endpoint=None, annotations={}, tags={}, shared=True,
        ),
    ]
    for encoding, name in [(Encoding.V2_JSON, "py_zipkin.json"), (Encoding.V2_PROTO3, "py_zipkin.pb")]:
        encoder = get_encoder(encoding)
        encoded = encoder.encode_queue([encoder.encode_span(span) for span in spans])
        (HERE / name).write_bytes(encoded.encode() if isinstance(encoded, str) else encoded)


def opentelemetry():
    from opentelemetry.exporter.zipkin.encoder import Protocol
    from opentelemetry.exporter.zipkin.json import ZipkinExporter as Json
    from opentelemetry.exporter.zipkin.proto.http import ZipkinExporter as Protobuf
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import Event, ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

    def context(span_id):
        return SpanContext(0x463AC35C9F6413AD48485A3953BB6124, span_id, False, TraceFlags(1))

    start = START * 10**9
    spans = [
        ReadableSpan(
            name="checkout", context=context(0xA2FB4A1D1A96D312), parent=context(0x0102030405060708),
            resource=Resource({"service.name": "shop", "k8s.pod.name": "shop-0", "team": "blue"}),
            attributes={"items": 3, "price": 9.5, "express": True, "tags": ["a", "b"]},
            events=[Event("paid", {"amount": 9.5, "currency": "EUR"}, start + 2_000_000)],
            links=[Link(context(9))], kind=SpanKind.INTERNAL, start_time=start, end_time=start + 5_000_000,
            status=Status(StatusCode.ERROR, "card declined"),
            instrumentation_scope=InstrumentationScope("shop.checkout", "1.2.3"),
        ),
        ReadableSpan(
            name="publish", context=context(0xA2FB4A1D1A96D313), parent=None,
            resource=Resource({"service.name": "shop"}), kind=SpanKind.PRODUCER, start_time=start,
            end_time=start + 7_000_000, status=Status(StatusCode.OK),
        ),
    ]
    for exporter, name in [(Json, "opentelemetry.json"), (Protobuf, "opentelemetry.pb")]:
        exporter = exporter(endpoint="http://localhost:9/api/v2/spans", local_node_ipv4="10.1.2.3")
        encoded = exporter.encoder.serialize(spans, exporter.local_node)
        (HERE / name).write_bytes(encoded.encode() if isinstance(encoded, str) else encoded)


# Both bring Zipkin's protobuf messages, which one process cannot have twice.
if sys.argv[1:]:
    globals()[sys.argv[1]]()
else:
    for client in ("py_zipkin", "opentelemetry"):
        subprocess.run([sys.executable, __file__, client], check=True)
