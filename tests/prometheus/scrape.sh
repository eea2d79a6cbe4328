#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# scrape.sh: a real Prometheus and three nodes; see scrape.py.
set -eu
for tool in python3 promtool prometheus; do
    command -v $tool >/dev/null || { echo "SKIP: no $tool here (packages python3, prometheus)"; exit 77; }
done
exec env PYTHONDONTWRITEBYTECODE=1 python3 "$(dirname "$0")/scrape.py"
