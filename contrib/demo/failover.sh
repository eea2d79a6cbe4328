#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# failover.sh: the leader is killed with SIGKILL. A new one is elected, nothing that was acknowledged is lost, new
# writes are replicated, and the old leader returns and catches up.
. "$(dirname "$0")/lib.sh"

# value I KEY: what node I itself holds, asked without a leader's help.
value()
{
    "$gavel" get "$2" --stale --endpoints "$(uri "$1")" -o json 2>/dev/null | tr -d ' \n' \
        | sed -n 's/.*"value":"\([^"]*\)".*/\1/p'
}

holds() { [ "$(value "$1" "$2")" = "$3" ]; }

say "Demo 3: the leader is killed"
demo_nodes 3 workflow

step "Three nodes elect a leader"
wait_for_leader
old=$leader
for i in 1 2 3; do show $i "Leader elected: node-$old"; done

step "Two keys are written; each write is acknowledged after a sync on a majority"
"$gavel" set key1 PRESERVED >/dev/null; check "key1 was acknowledged" $?
"$gavel" set key2 PRESERVED >/dev/null; check "key2 was acknowledged" $?
for i in 1 2 3; do show $i 'State set: key2 = PRESERVED'; done

step "SIGKILL to node-$old, the leader (process ${pids[$old]})"
before=$(milliseconds)
node_kill "$old"
wait_for "a write to be acknowledged" "$gavel" set key-after-kill yes --retry --timeout 2s
after=$(milliseconds)
wait_for_leader
say "A new leader and an acknowledged write after $((after - before)) ms"
for i in $(living); do show "$i" "Leader elected: node-$leader"; done
[ "$leader" != "$old" ]; check "node-$leader leads now" $?

step "Nothing is lost"
for key in key1 key2; do
    read_back=$("$gavel" get $key -o json | tr -d ' \n' | sed -n 's/.*"value":"\([^"]*\)".*/\1/p')
    say "$key: $read_back"
    [ "$read_back" = PRESERVED ]; check "$key, read with a majority" $?
done

step "New writes go on, on two of three"
"$gavel" set key3 REPLICATED >/dev/null; check "key3 was acknowledged" $?
for i in $(living); do
    wait_for "key3 on node-$i" holds "$i" key3 REPLICATED
    say "[node-$i] key3: $(value "$i" key3)"
done

step "node-$old returns with its old disk, and catches up"
node_start "$old"
wait_for "key3 on node-$old" holds "$old" key3 REPLICATED
say "[node-$old] key1: $(value "$old" key1)"
say "[node-$old] key3: $(value "$old" key3)"
holds "$old" key3 REPLICATED; check "the old node has what was written while it was away" $?
wait_for_leader
wait_for "one applied index" same applied
for i in 1 2 3; do say "node-$i: applied $(status $i applied), digest $(status $i digest)"; done
same digest; check "one digest on all three" $?

demo_end "demo (the leader is killed)"
