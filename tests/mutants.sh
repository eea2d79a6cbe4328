#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# mutants.sh [NAME...]: switches on each seeded bug, one after the other, and fails if the test that must see it passes.
#
# Run in a build directory that was configured with --enable-seeded-bugs, after `make check TESTS=`; MUTANTS=FILE takes
# another list. A test that fails without any bug is no witness either, so each command also runs clean once. As many
# run at once as there are processors (JOBS=N: so many).
set -u

# "one LINE" and "clean COMMAND" are runs of their own (see below): a line that says how it went. What was printed goes to
# a file: who hangs may leave a process behind, and a pipe would be waited for until that ends.
case ${1:-} in
    clean | one)
        out=$(mktemp)
        trap 'rm -f "$out"' EXIT
        ;;
esac
case ${1:-} in
    clean)
        timeout -k 5 120 sh -c "$2" </dev/null >"$out" 2>&1 || {
            echo "FAIL without any bug: $2"
            tail -5 "$out"
        }
        exit 0
        ;;
    one)
        bug=${2%% *} command=${2#* }
        # A hung mutant is a caught one, but only the clean run may say how long is long.
        if GAVEL_BUG=$bug timeout -k 5 60 sh -c "$command" </dev/null >"$out" 2>&1; then
            echo "SURVIVED $bug: $command"
        else
            echo "caught $bug: $(grep -v -e '^  ' "$out" | tail -1 | cut -c1-110)"
        fi
        exit 0
        ;;
esac
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

jobs=${JOBS:-$(nproc 2>/dev/null || echo 2)}
each() { xargs -r -d '\n' -P "$jobs" -n 1 "$here/mutants.sh" "$1"; }

each clean <"$work/commands" | tee "$work/out"
while read -r bug command; do
    [ $# -eq 0 ] || case " $* " in *" $bug "*) ;; *) continue ;; esac
    printf '%s %s\n' "$bug" "$command"
done <"$work/table" >"$work/chosen"
each one <"$work/chosen" | tee -a "$work/out"

count=$(wc -l <"$work/chosen")
bad=$(grep -c -E '^(SURVIVED|FAIL) ' "$work/out")
told=$(grep -c -E '^(SURVIVED|caught) ' "$work/out")
echo "mutants: $count bugs, $bad not caught"
[ "$bad" -eq 0 ] && [ "$count" -gt 0 ] && [ "$told" -eq "$count" ]
