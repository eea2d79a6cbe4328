#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# regress.sh: every file of tests/regress, what failed once and was made as small as it gets, must pass for ever, and still
# come to what it was about. First, that a file which does not come to it is seen.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/this-build.sh"
bad=0 count=0
planted=$(mktemp)
trap 'rm -f "$planted"' EXIT
{ cat "$here/../regress/commit-unsorted.sim"; echo 'wants wipes 1'; } >"$planted"
if "$sim" --replay "$planted" >/dev/null; then
    echo "regress: a file that wants what it does not come to passes"
    bad=1
fi
for file in "$here"/../regress/*.sim; do
    [ -e "$file" ] || continue
    count=$((count + 1))
    grep -q '^wants [a-z_]* [1-9]' "$file" || { echo "$file: it wants nothing"; bad=$((bad + 1)); }
    "$sim" --replay "$file" || bad=$((bad + 1))
done
echo "$count files, $bad failed"
[ $bad = 0 ]
