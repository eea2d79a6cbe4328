#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# test.sh: everything there is to test, from a bare Debian 12 with git to one line of totals.
#
#   contrib/test.sh            normal build, a stranger, seeded bugs, sanitizers, distcheck, packages, simulator, torture;
#                              an hour
#   contrib/test.sh --quick    the normal build only
#   contrib/test.sh --watch    --quick again after every change of a source file, until interrupted
#   contrib/test.sh STAGE...   some of: normal stranger mutants asan coverage tsan distcheck packaging sim torture
#
# Builds go to build/ (or $GAVEL_BUILD_DIR) and are kept, so that a second run is quick. The last line is
# "N passed, N failed, N skipped", counted from the results of make check and of the scripts.
set -u
. "$(dirname "$0")/build-aux/setup.sh"

usage() { sed -n '3,12s/^# \{0,1\}//p' "$0"; exit "$1"; }

watch=no
stages=()
for argument; do
    case $argument in
        --quick) stages=(normal) ;;
        --watch) stages=(normal) watch=yes ;;
        --help | -h) usage 0 ;;
        normal | stranger | asan | sim | tsan | mutants | coverage | distcheck | packaging | torture) stages+=("$argument") ;;
        *) usage 64 ;;
    esac
done
[ ${#stages[@]} -gt 0 ] || stages=(normal stranger mutants asan coverage tsan distcheck packaging sim torture)

stage() { say ""; say "== $1 ($(date +%H:%M:%S))"; }

# check NAME PATTERN...: make check in work/NAME but for the tests whose names begin so; every result counted; no results
# at all is a failure too. Twice as many run at once as there are processors: those of whole processes mostly wait, for
# time-outs and for the disk.
check()
{
    local name=$1 mark=$work/$1.mark before=$((passed + failed + skipped)) status
    local log=$work/$1-check.log programs
    programs=$(all_but print-check-programs "$@")
    touch "$mark"
    make -C "$work/$name" -j"$jobs" -k check TESTS= check_PROGRAMS="$programs" >"$log" 2>&1
    make -C "$work/$name" -j$((2 * jobs)) -k check TESTS="$(all_but print-tests "$@")" check_PROGRAMS="$programs" \
        >>"$log" 2>&1
    status=$?
    count_trs "$name" "$work/$name" "$mark"
    if [ $((passed + failed + skipped)) = "$before" ] || { [ $status != 0 ] && [ ${#failures[@]} = 0 ]; }; then
        count_fail "$name: make check" "$log"
    fi
    say "$name: $((passed + failed + skipped - before)) results"
}

# all_but LIST NAME PATTERN...: what the target LIST of the build prints, but what begins so. The tests that wait most come
# first, so that at the end none of them runs alone.
all_but()
{
    local list=$1 name=$2 each pattern
    shift 2
    for each in $(make -s -C "$work/$name" "$list"); do
        for pattern; do
            case $each in "$pattern"*) continue 2 ;; esac
        done
        case $each in
            tests/cluster/* | tests/otlp/* | tests/host/*) echo "1 $each" ;;
            tests/sim/* | tests/check/* | tests/stranger/* | tests/prometheus/* | tests/recovery/*) echo "2 $each" ;;
            *) echo "3 $each" ;;
        esac
    done | sort -s -n -k 1,1 | cut -d' ' -f2 | xargs
}

run_normal()
{
    stage "normal build, warnings are errors"
    setup_build normal "${normal[@]}" || { count_fail "normal: build"; return; }
    check normal
    begin_seeds_normal
}

# No --enable-werror with sanitizers: the code that they put in makes gcc warn of overlaps and overflows that are not
# there (gcc(1) says so of -fsanitize); the normal build has seen every real warning already.
# What the simulator's stage runs with the sanitizers as well, what reads files and pages only, and the test of a malloc of
# our own, is left out.
run_asan()
{
    stage "address and undefined-behaviour sanitizers"
    if setup_build asan --enable-asan --enable-ubsan "CFLAGS=-g -O1"; then
        check asan tests/{style,dist,abi,fields}/ tests/sim/{seeds,enumerate,determinism}.sh tests/sim/arena_test
        begin_seeds_asan
    else
        count_fail "asan: build"
    fi
}

# The tests with threads or whole processes. Nodes, log and core have none of their own: those tests run in one thread.
run_tsan()
{
    stage "thread sanitizer"
    if setup_build tsan --enable-tsan "CFLAGS=-g -O1"; then
        check tsan tests/{style,dist,abi,fields,fuzz,sim,scenarios,stranger}/ tests/linear/linear_test \
            tests/unit/{raft,node_,test_codec,observer-names,log_{test,batch,inspect,recovery,snapshot,sweep}}
    else
        count_fail "tsan: build"
    fi
}

# One result for each seeded bug: mutants.sh prints a line that begins with "caught NAME" or "SURVIVED NAME" for each
# one, and "FAIL" for a test that fails without any.
run_mutants()
{
    stage "seeded bugs"
    local programs script
    setup_build mutants --enable-werror --enable-seeded-bugs || { count_fail "mutants: build"; return; }
    # Those that the list names, and no other test.
    programs=$(sed -n 's/^[a-z][^ ]* \(tests[^ ]*\)$/\1/p' "$root/tests/mutants.list" | sort -u | xargs)
    make -C "$work/mutants" -j"$jobs" check TESTS= check_PROGRAMS="$programs tests/scenarios/scenario tests/sim/gavel-sim" \
        >"$work/mutants-check.log" 2>&1 \
        || { count_fail "mutants: test programs" "$work/mutants-check.log"; return; }
    (cd "$work/mutants" && top_srcdir=$root top_builddir=$work/mutants \
        GAVEL_TEST_PLUGINDIR=$work/mutants/tests/plugindir "$root/tests/mutants.sh") >"$work/mutants.txt" 2>&1
    local status=$? caught line
    # Each bug is a run of its own, so that no processor idles while another one looks for a bug whose seed has moved.
    (cd "$work/mutants" && sed -n 's/^\([a-z][^ ]*\) .*/\1/p' "$root/tests/sim/bugs.txt" \
        | xargs -n 1 -P "$jobs" "$root/tests/sim/bugs.sh") >>"$work/mutants.txt" 2>&1 || status=1
    # What make check runs without bugs and does more with them.
    for script in failing regress; do
        (cd "$work/mutants" && top_srcdir=$root top_builddir=$work/mutants "$root/tests/sim/$script.sh") \
            >"$work/mutants-$script.log" 2>&1 || count_fail "mutants: tests/sim/$script.sh" "$work/mutants-$script.log"
    done
    caught=$(grep -c '^caught ' "$work/mutants.txt")
    passed=$((passed + caught))
    while read -r line; do count_fail "mutants: $line"; done < <(grep -E '^(SURVIVED|FAIL) ' "$work/mutants.txt")
    if [ "$caught" = 0 ] || { [ $status != 0 ] && ! grep -q -E '^(SURVIVED|FAIL) ' "$work/mutants.txt"; }; then
        count_fail "mutants: tests/mutants.sh" "$work/mutants.txt"
    fi
    grep '^MOVED ' "$work/mutants.txt"
    say "mutants: $caught seeded bugs caught"
}

# Most stages wait more than they compute, and the long runs of seeds take what they leave of the processors: each begins
# as soon as its build is there, and the simulator's stage, the last one, waits for them. The system's idle class, so that
# no test that wakes up has to wait for a seed.
declare -A begun=() simulators=() # by build: the seeds, and the process
trap '[ ${#simulators[@]} = 0 ] || kill -KILL "${simulators[@]}" 2>/dev/null' EXIT # its workers go with it

# begin_seeds BUILD FIRST LAST MINUTES [SHARE]: these seeds, of so many simulated minutes, with the build's simulator, which is
# built here. Once, and only when the simulator's stage was asked for.
begin_seeds()
{
    local name=$1 log=$work/sim-$1.log idle=(nice -n 19)
    case " ${stages[*]} " in *" sim "*) ;; *) return ;; esac
    [ -z "${begun[$name]:-}" ] || return
    begun[$name]=$(($3 - $2 + 1))
    make -C "$work/$name" -j"$jobs" tests/sim/gavel-sim >"$work/sim-$name-build.log" 2>&1 \
        || { count_fail "sim: the build $name" "$work/sim-$name-build.log"; return; }
    chrt -i 0 true 2>/dev/null && idle=(chrt -i 0)
    rm -f "$log" # not cut short: somebody may have it open
    ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 \
        "${idle[@]}" "$work/$name/tests/sim/gavel-sim" --seeds "$2..$3" --minutes "$4" --jobs "$jobs" \
        --floors "$root/tests/sim/floors.txt" --share "${5:-100}" --ledger "$work/sim.ledger" >"$log" 2>&1 &
    simulators[$name]=$!
}

# end_seeds BUILD: waits for what was begun, for which nothing has to be spared any more. One result. All of them must have
# run: a simulator that is told to end does so between two seeds, and finds nothing wrong.
end_seeds()
{
    local name=$1 log=$work/sim-$1.log process=${simulators[$1]:-} each
    [ -n "$process" ] || return
    for each in "$process" $(pgrep -P "$process"); do chrt -o -p 0 "$each" >/dev/null 2>&1; done
    if wait "$process" && grep -q "^${begun[$name]} seeds," "$log"; then
        count_pass
    else
        count_fail "sim: $name" "$log"
    fi
    unset "simulators[$name]"
    grep -A 40 -E '^[0-9]+ seeds,' "$log" | sed "s/^/$name: /"
}

# enumerate BUILD EVERY: the simulator's short scenes with something going wrong at each N-th place. One result.
enumerate()
{
    local name=$1 every=$2 log=$work/enumerate-$1.log
    if "$work/$name/tests/sim/gavel-sim" --enumerate all --every "$every" --jobs "$jobs" >"$log" 2>&1; then
        count_pass
    else
        count_fail "sim: $name, enumerated" "$log"
    fi
    tail -n 1 "$log" | sed "s/^/$name: enumerated: /"
}

# correlate BUILD COUNT: so many seeds of damage that may hit all copies: nothing wrong may ever be answered. One result.
correlate()
{
    local name=$1 seeds=$2 log=$work/correlated-$1.log
    if top_builddir=$work/$name GAVEL_SIM_SEEDS=$seeds GAVEL_SIM_SECONDS=60 LEDGER=$work/sim.ledger \
        "$root/tests/sim/correlated.sh" >"$log" 2>&1
    then
        count_pass
    else
        count_fail "sim: $name, correlated" "$log"
    fi
    grep -E '^[0-9]+ seeds,' "$log" | sed "s/^/$name: correlated: /"
}

# worlds BUILD SEEDS: these seeds in each of the simulator's worlds that are not as the swarm draws them, and what they are
# to meet there. One result a world.
worlds()
{
    local name=$1 seeds=$2 log=$work/worlds-$1.log line
    (cd "$work/$name" && JOBS=$jobs LEDGER=$work/sim.ledger "$root/tests/sim/worlds.sh" "$seeds") >"$log" 2>&1
    while read -r line; do
        case $line in
            PASS:*) count_pass ;;
            FAIL:*) count_fail "sim: $name, world ${line#FAIL: }" "$log" ;;
        esac
    done < <(grep -E '^(PASS|FAIL):' "$log")
    grep -q '^PASS:' "$log" || count_fail "sim: $name, worlds" "$log"
    sed -n "s/^PASS: /$name: world /p" "$log"
}

