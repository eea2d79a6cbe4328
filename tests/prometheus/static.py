# SPDX-License-Identifier: Apache-2.0
"""Every metric and label in the dashboard and in the alerts is in the table; every alert names a section of the runbook."""
import os
import re
import sys

import common

failed = 0


def fail(text):
    global failed
    failed += 1
    print("FAIL: " + text)


table = common.table()
series = dict(table)
for name, (kind, attributes) in table.items():
    if kind == "histogram":
        for ending in ("_bucket", "_sum", "_count"):
            series[name + ending] = (kind, attributes + (", le" if ending == "_bucket" else ""))
series["up"] = ("gauge", "")


def look(where, expression, legend=""):
    used = common.names(expression)
    if not used:
        fail("%s asks for nothing: %s" % (where, expression))
    allowed = {"job", "instance"}
    for name in used:
        if name not in series:
            fail("%s: there is no metric called %s" % (where, name))
        else:
            allowed |= {a.strip() for a in series[name][1].split(",")}
            if name in table and table[name][0] == "histogram":
                fail("%s: %s is a histogram: ask for its _bucket, _sum or _count" % (where, name))
            if name.endswith("_total") and not re.search(r"(rate|increase)\(" + name, expression):
                fail("%s: %s is a counter without rate or increase" % (where, name))
    for label in common.labels(expression) | set(re.findall(r"\{\{ *(?:\$labels\.)?(\w+) *\}\}", legend)):
        if label not in allowed:
            fail("%s: no label is called %s" % (where, label))


targets, rules = common.dashboard(), common.rules()
for title, expression, legend in targets:
    look('dashboard, "%s"' % title, expression, legend)
with open(os.path.join(common.SOURCE, "core/cli/gavel-runbook.7")) as file:
    sections = set(re.findall(r"^\.S[sS] (\S+)$", file.read(), re.M))
for rule in rules:
    look("alert " + rule["alert"], rule["expr"])
    page, _, section = rule["runbook"].partition(" ")
    if page != "gavel-runbook(7)" or section not in sections:
        fail("alert %s: no section of gavel-runbook(7) is called %s" % (rule["alert"], section))
    with open(os.path.join(common.SOURCE, "contrib/prometheus/gavel.rules.test.yml")) as file:
        if not re.search(r"alertname: %s\n +exp_alerts:" % rule["alert"], file.read()):
            fail("alert %s: no test sees it fire" % rule["alert"])
for wanted in ("NodeDown", "NoLeader", "LeaderFlapping", "QuorumAtRisk", "SlowDisk", "FollowerLagging", "DiskNearlyFull",
               "Divergence"):
    if "Gavel" + wanted not in {rule["alert"] for rule in rules}:
        fail("no alert Gavel" + wanted)
print("%d expressions of the dashboard, %d alerts, %d sections" % (len(targets), len(rules), len(sections)))
sys.exit(1 if failed or len(targets) < 20 else 0)
