#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# life.sh: gaveld as a process: it starts, says so, obeys its signals, refuses what it must before it touches anything,
# and leaves with the right code.
set -u
gaveld=$top_builddir/core/host/gaveld
export GAVEL_PLUGIN_DIR=$GAVEL_TEST_PLUGINDIR
dir=$(mktemp -d /tmp/gavel-life-XXXXXX)
pids=()
# Only what was started here, by its number.
cleanup() { for p in "${pids[@]}"; do kill -KILL "$p" 2>/dev/null; done; chmod -R u+rwx "$dir"; rm -rf "$dir"; }
trap cleanup EXIT
failed=0

fail() { echo "FAIL: $*"; failed=1; }

# wait_for FILE PATTERN: until the line is there; the process's own log is the signal, and 60 s the patience.
wait_for()
{
    timeout 60 bash -c 'until grep -Eq -- "$2" "$1" 2>/dev/null; do read -rt 0.02 <> <(:) || :; done' - "$1" "$2" \
        || { fail "no line like \"$2\" in $1:"; cat "$1"; return 1; }
}

# leaves PID CODE: the process ends by itself with that code.
leaves()
{
    local code
    timeout 60 tail -s 0.05 --pid="$1" -f /dev/null || { fail "$1 does not leave"; kill -KILL "$1"; }
    wait "$1"
    code=$?
    [ "$code" = "$2" ] || fail "exit $code, wanted $2"
}

