# shellcheck shell=bash disable=SC2034 # what it sets is for who reads it
# SPDX-License-Identifier: Apache-2.0
# this-build.sh: read by the scripts beside it. Sets sim, the simulator of the build that make check is in, and kind: "normal",
# "asan", or "dist" in a distribution check. Under the thread sanitizer the script that reads it is skipped.
sim=${top_builddir:?run by make check}/tests/sim/gavel-sim
kind=normal
case $("$sim" --about) in
    *sanitizer=thread*) echo "the simulator has one thread only"; exit 77 ;;
    *sanitizer=address*) kind=asan ;;
esac
case $(cd "$top_builddir" && pwd) in */_build/sub) kind=dist ;; esac
