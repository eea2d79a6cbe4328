#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# bugs-selftest.sh: what bugs.sh says of seeds that have moved, that come too late, that fire something else or that fail
# without the bug, and that its table is whole whenever it is interrupted. The simulator is one of a few lines.
set -u
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/tests/sim"
cat >"$work/tests/sim/gavel-sim" <<'END'
#!/bin/sh
# Each bug NAME-SEED-CPU fires "this rule" in that seed, after CPU-seconds a block.
first=1 last=1 bug=
while [ $# -gt 0 ]; do
    case $1 in
        --about) echo "seeded-bugs=yes"; exit ;;
        --seed) first=$2 last=$2 ;;
        --seeds) first=${2%..*} last=${2#*..} ;;
        --bug) bug=$2 ;;
    esac
    shift
done
seed=$(echo "$bug" | cut -d- -f2) cpu=$(echo "$bug" | cut -d- -f3) rule="this rule"
case $bug in
    '') seed=66 cpu=0 ;;
    hang*) exec sleep 1000 ;;
    quick*) rule="that rule"; seed=$first; cpu=0 ;;
    every*) rule="that rule"; seed=$first ;;
    both*) [ "$first" -gt 2 ] || { rule="that rule"; seed=2; } ;;
esac
if [ "$first" -le "$seed" ] && [ "$seed" -le "$last" ]; then
    echo "FAILED seed $seed: $rule: it is broken"
    echo "  at 1.000 simulated seconds"
    failures=1
fi
echo "9 seeds, 9 simulated seconds, $cpu.000 CPU-seconds, ${failures:-0} failures, commit none"
[ -z "${failures:-}" ]
END
chmod +x "$work/tests/sim/gavel-sim"
cat >"$work/good" <<'END'
# the head
there-3-1                      plain         3      1.0   this rule
moved-70-1                     plain         3      1.0   this rule
both-30-1                      plain         2      1.0   this rule
END
cp "$work/good" "$work/bad"
cat >>"$work/bad" <<'END'
never-0-30                     plain         3      1.0   this rule
late-120-50                    plain         3      1.0   this rule
every-0-10                     plain         3      1.0   this rule
anyway-66-1                    plain        66      1.0   this rule
long-3-1                       plain         3    120.5   this rule
END
bad=0
# says TABLE STATUS LINES: all that bugs.sh says of this table.
says()
{
    said=$(cd "$work" && BUGS=$work/$1 "$here/bugs.sh" "${@:4}" 2>&1)
    status=$?
    [ "$said" = "$3" ] && [ $status = "$2" ] && return
    bad=$((bad + 1))
    echo "bugs-selftest: status $status, wanted $2:"
    diff <(echo "$3") <(echo "$said")
}

good='caught there-3-1: seed 3, this rule
MOVED moved-70-1: in seed 3 no invariant fires, in seed 70 this rule, after 2.0 CPU-seconds (bugs.sh --record moved-70-1)
caught moved-70-1: seed 70, this rule
MOVED both-30-1: in seed 2 that rule fires, in seed 30 this rule, after 2.0 CPU-seconds (bugs.sh --record both-30-1)
caught both-30-1: seed 30, this rule'
says good 0 "$good
bugs: 3, 0 failed, 2 by another seed than recorded"
MOVED_MAX=1 says good 1 "$good
bugs: 3, 0 failed, 2 by another seed than recorded
bugs: FAIL: more than 1 rows have moved; bugs.sh --record NAME... for each that says MOVED"
says bad 1 "$good
SURVIVED never-0-30: no seed in 120 CPU-seconds
SURVIVED late-120-50: no seed in 120 CPU-seconds
FAIL every-0-10: this rule did not fire in 120 CPU-seconds, but: that rule
FAIL anyway-66-1: seed 66 of the world plain does not pass without the bug: this rule: it is broken
FAIL long-3-1: the table says that it took 120.5 CPU-seconds: 120 are the limit
bugs: 8, 5 failed, 2 by another seed than recorded"

# Something else in each seed, and so soon that no time is told of: there is an end all the same.
echo 'quick-0-0                      plain         3      0.0   this rule' >"$work/soon"
SECONDS_MAX=1 says soon 1 'FAIL quick-0-0: this rule did not fire in 1 CPU-seconds, but: that rule
bugs: 1, 1 failed, 0 by another seed than recorded'

# Recorded anew, all is where it was found, and only what was not is told again.
says bad 1 'recorded there-3-1: seed 3, 1.0 CPU-seconds, this rule
recorded moved-70-1: seed 70, 2.0 CPU-seconds, this rule
recorded both-30-1: seed 30, 2.0 CPU-seconds, this rule
SURVIVED never-0-30: no seed in 120 CPU-seconds; its row is kept
SURVIVED late-120-50: no seed in 120 CPU-seconds; its row is kept
recorded every-0-10 by another invariant: this rule did not fire in 120 CPU-seconds, but: that rule
recorded every-0-10: seed 1, 10.0 CPU-seconds, that rule
FAIL anyway-66-1: seed 66 of the world plain does not pass without the bug: this rule: it is broken
recorded long-3-1: seed 3, 1.0 CPU-seconds, this rule
bugs: 8, 3 not recorded' --record
head -n 1 "$work/bad" | grep -qx '# the head' || { bad=$((bad + 1)); echo "bugs-selftest: the head is gone"; }
says bad 0 'caught there-3-1: seed 3, this rule
caught moved-70-1: seed 70, this rule
caught both-30-1: seed 30, this rule
caught every-0-10: seed 1, that rule
caught long-3-1: seed 3, this rule
bugs: 5, 0 failed, 0 by another seed than recorded' there-3-1 moved-70-1 both-30-1 every-0-10 long-3-1

# Interrupted while it waits for the second one: the first is there already, and every other row as before.
last='hang-9-1                       plain         9      1.0   this rule'
{ grep -v '^both' "$work/good"; echo "$last"; } >"$work/cut"
(cd "$work" && exec env BUGS="$work/cut" "$here/bugs.sh" --record moved-70-1 hang-9-1) >"$work/cut.out" 2>&1 &
for _ in $(seq 600); do
    grep -q '^moved-70-1 .* 70 ' "$work/cut" && break
    sleep 0.1
done
kill -TERM $!
wait $!
[ $? = 130 ] || { bad=$((bad + 1)); echo "bugs-selftest: it did not end by its signal"; }
sed -i 's/^\(moved-70-1  *plain  *\)70      2.0/\1 3      1.0/' "$work/cut"
diff "$work/cut" <(grep -v '^both' "$work/good"; tail -n 1 "$work/cut") || bad=$((bad + 1))
[ "$(tail -n 1 "$work/cut")" = "$last" ] || { bad=$((bad + 1)); echo "bugs-selftest: its last row is gone"; }
left=$(cd "$work" && echo cut.*)
[ "$left" = cut.out ] || { bad=$((bad + 1)); echo "bugs-selftest: left behind: $left"; }
[ $bad = 0 ] && echo "bugs.sh is as good as its word"
[ $bad = 0 ]
