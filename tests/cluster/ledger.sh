#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# ledger.sh: each line of tests/cluster/ledger is as the torture writes it, of a commit, and of a run of five minutes or
# more; each failure is answered; and every fault and every task that there is was done in a good run of five installed
# nodes. Prints their sum.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
kinds=$(sed -n -E 's/^    X\([A-Za-z_]+, "([a-z-]+)", .*/\1/p' "$here/torture.h" "$here/torture_crew.h")
[ "$(echo "$kinds" | wc -l)" -gt 30 ] || { echo "ledger: only these faults and tasks were found:" $kinds; exit 1; }
kinds=$(echo $kinds) awk '
    function bad(what) { print "ledger: " what; wrong = 1 }
    function over() { if (failed && !answered) bad("nobody says what failed in " run); failed = answered = 0 }
    /^#! / {
        if (!failed || answered++) bad("this answers nothing: " $0)
        if (!/^#! (found|torture): ./) bad("not as the others: " $0)
        next
    }
    /^#/ { next }
    {
        over()
        run = $2 " " $3
        if (!/^20[0-9-]+ [0-9a-f]+ seed=[0-9]+ nodes=[35] seconds=[0-9]+ transport=(tcp|websocket) rate=[0-9]+ / ||
            $8 !~ /^(installed|built)$/ || $NF !~ /^(good|failed)$/) {
            bad("not as the others: " $0)
            next
        }
        split($5, seconds, "="); split($4, nodes, "=")
        if (seconds[2] < 300) bad("too short to be here: " run)
        failed = $NF == "failed"
        runs++; failures += failed; length_s += seconds[2]
        for (i = 9; i < NF; i++) {
            split($i, deed, /[=\/]/)
            if ($i ~ /^answered=[0-9]+$/) answers += deed[2]
            else if ($i ~ /^[a-z-]+=[0-9]+\/[0-9]+\/[0-9]+$/) faults += deed[2]
            else if ($i ~ /^[a-z-]+=[0-9]+$/) tasks += deed[2]
            else if ($i !~ /^(sanitized|faults=.*)$/) bad("not as the others: " $i " in " run)
            if (!failed && nodes[2] == 5 && $8 == "installed" && deed[2] > 0) done[deed[1]] = 1
        }
    }
    END {
        over()
        count = split(ENVIRON["kinds"], names, " ")
        for (i = 1; i <= count; i++) if (!(names[i] in done)) bad("never done in a good run of five installed nodes: " names[i])
        printf "%d runs, %.1f hours of faults, %d failures: %d faults done, %d tasks, %d operations answered\n",
            runs, length_s / 3600, failures, faults, tasks, answers
        exit wrong
    }' "$here/ledger"
