#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# bugs.sh [--record] [NAME...]: the seeded bugs that the simulator must find, each in a run of its own.
#
#   bugs.sh             runs each bug of bugs.txt (or those named) with its recorded seed. It must fail there, by the
#                       invariant that the table names, and the same seed must pass without the bug. Where a change has
#                       moved the seed it is looked for again from seed 1 on, which is told (MOVED). A failure is: no
#                       seed finds the bug before all that were run have taken 120 CPU-seconds together (SURVIVED); only
#                       other invariants than the table's fire in that time, or the seed fails without the bug as well
#                       (FAIL); more than ten rows have moved: what the table says of seeds and times is not true then.
#   bugs.sh --record    looks for each from seed 1 on, in that time too, and puts what it found into bugs.txt: by the
#                       invariant that is there, if that fires at all. Each row is put there by itself, by a rename, as
#                       soon as it is known: whoever interrupts it has a whole table, and goes on by naming the rest.
#                       What is not found keeps its row. The header of bugs.txt is kept.
#   bugs.sh --help      this
#
# Run in a build directory that was configured with --enable-seeded-bugs, after `make tests/sim/gavel-sim`. BUGS=FILE
# takes another table, SECONDS_MAX=N another limit of CPU-seconds a bug, MOVED_MAX=N another one of moved rows.
set -u
here=$(cd "$(dirname "$0")" && pwd)
table=${BUGS:-$here/bugs.txt}
limit=${SECONDS_MAX:-120}
moved_max=${MOVED_MAX:-10}
sim=tests/sim/gavel-sim
mode=check
case ${1:-} in
    --record) mode=record; shift ;;
    --help | -h) sed -n '3,21s/^# \{0,1\}//p' "$0"; exit 0 ;;
    -*) sed -n '3,21s/^# \{0,1\}//p' "$0" >&2; exit 64 ;;
esac
unset GAVEL_BUG

if [ ! -x "$sim" ]; then
    echo "bugs: there is no $sim here: run me in a build directory, after 'make tests/sim/gavel-sim'"
    exit 1
fi
if ! "$sim" --about | grep -q 'seeded-bugs=yes'; then
    echo "bugs: this build has no seeded bugs (configure --enable-seeded-bugs)"
    exit 77
fi
work=$(mktemp -d)
child=''
trap 'rm -rf "$work" "$table.new.$$"' EXIT
trap '[ -z "$child" ] || kill "$child" 2>/dev/null; exit 130' INT TERM HUP

# play OPTION...: one run of the simulator, into $work/out. Not in the foreground, where a shell would not hear that it
# is to end before the run has.
play()
{
    timeout -k 5 $((limit * 10)) "$sim" "$@" --jobs 1 >"$work/out" 2>&1 &
    child=$!
    wait "$child"
    status=$?
    child=''
    return $status
}

# cpu_of: the CPU-seconds that the last play told of; nothing when it told of none.
cpu_of() { sed -n -e 's/.* \([0-9][0-9.]*\) CPU-seconds, .*/\1/p' "$work/out" | tail -n 1; }

# look BUG WORLD SEEDS WANTED: sets seed, invariant, place and cpu. What is behind the @ of a bug's name tells its rows
# apart. The world "scenes" is the enumerating mode, which knows no seeds: there all that fails is looked at.
look()
{
    seed='' invariant='' place='' before=0
    # shellcheck disable=SC2046 # a list of options
    if [ "$2" = scenes ]; then
        play --enumerate all --every 20 --failures 1 --bug "${1%@*}"
        if ! grep -q "^FAILED seed [0-9]*: $4: " "$work/out" && grep -q '^FAILED seed' "$work/out"; then
            before=$(cpu_of)
            play --enumerate all --every 20 --failures 0 --bug "${1%@*}"
        fi
    else
        play --seeds "$3" --seconds 60 $("$here/worlds.sh" --options "$2") --failures 1 --bug "${1%@*}"
    fi
    cpu=$(awk -v a="$before" -v b="$(cpu_of)" 'BEGIN { print b == "" ? "" : a + b }')
    line=$(grep -m 1 "^FAILED seed [0-9]*: $4: " "$work/out" || grep -m 1 '^FAILED seed' "$work/out")
    [ -n "$line" ] || return 1
    seed=$(echo "$line" | sed 's/^FAILED seed \([0-9]*\).*/\1/')
    invariant=$(echo "$line" | sed 's/^FAILED seed [0-9]*: \([^:]*\).*/\1/')
    place=$(grep -F -A 2 "$line" "$work/out" | sed -n 's/.*--enumerate \([a-z-]*\):.*/\1/p' | head -n 1)
}

