#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# found.sh: the list of bugs in gavel-reliability(7) is the one of the file `found`, no line more or less.
#
#   found.sh           compares
#   found.sh --mend    writes the list into the page anew
set -eu
here=$(cd "$(dirname "$0")" && pwd)
page=$here/gavel-reliability.7
mark='.\" From tests/sim/found, by found.sh --mend:'

# A line of `found` is: what found it, two blanks, where, blanks, "-- " and a sentence.
items()
{
    grep -v -e '^#' -e '^[[:space:]]*$' "$here/found" | awk '
    function escape(text) { gsub(/\\/, "\\e", text); gsub(/-/, "\\-", text); sub(/^[.'"'"']/, "\\\\\\&&", text); return text }
    {
        at = index($0, " -- ")
        if (!at || !match($0, /  +/) || RSTART > at) { print "found:" NR ": not as the others: " $0 >"/dev/stderr"; exit 1 }
        head = substr($0, 1, at)
        sentence = substr($0, at + 4)
        what = substr(head, 1, RSTART - 1)
        where = substr(head, RSTART + RLENGTH)
        sub(/ +$/, "", where)
        print ".It"
        print escape(what) ","
        print ".Pa " escape(where) ":"
        print escape(sentence) "."
    }'
}

wanted=$(mktemp)
trap 'rm -f "$wanted"' EXIT
{
    sed "/^\\.\\\\\" From tests\\/sim\\/found/q" "$page"
    echo '.Bl -bullet -width 1n'
    items
    echo '.El'
    echo '.Sh SEE ALSO'
    echo '.Xr gavel 1 ,'
    echo '.Xr gavel-formats 7 ,'
    echo '.Xr gavel-protocol 7 ,'
    echo '.Xr gaveld 8'
} >"$wanted"
grep -q -F -x "$mark" "$wanted" || { echo "found.sh: the page has no line '$mark'"; exit 1; }
if [ "${1:-}" = --mend ]; then
    cat "$wanted" >"$page"
elif ! diff -u "$page" "$wanted"; then
    echo "found.sh: gavel-reliability(7) and tests/sim/found differ: run tests/sim/found.sh --mend"
    exit 1
fi
