# SPDX-License-Identifier: Apache-2.0
"""cluster.py: three gaveld with the workflow store, each with two exporters, and a collector: the metrics that they are
known by arrive, with their values; so do log records; the trace of one write comes back whole; an observer is swapped
and nothing is counted twice; a collector that dies costs no write. JSON, so that nothing but Python is needed."""
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile

from collector import DEADLINE, Collector, clean_environment, run, skip, until

TOP = os.environ["top_builddir"]
GAVELD, GAVEL = os.path.join(TOP, "core/host/gaveld"), os.path.join(TOP, "core/cli/gavel")
PLUGINS = os.environ.get("GAVEL_TEST_PLUGINDIR", os.path.join(TOP, "tests/plugindir"))
NODES = ["node-1", "node-2", "node-3"]
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"

if not os.path.exists(os.path.join(PLUGINS, "gavel-otlp-observer.so")):
    skip("the otlp observer is not built")


def values(attributes):
    return {a["key"]: list(a["value"].values())[0] for a in attributes}


class Sink(Collector):
    """What has arrived, by node; each request is read once, and not all at a time: while a busy machine reads them, more
    come, and no deadline would be looked at."""

    def __init__(self):
        super().__init__()
        self.read, self.metrics, self.records, self.all_spans, self.resources = 0, {}, {}, [], []

    def catch_up(self):
        with self.lock:
            fresh = self.requests[self.read:self.read + 50]
            self.read += len(fresh)
        for request in fresh:
            for key, outers in json.loads(request.body).items():
                for outer in outers:
                    resource = values(outer["resource"]["attributes"])
                    self.resources.append(resource)
                    for scope in outer["scope" + key[len("resource"):]]:
                        self.take(resource["service.instance.id"], scope)

    def take(self, node, scope):
        self.records.setdefault(node, []).extend(scope.get("logRecords", []))
        self.all_spans += [(span, node) for span in scope.get("spans", [])]
        for each in scope.get("metrics", []):
            kind = each.get("sum") or each.get("gauge") or each.get("histogram")
            points = [dict(p, unit=each["unit"], sum="sum" in each) for p in kind["dataPoints"]]
            self.metrics.setdefault((node, each["name"]), []).extend(points)

    def points(self, node, metric):
        """All points of a metric of a node, the newest last."""
        self.catch_up()
        return self.metrics.get((node, metric), [])

    def value(self, node, metric, **wanted):
        for point in reversed(self.points(node, metric)):
            if all(values(point["attributes"]).get(k) == v for k, v in wanted.items()):
                return float(point.get("asInt", point.get("asDouble", 0)))
        return None

    def texts(self, node):
        self.catch_up()
        return [r["body"]["stringValue"] for r in self.records.get(node, [])]

    def spans(self):
        self.catch_up()
        return self.all_spans


class Cluster:
    def __init__(self, first, second):
        self.directory = tempfile.mkdtemp()
        self.processes, self.collectors = {}, (first, second)
        self.environment = clean_environment(GAVEL_PLUGIN_DIR=PLUGINS, NO_COLOR="1")
        for attempt in range(20):
            port = random.randrange(10000, 30000)
            made = os.path.join(self.directory, "c%d" % attempt)
            subprocess.run([GAVEL, "init", "--nodes", "3", "--port", str(port), made], check=True,
                           env=self.environment, stdout=subprocess.DEVNULL)
            self.made, self.port = made, port
            if self.start_all():
                break
        else:
            raise AssertionError("no three ports are free")
        self.environment["GAVEL_ENDPOINTS"] = ",".join(self.address(i) for i in range(3))
        until(self.ready, "a leader")

    def address(self, i):
        with open(os.path.join(self.made, NODES[i] + ".ini")) as file:
            for line in file:
                if line.startswith("listen = "):
                    return line.split("=")[1].strip()

    def configure(self, node, more=""):
        """Sections of the observers behind what init has written."""
        path = os.path.join(self.made, node + ".ini")
        if not os.path.exists(path + ".init"):
            shutil.copy(path, path + ".init")
        with open(path + ".init") as file:
            text = file.read().split("[observer")[0]
        common = "plugin = otlp\nprotocol = http/json\nbatch_interval = 50ms\nmetrics_interval = 500ms\n" \
                 "service_namespace = blue\nretry_initial = 50ms\n"
        # Patient elections: a busy machine shall not cost a leader its place.
        raft = "\n[raft]\nelection_timeout_min = 1s\nelection_timeout_max = 2s\n"
        with open(path, "w") as file:
            file.write(text + raft + "[observer.log]\nplugin = log\n[observer.one]\n%sendpoint = %s\n%s"
                       "[observer.two]\n%sendpoint = %s\ntraces = no\nlogs = no\n"
                       % (common, self.collectors[0].url(), more, common, self.collectors[1].url()))
        return path

    def start_all(self):
        for node in NODES:
            path = self.configure(node)
            log = open(os.path.join(self.directory, node + ".log"), "a")
            self.processes[node] = subprocess.Popen([GAVELD, "--config", path], env=self.environment, stdout=log,
                                                    stderr=log)
        try:
            self.processes[NODES[0]].wait(0.5)
        except subprocess.TimeoutExpired:
            pass
        if all(p.poll() is None for p in self.processes.values()):
            return True
        self.end()
        return False

    def gavel(self, *words, **environment):
        made = subprocess.run([GAVEL, *words], env=dict(self.environment, **environment), stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=DEADLINE)
        return made.returncode, made.stdout

    def ready(self):
        return self.gavel("set", "ready", "yes")[0] == 0

    def end(self, how=signal.SIGTERM):
        for process in self.processes.values():
            if process.poll() is None:
                process.send_signal(how)
        codes = [p.wait(DEADLINE) for p in self.processes.values()]
        self.processes = {}
        return codes

    def close(self):
        self.end(signal.SIGKILL)
        shutil.rmtree(self.directory, ignore_errors=True)


