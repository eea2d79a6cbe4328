#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# rules.sh: the dashboard and the alert rules against the table of metrics and the runbook; then promtool's opinion of
# the rules, and their unit tests.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
command -v python3 >/dev/null || { echo "SKIP: no python3 here"; exit 77; }
PYTHONDONTWRITEBYTECODE=1 python3 "$here/static.py"
command -v promtool >/dev/null || { echo "SKIP: no promtool here (it is in the package prometheus)"; exit 77; }
promtool check rules "$top_srcdir/contrib/prometheus/gavel.rules.yml"
promtool test rules "$top_srcdir/contrib/prometheus/gavel.rules.test.yml"
