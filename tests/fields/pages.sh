#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# pages.sh: every plugin's page has the sections that a reader looks for, in their order, and its options and commands
# are made from its table.
set -u
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "${top_srcdir:-$here/../..}" && pwd -P)
failed=0 pages=0

fail() { echo "FAIL: $*"; failed=1; }

# wants PAGE SECTION...: they are there, one behind the other.
wants()
{
    local page=$1 at=0 line section
    shift
    for section; do
        line=$(grep -n -m 1 "^\.Sh $section\$" "$root/$page" | cut -d : -f 1)
        [ -n "$line" ] || { fail "$page has no section $section"; continue; }
        [ "$line" -gt "$at" ] || fail "$page: $section is out of its place"
        at=$line
    done
}

for page in $(cd "$root" && find transports plugins statemachines -name 'gavel-*.7' | sort); do
    pages=$((pages + 1))
    kind=${page%/*/*} kind=${kind##*/} kind=${kind%s} name=$(basename "$page" .7) name=${name#gavel-}
    head -n 2 "$root/$page" | grep -q "gavel-$name(7)" || fail "$page does not begin with its own name"
    grep -q "^\.\\\\\" Made by \"gaveld --dump-plugin $kind.$name --man\";" "$root/$page" \
        || fail "$page: its options are not made from the table of $kind.$name"
    case $kind in
        statemachine) wants "$page" NAME SYNOPSIS DESCRIPTION OPTIONS COMMANDS ERRORS LIMITS EXAMPLES 'SEE ALSO' ;;
        *) wants "$page" NAME SYNOPSIS DESCRIPTION OPTIONS LIMITS EXAMPLES 'SEE ALSO' ;;
    esac
    grep -A 4 '^\.Sh SYNOPSIS' "$root/$page" | grep -q "^\[$kind" || fail "$page: no INI section in SYNOPSIS"
done
for page in core/host/gaveld.8 core/cli/gavel.1; do
    wants "$page" NAME SYNOPSIS DESCRIPTION OPTIONS ENVIRONMENT 'EXIT STATUS' EXAMPLES 'SEE ALSO'
done
wants core/host/gavel.ini.5 NAME SYNOPSIS DESCRIPTION FORM SECTIONS FILES ENVIRONMENT 'SEE ALSO'

[ "$pages" -ge 7 ] || fail "only $pages pages of plugins were found"
[ "$failed" = 0 ] && echo "pages: $pages of plugins"
exit "$failed"
