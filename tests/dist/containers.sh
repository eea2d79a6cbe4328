#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# containers.sh: the Dockerfile, its configuration and kubernetes.yaml name only what exists: their INI files are
# accepted, their probes are run against a node with those very words, their options are known, and what they say of one
# another is the same.
set -u
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "${top_srcdir:-$here/../..}" && pwd -P)
build=${top_builddir:?run by make check}
gaveld=$build/core/host/gaveld gavel=$build/core/cli/gavel
export GAVEL_PLUGIN_DIR=${GAVEL_TEST_PLUGINDIR:?run by make check}
files=$root/contrib/packaging
dir=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null; rm -rf "$dir"' EXIT
failed=0 probes=0

fail() { echo "FAIL: $*"; failed=1; }

# ---- configurations
sed -n '/^  gavel\.ini: |/,/^---/s/^    //p' "$files/kubernetes.yaml" >"$dir/kubernetes.ini"
cp "$files/container.ini" "$dir/container.ini"
cp "$files/gavel.ini" "$dir/gavel.ini"
grep -q '^\[statemachine' "$dir/kubernetes.ini" || fail "no configuration in kubernetes.yaml"
if [ ! -e "$GAVEL_PLUGIN_DIR/gavel-websocket-transport.so" ]; then     # built without it: the same with tcp
    sed -i -e 's/= websocket/= tcp/' -e 's,ws://,tcp://,g' "$dir"/*.ini
fi
export POD_NAME=gavel-1 GAVEL_NAME=node-1
GAVEL_MEMBERS=$(sed -n 's/^ENV .*GAVEL_MEMBERS=//p' "$files/Dockerfile")
[ -e "$GAVEL_PLUGIN_DIR/gavel-websocket-transport.so" ] || GAVEL_MEMBERS=${GAVEL_MEMBERS/ws:/tcp:}
export GAVEL_MEMBERS
for ini in kubernetes container gavel; do
    "$gaveld" --check-config --config "$dir/$ini.ini" >"$dir/out" 2>&1 || fail "$ini: $(cat "$dir/out")"
    sed 's/^data_dir/datadir/' "$dir/$ini.ini" >"$dir/wrong.ini"
    if "$gaveld" --check-config --config "$dir/wrong.ini" >/dev/null 2>&1; then fail "$ini: a wrong key is accepted"; fi
done
"$gaveld" --print-config --config "$dir/kubernetes.ini" >"$dir/effective" 2>/dev/null

# ---- a node as the containers have it, but below this directory
live=$("$gaveld" --help; man=$root/core/cli/gavel.1; cat "$man"; "$gavel" --help)
sed -e "s,^data_dir = .*,data_dir = $dir/data," -e 's,0\.0\.0\.0:8080,127.0.0.1:0,' "$dir/container.ini" >"$dir/run.ini"
# probe WANTED WORDS...: run what a file says, with this data directory, and look at the exit code.
probe()
{
    local wanted=$1 program code
    shift
    [ "$1" = gavel ] || { fail "a probe runs $1"; return; }
    program=$gavel
    shift
    "$program" "${@//\/var\/lib\/gavel\/data/$dir/data}" >"$dir/out" 2>&1
    code=$?
    probes=$((probes + 1))
    [ $code = "$wanted" ] || fail "gavel $*: exit $code, wanted $wanted: $(cat "$dir/out")"
}
mapfile -t words < <({
    sed -n 's/^ *exec: {command: \[\(.*\)\]}$/\1/p' "$files/kubernetes.yaml"
    sed -n 's/^ *CMD \["gavel", \(.*\)\]$/gavel, \1/p' "$files/Dockerfile" | tr -d '"'
} | tr -d ' ' | sort -u)
[ "${#words[@]}" -ge 2 ] || fail "no probes were found"
ask_all()
{
    local each
    for each in "${words[@]}"; do
        IFS=, read -r -a one <<<"$each"
        case $each in *--ready*) probe "$2" "${one[@]}" ;; *) probe "$1" "${one[@]}" ;; esac
    done
}
ask_all 3 3 # nobody there
"$gaveld" --config "$dir/run.ini" 2>"$dir/log" &
pid=$!
"$gavel" health --wait 60s --data-dir "$dir/data" >"$dir/out" 2>&1 || fail "never ready: $(cat "$dir/out" "$dir/log")"
grep -q '^ready: leader, leader node-1, term [0-9]*$' "$dir/out" || fail "health says: $(cat "$dir/out")"
ask_all 0 0
kill -TERM "$pid"
wait "$pid" || fail "the node left with $?"
pid=
ask_all 3 3

# A node without a majority is live and not ready.
sed -i -e "s,^data_dir = .*,data_dir = $dir/lone," -e 's,^members.*,members = node-1=tcp://127.0.0.1:1 node-2=tcp://127.0.0.1:2,' \
    "$dir/run.ini"
"$gaveld" --config "$dir/run.ini" 2>"$dir/log" &
pid=$!
"$gavel" health --live --wait 60s --data-dir "$dir/lone" >"$dir/out" 2>&1 || fail "never live: $(cat "$dir/out" "$dir/log")"
grep -q '^live, not ready: founding' "$dir/out" || fail "health says: $(cat "$dir/out")"
"$gavel" health --ready --data-dir "$dir/lone" >"$dir/out" 2>&1
[ $? = 2 ] || fail "a node without a majority is ready: $(cat "$dir/out")"
"$gavel" health --live --ready --data-dir "$dir/lone" >"$dir/out" 2>&1
[ $? = 64 ] || fail "both questions at once: $(cat "$dir/out")"
"$gavel" health --ready -e tcp://127.0.0.1:1,tcp://127.0.0.1:2 >"$dir/out" 2>&1
[ $? = 64 ] || fail "two nodes at once: $(cat "$dir/out")"
"$gavel" health --data-dir "$dir/lone" >"$dir/out" 2>&1 # without a probe's option it is about the members: none yet
[ $? = 12 ] || fail "a founding node knows members: $(cat "$dir/out")"
kill -TERM "$pid"
wait "$pid" || fail "the lone node left with $?"
pid=

# ---- options of gaveld, wherever they stand
grep -h -o -e 'gaveld --[a-z].*' -e '"--config"' -e 'set -- --[a-z]*' "$files/Dockerfile" "$files/kubernetes.yaml" \
    | grep -o -e '--[a-z][a-z-]*' | sort -u >"$dir/options"
[ -s "$dir/options" ] || fail "no options of gaveld were found"
while read -r option; do
    grep -q -e "$option" <<<"$live" || fail "gaveld has no $option"
done <"$dir/options"

# ---- what is said twice is the same
grace=$(sed -n 's/^ *terminationGracePeriodSeconds: //p' "$files/kubernetes.yaml")
stop=$(sed -n 's/^stop_timeout = \([0-9]*\)s .*/\1/p' "$dir/effective")
[ -n "$stop" ] && [ "$grace" -ge $((stop + 8)) ] || fail "$grace s of grace, and a stop may take ${stop:-?} s and 8 more"
for port in $(sed -n -e 's/.*listen = ws:.*:\([0-9]*\)$/\1/p' -e 's/.*containerPort: \([0-9]*\).*/\1/p' "$files/kubernetes.yaml") \
    $(sed -n 's/^EXPOSE //p' "$files/Dockerfile") $(sed -n 's/^listen = ws:.*:\([0-9]*\)$/\1/p' "$files/container.ini"); do
    [ "$port" = 8080 ] || fail "port $port beside 8080"
