#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# readme.sh: what README.md shows is true: its configuration is accepted, what it shows of the
# bank is what gavel plugin new makes, which compiles without a warning and is loaded, and the defaults in its table are
# those in force. The commands of "Your first plugin" are run by tests/stranger/stranger.sh.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "${top_srcdir:-$here/../..}" && pwd -P)
gaveld=${top_builddir:?run by make check}/core/host/gaveld
export GAVEL_PLUGIN_DIR=${GAVEL_TEST_PLUGINDIR:?run by make check}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failed=0

fail() { echo "FAIL: $*"; failed=1; }
# block LANGUAGE: the first fenced block of that language.
block() { sed -n "/^\`\`\`$1\$/,/^\`\`\`\$/{/^\`\`\`/d;p}" "$root/README.md"; }

block ini | sed "s,^data_dir = .*,data_dir = $dir/node-1," >"$dir/node-1.ini"
grep -q '^\[cluster\]' "$dir/node-1.ini" || fail "no configuration in README.md"
if [ ! -e "$GAVEL_PLUGIN_DIR/gavel-websocket-transport.so" ]; then     # built without it: the same with tcp
    sed -i -e 's/= websocket/= tcp/' -e 's,ws://,tcp://,g' "$dir/node-1.ini"
fi
"$gaveld" --config "$dir/node-1.ini" --print-config >"$dir/effective" 2>"$dir/errors" \
    || fail "the configuration: $(cat "$dir/errors")"

# | `[section] key` | default | ... |
rows=0
while read -r section key value; do
    rows=$((rows + 1))
    real=$(awk -v section="[$section]" -v key="$key" \
        '/^\[/ { at = $0 } at == section && $1 == key && $2 == "=" { print $3 }' "$dir/effective")
    [ "$real" = "$value" ] || fail "README.md says [$section] $key is $value by default; it is ${real:-unknown}"
done < <(sed -n 's/^| `\[\([a-z]*\)\] \([a-z_]*\)` | \([^ ]*\) |.*/\1 \2 \3/p' "$root/README.md")
[ "$rows" -gt 10 ] || fail "README.md has a table of $rows limits"

# What it shows of the bank is in the bank that gavel plugin new makes, line by line and in this order.
(cd "$dir" && GAVEL_TEMPLATE_DIR=$root/contrib/template "$top_builddir/core/cli/gavel" plugin new bank) >"$dir/new.log" 2>&1 \
    || fail "gavel plugin new bank: $(cat "$dir/new.log")"
block c >"$dir/shown.c"
[ "$(wc -l <"$dir/shown.c")" -gt 30 ] || fail "README.md shows nothing of the bank"
missing=$(awk 'NR == FNR { line[++n] = $0; next }
    { while (at < n && line[at + 1] != $0) at++; if (at++ >= n) { print; exit } }' "$dir/bank/bank.c" "$dir/shown.c")
[ -z "$missing" ] || fail "README.md shows a line that bank.c does not have at that place: $missing"
# shellcheck disable=SC2086 # flags are words
${CC:-cc} -std=gnu11 -Wall -Wextra -Werror -Wno-unused-parameter -shared -fPIC -Wl,-z,defs -I"$root/include" \
    -DPACKAGE_VERSION='"1"' -o "$dir/gavel-bank-statemachine.so" "$dir/bank/bank.c" >"$dir/cc.log" 2>&1 \
    || fail "bank.c: $(cat "$dir/cc.log")"
"$gaveld" --dump-plugin "$dir/gavel-bank-statemachine.so" >"$dir/dump" 2>&1 || fail "$(cat "$dir/dump")"
grep -q '^commands.transfer.arguments.to.id=3' "$dir/dump" || fail "the bank's table is not as README.md has it"

[ "$failed" = 0 ] && echo "readme: one configuration, one state machine, $rows defaults"
exit "$failed"
