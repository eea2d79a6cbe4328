#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# documented.sh: every key of gaveld's own sections is in gavel.ini(5), every plugin has a page of its own, and every
# option and every command of a plugin is in that page.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "${top_srcdir:-$here/../..}" && pwd -P)
gaveld=${top_builddir:?run by make check}/core/host/gaveld
export GAVEL_PLUGIN_DIR=${GAVEL_TEST_PLUGINDIR:?run by make check}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failed=0 words=0

fail() { echo "FAIL: $*"; failed=1; }

# mentions PAGE WORD: the word stands by itself in the page ("snapshot\_keep" and "snapshot_keep" are the same).
mentions()
{
    words=$((words + 1))
    sed -e 's/\\-/-/g' -e 's/\\_/_/g' -e 's/\\f[BIPR]//g' "$1" | grep -q -E "(^|[^A-Za-z0-9_])$2([^A-Za-z0-9_]|\$)"
}

page=$(find "$root/core" -name gavel.ini.5)
if [ -z "$page" ]; then
    fail "there is no gavel.ini(5)"
else
    printf '[node]\nname = a\ndata_dir = %s/a\n[cluster]\nmembers = a=tcp://127.0.0.1:1\n' "$dir" >"$dir/a.ini"
    printf '[transport.tcp]\nlisten = tcp://127.0.0.1:1\n[statemachine.counter]\n' >>"$dir/a.ini"
    "$gaveld" --config "$dir/a.ini" --print-config >"$dir/effective"
    while read -r section key; do
        mentions "$page" "$key" || fail "gavel.ini(5) does not know $key of [$section]"
    done < <(awk '/^\[/ { at = substr($1, 2, length($1) - 2); sub(/\..*/, "", at) }
        at ~ /^(node|cluster|raft|log|snapshot|session|client)$/ && $2 == "=" { print at, $1 }
        at ~ /^(node|cluster|raft|log|snapshot|session|client)$/ && $1 == ";" && $3 == "is" { print at, $2 }' \
        "$dir/effective")
    if mentions "$page" no_such_key_at_all; then fail "this test finds everything"; fi
fi

for plugin in "$GAVEL_PLUGIN_DIR"/*.so; do
    name=$(basename "$plugin" .so)
    "$gaveld" --dump-plugin "$plugin" >"$dir/dump"
    short=$(sed -n 's/^name=//p' "$dir/dump") kind=$(sed -n 's/^kind=//p' "$dir/dump")
    page=$(find "$root/transports" "$root/plugins" "$root/statemachines" -name "gavel-$short.7" -o -name "$name.7" \
        | grep -e "/$short/" | grep -e "$kind" | head -n 1)
    [ -n "$page" ] || { fail "the plugin $name has no manual page"; continue; }
    while read -r word; do
        mentions "$page" "$word" || fail "$(basename "$page") does not know $word"
    done < <(sed -n -e 's/^options\.\([a-z0-9_]*\)\.id=.*/\1/p' -e 's/^commands\.\([a-z0-9_]*\)\.id=.*/\1/p' "$dir/dump")
done
[ "$words" -gt 10 ] || fail "only $words keys and commands were looked for"
[ "$failed" = 0 ] && echo "documented: $words keys and commands"
exit "$failed"
