# SPDX-License-Identifier: Apache-2.0
"""collectors.py: collectors that are dead, slow, lying, or refuse. What each costs is counted to the record."""
import email.utils
import os
import shutil
import ssl
import subprocess
import tempfile
import time

from collector import CUT, OK, SILENT, Collector, Feed, Skipped, answer, raw, run, until

FAST = ["retry_initial=20ms", "retry_max=50ms", "batch_interval=5ms", "metrics=no", "traces=no"]


def feed(collector, *options, **environment):
    return Feed("endpoint=" + collector.url(), *FAST, *options, **environment)


def partial(rejected, message):
    """Protobuf of an answer with partial_success."""
    text = message.encode()
    inner = (b"\x08" + bytes([rejected]) if rejected else b"") + b"\x12" + bytes([len(text)]) + text
    return b"\x0a" + bytes([len(inner)]) + inner


def waits_for_nothing(end):
    """It may take as long as a busy machine lets it, but who waits for shutdown_timeout, 2500 ms, does so each time."""
    took = []
    while not took or took[-1] >= 2500:
        took.append(end())
        assert len(took) < 5, took


def first(count, act, then=OK):
    return lambda request, number: act if number < count else then


def retried_until_taken(collector, tries, *options):
    """One record; `tries` requests are not taken, one more is; nothing is lost. Returns the requests."""
    plugin = feed(collector, *options)
    plugin.ask("log 3 hello")
    plugin.wait("exported", "logs", 1)
    plugin.stop()
    assert collector.count() + collector.cuts == tries + 1, collector.count()
    collector.close()
    return collector.requests


def well():
    collector = Collector()
    plugin = feed(collector, "batch_records=10", "batch_interval=1h")
    for i in range(100):
        plugin.ask("log 3 line %d" % i)
    plugin.wait("exported", "logs", 100)
    assert plugin.counts() == {"exported logs": 100}, plugin.counts()
    assert collector.count() == 10, collector.count()
    assert collector.connections == 1, "connections are not kept"
    plugin.stop()
    collector.close()


def batches_wait_for_their_time_only():
    collector = Collector()
    plugin = feed(collector, "batch_interval=1s")
    before = time.monotonic()
    plugin.ask("burst 2 10")
    plugin.wait("exported", "logs", 2)
    assert time.monotonic() - before > 0.95, "it did not wait for a second record"
    assert collector.count() == 1, collector.count()
    plugin.stop()
    collector.close()


def batches_are_bounded_in_bytes():
    collector = Collector()
    plugin = feed(collector, "batch_bytes=8KiB", "queue_bytes=1MiB", "batch_interval=1h")
    plugin.ask("burst 40 1000")
    plugin.ask("stop")
    assert collector.count() >= 5, collector.count()
    assert max(len(r.body) for r in collector.requests) < 8192 + 2048
    collector.close()


def each_retryable_status_is_retried():
    for status in (429, 502, 503, 504):
        retried_until_taken(Collector(first(3, answer(status, b"later", type="text/plain"))), 3)


def retry_after_seconds():
    requests = retried_until_taken(Collector(first(1, answer(503, headers=["Retry-After: 2"]))), 1)
    assert requests[1].at - requests[0].at > 1.9, requests[1].at - requests[0].at


def retry_after_date():
    later = []

    def behaviour(request, number):
        if request and number == 0:
            later.append(time.time() + 3)
            return answer(429, headers=["Retry-After: " + email.utils.formatdate(later[0], usegmt=True)])
        return OK

    requests = retried_until_taken(Collector(behaviour), 1)
    assert requests[1].at - requests[0].at > 1.5, requests[1].at - requests[0].at


def retry_after_nonsense():
    for value in ("soon", "-5", "", "Wed, 99 Nonsense", "0"):
        retried_until_taken(Collector(first(1, answer(503, headers=["Retry-After: " + value]))), 1)


