#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# enumerate.sh: the scenes of gavel-sim --enumerate at each eighth place in make check, at each 40th under the address
# sanitizer and in a distribution check. GAVEL_SIM_EVERY asks for others; contrib/test.sh sim plays all of them.
set -eu
build=${top_builddir:?run by make check}
sim=$build/tests/sim/gavel-sim
every=8
case $("$sim" --about) in
    *sanitizer=thread*) echo "the simulator has one thread only"; exit 77 ;;
    *sanitizer=address*) every=40 ;;
esac
case $(cd "$build" && pwd) in */_build/sub) every=40 ;; esac
exec "$sim" --enumerate all --every "${GAVEL_SIM_EVERY:-$every}"
