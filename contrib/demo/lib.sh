# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# lib.sh: what the three demos share. A demo starts real nodes, talks to them with the real command line, shows lines
# that the nodes themselves wrote or answered, checks each of them, and ends non-zero when one check fails.
#
# Asks for: GAVELD and GAVEL (the installed programs; found in PATH otherwise), DEMO_DIR (an empty or absent directory
# for the nodes; a temporary one otherwise), DEMO_KEEP=yes (leave the cluster up at the end).

set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
gaveld=${GAVELD:-$(command -v gaveld || true)}
gavel=${GAVEL:-$(command -v gavel || true)}
[ -x "$gaveld" ] && [ -x "$gavel" ] || { echo "gaveld and gavel are not installed (set GAVELD and GAVEL)"; exit 1; }
keep=${DEMO_KEEP:-no}
export NO_COLOR=1

dir=
nodes=0
ports=()
pids=()         # of node i at pids[i]
followers=()    # background readers of event streams
failed=0
deadline_s=20   # every wait ends by then; on the reference machine none takes more than a second or two

say() { printf '%s\n' "$*"; }
step() { printf '\n-- %s\n' "$*"; }

# check WORDS STATUS: prints and remembers how a check ended.
check()
{
    if [ "$2" = 0 ]; then
        say "   ok: $1"
    else
        say "   NOT OK: $1"
        failed=$((failed + 1))
    fi
}

# wait_for WORDS COMMAND...: runs COMMAND until it succeeds; after the deadline the demo fails with the words.
wait_for()
{
    local words=$1 end=$((SECONDS + deadline_s))
    shift
    until "$@" >/dev/null 2>&1; do
        if [ $SECONDS -ge $end ]; then
            check "waited ${deadline_s}s in vain: $words" 1
            return 1
        fi
        sleep 0.05
    done
}

port_is_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# choose_ports N: the first run of N free ports from 8080 on.
choose_ports()
{
    local base port free
    for ((base = 8080; base < 9080; base++)); do
        free=yes
        for ((port = base; port < base + $1; port++)); do
            port_is_free "$port" || { free=no; break; }
        done
        [ $free = no ] || break
    done
    ports=()
    for ((port = base; port < base + $1; port++)); do ports+=("$port"); done
    if [ "$base" = 8080 ]; then
        say "Ports: ${ports[*]}"
    else
        say "Port 8080 or one behind it is taken here: using ${ports[*]} instead"
    fi
}