def retry_after_for_ever():
    """A pause of 31 years is cut to minutes; meanwhile the stop waits for nothing."""
    def end():
        collector = Collector(lambda request, number: answer(503, headers=["Retry-After: 999999999"]))
        plugin = feed(collector, "shutdown_timeout=2500ms")
        plugin.ask("log 3 hello")
        plugin.wait("retries", "logs", 1)
        plugin.ask("log 3 hello")
        took = plugin.stop()
        assert collector.count() == 1, collector.count()
        collector.close()
        return took

    waits_for_nothing(end)


def pauses_grow():
    requests = retried_until_taken(Collector(first(5, answer(503))), 5, "retry_initial=100ms", "retry_max=10s")
    gaps = [b.at - a.at for a, b in zip(requests, requests[1:])]
    for i, gap in enumerate(gaps):
        assert gap > 0.1 * 1.5 ** i * 0.8 * 0.95, gaps


def others_are_not_retried():
    for status in (400, 401, 404, 413, 500, 501, 301):
        collector = Collector(lambda request, number, status=status:
                              answer(status, b"\x12\x05noway", headers=["Location: http://127.0.0.1:1/"]))
        plugin = feed(collector)
        plugin.ask("log 3 hello")
        plugin.wait("dropped", "logs", 1)
        until(lambda: any("HTTP status %d: noway" % status in line for line in plugin.logged()), "a line of it")
        plugin.ask("settle")
        assert plugin.counts() == {"dropped logs refused": 1}, plugin.counts()
        plugin.stop()
        assert collector.count() == 1, (status, collector.count())
        collector.close()


def partial_success():
    collector = Collector(first(1, answer(200, partial(3, "too old"))))
    plugin = feed(collector, "batch_records=10", "batch_interval=1h")
    for i in range(10):
        plugin.ask("log 3 hello")
    plugin.wait("exported", "logs", 7)
    plugin.wait("dropped", "logs", 3)
    assert plugin.counts() == {"exported logs": 7, "dropped logs partial": 3}, plugin.counts()
    until(lambda: any("3 of 10 records refused: too old" in line for line in plugin.logged()), "a line of it")
    plugin.stop()
    assert collector.count() == 1, "a partial success was sent again"
    collector.close()


def partial_success_in_json():
    body = b'{"partialSuccess":{"rejectedLogRecords":"2","errorMessage":"no \\n room"}}'
    collector = Collector(first(1, answer(200, body, type="application/json")))
    plugin = feed(collector, "protocol=http/json", "batch_records=5", "batch_interval=1h")
    for i in range(5):
        plugin.ask("log 3 hello")
    plugin.wait("exported", "logs", 3)
    plugin.wait("dropped", "logs", 2)
    assert plugin.counts() == {"exported logs": 3, "dropped logs partial": 2}, plugin.counts()
    until(lambda: any("2 of 5 records refused: no   room" in line for line in plugin.logged()), "a line of it")
    plugin.stop()
    collector.close()


def partial_success_that_lies():
    """More refused than sent, or less than nothing, or a warning only."""
    lies = [(b"\x0a\x06\x08\xff\xff\xff\xff\x0f", {"dropped logs partial": 1}),
            (b"\x0a\x0b\x08" + b"\xff" * 9 + b"\x01", {"exported logs": 1}),
            (partial(0, "old version"), {"exported logs": 1})]
    for body, counts in lies:
        collector = Collector(first(1, answer(200, body)))
        plugin = feed(collector)
        plugin.ask("log 3 hello")
        plugin.wait(*list(counts)[0].split()[:2], 1)
        assert plugin.counts() == counts, plugin.counts()
        plugin.stop()
        assert collector.count() == 1
        collector.close()