done
data=$(sed -n 's/^ *data_dir = //p' "$files/kubernetes.yaml" "$files/container.ini" | sort -u)
[ "$data" = /var/lib/gavel/data ] || fail "data in $data"
if python3 -c 'import yaml' 2>/dev/null; then
    python3 - "$files/kubernetes.yaml" <<'END' || fail "kubernetes.yaml does not hold together"
import sys, yaml
documents = [d for d in yaml.safe_load_all(open(sys.argv[1])) if d]
kinds = {d["kind"]: d for d in documents if d["metadata"]["name"] == "gavel"}
assert sorted(kinds) == ["ConfigMap", "NetworkPolicy", "PodDisruptionBudget", "Service", "StatefulSet"], sorted(kinds)
s = kinds["StatefulSet"]["spec"]
pod = s["template"]["spec"]
node = pod["containers"][0]
ini = kinds["ConfigMap"]["data"]["gavel.ini"]
names = [m.split("=")[0].strip() for m in ini.split("members =")[1].split("\n\n")[0].replace("\\\n", " ").split(",")]
assert names == ["gavel-%d" % i for i in range(s["replicas"])], names       # the pods are the members
assert s["podManagementPolicy"] == "Parallel"                               # else the first waits for ever
assert kinds["Service"]["spec"]["publishNotReadyAddresses"] is True         # else nobody finds it before it is ready
assert kinds["Service"]["spec"]["clusterIP"] == "None" and s["serviceName"] == "gavel"
labels = s["template"]["metadata"]["labels"]
for what in (s["selector"]["matchLabels"], kinds["Service"]["spec"]["selector"],
             kinds["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"]):
    assert what == labels, what
mounts = {m["name"]: m["mountPath"] for m in node["volumeMounts"]}
assert mounts == {"data": "/var/lib/gavel", "config": "/etc/gavel"}, mounts
assert [v["metadata"]["name"] for v in s["volumeClaimTemplates"]] == ["data"]
assert "${POD_NAME}" in ini and node["env"][0]["name"] == "POD_NAME"
assert node["securityContext"]["readOnlyRootFilesystem"] and pod["securityContext"]["runAsNonRoot"]
assert '-lt %d ]' % s["replicas"] in node["command"][2]                     # the founders
END
else
    echo "no python3 with yaml: the form of kubernetes.yaml is not looked at"
fi
[ "$failed" = 0 ] && echo "containers: three configurations, $probes probes"
exit "$failed"
