#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# cluster.sh: three nodes with the workflow store and a collector; see cluster.py.
command -v python3 >/dev/null || { echo "skipped: no python3"; exit 77; }
exec python3 -B "$(dirname "$0")/cluster.py"