# speed EVENTS SECONDS: at the least, a CPU-second. About half of what gavel-reliability(7) says, so that another machine
# and a busy one are good enough, and what makes it twice as slow is not. One result.
speed()
{
    local log=$work/sim-speed.log
    if (cd "$work/normal" && "$root/tests/bench/sim-speed.sh" --least "$1" "$2") >"$log" 2>&1; then
        count_pass
    else
        count_fail "sim: speed" "$log"
    fi
    sed -n 's/^round /normal: speed: &/p' "$log"
}

# A thousand seeds of five simulated minutes, a tenth of them with the sanitizers watching: the builds are those of the
# stages before, and by now most of the seeds have run (see above).
begin_seeds_normal() { begin_seeds normal 1 900 5; }
begin_seeds_asan() { begin_seeds asan 901 1000 5 50; } # of a hundred, rare totals come to less by chance

run_sim()
{
    stage "simulator"
    if setup_build normal "${normal[@]}"; then
        begin_seeds_normal
        enumerate normal 1
        correlate normal 200
        worlds normal 1..10
    else
        count_fail "sim: build"
    fi
    if setup_build asan --enable-asan --enable-ubsan "CFLAGS=-g -O1"; then
        begin_seeds_asan
        ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 enumerate asan 10
    else
        count_fail "sim: build with sanitizers"
    fi
    end_seeds normal
    end_seeds asan
    speed 300000 145
}

