#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# failing.sh: what a run that fails says and leaves behind. No seeded bug is needed for it: a disk whose syncs take
# minutes is a world in which nobody can lead, so "liveness" fails, within milliseconds of processor time.
set -u
. "$(dirname "$0")/this-build.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bad=0
complain() { echo "failing: $*"; bad=$((bad + 1)); }
slow='--set sync_us=100000000000'

# wants CODE NAME ARGUMENTS...: the simulator's exit code; what it says is in $work/NAME.
wants()
{
    local code=$1 name=$2 got
    shift 2
    "$sim" "$@" >"$work/$name" 2>&1
    got=$?
    [ $got = "$code" ] || { complain "$name: exit $got instead of $code"; tail -n 5 "$work/$name"; }
}

# says NAME PATTERN
says() { grep -q -E -e "$2" "$work/$1" || complain "$1 does not say: $2"; }

# Seed, invariant, moment, commit and options; and the line that is printed repeats it.
# shellcheck disable=SC2086 # lists of words
wants 1 failed --seed 7 --seconds 1 $slow
says failed '^FAILED seed 7: liveness: '
says failed '^  at [0-9]+\.[0-9]{3} simulated seconds, commit [0-9a-z.-]+$'
says failed '^1 seeds, .* 1 failures, commit '
line=$(sed -n 's/^  gavel-sim \(--trace --seed 7 --seconds 1 --set nodes=.*\)$/\1/p' "$work/failed")
[ -n "$line" ] || complain "there is no line that repeats the failure"
# shellcheck disable=SC2086
wants 1 again $line
says again 'starts, life 1'
for what in '^FAILED seed' '^  at ' '^  traces '; do
    [ "$(grep -E "$what" "$work/failed")" = "$(grep -E "$what" "$work/again")" ] || complain "the repetition differs: $what"
done

# The least that fails still: no fault is left of those that the seed drew, and it is the same failure.
# shellcheck disable=SC2086
wants 0 shrunk --seed 7 --seconds 1 $slow --shrink "$work/least.sim"
cp "$work/least.sim" "$work/least" 2>/dev/null
says least '^invariant liveness$'
says least '^seed 7$'
says least '^set sync_us='
says least '^set nodes=1$'
! grep -q -E '^set [a-z_]+_(ppm|per_hour)=' "$work/least" || complain "what has nothing to do with it was kept"
wants 1 replayed --replay "$work/least.sim"
says replayed ': liveness: '
sed 's/^set sync_us=.*/set sync_us=50/' "$work/least" >"$work/mended.sim"
wants 0 mended --replay "$work/mended.sim"
# shellcheck disable=SC2086
wants 1 unshrunk --seed 7 --seconds 1 --shrink "$work/nothing.sim"
says unshrunk 'does not fail: nothing to shrink'

# What was run twice is so again: by the line that is printed, and by a file that says so. What fails in the first run as
# well needs no second one.
lives() { grep -c -E ' n1 +starts, life 1$' "$work/$1"; }
# shellcheck disable=SC2086
wants 1 twice --seed 7 --seconds 1 --twice $slow
says twice '^  gavel-sim --trace --seed 7 --seconds 1 --twice --set '
# shellcheck disable=SC2086
wants 1 hundredth --seed 100 --seconds 1 $slow
says hundredth '^  gavel-sim --trace --seed 100 --seconds 1 --twice --set '
# shellcheck disable=SC2086
wants 0 shrunk.twice --seed 7 --seconds 1 --twice $slow --shrink "$work/once.sim"
! grep -q twice "$work/once.sim" || complain "a second run was kept that it does not need"
wants 0 mended.once --trace --replay "$work/mended.sim"
{ cat "$work/mended.sim"; echo twice; } >"$work/mended-twice.sim"
wants 0 mended.twice --trace --replay "$work/mended-twice.sim"
[ "$(lives mended.once) $(lives mended.twice)" = "1 2" ] ||
    complain "a file with and without 'twice' ran $(lives mended.twice) and $(lives mended.once) times"

# And what only a second run shows, where there are seeded bugs: contrib/test.sh runs this in such a build, too.
if "$sim" --about | grep -q seeded-bugs=yes; then
    bug='--bug settle-commit-unnoted'
    # shellcheck disable=SC2086
    wants 1 second --seeds 1..100 --seconds 30 --jobs 1 --failures 1 --twice $bug
    says second '^FAILED seed [0-9]+: determinism: '
    line=$(sed -n 's/^  gavel-sim --trace \(--seed .* --twice --bug .*\)$/\1/p' "$work/second")
    [ -n "$line" ] || complain "there is no line that repeats the failure of a second run"
    # shellcheck disable=SC2086
    wants 1 second.again $line
    says second.again '^FAILED seed [0-9]+: determinism: '
    # shellcheck disable=SC2086
    wants 0 second.shrunk $line --shrink "$work/second.sim"
    # shellcheck disable=SC2086
    wants 1 second.replayed --replay "$work/second.sim" $bug
    says second.replayed ': determinism: '
    wants 0 second.mended --replay "$work/second.sim"
fi

# No new seeds after so many failures; a line in the ledger for each run.
# shellcheck disable=SC2086
wants 1 many --seeds 1..50 --seconds 1 $slow --jobs 1 --failures 2 --ledger "$work/ledger"
says many '^2 seeds, '
says ledger '^20[0-9-]+ [0-9a-z.-]+ 1\.\.2 seconds=1( sanitizer=[a-z]+)? sync_us=100000000000 cpu_s=[0-9]+ events=[0-9]+ failures=2$'
wants 0 pairs --seeds 3..3 --seconds 1 --correlated --twice --ledger "$work/pairs.ledger"
says pairs.ledger ' 3\.\.3 seconds=1 correlated twice( sanitizer=[a-z]+)? cpu_s='

# A total below its floor, one that nobody counts, and one that is reached.
printf '# floors\nevents 10000000000000\n' >"$work/high"
printf 'nosuch 1\n' >"$work/unknown"
printf 'changed_seeds 101%%\n' >"$work/percent"
printf 'changed_seeds <0%%\n' >"$work/most"
printf 'changed_seeds <100%%\nevents 1000\nelections 1\nwipes 1000000000 2\n' >"$work/low"
wants 1 high.out --seed 1 --seconds 1 --floors "$work/high"
says high.out '^FLOOR events: [0-9]+ are fewer than [0-9]+$'
wants 1 unknown.out --seed 1 --seconds 1 --floors "$work/unknown"
says unknown.out '^FLOOR nosuch: there is no such total'
wants 1 percent.out --seed 1 --seconds 1 --floors "$work/percent"
wants 1 most.out --seeds 1..3 --seconds 20 --floors "$work/most"
says most.out '^FLOOR changed_seeds: [1-3] are more than 0% of the seeds$'
wants 1 absent.out --seed 1 --seconds 1 --floors "$work/absent"
wants 0 low.out --seed 1 --seconds 1 --floors "$work/low"
# And shares of one: of twice what is reached, half.
printf 'events %d\n' $(($(sed -nE 's/^ +events +([0-9]+).*/\1/p' "$work/low.out") * 600000)) >"$work/twice"
wants 1 twice.out --seed 1 --seconds 1 --floors "$work/twice"
wants 1 share.out --seed 1 --seconds 1 --floors "$work/twice" --share 51
wants 0 share.out --seed 1 --seconds 1 --floors "$work/twice" --share 50
[ "$bad" = 0 ] && echo "a failure is told, repeated and shrunk; floors hold"
[ "$bad" = 0 ]
