#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# health-test.sh: health, status and top against three real nodes: a follower that is stopped by a signal becomes
# DEGRADED, then UNHEALTHY, and HEALTHY again after two good checks; each with its reason, its event and its exit code.
set -u
top=${top_builddir:-.}
gavel=$top/core/cli/gavel
gaveld=$top/core/host/gaveld
GAVEL_PLUGIN_DIR=${GAVEL_TEST_PLUGINDIR:-$top/tests/plugindir}
export GAVEL_PLUGIN_DIR
NO_COLOR=1
export NO_COLOR
if [ ! -x "$gavel" ] || [ ! -x "$gaveld" ] || [ ! -f "$GAVEL_PLUGIN_DIR/gavel-tcp-transport.so" ]; then
    echo "skipped: no $gavel, $gaveld or tcp plugin"
    exit 77
fi
dir=$(mktemp -d)
HEALTH_DIR=$dir HEALTH_GAVEL=$gavel
export HEALTH_DIR HEALTH_GAVEL
pids=
cleanup()
{
    # shellcheck disable=SC2086 # a list of numbers
    [ -z "$pids" ] || kill -9 $pids 2>/dev/null
    rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

fail()
{
    echo "FAILED: $*"
    tail -n 20 "$dir"/*.log
    exit 1
}

start()
{
    "$gaveld" --config "$dir/c/node-$1.ini" >>"$dir/node-$1.log" 2>&1 &
    eval "pid$1=$!"
    pids="$pids $!"
}

# until SECONDS CODE TEXT WORD...: gavel WORD... leaves with CODE and says TEXT, soon.
until_says()
{
    limit=$(($(date +%s) + $1)) code=$2 text=$3
    shift 3
    while :; do
        out=$("$gavel" "$@" 2>&1)
        got=$?
        if [ "$got" = "$code" ]; then
            case $out in *"$text"*) return ;; esac
        fi
        [ "$(date +%s)" -lt "$limit" ] || fail "gavel $*: exit $got, not $code with '$text': $out"
        sleep 0.1
    done
}

# Checks are more frequent than by default, so that the test is quick; no more, for it runs on busy machines too.
for try in 1 2 3 4 5; do
    port=$(awk -v seed="$$$try" 'BEGIN { srand(seed); print 10000 + int(rand() * 20000) }')
    rm -rf "$dir/c"
    "$gavel" init --nodes 3 --port "$port" --transport tcp --machines counter "$dir/c" >/dev/null || exit 1
    for i in 1 2 3; do
        printf '\n[health]\ninterval = 2s\ntimeout = 2s\n' >"$dir/health"
        grep -v '^\[health\]' "$dir/c/node-$i.ini" >"$dir/ini" # with its commented keys, if it is there
        cat "$dir/ini" "$dir/health" >"$dir/c/node-$i.ini"
        start $i
    done
    GAVEL_ENDPOINTS=tcp://127.0.0.1:$port,tcp://127.0.0.1:$((port + 1)),tcp://127.0.0.1:$((port + 2))
    export GAVEL_ENDPOINTS
    "$gavel" --timeout 20s counter.increment n >/dev/null 2>&1 && break
    # shellcheck disable=SC2086 # a list of numbers
    kill -9 $pids 2>/dev/null
    pids=
done

# ---- all are well ----------------------------------------------------------------------------------------------------
until_says 60 0 'node-3       HEALTHY' health
[ "$("$gavel" health | grep -c ' HEALTHY$')" = 3 ] || fail "not three lines: $("$gavel" health)"
"$gavel" health -o json | grep -q '"health": "HEALTHY"' || fail "JSON: $("$gavel" health -o json)"
leader=$("$gavel" health -o json | sed -n 's/^ *"leader": "\(.*\)",*$/\1/p')
seen=$("$gavel" health -o json | sed -n 's/^ *"seen_by": "\(.*\)",*$/\1/p')
[ -n "$leader" ] && [ "$leader" = "$seen" ] || fail "the leader $leader is not asked, but $seen"
case $leader in node-1) victim=2 ;; *) victim=1 ;; esac
until_says 60 0 'HEALTHY' health --data-dir "$dir/c/node-$victim" # as a follower sees it

# ---- status and top --------------------------------------------------------------------------------------------------
until_says 60 0 '3: 3 HEALTHY' status
for word in writes/s reads/s snapshot links 'commit ms' 'sync ms' lag log version digest; do
    "$gavel" status | grep -q "$word" || fail "status has no '$word': $("$gavel" status)"
    [ "$word" = digest ] || "$gavel" top --once | grep -q "$word" || fail "top has no '$word': $("$gavel" top --once)"
done
"$gavel" status -o json >"$dir/status"
for word in sync_p99_us commit_p50_us log_bytes snapshot_index apply_backlog_ms lag_bytes version reason; do
    grep -q "\"$word\"" "$dir/status" || fail "the status document has no $word: $(cat "$dir/status")"
done
"$gavel" top --interval 100ms --frames 3 >"$dir/frames" || fail "top: $?"
[ "$(grep -c 'gavel top' "$dir/frames")" = 3 ] || fail "not three frames: $(cat "$dir/frames")"
! grep -q "$(printf '\033')" "$dir/frames" || fail "plain frames have escapes"
[ "$(grep -c '2/2' "$dir/frames")" = 9 ] || fail "not every node has both links: $(cat "$dir/frames")"

# On a terminal of 40 columns and 7 rows it takes the screen, keeps within it, and gives it back: by q, and by a signal.
if script --version >/dev/null 2>&1; then
    mkfifo "$dir/keys"
    # shellcheck disable=SC2016 # for the shell of script
    script -qefc 'stty rows 7 cols 40; stty -a >"$HEALTH_DIR/before"; "$HEALTH_GAVEL" top -i 200ms; echo "left with $?"
        stty -a >"$HEALTH_DIR/after"' "$dir/typescript" <"$dir/keys" >/dev/null 2>&1 &
    typing=$!
    exec 3>"$dir/keys"
    wait_typescript() # TEXT
    {
        limit=$(($(date +%s) + 60))
        until grep -q "$1" "$dir/typescript" 2>/dev/null; do
            [ "$(date +%s)" -lt "$limit" ] || fail "top on a terminal does not show '$1': $(cat "$dir/typescript")"
            sleep 0.1
        done
    }
    wait_typescript 'node-1'
    printf q >&3
    wait_typescript 'left with 0'
    exec 3>&-
    wait $typing
    grep -q "$(printf '\033\\[?1049h')" "$dir/typescript" || fail "the screen was not taken"
    grep -q "$(printf '\033\\[?25h\033\\[?1049l')" "$dir/typescript" || fail "the screen was not given back"
    cmp -s "$dir/before" "$dir/after" || fail "the terminal is not as it was: $(diff "$dir/before" "$dir/after")"
    esc=$(printf '\033')
    tr -d '\r' <"$dir/typescript" | sed -n '/gavel top/,/1049l/p' |
        sed -e "s/$esc\\[?1049l.*//" -e "s/$esc\\[H/\\n/g" -e "s/$esc\\[[?0-9;]*[A-Za-z]//g" |
        awk 'length > 40 { print; bad = 1 } END { exit bad }' || fail "wider than the terminal"
fi
sh -c 'exec 3>&1; "$1" top --interval 1m >"$2/long" & echo $! >"$2/pid"; wait $!; echo $? >"$2/code"' sh "$gavel" "$dir" &
pids="$pids $!"
limit=$(($(date +%s) + 60))
until grep -q node-1 "$dir/long" 2>/dev/null; do
    [ "$(date +%s)" -lt "$limit" ] || fail "top prints nothing into a file"
    sleep 0.1
done
kill -TERM "$(cat "$dir/pid")"
until [ -s "$dir/code" ]; do
    [ "$(date +%s)" -lt "$limit" ] || fail "top does not end by SIGTERM"
    sleep 0.1
done
[ "$(cat "$dir/code")" = 143 ] || fail "top left with $(cat "$dir/code") by SIGTERM"
# A signal that it was started to ignore, as by nohup(1), stays ignored.
sh -c 'trap "" HUP; exec "$1" top --interval 100ms >"$2/held"' sh "$gavel" "$dir" &
held=$!
pids="$pids $held"
until_frames()
{
    until [ "$(grep -c 'gavel top' "$dir/held" 2>/dev/null)" -ge "$1" ]; do
        [ "$(date +%s)" -lt "$limit" ] && kill -0 "$held" || fail "top ended by a signal that is ignored"
        sleep 0.1
    done
}
until_frames 1
kill -HUP "$held"
until_frames $(($(grep -c 'gavel top' "$dir/held") + 3))
kill -TERM "$held"
"$gavel" top --interval 5ms >/dev/null 2>&1
[ $? = 64 ] || fail "top takes any interval"

# ---- a follower that is stopped --------------------------------------------------------------------------------------
case $leader in node-1) at=$port ;; node-2) at=$((port + 1)) ;; *) at=$((port + 2)) ;; esac
"$gavel" -e "tcp://127.0.0.1:$at" events --type health_changed --json >"$dir/events" 2>&1 &
events=$!
pids="$pids $events"
eval "kill -STOP \$pid$victim"
until_says 60 10 "node-$victim       DEGRADED" health -e "tcp://127.0.0.1:$at"
case $out in
*"of 3 checks failed: "* | *"connection lost"*) ;;
*) fail "no reason: $out" ;;
esac
until_says 60 11 "node-$victim       UNHEALTHY" health
case $out in *"checks in a row failed: "*) ;; *) fail "no reason: $out" ;; esac
"$gavel" health -o json >"$dir/health"
[ $? = 11 ] || fail "JSON has another exit code"
grep -q '"cause": "checks_failed"' "$dir/health" || fail "no cause: $(cat "$dir/health")"
"$gavel" status | grep -q '1 UNHEALTHY' || fail "status: $("$gavel" status)"
"$gavel" member list | grep -q 'checks in a row failed' || fail "member list: $("$gavel" member list)"
"$gavel" top --once | grep -q 'checks in a row failed' || fail "top: $("$gavel" top --once)"
"$gavel" --timeout 20s counter.increment n >/dev/null || fail "a majority takes no write"
eval "kill -CONT \$pid$victim"
until_says 60 0 "node-$victim       HEALTHY" health