# The long form of the torture, when nothing runs beside it any more: five minutes of every fault and every task there is,
# on five nodes that make install has installed. A fixed seed: what differs from run to run is the machine. One result.
run_torture()
{
    stage "torture"
    local log=$work/torture.log status why
    setup_build normal "${normal[@]}" || { count_fail "torture: build"; return; }
    make -C "$work/normal" -j"$jobs" check TESTS= \
        check_PROGRAMS="tests/cluster/torture tests/cluster/proxy tests/linear/linear-check" >"$work/torture-build.log" 2>&1 \
        || { count_fail "torture: test programs" "$work/torture-build.log"; return; }
    (cd "$work/normal" && top_builddir=. timeout -k 60 1200 tests/cluster/torture --minutes 5 --nodes 5 --install \
        --faults all --seed 20 --ledger "$work/torture.ledger") >"$log" 2>&1
    status=$?
    case $status in
        0)
            count_pass
            left_out torture torture "$log"
            ;;
        77)
            count_skip
            why=$(skip_reason "$log")
            say "skipped: torture: ${why#skipped: }"
            ;;
        *) # what the nodes said comes last in the log
            why=$(grep -E '^(FAILED|left in place:|again:)' "$log")
            printf 'exit %s\n%s\n' "$status" "$why" >>"$log"
            count_fail "torture: five minutes, five nodes" "$log"
            ;;
    esac
    sed -n -E 's/^(done, of those tried|operators:|logs:)/torture: &/p' "$log"
}

