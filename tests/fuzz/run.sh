#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# run.sh: builds the fuzz targets with clang (libFuzzer, address and undefined-behaviour sanitizers) and runs them.
#
#   tests/fuzz/run.sh [SECONDS] [TARGET...]    each target (all) for SECONDS (60) of CPU time, one after another;
#                                              with 0 they are only built
#   tests/fuzz/run.sh --list                   names of the targets
#   tests/fuzz/run.sh --keep TARGET...         the few found inputs that add coverage go into tests/fuzz/corpus
#   tests/fuzz/run.sh --record ...             as the first form, and a line for each in tests/fuzz/ledger
#   tests/fuzz/run.sh --sum                    what the ledger says of each target, all its runs together
#   tests/fuzz/run.sh --least MINUTES TARGET...   the same of these, and a failure when one has run for less than that.
#                                              Runs above a line "#since TARGET...: WHY" of the ledger count for neither
#
# What was found is kept below build/fuzz (or $GAVEL_BUILD_DIR/fuzz), so that a second run goes on from there. Fails
# when any target crashed, hung or leaked; the input is named, and "build/fuzz/tests/fuzz/TARGET FILE" repeats it.
#
# A run that is cut off (by a signal, kill -9 too) loses neither what it found nor its minutes: they are noted as it
# goes, and a run that never came to write its line has it written by the next --record or --sum. Several runs of
# different targets at a time are fine; with "chrt -i 0" before it, a run takes only what nobody else wants.
set -u
here=$(cd "$(dirname "$0")" && pwd -P)
root=$(cd "$here/../.." && pwd -P)
. "$root/contrib/build-aux/setup.sh"

KEEP_BYTES=2048   # inputs over this size are not kept in the tree
KEEP_FILES=24     # for one target
LOOK=4            # seconds between two looks at the CPU time that a fuzzer has used
HANG=100          # seconds for one input: wall-clock time, and others may have the processor
ledger=$here/ledger
dir=$work/fuzz
mode=run record=no least=''
while :; do
    case ${1:-} in
        --list) mode=list ;;
        --keep) mode=keep ;;
        --sum) mode=sum ;;
        --least) mode=sum; least=${2:-none}; shift ;;
        --record) record=yes ;;
        --help | -h) sed -n '3,20s/^# \{0,1\}//p' "$0"; exit 0 ;;
        *) break ;;
    esac
    shift
done
seconds=60
case ${1:-} in [0-9]*) seconds=$1; shift ;; esac

# ---- the ledger

# settle: lines that were noted by runs which are no more go into the ledger.
settle()
{
    local note owner line
    for note in "$dir"/note-*; do
        [ -e "$note" ] || continue
        { read -r owner; read -r line; } <"$note"
        kill -0 "$owner" 2>/dev/null && continue
        mv "$note" "$dir/settled.$$" 2>/dev/null || continue # another run was faster
        [ -z "$line" ] || printf '%s\n' "$line" >>"$ledger"
        rm -f "$dir/settled.$$"
    done
}