# ini NAME LISTEN [EXTRA...]: a cluster of one.
ini()
{
    printf '[node]\nname = node-1\ndata_dir = %s/%s\n[cluster]\nmembers = node-1=tcp://127.0.0.1:1\n' "$dir" "$1"
    printf '[transport.main]\nplugin = tcp\nlisten = %s\n[statemachine.counter]\n' "$2"
    shift 2
    [ $# = 0 ] || printf '%s\n' "$@"
}

start() { "$gaveld" --config "$dir/$1.ini" 2>"$dir/$1.err" & pid=$!; pids+=("$pid"); }

# ---- up, a log file, reopened, and down
ini one tcp://127.0.0.1:0 '[observer.log]' "output = $dir/one.log" 'levels = host:debug' >"$dir/one.ini"
start one
wait_for "$dir/one.log" '^[-0-9]+T[0-9:.]+Z INFO  \[node-1\] Leader elected: node-1 .*  \(raft\)$' || exit 1
wait_for "$dir/one.log" 'Listening on tcp://127.0.0.1:[1-9][0-9]*  \(host\)$' || exit 1
[ "$(stat -c %a "$dir/one")" = 700 ] || fail "the data directory has mode $(stat -c %a "$dir/one")"
[ "$(stat -c %a "$dir/one/admin.sock")" = 600 ] || fail "the admin socket has mode $(stat -c %a "$dir/one/admin.sock")"
others=$(find "$dir/one" -perm /077)
[ -z "$others" ] || fail "others may touch: $others"
[ ! -s "$dir/one.err" ] || { fail "stderr is not quiet:"; cat "$dir/one.err"; }
mv "$dir/one.log" "$dir/one.log.1"
kill -HUP "$pid"
wait_for "$dir/one.log" 'Log files are opened again' || wait_for "$dir/one.log.1" 'Log files are opened again'

# ---- a second one on the same directory, and on the same port
"$gaveld" --config "$dir/one.ini" 2>"$dir/two.err"
[ $? = 74 ] || fail "a second node on the same directory"
[ "$(wc -l <"$dir/two.err")" = 1 ] || { fail "not one line:"; cat "$dir/two.err"; }

kill -TERM "$pid"
leaves "$pid" 0
[ ! -e "$dir/one/admin.sock" ] || fail "the admin socket is left behind"
grep -q 'Signal TERM: stopping' "$dir/one.log" || fail "the log does not end with the signal"

# ---- again over what is there: INT this time
start one
wait_for "$dir/one.log" 'Leader elected: node-1 \(term [2-9]' || exit 1
kill -INT "$pid"
leaves "$pid" 0

# ---- a port in use: one line, 74, and no directory
cat >"$dir/hold.py" <<'END'
import socket, sys
s = socket.socket()
s.bind(("127.0.0.1", 0))
s.listen()
print(s.getsockname()[1], flush=True)
sys.stdin.read()
END
if command -v python3 >/dev/null; then
    coproc HOLD { python3 "$dir/hold.py"; }
    read -r port <&"${HOLD[0]}"
    ini busy "tcp://127.0.0.1:$port" >"$dir/busy.ini"
    start busy
    leaves "$pid" 74
    [ "$(cat "$dir/busy.err")" = "gaveld: transport main: tcp://127.0.0.1:$port: the port is in use" ] ||
        fail "$(cat "$dir/busy.err")"
    [ ! -e "$dir/busy" ] || fail "a port in use left a data directory"
    eval "exec ${HOLD[1]}>&-"
fi

# ---- directories that will not do
ini none/such tcp://127.0.0.1:0 >"$dir/none.ini"
start none
leaves "$pid" 74
[ "$(cat "$dir/none.err")" = "gaveld: data_dir $dir/none/such cannot be made: there is no directory $dir/none; make \
it, and let user $(id -un) write in it" ] || fail "$(cat "$dir/none.err")"
echo >"$dir/file"
ini file tcp://127.0.0.1:0 >"$dir/f.ini"
start f
leaves "$pid" 74
if [ "$(id -u)" != 0 ]; then
    mkdir "$dir/closed"; chmod 500 "$dir/closed"
    ini closed/data tcp://127.0.0.1:0 >"$dir/c.ini"
    start c
    leaves "$pid" 77
    [ "$(cat "$dir/c.err")" = "gaveld: data_dir $dir/closed/data cannot be made: user $(id -un) may not write in \
$dir/closed; make it for that user: install -d -m 0700 -o $(id -un) $dir/closed/data" ] || fail "$(cat "$dir/c.err")"
fi

# ---- one that others may look into is closed, and the log tells; the next start has nothing to tell
mkdir -m 0755 "$dir/shared"
ini shared tcp://127.0.0.1:0 '[observer.log]' "output = $dir/shared.log" >"$dir/shared.ini"
for told in 1 2; do
    start shared
    wait_for "$dir/shared.log" 'Leader elected: node-1' || exit 1
    kill "$pid"
    leaves "$pid" 0
    mv "$dir/shared.log" "$dir/shared.log.$told"
done
grep -q "INFO .*The data directory $dir/shared had mode 0755 and has 0700 now: it is for this node alone" \
    "$dir/shared.log.1" || { fail "the log does not tell of the mode:"; cat "$dir/shared.log.1"; }
! grep 'had mode' "$dir/shared.log.2" || fail "told of a mode that was not changed"
[ "$(stat -c %a "$dir/shared")" = 700 ] || fail "the shared directory has mode $(stat -c %a "$dir/shared")"

# ---- an observer that cannot start
ini blind tcp://127.0.0.1:0 '[observer.log]' 'output = /nowhere/at/all' >"$dir/blind.ini"
start blind
leaves "$pid" 74
[ "$(cat "$dir/blind.err")" = "gaveld: observer log: /nowhere/at/all cannot be opened: its directory does not exist" ] \
    || fail "$(cat "$dir/blind.err")"
[ ! -e "$dir/blind" ] || fail "an observer that cannot start left a data directory"

# ---- without an observer, lines go to stderr; insecure is warned of
ini loud tcp://0.0.0.0:0 >"$dir/loud.ini"
sed -i 's/^listen.*/&\ninsecure = yes/' "$dir/loud.ini"
start loud
wait_for "$dir/loud.err" 'WARN  \[node-1\] .*has no TLS and can be reached by others \(insecure = yes\)  \(host\)$'
wait_for "$dir/loud.err" 'Leader elected: node-1'
kill -TERM "$pid"
leaves "$pid" 0

# ---- another name on the same data: refused, unchanged
sum() { (cd "$dir/loud" && find . -type f ! -name lock -exec cksum {} + | sort); }
before=$(sum)
sed 's/node-1/node-2/' "$dir/loud.ini" >"$dir/other.ini"
start other
timeout 60 tail -s 0.05 --pid="$pid" -f /dev/null || { fail "a node on another's data runs"; kill -KILL "$pid"; }
wait "$pid"
code=$?
[ "$code" = 78 ] || [ "$code" = 65 ] || fail "a node on another's data left with $code"
[ "$before" = "$(sum)" ] || fail "a node on another's data changed it"

# ---- a state machine that the cluster was founded without: refused by name, unchanged
{ cat "$dir/loud.ini"; printf '[statemachine.extra]\nplugin = counter\n'; } >"$dir/extra.ini"
start extra
leaves "$pid" 78
grep -q '\[statemachine\.extra\] is not in the cluster' "$dir/extra.err" || fail "$(cat "$dir/extra.err")"
[ "$before" = "$(sum)" ] || fail "a node with another state machine changed its data"

# ---- --dev
TMPDIR=$dir "$gaveld" --dev >"$dir/dev.out" 2>"$dir/dev.err" &
pid=$!
pids+=("$pid")
wait_for "$dir/dev.err" 'Leader elected: node-1' || exit 1
grep -Eq '^  address  (ws|tcp)://127.0.0.1:[0-9]+$' "$dir/dev.out" || fail "--dev does not say its address"
ls -d "$dir"/gavel-dev-* >/dev/null || fail "--dev has no directory"
kill -TERM "$pid"
leaves "$pid" 0
! ls -d "$dir"/gavel-dev-* 2>/dev/null || fail "--dev leaves its directory behind"

[ "$failed" = 0 ] && echo "life: well"
exit "$failed"