# What the tests reach together: at least 95 % of the lines of core/raft and core/log, and every mark. One result.
run_coverage()
{
    stage "coverage"
    setup_build coverage --enable-cover --disable-hardening "CFLAGS=-g -O0 --coverage" \
        || { count_fail "coverage: build"; return; }
    if "$root/tests/cover.sh" "$work/coverage" >"$work/coverage.txt" 2>&1; then
        count_pass
        grep -v '^ ' "$work/coverage.txt"
    else
        count_fail "coverage" "$work/coverage.txt"
    fi
}

# The tarball: made, unpacked read-only, built, checked, installed, uninstalled, cleaned. One result. Of the tests that
# take long, those of whole clusters and of the simulator, which the stage "normal" runs with the same sources, a few are
# run here: that their files are in the tarball, tests/dist/tarball.sh has seen.
run_distcheck()
{
    stage "distcheck"
    setup_build normal "${normal[@]}" || { count_fail "distcheck: build"; return; }
    # VERBOSE: what failed says why in the log, for the tree in which it failed is gone afterwards.
    if VERBOSE=1 make -C "$work/normal" -j"$jobs" distcheck TESTS="$(all_but print-tests normal tests/{cluster,sim,otlp,prometheus}/) \
        tests/cluster/kill-test tests/cluster/cli-test.sh tests/sim/sim_test tests/sim/seeds.sh tests/otlp/units" \
        >"$work/distcheck.log" 2>&1; then
        count_pass
        distcheck_skips
        say "distcheck: $(basename "$(ls -t "$work"/normal/gavel-*.tar.xz | head -n 1)")"
    else
        grep -n -E '^(FAIL|ERROR):|[Ee]rror' "$work/distcheck.log" | tail -n 20
        distcheck_failures
        count_fail "distcheck" "$work/distcheck.log"
    fi
}

