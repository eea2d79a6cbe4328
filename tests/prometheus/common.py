# SPDX-License-Identifier: Apache-2.0
"""What the tests of contrib/prometheus and contrib/grafana share: the table of metrics, expressions and what is in them."""
import json
import os
import re
import subprocess

BUILD = os.environ["top_builddir"]
SOURCE = os.environ["top_srcdir"]
GAVELD = os.path.join(BUILD, "core/host/gaveld")

# Words of PromQL that look like names of metrics.
WORDS = set("""sum max min avg count rate increase irate delta histogram_quantile floor ceil abs by without on ignoring
    and or unless bool group_left group_right le offset""".split())


def table():
    """Names in Prometheus -> (kind, attributes), from the table that gavel-metrics(7) is made from."""
    dump = subprocess.run([GAVELD, "--dump-metrics"], check=True, stdout=subprocess.PIPE, text=True).stdout
    fields = {}
    for line in dump.splitlines():
        key, _, value = line.partition("=")
        if key.startswith("metrics."):
            name, _, field = key[len("metrics."):].rpartition(".")
            fields.setdefault(name, {})[field] = value
    return {f["prometheus"]: (f["kind"], f.get("attributes", "")) for f in fields.values()}


def names(expression):
    """The metrics that an expression asks for."""
    text = re.sub(r'"[^"]*"', '""', expression)
    text = re.sub(r"\{[^}]*\}", "", text)
    text = re.sub(r"\[[^\]]*\]", "", text)
    text = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", "", text)
    return {word for word in re.findall(r"[a-zA-Z_:][a-zA-Z0-9_:]*", text) if word not in WORDS}


def labels(expression):
    """Labels that an expression selects on, groups by or names."""
    found = set(re.findall(r"([a-zA-Z_]\w*)\s*(?:=~|!=|!~|=)\s*\"", expression))
    for group in re.findall(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)", expression):
        found |= {word.strip() for word in group.split(",") if word.strip()}
    return found


def dashboard():
    """(title, expression) of every target of the dashboard."""
    with open(os.path.join(SOURCE, "contrib/grafana/gavel.json")) as file:
        panels = json.load(file)["panels"]
    return [(p["title"], t["expr"], t["legendFormat"]) for p in panels for t in p.get("targets", [])]


def rules():
    """[{alert, expr, runbook}] of the rules, read as the plain YAML that they are."""
    found, lines = [], open(os.path.join(SOURCE, "contrib/prometheus/gavel.rules.yml")).read().splitlines()
    for at, line in enumerate(lines):
        key, _, value = line.strip().lstrip("- ").partition(": ")
        if key == "alert":
            found.append({"alert": value, "runbook": ""})
        elif key == "runbook":
            found[-1]["runbook"] = value
        elif key == "expr" and value == "|":
            indent = len(lines[at + 1]) - len(lines[at + 1].lstrip())
            rest = [l for l in lines[at + 1:]]
            end = next(i for i, l in enumerate(rest) if len(l) - len(l.lstrip()) < indent)
            found[-1]["expr"] = " ".join(l.strip() for l in rest[:end])
        elif key == "expr":
            found[-1]["expr"] = value
    return found