# Every change was an event at the leader, in this order, and a line of its log.
order()
{
    sed -n "s/.*\"member\": *\"node-$victim\".*\"health\": *\"\\([A-Z]*\\)\".*/\\1/p" "$dir/events" |
        tr '\n' ' ' >"$dir/order"
    grep -q 'DEGRADED UNHEALTHY \(.* \)*DEGRADED HEALTHY $' "$dir/order"
}
limit=$(($(date +%s) + 60))
until order; do
    [ "$(date +%s)" -lt "$limit" ] || fail "events: $(cat "$dir/order" "$dir/events")"
    sleep 0.1
done
! grep -q 'UNHEALTHY HEALTHY' "$dir/order" || fail "well again at once: $(cat "$dir/order")"
grep -q 'well again: [01] of 2 good checks' "$dir/events" || fail "no way back: $(cat "$dir/events")"
grep -q "node-$victim is UNHEALTHY: [0-9] checks in a row failed" "$dir/$leader.log" || fail "not in the log of $leader"
kill "$events"

# ---- one that was never heard of, and nobody at all ------------------------------------------------------------------
# shellcheck disable=SC2086 # a list of numbers
kill -9 $pid1 $pid2 $pid3
# shellcheck disable=SC2086
wait $pid1 $pid2 $pid3 # their ports are taken again
start 1
start 2
until_says 60 12 'node-3       UNKNOWN    no answer yet' health
start 3
until_says 60 0 'node-3       HEALTHY' health
# shellcheck disable=SC2086 # a list of numbers
kill -9 $pid1 $pid2 $pid3
until_says 60 12 'no node answers' health
until_says 60 3 'no node answers' top --once
exit 0