# Its tests are not counted one by one, but how many there were is said, and which of them skipped, and why (Makefile.am's
# installcheck-local has seen to it).
distcheck_skips()
{
    sed -n -E 's/^(skipped|left out): /&distcheck: /p' "$work/distcheck.log"
    say "distcheck:$(sed -n 's/^# \([A-Z]*\): *\([0-9]*\)$/ \1 \2/p' "$work/distcheck.log" | tr -d '\n')"
}

# What each test that failed said, which is somewhere in the middle of the log: a head of "FAIL: NAME" and a line below it,
# then its output, up to the next head or the totals.
distcheck_failures()
{
    local name log
    rm -f "$work"/distcheck-[0-9]*.log
    awk -v to="$work/distcheck-" '
        /^=+$/ && before ~ /^(FAIL|ERROR): / { if (out) close(out); out = to (++count) ".log"; print before >out }
        /^=+$/ && before ~ /^(PASS|SKIP|XFAIL): / || /^Testsuite summary/ { if (out) close(out); out = "" }
        out && before !~ /^(FAIL|ERROR): / { print before >out }
        { before = $0 }' "$work/distcheck.log"
    for log in "$work"/distcheck-[0-9]*.log; do
        [ -s "$log" ] || continue
        name=$(sed -n '1s/^[A-Z]*: //p' "$log")
        count_fail "distcheck: $name" "$log"
    done
}

# tried NAME COMMAND...: one result for each "PASS: ", "FAIL: " and "SKIP: " line of it; a failure without one counts too.
tried()
{
    local name=$1 log=$work/packaging/$1.txt line status said
    shift
    "$@" >"$log" 2>&1
    status=$?
    said=$(grep -c -E '^(PASS|FAIL|SKIP):' "$log")
    while read -r line; do
        say "packaging: $line"
        case $line in
            PASS:*) count_pass ;;
            SKIP:*) count_skip ;;
            *) count_fail "packaging: ${line#FAIL: }" "$log" ;;
        esac
    done < <(grep -E '^(PASS|FAIL|SKIP):' "$log")
    if [ "$said" = 0 ] || { [ $status != 0 ] && ! grep -q -E '^(FAIL|SKIP):' "$log"; }; then
        count_fail "packaging: $name" "$log"
    fi
}

