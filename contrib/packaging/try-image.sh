#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# try-image.sh TARBALL: the image of the Dockerfile, built and run where docker or podman has an engine that answers: a
# node as nobody on a read-only root, ready, written to, stopped cleanly, started again with its data.
# Prints "PASS: ...", "FAIL: ..." or "SKIP: ..." with the reason; leaves with 0, 1 or 77.
set -u
failed=0
[ -f "${1:-}" ] || { sed -n '3,5s/^# \{0,1\}//p' "$0"; exit 64; }

engine=
for one in docker podman; do
    if command -v $one >/dev/null && timeout 30 $one info >/dev/null 2>&1; then engine=$one; break; fi
done
[ -n "$engine" ] || { echo "SKIP: the image: neither docker nor podman has an engine here"; exit 77; }

dir=$(mktemp -d)
name=gavel-try-$$
cleanup()
{
    {
        $engine rm -f $name
        $engine volume rm $name
        $engine rmi $name
    } >/dev/null 2>&1
    rm -rf "$dir"
}
trap cleanup EXIT
bad() { echo "FAIL: the image: $*"; failed=1; }
in_node() { timeout 90 $engine exec $name "$@"; }
data=/var/lib/gavel/data

tar -C "$dir" -xf "$1" || exit 1
if ! (cd "$dir"/gavel-* && $engine build -f contrib/packaging/Dockerfile -t $name .) >"$dir/log" 2>&1; then
    tail -n 20 "$dir/log"
    # A machine that cannot fetch what an image begins from says nothing about ours.
    if grep -q -i -E 'pull access|dial tcp|no such host|timeout|manifest|TLS|connection refused' "$dir/log"; then
        echo "SKIP: the image: its base cannot be fetched here"
        exit 77
    fi
    bad "it does not build"
    exit 1
fi
$engine run -d --name $name --read-only -v $name:/var/lib/gavel $name >"$dir/log" 2>&1 || bad "run: $(cat "$dir/log")"
in_node gavel health --ready --wait 60s --data-dir $data >"$dir/log" 2>&1 || bad "never ready: $(cat "$dir/log")"
[ "$(in_node id -u)" = 10001 ] || bad "it runs as $(in_node id -u)"
in_node gavel -e ws://127.0.0.1:8080 set color blue >"$dir/log" 2>&1 || bad "a write: $(cat "$dir/log")"
$engine stop -t 30 $name >/dev/null
[ "$($engine inspect -f '{{.State.ExitCode}}' $name)" = 0 ] || bad "it does not stop cleanly"
$engine start $name >/dev/null
in_node gavel health --ready --wait 60s --data-dir $data >"$dir/log" 2>&1 || bad "not ready again: $(cat "$dir/log")"
in_node gavel -e ws://127.0.0.1:8080 get color 2>&1 | grep -q blue || bad "the data is gone"
[ $failed = 0 ] && echo "PASS: the image, with $engine"
exit $failed
