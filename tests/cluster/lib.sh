# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# lib.sh: what the shell tests of this directory share: the programs and a directory of the test's own, nodes by number,
# waiting with a deadline, and what the command line answers. Whatever is started is ended at the exit, by its number.

set -u
top=$(cd "${top_builddir:-.}" && pwd -P)
gavel=$top/core/cli/gavel gaveld=$top/core/host/gaveld
export NO_COLOR=1
export GAVEL_PLUGIN_DIR=${GAVEL_TEST_PLUGINDIR:-$top/tests/plugindir}
if [ ! -x "$gavel" ] || [ ! -x "$gaveld" ] || [ ! -f "$GAVEL_PLUGIN_DIR/gavel-tcp-transport.so" ]; then
    echo "skipped: no $gavel, $gaveld or tcp plugin"
    exit 77
fi
dir=$(mktemp -d "/tmp/gavel-$(basename "$0" .sh)-XXXXXX")
declare -A pids=() # of the nodes, by number or name: pids[$n]
others=()          # of whatever else runs beside the test
failed=0

end_all()
{
    {
        for p in "${others[@]}" "${pids[@]}"; do kill -KILL "$p"; done
        for p in "${others[@]}" "${pids[@]}"; do wait "$p"; done
    } 2>/dev/null
    [ "$failed" = 0 ] || tail -n 20 "$dir"/*.log
}
cleanup() { end_all; rm -rf "$dir"; }
trap cleanup EXIT
trap 'exit 1' INT TERM
fail() { echo "FAIL: $*"; failed=1; } # and goes on
die() { fail "$@"; exit 1; }

# ---- waiting: a condition, at most 60 s of it --------------------------------------------------------------------
pause() { read -rt "${1:-0.05}" <> <(:) || :; }

# until_true WHAT COMMAND...: again and again until it succeeds.
until_true()
{
    local what=$1 end=$((SECONDS + 60))
    shift
    until "$@"; do
        [ $SECONDS -lt $end ] || die "not in time: $what"
        pause
    done
}

# until_says TEXT COMMAND...: again and again until it says that, whatever it leaves with.
until_says()
{
    local text=$1 end=$((SECONDS + 60)) out
    shift
    while :; do
        out=$("$@" 2>&1)
        case $out in *"$text"*) return ;; esac
        [ $SECONDS -lt $end ] || die "in vain for 60 s: $* does not say '$text': $out"
        pause
    done
}

# expect CODE TEXT WORD...: gavel WORD... leaves with CODE, and what it prints contains TEXT.
expect()
{
    local code=$1 text=$2 out got
    shift 2
    out=$("$gavel" "$@" 2>&1)
    got=$?
    [ "$got" = "$code" ] || fail "gavel $*: exit $got, not $code: $out"
    [[ $out == *"$text"* ]] || fail "gavel $*: does not say '$text': $out"
}

# ---- nodes, in the files that gavel init writes to $dir/c ----------------------------------------------------------
start() # NUMBER
{
    "$gaveld" --config "$dir/c/node-$1.ini" >>"$dir/node-$1.log" 2>&1 &
    pids[$1]=$!
}

# slay NUMBER...: kills these and has seen them end, so that their ports and directories are free.
slay()
{
    local n
    for n in "$@"; do kill -KILL "${pids[$n]}"; done 2>/dev/null
    for n in "$@"; do
        wait "${pids[$n]}" 2>/dev/null
        unset "pids[$n]"
    done
}
stop_all() { slay "${!pids[@]}"; }

# new_ports COUNT: $port and those above it, below the ones that the system gives out by itself; the endpoints are theirs.
new_ports()
{
    local i
    port=$((10000 + RANDOM % 20000))
    GAVEL_ENDPOINTS=tcp://127.0.0.1:$port
    for ((i = 1; i < $1; i++)); do GAVEL_ENDPOINTS=$GAVEL_ENDPOINTS,tcp://127.0.0.1:$((port + i)); done
    export GAVEL_ENDPOINTS
}

# patient: longer elections than the default in these files of gavel init. A busy machine shall not cost a leader its place:
# what a test asks for once would then have to be asked for again. How soon one is found is measured elsewhere.
patient()
{
    local file
    for file; do
        sed -i -e 's/^;\(election_timeout_min\) = .*/\1 = 1s/' -e 's/^;\(election_timeout_max\) = .*/\1 = 2s/' "$file"
        [ "$(grep -c -e '^election_timeout_min = 1s$' -e '^election_timeout_max = 2s$' "$file")" = 2 ] ||
            die "$file: no time-outs of elections to be set"
    done
}

# configured: what else is to be in the files of a cluster, before its nodes start; for the test to define.
configured() { :; }

# cluster COUNT MACHINES WORD...: nodes that are founded: gavel WORD..., a write, succeeded. Again when a port is taken.
cluster()
{
    local count=$1 machines=$2 try n
    shift 2
    for try in 1 2 3 4 5; do
        new_ports "$count"
        rm -rf "$dir/c" "$dir"/node-*.log
        "$gavel" init --nodes "$count" --port "$port" --transport tcp --machines "$machines" "$dir/c" >/dev/null ||
            die "gavel init"
        patient "$dir"/c/node-*.ini
        configured
        for ((n = 1; n <= count; n++)); do start "$n"; done
        "$gavel" --timeout 20s "$@" >/dev/null 2>&1 && return
        stop_all
    done
    die "no cluster of $count within $try attempts: no free ports, or see above"
}
