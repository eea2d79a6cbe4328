#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# misbehave.sh: plugins that load well and do wrong while they run (bad_plugin.c). Each is named with what it did, word by
# word; its node ends as it should or goes on; in a cluster the others go on, nothing acknowledged is lost, and the node
# comes to the same state once the plugin is mended.
set -u
gaveld=$top_builddir/core/host/gaveld gavel=$top_builddir/core/cli/gavel
export NO_COLOR=1
dir=$(mktemp -d /tmp/gavel-bad-XXXXXX)
pids=() failed=0 count=0 total=0
cleanup() { for p in "${pids[@]}"; do kill -KILL "$p" 2>/dev/null; done; rm -rf "$dir"; }
trap cleanup EXIT
fail() { echo "FAIL: $*"; failed=1; }
die() { fail "$@"; tail -n 15 "$dir"/*.err; exit 1; }
asan=no
grep -q __asan_init "$gaveld" && asan=yes
# A plugin that never gives something back, or never comes back, is left behind on purpose: that is no leak of gaveld's.
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0

# until_true WHAT COMMAND...: again and again until it succeeds, at most 60 s.
until_true()
{
    local what=$1 end=$((SECONDS + 60))
    shift
    until "$@"; do
        [ $SECONDS -lt $end ] || die "not in time: $what"
        read -rt 0.03 <> <(:) || :
    done
}
gone() { ! kill -0 "$1" 2>/dev/null; }

# build DIRECTORY FLAGS...: all four kinds.
build()
{
    local to=$1 kind names=(x transport serializer statemachine observer)
    shift
    mkdir -p "$to"
    cp "$GAVEL_TEST_PLUGINDIR/gavel-tcp-transport.so" "$to"
    for kind in 1 2 3 4; do
        ${CC:-cc} -shared -fPIC -O0 -Wall -Wextra -Werror -I"$top_srcdir/include" -DBAD_KIND=$kind "$@" \
            -o "$to/gavel-bad-${names[$kind]}.so" "$top_srcdir/tests/host/bad_plugin.c" -luv || die "does not compile"
        chmod 755 "$to/gavel-bad-${names[$kind]}.so"
    done
}
build "$dir/bad"
build "$dir/bounded" -DBAD_FLAGS=GAVEL_BOUNDED
build "$dir/good" -DBAD_GOOD

# ---- one node alone ------------------------------------------------------------------------------------------------

# alone PLUGINS SECTIONS...: a cluster of one, started; its log is $dir/a.err.
alone()
{
    local plugins=$1
    shift
    rm -rf "$dir/a" "$dir/a.err" "$dir/gate" # the last one's log, too: the new one's is there only when its shell runs
    {
        printf '[node]\nname = a\ndata_dir = %s/a\nplugin_dir = %s\nslow_call = 200ms\nstop_timeout = 1s\n' \
            "$dir" "$dir/$plugins"
        printf '[cluster]\nmembers = a=tcp://127.0.0.1:1\n[transport.tcp]\nlisten = tcp://127.0.0.1:0\n'
        printf '[snapshot]\nsnapshot_entries = 4\nsnapshot_log_min = 1\n'
        printf '%s\n' "$@"
    } >"$dir/a.ini"
    "$gaveld" --config "$dir/a.ini" 2>"$dir/a.err" &
    pid=$!
    pids+=("$pid")
}
on_a() { GAVEL_ENDPOINTS=unix://$dir/a/admin.sock timeout 60 "$gavel" --timeout 10s "$@" 2>&1; }
elected() { grep -qs "Leader elected" "$dir/a.err"; }
says() { grep -qsF -- "$1" "$dir/a.err"; }
# said SENTENCE: in time; the log's own time, level and module stand around it.
said() { count=$((count + 1)); until_true "$1" says "$1"; }
# waited TEXT MS [FILE]: a line says TEXT and then how long it waits, which is so much or more: the watch looks when the
# machine lets it.
longer()
{
    awk -v t="$1" -v ms="$2" 'i = index($0, t) { if (substr($0, i + length(t)) + 0 >= ms) f = 1 } END { exit !f }' "$3" \
        2>/dev/null
}
waited() { count=$((count + 1)); until_true "$1$2" longer "$1" "$2" "${3:-$dir/a.err}"; }
leaves()
{
    local code
    until_true "the node ends" gone "$pid"
    { wait "$pid"; code=$?; } 2>/dev/null
    [ "$code" = "$1" ] || { fail "exit $code, wanted $1"; tail -n 5 "$dir/a.err"; }
}
stop() { kill -TERM "$pid"; leaves "${1:-0}"; }

M='statemachine m (plugin bad 1)'
machine() { alone "${2:-bad}" '[statemachine.m]' 'plugin = bad' "fault = $1" "gate = $dir/gate"; until_true "a leader" elected; }

# What is no status, or no value: an internal error, told once, and the node goes on.
answers()
{
    local out
    machine "$1"
    out=$(on_a m.add 13)
    case $out in *"$2"*) ;; *) fail "$1 answers: $out" ;; esac
    said "$3"
    out=$(on_a m.add 1)
    [ "$out" = 14 ] || fail "$1: does not go on: $out"
    stop
}
answers returns-77 "command 'add' of machine 'm' returned 77, which is no status" \
    "$M, in add: returned 77, which is no status of gavel/abi.h; it is answered as an internal error (1 times by now)"
answers returns-garbage "command 'add' of machine 'm' returned -77777, which is no status" \
    "$M, in add: returned -77777, which is no status of gavel/abi.h; it is answered as an internal error (1 times by now)"
answers two-values "command 'add' of machine 'm' wrote a result that is not one whole value: " \
    "$M, in add: wrote a result that is not one whole value: "
answers unbalanced "command 'add' of machine 'm' wrote a result that is not one whole value: " \
    "$M, in add: wrote a result that is not one whole value: "

# What the maintenance asks for and nobody could apply is left out, or it would stop every node.
machine maintain-unknown
said "$M, in maintain: asked for command 99, which is left out: it has no such write command (1 times by now)"
[ "$(on_a m.add 2)" = 2 ] || fail "maintain-unknown: does not go on"
stop
machine maintain-garbage
said "$M, in maintain: asked for command 1, which is left out: "
[ "$(on_a m.add 2)" = 2 ] || fail "maintain-garbage: does not go on"
stop

# A snapshot that fails is told, and the node goes on.
machine snapshot-returns-9
for i in 1 2 3 4 5 6; do on_a m.add 1 >/dev/null; done
said "snapshot_begin of $M returned 9, which is no status of gavel/abi.h"
[ "$(on_a m.add 1)" = 7 ] || fail "snapshot-returns-9: does not go on"
stop

# What is written where nothing belongs ends the process at once. Under the address sanitizer it would end it first.
ends()
{
    machine "$1" "${4:-bad}"
    for i in 1 ${5:+2 3 4 5 6 7}; do
        gone "$pid" || on_a m.add 13 >/dev/null # ends with the node, not with its time-out
    done
    said "gaveld: [a] $3"
    leaves "$2"
}
if [ $asan = no ]; then
    ends past-the-error 134 "$M, in add: wrote past the sentence of its error; memory is destroyed, the node stops here"
    ends past-the-reply 134 "$M, in add: wrote past its reply; memory is destroyed, the node stops here"
    ends past-the-chunk 134 "$M, in snapshot_next: wrote past the buffer it was given; memory is destroyed, the node \
stops here" bad more
    ends crashes 139 "$M, in add: signal 11 (segmentation fault) in the code of $dir/bad/gavel-bad-statemachine.so; \
the node stops here"
else
    echo "left out: overflows and crashes end in the sanitizer's own report"
fi
ends another-heap 134 "$M, in snapshot_next: put memory of another heap into the buffer it was given; use \
gavel_buffer_append" bad more
ends aborts 134 "$M, in add: signal 6 (abort); the node stops here"
ends exits 70 "$M, in add: called exit() inside the node; the node stops here, as if it had crashed"
ends wrong-lane 134 "$M, in timer_new: called from the wrong lane (apply); this service belongs to the loop"
ends wrong-lane 134 "$M, in timer_new: called from the wrong lane (apply, in add); this service belongs to the loop" bounded
ends own-thread 134 "$M, in timer_new: called from the wrong lane (a thread of its own); this service belongs to the loop"

# A machine that blocks: on its own lane the log says so while it lasts; on the loop, where the log waits too, stderr.
machine blocks
on_a m.add 13 >"$dir/answer" &
waited "$M, in add: has not returned for " 200
said "the apply lane waits for it"
waited "$M, in add: has not returned for " 400
touch "$dir/gate"
said "$M, in add: returned after "
wait $!
[ "$(cat "$dir/answer")" = 13 ] || fail "a write that was late: $(cat "$dir/answer")"
stop
machine blocks bounded
on_a m.add 13 >"$dir/answer" &
waited "gaveld: [a] $M, in add: has not returned for " 200
said "the loop lane waits for it"
touch "$dir/gate"
said "$M, in add: returned after "
wait $!
[ "$(cat "$dir/answer")" = 13 ] || fail "a write that was late: $(cat "$dir/answer")"
stop

# Longer than stop_timeout: the node waits for its lane before it frees what that works on.
machine blocks
on_a m.add 13 >/dev/null &
waited "$M, in add: has not returned for " 200
kill -TERM "$pid"
waited "gaveld: [a] The loop has not turned for " 200
touch "$dir/gate"
leaves 0
wait $!

# For ever: the stop is cut short, and says for whom.
machine blocks
on_a m.add 13 >/dev/null &
waited "$M, in add: has not returned for " 200
kill -TERM "$pid"
said "gaveld: [a] $M, in add: has not returned; the apply lane waits for it"
said "gaveld: the stop took too long and is cut short"
leaves 70
wait $!

# ---- life: create, start, quiesce, destroy
for fault in create-returns-77 create-fails-silently; do
    alone bad '[statemachine.m]' 'plugin = bad' "fault = $fault"
    case $fault in
        create-returns-77) said "gaveld: statemachine m: create returned 77, which is no status of gavel/abi.h" ;;
        *) said "gaveld: statemachine m: create failed with status -14 and gave no reason" ;;
    esac
    until_true "the node ends" gone "$pid"
    [ ! -e "$dir/a" ] || fail "$fault left a data directory"
done
machine leak
stop
said "$M, in quiesce: left 1 timers of the host unfreed; the host frees them"
said "$M, in destroy: left file descriptor "
said "A plugin, or a library under one: left 1 open handles of libuv on the loop, of type timer"
machine never-done
stop
said "$M, in quiesce: has not called done within 3000 ms; it is left behind"
machine done-twice
stop 134
said "gaveld: [a] $M, in quiesce: called done twice"
if [ $asan = no ]; then
    machine crash-in-destroy
    stop 139
    said "gaveld: [a] $M, in destroy: signal 11 (segmentation fault) in the code of $dir/bad/gavel-bad-statemachine.so; \
the node stops here"
fi

# ---- observers
O='observer o (plugin bad 1)'
observer()
{
    alone bad '[statemachine.m]' 'plugin = bad' '[observer.log]' '[observer.o]' 'plugin = bad' "fault = $1" \
        "gate = $dir/gate"
}
cp "$GAVEL_TEST_PLUGINDIR/gavel-log-observer.so" "$dir/bad"
observer blocks
waited "gaveld: [a] $O, in log: has not returned for " 200
said "the observer lane waits for it"
[ "$(on_a m.add 5)" = 5 ] || fail "an observer that blocks costs a commit"
touch "$dir/gate"
said "$O, in log: returned after "
stop
if [ $asan = no ]; then
    observer crashes
    said "gaveld: [a] $O, in log: signal 11 (segmentation fault) in the code of $dir/bad/gavel-bad-observer.so; the node \
stops here"
    leaves 139
fi
observer wrong-lane
said "gaveld: [a] $O, in metric: called from the wrong lane (observer); this service belongs to the loop"
leaves 134

# It was taken away at run time: what it owes costs no later reload, nor the stop.
observer never-done
until_true "a leader" elected
sed -i '/^\[observer.o\]/,$d' "$dir/a.ini"
on_a --data-dir "$dir/a" reload >/dev/null || fail "the observer is not taken away"
said "$O, in quiesce: has not called done within 3000 ms; it is left behind"
until_true "another reload" on_a --data-dir "$dir/a" reload >/dev/null
stop

# As many observers as there can be, and one of them under another name: the new one has the place of the old one.
sections=()
for i in 1 2 3 4 5 6 7 8; do sections+=("[observer.o$i]" 'plugin = log' "output = $dir/o$i.log"); done
cp "$GAVEL_TEST_PLUGINDIR/gavel-log-observer.so" "$dir/good"
alone good '[statemachine.m]' 'plugin = bad' "${sections[@]}"
until_true "a leader" grep -qs 'Leader elected' "$dir/o8.log"
sed -i 's/observer\.o8/observer.o9/; s/o8\.log/o9.log/' "$dir/a.ini"
on_a --data-dir "$dir/a" reload >/dev/null || fail "the observer is not exchanged"
until_true "the new observer is told" grep -qs 'The configuration was read again' "$dir/o9.log"
stop

# ---- transports
T='transport t (plugin bad 1)'
transport()
{
    alone bad '[statemachine.m]' 'plugin = bad' '[transport.t]' 'plugin = bad' "fault = $1" "gate = $dir/gate"
}
transport prepare-returns-3
said "prepare returned 3, which is no status of gavel/abi.h"
until_true "the node ends" gone "$pid"
transport up-from-a-thread
said "gaveld: [a] $T, in quiet: called up from the wrong lane (a thread of its own); every up-call belongs to the loop: \
use host->deliver"
leaves 134
transport blocks
waited "gaveld: [a] $T, in a timer: has not returned for " 200
touch "$dir/gate"
said "$T, in a timer: returned after "
stop
said "$T, in quiesce: left 1 timers of the host unfreed; the host frees them"
transport blocks-in-a-handle
waited "gaveld: [a] The loop has not turned for " 200
touch "$dir/gate"
said "The loop turns again after "
stop
said "$dir/bad/gavel-bad-transport.so: left 1 open handles of libuv on the loop, of type timer"
if [ $asan = no ]; then
    transport crashes-in-a-handle
    said "gaveld: [a] signal 11 (segmentation fault) in the code of $dir/bad/gavel-bad-transport.so; the node stops here"
    leaves 139
fi

# ---- three nodes, one of them with a bad plugin --------------------------------------------------------------------

node_ini() # NUMBER PLUGINS SERIALIZER FAULT UNLUCKY
{
    cat <<END
[node]
name = node-$1
data_dir = $dir/node-$1
plugin_dir = $dir/$2
slow_call = 200ms
stop_timeout = 1s
[cluster]
members = node-1=tcp://127.0.0.1:$port node-2=tcp://127.0.0.1:$((port + 1)) node-3=tcp://127.0.0.1:$((port + 2))
[raft]
election_timeout_min = 1s
election_timeout_max = 2s
[transport.tcp]
listen = tcp://127.0.0.1:$((port + $1 - 1))
[serializer]
plugin = $3
[statemachine.m]
plugin = bad
fault = $4
unlucky = $5
gate = $dir/gate
END
}
# start NUMBER [PLUGINS SERIALIZER FAULT UNLUCKY]
start()
{
    node_ini "$1" "${2:-good}" "${3:-msgpack}" "${4:-none}" "${5:-0}" >"$dir/$1.ini"
    rm -f "$dir/$1.err"
    "$gaveld" --config "$dir/$1.ini" 2>"$dir/$1.err" &
    node[$1]=$!
    pids+=("$!")
}
alive() { kill -0 "${node[$1]}" 2>/dev/null; }
on() { local n=$1; shift; GAVEL_ENDPOINTS=unix://$dir/node-$n/admin.sock timeout 60 "$gavel" --timeout 20s "$@" 2>&1; }
field() { on "$1" -o json status | tr -d ' \n' | grep -o "\"$2\":[^,}]*" | head -1 | cut -d: -f2 | tr -d '"'; }
led() { local l; l=$(field "$1" leader); [ -n "$l" ] && [ "$l" != null ]; }
add()
{
    out=$(on "$1" --retry m.add "$2") || fail "a write of $2 by node $1 with a bad node 3: $out"
    total=$((total + $2))
}
gets() { [ "$(on "$1" call m.get --stale)" = "$total" ]; }
agree() { gets 1 && gets 2 && gets 3; }
# every FIELD: the different values of it.
every() { for n in 1 2 3; do field $n "$1"; done | sort -u | wc -l; }
# All three have applied the same and have one digest.
same() { [ "$(every digest)" = 1 ] && [ "$(every applied)" = 1 ] && [ -n "$(field 3 digest)" ]; }

up()
{
    local n
    for _ in 1 2 3 4 5; do
        port=$((10000 + RANDOM % 20000))
        for n in 1 2 3; do start $n; done
        until_true "a leader, or a port in use" eval 'led 1 || ! alive 1 || ! alive 2 || ! alive 3'
        alive 1 && alive 2 && alive 3 && return
        for n in 1 2 3; do kill -KILL "${node[$n]}" 2>/dev/null; { wait "${node[$n]}"; } 2>/dev/null; done
        rm -rf "$dir"/node-*
    done
    die "no cluster"
}
says3() { grep -qsF -- "$1" "$dir/3.err"; }
said3() { count=$((count + 1)); until_true "$1" says3 "$1"; }
down3()
{
    kill -TERM "${node[3]}" 2>/dev/null
    until_true "node 3 ends" gone "${node[3]}"
    { wait "${node[3]}"; } 2>/dev/null
}

# member FAULT CODE SENTENCE: node 3 has it; what the two others acknowledge is there when it is mended.
unlucky=1000
member()
{
    local i
    unlucky=$((unlucky + 1))
    down3
    start 3 bad msgpack "$1" $unlucky
    until_true "node 3 is back" led 3
    for i in 1 2 3; do add 1 $i; done
    add 2 $unlucky
    for i in 4 5 6; do add 1 $i; done
    said3 "$3"
    until_true "node 3 ends" gone "${node[3]}"
    { wait "${node[3]}"; code=$?; } 2>/dev/null
    [ $code = "$2" ] || fail "node 3 with $1 left with $code, wanted $2"
    start 3
    until_true "node 3 is back, mended" led 3
    until_true "all have $total after $1" agree
    until_true "one digest after $1" same
}
node=()
up
for i in 1 2 3; do add $i 10; done
[ $asan = yes ] || member past-the-error 134 "gaveld: [node-3] $M, in add: wrote past the sentence of its error"
[ $asan = yes ] || member crashes 139 "gaveld: [node-3] $M, in add: signal 11 (segmentation fault)"
member aborts 134 "gaveld: [node-3] $M, in add: signal 6 (abort); the node stops here"
member exits 70 "gaveld: [node-3] $M, in add: called exit() inside the node"
member own-thread 134 "gaveld: [node-3] $M, in timer_new: called from the wrong lane (a thread of its own)"

# Blocked as a leader: its heartbeats go on, so nobody else is elected, and the late write is acknowledged after all.
down3
rm -f "$dir/gate"
start 3 bad msgpack blocks 5000
until_true "node 3 is back" led 3
leads()
{
    local leader
    leader=$(field 1 leader)
    [ "$leader" = node-$1 ] && return
    [ -z "$leader" ] || "$gavel" --data-dir "$dir/$leader" leader transfer --to "node-$1" >/dev/null 2>&1
    return 1
}
until_true "node 3 leads" leads 3
add 1 7
term=$(field 1 term)
(on 1 --retry --timeout 60s m.add 5000 >"$dir/answer") &
late=$!
waited "$M, in add: has not returned for " 200 "$dir/3.err"
waited "$M, in add: has not returned for " 3200 "$dir/3.err" # longer than an election
[ "$(field 1 term)" = "$term" ] || fail "a blocked machine cost an election: term $(field 1 term), was $term"
[ "$(field 1 leader)" = node-3 ] || fail "a blocked machine cost the leadership"
touch "$dir/gate"
wait $late
total=$((total + 5000))
[ "$(cat "$dir/answer")" = $total ] || fail "the late write: $(cat "$dir/answer"), wanted $total"
said3 "$M, in add: returned after "
until_true "all have $total" agree
rm "$dir/gate"

# A serializer that two of them share, and that is broken: the third speaks MessagePack with both, and writes go on. The
# one that leads cannot reach node 3 by it, so node 3 asks for an election and meets its own.
down2() { kill -TERM "${node[2]}"; until_true "node 2 ends" gone "${node[2]}"; { wait "${node[2]}"; } 2>/dev/null; }
S='serializer bad (plugin bad 1)'
down2
start 2 bad bad
until_true "node 2 is back" led 2
until_true "node 2 leads" leads 2
for fault in write-returns-5 no-writer past-the-writer; do
    [ $fault != past-the-writer ] || [ $asan = no ] || continue
    down3
    start 3 bad "bad
fault = $fault"
    case $fault in
        write-returns-5) said3 "$S, in write_begin: returned 5, which is no status of gavel/abi.h; taken as -24" ;;
        no-writer) said3 "cannot be encoded: " ;;
        *) said3 "gaveld: [node-3] $S, in write_begin: wrote past the 32 bytes of memory that it had asked for" ;;
    esac
    add 1 3
done
down2
down3
start 2
start 3
until_true "node 2 is back" led 2
until_true "node 3 is back" led 3
add 1 1
until_true "all have $total" agree
until_true "one digest at the end" same
echo "misbehave: $count sentences"
exit "$failed"
