#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cover.sh BUILD [SEEDS]: what the tests reach, all together. BUILD is a build configured with --enable-cover and
# CFLAGS="-g -O0 --coverage". Runs all unit tests of core/raft, core/log and core/node, the scenarios, the crash tests
# and the simulator (SEEDS seeds, 20; 0: without), then prints a table and fails when
#   - a mark on a rare branch was never met (core/os/cover.h, core/raft/cover.h), or
#   - fewer than 95 % of the lines of core/raft or of core/log were run. No line is excluded.
set -u
build=${1:?a build directory} seeds=${2:-20}
top_srcdir=${top_srcdir:-$(cd "$(dirname "$0")/.." && pwd)}
export top_srcdir
LEAST=95 # percent of the lines
DIRECTORIES="core/raft core/log" # held to it; core/node is only told

cd "$build" || exit 1
programs="tests/scenarios/scenario tests/recovery/crash_test
    $(make -s print-tests | tr ' ' '\n' | grep -E '^tests/unit/(raft|log|node|reform|save)[a-z_-]*$' | xargs)"
jobs=$(nproc 2>/dev/null || echo 2)
sim=
[ "$seeds" = 0 ] || sim=tests/sim/gavel-sim
# shellcheck disable=SC2086
make -j"$jobs" $programs $sim >cover-build.log 2>&1 || { tail -n 20 cover-build.log; exit 1; }
find core -name '*.gcda' -delete
GAVEL_COVER_FILE=$PWD/cover.counts
export GAVEL_COVER_FILE
rm -f "$GAVEL_COVER_FILE"

# Counts of programs that run at once add up: gcov locks its files, and marks are appended in one piece.
failed=0
rm -f cover-run.*.log
# shellcheck disable=SC2016 # the inner shell expands it
while read -r log; do
    echo "FAILED: $(sed 1q "$log")"
    tail -n 20 "$log"
    failed=1
done < <(printf '%s\n' ${sim:+"$sim --seeds 1+$seeds --seconds 40 --jobs 1"} $programs \
    | xargs -P "$jobs" -d '\n' -I {} sh -c '
    log=cover-run.$$.log
    echo "{}" >$log
    timeout -k 10 1200 {} >>$log 2>&1 || echo $log')

# lines DIRECTORY: run, all, percent of its .c files, and a line for each file.
lines()
{
    local object
    for object in "$1"/*.gcno "$1"/.libs/*.gcno; do
        [ -e "$object" ] || continue
        gcov -n -o "$(dirname "$object")" "$object" 2>/dev/null
    done | awk -v dir="$1/" '
        /^File/ { file = $0; sub(/^File .*\047?core\//, "core/", file); gsub(/\047/, "", file); next }
        /^Lines executed:/ && index(file, dir) == 1 && file ~ /\.c$/ {
            split($0, part, /[:% ]+/)
            if (part[5] > all[file] || part[3] > percent[file]) { all[file] = part[5]; percent[file] = part[3] }
        }
        END {
            for (file in all) {
                run += all[file] * percent[file] / 100
                total += all[file]
                printf "    %-34s %6.1f %% of %4d\n", file, percent[file], all[file]
            }
            printf "%s %.0f %d %.2f\n", dir, run, total, total ? 100 * run / total : 0
        }' | sort
}

for directory in $DIRECTORIES core/node; do
    lines "$directory" >cover-lines.log
    grep '^ ' cover-lines.log
    percent=$(awk '/^core/ { print $4 }' cover-lines.log)
    echo "$directory: $percent % of $(awk '/^core/ { print $3 }' cover-lines.log) lines"
    case " $DIRECTORIES " in
        *" $directory "*)
            awk -v p="$percent" -v least=$LEAST 'BEGIN { exit !(p >= least) }' \
                || { echo "FAILED: $directory: below $LEAST %"; failed=1; }
            ;;
    esac
done

if [ -s "$GAVEL_COVER_FILE" ]; then
    awk '{ n[$1] += $2 } END { for (mark in n) print n[mark], mark }' "$GAVEL_COVER_FILE" | sort -n >cover-marks.log
    echo "marks: $(wc -l <cover-marks.log), the rarest:"
    head -n 5 cover-marks.log
    if grep -q '^0 ' cover-marks.log; then
        sed -n 's/^0 /FAILED: never met: /p' cover-marks.log
        failed=1
    fi
else
    echo "FAILED: no marks: was the build configured with --enable-cover?"
    failed=1
fi
exit $failed
