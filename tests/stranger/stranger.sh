#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# stranger.sh PREFIX [WORK]: what somebody does who has gavel installed below PREFIX and nothing else of it: makes plugins
# of all kinds and languages with `gavel plugin new`, builds, checks, packs and installs them, runs three nodes with
# them, drives them by their own commands, kills the leader, and compares what is left.
#
# Prints a line a step and at last "N passed, N failed, N skipped". RUSTC names another rustc than Debian's.
set -u
prefix=$(cd "${1:?the prefix that gavel is installed in}" && pwd -P) || exit 1
work=${2:-$(mktemp -d)}
mkdir -p "$work" && work=$(cd "$work" && pwd -P) || exit 1
[ $# -gt 1 ] || trap 'rm -rf "$work"' EXIT
deadline_s=60
passed=0 failed=0 skipped=0
pids=()

# A stranger's environment: the installed programs first, the installed .pc files, and none of this tree's variables.
unset GAVEL_PLUGIN_DIR GAVEL_TEMPLATE_DIR GAVEL_CHECK_PROGRAM LD_LIBRARY_PATH MAKEFLAGS MFLAGS MAKELEVEL DESTDIR
unset CFLAGS CPPFLAGS CXXFLAGS LDFLAGS GAVEL_ENDPOINTS top_srcdir top_builddir
export PATH=$prefix/bin:$prefix/sbin:$PATH NO_COLOR=1
PKG_CONFIG_PATH=$(find "$prefix" -name gavel.pc -printf '%h\n' | head -n 1)
export PKG_CONFIG_PATH

say() { printf '%s\n' "$*"; }
ok() { passed=$((passed + 1)); say "ok: $*"; }
bad() { failed=$((failed + 1)); say "NOT OK: $1"; [ -z "${2:-}" ] || tail -n 30 "$2" | sed 's/^/    | /'; }
skip() { skipped=$((skipped + 1)); say "skipped: $*"; }

# step WORDS COMMAND...: one result; what it prints is shown when it fails.
step()
{
    local words=$1
    shift
    if "$@" >"$work/step.log" 2>&1; then ok "$words"; else bad "$words" "$work/step.log"; return 1; fi
}

# gives WORDS TEXT CODE COMMAND...: the command leaves with CODE and prints exactly TEXT.
gives()
{
    local words=$1 text=$2 code=$3 out got
    shift 3
    out=$("$@" 2>&1)
    got=$?
    if [ "$got" = "$code" ] && [ "$out" = "$text" ]; then ok "$words"; else bad "$words: exit $got: $out"; fi
}

# wait_for WORDS COMMAND...: until it succeeds, or the deadline.
wait_for()
{
    local words=$1 end=$((SECONDS + deadline_s))
    shift
    until "$@" >"$work/wait.log" 2>&1; do
        [ $SECONDS -lt $end ] || { bad "waited ${deadline_s}s in vain: $words" "$work/wait.log"; return 1; }
        read -rt 0.05 <> <(:) || :
    done
}

# stopped PID: told to end, it ends.
stopped()
{
    kill -TERM "$1"
    wait_for "process $1 to end" not kill -0 "$1"
    wait "$1" 2>/dev/null
}
not() { ! "$@"; }

# ---- the README, section "Your first plugin", from top to bottom; $1 is its first port

# "    COMMAND   # WORDS" is run as it stands but for sudo and the ports; where WORDS are a number, it is what it prints.
readme()
{
    local line command words pid='' out ran=0
    mkdir -p "$work/readme" && cd "$work/readme" || return 1
    while IFS= read -r line; do
        command=$(sed -e 's/^ *//' -e 's/ *  # .*//' -e 's/^sudo //' -e "s/^gavel init /&--port $1 /" <<<"$line")
        words=$(sed -n 's/.*  # *//p' <<<"$line")
        ran=$((ran + 1))
        case $command in
            cd\ *) cd "${command#cd }" || return 1 ;;
            *\&)
                eval "exec ${command%&}" &
                pid=$!
                pids+=("$pid")
                wait_for "a leader of the README's cluster" gavel status ;;
            *)
                out=$(eval "$command" 2>&1)
                if [ $? != 0 ] || { [[ $words =~ ^[0-9]+$ ]] && [ "$out" != "$words" ]; }; then
                    bad "README.md: $command: $(tail -n 5 <<<"$out")"
                else
                    ok "README.md: $command"
                fi ;;
        esac
    done < <(awk '/^```/ { code = !code } /^## / { here = /first plugin/ } here && !code && /^    / { print substr($0, 5) }' \
        "$readme")
    [ "$ran" -gt 12 ] || bad "README.md shows $ran commands only"
    if [ -n "$pid" ]; then stopped "$pid"; fi
    cd "$work" || return 1
}
readme=$(cd "$(dirname "$0")/../.." && pwd -P)/README.md

