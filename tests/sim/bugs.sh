#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# bugs.sh [--find] [NAME...]: the seeded bugs that the simulator must find, each in a run of its own.
#
#   bugs.sh           runs each bug of bugs.txt with its recorded seed, which must fail. A seed that another change has
#                     moved is looked for again from seed 1 on; a bug that no seed finds within its time has survived.
#   bugs.sh --find    looks for all of them from seed 1 on, and prints the table anew
#
# Run in a build directory that was configured with --enable-seeded-bugs, after `make tests/sim/gavel-sim`. BUGS=FILE
# takes another table, SECONDS_MAX=N another limit of CPU-seconds a bug.
set -u
here=$(cd "$(dirname "$0")" && pwd)
table=${BUGS:-$here/bugs.txt}
limit=${SECONDS_MAX:-120}
sim=tests/sim/gavel-sim
mode=check
[ "${1:-}" != --find ] || { mode=find; shift; }
unset GAVEL_BUG

if [ ! -x "$sim" ]; then
    echo "bugs: there is no $sim here: run me in a build directory, after 'make tests/sim/gavel-sim'"
    exit 1
fi
if "$sim" --seed 1 --seconds 1 --bug none 2>&1 | grep -q 'no seeded bugs'; then
    echo "bugs: this build has no seeded bugs (configure --enable-seeded-bugs)"
    exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# run BUG WORLD SEEDS: sets seed, invariant and cpu. What is behind the @ of a bug's name tells its rows apart. The world
# "scenes" is the enumerating mode, which knows no seeds.
run()
{
    seed='' invariant=''
    # shellcheck disable=SC2046 # a list of options
    if [ "$2" = scenes ]; then
        set -- "$1" "$2" --enumerate all --every 20
    else
        set -- "$1" "$2" --seeds "$3" --seconds 60 $("$here/worlds.sh" --options "$2")
    fi
    bug_name=${1%@*}
    shift 2
    timeout -k 5 $((limit * 10)) "$sim" "$@" --jobs 1 --failures 1 --bug "$bug_name" >"$work/out" 2>&1
    line=$(grep -m 1 '^FAILED seed' "$work/out")
    cpu=$(sed -n 's/.* \([0-9][0-9.]*\) CPU-seconds, .*/\1/p' "$work/out" | tail -n 1)
    [ -n "$line" ] || return 1
    seed=$(echo "$line" | sed 's/^FAILED seed \([0-9]*\).*/\1/')
    invariant=$(echo "$line" | sed 's/^FAILED seed [0-9]*: \([^:]*\).*/\1/')
}

row() { printf '%-30s %-9s %5s %8s   %s\n' "$1" "$2" "$3" "$4" "$5"; }

# Seeds by the block, so that the CPU-seconds of all blocks add up to the limit.
find_bug()
{
    first=1 spent=0
    while [ "$spent" -lt "$limit" ]; do
        if run "$1" "$2" "$first+50"; then
            cpu=$(awk -v a="$spent" -v b="${cpu:-0}" 'BEGIN { printf "%.1f", a + b }')
            return 0
        fi
        spent=$(awk -v a="$spent" -v b="${cpu:-$limit}" 'BEGIN { printf "%d", a + b + 0.99 }')
        first=$((first + 50))
    done
    return 1
}

survived=0 count=0 moved=0
[ $mode = check ] || grep '^#' "$table"
while read -r bug world recorded _ wanted; do
    case $bug in '#'* | '') continue ;; esac
    [ $# -eq 0 ] || case " $* " in *" $bug "*) ;; *) continue ;; esac
    count=$((count + 1))
    if [ $mode = check ] && [ "$recorded" != - ] && run "$bug" "$world" "$recorded..$recorded"; then
        [ "$invariant" = "$wanted" ] && echo "caught $bug: seed $seed, $invariant" ||
            echo "caught $bug: seed $seed, $invariant (the table says: $wanted)"
    elif find_bug "$bug" "$world"; then
        moved=$((moved + 1))
        if [ $mode = find ]; then row "$bug" "$world" "$seed" "$cpu" "$invariant"
        else echo "caught $bug: seed $seed after $cpu CPU-seconds, $invariant (the table says seed $recorded)"; fi
    else
        survived=$((survived + 1))
        if [ $mode = find ]; then row "$bug" "$world" - - -; else echo "SURVIVED $bug: no seed in $limit CPU-seconds"; fi
    fi
done <"$table"
[ $mode = check ] || exit "$((survived > 0))"
echo "bugs: $count, $survived not found, $moved by another seed than recorded"
[ "$survived" -eq 0 ] && [ "$count" -gt 0 ]
