#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# ledger.sh: what gavel-reliability(7) says of the seeds run so far is the sum of the first lines of tests/sim/ledger, as
# many as it says. Lines that were added since are told, and no failure.
#
#   ledger.sh           compares
#   ledger.sh --mend    writes the sum of all lines into the page
set -eu
here=$(cd "$(dirname "$0")" && pwd)
page=$here/gavel-reliability.7
mark='.\" From tests/sim/ledger, by ledger.sh --mend:'
export mark # and not -v, which takes the backslash for its own

# sum COUNT: of the first lines, as the page says it. Several runs of one commit and one length add up.
sum()
{
    grep -v '^#' "$here/ledger" | head -n "$1" | awk '
    function thousands(n,    text) {
        text = sprintf("%.0f", n)
        while (match(text, /[0-9][0-9][0-9][0-9]($|,)/)) text = substr(text, 1, RSTART) "," substr(text, RSTART + 1)
        return text
    }
    function value(name,    i) {
        for (i = 3; i <= NF; i++) if (index($i, name "=") == 1) return substr($i, length(name) + 2)
        return 0
    }
    {
        split($3, ends, /\.\./)
        count = ends[2] - ends[1] + 1
        if (!/^20[0-9-]+ [0-9a-z.-]+ [0-9]+\.\.[0-9]+ seconds=[0-9]+ .*cpu_s=[0-9]+ events=[0-9]+ failures=[0-9]+$/ \
            || count < 1) {
            print "ledger: not as the others: " $0 >"/dev/stderr"
            exit 1
        }
        seeds += count
        simulated += count * value("seconds")
        cpu += value("cpu_s"); events += value("events"); failures += value("failures")
        if (NR == 1) since = $1
        last = $1
        if (!/ correlated/) { clean[$2] += count; failed[$2] += value("failures") }
    }
    END {
        for (commit in clean) if (!failed[commit] && clean[commit] > best) { best = clean[commit]; of = commit }
        print "In " NR " recorded runs from " since " to " last ":"
        print thousands(seeds) " seeds, " thousands(simulated / 3600) " simulated hours, " \
            thousands(events / 1000000) " million events,"
        print sprintf("%.1f", cpu / 3600) " CPU-hours, " thousands(failures) " failures;"
        print "the most on one commit without a failure: " thousands(best) " seeds, on " of "."
    }'
}

# said: the lines of the page behind the mark, up to the next macro.
said() { awk 'found && /^\./ { exit } found { print } $0 == ENVIRON["mark"] { found = 1 }' "$page"; }

all=$(grep -c -v '^#' "$here/ledger")
grep -q -F -x "$mark" "$page" || { echo "ledger.sh: the page has no line '$mark'"; exit 1; }
if [ "${1:-}" = --mend ]; then
    text=$(sum "$all")
    awk -v text="$text" '
        skip && /^\./ { skip = 0 }
        !skip { print }
        $0 == ENVIRON["mark"] { print text; skip = 1 }' "$page" >"$page.new"
    cat "$page.new" >"$page"
    rm -f "$page.new"
    exit 0
fi
lines=$(said | sed -n 's/^In \([0-9]*\) recorded runs.*/\1/p')
[ -n "$lines" ] && [ "$lines" -le "$all" ] || { echo "ledger.sh: the page speaks of more runs than there are"; exit 1; }
if [ "$(said)" != "$(sum "$lines")" ]; then
    echo "ledger.sh: gavel-reliability(7) says"
    said
    echo "ledger.sh: the first $lines lines of tests/sim/ledger come to"
    sum "$lines"
    exit 1
fi
[ "$lines" = "$all" ] || echo "ledger.sh: the page is $((all - lines)) runs behind: tests/sim/ledger.sh --mend"
sum "$all"
