#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# regress.sh: every file of tests/regress, what failed once and was made as small as it gets, must pass for ever, and still
# come to what it was about. In a build with seeded bugs (contrib/test.sh mutants) a file that names the one that stands for
# its mend taken out must still fail with it, by its invariant. First, that a file which does not come to it is seen, and
# one that does not fail so.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/this-build.sh"
unset GAVEL_BUG
bad=0 count=0 unmended=0
planted=$(mktemp)
trap 'rm -f "$planted" "$planted.out"' EXIT

# What a file says behind this word.
line() { sed -n "s/^$1 //p" "$2"; }

# fails FILE BUG: whether it fails with the bug, by the invariant that it names.
fails()
{
    ! "$sim" --replay "$1" --bug "$2" >"$planted.out" 2>&1 && grep -q -F -- "$1: $(line invariant "$1"): " "$planted.out"
}

{ cat "$here/../regress/commit-unsorted.sim"; echo 'wants wipes 1'; } >"$planted"
if "$sim" --replay "$planted" >/dev/null; then
    echo "regress: a file that wants what it does not come to passes"
    bad=1
fi
seeded=no
if "$sim" --about | grep -q 'seeded-bugs=yes'; then
    seeded=yes
    fails "$planted" raft-commit-unsorted || { echo "regress: a file that fails is not seen"; bad=$((bad + 1)); }
    ! fails "$planted" log-old-start-missing || { echo "regress: a file that its bug does not fail passes"; bad=$((bad + 1)); }
    sed -i 's/^invariant .*/invariant liveness/' "$planted"
    ! fails "$planted" raft-commit-unsorted || { echo "regress: any invariant will do"; bad=$((bad + 1)); }
fi
for file in "$here"/../regress/*.sim; do
    [ -e "$file" ] || continue
    count=$((count + 1))
    grep -q '^wants [a-z_]* [1-9]' "$file" || { echo "$file: it wants nothing"; bad=$((bad + 1)); }
    grep -q '^invariant [a-z]' "$file" || { echo "$file: it names no invariant"; bad=$((bad + 1)); }
    "$sim" --replay "$file" || bad=$((bad + 1))
    bug=$(line bug "$file")
    [ -n "$bug" ] || continue
    grep -q "^$bug " "$here/bugs.txt" || { echo "$file: bugs.txt knows no $bug"; bad=$((bad + 1)); }
    [ $seeded = yes ] || continue
    unmended=$((unmended + 1))
    fails "$file" "$bug" || { echo "$file: with $bug it does not fail by its invariant:"; cat "$planted.out"; bad=$((bad + 1)); }
done
[ $seeded = no ] || [ $unmended -ge 2 ] || { echo "regress: hardly a file names a bug"; bad=$((bad + 1)); }
echo "$count files, $unmended tried with their bug, $bad failed"
[ $bad = 0 ]
