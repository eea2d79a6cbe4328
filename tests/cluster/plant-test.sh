#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# plant-test.sh: the checks of the torture can fail. `torture --plant` makes everything that they look for happen, one
# after the other, and each must say so; the last of them ends the run as a finding does: with 1, the words for it, and
# the data, logs and history kept.
set -u
out=$(mktemp)
trap 'rm -f "$out"' EXIT
"${top_builddir:-.}/tests/cluster/torture" --plant >"$out" 2>&1
code=$?
kept=$(sed -n 's/^left in place: \(.*gavel-torture\..*\)$/\1/p' "$out")
fail()
{
    cat "$out"
    echo "FAILED: exit $code, $*"
    exit 1
}

if [ "$code" -eq 77 ]; then
    cat "$out"
    exit 77
fi
[ "$code" -eq 1 ] || fail "where 1 was to be"
grep -E '^planted: [0-9]+, each was found$' "$out" || fail "not all that was planted was found"
grep -q -E '^FAILED .*: all is well, but this shows little: nothing is left to be planted$' "$out" ||
    fail "the last check says something else"
for what in history n1.log n1.data/log n2.ini operator-0; do
    [ -e "$kept/$what" ] || fail "'$kept/$what' was not kept"
done
rm -rf "$kept"
