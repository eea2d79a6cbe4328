#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# determinism.sh: the same seed is the same run; --trace changes nothing in it, and neither do the seeds before it in the
# same process.
set -eu
. "$(dirname "$0")/this-build.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$sim" --seeds 1+6 --seconds 10 --twice
"$sim" --seed 3 --seconds 10 --trace >"$work/one"
"$sim" --seed 3 --seconds 10 --trace >"$work/two"
cut -d, -f1,2 "$work/one" | grep -v CPU-second >"$work/one.cut"
cut -d, -f1,2 "$work/two" | grep -v CPU-second >"$work/two.cut"
cmp "$work/one.cut" "$work/two.cut"

traces() { "$sim" --seconds 10 --jobs 1 "$@" | awk '$1 == "traces" { print "16#" $2 }'; }
sum=0
for seed in 4 5 6 7; do
    sum=$((sum + $(traces --seed $seed)))
done
[ "$sum" = "$(($(traces --seeds 4..7)))" ] || { echo "a seed leaves something behind for the next one"; exit 1; }