# Seeds one block after the other, and behind each one that fails by another invariant than wanted ("-": any is), so that
# the CPU-seconds of all of them add up to the limit; a play is a hundredth at the least, so that it is come to. False: not
# found; then `other` is the invariant that fired, if any.
find_bug()
{
    first=1 all=0 other=''
    while awk -v all="$all" -v limit="$limit" 'BEGIN { exit !(all < limit) }'; do
        if look "$1" "$2" "$first..$((first + 49))" "$3"; then first=$((seed + 1)); else first=$((first + 50)); fi
        all=$(awk -v a="$all" -v b="${cpu:-$limit}" 'BEGIN { printf "%.3f", a + (b < 0.01 ? 0.01 : b) }')
        spent=$(awk -v all="$all" 'BEGIN { printf "%.1f", all }')
        awk -v all="$all" -v limit="$limit" 'BEGIN { exit !(all <= limit) }' || break
        if [ -n "$seed" ]; then
            [ "$3" != - ] && [ "$invariant" != "$3" ] || return 0
            [ -n "$other" ] || other="$seed $spent ${place:--} $invariant"
        fi
        [ "$2" != scenes ] || break
    done
    return 1
}

# is_clean: whether what has just been found, a seed or a scene, passes without the bug. Once for each.
is_clean()
{
    which=clean-$world-${place:-$seed}
    [ ! -e "$work/$which" ] || return 0
    # shellcheck disable=SC2046 # a list of options
    if [ "$world" = scenes ]; then set -- --enumerate "$place" --every 20
    else set -- --seed "$seed" --seconds 60 $("$here/worlds.sh" --options "$world"); fi
    if play "$@"; then
        touch "$work/$which"
        return 0
    fi
    why=$(sed -n 's/^FAILED seed [0-9]*: //p' "$work/out" | head -n 1)
    echo "FAIL $bug: ${place:-seed $seed} of the world $world does not pass without the bug: ${why:-$(tail -n 1 "$work/out")}"
    return 1
}

# record BUG SEED CPU INVARIANT: into its row. Several may do so at the same time.
record()
{
    (
        flock 9
        awk -v bug="$1" -v seed="$2" -v cpu="$3" -v invariant="$4" '
            $1 == bug { $0 = sprintf("%-30s %-9s %5s %8s   %s", $1, $2, seed, cpu, invariant) }
            { print }' "$table" >"$work/table" && cp "$work/table" "$table.new.$$" && mv -f "$table.new.$$" "$table"
    ) 9<"$(dirname "$table")"
}

# One row, with what has been found about it. What is told begins with one of the words of the usage above.
check_bug()
{
    if awk -v took="$took" -v limit="$limit" 'BEGIN { exit !(took > limit) }'; then
        echo "FAIL $bug: the table says that it took $took CPU-seconds: $limit are the limit"
    elif [ "$recorded" != - ] && look "$bug" "$world" "$recorded..$recorded" "$wanted" && [ "$invariant" = "$wanted" ]; then
        spent=$took
    else
        was=${invariant:-no invariant}
        find_bug "$bug" "$world" "$wanted" || {
            if [ -n "$other" ]; then echo "FAIL $bug: $wanted did not fire in $limit CPU-seconds, but: ${other#* * * }"
            else echo "SURVIVED $bug: no seed in $limit CPU-seconds"; fi
            return 1
        }
        moved=$((moved + 1))
        echo "MOVED $bug: in seed $recorded $was fires, in seed $seed $invariant, after $spent CPU-seconds (bugs.sh --record $bug)"
    fi
    [ -n "$seed" ] || return 1
    is_clean || return 1
    echo "caught $bug: ${place:-seed $seed}, $invariant"
}

record_bug()
{
    find_bug "$bug" "$world" "$wanted" || {
        [ -n "$other" ] || { echo "SURVIVED $bug: no seed in $limit CPU-seconds; its row is kept"; return 1; }
        # shellcheck disable=SC2086 # words
        set -- $other
        seed=$1 spent=$2 place=${3#-} invariant=${other#* * * }
        echo "recorded $bug by another invariant: $wanted did not fire in $limit CPU-seconds, but: $invariant"
    }
    is_clean && record "$bug" "$seed" "$spent" "$invariant" || return 1
    echo "recorded $bug: seed $seed, $spent CPU-seconds, $invariant"
}

wrong=0 count=0 moved=0
while read -r bug world recorded took wanted <&3; do
    case $bug in '#'* | '') continue ;; esac
    [ $# -eq 0 ] || case " $* " in *" $bug "*) ;; *) continue ;; esac
    count=$((count + 1)) seed='' invariant='' place=''
    "${mode}_bug" || wrong=$((wrong + 1))
done 3<"$table"
[ $mode = record ] && echo "bugs: $count, $wrong not recorded" ||
    echo "bugs: $count, $wrong failed, $moved by another seed than recorded"
if [ "$moved" -gt "$moved_max" ]; then
    echo "bugs: FAIL: more than $moved_max rows have moved; bugs.sh --record NAME... for each that says MOVED"
    exit 1
fi
[ "$wrong" -eq 0 ] && [ "$count" -gt 0 ]
