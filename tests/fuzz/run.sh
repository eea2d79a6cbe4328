#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# run.sh: builds the fuzz targets with clang (libFuzzer, address and undefined-behaviour sanitizers) and runs them.
#
#   tests/fuzz/run.sh [SECONDS] [TARGET...]    each target (all) for SECONDS (60) of CPU time, one after another
#   tests/fuzz/run.sh --list                   names of the targets
#   tests/fuzz/run.sh --keep TARGET...         the few found inputs that add coverage go into tests/fuzz/corpus
#   tests/fuzz/run.sh --record ...             as the first form, and a line for each in tests/fuzz/ledger
#
# What was found is kept below build/fuzz (or $GAVEL_BUILD_DIR/fuzz), so that a second run goes on from there. Fails
# when any target crashed, hung or leaked; the input is named, and "build/fuzz/tests/fuzz/TARGET FILE" repeats it.
set -u
here=$(cd "$(dirname "$0")" && pwd -P)
root=$(cd "$here/../.." && pwd -P)
. "$root/contrib/build-aux/setup.sh"

KEEP_BYTES=2048   # inputs over this size are not kept in the tree
KEEP_FILES=24     # for one target
SLICE=60          # seconds of one libFuzzer run: CPU time is looked at in between
mode=run record=no
while :; do
    case ${1:-} in
        --list) mode=list ;;
        --keep) mode=keep ;;
        --record) record=yes ;;
        --help | -h) sed -n '3,12s/^# \{0,1\}//p' "$0"; exit 0 ;;
        *) break ;;
    esac
    shift
done
seconds=60
case ${1:-} in [0-9]*) seconds=$1; shift ;; esac

command -v clang >/dev/null || { say "run.sh: clang is not installed: apt install clang libclang-rt-14-dev"; exit 77; }
mkdir -p "$work"
setup_bootstrap
dir=$work/fuzz
mkdir -p "$dir"
if [ ! -e "$dir/Makefile" ]; then
    (cd "$dir" && "$root/configure" CC=clang CXX=clang++ --enable-fuzzers --enable-asan --enable-ubsan \
        --disable-hardening "CFLAGS=-g -O1 -fsanitize-coverage-ignorelist=$here/ignorelist") >"$work/fuzz.log" 2>&1 \
        || { tail -n 30 "$work/fuzz.log"; exit 1; }
fi
all=$(make -s -C "$dir" print-fuzz-targets) || exit 1
if [ $mode = list ]; then echo "$all"; exit 0; fi
[ $# -gt 0 ] || set -- $all
for target; do
    echo "$all" | grep -qx "$target" || { say "run.sh: no target is called $target; see --list"; exit 64; }
done
(cd "$dir" && make -j"$jobs" $(printf 'tests/fuzz/%s ' "$@")) >"$work/fuzz-build.log" 2>&1 \
    || { tail -n 30 "$work/fuzz-build.log"; exit 1; }

export ASAN_OPTIONS=detect_leaks=1:allow_user_segv_handler=0:detect_stack_use_after_return=0:quarantine_size_mb=8
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
options=(-rss_limit_mb=2048 -timeout=25 -max_len=8192 -print_final_stats=1 -len_control=0)

# seeds TARGET DIRECTORY: its part of the corpus in a directory of its own.
seeds()
{
    mkdir -p "$2"
    cp "$here/corpus/$1-"* "$2" 2>/dev/null
}

# keep TARGET: a minimal set of inputs, the smallest first, that covers what all the found ones cover.
keep()
{
    local target=$1 merged=$dir/merge-$1 file
    rm -rf "$merged"
    mkdir -p "$merged"
    "$dir/tests/fuzz/$target" -merge=1 -rss_limit_mb=2048 -timeout=25 "$merged" "$dir/found-$target" \
        >"$dir/merge-$target.log" 2>&1 || { tail -n 5 "$dir/merge-$target.log"; return 1; }
    find "$merged" -type f -size -"$((KEEP_BYTES / 512 + 1))"b -printf '%s %p\n' | sort -n -r | head -n "$KEEP_FILES" \
        | while read -r _ file; do
            cp "$file" "$here/corpus/$target-$(basename "$file" | cut -c1-8).bin"
        done
    say "$target: $(find "$here/corpus" -name "$target-*" | wc -l) files in the corpus"
}

# run TARGET: slices until its CPU time is used; a line of the table.
run()
{
    local target=$1 found=$dir/found-$1 log=$dir/$1.out used=0 executions=0 coverage=0 crashes=0 wall=0 slice status
    seeds "$target" "$found"
    TIMEFORMAT='cpu %U %S'
    while [ "$used" -lt "$seconds" ] && [ "$wall" -lt $((seconds * 4)) ] && [ $crashes = 0 ]; do
        slice=$((seconds - used))
        [ $slice -le $SLICE ] || slice=$SLICE
        { time "$dir/tests/fuzz/$target" "${options[@]}" -max_total_time="$slice" -artifact_prefix="$dir/$target-" \
            "$found" >"$log" 2>&1 </dev/null; status=$?; } 2>"$dir/$target.time"
        [ $status = 0 ] || crashes=1
        wall=$((wall + slice))
        used=$((used + $(awk '/^cpu/ { print int($2 + $3 + 0.999) }' "$dir/$target.time")))
        executions=$((executions + $(awk '/number_of_executed_units/ { n = $2 } END { print n + 0 }' "$log")))
        coverage=$(awk '{ for (i = 1; i < NF; i++) if ($i == "cov:") n = $(i + 1) } END { print n + 0 }' "$log")
    done
    printf '%-22s %10d %10d %9d %8d %8d %8d\n' "$target" "$used" "$executions" \
        $((executions / (used > 0 ? used : 1))) "$coverage" "$(find "$found" -type f | wc -l)" $crashes
    if [ $crashes != 0 ]; then
        grep -E -m 8 'ERROR|Assertion|runtime error|SUMMARY|^#[0-9] ' "$log" | sed 's/^/    | /'
        grep -E 'Test unit written to' "$log" | sed 's/^/    /'
    fi
    [ $record = no ] || printf '%s %s %s %s %s %s\n' "$(git -C "$root" rev-parse --short HEAD)" "$(date -u +%F)" \
        "$target" "$used" "$executions" "$crashes" >>"$here/ledger"
    return $crashes
}

failed=0
if [ $mode = keep ]; then
    for target; do keep "$target" || failed=1; done
    exit $failed
fi
printf '%-22s %10s %10s %9s %8s %8s %8s\n' target CPU-seconds executions per-second edges inputs crashes
for target; do run "$target" || failed=1; done
exit $failed