leave()
{
    local pid
    for pid in "${pids[@]}"; do [ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null; done
    wait 2>/dev/null
    if [ "$failed" != 0 ]; then tail -n 15 "$work"/cluster/node-?.log 2>/dev/null; fi
    say "$passed passed, $failed failed, $skipped skipped"
    [ "$failed" = 0 ]
    exit
}

# ---- plugins: from nothing to installed

# Debian's rustc, also where another one is first in PATH.
rustc=${RUSTC:-/usr/bin/rustc}
banks=()

# plugin NAME KIND LANGUAGE [configure arguments...]
plugin()
{
    local name=$1 kind=$2 language=$3
    shift 3
    cd "$work" || exit 1
    step "$name: gavel plugin new, $kind in $language" gavel plugin new "$name" --kind "$kind" --language "$language" \
        || return 1
    cd "$name" || return 1
    step "$name: autoreconf" autoreconf -i || return 1
    step "$name: configure, without a word about where gavel is" ./configure "$@" || return 1
    if grep -E 'warning: ' <(make 2>&1) >"$work/step.log"; then bad "$name: compiles with warnings" "$work/step.log"; fi
    step "$name: make check" make check || return 1
    step "$name: make distcheck" make distcheck || return 1
    step "$name: make install" make install || return 1
    step "$name: gaveld knows it" gaveld --dump-plugin "$name" || return 1
    if man --version 2>/dev/null | grep -q '^man '; then
        step "$name: its page renders" test -z "$(LC_ALL=C.UTF-8 MANROFFSEQ='' man -l --warnings -E UTF-8 \
            "$prefix/share/man/man7/gavel-$name.7" 2>&1 >/dev/null)"
    fi
}

plugin bank statemachine c && banks+=(bank)
plugin bank-cxx statemachine c++ && banks+=(bank-cxx)
if [ -x "$rustc" ]; then
    plugin bank-rust statemachine rust RUSTC="$rustc" && banks+=(bank-rust)
else
    skip "the bank in Rust: there is no $rustc (apt install rustc)"
fi
plugin wire transport c
plugin tagged serializer c
plugin lines observer c
cd "$work" || exit 1
[ "$failed" = 0 ] || leave

# With --prefix everything goes below that, and make uninstall takes it away.
away=$work/away
(cd bank && mkdir -p vpath && cd vpath && make -s -C .. distclean && ../configure -q --prefix="$away") >"$work/step.log" 2>&1 \
    && make -s -C bank/vpath install >>"$work/step.log" 2>&1
step "bank: out of its tree, installed below --prefix" test -x "$away/lib/gavel/gavel-bank-statemachine.so"
make -s -C bank/vpath uninstall >"$work/step.log" 2>&1
step "bank: make uninstall leaves nothing" test -z "$(find "$away" -type f)"

# ---- three nodes

# Ports below those that the system gives out by itself: three for clients, three for peers.
ports_are_free()
{
    local port
    for port in $(seq "$1" $(($1 + 5))); do
        if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then return 1; fi
    done
}
# The wire of gavel init's default, ws where it was built.
scheme=ws
[ -e "$(pkg-config --variable=plugindir gavel)/gavel-websocket-transport.so" ] || scheme=tcp

ini()
{
    local i from=() to
    rm -rf cluster
    gavel init --nodes 3 --port "$port" --machines "workflow,$(IFS=,; echo "${banks[*]}")" cluster || return 1
    for i in 1 2 3; do
        to=wire://127.0.0.1:$((port + 2 + i))
        from+=(-e "s,node-$i=$scheme://[0-9.:]*,node-$i=$to,")
    done
    for i in 1 2 3; do
        sed -i "${from[@]}" -e '/^\[serializer\]/,/^\[/s/^;plugin = .*/plugin = tagged, msgpack, json/' \
            -e 's/^;\(election_timeout_min\) = .*/\1 = 1s/' -e 's/^;\(election_timeout_max\) = .*/\1 = 2s/' \
            cluster/node-$i.ini # a busy machine shall not cost a leader its place
        printf '\n[transport.wire]\nlisten = wire://127.0.0.1:%s\n' $((port + 2 + i)) >>cluster/node-$i.ini
        printf '\n[observer.lines]\nfile = %s/cluster/node-%s.lines\nmetrics_interval = 200ms\n' "$work" $i \
            >>cluster/node-$i.ini
        gaveld --check-config --config cluster/node-$i.ini || return 1
    done
}

node_start() { gaveld --config "$work/cluster/node-$1.ini" >>"$work/cluster/node-$1.log" 2>&1 & pids[$1]=$!; }
uri() { echo "$scheme://127.0.0.1:$((port + $1 - 1))"; }
# field I NAME: of node I's own status.
field()
{
    gavel status --json --timeout 5s -e "$(uri "$1")" 2>/dev/null | tr -d '\n' \
        | sed -n "s/^[^[]*\"$2\": *\"\{0,1\}\([^\",}]*\).*/\1/p" | head -n 1
}
leader()
{
    leader=$(gavel status 2>/dev/null | sed -n 's/^leader  *node-\([1-3]\).*/\1/p')
    [ -n "$leader" ]
}
another_leader() { leader && [ "$leader" != "$old" ]; }
same() { [ -n "$(field 1 "$1")" ] && [ "$(field 1 "$1")" = "$(field 2 "$1")" ] && [ "$(field 2 "$1")" = "$(field 3 "$1")" ]; }

for try in 1 2 3 4 5; do
    port=$(awk -v seed="$$$try" 'BEGIN { srand(seed); print 10000 + int(rand() * 20000) }')
    ports_are_free "$port" && break
done
GAVEL_ENDPOINTS=$(uri 1),$(uri 2),$(uri 3)
export GAVEL_ENDPOINTS
readme "$port"
step "gavel init, and the new plugins named in the INI files" ini || leave
for i in 1 2 3; do node_start $i; done
wait_for "a leader" gavel set first 1 --timeout 5s || leave
ok "three installed nodes, and the workflow store beside ${banks[*]}"

# ---- driven from the command line, by its own commands and arguments

for bank in "${banks[@]}"; do
    gavel help >"$work/help" 2>&1
    step "gavel help has $bank's commands" grep -q "^$bank\$" "$work/help"
    gavel help "$bank.transfer" >"$work/help" 2>&1
    step "gavel help $bank.transfer has its arguments" grep -q '^  to  *Who is paid' "$work/help"
    gives "$bank.open" 0 0 gavel "$bank.open" account=ann
    gives "$bank.open, by place" 0 0 gavel "$bank.open" bob
    gives "$bank.deposit" 100 0 gavel "$bank.deposit" account=ann amount=100
    gives "$bank.transfer" 70 0 gavel "$bank.transfer" account=ann amount=30 to=bob
    gives "$bank.balance" 30 0 gavel "$bank.balance" bob
    gives "$bank.transfer over what is there" 'gavel: 30 is not enough to pay 31' 2 gavel "$bank.transfer" bob 31 ann
    gives "$bank.open a second time" 'gavel: this account is open already' 1 gavel "$bank.open" ann
    gives "$bank.deposit to nobody" 'gavel: there is no account "eve"' 2 gavel "$bank.deposit" eve 1
    gives "$bank.deposit of nothing is refused by the table" 'gavel: amount: is 0; the least is 1' 64 \
        gavel "$bank.deposit" ann 0
done
gives "the workflow store is there too" 'first: 1' 0 gavel get first
(
    gavel events --count 1 --type balance,state_changed --json >"$work/events" 2>&1 &
    events=$!
    end=$((SECONDS + deadline_s))
    while kill -0 $events 2>/dev/null && [ $SECONDS -lt $end ]; do gavel bank.deposit bob 1 >/dev/null; done
    kill $events 2>/dev/null
)
for bank in "${banks[@]}"; do # the same number of deposits for all
    while [ "$(gavel "$bank.balance" bob)" -lt "$(gavel bank.balance bob)" ]; do gavel "$bank.deposit" bob 1 >/dev/null; done
done
step "watchers see the bank's events" grep -q '"key": *"bob"' "$work/events"

# Who has which wire: established connections to the ports of the stranger's transport.
peers() { awk -v a="$(printf ':%04X' $((port + 3)))" -v b="$(printf ':%04X' $((port + 4)))" -v c="$(printf ':%04X' $((port + 5)))" \
    '$4 == "01" && ($3 ~ a"$" || $3 ~ b"$" || $3 ~ c"$") { n++ } END { exit n < 6 }' /proc/net/tcp; }
wait_for "six connections between peers over the stranger's transport" peers && ok "peers talk over wire:// alone"
for i in 1 2 3; do
    step "node-$i has the stranger's serializer, which its peers prefer" grep -q gavel-tagged-serializer.so \
        "/proc/${pids[$i]}/maps"
done
for i in 1 2 3; do
    wait_for "lines of node-$i" grep -q '^[0-9]* metric consensus.commands.total' cluster/node-$i.lines \
        && ok "node-$i's observer writes logs and metrics"
done

# A replicated option, changed for the whole cluster at one entry of the log.
settings=()
for bank in "${banks[@]}"; do settings+=("statemachine.$bank.overdraft=1000"); done
step "gavel settings set: an overdraft of 1000 for ${banks[*]}" gavel settings set "${settings[@]}" --data-dir cluster/node-1
for bank in "${banks[@]}"; do
    step "$bank: an account may go below zero now" test "$(gavel "$bank.transfer" bob 900 ann)" -lt 0
done

# ---- the leader dies in the middle of deposits

wait_for "the leader's name" leader || leave
old=$leader
asked=0 acknowledged=0 before=$(gavel bank.balance ann)
deposit()
{
    asked=$((asked + 1))
    if gavel bank.deposit ann 1 --retry --timeout 10s >/dev/null 2>&1; then acknowledged=$((acknowledged + 1)); fi
}
for _ in 1 2 3 4 5; do deposit; done
(exec kill -KILL "${pids[$old]}")
for _ in 1 2 3 4 5 6 7 8 9 10; do deposit; done
wait "${pids[$old]}" 2>/dev/null
pids[$old]=
step "kill -9 of node-$old, the leader: deposits go on" test "$acknowledged" -gt 5
wait_for "another leader" another_leader && ok "node-$leader leads now"
sum=$(($(gavel bank.balance ann) - before))
if [ "$sum" -ge "$acknowledged" ] && [ "$sum" -le "$asked" ]; then
    ok "$acknowledged of $asked deposits were acknowledged, and $sum are there: none is lost, none doubled"
else
    bad "$acknowledged of $asked deposits were acknowledged, and $sum are there"
fi
for bank in "${banks[@]}"; do
    [ "$bank" = bank ] || gavel --retry --timeout 60s "$bank.deposit" ann "$sum" >/dev/null
done

node_start "$old"
wait_for "one applied index on all nodes" same applied && ok "node-$old returns and catches up"
wait_for "one digest on all nodes" same digest && ok "one digest on all nodes"
gavel bank.list -o json >"$work/list"
step "the whole list is there" grep -q '"ann"' "$work/list"
for bank in "${banks[@]}"; do
    for i in 1 2 3; do
        step "$bank on node-$i has the balances of the bank in C" cmp "$work/list" \
            <(gavel "$bank.list" --stale -o json -e "$(uri $i)")
    done
done

# ---- everything again from the disks
for i in 1 2 3; do kill -TERM "${pids[$i]}"; done
codes=
for i in 1 2 3; do
    wait "${pids[$i]}"
    codes="$codes $?"
    pids[$i]=
done
step "SIGTERM: all leave with 0 (${codes# })" test "$codes" = " 0 0 0"
for i in 1 2 3; do node_start $i; done
wait_for "a leader after a restart of all" gavel bank.balance ann --timeout 5s
step "all balances survive a restart of all" cmp "$work/list" <(gavel bank.list -o json)
leave