def garbage():
    """A 200 is a 200, whatever stands below it; what is no HTTP is a lost connection."""
    for body in (b"\xff" * 500, b"{", b"\x0a\xff\xff\xff\xff\x0f", b"<html>", os.urandom(3000)):
        retried_until_taken(Collector(first(1, answer(200, body))), 0)
        retried_until_taken(Collector(first(1, answer(200, body, type="application/json"))), 0)
    for data in (b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 \xff\xff\xff\r\n\r\n", b"\x16\x03\x01\x00", b"HTTP/1.1 200"):
        collector = Collector(first(2, raw(data)))
        plugin = feed(collector)
        plugin.ask("log 3 hello")
        until(lambda: sum(plugin.counts().get(k, 0) for k in ("exported logs", "dropped logs refused")) == 1,
              "the end of a record that %r answers" % data)
        plugin.stop()
        collector.close()


def closes():
    retried_until_taken(Collector(first(3, raw(b""))), 3)                       # before the answer
    retried_until_taken(Collector(first(3, CUT)), 3)                            # in the request
    retried_until_taken(Collector(first(2, raw(b"HTTP/1.1 503 N\r\nContent-Length: 9\r\n\r\nab"))), 2)
    half = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc"                 # taken: not sent again
    retried_until_taken(Collector(first(1, raw(half))), 0)


def silence():
    collector = Collector(first(2, SILENT))
    plugin = feed(collector, "timeout=200ms", "retry_time=1m")
    plugin.ask("log 3 hello")
    plugin.wait("exported", "logs", 1)
    counts = plugin.counts()  # on a busy machine the third one may be too late as well
    assert counts["exported logs"] == 1 and counts["retries logs"] >= 2 and len(counts) == 2, counts
    plugin.stop()
    collector.close()


def huge_answers():
    many = b"HTTP/1.1 200 OK\r\n" + b"X-Many: %s\r\n" % (b"x" * 900) * 500 + b"\r\n"
    body = answer(200, b"\0" * 30000000)
    endless = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"8000\r\n" + b"z" * 0x8000 + b"\r\n"
    for act in (raw(body), raw(endless + endless * 40), raw(many), raw(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 5000000)):
        collector = Collector(first(1, act))
        plugin = feed(collector)
        plugin.ask("log 3 hello")
        plugin.wait("exported", "logs", 1)
        assert not any(k.startswith("dropped") for k in plugin.counts()), plugin.counts()
        status = open("/proc/%d/status" % plugin.process.pid).read()
        peak = int(status.split("VmHWM:")[1].split()[0])
        assert peak < 60000 or "san" in os.environ.get("GAVEL_TEST_LDFLAGS", ""), "%d KiB" % peak
        plugin.stop()
        collector.close()


def dead():
    """Nobody listens: the queue fills, the rest is dropped, no call ever waits, and it is said once."""
    waits_for_nothing(dead_once)


def dead_once():
    collector = Collector()
    collector.close()
    plugin = feed(collector, "queue_records=100", "batch_records=10", "retry_time=1h", "shutdown_timeout=2500ms",
                  "logs_endpoint=" + collector.url() + "/v1/logs?key=secret")
    plugin.ask("burst 1000 200")
    plugin.wait("dropped", "logs", 880)
    plugin.wait("retries", "logs", 3)
    counts = plugin.counts()
    assert counts["dropped logs queue-full"] <= 900, counts
    until(plugin.logged, "a line of it")
    lines = plugin.logged()
    assert len(lines) == 1, lines
    assert lines[0].startswith("4 otlp http://127.0.0.1:%d/v1/logs takes no logs: " % collector.port), lines
    assert "secret" not in lines[0], lines
    return plugin.stop()


def dropped_after_retry_time():
    collector = Collector(lambda request, number: answer(503))
    plugin = feed(collector, "retry_time=2s")
    plugin.ask("log 3 hello")
    plugin.wait("dropped", "logs", 1)
    counts = plugin.counts()
    assert counts["dropped logs gave-up"] == 1, counts
    assert collector.count() == counts["retries logs"] + 1 >= 3, (collector.count(), counts)
    plugin.stop()
    collector.close()


def comes_back():
    """Away for a while: what fitted the queue arrives, in order, and it is said that all is well again."""
    here = []
    collector = Collector(lambda request, number: OK if here else answer(503))
    plugin = feed(collector, "retry_time=1h", "batch_records=1")
    for i in range(20):
        plugin.ask("log 3 number-%02d" % i)
    plugin.wait("retries", "logs", 2)
    here.append(True)
    plugin.wait("exported", "logs", 20)
    until(lambda: len(plugin.logged()) > 1, "a line that says so")
    lines = plugin.logged()
    assert len(lines) == 2 and lines[1].startswith("3 otlp ") and "takes logs again; 0 records" in lines[1], lines
    plugin.stop()
    taken = [r.body.split(b"number-")[1][:2] for r in collector.requests[-20:]]
    assert taken == [b"%02d" % i for i in range(20)], taken
    collector.close()


def slow_calls_cost_nothing():
    """A collector that never answers, and 20,000 events: no call of the lane waits for it, or it would for an hour."""
    collector = Collector(lambda request, number: SILENT)
    plugin = feed(collector, "queue_bytes=64KiB", "timeout=1h")
    plugin.ask("burst 20000 300")
    plugin.ask("settle")
    assert plugin.counts()["dropped logs queue-full"] > 19000, plugin.counts()
    plugin.stop()
    collector.close()


def one_signal_holds_up_no_other():
    collector = Collector(lambda request, number: SILENT if request and request.path == "/v1/logs" else OK)
    plugin = Feed("endpoint=" + collector.url(), "batch_interval=5ms", "timeout=1m")
    plugin.ask("log 3 stuck")
    until(lambda: collector.count("/v1/logs") == 1, "the log record")
    plugin.ask("span s 0 1")
    plugin.ask("metrics 1")
    plugin.wait("exported", "traces", 1)
    plugin.wait("exported", "metrics", 4)
    plugin.stop()
    collector.close()


def end_flushes():
    collector = Collector()
    plugin = Feed("endpoint=" + collector.url(), "batch_interval=1h")
    plugin.ask("log 3 last")
    plugin.ask("span last 0 1")
    plugin.ask("stop")
    assert sorted(r.path for r in collector.requests) == ["/v1/logs", "/v1/traces"], collector.requests
    assert plugin.counts() == {"exported logs": 1, "exported traces": 1}, plugin.counts()
    collector.close()


def end_has_a_deadline():
    collector = Collector(lambda request, number: SILENT)
    plugin = feed(collector, "timeout=1h", "shutdown_timeout=300ms")
    plugin.ask("log 3 last")
    until(lambda: collector.count() == 1, "the request")
    plugin.ask("burst 600 10")
    took = int(plugin.ask("stop"))
    assert 250 <= took < 60000, took  # and not the hour
    assert plugin.counts() == {"dropped logs shutdown": 601}, plugin.counts()
    collector.close()


def name_server_holds_up_no_end():
    """An address that no packet comes back from, and a name that nobody knows."""
    for endpoint in ("http://192.0.2.1:4318", "http://no-such-host.invalid:4318"):
        plugin = Feed("endpoint=" + endpoint, *FAST, "shutdown_timeout=200ms")
        plugin.ask("log 3 hello")
        took = int(plugin.ask("stop"))
        assert took < 10000, took
        assert plugin.counts().get("dropped logs shutdown") == 1, plugin.counts()


# ---- TLS


def openssl(directory, *arguments):
    subprocess.run(["openssl", *arguments], cwd=directory, check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)


def authority(directory, name):
    openssl(directory, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
            "2", "-subj", "/CN=" + name, "-keyout", name + ".key", "-out", name + ".pem")


def certificate(directory, ca, name, host):
    openssl(directory, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj",
            "/CN=" + name, "-keyout", name + ".key", "-out", name + ".csr")
    with open(os.path.join(directory, name + ".ext"), "w") as file:
        file.write("subjectAltName=%s\n" % host)
    openssl(directory, "x509", "-req", "-in", name + ".csr", "-CA", ca + ".pem", "-CAkey", ca + ".key", "-days", "2",
            "-CAcreateserial", "-extfile", name + ".ext", "-out", name + ".pem")


def tls():
    if not shutil.which("openssl"):
        raise Skipped("no openssl here")
    directory = tempfile.mkdtemp()
    try:
        authority(directory, "ours")
        authority(directory, "theirs")
        certificate(directory, "ours", "server", "IP:127.0.0.1")
        certificate(directory, "ours", "other", "DNS:elsewhere.example")
        certificate(directory, "ours", "client", "DNS:node-1")
        certificate(directory, "theirs", "stranger", "DNS:node-1")
        for case in (right_authority, wrong_authority, wrong_name, client_certificates):
            case(lambda name: os.path.join(directory, name))
            print("ok    tls: " + case.__name__)
    finally:
        shutil.rmtree(directory)


def server(file, name="server", client_ca=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file(name + ".pem"), file(name + ".key"))
    if client_ca:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(file(client_ca + ".pem"))
    return Collector(context=context)


def taken(collector, *options):
    plugin = Feed("endpoint=" + collector.url("https"), *FAST, *options)
    plugin.ask("log 3 hello")
    plugin.wait("exported", "logs", 1)
    plugin.stop()
    assert collector.count() == 1
    collector.close()


def not_taken(collector, *options):
    plugin = Feed("endpoint=" + collector.url("https"), *FAST, "retry_time=100ms", *options)
    plugin.ask("log 3 hello")
    plugin.wait("dropped", "logs", 1)
    until(plugin.logged, "a line of it")
    lines = plugin.logged()
    plugin.stop()
    assert collector.count() == 0, "something was sent to a collector that is none of ours"
    collector.close()
    return lines[0]


def right_authority(file):
    taken(server(file), "ca=" + file("ours.pem"))
    taken(server(file), "ca=" + file("ours.pem"), "compression=gzip")


def wrong_authority(file):
    line = not_taken(server(file), "ca=" + file("theirs.pem"))
    assert "certificate" in line, line
    not_taken(server(file))  # those of the system know nothing of ours


def wrong_name(file):
    line = not_taken(server(file, "other"), "ca=" + file("ours.pem"))
    assert "127.0.0.1" in line, line


def client_certificates(file):
    ca = "ca=" + file("ours.pem")
    taken(server(file, client_ca="ours"), ca, "certificate=" + file("client.pem"), "key=" + file("client.key"))
    not_taken(server(file, client_ca="ours"), ca)
    not_taken(server(file, client_ca="ours"), ca, "certificate=" + file("stranger.pem"), "key=" + file("stranger.key"))
    collector = server(file, client_ca="ours")
    plugin = Feed(*FAST, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url("https"),
                  OTEL_EXPORTER_OTLP_CERTIFICATE=file("ours.pem"),
                  OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE=file("client.pem"),
                  OTEL_EXPORTER_OTLP_CLIENT_KEY=file("client.key"))
    plugin.ask("log 3 hello")
    plugin.wait("exported", "logs", 1)
    plugin.stop()
    collector.close()


run([well, batches_wait_for_their_time_only, batches_are_bounded_in_bytes, each_retryable_status_is_retried,
     retry_after_seconds, retry_after_date, retry_after_nonsense, retry_after_for_ever, pauses_grow,
     others_are_not_retried, partial_success, partial_success_in_json, partial_success_that_lies, garbage, closes,
     silence, huge_answers, dead, dropped_after_retry_time, comes_back, slow_calls_cost_nothing,
     one_signal_holds_up_no_other, end_flushes, end_has_a_deadline, name_server_holds_up_no_end, tls])