# sum [TARGET...]: a line for each target, or these: CPU-minutes, executions, runs and findings since the first one that
# counts. False when one of these has fewer than $least minutes.
sum()
{
    { find "$here/corpus" -type f -printf '%f\n' | sed 's/-.*//' | sort -u; cat "$ledger"; } \
        | awk -v only="$*" -v least="$least" '
        BEGIN { asked = split(only, only_these, " "); for (i = 1; i <= asked; i++) wanted[only_these[i]] = 1 }
        /^#since / {
            for (i = 2; i <= NF; i++) {
                name = $i; sub(/:$/, "", name)
                minutes[name] = executions[name] = findings[name] = runs[name] = 0
                delete first[name]; delete last[name]
                if (name != $i) break
            }
            next
        }
        /^#/ { next }
        NF == 1 { if (!($1 in minutes)) minutes[names[++count] = $1] = 0; next }
        {
            if (!($3 in minutes)) names[++count] = $3
            if (!($3 in first)) first[$3] = $2 " " $1
            minutes[$3] += $4 / 60; executions[$3] += $5; findings[$3] += $6; runs[$3]++; last[$3] = $2
            if ($2 < first[$3]) first[$3] = $2 " " $1
        }
        END {
            printf "%-22s %11s %12s %5s %8s  %-18s  %s\n", \
                "target", "CPU-minutes", "executions", "runs", "findings", "since", "last"
            for (i = 1; i <= count; i++) {
                n = names[i]
                if (asked && !(n in wanted)) continue
                wanted[n] = 0
                if (minutes[n] < least) few = few " " n
                printf "%-22s %11.1f %12d %5d %8d  %-18s  %s\n", \
                    n, minutes[n], executions[n], runs[n], findings[n], first[n], last[n]
            }
            for (n in wanted) if (wanted[n]) few = few " " n
            if (asked && few != "") { print "fewer than " least " CPU-minutes:" few; exit 1 }
        }'
}

