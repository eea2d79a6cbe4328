#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# enumerate.sh: the scenes of gavel-sim --enumerate at each tenth place in make check, at each 60th under the address
# sanitizer and in a distribution check. GAVEL_SIM_EVERY asks for others; contrib/test.sh sim plays all of them.
set -eu
. "$(dirname "$0")/this-build.sh"
case $kind in normal) every=10 ;; *) every=60 ;; esac
"$sim" --enumerate all --every "${GAVEL_SIM_EVERY:-$every}"
[ "$every" -gt 10 ] && exit 0
# Every allocation of those in which some were once not survived: short, and places move with each change of the code.
for scene in snapshot-taken refetch session session-over-snapshot; do
    "$sim" --enumerate "$scene:memory"
done