# The tarball as a stranger has it; Debian packages from it, judged by lintian and tried in a clean Debian 12 (root only;
# the bare system and what was downloaded are kept in packaging/cache); the image, where there is an engine.
run_packaging()
{
    local at=$work/packaging debs=$work/packaging/debs tarball new
    stage "tarball, packages, image"
    # shellcheck disable=SC2086 # a list of names
    setup_install $setup_packaging_packages
    rm -rf "$debs" "$work"/normal/gavel-*.tar.xz
    mkdir -p "$debs"
    setup_build normal "${normal[@]}" || { count_fail "packaging: build"; return; }
    make -C "$work/normal" dist >"$at/dist.txt" 2>&1 || { count_fail "packaging: make dist" "$at/dist.txt"; return; }
    tarball=$(echo "$work"/normal/gavel-*.tar.xz)
    tried release "$root/tests/dist/release.sh" "$tarball"
    tried image "$root/contrib/packaging/try-image.sh" "$tarball"
    command -v dpkg-buildpackage >/dev/null || { say "packaging: no Debian here"; count_skip; return; }
    "$root/contrib/packaging/build-deb.sh" --tarball "$tarball" "$debs" >"$at/build.txt" 2>&1 \
        || { count_fail "packaging: build-deb.sh" "$at/build.txt"; return; }
    new=$(sed -n 's/^+ \(gavel_[a-z_]*\)@.*/\1/p' "$debs/build.log" | paste -sd' ')
    if [ -z "$new" ]; then count_pass; else count_fail "packaging: debian/libgavel0.symbols does not know: $new"; fi
    if lintian --allow-root --fail-on error,warning "$debs"/*.changes >"$at/lintian.txt" 2>&1; then
        count_pass
    else
        count_fail "packaging: lintian" "$at/lintian.txt"
    fi
    tried try-deb "$root/contrib/packaging/try-deb.sh" "$debs" "$at/cache"
}

# As somebody who has only what make install gave: plugins of their own, made, built and run. A result a step.
run_stranger()
{
    stage "a stranger's plugins"
    local p=0 f=0 s=0 line
    setup_build normal "${normal[@]}" || { count_fail "stranger: build"; return; }
    rm -rf "$installed" "$work/stranger-work"
    make -C "$work/normal" install >"$work/stranger-install.log" 2>&1 \
        || { count_fail "stranger: make install" "$work/stranger-install.log"; return; }
    "$root/tests/stranger/stranger.sh" "$installed" "$work/stranger-work" >"$work/stranger.txt" 2>&1
    read -r p f s < <(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed, \([0-9]*\) skipped$/\1 \2 \3/p' "$work/stranger.txt")
    passed=$((passed + ${p:-0})) skipped=$((skipped + ${s:-0}))
    while read -r line; do count_fail "stranger: ${line#NOT OK: }"; done < <(grep '^NOT OK: ' "$work/stranger.txt")
    if [ "${p:-0}" = 0 ] || [ "${f:-1}" != "$(grep -c '^NOT OK: ' "$work/stranger.txt")" ]; then
        count_fail "stranger: stranger.sh" "$work/stranger.txt"
    elif [ "${f:-1}" != 0 ]; then
        tail -n 40 "$work/stranger.txt" | sed 's/^/    | /'
    fi
    grep '^skipped: ' "$work/stranger.txt"
    say "stranger: ${p:-0} steps"
}

run_all()
{
    local name began took=()
    passed=0 failed=0 skipped=0 failures=()
    rm -f "$work/failures.${0##*/}"
    setup_bootstrap
    for name in "${stages[@]}"; do
        began=$SECONDS
        "run_$name"
        took+=("$name $((SECONDS - began)) s")
    done
    say ""
    for name in "${took[@]}"; do say "stage $name"; done
    totals
}

# The newest change under the tree, build results and git's own files left out.
changed_since()
{
    find "$root" \( -path "$root/.git" -o -path "$work" -o -name autom4te.cache -o -name 'configure*' \
        -o -name 'Makefile.in' -o -name aclocal.m4 \) -prune -o -type f -newer "$1" -print -quit
}

mkdir -p "$work" || die "cannot write $work (set GAVEL_BUILD_DIR)"
# shellcheck disable=SC2086 # lists of names
setup_install $setup_packages $setup_test_packages
setup_prometheus
setup_npm
if [ $watch = no ]; then
    run_all
    exit
fi
trap 'exit 0' INT TERM
while :; do
    touch "$work/watch.mark"
    run_all
    say "Waiting for a change ..."
    while [ -z "$(changed_since "$work/watch.mark")" ]; do sleep 1; done
done
