#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# seeds.sh: 200 seeds of the simulator in make check; 10 in a distribution check, a few under the address sanitizer,
# none under the thread sanitizer. GAVEL_SIM_SEEDS and GAVEL_SIM_SECONDS ask for others.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/this-build.sh"
case $kind in dist) count=10 ;; asan) count=20 ;; *) count=200 ;; esac
count=${GAVEL_SIM_SEEDS:-$count}
floors=()
[ "$count" -lt 100 ] || floors=(--floors "$here/floors.txt" --share 50) # few seeds say nothing about totals
exec "$sim" --seeds "1+$count" --seconds "${GAVEL_SIM_SECONDS:-20}" "${floors[@]}"
