#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# sim-speed.sh: how fast the simulator is, in events and simulated seconds a CPU-second, one process at a time.
#
#   tests/bench/sim-speed.sh [ROUNDS [SIMULATOR]]     (3 rounds of ./tests/sim/gavel-sim; run by hand)
#   tests/bench/sim-speed.sh --tuned [ROUNDS]         of one that gcc has tuned by a profile of itself, which is made
#                                                     first, in ./tuned: three or four minutes
#   tests/bench/sim-speed.sh --least EVENTS SECONDS   fails unless, where nothing happens, so many events and simulated
#                                                     seconds a CPU-second are made in one of three rounds
#
# Three loads: the swarm as it is drawn, five nodes at 100 operations a second with all that the swarm has happen, and
# the same with nothing of it; all with every check. The median of the rounds is the figure, and the spread is shown. Where
# valgrind is at hand its count of instructions is told too, which no neighbour changes.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd -P)
tuned=no least=()
[ "${1:-}" != --tuned ] || { tuned=yes; shift; }
if [ "${1:-}" = --least ]; then
    least=("${2:?EVENTS}" "${3:?SECONDS}")
    shift 3
fi
rounds=${1:-3}
sim=${2:-tests/sim/gavel-sim}
seeds=1..20 seconds=100

# tune: builds it, has it write a profile of some seeds that are not measured, and builds it again with that. Hardening is
# off, and files are compiled together (-flto): this is not what make install installs. event.c is compiled by itself,
# since gcc would inline event_applied before the linker puts the oracle's in its place.
tune()
{
    set -e
    local flags="-g -O3 -flto=auto" use="-fprofile-use -fprofile-correction -Wno-missing-profile" jobs
    jobs=$(nproc)
    mkdir -p tuned
    cd tuned
    "$root/configure" --disable-hardening AR=gcc-ar RANLIB=gcc-ranlib NM=gcc-nm \
        CFLAGS="$flags -fprofile-generate -fprofile-update=single"
    find . -name '*.gcda' -delete
    drop_objects
    make core/node/event.lo CFLAGS="$flags -fno-lto -fprofile-generate -fprofile-update=single"
    make -j"$jobs" tests/sim/gavel-sim
    tests/sim/gavel-sim --seeds 201..212 --minutes 1
    # shellcheck disable=SC2046 # a list of words
    tests/sim/gavel-sim --seeds 213..214 --minutes 1 --set nodes=5 --set clients=16 $(alone tests/sim/gavel-sim)
    [ -n "$(find . -name '*.gcda' -print -quit)" ]
    drop_objects
    make core/node/event.lo CFLAGS="$flags $use -fno-lto"
    make -j"$jobs" tests/sim/gavel-sim CFLAGS="$flags $use"
}

# drop_objects: make clean would take the profile with them.
drop_objects() { find . \( -name '*.o' -o -name '*.lo' -o -name '*.a' -o -path ./tests/sim/gavel-sim \) -delete; }

# alone SIMULATOR: the options that switch off every class of misfortune and of operators' doings which it knows.
alone()
{
    "$1" --help | awk '$4 == ".." && $2 != "none" && !($2 in seen) { seen[$2]; printf "--set %s=off ", $2 } END { print "" }'
}

if [ $tuned = yes ]; then
    set +e # an || here would switch it off within, too
    (tune) >sim-speed.log 2>&1
    status=$?
    set -e
    [ $status = 0 ] || { tail -n 20 sim-speed.log >&2; exit 1; }
    sim=tuned/tests/sim/gavel-sim
fi
[ -x "$sim" ] || { echo "sim-speed.sh: no $sim here: run it in a build directory, after make check TESTS=" >&2; exit 1; }
case $("$sim" --about) in *sanitizer=none*) ;; *) echo "a build with sanitizers: these are not its figures" ;; esac

# once OPTIONS...: events and simulated seconds a CPU-second, operations a simulated second
once()
{
    "$sim" --seeds "$seeds" --seconds "$seconds" --jobs 1 "$@" | awk '
        / seeds, / { simulated = $3 }
        { for (i = 1; i < NF; i++) if ($i == "acknowledged" || $i == "reads") answered += $(i + 1) }
        /events a CPU-second/ { print $1, $5, answered / simulated }'
}

# measure NAME OPTIONS...
measure()
{
    local name=$1 round
    shift
    for ((round = 0; round < rounds; round++)); do once "$@"; done | sort -n | awk -v name="$name" '
        { events[NR] = $1; simulated[NR] = $2; answered = $3 }
        END { printf "%-36s %7d events, %4d simulated seconds a CPU-second (%d to %d, %d to %d), %d operations a second\n",
              name, events[int((NR + 1) / 2)], simulated[int((NR + 1) / 2)], events[1], events[NR], simulated[1],
              simulated[NR], answered }'
}

# count NAME OPTIONS...: of one seed
count()
{
    local name=$1 out
    shift
    out=$(valgrind --tool=callgrind --callgrind-out-file=/dev/null "$sim" --seed 3 --seconds 20 --inside "$@" 2>&1)
    awk -v name="$name" '
        $1 == "events" { events = $2 }
        /refs:/ { gsub(",", ""); instructions = $NF }
        END { printf "%-36s %7d instructions an event (seed 3)\n", name, instructions / events }' <<<"$out"
}

# Of what is begun some naps take away, and what is refused or lost: rates of which some 100 are answered.
load=(--set nodes=5 --set clients=16 --set rate=130)
calm=(--set nodes=5 --set clients=16 --set rate=115)
read -r -a alone < <(alone "$sim")
[ ${#alone[@]} -gt 0 ] || { echo "sim-speed.sh: no table of options in $sim --help" >&2; exit 1; }
if [ ${#least[@]} -gt 0 ]; then # no neighbour makes it faster than it is: one good round is enough
    for round in 1 2 3; do
        read -r events simulated _ < <(once "${calm[@]}" "${alone[@]}")
        echo "round $round: $events events, $simulated simulated seconds a CPU-second"
        if [ "$events" -ge "${least[0]}" ] && [ "$simulated" -ge "${least[1]}" ]; then exit 0; fi
    done
    echo "sim-speed.sh: slower than ${least[0]} events and ${least[1]} simulated seconds a CPU-second in each round" >&2
    exit 1
fi
measure "the swarm"
measure "5 nodes, 100 operations a second" "${load[@]}"
measure "the same, and nothing happens" "${calm[@]}" "${alone[@]}"
command -v valgrind >/dev/null || exit 0
count "the swarm"
count "5 nodes, 100 operations a second" "${load[@]}"
