#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# plugins.sh: the plugins of this tree pass the conformance kit, through gaveld --check-plugin, with another seed each
# time. GAVEL_TEST_SEED repeats one.
set -eu
gaveld=${top_builddir:?run by make check}/core/host/gaveld
export GAVEL_PLUGIN_DIR=${GAVEL_TEST_PLUGINDIR:?run by make check}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
# These must come to their end, and on a busy machine a minute is too little for 200 connections at once.
printf '#!/bin/sh\nexec "%s" --deadline 300s "$@"\n' "$top_builddir/core/check/gavel-check" >"$dir/patient"
chmod 700 "$dir/patient"
export GAVEL_CHECK_PROGRAM=$dir/patient
failed=0 tried=0

# What would take a fixed port is given a free one.
options()
{
    case $1 in *-prometheus-observer.so) echo --set listen=127.0.0.1:0 ;; esac
}

for plugin in "$GAVEL_PLUGIN_DIR"/*.so; do
    tried=$((tried + 1))
    # shellcheck disable=SC2046 # words, or nothing
    if ! "$gaveld" --check-plugin "$plugin" $(options "$plugin") >"$dir/out" 2>&1; then
        echo "FAIL: $(basename "$plugin"):"
        cat "$dir/out"
        failed=1
    fi
    grep -e '^warn' -e '^skip' -e ' passed, ' "$dir/out" || :
done

# What is asked wrongly, and what is not there.
said() { "$gaveld" "$@" 2>&1 | sed -e "s,$GAVEL_PLUGIN_DIR,DIR," | tail -n 2; }
is()
{
    tried=$((tried + 1))
    [ "$1" = "$2" ] || { printf 'FAIL:\n  wanted: %s\n  said:   %s\n' "$2" "$1"; failed=1; }
}
is "$(said --seed 1 | head -n 1)" "gaveld: --seed, --set and --kind go with --check-plugin"
is "$(said --check-plugin nosuch --seed 1 | tail -n 1)" \
    'fail  tables  there is no plugin called "nosuch" in DIR; see gaveld --list-plugins'
is "$(said --check-plugin counter --set color=blue | tail -n 1)" \
    'fail  tables  counter: has no option "color"; see gaveld --dump-plugin'
is "$(said --check-plugin log --set format=loud | tail -n 1)" \
    'fail  tables  log: option format: expected one of human, json, found "loud"'
is "$(said --check-plugin counter --kind observer | tail -n 1)" \
    'fail  tables  there is no observer called "counter" in DIR; see gaveld --list-plugins'
is "$(said --check-plugin counter --kind machine)" \
    'gavel-check: --kind is transport, serializer, statemachine or observer, not "machine"; see gavel-check(3)'
code=0
"$gaveld" --check-plugin counter --kind machine >"$dir/out" 2>&1 || code=$?
is "$code" 64
code=0
"$gaveld" --check-plugin nosuch >"$dir/out" 2>&1 || code=$?
is "$code" 66
code=0
GAVEL_CHECK_PROGRAM=/nonexistent/gavel-check "$gaveld" --check-plugin counter >"$dir/out" 2>&1 || code=$?
is "$code" 69
echo "plugins: $tried tried"
[ "$tried" -gt 8 ] || exit 1
exit "$failed"
