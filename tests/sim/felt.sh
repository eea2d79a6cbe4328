#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# felt.sh: a pause in which nothing was due, a jump of a clock that nobody read and the loss of an empty disk count for
# nothing, all others do. (partition_test sees to partitions.)
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/this-build.sh"
work=$(mktemp)
trap 'rm -f "$work"' EXIT
bad=0
calm=$(for class in delay loss clog partition reset refuse rot misdirect disk-error disk-full crash stop stall pause clock \
    wipe members; do echo "--set $class=off"; done)

# compare TOTAL LINE LEAST MOST OPTION...: of those that the trace tells of (LINE) so many of a hundred are counted.
compare()
{
    local total=$1 line=$2 least=$3 most=$4 seed drawn=0 felt=0
    shift 4
    for seed in 1 2 3; do
        # shellcheck disable=SC2086 # a list of options
        "$sim" --trace --seed $seed --seconds 15 $calm --set nodes=5 "$@" >"$work" || { bad=$((bad + 1)); tail -n 3 "$work"; }
        drawn=$((drawn + $(grep -c "$line" "$work" || true)))
        felt=$((felt + $(sed -nE "s/.* $total +([0-9]+).*/\\1/p" "$work" | tail -n 1)))
    done
    echo "$total: $felt of $drawn"
    [ $drawn -ge 10 ] && [ $((felt * 100)) -ge $((drawn * least)) ] && [ $((felt * 100)) -le $((drawn * most)) ] && return
    echo "felt: $total $*: not between $least and $most of a hundred"
    bad=$((bad + 1))
}

compare pauses 'paused until' 5 60 --set pause_per_hour=3600 --set pause_ms=1
compare pauses 'paused until' 61 100 --set pause_per_hour=1800 --set pause_ms=10000
compare clock_jumps 'wall clock jumps' 20 95 --set jump_per_hour=3600 --set rate=1 --set clients=1
compare wipes 'its disk is lost' 50 99 --set wipe_per_hour=14400
[ $bad = 0 ]