def the_metrics_arrive():
    for i in range(30):
        assert cluster.gavel("set", "key-%02d" % i, "value")[0] == 0
    for node in NODES:
        for name, metric, attributes, wanted in (
                ("members", "cluster.nodes.total", {}, lambda v: v == 3),
                ("healthy", "cluster.nodes.healthy", {}, lambda v: v == 3),
                ("size", "state.size", {}, lambda v: v >= 31),
                ("revisions", "state.changelog.size", {}, lambda v: v >= 31),
                ("changes", "cluster.membership.changes", {}, lambda v: v >= 0),
                ("role", "consensus.node.state", {}, lambda v: v in (0, 2)),
                ("committed", "consensus.commands.total", {}, lambda v: v >= 31),
                ("sets", "state.operations.total", {"operation": "workflow.set"}, lambda v: v >= 31)):
            until(lambda: (lambda v: v is not None and wanted(v))(one.value(node, metric, **attributes)),
                  "%s of %s (%s): %s" % (metric, node, name, one.value(node, metric, **attributes)))
    until(lambda: sorted(one.value(node, "consensus.node.state") for node in NODES) == [0, 0, 2],
          "one leader and two followers")  # each tells at a time of its own, and the lead may have passed on
    until(lambda: any(one.points(node, "consensus.elections.total") for node in NODES), "an election")


def they_are_what_they_should_be():
    units = {"consensus.commands.total": ("{command}", True), "state.operations.total": ("{operation}", True),
             "cluster.nodes.total": ("{node}", False), "state.size": ("{key}", False)}
    for metric, (unit, counter) in units.items():
        points = one.points("node-1", metric)
        assert {p["unit"] for p in points} == {unit} and {p["sum"] for p in points} == {counter}, metric
        assert all("asInt" in p for p in points), "what is counted in pieces is a whole number"
        assert all(("startTimeUnixNano" in p) == counter for p in points)
    starts = {p["startTimeUnixNano"] for p in one.points("node-1", "consensus.commands.total")}
    assert len(starts) == 1, starts
    resource = one.resources[0]
    assert resource["service.name"] == "gavel" and resource["service.namespace"] == "blue"


def two_exporters_say_the_same():
    for node in NODES:
        until(lambda: two.value(node, "cluster.nodes.total") == 3, "the second exporter of " + node)
    assert two.count("/v1/logs") == 0 and two.count("/v1/traces") == 0
    names = {values(p["attributes"])["instance"] for p in one.points("node-1", "otlp.exported")}
    until(lambda: {values(p["attributes"])["instance"] for p in one.points("node-1", "otlp.exported")} ==
          {"one", "two"}, "the counters of both exporters: %s" % names)


def log_records_arrive():
    for node in NODES:
        until(lambda: any("eader elected" in text for text in one.texts(node)), "the line of an election of " + node)
    record = next(r for r in one.records["node-1"] if "eader elected" in r["body"]["stringValue"])
    assert record["severityText"] == "INFO" and record["severityNumber"] == 9
    assert values(record["attributes"])["gavel.module"] == "raft"


