#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# metrics.sh: three nodes that run have every metric of gaveld --dump-metrics, of the kind and the unit that it says and
# with the attributes that it names, and no other; and those that a few writes and reads must move have moved.
set -u
gaveld=$top_builddir/core/host/gaveld gavel=$top_builddir/core/cli/gavel
export GAVEL_PLUGIN_DIR=$GAVEL_TEST_PLUGINDIR
command -v python3 >/dev/null || { echo "skipped: no python3"; exit 77; }
dir=$(mktemp -d /tmp/gavel-metrics-XXXXXX)
pids=() failed=0
cleanup() { for p in "${pids[@]}"; do kill -KILL "$p" && wait "$p"; done 2>/dev/null; rm -rf "$dir"; }
trap cleanup EXIT
fail() { echo "FAIL: $*"; failed=1; }

for n in 1 2 3; do
    printf '[node]\nname = n%d\ndata_dir = %s/d%d\n[cluster]\nmembers = n1=unix://%s/1, n2=unix://%s/2, n3=unix://%s/3\n' \
        $n "$dir" $n "$dir" "$dir" "$dir" >"$dir/$n.ini"
    printf '[transport.main]\nplugin = tcp\nlisten = unix://%s/%d\n[statemachine.workflow]\n' "$dir" $n >>"$dir/$n.ini"
    printf '[health]\ninterval = 200ms\n' >>"$dir/$n.ini"
    "$gaveld" --config "$dir/$n.ini" >"$dir/$n.log" 2>&1 &
    pids+=($!)
done
all=unix://$dir/1,unix://$dir/2,unix://$dir/3
"$gavel" -e "$all" -t 60s set color red >/dev/null || { fail "no write"; cat "$dir"/*.log; exit 1; }
"$gavel" -e "unix://$dir/2" -t 60s get color >/dev/null || fail "no read"
"$gavel" -e "unix://$dir/2" -t 60s --stale get color >/dev/null || fail "no stale read"
"$gavel" -e "unix://$dir/1" get nobody >/dev/null 2>&1 && fail "a key that is not there was read"
# A learner is a member and no voter: it counts for some of the figures only.
printf '[node]\nname = n4\ndata_dir = %s/d4\n[transport.main]\nplugin = tcp\nlisten = unix://%s/4\n' "$dir" "$dir" \
    >"$dir/4.ini"
printf '[statemachine.workflow]\n[health]\ninterval = 200ms\n' >>"$dir/4.ini"
"$gaveld" --config "$dir/4.ini" --join "$all" >"$dir/4.log" 2>&1 &
pids+=($!)
"$gavel" --data-dir "$dir/d1" -t 60s member add n4 "unix://$dir/4" --role learner >/dev/null || fail "no learner"
"$gaveld" --dump-metrics --json >"$dir/table.json"

# look: every node's figures against the table; 0 when all is as it must be, else what is not.
cat >"$dir/look.py" <<'PY'
import json, sys
table = json.load(open(sys.argv[1]))["metrics"]
nodes = [json.load(open(name)) for name in sys.argv[2:]]
wrong = []
for number, metrics in enumerate(nodes, 1):
    names = [row["name"] for row in table]
    wrong += ["n%d has %s, which no table has" % (number, name) for name in metrics if name not in names]
    for row in table:
        have = metrics.get(row["name"])
        if have is None:
            wrong.append("n%d has no %s" % (number, row["name"]))
            continue
        if (have["kind"], have["unit"]) != (row["kind"], row["unit"]):
            wrong.append("n%d: %s is %s in %s" % (number, row["name"], have["kind"], have["unit"]))
        if not row["attributes"] and len(have["series"]) != 1:
            wrong.append("n%d: %s has %d series" % (number, row["name"], len(have["series"])))
        for series in have["series"]:
            given = sorted(series["attributes"])
            if given != sorted(row["attributes"]) and given != ["otel.metric.overflow"]:
                wrong.append("n%d: %s has %s" % (number, row["name"], given))
def total(metrics, name):
    return sum(series.get("value", series.get("count", 0)) for series in metrics[name]["series"])
if not wrong:
    for name in """consensus.commands.total consensus.term consensus.leader.known consensus.leader.changes
            consensus.index.commit consensus.index.applied consensus.index.last consensus.index.durable
            consensus.apply.duration log.sync.duration log.size log.disk.usage log.disk.free cluster.nodes.total
            peer.connected transport.messages.sent transport.bytes.received state.size state.changelog.size
            state.operations.total process.cpu process.resident.memory process.open.fds process.max.fds process.threads
            process.start.time process.virtual.memory node.version loop.lag loop.turns loop.idle""".split():
        wrong += ["n%d: %s has not moved" % (i, name) for i, m in enumerate(nodes, 1) if not total(m, name)]
    for name in """consensus.elections.total consensus.commit.duration log.batch.entries log.batch.size peer.index.match
            consensus.reads.total client.request.duration client.errors""".split():
        if not any(total(m, name) for m in nodes):
            wrong.append("%s has moved nowhere" % name)
    if sorted(total(m, "consensus.node.state") for m in nodes) != [0, 0, 2]:
        wrong.append("the states are not those of one leader and two followers")
    for name, count in {"cluster.nodes.total": 4, "cluster.nodes.healthy": 4,
                        "cluster.voters": 3, "cluster.voters.healthy": 3}.items():
        if [total(m, name) for m in nodes] != 3 * [count]:
            wrong.append("%s is not %d everywhere" % (name, count))
print("\n".join(wrong))
sys.exit(bool(wrong))
PY

# Levels are told once a second; the patience is a minute.
for ((i = 0; i < 300; i++)); do
    for n in 1 2 3; do "$gavel" -e "unix://$dir/$n" -o json metrics >"$dir/$n.json" 2>>"$dir/err"; done
    python3 "$dir/look.py" "$dir/table.json" "$dir"/[123].json >"$dir/wrong" 2>&1 && break
    read -rt 0.2 <> <(:) || :
done
[ "$i" -lt 300 ] || { fail "after a minute:"; cat "$dir/wrong"; }
[ "$failed" = 0 ] && echo "metrics: as the table says on three nodes"
exit "$failed"
