#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# health-test.sh: health, status and top against three real nodes: a follower that is stopped by a signal becomes
# DEGRADED, then UNHEALTHY, and HEALTHY again after two good checks; each with its reason, its event and its exit code.
# shellcheck source=tests/cluster/lib.sh
. "$(dirname "$0")/lib.sh"

export HEALTH_DIR=$dir HEALTH_GAVEL=$gavel

# until_leaves CODE TEXT WORD...: gavel WORD... leaves with CODE and says TEXT, in time; all of it is in `out` then.
until_leaves()
{
    local code=$1 text=$2 end=$((SECONDS + 60)) got
    shift 2
    while :; do
        out=$("$gavel" "$@" 2>&1)
        got=$?
        [ "$got" = "$code" ] && [[ $out == *"$text"* ]] && return
        [ $SECONDS -lt $end ] || die "gavel $*: exit $got, not $code with '$text': $out"
        pause
    done
}

# Checks are more frequent than by default, so that the test is quick; no more, for it runs on busy machines too.
configured()
{
    local n
    printf '\n[health]\ninterval = 2s\ntimeout = 2s\n' >"$dir/health"
    for n in 1 2 3; do
        grep -v '^\[health\]' "$dir/c/node-$n.ini" >"$dir/ini" # with its commented keys, if it is there
        cat "$dir/ini" "$dir/health" >"$dir/c/node-$n.ini"
    done
}
cluster 3 counter counter.increment n

# ---- all are well ----------------------------------------------------------------------------------------------------
until_leaves 0 'node-3       HEALTHY' health
[ "$("$gavel" health | grep -c ' HEALTHY$')" = 3 ] || die "not three lines: $("$gavel" health)"
"$gavel" health -o json | grep -q '"health": "HEALTHY"' || die "JSON: $("$gavel" health -o json)"
leader=$("$gavel" health -o json | sed -n 's/^ *"leader": "\(.*\)",*$/\1/p')
seen=$("$gavel" health -o json | sed -n 's/^ *"seen_by": "\(.*\)",*$/\1/p')
[ -n "$leader" ] && [ "$leader" = "$seen" ] || die "the leader $leader is not asked, but $seen"
case $leader in node-1) victim=2 ;; *) victim=1 ;; esac
until_leaves 0 'HEALTHY' health --data-dir "$dir/c/node-$victim" # as a follower sees it

# ---- status and top --------------------------------------------------------------------------------------------------
until_leaves 0 '3: 3 HEALTHY' status
for word in writes/s reads/s snapshot links 'commit ms' 'sync ms' lag log version digest; do
    "$gavel" status | grep -q "$word" || die "status has no '$word': $("$gavel" status)"
    [ "$word" = digest ] || "$gavel" top --once | grep -q "$word" || die "top has no '$word': $("$gavel" top --once)"
done
"$gavel" status -o json >"$dir/status"
for word in sync_p99_us commit_p50_us log_bytes snapshot_index apply_backlog_ms lag_bytes version reason; do
    grep -q "\"$word\"" "$dir/status" || die "the status document has no $word: $(cat "$dir/status")"
done
"$gavel" top --interval 100ms --frames 3 >"$dir/frames" || die "top: $?"
[ "$(grep -c 'gavel top' "$dir/frames")" = 3 ] || die "not three frames: $(cat "$dir/frames")"
! grep -q "$(printf '\033')" "$dir/frames" || die "plain frames have escapes"
[ "$(grep -c '2/2' "$dir/frames")" = 9 ] || die "not every node has both links: $(cat "$dir/frames")"

# On a terminal of 40 columns and 7 rows it takes the screen, keeps within it, and gives it back: by q, and by a signal.
if script --version >/dev/null 2>&1; then
    mkfifo "$dir/keys"
    # shellcheck disable=SC2016 # for the shell of script
    script -qefc 'stty rows 7 cols 40; stty -a >"$HEALTH_DIR/before"; "$HEALTH_GAVEL" top -i 200ms; echo "left with $?"
        stty -a >"$HEALTH_DIR/after"' "$dir/typescript" <"$dir/keys" >/dev/null 2>&1 &
    typing=$!
    others+=("$typing")
    exec 3>"$dir/keys"
    wait_typescript() # TEXT
    {
        limit=$((SECONDS + 60))
        until grep -q "$1" "$dir/typescript" 2>/dev/null; do
            [ $SECONDS -lt "$limit" ] || die "top on a terminal does not show '$1': $(cat "$dir/typescript")"
            pause
        done
    }
    wait_typescript 'node-1'
    printf q >&3
    wait_typescript 'left with 0'
    exec 3>&-
    wait $typing
    grep -q "$(printf '\033\\[?1049h')" "$dir/typescript" || die "the screen was not taken"
    grep -q "$(printf '\033\\[?25h\033\\[?1049l')" "$dir/typescript" || die "the screen was not given back"
    cmp -s "$dir/before" "$dir/after" || die "the terminal is not as it was: $(diff "$dir/before" "$dir/after")"
    esc=$(printf '\033')
    tr -d '\r' <"$dir/typescript" | sed -n '/gavel top/,/1049l/p' |
        sed -e "s/$esc\\[?1049l.*//" -e "s/$esc\\[H/\\n/g" -e "s/$esc\\[[?0-9;]*[A-Za-z]//g" |
        awk 'length > 40 { print; bad = 1 } END { exit bad }' || die "wider than the terminal"
