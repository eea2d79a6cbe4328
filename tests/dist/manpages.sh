#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# manpages.sh: every manual page of the tree is installed, and renders without a warning.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "${top_srcdir:-$here/../..}" && pwd -P)
build=${top_builddir:?run by make check}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failed=0 pages=0

if man --version 2>/dev/null | grep -q '^man '; then
    render()
    {
        LC_ALL=C.UTF-8 MANWIDTH=100 MANROFFSEQ='' man -l --warnings -E UTF-8 "$1" 2>&1 >"$dir/text" || echo "man: $?"
    }
elif command -v groff >/dev/null; then
    render() { groff -k -mandoc -Tutf8 -ww "$1" 2>&1 >"$dir/text" || echo "groff: $?"; }
else
    echo "neither man nor groff here"
    exit 77
fi

# A page that is wrong must be told from one that is right, else the rest proves nothing.
printf '.TH X 1\n.SH NAME\nx \\- y\n.nosuchmacro\n' >"$dir/planted.1"
[ -n "$(render "$dir/planted.1")" ] || { echo "a broken page gave no warning"; exit 1; }

installed=$(env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL make -s -C "$build" print-manpages)
while read -r page; do
    pages=$((pages + 1))
    name=${page#"$root"/}
    warnings=$(render "$page")
    [ -z "$warnings" ] || { printf 'FAIL: %s:\n%s\n' "$name" "$warnings"; failed=1; }
    [ "$(wc -l <"$dir/text")" -gt 10 ] || { echo "FAIL: $name renders to nothing"; failed=1; }
    grep -qxF "$name" <<<"$installed" || { echo "FAIL: $name is not installed (dist_man_MANS)"; failed=1; }
done < <(find "$root"/{core,plugins,transports,statemachines,include} -name '*.[1-8]')
echo "manpages: $pages pages"
exit "$failed"