[ $mode = run ] || [ $mode = sum ] && settle
if [ $mode = sum ]; then
    case $least in *[!0-9]*) say "run.sh: --least takes a number of minutes, and the targets"; exit 64 ;; esac
    [ -z "$least" ] || [ $# -gt 0 ] || { say "run.sh: --least takes a number of minutes, and the targets"; exit 64; }
    sum "$@"
    exit
fi

# ---- the build

command -v clang >/dev/null || { say "run.sh: clang is not installed: apt install clang libclang-rt-14-dev"; exit 77; }
mkdir -p "$dir"
exec 9>"$dir/lock"
flock 9
setup_bootstrap
if [ ! -e "$dir/Makefile" ]; then
    (cd "$dir" && "$root/configure" CC=clang CXX=clang++ --enable-fuzzers --enable-asan --enable-ubsan \
        --disable-hardening "CFLAGS=-g -O1 -fsanitize-coverage-ignorelist=$here/ignorelist") >"$work/fuzz.log" 2>&1 \
        || { tail -n 30 "$work/fuzz.log"; exit 1; }
fi
make -s -C "$dir" Makefile >>"$work/fuzz.log" 2>&1 || exit 1 # says what it does, should configure.ac have changed
all=$(make -s -C "$dir" print-fuzz-targets) || exit 1
if [ $mode = list ]; then echo "$all"; exit 0; fi
[ $# -gt 0 ] || set -- $all
for target; do
    echo "$all" | grep -qx "$target" || { say "run.sh: no target is called $target; see --list"; exit 64; }
done
(cd "$dir" && make -j"$jobs" $(printf 'tests/fuzz/%s ' "$@")) >"$work/fuzz-build.log" 2>&1 \
    || { tail -n 30 "$work/fuzz-build.log"; exit 1; }
commit=$(git -C "$root" rev-parse --short HEAD)
exec 9>&-

export ASAN_OPTIONS=detect_leaks=1:allow_user_segv_handler=0:detect_stack_use_after_return=0:quarantine_size_mb=8
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
options=(-rss_limit_mb=2048 -timeout=$HANG -max_len=8192 -print_final_stats=1 -len_control=0)

# ---- runs

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
    "$dir/tests/fuzz/$target" -merge=1 -rss_limit_mb=2048 -timeout=$HANG "$merged" "$dir/found-$target" \
        >"$dir/merge-$target.log" 2>&1 || { tail -n 5 "$dir/merge-$target.log"; return 1; }
    find "$merged" -type f -size -"$((KEEP_BYTES / 512 + 1))"b -printf '%s %p\n' | sort -n -r | head -n "$KEEP_FILES" \
        | while read -r _ file; do
            cp "$file" "$here/corpus/$target-$(basename "$file" | cut -c1-8).bin"
        done
    say "$target: $(find "$here/corpus" -name "$target-*" | wc -l) files in the corpus"
}

# cpu PID: seconds of CPU time that it has used; nothing when it is gone.
cpu()
{
    local stat
    { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
    stat=${stat##*) }
    set -- $stat
    echo $(((${12} + ${13}) / ticks))
}

# done_so_far LOG: executions, by the last line that says them.
done_so_far()
{
    awk '/number_of_executed_units/ { n = $2 } /^#[0-9]+\t/ { n = substr($1, 2) } END { print n + 0 }' "$1"
}

# note TARGET USED EXECUTIONS CRASHES: the line for the ledger as it would be now.
note()
{
    [ $record = yes ] || return 0
    printf '%s\n%s %s %s %s %s %s\n' $$ "$commit" "$day" "$@" >"$dir/new.$$" \
        && mv "$dir/new.$$" "$dir/note-$1"
}

# watch TARGET LOG: waits until the fuzzer has used its time, or ended, or this run is to end. Sets used.
watch()
{
    local now deadline=$((SECONDS + wall))
    while now=$(cpu "$fuzzer") && [ "$cut" = no ]; do
        used=$now
        note "$1" "$used" "$(done_so_far "$2")" 0
        [ "$used" -lt "$seconds" ] && [ $SECONDS -lt $deadline ] || break
        case $(sed -n 's/^State:\t//p' "/proc/$fuzzer/status" 2>/dev/null) in Z*) break ;; esac
        sleep $LOOK
    done
    kill -TERM "$fuzzer" 2>/dev/null
}

# run TARGET: until its CPU time is used; a line of the table, and of the ledger.
run()
{
    local target=$1 found=$dir/found-$1 log=$dir/$1.out used=0 executions coverage crashes=0 status
    seeds "$target" "$found"
    day=$(date -u +%F)
    "$dir/tests/fuzz/$target" "${options[@]}" -max_total_time=$((wall + 60)) -artifact_prefix="$dir/$target-" "$found" \
        >"$log" 2>&1 </dev/null &
    fuzzer=$!
    watch "$target" "$log"
    wait "$fuzzer"
    status=$?
    while kill -0 "$fuzzer" 2>/dev/null; do wait "$fuzzer"; status=$?; done # a signal to this shell ends a wait
    case $status in 72 | 143) ;; *) crashes=1 ;; esac # those: it ended because it was told to
    executions=$(done_so_far "$log")
    coverage=$(awk '{ for (i = 1; i < NF; i++) if ($i == "cov:") n = $(i + 1) } END { print n + 0 }' "$log")
    printf '%-22s %10d %10d %9d %8d %8d %8d\n' "$target" "$used" "$executions" \
        $((executions / (used > 0 ? used : 1))) "$coverage" "$(find "$found" -type f | wc -l)" $crashes
    if [ $crashes != 0 ]; then
        grep -E -m 8 'ERROR|Assertion|runtime error|SUMMARY|^#[0-9] ' "$log" | sed 's/^/    | /'
        grep -E 'Test unit written to' "$log" | sed 's/^/    /'
    fi
    if [ $record = yes ]; then
        rm -f "$dir/note-$target"
        printf '%s %s %s %s %s %s\n' "$commit" "$day" "$target" "$used" "$executions" $crashes >>"$ledger"
    fi
    return $crashes
}

failed=0
if [ $mode = keep ]; then
    for target; do keep "$target" || failed=1; done
    exit $failed
fi
[ "$seconds" -gt 0 ] || exit 0
wall=$((seconds * 4 + 60)) # seconds after which a run ends in any case
ticks=$(getconf CLK_TCK) cut=no fuzzer=
trap 'cut=yes; [ -z "$fuzzer" ] || kill -TERM "$fuzzer" 2>/dev/null' INT TERM HUP
printf '%-22s %10s %10s %9s %8s %8s %8s\n' target CPU-seconds executions per-second edges inputs crashes
for target; do
    [ $cut = no ] || break
    run "$target" || failed=1
done
exit $failed
