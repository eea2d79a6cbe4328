# SPDX-License-Identifier: Apache-2.0
"""collector.py: an OTLP/HTTP collector of the tests' own, on loopback, that answers as it is told to; and the plugin
behind tests/otlp/feed. Sockets and no HTTP library, for half of what it does is wrong."""
import gzip
import os
import socket
import ssl
import subprocess
import sys
import threading
import time

DEADLINE = 60  # seconds, for whatever is waited for
news = threading.Condition()  # a request has come


def until(condition, what):
    end = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("waited in vain for: " + what)
        with news:
            news.wait(0.03)  # not every condition is about requests


class Request:
    def __init__(self, path, headers, raw):
        self.path, self.headers, self.raw, self.at = path, headers, raw, time.monotonic()
        self.body = gzip.decompress(raw) if headers.get("content-encoding") == "gzip" else raw


def answer(status, body=b"", headers=(), type="application/x-protobuf"):
    """A whole answer."""
    lines = ["HTTP/1.1 %d Whatever" % status, "Content-Type: " + type, "Content-Length: %d" % len(body)]
    return "\r\n".join(lines + list(headers)).encode() + b"\r\n\r\n" + body


def raw(data):
    """These bytes, and the connection is closed."""
    return ("close", data)


SILENT = ("silent",)          # nothing, ever
CUT = ("cut",)                # closes when half of the request has come
OK = answer(200)


class Collector:
    """`behaviour(request, number)` is an answer in bytes, or one of the others above. Number counts from 0."""

    def __init__(self, behaviour=None, context=None):
        self.behaviour = behaviour or (lambda request, number: OK)
        self.context = context
        self.requests, self.connections, self.refused, self.lock = [], 0, 0, threading.Lock()
        self.cuts, self.open, self.closed = 0, [], False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                self.connections += 1
                self.open.append(connection)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        try:
            if self.context:
                connection = self.context.wrap_socket(connection, server_side=True)
            stream = connection.makefile("rb")
            while self.one(connection, stream):
                pass
        except ssl.SSLError:
            with self.lock:
                self.refused += 1
        except (OSError, ValueError):
            pass
        finally:
            connection.close()

    def one(self, connection, stream):
        line = stream.readline().decode().split()
        if len(line) != 3:
            return False
        assert line[0] == "POST", line
        headers = {}
        while True:
            text = stream.readline().decode().strip()
            if not text:
                break
            name, _, value = text.partition(":")
            headers[name.strip().lower()] = value.strip()
        size = int(headers["content-length"])
        with self.lock:
            number = len(self.requests) + self.cuts
        if callable(self.behaviour) and self.behaviour(None, number) is CUT:
            with self.lock:
                self.cuts += 1
            stream.read(size // 2)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            return False
        request = Request(line[1], headers, stream.read(size))
        with self.lock:
            self.requests.append(request)
        with news:
            news.notify_all()
        act = self.behaviour(request, number)
        if act is SILENT:
            while not self.closed and connection.recv(4096):
                pass
            return False
        if isinstance(act, tuple):
            connection.sendall(act[1])
            return False
        connection.sendall(act)
        return True

    def count(self, path=None):
        with self.lock:
            return sum(1 for r in self.requests if path in (None, r.path))

    def bodies(self, path):
        with self.lock:
            return [r for r in self.requests if r.path == path]

    def url(self, scheme="http", host="127.0.0.1"):
        return "%s://%s:%d" % (scheme, host, self.port)

    def close(self):
        self.closed = True
        self.listener.shutdown(socket.SHUT_RDWR)  # else the accept that waits takes one more
        self.listener.close()
        for connection in self.open:
            try:  # close alone waits for the thread that reads from it
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            connection.close()


def clean_environment(**more):
    left = {k: v for k, v in os.environ.items() if not k.startswith("OTEL_") and not k.lower().endswith("_proxy")}
    left.update(more)
    return left


class Feed:
    """The plugin in a process of its own; `ask` sends a line and returns the answer."""

    def __init__(self, *options, ready=True, **environment):
        self.process = subprocess.Popen([os.path.join(os.environ["top_builddir"], "tests/otlp/feed"), *options],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env=clean_environment(**environment))
        self.first = self.process.stdout.readline().strip()
        if ready:
            assert self.first == "ready", self.first

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        reply = self.process.stdout.readline()
        assert reply, "the plugin died at: " + line
        return reply.rstrip("\n")

    def wait(self, name, signal, number):
        assert self.ask("wait %s %s %d" % (name, signal, number)) == "ok", \
            "%s %s did not reach %d: %s" % (name, signal, number, self.counts())

    def counts(self):
        return {k: int(v) for k, v in (pair.split("=") for pair in self.ask("counts").split(";") if pair)}

    def logged(self):
        return [line for line in self.ask("logged").split("|") if line]

    def stop(self):
        """Milliseconds that it took; the process ends well."""
        took = int(self.ask("stop"))
        self.process.stdin.close()
        assert self.process.wait(DEADLINE) == 0, "feed ended with %s" % self.process.returncode
        return took


def skip(why):
    print("skipped: " + why)
    sys.exit(77)


class Skipped(Exception):
    """A case that cannot be tried here; raised with the reason."""


def run(cases):
    failed = skipped = 0
    for case in cases:
        try:
            case()
            print("ok    " + case.__name__)
        except Skipped as reason:
            skipped += 1
            print("skip  %s: %s" % (case.__name__, reason))
        except Exception as error:  # the others are tried all the same
            failed += 1
            print("FAIL  %s: %s: %s" % (case.__name__, type(error).__name__, error))
            import traceback
            traceback.print_exc(file=sys.stdout)
    print("%d cases, %d failed, %d skipped" % (len(cases), failed, skipped))
    sys.exit(1 if failed or not cases else 77 if skipped else 0)
