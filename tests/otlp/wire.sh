#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# wire.sh: protoc with the public definitions reads what the plugin sends; see wire.py.
command -v python3 >/dev/null || { echo "skipped: no python3"; exit 77; }
exec python3 -B "$(dirname "$0")/wire.py"
