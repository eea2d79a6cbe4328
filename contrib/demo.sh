#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# demo.sh: from a bare Debian 12 with git to three running demos: builds, installs below build/ (nothing outside of
# it is touched), and shows what the nodes say.
#
#   contrib/demo.sh               a counter on two nodes, a workflow on three, a killed leader
#   contrib/demo.sh --keep        the same, and the cluster of the last one stays up, with commands to try
#   contrib/demo.sh DEMO...       some of: counter three-nodes failover
#
# Builds go to build/ (or $GAVEL_BUILD_DIR). The last line is "N passed, N failed, N skipped", one for each demo.
set -u
. "$(dirname "$0")/build-aux/setup.sh"

keep=no
demos=()
for argument; do
    case $argument in
        --keep) keep=yes ;;
        counter | three-nodes | failover) demos+=("$argument") ;;
        --help | -h) sed -n '3,10s/^# \{0,1\}//p' "$0"; exit 0 ;;
        *) echo "demo.sh: there is no demo or option '$argument'"; sed -n '3,10s/^# \{0,1\}//p' "$0"; exit 64 ;;
    esac
done
[ ${#demos[@]} -gt 0 ] || demos=(counter three-nodes failover)

mkdir -p "$work" || die "cannot write $work (set GAVEL_BUILD_DIR)"
# shellcheck disable=SC2086 # a list of names
setup_install $setup_packages
setup_bootstrap
prefix=$installed
began=$SECONDS
say "Building and installing into $prefix ..."
# What test.sh has built is taken as it is; who has only come for the demo is not stopped by a warning of a newer compiler.
build=demo arguments=("--prefix=$prefix")
[ "$(cat "$work/normal/.arguments" 2>/dev/null)" != "${normal[*]}" ] || build=normal arguments=("${normal[@]}")
setup_build $build "${arguments[@]}" || { count_fail "demo: build"; totals; exit 1; }
make -C "$work/$build" install >"$work/demo-install.log" 2>&1 \
    || { count_fail "demo: make install" "$work/demo-install.log"; totals; exit 1; }

say "Built and installed in $((SECONDS - began)) s"
child=
trap '[ -z "$child" ] || kill -TERM "$child" 2>/dev/null; [ -z "$child" ] || wait "$child"; exit 130' INT TERM
left=${#demos[@]} took=()
for demo in "${demos[@]}"; do
    left=$((left - 1))
    say ""
    began=$SECONDS
    stay=no
    if [ $keep = yes ] && [ $left = 0 ] && [ "$failed" = 0 ]; then
        stay=yes
        say "(the nodes of this one stay up at its end; Ctrl-C stops them)"
    fi
    GAVELD=$prefix/sbin/gaveld GAVEL=$prefix/bin/gavel DEMO_DIR=$work/demo-$demo DEMO_KEEP=$stay \
        "$root/contrib/demo/$demo.sh" &
    child=$!
    if wait "$child"; then count_pass; else count_fail "demo: $demo"; fi
    child=
    took+=("$demo $((SECONDS - began)) s")
done
say ""
for demo in "${took[@]}"; do say "demo $demo"; done
totals
