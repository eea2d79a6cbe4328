#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# units.sh: the systemd units: systemd finds no fault in them, calls them hardened (an exposure of at most 2.0), and a
# real node lives a whole life with the system calls that they leave it.
set -u
build=${top_builddir:?run by make check}
gaveld=$build/core/host/gaveld
export GAVEL_PLUGIN_DIR=${GAVEL_TEST_PLUGINDIR:?run by make check}
dir=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null; rm -rf "$dir"' EXIT
failed=0 calls=none
most=2.0 # exposure: 0 is a locked box, 9.6 a service with nothing set

fail() { echo "FAIL: $*"; failed=1; }

command -v systemd-analyze >/dev/null || { echo "no systemd-analyze here (package systemd)"; exit 77; }
[ -e "$build/contrib/systemd/gaveld.service" ] || { echo "no units in this build"; exit 1; }

for unit in gaveld.service gaveld@.service; do
    at=$(systemd-analyze security --offline=true --no-pager "$build/contrib/systemd/$unit" 2>"$dir/errors" \
        | sed -n 's/.*Overall exposure level for [^ ]*: \([0-9.]*\).*/\1/p')
    [ -n "$at" ] || { fail "$unit: no exposure: $(cat "$dir/errors")"; continue; }
    awk -v at="$at" -v most=$most 'BEGIN { exit !(at <= most) }' || fail "$unit: exposure $at, at most $most"
    echo "$unit: exposure $at"
    # The program where the build has it, no pages: they are installed later.
    sed -e "s,^ExecStart=[^ ]*,ExecStart=$gaveld," -e '/^Documentation=/d' "$build/contrib/systemd/$unit" >"$dir/$unit"
    systemd-analyze verify "$dir/$unit" >"$dir/verify" 2>&1 || fail "$unit: $(cat "$dir/verify")"
    if grep -q gaveld "$dir/verify"; then fail "$unit: $(cat "$dir/verify")"; fi
    grep -qxF "ExecStart=$(env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL make -s -C "$build" print-sbindir)/gaveld \
--config /etc/gavel/$([ $unit = gaveld.service ] && echo gavel || echo %i).ini" "$build/contrib/systemd/$unit" \
        || fail "$unit starts something else"
done
echo "ExecStart=/nowhere/at/all --x" | sed '1i [Service]' >"$dir/broken.service"
if systemd-analyze verify "$dir/broken.service" >/dev/null 2>&1; then fail "systemd-analyze finds everything good"; fi

# ---- the system calls
# members GROUP: the calls of a group, those of the groups in it as well.
members()
{
    systemd-analyze --no-pager syscall-filter "$1" </dev/null | sed -n 's/^ \{4,\}\([@a-z0-9_-]*\)$/\1/p' \
        | while read -r name; do
        case $name in @*) members "$name" ;; *) echo "$name" ;; esac
    done
}

if ! command -v strace >/dev/null || ! strace -o /dev/null true 2>/dev/null; then
    echo "no strace that works here: the system calls are not compared"
elif grep -q -E '__(asan|tsan)_init' "$gaveld"; then
    echo "a sanitizer is in this build: the system calls are not compared"
else
    unit=$build/contrib/systemd/gaveld.service
    sed -n 's/^SystemCallFilter=//p' "$unit" | grep -v '^~' | tr ' ' '\n' | while read -r g; do members "$g"; done \
        | sort -u >"$dir/listed"
    sed -n 's/^SystemCallFilter=~//p' "$unit" | tr ' ' '\n' | while read -r g; do members "$g"; done \
        | sort -u >"$dir/taken"
    comm -23 "$dir/listed" "$dir/taken" >"$dir/allowed"
    for call in read write fdatasync sendmsg pwritev2; do
        grep -qx $call "$dir/allowed" || fail "the lists of the units make no sense: no $call in them"
    done
    # Refused by the units and asked for by a node or its C library: it must do without.
    without=prlimit64
    transport=websocket scheme=ws
    [ -e "$GAVEL_PLUGIN_DIR/gavel-websocket-transport.so" ] || transport=tcp scheme=tcp
    printf '[node]\nname = a\ndata_dir = %s/data\n[cluster]\nmembers = a=%s://localhost:1\n' "$dir" $scheme >"$dir/a.ini"
    printf '[transport.main]\nplugin = %s\nlisten = %s://localhost:0\n' $transport $scheme >>"$dir/a.ini"
    printf '[statemachine.counter]\n[statemachine.workflow]\n[snapshot]\nsnapshot_log_min = 0\n' >>"$dir/a.ini"
    printf '[observer.log]\noutput = %s/log\n' "$dir" >>"$dir/a.ini"
    for round in 1 2; do # the second one restores what the first one left
        strace -f -qq -o "$dir/trace.$round" -e inject=$without:error=EPERM "$gaveld" --config "$dir/a.ini" \
            2>"$dir/errors" &
        pid=$!
        timeout 60 bash -c 'until grep -q "Leader elected" "$1" 2>/dev/null; do read -rt 0.05 <> <(:) || :; done' - \
            "$dir/log" || { fail "no leader with the calls of the units: $(cat "$dir/errors" "$dir/log")"; break; }
        uri=$(sed -n 's/.*Listening on \([^ ]*\).*/\1/p' "$dir/log" | tail -n 1)
        "$build/core/cli/gavel" -e "$uri" -t 30s set color blue >"$dir/out" 2>&1 || fail "a write: $(cat "$dir/out")"
        "$build/core/cli/gavel" -e "$uri" -t 30s get color >"$dir/out" 2>&1 || fail "a read: $(cat "$dir/out")"
        "$build/core/cli/gavel" --data-dir "$dir/data" -t 30s snapshot >"$dir/out" 2>&1 \
            || fail "a snapshot: $(cat "$dir/out")"
        # A reload that loads a plugin anew: the serializer changes each time.
        sed -i -e '/^\[serializer\]/,$d' "$dir/a.ini"
        printf '[serializer]\nplugin = %s\n' "$([ $round = 1 ] && echo json, msgpack || echo msgpack)" >>"$dir/a.ini"
        "$build/core/cli/gavel" --data-dir "$dir/data" -t 60s reload >"$dir/out" 2>&1 || fail "a reload: $(cat "$dir/out")"
        "$build/core/cli/gavel" --data-dir "$dir/data" -t 30s stop >"$dir/out" 2>&1 || fail "a stop: $(cat "$dir/out")"
        wait "$pid" || fail "the node left with $?"
        pid=
        rm -f "$dir/log"
    done
    sed -n 's/^[0-9]* *\([a-z0-9_]*\)(.*/\1/p' "$dir"/trace.* | sort -u >"$dir/used"
    calls=$(wc -l <"$dir/used")
    [ "$calls" -gt 20 ] || fail "the trace has only $calls calls"
    comm -23 "$dir/used" "$dir/allowed" | grep -vxF $without | while read -r call; do
        # execve is systemd's own here: it sets the filter and executes.
        [ "$call" = execve ] || echo "$call"
    done >"$dir/beyond"
    [ ! -s "$dir/beyond" ] || fail "calls that the units refuse: $(paste -sd' ' "$dir/beyond")"
fi
[ "$failed" = 0 ] && echo "units: two, at most $most; kinds of system calls of a life: $calls"
exit "$failed"
