#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# observers.sh: several observers at once: lines for people, JSON lines in a file, metrics, and one whose reader has
# gone to sleep; levels that are shown and changed while the node runs; what the sources log as is known.
set -u
gavel=${top_builddir:?run by make check}/core/cli/gavel gaveld=$top_builddir/core/host/gaveld
export GAVEL_PLUGIN_DIR=${GAVEL_TEST_PLUGINDIR:?run by make check} NO_COLOR=1
dir=$(mktemp -d)
pid='' failed=0

cleanup()
{
    [ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null
    [ "$failed" = 0 ] || tail -n 30 "$dir/err"
    rm -rf "$dir"
}
trap cleanup EXIT
fail() { echo "FAIL: $*"; failed=1; }
until_true()
{
    local what=$1 end=$((SECONDS + 60))
    shift
    until "$@"; do
        [ $SECONDS -lt $end ] || { fail "not in time: $what"; exit 1; }
        read -rt 0.05 <> <(:) || :
    done
}
on() { GAVEL_ENDPOINTS=unix://$dir/node/admin.sock timeout 60 "$gavel" "$@"; }
admin() { timeout 60 "$gavel" --data-dir "$dir/node" "$@" 2>&1; }
# get PATH: over HTTP/1.0; the status line and all that follows.
get()
{
    exec 8<>"/dev/tcp/127.0.0.1/$port" || return 1
    printf 'GET %s HTTP/1.0\r\n\r\n' "$1" >&8
    timeout 30 cat <&8
    exec 8>&-
}
is() { [ "$1" = "$2" ] || fail "wanted: $2
said: $1"; }

# Every word that the sources log under is in the list that gavel log-level goes by.
known=$(sed -n '/^const char \*const host_log_modules/,/;/p' "$top_srcdir/core/host/sink.c")
for word in $(cat "$top_srcdir"/core/node/*.c "$top_srcdir"/core/host/*.c | tr -d '\n' \
    | grep -oE '(gavel|node)_log\([^"]*GAVEL_LOG_[^"]*"[a-z]+"' | grep -oE '"[a-z]+"$' | sort -u); do
    grep -q "$word" <<<"$known" || fail "host_log_modules does not know $word"
done

mkfifo "$dir/fifo"
exec 9<>"$dir/fifo" # somebody has it open, and reads nothing
cat >"$dir/ini" <<END
[node]
name = n1
data_dir = $dir/node
[cluster]
members = n1=unix://$dir/peers
[transport.main]
plugin = tcp
listen = unix://$dir/peers
[statemachine.counter]
[observer.people]
plugin = log
[observer.file]
plugin = log
format = json
output = $dir/json
levels = raft:debug
[observer.slow]
plugin = log
output = $dir/fifo
level = error
[observer.prometheus]
listen = 127.0.0.1:0
END
# A node that waits for the other one of its cluster is not ready, for the same reason at each door.
sed "s,^members = .*,&\, n2=unix://$dir/nobody," "$dir/ini" >"$dir/two"
"$gaveld" --config "$dir/two" 2>"$dir/err" & pid=$!
until_true "a port for metrics" grep -qs 'Metrics at' "$dir/err"
port=$(sed -n 's,.*http://127.0.0.1:\([0-9]*\)/metrics.*,\1,p' "$dir/err")
waits() { get '/readyz?verbose' | grep -q '^\[-\]member failed: it waits for'; }
until_true "that it is not ready" waits
why=$(get '/readyz?verbose' | sed -n 's/^\[-\]member failed: //p')
get '/readyz?verbose' | tr -d '\r' | grep -q '^\[+\]restored ok$' || fail "it is not restored"
for words in "health --ready" status "-o json status"; do
    said=$(admin $words)
    grep -qF "$why" <<<"$said" || fail "$words says $said"
done
admin health --ready >/dev/null
is $? 2
kill -TERM "$pid"
wait "$pid"
is $? 0
rm -rf "$dir/node" "$dir/err" # what the first one said is not taken for the second one's words

"$gaveld" --config "$dir/ini" 2>"$dir/err" & pid=$!
until_true "a port for metrics" grep -qs 'Metrics at' "$dir/err"
port=$(sed -n 's,.*http://127.0.0.1:\([0-9]*\)/metrics.*,\1,p' "$dir/err")
ready() { get /readyz | grep -q '200 OK'; }
until_true "readiness" ready
on call counter.increment x >/dev/null || fail "increment"
until_true "its count in the metrics" eval 'get /metrics | grep -q "^consensus_commands_total [1-9]"'

# Each line of the file is one object with what it has to have.
until_true "JSON lines" grep -q '"text":"Leader elected' "$dir/json"
line='^\{"time":"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{3}Z","level":"[a-z]+","node":"n1","module":"[a-z.]+",'
line=$line'("trace_id":"[0-9a-f]{32}","span_id":"[0-9a-f]{16}",)?"text":".*"\}$'
grep -qvE "$line" "$dir/json" && fail "a line of JSON: $(grep -vE "$line" "$dir/json" | head -1)"
if command -v python3 >/dev/null; then
    python3 -c 'import json, sys; [json.loads(line) for line in sys.stdin]' <"$dir/json" || fail "it is no JSON"
fi

# Levels: shown, refused with the nearest word, changed.
is "$(admin log-level)" "$(printf 'people: info\nfile: info, raft debug\nslow: error')"
is "$(admin log-level rafft debug)" "gavel: nothing logs as 'rafft'; did you mean 'raft'?"
is "$(admin log-level transport.man debug)" "gavel: nothing logs as 'transport.man'; did you mean 'transport.main'?"
is "$(admin log-level observer.peple debug)" "gavel: nothing logs as 'observer.peple'; did you mean 'observer.people'?"
is "$(admin log-level transport.main loud | head -1 | cut -c1-60)" \
    "gavel: expected a level (trace, debug, info, warn or error),"
is "$(admin log-level peer debug)" changed
is "$(admin log-level)" \
    "$(printf 'people: info, peer debug\nfile: info, raft debug, peer debug\nslow: error, peer debug')"
admin -o json log-level | tr -d ' \n' | grep -q '{"observer":"people","level":"info","levels":{"peer":"debug"}}' \
    || fail "$(admin -o json log-level)"

# Everything is logged, and the slow one takes no more: the lane of the observers stands still, and only that.
for module in node peer raft log cluster state host apply; do admin log-level $module trace >/dev/null; done
for i in {1..300}; do
    on call counter.increment x >/dev/null || { fail "increment $i beside an observer that stands still"; break; }
    [ $((i % 100)) = 0 ] && get '/readyz?verbose' >"$dir/ready" && ! grep -q 'check passed' "$dir/ready" \
        && fail "not ready: $(cat "$dir/ready")"
done
get /metrics | grep -q '^consensus_commands_total 30[1-9]\|^consensus_commands_total 3[1-9]' || fail "no metrics of now"
timeout 60 cat <&9 >/dev/null & reader=$!
kill -TERM "$pid"
wait "$pid"
code=$?
pid=''
[ "$code" = 0 ] || fail "the node left with $code"
kill "$reader" 2>/dev/null
[ "$failed" = 0 ] && echo "four observers at once: people, JSON, metrics, and one that stands still"
exit "$failed"
