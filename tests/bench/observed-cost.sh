#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# observed-cost.sh [--pairs N] [--seconds S] [--connections N] [--limit PERCENT] registry | OBSERVER...
# What being observed costs: the CPU time of a node for one put, in alternated pairs (11), as the median of the pairs'
# differences with the interval that holds it in 95 of 100 cases. Of 11 pairs that is from the 2nd to the 10th.
#
#   registry      the registry of metrics off (GAVEL_METRICS=off) against on, with no observer of metrics: at most 1 %
#   OBSERVER...   none against all of these: sections of the INI file by plugin, with keys behind commas, as
#                 "otlp,endpoint=http://127.0.0.1:4318" prometheus,listen=127.0.0.1:0: at most 3 %
#
# One connection by default: with several, what a put costs depends on how many share a batch, and that on the disk.
#
# Not in make check: it measures. Exits 1 when the whole interval lies above the limit.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
build=${top_builddir:-$here/../../build/normal}
gaveld=$build/core/host/gaveld gavel=$build/core/cli/gavel
export GAVEL_PLUGIN_DIR=${GAVEL_PLUGIN_DIR:-$build/tests/plugindir}
pairs=11 seconds=2 limit= connections=1
while [ $# -gt 0 ]; do
    case $1 in
        --pairs) pairs=$2; shift 2 ;;
        --seconds) seconds=$2; shift 2 ;;
        --limit) limit=$2; shift 2 ;;
        --connections) connections=$2; shift 2 ;;
        *) break ;;
    esac
done
[ $# -gt 0 ] || {
    echo "usage: observed-cost.sh [--pairs N] [--seconds S] [--connections N] [--limit PERCENT] registry | OBSERVER..."
    exit 64
}
dir=$(mktemp -d)
pid=
cleanup() { [ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$dir"; }
trap cleanup EXIT

# nanoseconds PID: of CPU time, all threads.
nanoseconds() { cat /proc/"$1"/task/*/schedstat | awk '{ sum += $1 } END { printf "%.0f\n", sum }'; }

# once on|off WHAT...: CPU nanoseconds of the node for one put.
once()
{
    local mode=$1 section before after puts number=0
    shift
    rm -rf "$dir/data" && mkdir -p "$dir"
    {
        printf '[node]\nname = n\ndata_dir = %s/data\n[cluster]\nmembers = n=unix://%s/s\n' "$dir" "$dir"
        printf '[transport.main]\nplugin = tcp\nlisten = unix://%s/s\n[statemachine.workflow]\n' "$dir"
        printf '[observer.log]\n'
        for section in "$@"; do
            [ "$mode" = on ] && [ "$section" != registry ] || continue
            number=$((number + 1))
            printf '[observer.o%d]\nplugin = %s\n' "$number" "${section%%,*}"
            case $section in *,*) tr , '\n' <<<"${section#*,}" ;; esac
        done
    } >"$dir/n.ini"
    "$gaveld" --check-config --config "$dir/n.ini" >/dev/null || exit 78
    if [ "$1" = registry ] && [ "$mode" = off ]; then
        GAVEL_METRICS=off "$gaveld" --config "$dir/n.ini" >"$dir/log" 2>&1 &
    else
        "$gaveld" --config "$dir/n.ini" >"$dir/log" 2>&1 &
    fi
    pid=$!
    "$gavel" -e "unix://$dir/s" -t 30s set ready 1 >/dev/null || { cat "$dir/log" >&2; exit 1; }
    "$gavel" -e "unix://$dir/s" bench -c "$connections" -s 1 >/dev/null || { cat "$dir/log"; exit 1; }
    before=$(nanoseconds "$pid")
    "$gavel" -e "unix://$dir/s" bench -c "$connections" -s "$seconds" >"$dir/bench"
    after=$(nanoseconds "$pid")
    puts=$(sed -n "s/.* \([0-9]*\) done,.*/\1/p" "$dir/bench" | head -n 1)
    [ -n "$puts" ] || { echo "gavel bench says no number of requests:"; cat "$dir/bench"; exit 1; }
    kill "$pid" && wait "$pid" || true
    pid=
    echo $(((after - before) / puts))
}

: >"$dir/pairs"
for ((i = 0; i < pairs; i++)); do
    for mode in $( ((i % 2)) && echo on off || echo off on); do
        cost=$(once "$mode" "$@") || exit
        if [ "$mode" = on ]; then on=$cost; else off=$cost; fi
    done
    echo "$off $on" >>"$dir/pairs"
    echo "pair $((i + 1)): $off ns a put without, $on ns with"
done
[ -n "$limit" ] || { if [ "$1" = registry ]; then limit=1; else limit=3; fi; }
awk '{ print 100 * ($2 - $1) / $1 }' "$dir/pairs" | sort -g | awk -v limit="$limit" '
    { at[NR] = $1 }
    END {
        low = NR > 10 ? int((NR - 1.96 * sqrt(NR)) / 2) : 1   # the sign test
        if (low < 1) low = 1
        high = NR + 1 - low
        printf "median %+.2f %%, from %+.2f to %+.2f %%, limit %s %%\n", at[int((NR + 1) / 2)], at[low], at[high], limit
        exit at[low] > limit
    }'
