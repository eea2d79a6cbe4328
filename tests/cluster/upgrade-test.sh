#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# upgrade-test.sh: replicated settings and the upgrade of a state machine as an operator does them: three daemons under
# load, two versions of one plugin (dial.c), from the INI files and the command line alone. Also what each wrong turn is
# told: a file with another value, an old plugin behind the barrier, a way back.
# shellcheck source=tests/cluster/lib.sh
. "$(dirname "$0")/lib.sh"

# build VERSION: the plugin of that version alone in a directory; beside it what is always needed.
build()
{
    mkdir -p "$dir/plugins-$1"
    ${CC:-cc} -shared -fPIC -O1 -Wall -Werror -I"$top_srcdir/include" -DDIAL_VERSION="$1" \
        -o "$dir/plugins-$1/gavel-dial-statemachine.so" "$top_srcdir/tests/cluster/dial.c" || die "dial.c, version $1"
    cp "$GAVEL_TEST_PLUGINDIR/gavel-tcp-transport.so" "$GAVEL_TEST_PLUGINDIR"/gavel-*-serializer.so "$dir/plugins-$1/"
    chmod 755 "$dir/plugins-$1" "$dir/plugins-$1"/*
}

# ini NODE PLUGINS [LINE...]: the lines are keys of [session], then of others.
ini()
{
    local n=$1 plugins=$2
    shift 2
    cat >"$dir/$n.ini" <<END
[node]
name = node-$n
data_dir = $dir/node-$n
plugin_dir = $dir/plugins-$plugins
[cluster]
members = node-1=tcp://127.0.0.1:$port node-2=tcp://127.0.0.1:$((port + 1)) node-3=tcp://127.0.0.1:$((port + 2))
[raft]
election_timeout_min = 1s
election_timeout_max = 2s
[transport.main]
plugin = tcp
listen = tcp://127.0.0.1:$((port + n - 1))
[statemachine.dial]
END
    [ $# = 0 ] || printf '%s\n' "$@" >>"$dir/$n.ini"
}

start()
{
    "$gaveld" --config "$dir/$1.ini" 2>>"$dir/$1.log" &
    pids[$1]=$!
}

# stop NODE: cleanly, and it is gone.
stop()
{
    kill -TERM "${pids[$1]}"
    timeout 60 tail -s 0.05 --pid="${pids[$1]}" -f /dev/null || die "node $1 does not stop"
    wait "${pids[$1]}"
}

# leaves NODE TEXT: it ends by itself with 78 and says this.
leaves()
{
    local code
    timeout 60 tail -s 0.05 --pid="${pids[$1]}" -f /dev/null || die "node $1 does not leave"
    wait "${pids[$1]}"
    code=$?
    [ "$code" = 78 ] || fail "node $1 left with $code, not 78"
    grep -qF -- "$2" "$dir/$1.log" || fail "node $1 says '$(tail -n 1 "$dir/$1.log")', not '$2'"
}

# admin NODE WORD...: gavel through its socket.
admin() { local n=$1; shift; "$gavel" --data-dir "$dir/node-$n" --timeout 20s "$@"; }
# asked COMMAND...: its exit code; again while a leader is not there or has only just been elected.
asked()
{
    local got end=$((SECONDS + 60))
    while :; do
        "$@" >"$dir/out" 2>&1
        got=$?
        [ $got != 0 ] && [ $SECONDS -lt $end ] && grep -Eq 'a moment ago only|no leader|no quorum' "$dir/out" || return $got
        pause
    done
}
# says TEXT COMMAND...: what it prints contains the text.
says()
{
    local text=$1
    shift
    asked "$@"
    grep -qF -- "$text" "$dir/out" || fail "$*: does not say '$text': $(cat "$dir/out")"
}
# refused CODE TEXT COMMAND...
refused()
{
    local code=$1 text=$2 got
    shift 2
    asked "$@"
    got=$?
    [ "$got" = "$code" ] || fail "$*: exit $got, not $code: $(cat "$dir/out")"
    grep -qF -- "$text" "$dir/out" || fail "$*: does not say '$text': $(cat "$dir/out")"
}
shows() { admin "$1" settings 2>/dev/null | grep -Eq -- "$2"; }
ready() { admin "$1" status --output json 2>/dev/null | grep -q '"ready": *true'; }
turns() { "$gavel" --timeout 20s --retry dial.turn by=1 >/dev/null 2>&1; }

# ---- three of version 1, under load
build 1
build 2
for try in 1 2 3 4 5; do
    new_ports 3
    rm -rf "$dir"/node-*
    for n in 1 2 3; do ini $n 1; start $n; done
    turns && break
    stop_all
    [ "$try" != 5 ] || die "no three ports"
done
# Each line of "done" is an acknowledged write in a session of its own; the dial cannot have turned less.
: >"$dir/done"
(while :; do "$gavel" --timeout 30s --retry dial.turn by=1 >/dev/null 2>>"$dir/load.log" && echo . >>"$dir/done"; done) &
load=$!
others+=("$load")
loaded() { [ "$(wc -l <"$dir/done")" -ge "$1" ]; }
until_true "load" loaded 5

# ---- settings
says 'session.ttl                              10m              founding       [session] ttl' admin 1 settings
says 'machine dial (dial) has state version 1, since it was founded' admin 2 settings
refused 64 "there is no setting 'session.tll'; did you mean 'session.ttl'?" admin 2 settings set session.tll=20m
refused 64 "[session] ttl is 1; the least is 1000" admin 2 settings set session.ttl=1ms
refused 64 "'ttl' is not KEY=VALUE" admin 2 settings set ttl
says 'changed: version ' admin 2 settings set session.ttl=20m statemachine.dial.limit=900000
version=$(sed -n 's/^changed: version //p' "$dir/out")
refused 2 "the settings have changed since: they are of version $version, not 0" \
    admin 3 settings set session.ttl=30m --if-version 0
for n in 1 2 3; do
    until_true "the setting on node $n" shows $n "session.ttl +20m +index $version +\[session\] ttl"
    until_true "the option on node $n" shows $n "statemachine.dial.limit +900000 +index $version"
done
says "settings   version $version" "$gavel" status
admin 1 settings --output json >"$dir/out" && grep -q '"from": *"change"' "$dir/out" || fail "settings as JSON"

# A file with another value, one without, one with the cluster's.
stop 1
ini 1 1 '[session]' 'ttl = 10m'
start 1
leaves 1 "[session] ttl is 20m in the cluster, since index $version, and 10m in this node's INI file: take the key out of \
the file, or give it the cluster's value; to change the cluster's: gavel settings set session.ttl=10m"
ini 1 1 '[session]' 'ttl = 20m'
start 1
until_true "node 1 is back" ready 1
stop 1
ini 1 1
start 1
until_true "node 1 is back" shows 1 "session.ttl +20m +index $version"

# ---- the recipe: a new plugin on each, one after the other; the dial turns all the time
refused 1 'has state version 1 already' admin 1 settings upgrade dial
for n in 1 2 3; do
    before=$(wc -l <"$dir/done")
    stop $n
    ini $n 2
    start $n
    until_true "node $n is back" ready $n
    until_true "the load goes on" loaded $((before + 3))
    [ $n = 3 ] || refused 1 'does not know state version 2; nothing was done' admin 1 settings upgrade dial 2
done
says '1 to 2, ready for an upgrade' admin 3 settings
until_true "members are known" shows 1 'node-2 +1 to 2'
upgraded() { admin 1 settings upgrade dial >"$dir/out" 2>&1; }
until_true "the barrier" upgraded
barrier=$(sed -n 's/^changed: version //p' "$dir/out")
for n in 1 2 3; do
    until_true "the barrier on node $n" shows $n "has state version 2, since index $barrier"
done
until_true "the load goes on" loaded $(($(wc -l <"$dir/done") + 5))
refused 1 'there is no way back to 1' admin 2 settings set statemachine.dial.state_version=1

# ---- an old plugin behind the barrier: it stops with the recipe, and goes on with the right one
stop 3
ini 3 1
start 3
leaves 3 "[statemachine.dial] has state version 2 in the cluster, since index $barrier; its plugin here, version 1.0, acts \
as 1. Install a plugin that acts as 2, and start again; to go to a newer state version, give every member the new plugin \
first, then run: gavel settings upgrade dial"
ini 3 2
start 3
until_true "node 3 is back" ready 3
until_true "the load goes on" loaded $(($(wc -l <"$dir/done") + 3))

# ---- nothing was lost, nothing done twice, and all three have the same state
kill -TERM "$load"
wait "$load" 2>/dev/null
same() { [ "$("$gavel" status --output json | grep -o '"digest": *"[0-9a-f]\{16\}"' | sort -u | wc -l)" = 1 ]; }
until_true "equal digests" same
"$gavel" dial.look >"$dir/out" || fail "look"
value=$(sed -n 's/.*value[^0-9]*\([0-9]*\).*/\1/p' "$dir/out" | head -n 1)
count=$(sed -n 's/.*turns[^0-9]*\([0-9]*\).*/\1/p' "$dir/out" | head -n 1)
acknowledged=$(wc -l <"$dir/done")
# Before the barrier each turn is 1, behind it 2: value = turns of old + 2 * turns of new. The first turn was no load.
total=$((value - count))
[ "$total" -ge $((acknowledged + 1)) ] || fail "$acknowledged turns were acknowledged, $total are there"
[ "$total" -le $((acknowledged + 3)) ] || fail "$acknowledged turns were acknowledged, $total are there: some twice"
echo "upgrade: $acknowledged turns, barrier at $barrier"
exit "$failed"
