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

# demo_nodes N MACHINE,...: chooses ports, writes the configuration with `gavel init`, and starts the nodes.
demo_nodes()
{
    local count=$1 machines=$2 i
    nodes=$count
    dir=${DEMO_DIR:-$(mktemp -d)}
    rm -rf "$dir"/node-* "$dir"/start.sh
    mkdir -p "$dir" || exit 1
    choose_ports "$count"
    "$gavel" init --nodes "$count" --port "${ports[0]}" --machines "$machines" "$dir" >"$dir/init.log" \
        || { cat "$dir/init.log"; exit 1; }
    for ((i = 1; i <= count; i++)); do
        # What is shown below is what the nodes log; the changes themselves are told at level debug only.
        sed -i 's/^;levels =.*/levels = state:debug, apply:debug/' "$dir/node-$i.ini"
        grep -q '^levels = ' "$dir/node-$i.ini" || { say "gavel init writes no key levels: $dir"; exit 1; }
        "$gaveld" --check-config --config "$dir/node-$i.ini" >"$dir/check.log" 2>&1 || { cat "$dir/check.log"; exit 1; }
        node_start "$i"
    done
    GAVEL_ENDPOINTS=$(for i in $(seq "$count"); do uri "$i"; done | paste -sd,)
    export GAVEL_ENDPOINTS
    say "Nodes: $count, in $dir"
}

# uri I: where node I listens, as its INI says.
uri() { sed -n 's/^listen = *\([^ ,]*\).*/\1/p' "$dir/node-$1.ini" | head -n 1; }

node_start()
{
    "$gaveld" --config "$dir/node-$1.ini" >>"$dir/node-$1.log" 2>&1 &
    pids[$1]=$!
}

# node_kill I: SIGKILL, as a crash would.
node_kill()
{
    kill -KILL "${pids[$1]}"
    wait "${pids[$1]}" 2>/dev/null
    pids[$1]=
}

# node_stop I: SIGTERM; a node hands over, syncs and exits with 0.
node_stop()
{
    kill -TERM "${pids[$1]}"
    end_of "$1"
}

# end_of I: waits for a node that was told to end, and kills one that does not; its exit status.
end_of()
{
    local pid=${pids[$1]} end=$((SECONDS + deadline_s)) status
    while kill -0 "$pid" 2>/dev/null && [ $SECONDS -lt $end ]; do sleep 0.05; done
    if kill -KILL "$pid" 2>/dev/null; then say "node-$1 (process $pid) did not end by itself in ${deadline_s}s"; fi
    wait "$pid" 2>/dev/null
    status=$?
    pids[$1]=
    return $status
}

# spoken I: the lines of node I as a reader sees them: "[node-1] Leader elected: node-1".
spoken() { sed -n 's/^[^ ]* *[A-Z]* *\(\[node-[0-9]*\] .*[^ ]\)  ([a-z._-]*)$/\1/p' "$dir/node-$1.log"; }

has_spoken() { spoken "$1" | grep -q -e "$2"; }

# show I PATTERN: waits for a line of node I that matches, prints the newest one, and fails the demo if none comes.
show()
{
    wait_for "node-$1 to say '$2'" has_spoken "$1" "$2" || return 1
    say "$(spoken "$1" | grep -e "$2" | tail -n 1)"
}

# status I FIELD: a field of what node I answers to `gavel status --json`; asked directly, even without a leader.
status()
{
    "$gavel" status --json --endpoints "$(uri "$1")" 2>/dev/null | tr -d '\n' \
        | sed -n "s/^[^[]*\"$2\": *\"\{0,1\}\([^\",}]*\).*/\1/p" | head -n 1
}

# leader_of I: the number of the node that node I takes for the leader; nothing when it knows none.
leader_of() { status "$1" leader | sed -n 's/^node-\([0-9]*\)$/\1/p'; }

living() { local i; for ((i = 1; i <= nodes; i++)); do [ -z "${pids[$i]:-}" ] || echo "$i"; done; }

# agreed: every living node names the same living leader.
agreed()
{
    local i first=
    for i in $(living); do
        leader=$(leader_of "$i")
        [ -n "$leader" ] && [ -n "${pids[$leader]:-}" ] || return 1
        [ "${first:=$leader}" = "$leader" ] || return 1
    done
}

# wait_for_leader: sets leader to its number.
wait_for_leader() { wait_for "a leader" agreed && agreed; }

# same FIELD: every living node answers the same.
same()
{
    local i value first=
    for i in $(living); do
        value=$(status "$i" "$1")
        [ -n "$value" ] && [ "${first:=$value}" = "$value" ] || return 1
    done
}

# milliseconds: a clock for the differences that a demo prints.
milliseconds() { local now=${EPOCHREALTIME/[.,]/}; echo $((now / 1000)); }

# Every way out ends what was started, by its own number, and nothing else.
demo_cleanup()
{
    local i
    for i in $(living); do kill -TERM "${pids[$i]}" 2>/dev/null; done
    for i in $(living); do end_of "$i"; done
    [ -n "${DEMO_DIR:-}" ] || [ -z "$dir" ] || rm -rf "$dir"
}
trap demo_cleanup EXIT
trap 'exit 130' INT TERM

# demo_end NAME: the verdict; with DEMO_KEEP=yes the nodes stay up until Ctrl-C.
demo_end()
{
    say ""
    if [ "$failed" != 0 ]; then
        say "$1: $failed checks failed; the nodes' logs end like this:"
        local i
        for ((i = 1; i <= nodes; i++)); do tail -n 8 "$dir/node-$i.log" | sed "s/^/    node-$i | /"; done
        exit 1
    fi
    say "$1: every check passed"
    [ "$keep" = yes ] || exit 0
    say ""
    say "The cluster stays up; its files are in $dir. In another terminal, try:"
    say "    export GAVEL_ENDPOINTS=$GAVEL_ENDPOINTS PATH=$(dirname "$gavel"):\$PATH"
    say "    gavel status"
    say "    gavel events"
    say "    gavel help"
    [ "$nodes" = 2 ] || say "    gavel set greeting hello && gavel get greeting"
    [ "$nodes" = 2 ] || say "    kill -KILL ${pids[${leader:-1}]}      # the leader; then gavel status again"
    say "Ctrl-C here stops it."
    wait
}
