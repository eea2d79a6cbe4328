#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# newcomer.sh: what gavel says to somebody who has no cluster yet: what init leaves to be done, and which endpoints there
# are.
set -u
gavel=$top_builddir/core/cli/gavel
export GAVEL_PLUGIN_DIR=$GAVEL_TEST_PLUGINDIR
unset GAVEL_ENDPOINTS
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failed=0 count=0

# says CODE TEXT ARGUMENTS...: the exit code of gavel, and all that it prints.
says()
{
    local code=0 want=$1 text=$2 out
    shift 2
    count=$((count + 1))
    out=$(timeout 60 "$gavel" "$@" 2>&1) || code=$?
    [ "$code" = "$want" ] && [ "$out" = "$text" ] && return
    printf 'FAIL: gavel %s: exit %s, wanted %s\n  wanted: %s\n  said:   %s\n' "$*" "$code" "$want" "$text" "$out"
    failed=1
}

# What init tells of DIR, its fellows and the endpoints that gavel does not know by itself.
written() { echo "$dir/$1/node-1.ini${2-} written, and $dir/$1/start.sh: run it to start the cluster"; }
told="gavel has to be told where the nodes are, by --endpoints or once for all that follows:
    export GAVEL_ENDPOINTS="

says 0 "$(written port ' and its fellows')
${told}tcp://127.0.0.1:9090,tcp://127.0.0.1:9091,tcp://127.0.0.1:9092" init --transport tcp --port 9090 "$dir/port"
says 0 "$(written one)
${told}tcp://127.0.0.1:808" init --transport tcp --port 808 --nodes 1 "$dir/one"
(export GAVEL_ENDPOINTS='tcp://[::1]:1 tcp://127.0.0.1:9090'
says 0 "$(written known)" init --transport tcp --port 9090 -n 1 "$dir/known"; exit $failed) || failed=1
says 0 "$(written asked)" init --transport tcp --port 9090 -n 1 -e unix:///a,tcp://127.0.0.1:9090 "$dir/asked"
usual=$(env -u GAVEL_ENDPOINTS "$gavel" init "$dir/usual" 2>/dev/null)
[ "$usual" = "$(written usual ' and its fellows')" ] || { echo "FAIL: init alone says: $usual"; failed=1; }
says 64 "gavel: 1 to 9 nodes, on ports from 1 to 65535" init --port 0 --nodes 1 "$dir/none"
says 64 "gavel: 1 to 9 nodes, on ports from 1 to 65535" init --port 65535 --nodes 2 "$dir/none"
says 0 "$(written last)
${told}tcp://127.0.0.1:65535" init --transport tcp --port 65535 --nodes 1 "$dir/last"

tls="means TLS, which no transport of this build has: use ws:// or tcp://, and between machines a network that encrypts by \
itself, such as a VPN"
says 64 "gavel: 'wss://127.0.0.1:1' $tls" -e wss://127.0.0.1:1 get x
says 64 "gavel: 'tls://h:1' $tls" -e tcp://127.0.0.1:1,tls://h:1 get x
says 64 "gavel: 'https://h' $tls" -e https://h get x
says 64 "gavel: 'ftp://h:1' is no endpoint that this build speaks: ws://host:port, tcp://host:port, unix:///path" \
    -e ftp://h:1 get x
echo "newcomer: $count tried"
[ "$count" -gt 7 ] || exit 1
exit "$failed"