def one_write_is_one_trace():
    code, out = cluster.gavel("set", "traced", "yes", TRACEPARENT="00-%s-%s-01" % (TRACE, PARENT))
    assert code == 0, out

    def trace():
        return [(s, node) for s, node in one.spans() if s["traceId"] == TRACE]

    def names(node):
        return {s["name"] for s, at in trace() if at == node}

    until(lambda: all({"state.set", "log.write"} <= names(node) for node in NODES), "spans of each node")
    until(lambda: any("raft.replicateCommand" in names(node) for node in NODES), "the leader's span")

    def strangers():
        ids = {s["spanId"] for s, _ in trace()} | {PARENT}
        return [(s["name"], node) for s, node in trace() if s.get("parentSpanId") not in ids]

    until(lambda: not strangers(), "the parents of all spans")
    roots = {s["name"] for s, _ in trace() if s.get("parentSpanId") == PARENT}
    assert roots, "nothing hangs below the client's span"
    for span, node in trace():
        assert values(span["attributes"])["node.id"] == node
        assert int(span["endTimeUnixNano"]) >= int(span["startTimeUnixNano"])
    state = next(s for s, _ in trace() if s["name"] == "state.set")
    index = [a["value"] for a in state["attributes"] if a["key"] == "index"]
    assert index and list(index[0]) == ["intValue"], state["attributes"]


def changes_belong_to_their_trace():
    """What an operator asks for, once and through the admin socket, carries the trace like anything else."""
    admin = ("--data-dir", data_dir("node-1"))
    version = str(json.loads(cluster.gavel("member", "list", "-o", "json")[1])["version"])
    for trace, words in (("1" * 32, ("member", "update", "node-1", "--priority", "2", "--if-version", version)),
                         ("2" * 32, ("member", "change", "--update", "node-1=" + cluster.address(0)))):
        code, out = cluster.gavel(*words, *admin, TRACEPARENT="00-%s-%s-01" % (trace, PARENT))
        assert code == 0, out
        until(lambda: any(s["traceId"] == trace and s["name"] == "cluster.changeNode" and s["parentSpanId"]
                          for s, _ in one.spans()),
              "the span of " + " ".join(words))


def a_swap_goes_on_where_it_was():
    """The exporter is another one after a reload; counters go on, with the same start, and nothing fails."""
    before = one.value("node-1", "consensus.commands.total")
    starts = {p["startTimeUnixNano"] for p in one.points("node-1", "consensus.commands.total")}
    cluster.configure("node-1", "compression = gzip\n")
    code, out = cluster.gavel("reload", "--data-dir", data_dir("node-1"))
    assert code == 0, out
    gzipped = lambda: any(r.headers.get("content-encoding") == "gzip" for r in one.bodies("/v1/metrics"))
    until(gzipped, "a request of the new exporter")
    assert cluster.gavel("set", "after", "swap")[0] == 0
    until(lambda: one.value("node-1", "consensus.commands.total") > before, "counters of the new exporter")
    assert {p["startTimeUnixNano"] for p in one.points("node-1", "consensus.commands.total")} == starts


def data_dir(node):
    with open(os.path.join(cluster.made, node + ".ini")) as file:
        return next(line.split("=")[1].strip() for line in file if line.startswith("data_dir"))


def a_dead_collector_costs_no_write():
    two.close()
    for i in range(30):
        assert cluster.gavel("set", "dead-%02d" % i, "value")[0] == 0
    until(lambda: (one.value("node-2", "otlp.retries", instance="two") or 0) > 1, "retries of the second exporter")
    until(lambda: all(any("takes no metrics" in text for text in one.texts(node)) for node in NODES), "a line of it")


def a_stop_flushes():
    codes = cluster.end()
    assert codes == [0, 0, 0], codes
    for node in NODES:
        until(lambda: any("TERM: stopping" in text for text in one.texts(node)), "the last line of " + node)


one, two = Sink(), Sink()
cluster = None
try:
    cluster = Cluster(one, two)
    run([the_metrics_arrive, they_are_what_they_should_be, two_exporters_say_the_same, log_records_arrive,
         one_write_is_one_trace, changes_belong_to_their_trace, a_swap_goes_on_where_it_was,
         a_dead_collector_costs_no_write, a_stop_flushes])
finally:
    if cluster:
        if sys.exc_info()[1] and getattr(sys.exc_info()[1], "code", 1):
            for name in NODES:
                subprocess.run(["tail", "-n", "15", os.path.join(cluster.directory, name + ".log")])
        cluster.close()
