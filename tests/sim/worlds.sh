#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# worlds.sh: worlds that are harder than the swarm draws them: some of its rows are fixed at their hard end, so that a
# short life sees much. The worst that gavel-sim has found, it found in these.
#
#   worlds.sh FIRST..LAST [WORLD...]    these seeds, a simulated minute each, in each world (or in those named); a line
#                                       for each: PASS or FAIL, with what failed. Ten seeds or more must also have met
#                                       what the world is made for, by its floors.
#   worlds.sh --list                    their names
#   worlds.sh --options WORLD           what gavel-sim is given for it
#   worlds.sh --floors WORLD            what it must have met; as floors.txt, for 1,000 seeds of five minutes
#
# Run in a build directory, after `make tests/sim/gavel-sim`. JOBS=N: seeds at the same time; LEDGER=FILE: a line for each
# world there.
set -u
sim=tests/sim/gavel-sim
all='hard members rot restarts disk recycled snapshot settings churn tight tight-rot plain twice stall flip damage'

without() { for class; do echo "--set $class=off"; done; }

options_of()
{
    hard='--set rate=40 --set clients=4 --set crash_per_hour=600 --set down_ms=400 --set partition_per_hour=400
        --set partition_ms=3000'
    small='--set snapshot_entries=50 --set snapshot_log_kib=16 --set trailing_kib=16'
    large='--set snapshot_entries=5000 --set snapshot_log_kib=4096 --set trailing_kib=4096'
    tight='--set cache_kib=16 --set segment_kib=64 --set trailing_kib=64 --set snapshot_log_kib=64'
    broken='--set rate=60 --set disk_error_ppm=2000 --set short_write_ppm=2000 --set crash_per_hour=600 --set down_ms=100'
    case $1 in
        # Clients ask little where it is not about them.
        hard) echo "$hard" ;;
        members) echo "$hard --set members_per_hour=3600 --set sync_us=4000" ;;
        rot) echo "--set rate=40 --set rot_per_hour=60 --set crash_per_hour=600 --set down_ms=100 $large" ;;
        restarts) echo "--set nodes=3 --set rate=100 --set clients=4 --set rot_per_hour=600 --set crash_per_hour=1800
            --set down_ms=50 --set sync_us=20000 --set link_us=20 --set partition_per_hour=0 --set wipe_per_hour=0
            $large" ;;
        disk) echo "$broken" ;;
        recycled) echo "$broken $small --set value_bytes=4000 --set segment_kib=64" ;;
        snapshot) echo "$hard $small --set snapshot_per_hour=600" ;;
        settings) echo "$hard $small --set settings_per_hour=3600" ;;
        churn) echo "$hard --set wipe_per_hour=120 --set members_per_hour=400 --set misdirect_ppm=500
            --set settings_per_hour=1200 --set register_per_hour=1800" ;;
        # Twice, since what is read back again and again is where a settle may forget to look.
        tight) echo "--twice $hard $tight --set value_bytes=8000 --set stall_per_hour=600 --set stall_ms=500" ;;
        tight-rot) echo "$tight --set rate=100 --set value_bytes=4000 --set rot_per_hour=300 --set misdirect_ppm=500
            --set crash_per_hour=600 --set down_ms=1000 --set partition_per_hour=200" ;;
        # Not harder than others, but what is seen in these is seen nowhere else: as the swarm draws it, and each seed twice;
        # a leader whose disk hangs, where nothing else is wrong; states that flip; damage to a majority.
        plain) ;;
        twice) echo "--twice" ;;
        stall) echo "--set nodes=3 --set rate=100 --set stall_per_hour=600 --set stall_ms=5000 --set register_per_hour=0"
            without delay loss clog partition reset refuse rot misdirect disk-error disk-full crash pause clock wipe \
                members stop ;;
        flip) echo "--set nodes=3 --set rate=100 --set clients=4 --set flip_per_hour=3600 --set members_per_hour=0" ;;
        damage) echo "--correlated --set nodes=3 --set rate=100 --set clients=4 --set rot_per_hour=600
            --set crash_per_hour=1800 --set down_ms=50 --set partition_per_hour=0 --set wipe_per_hour=0 $large" ;;
        *) echo "worlds.sh: no such world: $1 (worlds.sh --list)" >&2; return 64 ;;
    esac
}

# A world in which nothing happens passes too. About a third of what was measured.
floors_of()
{
    case $1 in
        hard) echo 'crashes 26000' ;;
        members) echo 'membership_changes 35000' ;;
        rot) echo 'corruptions_found 800' ;;
        restarts) printf '%s\n' 'recoveries 80000' 'refetches 4000' ;;
        disk) echo 'disk_errors 240000' ;;
        recycled) echo 'short_starts 900' ;;
        snapshot) echo 'snapshots_taken 40000' ;;
        settings) echo 'settings_changes 44000' ;;
        churn) echo 'registrations 25000' ;;
        tight) echo 'stalls 7000' ;;
        tight-rot) echo 'refetches 1900' ;;
        stall) echo 'leaders_replaced 700' ;;
        flip) printf '%s\n' 'flips 2500' 'flips_found 2000' ;;
        damage) echo 'corruptions_found 14000' ;;
        plain | twice) echo 'elections 6000' ;;
        *) echo "worlds.sh: no such world: $1 (worlds.sh --list)" >&2; return 64 ;;
    esac
}

case ${1:-} in
    --list) printf '%s\n' $all; exit 0 ;;
    --options) options_of "${2:?a world}"; exit ;;
    --floors) floors_of "${2:?a world}"; exit ;;
    *..*) seeds=$1; shift ;;
    --help | -h) sed -n '3,15s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) sed -n '3,15s/^# \{0,1\}//p' "$0" >&2; exit 64 ;;
esac
[ -x "$sim" ] || { echo "worlds.sh: there is no $sim here: run me in a build directory, after 'make $sim'" >&2; exit 1; }
[ $# -gt 0 ] || set -- $all
out=$(mktemp)
floors=$(mktemp)
trap 'rm -f "$out" "$floors"' EXIT
failed=0
for world; do
    options=$(options_of "$world") || exit
    floors_of "$world" >"$floors" || exit
    low=
    [ $((${seeds#*..} - ${seeds%..*})) -ge 9 ] && low=$floors
    # shellcheck disable=SC2086 # a list of options
    if "$sim" --seeds "$seeds" --seconds 60 ${JOBS:+--jobs "$JOBS"} ${LEDGER:+--ledger "$LEDGER"} \
        ${low:+--floors "$low"} $options >"$out" 2>&1
    then
        echo "PASS: $world: $(sed -n 's/^\([0-9]* seeds, .*\), [0-9]* failures.*/\1/p' "$out")"
    else
        echo "FAIL: $world, seeds $seeds"
        grep -A 2 -E '^(FAILED|FLOOR)' "$out" || tail -n 5 "$out"
        failed=$((failed + 1))
    fi
done
[ $failed = 0 ]
