#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# again.sh DIRECTORY TIMES JOBS TEST...: each test so many times, in an order by chance, so many at once: a hunt for what
# fails now and then. "make again" runs it, in the environment and the directory of make check:
#
#   make again TESTS='tests/host/life.sh tests/unit/test-client-call' TIMES=20 JOBS=3
#
# The logs of runs that failed stay in DIRECTORY (again/ in the build) as NAME.RUN.log. Prints a line for each run that
# failed, then a table: how often each test ran and failed, how long a run took, and how much of a processor it used.
set -u
if [ "${1:-}" = one ]; then # one DIRECTORY TEST RUN
    log=$2/${3//\//_}.$4.log path=.
    [ -f "$3" ] || path=$top_srcdir
    TIMEFORMAT='%R %U %S'
    took=$({
        time {
            timeout -k 10 "${GAVEL_TEST_TIMEOUT:-600}" "$path/$3" >"$log" 2>&1 </dev/null
            echo $? >"$log.status"
        }
    } 2>&1)
    read -r status <"$log.status"
    echo "$3 $status $took" >>"$2/runs"
    rm -f "$log.status"
    case $status in
        0 | 77) rm -f "$log" ;;
        *) echo "FAIL ($status): $log" ;;
    esac
    exit 0
fi

directory=${1:?a directory for the logs} times=${2:?how often} jobs=${3:?how many at once}
shift 3
[ $# -gt 0 ] || { echo "again.sh: no tests" >&2; exit 64; }
mkdir -p "$directory"
directory=$(cd "$directory" && pwd)
rm -f "$directory/runs"
for ((run = 1; run <= times; run++)); do
    for test; do echo "$test $run"; done | shuf
done | xargs -P "$jobs" -L 1 "$0" one "$directory"

awk '
    { n[$1]++; real[$1] += $3; cpu[$1] += $4 + $5; if ($3 > most[$1]) most[$1] = $3 }
    $2 == 77 { skipped[$1]++ }
    $2 != 0 && $2 != 77 { failed[$1]++; all++ }
    END {
        printf "%-40s %5s %5s %5s %9s %9s %9s\n", "test", "runs", "fail", "skip", "seconds", "longest", "cpu"
        for (t in n)
            printf "%-40s %5d %5d %5d %9.1f %9.1f %9.1f\n", t, n[t], failed[t], skipped[t], real[t] / n[t], most[t],
                cpu[t] / n[t] | "sort"
        close("sort")
        exit all > 0
    }' "$directory/runs"
