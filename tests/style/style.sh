#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# style.sh [ROOT]: runs style.awk over every source file of ROOT (default: this tree) and fails on any finding.
# The list comes from git where ROOT is a work tree, else (a tarball) from find without what autotools generated.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=${1:-${top_srcdir:-$here/../..}}
root=$(cd "$root" && pwd -P)

if top=$(git -C "$root" rev-parse --show-toplevel 2>/dev/null) && [ "$top" = "$root" ]; then
    list() { git -C "$root" ls-files --cached; }
else
    list() {
        (cd "$root" && find . -type f \( -name '*.c' -o -name '*.h' -o -name '*.sh' -o -name '*.awk' -o -name '*.am' \
            -o -name '*.ac' -o -name '*.m4' -o -name '*.pc.in' -o -name '*.[1-8]' -o -name '*.md' -o -name NEWS \) \
            ! -path './contrib/m4/l*' ! -path './contrib/build-aux/l*' ! -name aclocal.m4 ! -path '*/.libs/*' \
            ! -path './build*' ! -path './gavel-*' | sed 's,^\./,,')
    }
fi

report=$(mktemp)
trap 'rm -f "$report"' EXIT
cd "$root"
files=$(list | grep -v -e ' ' -e '\.xz$' -e '\.gz$' | while read -r f; do [ ! -f "$f" ] || echo "./$f"; done)
count=$(echo "$files" | wc -l)
[ "$count" -gt 1 ] || { echo "style: found no files below $root"; exit 1; }

# shellcheck disable=SC2086 # a list of names without blanks, as checked above
LC_ALL=C awk -f "$here/style.awk" $files >"$report" || true
if [ -s "$report" ]; then
    cat "$report"
    echo "style: $(wc -l <"$report") findings in $count files"
    exit 1
fi
echo "style: $count files are clean"
