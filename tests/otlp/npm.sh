#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# npm.sh: the decoder that OpenTelemetry publishes for JavaScript reads what the plugin sent, all three signals. It is
# fetched with npm, into a directory that goes again; without npm, or without a network, this test skips. Later versions
# of the package cannot decode any more.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
package=@opentelemetry/otlp-transformer@0.57.2
skip() { echo "skipped: $*"; exit 77; }
for tool in python3 node npm; do
    command -v $tool >/dev/null || skip "no $tool"
done
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
if ! (cd "$dir" && timeout 150 npm install --no-audit --no-fund --ignore-scripts --prefer-offline $package) \
    >"$dir/log" 2>&1; then
    tail -n 3 "$dir/log"
    skip "npm cannot fetch $package"
fi
python3 -B "$here/wire.py" --write "$dir"
NODE_PATH=$dir/node_modules node "$here/read.js" "$dir"
