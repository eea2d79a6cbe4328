#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# mutants.sh [NAME...]: switches on each seeded bug, one after the other, and fails if the test that must see it passes.
#
# Run in a build directory that was configured with --enable-seeded-bugs, after `make check TESTS=`; MUTANTS=FILE takes
# another list. A test that fails without any bug is no witness either, so each command also runs clean once.
set -u
here=$(cd "$(dirname "$0")" && pwd)
top_srcdir=${top_srcdir:-$(cd "$here/.." && pwd)}
export top_srcdir
list=${MUTANTS:-$here/mutants.list}
scenario=tests/scenarios/scenario
unset GAVEL_BUG

if [ ! -x "$scenario" ]; then
    echo "mutants: there is no $scenario here: run me in a build directory, after 'make check TESTS='"
    exit 1
fi
if ! "$scenario" --seeded; then
    echo "mutants: this build has no seeded bugs (configure --enable-seeded-bugs)"
    exit 77
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
{
    "$scenario" --bugs | while read -r bug name; do
        echo "$bug $scenario \$top_srcdir/tests/scenarios/$name.txt"
    done
    grep -v -e '^#' -e '^[[:space:]]*$' "$list" || true
} >"$work/table"
cut -d' ' -f2- "$work/table" | sort -u >"$work/commands"

bad=0
count=0
# A hung mutant is a caught one, but only the clean run may say how long is long.
while read -r command; do
    if ! timeout -k 5 120 sh -c "$command" </dev/null >"$work/out" 2>&1; then
        echo "FAIL without any bug: $command"
        tail -5 "$work/out"
        bad=$((bad + 1))
    fi
done <"$work/commands"

while read -r bug command; do
    [ $# -eq 0 ] || case " $* " in *" $bug "*) ;; *) continue ;; esac
    count=$((count + 1))
    if GAVEL_BUG=$bug timeout -k 5 60 sh -c "$command" </dev/null >"$work/out" 2>&1; then
        echo "SURVIVED $bug: $command"
        bad=$((bad + 1))
    else
        echo "caught $bug: $(grep -v -e '^  ' "$work/out" | tail -1 | cut -c1-110)"
    fi
done <"$work/table"
echo "mutants: $count bugs, $bad not caught"
[ "$bad" -eq 0 ] && [ "$count" -gt 0 ]
