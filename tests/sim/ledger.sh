#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# ledger.sh: what gavel-reliability(7) says of the seeds run so far is the sum of the first lines of tests/sim/ledger, as
# many as it says; lines that were added since are told, and no failure. Every failure in the ledger is answered below its
# line, what shipped in tests/sim/found too. And whether core/ is what the best count was made of is as the page says, where
# git knows that commit; elsewhere, as in a tarball, nobody asks.
#
# The best count is of different seeds of one commit and one length, a minute at the least, as the swarm draws them, or
# looked at more closely: the same ones again, those of other worlds and of a changed tree count nothing there. Of equals
# it is the latest. Events are added up from the line "#events" on, since lines before it count otherwise what an event is.
#
#   ledger.sh           compares
#   ledger.sh --mend    writes the sum of all lines, and whether core/ has changed since, into the page
set -eu
here=$(cd "$(dirname "$0")" && pwd)
page=$here/gavel-reliability.7
mark='.\" From tests/sim/ledger, by ledger.sh --mend:'
export mark # and not -v, which takes the backslash for its own

# sum COUNT: of the first lines, as the page says it.
sum()
{
    awk -v count="$1" '/^#events/ || !/^#/ { print } !/^#/ && ++n == count { exit }' "$here/ledger" | awk '
    function thousands(n,    text) {
        text = sprintf("%.0f", n)
        while (match(text, /[0-9][0-9][0-9][0-9]($|,)/)) text = substr(text, 1, RSTART) "," substr(text, RSTART + 1)
        return text
    }
    function value(name,    i) {
        for (i = 3; i <= NF; i++) if (index($i, name "=") == 1) return substr($i, length(name) + 2)
        return 0
    }
    /^#events/ { as_today = 1; next }
    {
        runs++
        split($3, ends, /\.\./)
        count = ends[2] - ends[1] + 1
        if (!/^20[0-9-]+ [0-9a-f]+ [0-9]+\.\.[0-9]+ seconds=[0-9]+ .*cpu_s=[0-9]+ events=[0-9]+ failures=[0-9]+$/ \
            || count < 1 || / bug=/) {
            print "ledger: not as the others, of a changed tree, or with a seeded bug: " $0 >"/dev/stderr"
            bad = 1
            exit 1
        }
        seeds += count
        simulated += count * value("seconds")
        cpu += value("cpu_s"); failures += value("failures")
        if (as_today) events += value("events")
        if (runs == 1) since = $1
        last = $1
        failed[$2] += value("failures")
        plain = $0
        sub(/ twice/, "", plain); sub(/ sanitizer=[a-z]+/, "", plain)
        if (plain ~ / seconds=[0-9]+ cpu_s=/ && value("seconds") >= 60)
            for (i = ends[1]; i <= ends[2]; i++) if (!(($2, value("seconds"), i) in seen)) {
                seen[$2, value("seconds"), i] = 1
                clean[$2 " " value("seconds")]++
                line[$2 " " value("seconds")] = NR
            }
    }
    END {
        if (bad) exit 1
        for (run in clean) {
            split(run, part, " ")
            if (failed[part[1]] || clean[run] < best || (clean[run] == best && line[run] < at)) continue
            best = clean[run]; of = part[1]; at = line[run]
        }
        print "In " runs " recorded runs from " since " to " last ":"
        print thousands(seeds) " seeds, " thousands(simulated / 3600) " simulated hours, " \
            thousands(events / 1000000) " million events,"
        print sprintf("%.1f", cpu / 3600) " CPU-hours, " thousands(failures) " failures;"
        print "the most on one commit without a failure: " thousands(best) " seeds, on " of "."
    }'
}

# unanswered: prints the failures that no "#!" line below their run names, and names that answer nothing.
unanswered()
{
    awk -v found="$here/found" '
    function over() {
        if (answers != failures) print "ledger: " run " has " failures + 0 " failures, and " answers + 0 " are answered"
        answers = 0
    }
    BEGIN {
        while ((getline line <found) > 0)
            if (sub(/^seeds? /, "", line)) { sub(/ --.*|  .*|\(.*/, "", line); listed = listed " " line }
        gsub(/ and |,/, " ", listed)
    }
    /^#! / {
        for (i = 2; i <= NF && $i ~ /^[0-9]+$/; i++) {
            answers++
            if ($i < first || $i > last) print "ledger: seed " $i " is not among " run
            if (!/^#! [0-9 ]+ found$/) continue
            if (index(listed " ", " " $i " ") == 0) print "ledger: tests/sim/found has no row of seed " $i
        }
        if (!/^#! [0-9 ]+ (found|simulator: .+)$/) print "ledger: not as the others: " $0
        next
    }
    /^#/ { next }
    {
        over()
        run = $2 " " $3
        split($3, ends, /\.\./); first = ends[1] + 0; last = ends[2] + 0
        failures = $NF; sub(/failures=/, "", failures)
    }
    END { over() }' "$here/ledger"
}

# since: what the last line of the page says of core/ and the commit of the best count; empty where nobody knows.
since()
{
    top=$(cd "$here/../.." && pwd -P)
    commit=$(sum "$1" | sed -n 's/.* seeds, on \([0-9a-f]*\)\.$/\1/p')
    [ "$(git -C "$top" rev-parse --show-toplevel 2>/dev/null)" = "$top" ] || return 0
    git -C "$top" cat-file -e "$commit^{commit}" 2>/dev/null || return 0
    if git -C "$top" diff --quiet "$commit" -- 'core/*.c' 'core/*.h'; then echo 'The code in core has not changed since.'
    else echo 'The code in core has changed since.'; fi
}

# said: the lines of the page behind the mark, up to the next macro.
said() { awk 'found && /^\./ { exit } found { print } $0 == ENVIRON["mark"] { found = 1 }' "$page"; }

all=$(grep -c -v '^#' "$here/ledger")
grep -q -F -x "$mark" "$page" || { echo "ledger.sh: the page has no line '$mark'"; exit 1; }
if [ "${1:-}" = --mend ]; then
    text=$(sum "$all" && since "$all")
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
wrong=$(unanswered)
[ -z "$wrong" ] || { echo "$wrong"; exit 1; }
of_core=$(since "$lines")
told=$(said | sed -n '/^The code in core /p')
if [ "$(said | sed '/^The code in core /d')" != "$(sum "$lines")" ]; then
    echo "ledger.sh: gavel-reliability(7) says"
    said
    echo "ledger.sh: the first $lines lines of tests/sim/ledger come to"
    sum "$lines"
    exit 1
fi
if [ -n "$of_core" ] && [ "$of_core" != "$told" ]; then
    echo "ledger.sh: of its best count gavel-reliability(7) says '$told', but: $of_core Run tests/sim/ledger.sh --mend"
    exit 1
fi
[ "$lines" = "$all" ] || echo "ledger.sh: the page is $((all - lines)) runs behind: tests/sim/ledger.sh --mend"
sum "$all"
since "$all"
