#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# plant-test.sh: the checks of the torture can fail. `torture --plant` makes everything that they look for happen, one
# after the other, and each must say so; the last of them ends the run as a finding does: with 1, the words for it, and
# the data, logs and history kept. With three nodes, and with five, of which the long runs are.
set -u
out=$(mktemp)
trap 'rm -f "$out"' EXIT
fail()
{
    cat "$out"
    echo "FAILED: $nodes nodes, exit $code, $*"
    exit 1
}

for nodes in 3 5; do
    "${top_builddir:-.}/tests/cluster/torture" --plant --nodes $nodes >"$out" 2>&1
    code=$?
    kept=$(sed -n 's/^left in place: \(.*gavel-torture\..*\)$/\1/p' "$out")
    if [ "$code" -eq 77 ]; then
        cat "$out"
        exit 77
    fi
    [ "$code" -eq 1 ] || fail "where 1 was to be"
    grep -q "^seed: .*, $nodes nodes, " "$out" || fail "it has other nodes"
    grep -E '^planted: [0-9]+, each was found$' "$out" || fail "not all that was planted was found"
    grep -q -E '^FAILED .*: all is well, but this shows little: nothing is left to be planted$' "$out" ||
        fail "the last check says something else"
    for what in history n1.log n1.data/log "n$nodes.ini" operator-0; do
        [ -e "$kept/$what" ] || fail "'$kept/$what' was not kept"
    done
    rm -rf "$kept"
done
