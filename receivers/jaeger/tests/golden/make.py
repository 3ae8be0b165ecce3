#!/usr/bin/env python3
"""Writes the messages beside this file, with the code that Jaeger's and OpenTelemetry's clients write with.

    pip install six thrift jaeger-client opentelemetry-exporter-jaeger-proto-grpc && ./make.py
"""
import os
import pathlib

os.environ["PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION"] = "python"

HERE = pathlib.Path(__file__).parent
START = 1_700_000_000_000_000  # µs
HIGH, LOW = 0x463AC35C9F6413AD, 0x48485A3953BB6124
SPAN, PARENT, OTHER = 0x22FB4A1D1A96D312, 0x0102030405060708, -9


def thrift():
    from jaeger_client.thrift_gen.agent import Agent
    from jaeger_client.thrift_gen.jaeger.ttypes import Batch, Log, Process, Span, SpanRef, Tag
    from thrift.protocol.TBinaryProtocol import TBinaryProtocol
    from thrift.protocol.TCompactProtocol import TCompactProtocol
    from thrift.Thrift import TMessageType
    from thrift.transport.TTransport import TMemoryBuffer

    def tag(key, value):
        if isinstance(value, bool):
            return Tag(key=key, vType=2, vBool=value)
        if isinstance(value, int):
            return Tag(key=key, vType=3, vLong=value)
        if isinstance(value, float):
            return Tag(key=key, vType=1, vDouble=value)
        if isinstance(value, bytes):
            return Tag(key=key, vType=4, vBinary=value.decode())  # the generated code writes text
        return Tag(key=key, vType=0, vStr=value)

    def tags(**values):
        return [tag(key.replace("__", "."), value) for key, value in values.items()]

    spans = [
        Span(
            traceIdLow=LOW, traceIdHigh=HIGH, spanId=SPAN, parentSpanId=PARENT, operationName="GET /items", flags=1,
            startTime=START, duration=150_000,
            references=[
                SpanRef(refType=0, traceIdLow=LOW, traceIdHigh=HIGH, spanId=PARENT),
                SpanRef(refType=1, traceIdLow=7, traceIdHigh=0, spanId=OTHER),
            ],
            tags=tags(span__kind="server", error=True, http__status_code=500, ratio=0.25, cached=False,
                      raw=b"\x00raw", http__status_message="boom", w3c__tracestate="rojo=1"),
            logs=[
                Log(timestamp=START + 1000, fields=tags(event="cache miss", key="items:1", size=12)),
                Log(timestamp=START + 2000, fields=tags(message="no event")),
            ],
        ),
        Span(
            traceIdLow=LOW, traceIdHigh=0, spanId=OTHER, parentSpanId=0, operationName="query", flags=0, startTime=START,
            duration=0, references=[SpanRef(refType=1, traceIdLow=LOW, traceIdHigh=0, spanId=3)],
            tags=tags(span__kind="client", http__status_code=404, otel__library__name="db", otel__library__version="1.2"),
        ),
        Span(
            traceIdLow=LOW, traceIdHigh=HIGH, spanId=5, parentSpanId=0, operationName="done", flags=0, startTime=START,
            duration=1, tags=tags(otel__status_code="OK", otel__status_description="fine", error=False),
        ),
    ]
    process = Process(serviceName="shop", tags=tags(hostname="shop-0", jaeger__version="Python-4.8.0", ip="10.0.0.1"))
    batch = Batch(process=process, spans=spans)

    buffer = TMemoryBuffer()
    batch.write(TBinaryProtocol(buffer))
    (HERE / "batch.thrift").write_bytes(buffer.getvalue())
    for protocol, name in [
        (TCompactProtocol, "emit_batch.compact"),
        (TBinaryProtocol, "emit_batch.binary"),
        (lambda buffer: TBinaryProtocol(buffer, strictWrite=False), "emit_batch.old_binary"),
    ]:
        buffer = TMemoryBuffer()
        protocol = protocol(buffer)
        protocol.writeMessageBegin("emitBatch", TMessageType.ONEWAY, 1)
        Agent.emitBatch_args(batch).write(protocol)
        protocol.writeMessageEnd()
        (HERE / name).write_bytes(buffer.getvalue())


def protobuf():
    from opentelemetry.exporter.jaeger.proto.grpc.gen import collector_pb2, model_pb2

    def tags(**values):
        kinds = {bool: (1, "v_bool"), int: (2, "v_int64"), float: (3, "v_float64"), bytes: (4, "v_binary"), str: (0, "v_str")}
        result = []
        for key, value in values.items():
            kind, field = kinds[type(value)]
            result.append(model_pb2.KeyValue(key=key.replace("__", "."), v_type=kind, **{field: value}))
        return result

    def trace_id(high, low):
        return high.to_bytes(8, "big") + low.to_bytes(8, "big")

    def span_id(value):
        return value.to_bytes(8, "big", signed=True)

    def log(micros, fields):
        log = model_pb2.Log(fields=fields)
        log.timestamp.FromMicroseconds(micros)
        return log

    spans = [
        model_pb2.Span(
            trace_id=trace_id(HIGH, LOW), span_id=span_id(SPAN), operation_name="GET /items", flags=1,
            references=[
                model_pb2.SpanRef(trace_id=trace_id(HIGH, LOW), span_id=span_id(PARENT), ref_type=0),
                model_pb2.SpanRef(trace_id=trace_id(0, 7), span_id=span_id(OTHER), ref_type=1),
            ],
            tags=tags(span__kind="server", error=True, http__status_code=500, ratio=0.25, cached=False,
                      raw=b"\x00raw", http__status_message="boom", w3c__tracestate="rojo=1"),
            logs=[
                log(START + 1000, tags(event="cache miss", key="items:1", size=12)),
                log(START + 2000, tags(message="no event")),
            ],
        ),
        model_pb2.Span(
            trace_id=trace_id(0, LOW), span_id=span_id(OTHER), operation_name="query",
            references=[model_pb2.SpanRef(trace_id=trace_id(0, LOW), span_id=span_id(3), ref_type=1)],
            tags=tags(span__kind="client", http__status_code=404, otel__library__name="db", otel__library__version="1.2"),
        ),
        model_pb2.Span(
            trace_id=trace_id(HIGH, LOW), span_id=span_id(5), operation_name="done",
            tags=tags(otel__status_code="OK", otel__status_description="fine", error=False),
        ),
        # A process of its own, and nothing at all.
        model_pb2.Span(
            trace_id=trace_id(HIGH, LOW), span_id=span_id(6), operation_name="elsewhere",
            process=model_pb2.Process(service_name="other"),
        ),
        model_pb2.Span(),
    ]
    for span, duration in zip(spans, [150_000, 0, 1, 5]):
        span.start_time.FromMicroseconds(START)
        span.duration.FromMicroseconds(duration)
    process = model_pb2.Process(service_name="shop", tags=tags(hostname="shop-0", jaeger__version="Python-4.8.0", ip="10.0.0.1"))
    batch = model_pb2.Batch(spans=spans, process=process)
    request = collector_pb2.PostSpansRequest(batch=batch)
    (HERE / "post_spans.pb").write_bytes(request.SerializeToString(deterministic=True))


thrift()
protobuf()
