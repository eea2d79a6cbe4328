# SPDX-License-Identifier: Apache-2.0
"""The real thing: Prometheus scrapes three nodes, its query API tells what gavel status tells, every expression of the
dashboard and every alert rule is evaluated without an error, and readiness follows the quorum."""
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

import common

GAVEL = os.path.join(common.BUILD, "core/cli/gavel")
DEADLINE = 60
TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACES = os.path.exists(os.path.join(os.environ["GAVEL_TEST_PLUGINDIR"], "gavel-otlp-observer.so"))
directory = tempfile.mkdtemp()
processes = {}
environment = dict(os.environ, GAVEL_PLUGIN_DIR=os.environ["GAVEL_TEST_PLUGINDIR"], NO_COLOR="1")


def until(condition, what):
    """Its first answer that is true, in time; else the test is over."""
    end = time.monotonic() + DEADLINE
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError("not in time: " + what)
        time.sleep(0.1)  # between two looks at the condition


def get(url, **headers):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30) as answer:
            return answer.status, answer.read().decode(), answer.headers
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(), error.headers
    except OSError as error:
        return 0, str(error), {}


def log_of(name):
    with open(os.path.join(directory, name + ".log")) as file:
        return file.read()


def start(name, *command):
    log = open(os.path.join(directory, name + ".log"), "a")
    processes[name] = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=directory)
    log.close()


def stop(name, number=signal.SIGTERM):
    process = processes.pop(name)
    process.send_signal(number)
    return process.wait(DEADLINE)


def stop_all():
    for name in list(processes):
        stop(name, signal.SIGKILL)


# ---- the cluster -----------------------------------------------------------------------------------------------------

def make_cluster():
    """Three nodes of gavel init, each with this observer on a port of the system's choice; [(name, port)]."""
    for attempt in range(20):
        made = os.path.join(directory, "c%d" % attempt)
        subprocess.run([GAVEL, "init", "--nodes", "3", "--port", str(random.randrange(10000, 30000)), made],
                       check=True, env=environment, stdout=subprocess.DEVNULL)
        nodes = [f"node-{i}" for i in (1, 2, 3)]
        for name in nodes:
            path = os.path.join(made, name + ".ini")
            with open(path) as file:  # patient elections: a busy machine shall not cost a leader its place
                text = file.read().replace(";election_timeout_min = 150ms", "election_timeout_min = 1s")
                text = text.replace(";election_timeout_max = 300ms", "election_timeout_max = 2s")
            with open(path, "w") as file:
                file.write(text)
                file.write("\n[observer.prometheus]\nlisten = 127.0.0.1:0\n")
                if TRACES:  # to nobody: it is enough that somebody wants spans
                    file.write("[observer.otlp]\nendpoint = http://127.0.0.1:9\nmetrics = no\nlogs = no\n")
            start(name, common.GAVELD, "--config", os.path.join(made, name + ".ini"))
        until(lambda: all("Metrics at" in log_of(n) or processes[n].poll() is not None for n in nodes), "ports")
        ports = {n: re.search(r"Metrics at http://127.0.0.1:(\d+)/", log_of(n)) for n in nodes}
        try:
            until(lambda: all(get("http://127.0.0.1:%s/readyz" % ports[n][1])[0] == 200 for n in nodes)
                  or any(processes[n].poll() is not None for n in nodes), "three nodes that are ready")
        except TypeError:
            pass  # a node without a port: it has ended
        if all(processes[n].poll() is None for n in nodes):
            return made, {n: int(ports[n][1]) for n in nodes}
        for name in nodes:
            stop(name, signal.SIGKILL)
            os.remove(os.path.join(directory, name + ".log"))
    raise AssertionError("no three ports are free")


