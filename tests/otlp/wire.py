# SPDX-License-Identifier: Apache-2.0
"""wire.py: protoc, with the public definitions in proto/, reads what the plugin sent: all three signals, whole. The
JSON form says the same. Then where things go, and with what: the section, the environment, the defaults.

  wire.py                 all of it
  wire.py --write DIR     only write one request of each signal to DIR/metrics, DIR/traces, DIR/logs"""
import json
import os
import re
import shutil
import subprocess
import sys

from collector import Collector, Feed, run, skip, until

HERE = os.path.dirname(os.path.abspath(__file__))
MESSAGES = {"metrics": "metrics", "traces": "trace", "logs": "logs"}

# ---- reading


def protoc(signal, body):
    """The text that protoc makes of a request; any byte that it does not know fails."""
    name = MESSAGES[signal]
    made = subprocess.run(["protoc", "-I", os.path.join(HERE, "proto"),
                           "--decode=opentelemetry.proto.collector.%s.v1.Export%sServiceRequest"
                           % (name, name.capitalize()),
                           "opentelemetry/proto/collector/%s/v1/%s_service.proto" % (name, name)],
                          input=body, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert made.returncode == 0, made.stderr
    text = made.stdout.decode()
    assert not re.search(r"^\s*\d+[:{ ]", text, re.M), "a field that the definitions do not know:\n" + text
    return text


def unescape(text):
    simple = {"n": 10, "r": 13, "t": 9, '"': 34, "'": 39, "\\": 92}
    out = bytearray()
    for octal, char, plain in re.findall(r"\\([0-7]{1,3})|\\(.)|([^\\]+)", text):
        out += bytes([int(octal, 8)]) if octal else bytes([simple[char]]) if char else plain.encode()
    return bytes(out)


def parse(text):
    """Text form to {name: [value, ...]}, values as str, bytes or dictionaries."""
    stack = [{}]
    for line in text.splitlines():
        line = line.strip()
        if line.endswith("{"):
            stack.append({})
            stack[-2].setdefault(line[:-1].strip(), []).append(stack[-1])
        elif line == "}":
            stack.pop()
        else:
            name, _, value = line.partition(": ")
            value = unescape(value[1:-1]) if value.startswith('"') else value
            stack[-1].setdefault(name, []).append(value)
    return stack[0]


ENUMS = {"AGGREGATION_TEMPORALITY_CUMULATIVE": 2, "AGGREGATION_TEMPORALITY_DELTA": 1, "STATUS_CODE_ERROR": 2,
         "SEVERITY_NUMBER_INFO": 9, "SPAN_KIND_SERVER": 2, "SPAN_KIND_INTERNAL": 1}
IDS = {"traceId", "spanId", "parentSpanId"}


def camel(name):
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def plain(name, value):
    """One value of either form as one that can be compared."""
    if isinstance(value, dict):
        return {camel(k): [plain(camel(k), one) for one in (v if isinstance(v, list) else [v])]
                for k, v in value.items() if v != []}
    if isinstance(value, bytes):
        return value.hex() if name in IDS else value.decode()
    if isinstance(value, str) and name not in IDS | {"stringValue", "key", "name", "message", "unit", "description",
                                                     "severityText", "version"}:
        return ENUMS[value] if value in ENUMS else value == "true" if value in ("true", "false") else float(value)
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def from_protobuf(signal, body):
    return plain("", parse(protoc(signal, body)))


def from_json(body):
    return plain("", json.loads(body))


def one_of_each(*options, **environment):
    """A request of each signal, as they were sent."""
    collector = Collector()
    plugin = Feed("endpoint=" + collector.url(), "batch_interval=1h", *options, **environment)
    plugin.ask("metrics 5")
    plugin.ask("span state.set -9 2")
    plugin.ask("log 3 hello")
    plugin.ask("stop")
    assert plugin.counts() == {"exported metrics": 4, "exported traces": 1, "exported logs": 1}, plugin.counts()
    collector.close()
    requests = {r.path.split("/")[2]: r for r in collector.requests}
    assert sorted(requests) == ["logs", "metrics", "traces"] and len(collector.requests) == 3
    return requests


def values(attributes):
    return {a["key"][0]: list(a["value"][0].values())[0][0] for a in attributes}


def resource_of(message):
    (outer,) = [v for k, v in message.items() if k.startswith("resource")]
    assert len(outer) == 1
    (inner,) = [v for k, v in outer[0].items() if k.startswith("scope")]
    assert inner[0]["scope"] == [{"name": ["gavel"], "version": [VERSION]}], inner[0]["scope"]
    return values(outer[0]["resource"][0]["attributes"]), inner[0]


with open(os.path.join(os.environ["top_builddir"], "Makefile")) as makefile:
    VERSION = re.search(r"^PACKAGE_VERSION = (.+)$", makefile.read(), re.M).group(1)

# ---- the three signals


def check_resource(message):
    resource, scope = resource_of(message)
    assert resource["process.pid"] > 0 and resource["host.name"] == os.uname().nodename, resource
    rest = {k: v for k, v in resource.items() if k not in ("process.pid", "host.name")}
    assert rest == {"service.name": "gavel", "service.version": VERSION, "service.instance.id": "node-1",
                    "service.namespace": "blue", "telemetry.sdk.name": "gavel",
                    "telemetry.sdk.version": VERSION, "zone": "7"}, rest
    return scope


def check_metrics(message):
    state, role, sync = sorted(check_resource(message)["metrics"], key=lambda m: m["name"][0] != "state.operations"
                               ".total")
    assert [m["name"][0] for m in (state, role, sync)] == ["state.operations.total", "consensus.node.state",
                                                           "log.sync.duration"]
    assert state["description"] == ["Operations"] and state["unit"] == ["{operation}"]
    total = state["sum"][0]
    assert total["isMonotonic"] == [True] and total["aggregationTemporality"] == [2]
    assert [(values(p["attributes"]), p["asInt"]) for p in total["dataPoints"]] == \
        [({"peer": "1"}, [5.0]), ({"peer": "two"}, [10.0])], total
    for point in total["dataPoints"] + sync["histogram"][0]["dataPoints"]:
        took = point["timeUnixNano"][0] - point["startTimeUnixNano"][0]
        assert 0.9e9 < took < 60e9, took
    assert list(role) == ["name", "description", "unit", "gauge"] and role["unit"] == ["1"]
    (point,) = role["gauge"][0]["dataPoints"]
    assert point["asDouble"] == [-5.0] and "startTimeUnixNano" not in point
    assert sync["unit"] == ["s"] and sync["histogram"][0]["aggregationTemporality"] == [2]
    (point,) = sync["histogram"][0]["dataPoints"]
    assert point["count"] == [8.0] and point["sum"] == [15.0]
    (exemplar,) = point["exemplars"]
    assert exemplar["asDouble"] == [0.75] and exemplar["timeUnixNano"][0] > 1.7e18, exemplar
    assert exemplar["traceId"] == ["0102030405060708090a0b0c0d0e0f10"] and exemplar["spanId"] == ["1112131415161718"]
    assert point["bucketCounts"] == [1.0, 2.0, 5.0, 0.0] and point["explicitBounds"] == [0.5, 1.0, 1000000.0]


def check_traces(message):
    (span,) = check_resource(message)["spans"]
    assert span["traceId"] == ["0102030405060708090a0b0c0d0e0f10"] and span["spanId"] == ["1112131415161718"]
    assert span["parentSpanId"] == ["2122232425262728"] and span["flags"] == [1.0]
    assert span["name"] == ["state.set"] and span["kind"] == [2.0]
    assert span["startTimeUnixNano"] == [float(1700000000000000001)]
    assert span["status"] == [{"message": ["timeout"], "code": [2.0]}]
    assert values(span["attributes"]) == {
        "term": 7.0, "index": float(9007199254740993), "key": "42", "share": "0.5", "negative": -3.0, "zeros": "007",
        "bad": "a\ufffdb\0c", "umlaut": "\u00e4\"\\\n"}, span["attributes"]


def check_logs(message):
    (record,) = check_resource(message)["logRecords"]
    assert record["timeUnixNano"] == [float(1700000000123000000)] and record["observedTimeUnixNano"][0] > 1.7e18
    assert record["severityNumber"] == [9.0] and record["severityText"] == ["INFO"]
    assert record["body"] == [{"stringValue": ["hello"]}]
    assert values(record["attributes"]) == {"gavel.module": "raft"}
    assert record["traceId"] == ["0102030405060708090a0b0c0d0e0f10"] and record["spanId"] == ["1112131415161718"]
    assert record["flags"] == [1.0]


CHECKS = {"metrics": check_metrics, "traces": check_traces, "logs": check_logs}
SAY = ["service_namespace=blue", "resource=zone=7"]


def protobuf():
    for signal, request in one_of_each(*SAY).items():
        assert request.headers["content-type"] == "application/x-protobuf"
        assert "content-encoding" not in request.headers
        CHECKS[signal](from_protobuf(signal, request.body))


def gzipped():
    for signal, request in one_of_each(*SAY, "compression=gzip").items():
        assert request.headers["content-encoding"] == "gzip" and request.raw[:2] == b"\x1f\x8b"
        CHECKS[signal](from_protobuf(signal, request.body))


def in_json():
    for signal, request in one_of_each(*SAY, "protocol=http/json", "compression=gzip").items():
        assert request.headers["content-type"] == "application/json"
        message = json.loads(request.body)
        CHECKS[signal](from_json(request.body))
        if signal == "traces":  # 64-bit integers are strings, enums numbers, ids hexadecimal
            span = message["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
            assert span["startTimeUnixNano"] == "1700000000000000001" and span["kind"] == 2
            assert span["attributes"][1]["value"] == {"intValue": "9007199254740993"}


def exact_integers():
    text = protoc("traces", one_of_each()["traces"].body)
    for line in ("int_value: 9007199254740993", "start_time_unix_nano: 1700000000000000001",
                 "end_time_unix_nano: 1700000000000000456", "kind: SPAN_KIND_SERVER"):
        assert line in text, line


def many_in_a_request():
    collector = Collector()
    plugin = Feed("endpoint=" + collector.url(), "batch_records=5000", "batch_interval=1h")
    plugin.ask("burst 3000 170")
    plugin.ask("stop")
    (request,) = collector.requests
    text = protoc("logs", request.body)
    assert text.count("log_records {") == 3000 and text.count('"' + "x" * 170 + '"') == 3000
    collector.close()


# ---- temporality


def points_after(values_told, *options, **environment):
    """The counter's first series in each export, as (int, start, time), and the histograms' (count, sum, buckets)."""
    collector = Collector()
    plugin = Feed("endpoint=" + collector.url(), *options, **environment)
    found, histograms = [], []
    for number, value in enumerate(values_told):
        plugin.ask("metrics %d" % value)
        until(lambda: collector.count() == number + 1, "an export")
    plugin.stop()
    collector.close()
    for request in collector.requests:
        metrics = {m["name"][0]: m for m in resource_of(from_protobuf("metrics", request.body))[1]["metrics"]}
        point = metrics["state.operations.total"]["sum"][0]["dataPoints"][0]
        temporality = metrics["state.operations.total"]["sum"][0]["aggregationTemporality"][0]
        found.append((temporality, point["asInt"][0], point["startTimeUnixNano"][0], point["timeUnixNano"][0]))
        point = metrics["log.sync.duration"]["histogram"][0]["dataPoints"][0]
        assert len(point["exemplars"]) == 1, "an old exemplar was sent again"
        histograms.append((point.get("count", [0])[0], point["sum"][0], point["bucketCounts"]))
        assert metrics["consensus.node.state"]["gauge"][0]["dataPoints"][0]["asDouble"][0] < 0
    return found, histograms


def cumulative():
    found, histograms = points_after([5, 7, 20])
    assert [(t, v) for t, v, _, _ in found] == [(2, 5), (2, 7), (2, 20)], found
    assert len({start for _, _, start, _ in found}) == 1, "the start moved"
    assert [h[0] for h in histograms] == [8, 10, 23]


def delta():
    for how, environment in ((["temporality=delta"], {}),
                             ([], {"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "delta"}),
                             (["temporality=lowmemory"], {})):
        found, histograms = points_after([5, 7, 7, 20], *how, **environment)
        assert [(t, v) for t, v, _, _ in found] == [(1, 5), (1, 2), (1, 0), (1, 13)], found
        for before, after in zip(found, found[1:]):
            assert after[2] == before[3], "a difference does not begin where the one before ended"
        assert histograms == [(8, 15, [1, 2, 5, 0]), (2, 6, [0, 0, 2, 0]), (0, 0, [0, 0, 0, 0]),
                              (13, 39, [0, 0, 13, 0])], histograms


def delta_of_what_went_back():
    found, histograms = points_after([9, 4], "temporality=delta")
    assert [v for _, v, _, _ in found] == [9, 4] and histograms[1][0] == 7, (found, histograms)


# ---- where, and with what


def sent(*options, **environment):
    """Paths and headers of what is sent with these."""
    collector = Collector()
    options = [o.replace("URL", collector.url()) for o in options]
    environment = {k: v.replace("URL", collector.url()) for k, v in environment.items()}
    plugin = Feed("batch_interval=1h", *options, **environment)
    plugin.ask("metrics 5")
    plugin.ask("span s 0 0")
    plugin.ask("log 3 hello")
    plugin.ask("stop")
    collector.close()
    collector.logged = plugin.logged()
    return sorted((r.path, r) for r in collector.requests), collector


def paths(*options, **environment):
    return [path for path, _ in sent(*options, **environment)[0]]


def endpoints():
    usual = ["/v1/logs", "/v1/metrics", "/v1/traces"]
    assert paths("endpoint=URL") == usual
    assert paths("endpoint=URL/") == usual
    assert paths("endpoint=URL/a/b") == ["/a/b" + p for p in usual]
    assert paths(OTEL_EXPORTER_OTLP_ENDPOINT="URL/x") == ["/x" + p for p in usual]
    assert paths("endpoint=URL/ini", OTEL_EXPORTER_OTLP_ENDPOINT="URL/env") == ["/ini" + p for p in usual]
    assert paths("endpoint=URL/ini", OTEL_EXPORTER_OTLP_LOGS_ENDPOINT="URL/env") == ["/ini" + p for p in usual]
    assert paths("endpoint=URL", "logs_endpoint=URL/l?k=v") == ["/l?k=v", "/v1/metrics", "/v1/traces"]
    assert paths(OTEL_EXPORTER_OTLP_ENDPOINT="URL", OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="URL/t",
                 OTEL_EXPORTER_OTLP_METRICS_ENDPOINT="URL") == ["/", "/t", "/v1/logs"]


def signals():
    assert paths("endpoint=URL", "logs=no", "metrics=no") == ["/v1/traces"]
    assert paths("endpoint=URL", OTEL_LOGS_EXPORTER="none", OTEL_TRACES_EXPORTER="otlp") == ["/v1/metrics",
                                                                                               "/v1/traces"]
    assert len(paths("endpoint=URL", "logs=yes", OTEL_LOGS_EXPORTER="none")) == 3
    assert paths("endpoint=URL", OTEL_SDK_DISABLED="TRUE") == []
    assert len(paths("endpoint=URL", "enabled=yes", OTEL_SDK_DISABLED="true")) == 3
    assert paths("endpoint=URL", "enabled=no") == []


def headers():
    requests, _ = sent("endpoint=URL", "headers=Authorization=Bearer%20a%2Cb, X-B = two words ,X-Empty=",
                       OTEL_EXPORTER_OTLP_HEADERS="x-a=1,x-b=lost", OTEL_EXPORTER_OTLP_LOGS_HEADERS="x-a=2")
    for path, request in requests:
        got = request.headers
        assert got["authorization"] == "Bearer a,b" and got["x-empty"] == "", got
        assert got["x-a"] == ("2" if path == "/v1/logs" else "1"), got
        assert got["user-agent"] == "gavel-otlp/" + VERSION and "expect" not in got


def environment_values():
    requests, collector = sent(OTEL_EXPORTER_OTLP_ENDPOINT="URL", OTEL_SERVICE_NAME="shop",
                               OTEL_RESOURCE_ATTRIBUTES="service.name=lost,deployment.environment=a%20b,zone=9",
                               OTEL_EXPORTER_OTLP_COMPRESSION="gzip", OTEL_EXPORTER_OTLP_TRACES_COMPRESSION="none",
                               OTEL_EXPORTER_OTLP_PROTOCOL="http/json", OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=""
                               "http/protobuf")
    for path, request in requests:
        traces = path == "/v1/traces"
        assert (request.headers.get("content-encoding") == "gzip") == (not traces)
        message = from_protobuf("traces", request.body) if traces else from_json(request.body)
        resource, _ = resource_of(message)
        assert resource["service.name"] == "shop" and resource["deployment.environment"] == "a b", resource
        assert resource["zone"] == "9", "attributes of the environment are texts"
    requests, _ = sent("endpoint=URL", "service_name=ini", "resource=zone=8", "compression=none", "protocol="
                       "http/protobuf", OTEL_SERVICE_NAME="env", OTEL_RESOURCE_ATTRIBUTES="zone=9,a=b",
                       OTEL_EXPORTER_OTLP_COMPRESSION="gzip", OTEL_EXPORTER_OTLP_PROTOCOL="http/json")
    resource, _ = resource_of(from_protobuf("logs", requests[0][1].body))
    assert (resource["service.name"], resource["zone"], resource["a"]) == ("ini", "8", "b"), resource
    assert "content-encoding" not in requests[0][1].headers


def environment_bounds():
    """OTEL_BSP_ for spans, OTEL_BLRP_ for log records; the section for both."""
    for options, spans, logs in (([], 3, 6), (["batch_records=2"], 6, 6)):
        collector = Collector()
        plugin = Feed("endpoint=" + collector.url(), "batch_interval=1h", *options,
                      OTEL_BSP_MAX_EXPORT_BATCH_SIZE="4", OTEL_BLRP_MAX_EXPORT_BATCH_SIZE="2")
        for _ in range(12):
            plugin.ask("span s 0 0")
            plugin.ask("log 3 l")
        plugin.wait("exported", "traces", 12)
        plugin.wait("exported", "logs", 12)
        plugin.stop()
        assert (collector.count("/v1/traces"), collector.count("/v1/logs")) == (spans, logs), collector.count()
        collector.close()
    collector = Collector()
    collector.close()
    plugin = Feed("endpoint=" + collector.url(), "batch_interval=1h", OTEL_BSP_MAX_QUEUE_SIZE="10",
                  OTEL_BSP_MAX_EXPORT_BATCH_SIZE="10", OTEL_BSP_EXPORT_TIMEOUT="3600000")
    for _ in range(40):
        plugin.ask("span s 0 0")
    plugin.wait("dropped", "traces", 20)
    assert plugin.counts()["dropped traces queue-full"] <= 30
    plugin.stop()


def metric_interval():
    for options, environment in ((["metric_interval=1h"], {}), ([], {"OTEL_METRIC_EXPORT_INTERVAL": "3600000"})):
        collector = Collector()
        plugin = Feed("endpoint=" + collector.url(), *options, **environment)
        for i in range(5):
            plugin.ask("metrics %d" % (i + 1))
        plugin.stop()
        assert collector.count("/v1/metrics") == 1, collector.count()
        collector.close()


def bad_environment_is_told():
    requests, collector = sent("endpoint=URL", OTEL_EXPORTER_OTLP_PROTOCOL="grpc", OTEL_EXPORTER_OTLP_TIMEOUT="10s",
                               OTEL_BSP_SCHEDULE_DELAY="-1", OTEL_SDK_DISABLED="maybe", OTEL_METRICS_EXPORTER="console",
                               OTEL_EXPORTER_OTLP_COMPRESSION="", OTEL_RESOURCE_ATTRIBUTES="nonsense",
                               OTEL_EXPORTER_OTLP_HEADERS="a=b,secret")
    assert len(requests) == 3
    told = "\n".join(collector.logged)
    for sentence in ('4 otlp OTEL_EXPORTER_OTLP_PROTOCOL is ignored: "grpc" is not offered, http/protobuf is taken',
                     'OTEL_EXPORTER_OTLP_TIMEOUT is ignored: expected a number from 1 to 2147483647, found "10s"',
                     "OTEL_BSP_SCHEDULE_DELAY is ignored", 'OTEL_METRICS_EXPORTER is ignored: "console"',
                     'OTEL_SDK_DISABLED is ignored: expected true or false, found "maybe"',
                     "OTEL_RESOURCE_ATTRIBUTES: expected name=value",
                     "OTEL_EXPORTER_OTLP_HEADERS: expected name=value"):
        assert sentence in told, sentence + " not in\n" + told
    assert "COMPRESSION" not in told and "secret" not in told, told
    assert all(request.headers["a"] == "b" for _, request in requests)


def bad_options_are_refused():
    cases = {
        "endpoint=localhost:4318": "endpoint: expected a URL",
        "endpoint=ftp://localhost": "endpoint: expected a URL",
        "logs_endpoint=http://:99": "logs_endpoint: expected a URL",
        "endpoint=http://me:secret@localhost": "would be logged",
        "endpoint=http://me:secret@localhost:4318x": "endpoint: expected a URL",
        "endpoint=http://localhost:4318/?key=secret": "it has no query",
        "headers=nonsense": "headers: expected name=value",
        "headers=a=%zz": "two hexadecimal digits",
        "headers=a=b%0d%0aX: y": "control character",
        "headers=a b=c": "no name of a header",
        "resource=a=b,=c": "resource: expected name=value",
        "ca=/no/such/file": "ca: /no/such/file cannot be read: No such file",
        "key=/dev/null": "certificate and key go together",
        "proxy=socks5://x": "proxy: expected a URL",
        "protocol=grpc": "expected one of http/protobuf, http/json",
    }
    for option, sentence in cases.items():
        plugin = Feed(option, ready=False)
        assert sentence in plugin.first, (option, plugin.first)
        assert "secret" not in plugin.first
        assert plugin.process.wait(60) == 1


def write(directory):
    for signal, request in one_of_each(*SAY).items():
        with open(os.path.join(directory, signal), "wb") as file:
            file.write(request.body)


if sys.argv[1:2] == ["--write"]:
    write(sys.argv[2])
    sys.exit(0)
if not shutil.which("protoc"):
    skip("no protoc (protobuf-compiler)")
run([protobuf, gzipped, in_json, exact_integers, many_in_a_request, cumulative, delta, delta_of_what_went_back,
     endpoints, signals, headers, environment_values, environment_bounds, metric_interval, bad_environment_is_told,
     bad_options_are_refused])
