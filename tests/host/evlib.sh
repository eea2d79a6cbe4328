#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# evlib.sh: libwebsockets without its libuv glue, which it looks for by itself: gaveld names the package that is missing,
# and neither crashes nor hangs. The glue is hidden in a mount namespace of its own, which takes root.
set -u
gaveld=$top_builddir/core/host/gaveld
export GAVEL_PLUGIN_DIR=$GAVEL_TEST_PLUGINDIR
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
glue=$(pkg-config --variable=libdir libwebsockets 2>/dev/null)/libwebsockets-evlib_uv.so
[ -f "$glue" ] || { echo "evlib: there is no $glue here"; exit 77; }
[ -e "$GAVEL_PLUGIN_DIR/gavel-websocket-transport.so" ] || { echo "evlib: built without websockets"; exit 77; }
unshare -m mount --bind /dev/null "$glue" 2>/dev/null || { echo "evlib: no mount namespace here (root only)"; exit 77; }

printf '[node]\nname = n\ndata_dir = %s/data\n[cluster]\nmembers = n=ws://127.0.0.1:1\n[transport.main]\nplugin = websocket
listen = ws://127.0.0.1:0\n[statemachine.counter]\n' "$dir" >"$dir/ini"
# libwebsockets 4.1 does not free the rest of the directory in which it found the broken one: with a sanitizer, not ours.
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0
export gaveld glue dir
timeout 60 unshare -m bash -c 'mount --bind /dev/null "$glue" && exec "$gaveld" --config "$dir/ini"' >"$dir/out" 2>&1
status=$?
if grep -q 'is the package libwebsockets-evlib-uv installed?' "$dir/out" && [ $status = 74 ]; then
    echo "refused with $status: $(grep -m 1 'libwebsockets-evlib-uv' "$dir/out")"
    exit 0
fi
echo "evlib: not 74 but $status, or no word of the missing package:"
cat "$dir/out"
exit 1