fi
sh -c 'exec 3>&1; "$1" top --interval 1m >"$2/long" & echo $! >"$2/pid"; wait $!; echo $? >"$2/code"' sh "$gavel" "$dir" &
others+=($!)
limit=$((SECONDS + 60))
until grep -q node-1 "$dir/long" 2>/dev/null; do
    [ $SECONDS -lt "$limit" ] || die "top prints nothing into a file"
    pause
done
kill -TERM "$(cat "$dir/pid")"
until [ -s "$dir/code" ]; do
    [ $SECONDS -lt "$limit" ] || die "top does not end by SIGTERM"
    pause
done
[ "$(cat "$dir/code")" = 143 ] || die "top left with $(cat "$dir/code") by SIGTERM"
# A signal that it was started to ignore, as by nohup(1), stays ignored.
sh -c 'trap "" HUP; exec "$1" top --interval 100ms >"$2/held"' sh "$gavel" "$dir" &
held=$!
others+=("$held")
until_frames()
{
    until [ "$(grep -c 'gavel top' "$dir/held" 2>/dev/null)" -ge "$1" ]; do
        [ $SECONDS -lt "$limit" ] && kill -0 "$held" || die "top ended by a signal that is ignored"
        pause
    done
}
until_frames 1
kill -HUP "$held"
until_frames $(($(grep -c 'gavel top' "$dir/held") + 3))
kill -TERM "$held"
"$gavel" top --interval 5ms >/dev/null 2>&1
[ $? = 64 ] || die "top takes any interval"

# ---- a follower that is stopped --------------------------------------------------------------------------------------
case $leader in node-1) at=$port ;; node-2) at=$((port + 1)) ;; *) at=$((port + 2)) ;; esac
"$gavel" -e "tcp://127.0.0.1:$at" events --type health_changed --json >"$dir/events" 2>&1 &
events=$!
others+=("$events")
kill -STOP "${pids[$victim]}"
until_leaves 10 "node-$victim       DEGRADED" health -e "tcp://127.0.0.1:$at"
case $out in
*"of 3 checks failed: "* | *"connection lost"*) ;;
*) die "no reason: $out" ;;
esac
until_leaves 11 "node-$victim       UNHEALTHY" health
case $out in *"checks in a row failed: "*) ;; *) die "no reason: $out" ;; esac
"$gavel" health -o json >"$dir/health"
[ $? = 11 ] || die "JSON has another exit code"
grep -q '"cause": "checks_failed"' "$dir/health" || die "no cause: $(cat "$dir/health")"
"$gavel" status | grep -q '1 UNHEALTHY' || die "status: $("$gavel" status)"
"$gavel" member list | grep -q 'checks in a row failed' || die "member list: $("$gavel" member list)"
"$gavel" top --once | grep -q 'checks in a row failed' || die "top: $("$gavel" top --once)"
"$gavel" --timeout 20s counter.increment n >/dev/null || die "a majority takes no write"
kill -CONT "${pids[$victim]}"
until_leaves 0 "node-$victim       HEALTHY" health

# Every change was an event at the leader, in this order, and a line of its log.
order()
{
    sed -n "s/.*\"member\": *\"node-$victim\".*\"health\": *\"\\([A-Z]*\\)\".*/\\1/p" "$dir/events" |
        tr '\n' ' ' >"$dir/order"
    grep -q 'DEGRADED UNHEALTHY \(.* \)*DEGRADED HEALTHY $' "$dir/order"
}
limit=$((SECONDS + 60))
until order; do
    [ $SECONDS -lt "$limit" ] || die "events: $(cat "$dir/order" "$dir/events")"
    pause
done
! grep -q 'UNHEALTHY HEALTHY' "$dir/order" || die "well again at once: $(cat "$dir/order")"
grep -q 'well again: [01] of 2 good checks' "$dir/events" || die "no way back: $(cat "$dir/events")"
grep -q "node-$victim is UNHEALTHY: [0-9] checks in a row failed" "$dir/$leader.log" || die "not in the log of $leader"
kill "$events"

# ---- one that was never heard of, and nobody at all ------------------------------------------------------------------
stop_all
start 1
start 2
until_leaves 12 'node-3       UNKNOWN    no answer yet' health
start 3
until_leaves 0 'node-3       HEALTHY' health
stop_all
until_leaves 12 'no node answers' health
until_leaves 3 'no node answers' top --once
exit 0
