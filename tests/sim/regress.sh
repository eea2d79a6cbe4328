#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# regress.sh: every file of tests/regress, what failed once and was made as small as it gets, must pass for ever.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
sim=${top_builddir:?run by make check}/tests/sim/gavel-sim
case $("$sim" --about) in *sanitizer=thread*) echo "the simulator has one thread only"; exit 77 ;; esac
bad=0 count=0
for file in "$here"/../regress/*.sim; do
    [ -e "$file" ] || continue
    count=$((count + 1))
    "$sim" --replay "$file" || bad=$((bad + 1))
done
echo "$count files, $bad failed"
[ $bad = 0 ]
