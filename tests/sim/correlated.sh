#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# correlated.sh: worlds in which damage may hit a majority of the disks, and often. They may stand still, but loudly, and
# what was acknowledged must not be missing from any that goes on, nor from any state. Totals have floors (correlated.txt).
# GAVEL_SIM_SEEDS and GAVEL_SIM_SECONDS ask for other numbers, LEDGER for a line in that file; contrib/test.sh does.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/this-build.sh"
case $kind in dist) count=5 ;; asan) count=10 ;; *) count=40 ;; esac
count=${GAVEL_SIM_SEEDS:-$count}
floors=()
[ "$count" -lt 40 ] || floors=(--floors "$here/correlated.txt") # a few seeds say nothing about totals
exec "$sim" --correlated --set rot_per_hour=600 --set misdirect_ppm=1000 --set crash_per_hour=300 --set down_ms=2000 \
    --seeds "1+$count" --seconds "${GAVEL_SIM_SECONDS:-20}" "${floors[@]}" \
    ${LEDGER:+--ledger "$LEDGER"}
