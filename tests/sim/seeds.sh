#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# seeds.sh: 200 seeds of the simulator in make check; 10 in a distribution check, a few under the address sanitizer,
# none under the thread sanitizer (there is one thread). GAVEL_SIM_SEEDS and GAVEL_SIM_SECONDS ask for others.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
build=${top_builddir:?run by make check}
sim=$build/tests/sim/gavel-sim
count=200 seconds=20
case $("$sim" --about) in
    *sanitizer=thread*) echo "the simulator has one thread only"; exit 77 ;;
    *sanitizer=address*) count=20 ;;
esac
case $(cd "$build" && pwd) in */_build/sub) count=10 ;; esac
count=${GAVEL_SIM_SEEDS:-$count}
floors=()
[ "$count" -lt 100 ] || floors=(--floors "$here/floors.txt") # a few seeds say nothing about totals
exec "$sim" --seeds "1+$count" --seconds "${GAVEL_SIM_SECONDS:-$seconds}" "${floors[@]}"