def gavel(made, name, *words):
    """Through the socket of one node: its exit code and all that it said."""
    return subprocess.run([GAVEL, "-o", "json", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          env=dict(environment, GAVEL_ENDPOINTS="unix://%s/admin.sock" % os.path.join(made, name)))


def status(made, name):
    out = gavel(made, name, "status")
    return json.loads(out.stdout) if out.returncode == 0 else None


# ---- prometheus ------------------------------------------------------------------------------------------------------

CONFIG = """
global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}
rule_files: [%s]
scrape_configs:
  - job_name: gavel
    static_configs:
      - targets: [%s]
"""


def start_prometheus(ports):
    with open(os.path.join(directory, "prometheus.yml"), "w") as file:
        file.write(CONFIG % (os.path.join(common.SOURCE, "contrib/prometheus/gavel.rules.yml"),
                             ", ".join("'127.0.0.1:%d'" % port for port in ports)))
    for attempt in range(20):
        port = random.randrange(30000, 32000)
        start("prometheus", "prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=tsdb%d" % attempt,
              "--web.listen-address=127.0.0.1:%d" % port, "--enable-feature=exemplar-storage", "--log.level=warn")
        base = "http://127.0.0.1:%d" % port
        until(lambda: get(base + "/-/ready")[0] == 200 or processes["prometheus"].poll() is not None, "prometheus")
        if processes["prometheus"].poll() is None:
            return base
        stop("prometheus", signal.SIGKILL)
    raise AssertionError("prometheus does not start: " + log_of("prometheus"))


class Prometheus:
    def __init__(self, base):
        self.base = base

    def api(self, path, **values):
        code, text, _ = get(self.base + "/api/v1/" + path + "?" + urllib.parse.urlencode(values))
        answer = json.loads(text)
        if code != 200 or answer["status"] != "success":
            raise AssertionError("%s %s: %s" % (path, values, text))
        return answer["data"]

    def query(self, expression):
        return self.api("query", query=expression)["result"]

    def value(self, expression, port):
        for each in self.query(expression):
            if each["metric"].get("instance") == "127.0.0.1:%d" % port:
                return float(each["value"][1])
        return None


# ---- the test --------------------------------------------------------------------------------------------------------

def check_pages(ports):
    """promtool has nothing to say about a page; both formats parse; every metric of the table is there by its name."""
    for name, port in ports.items():
        code, page, headers = get("http://127.0.0.1:%d/metrics" % port)
        assert code == 200 and headers["Content-Type"].startswith("text/plain; version=0.0.4"), headers
        told = subprocess.run(["promtool", "check", "metrics"], input=page, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        assert told.returncode == 0 and told.stdout == "", "%s: promtool check metrics: %s" % (name, told.stdout)
    types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", page, re.M))
    for name, (kind, attributes) in common.table().items():
        if attributes == "":
            assert types.get(name) == kind, "%s is a %s, and declared as %s" % (name, kind, types.get(name))
    for name, kind in types.items():
        assert name == "target_info" or name in common.table() or name.startswith("otlp_"), "%s is in no table" % name
        assert (kind == "counter") == name.endswith("_total"), (name, kind)


def check_values(prometheus, made, ports):
    """What the query API says is what gavel status says, node by node."""
    pairs = {"commands": "consensus_commands_total", "term": "consensus_term", "commit": "consensus_index_commit",
             "applied": "consensus_index_applied", "last_index": "consensus_index_last",
             "clients": "client_connections"}

    def differing():
        for name, port in ports.items():
            said = status(made, name)
            if not said:
                return name + " says nothing"
            said["clients"] -= 1  # who asks is one
            for key, metric in pairs.items():
                if prometheus.value(metric, port) != said[key]:
                    return "%s: %s is %s, %s" % (name, key, said[key], prometheus.value(metric, port))
            if (prometheus.value("consensus_node_state", port) == 2) != (said["role"] == "leader"):
                return name + ": role"
            if prometheus.value("cluster_nodes", port) != len(said["members"]):
                return name + ": members"
            voters = [m for m in said["members"] if m["role"] == "voter"]
            if prometheus.value("cluster_voters", port) != len(voters) or len(voters) != 3:
                return name + ": voters"
            if prometheus.value("cluster_voters_healthy", port) != 3:
                return name + ": healthy voters"
            if prometheus.value("state_size", port) != sum(m["entries"] for m in said["machines"].values()):
                return name + ": state.size"
        return ""

    last = [""]

    def same():
        last[0] = differing()
        return last[0] == ""

    try:
        until(same, "the same values")
    except AssertionError as error:
        raise AssertionError("%s: %s" % (error, last[0])) from None
    assert prometheus.query('sum(state_operations_total{operation=~".*set"})'), "no operation was counted"


def check_exemplars(prometheus):
    """From a bucket of the latency to the trace of a request in it."""
    def traced():
        found = prometheus.api("query_exemplars", query="client_request_duration_seconds_bucket",
                               start=time.time() - 600, end=time.time() + 60)
        return TRACE in {e["labels"].get("trace_id") for series in found for e in series["exemplars"]}

    until(traced, "the trace of a request among the exemplars")


# Expressions of the dashboard that find nothing in a cluster that is well, and why.
QUIET = {
    'alarms{job="$job", instance=~"$instance"} > 0': "there is no alarm; sum(alarms), which is 0, is asked for as well",
    'sum by (instance, queue) (rate(peer_messages_dropped_total{job="$job", instance=~"$instance"}'
    '[$__rate_interval]))': "no queue was ever full",
}


def check_expressions(prometheus):
    """Grafana fills in its variables; each expression must be one, and find something."""
    wanted = [e.replace("$job", "gavel").replace("$instance", ".*").replace("$__rate_interval", "1m")
              for _, e, _ in common.dashboard() if e not in QUIET]
    assert len(wanted) + len(QUIET) == 41, "expressions that are neither expected to find something nor explained"
    empty = []

    def all_found():
        empty[:] = [each for each in wanted if not prometheus.query(each)]
        return not empty

    try:
        until(all_found, "data in every panel")
    except AssertionError as error:
        raise AssertionError("%s: %s" % (error, "\n".join(empty))) from None
    groups = until(lambda: [g for g in prometheus.api("rules")["groups"] if all(r["health"] == "ok" for r in g["rules"])],
                   "rules that were evaluated")
    states = {rule["name"]: rule["state"] for rule in groups[0]["rules"]}
    assert len(states) == len(common.rules())
    return states


def must(made, name, *words):
    answer = gavel(made, name, *words)
    assert answer.returncode == 0, "%s at %s: %s" % (" ".join(words), name, answer.stdout)


def live(made):
    """A life with something of everything that the dashboard shows."""
    for i in range(20):
        must(made, "node-1", "set", "key-%d" % i, "value")
    for name in ("node-1", "node-2", "node-3"):
        must(made, name, "get", "key-1")
        must(made, name, "snapshot", "--data-dir", os.path.join(made, name))
    assert gavel(made, "node-1", "incr", "key-1").returncode != 0, "text was counted up"
    must(made, "node-1", "member", "add", "node-4", "ws://127.0.0.1:9", "--role", "learner", "--data-dir",
         os.path.join(made, "node-1"))
    must(made, "node-1", "--traceparent", "00-%s-b7ad6b7169203331-01" % TRACE, "set", "traced", "value")


def run():
    made, ports = make_cluster()
    check_pages(ports)
    prometheus = Prometheus(start_prometheus(ports.values()))
    until(lambda: len([1 for each in prometheus.query("up == 1")]) == 3, "three targets that are up")
    start("events", GAVEL, "--endpoints", "unix://%s/admin.sock" % os.path.join(made, "node-1"), "events")
    live(made)
    check_values(prometheus, made, ports)
    check_pages(ports)
    states = check_expressions(prometheus)
    if TRACES:
        check_exemplars(prometheus)
    # Two of three are killed: the third lives and is not ready; the alert is on its way.
    for name in ("node-1", "node-2"):
        stop(name, signal.SIGKILL)
    url = "http://127.0.0.1:%d" % ports["node-3"]
    until(lambda: get(url + "/readyz")[0] == 503, "a node without a quorum that is not ready")
    code, text, _ = get(url + "/readyz?verbose")
    assert code == 503 and "[-]leader failed: no leader is known" in text and "[+]state ok" in text, text
    # The same table, through the other doors.
    for words, ready in ((("health", "--ready"), "live, not ready: "), (("status",), '"not_ready"')):
        said = gavel(made, "node-3", *words)
        assert said.returncode and ready in said.stdout and "no leader is known in term" in said.stdout, said
    assert get(url + "/livez")[0] == 200
    until(lambda: [1 for each in prometheus.query("up == 0")][1:], "two targets that are down")

    def pending():
        rules = prometheus.api("rules")["groups"][0]["rules"]
        return {r["name"] for r in rules if r["state"] in ("pending", "firing")} >= {"GavelNoLeader", "GavelNodeDown"}

    until(pending, "GavelNoLeader and GavelNodeDown")
    assert stop("node-3") == 0, log_of("node-3")
    assert stop("prometheus") == 0, log_of("prometheus")
    print("three nodes scraped; alerts before: %s" % states)


try:
    run()
except AssertionError as failure:
    print("FAIL: %s" % failure)
    for each in sorted(os.listdir(directory)):
        if each.endswith(".log"):
            print("--- %s\n%s" % (each, "\n".join(log_of(each[:-4]).splitlines()[-15:])))
    sys.exit(1)
finally:
    stop_all()
    shutil.rmtree(directory, ignore_errors=True)
