#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# lies.sh: nothing that the simulator watches is watched in name only. Each invariant is violated in a whole world, by a
# seeded bug (bugs.txt) or by a lie (lies.c), or in what clients are told (load_test.c), and is the one that fires; each
# total of a run has a floor (floors.txt, correlated.txt, or worlds.sh what happens in one of its worlds only). Then the
# lies are told.
set -u
here=$(cd "$(dirname "$0")" && pwd)
sim=${top_builddir:?run by make check}/tests/sim/gavel-sim
bad=0
complain() { echo "lies: $*"; bad=$((bad + 1)); }

# Of the simulator's own mistakes, not of what it watches; and "hang", which only a processor limit sees.
own='enumerate|lies|load|machine|progress|protocol'

# What is given to sim_fail or differs, wherever the line was broken.
fired=$(cat "$here"/{oracle*,load*,fate*,guard,sim,run}.c | grep -v '^[a-z]' | tr '\n' ' ' \
    | grep -oE '(sim_fail|differs)\([^"%;]*"[^"]+"' | sed 's/.*"\(.*\)"$/\1/' | grep -v '%' | sort -u)
violated=$({
    sed -nE 's/^[a-z][^ ]* +[a-z]+ +[0-9]+ +[0-9.]+ +//p' "$here/bugs.txt"
    sed -nE 's/^    \{"([^"]+)".*/\1/p' "$here/lies.c"
    grep -oE 'fires\("[^"]+"' "$here/load_test.c" | sed 's/.*"\(.*\)"/\1/'
} | sort -u)
[ "$(echo "$fired" | wc -l)" -gt 30 ] || complain "only $(echo "$fired" | wc -l) invariants were found in the sources"
while read -r name; do
    echo "$violated" | grep -qxF "$name" || complain "no seeded bug, lie or planted answer violates: $name"
done < <(echo "$fired" | grep -vxE "$own")
while read -r name; do
    echo "$fired" | grep -qxF "$name" || complain "nothing watches: $name"
done < <(echo "$violated" | grep -vx crash)

# README.md says how many these are, to the ten below, and as many promises as the page.
readme=$here/../../README.md
watched=$(echo "$fired" | grep -cvxE "$own")
said=$(sed -nE 's/.*after every event at least ([0-9]+) invariants.*/\1/p' "$readme")
[ "${said:-0}" = $((watched / 10 * 10)) ] || complain "README.md speaks of ${said:-no} invariants; there are $watched"
promises=$(sed -n '/^## What gavel promises$/,/^## Limits$/p' "$readme" | grep -cE '^[0-9]+\. ')
page=$(sed -n '/^\.Sh PROMISES$/,/^\.Sh FAULT MODEL$/p' "$here/gavel-reliability.7" | grep -c '^\.It$')
[ "$promises" = "$page" ] || complain "README.md has $promises promises, gavel-reliability(7) $page"

# Of the guarded functions each one is called.
guarded=$(sed -nE 's/^    NEXT\([a-z0-9_]+, ([a-z0-9_]+)\)$/\1/p; s/^    forbidden\("([a-z_]+)"\);$/\1/p' "$here/guard.c")
[ "$(echo "$guarded" | wc -l)" -gt 20 ] || complain "only $(echo "$guarded" | wc -l) guarded functions were found"
while read -r name; do
    grep -q "^    CALL($name),$" "$here/lies.c" || complain "no lie calls $name, which is guarded"
done <<<"$guarded"

# Of the bounds each one: a lie says a part of its sentence.
over=$(sed -nE 's/^    \{"bounded resources", "([^"]+)".*/\1/p' "$here/lies.c")
bounds=$(grep -oE 'oracle_bound\(oracle, memory, "[^"]+"' -h "$here"/oracle*.c | sed 's/.*"\(.*\)"$/\1/')
[ "$(echo "$bounds" | wc -l)" -gt 10 ] || complain "only $(echo "$bounds" | wc -l) bounds were found in the sources"
while read -r bound; do
    while IFS= read -r says; do
        case "1 $bound," in *"$says"*) continue 2 ;; esac
    done <<<"$over"
    complain "no lie passes the bound of: $bound"
done <<<"$bounds"

floors=$(cat "$here"/{floors,correlated}.txt; for world in $("$here/worlds.sh" --list); do "$here/worlds.sh" --floors "$world"; done)
for total in $(sed -n '/define SIM_TOTALS/,/[^\\]$/p' "$here/sim.h" | grep -oE 'X\([a-z_]+\)' | sed 's/X(\(.*\))/\1/'); do
    [ "$total" = name ] || echo "$floors" | grep -q "^$total [1-9]" || complain "the total $total has no floor"
done

# Nor is a floor one that comes to nothing in make check's seeds: it says that it is for longer ones only.
seeds=$(sed -nE 's/.*\*\) count=([0-9]+).*/\1/p' "$here/seeds.sh")
seconds=$(sed -nE 's/.*GAVEL_SIM_SECONDS:-([0-9]+).*/\1/p' "$here/seeds.sh")
share=$(sed -nE 's/.*--share ([0-9]+).*/\1/p' "$here/seeds.sh")
while read -r total least from; do
    case $total$least in '#'* | *%) continue ;; esac
    [ "${from:-0}" -le "$seconds" ] || continue
    [ $((least * seeds * seconds * share / 100 / 300000)) -ge 1 ] || complain "the floor of $total comes to 0 in make check"
done <"$here/floors.txt"

case $("$sim" --about) in
    *sanitizer=thread*) [ $bad = 0 ] || exit 1; echo "the simulator has one thread only"; exit 77 ;;
esac
"$sim" --lies || bad=$((bad + 1))
[ $bad = 0 ] && echo "$(echo "$fired" | wc -l) invariants, each seen to fire"
[ $bad = 0 ]
