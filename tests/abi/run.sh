#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# run.sh: the plugins of every released minor, compiled against the headers of that release, in today's gaveld: three
# nodes that reach each other through the old transport and the old serializer, run the old state machine and are
# watched by the old observer; commands, snapshots, a restart, a leader that is killed.
set -u
top=${top_builddir:?run by make check}
gavel=$top/core/cli/gavel gaveld=$top/core/host/gaveld
here=$top_srcdir/tests/abi
export NO_COLOR=1
dir=$(mktemp -d)
pids=() failed=0 minors=0

# Only what was started here, by its number.
cleanup()
{
    for p in "${pids[@]}"; do kill -KILL "$p" 2>/dev/null; done
    [ "$failed" = 0 ] || tail -n 20 "$dir"/*.err
    rm -rf "$dir"
}
trap cleanup EXIT
fail() { echo "FAIL: $*"; failed=1; }
die() { fail "$@"; exit 1; }

# until_true WHAT COMMAND...: again and again until it succeeds, at most 60 s.
until_true()
{
    local what=$1 end=$((SECONDS + 60))
    shift
    until "$@"; do
        [ $SECONDS -lt $end ] || die "not in time: $what"
        read -rt 0.05 <> <(:) || :
    done
}

# build DIRECTORY: every NAME-KIND.c of it, against its own headers and nothing else of ours.
build()
{
    local source name libs
    rm -rf "$dir/plugins" && mkdir "$dir/plugins"
    for source in "$1"/*.c; do
        name=$(basename "$source" .c)
        libs=
        case $name in *-transport) libs=-luv ;; esac
        # shellcheck disable=SC2086 # a list of flags
        ${CC:-cc} -shared -fPIC -O1 -Wall -Werror -I"$1/include" -o "$dir/plugins/gavel-$name.so" "$source" $libs \
            || die "$source does not compile"
        chmod 755 "$dir/plugins/gavel-$name.so"
        "$gaveld" --dump-plugin "$dir/plugins/gavel-$name.so" >"$dir/dump" || die "$source: refused"
        grep -qx 'version=1\.0' "$dir/dump" || die "$source: $(head -3 "$dir/dump")"
    done
}

ini()
{
    cat <<END
[node]
name = node-$1
data_dir = $dir/node-$1
plugin_dir = $dir/plugins
[cluster]
members = node-1=old://127.0.0.1:$port node-2=old://127.0.0.1:$((port + 1)) node-3=old://127.0.0.1:$((port + 2))
[raft]
election_timeout_min = 1s
election_timeout_max = 2s
[transport.pipe]
listen = old://127.0.0.1:$((port + $1 - 1))
[serializer]
plugin = tape
[statemachine.ledger]
limit = 5000
[observer.tally]
output = $dir/node-$1.tally
levels = peer:debug
metrics_interval = 100ms
[snapshot]
snapshot_entries = 20
snapshot_log_min = 1
END
}

start() { "$gaveld" --config "$dir/$1.ini" 2>>"$dir/$1.err" & pids[$1]=$!; }
alive() { kill -0 "${pids[$1]}" 2>/dev/null; }
# The transport is not one that a client knows: commands go over the admin sockets.
on() { local n=$1; shift; GAVEL_ENDPOINTS=unix://$dir/node-$n/admin.sock timeout 60 "$gavel" --timeout 20s "$@"; }
status_of() { on "$1" -o json status --local 2>/dev/null || on "$1" -o json status 2>/dev/null; }
field() { status_of "$1" | tr -d ' \n' | grep -o "\"$2\":[^,}]*" | head -1 | cut -d: -f2 | tr -d '"'; }
has_snapshot() { [ "$(field "$1" snapshot_index || echo 0)" -gt 0 ] 2>/dev/null; }
has_leader() { local l; l=$(field "$1" leader); [ -n "$l" ] && [ "$l" != null ]; }
agree() { [ "$(total 1)" = "$1" ] && [ "$(total 2)" = "$1" ] && [ "$(total 3)" = "$1" ]; }
total() { on "$1" call ledger.total 2>/dev/null; }

up()
{
    local try n
    for try in 1 2 3 4 5; do
        port=$((10000 + RANDOM % 20000))
        rm -rf "$dir"/node-*
        for n in 1 2 3; do ini $n >"$dir/$n.ini"; start $n; done
        until_true "a leader, or a port in use" eval 'has_leader 1 || ! alive 1 || ! alive 2 || ! alive 3'
        alive 1 && alive 2 && alive 3 && return 0
        for n in 1 2 3; do kill -KILL "${pids[$n]}" 2>/dev/null; wait "${pids[$n]}" 2>/dev/null; done
    done
    die "no cluster of old plugins"
}

stop() { kill -TERM "${pids[$1]}"; wait "${pids[$1]}"; local code=$?; [ $code = 0 ] || fail "node $1 left with $code"; }

# commands: deposits and transfers, their answers, a refusal of the machine's own and one of the table's.
commands()
{
    local i out
    out=$(on 1 -o json ledger.deposit to=anna amount=1000) || fail "deposit: $out"
    grep -q '"balance": *1000' <<<"$out" || fail "deposit: $out"
    on 2 ledger.deposit bert >"$dir/out" || fail "deposit with a default: $(cat "$dir/out")"
    on 2 ledger.deposit to=carl amount=9999 >"$dir/out" 2>&1 && fail "a deposit over the limit was taken"
    grep -q 'over the limit of 5000' "$dir/out" || fail "the machine's sentence: $(cat "$dir/out")"
    on 2 ledger.deposit amount=1 >"$dir/out" 2>&1 && fail "a deposit for nobody was taken"
    for i in {1..30}; do
        on $((i % 3 + 1)) --retry ledger.transfer anna bert $i >/dev/null || fail "transfer $i"
    done
    [ "$(total 1)" = 1100 ] || fail "total $(total 1)"
}

one_minor()
{
    local n leader
    build "$1"
    up
    commands
    for n in 1 2 3; do until_true "a snapshot of node $n" has_snapshot $n; done
    for n in 1 2 3; do stop $n; done
    for n in 1 2 3; do
        grep -q '^destroyed 1 0 1$\|^destroyed 1 1 1$' "$dir/node-$n.tally" || fail "observer: $(tail -1 "$dir/node-$n.tally")"
        grep -q '^log 3 raft Leader elected' "$dir/node-$n.tally" || fail "the observer has no election"
        grep -q '^metric gavel\.' "$dir/node-$n.tally" || grep -q '^metric ' "$dir/node-$n.tally" || fail "no metrics"
        start $n
    done
    for n in 1 2 3; do until_true "a leader after the restart" has_leader $n; done
    until_true "the same total on all after a restore" agree 1100
    leader=$(field 1 leader); leader=${leader##*-}
    kill -KILL "${pids[$leader]}"; wait "${pids[$leader]}" 2>/dev/null
    on $((leader % 3 + 1)) --retry ledger.deposit to=dora amount=7 >/dev/null || fail "no write after the leader died"
    start "$leader"
    until_true "node $leader is back" has_leader "$leader"
    until_true "the same total on all after the kill" agree 1107
    for n in 1 2 3; do
        grep -iE 'assert|abort|sanitizer|digest differs' "$dir/$n.err" && fail "node $n complains"
        stop $n
    done
    minors=$((minors + 1))
    echo "ABI ${1##*/}: its plugins run"
}

for release in "$here"/[0-9]*; do one_minor "$release"; done
[ "$minors" -gt 0 ] || die "no released minor found"
exit "$failed"
