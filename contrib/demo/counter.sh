#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# counter.sh: two nodes and a counter. What one node is told, the other one has; and two nodes are a majority only
# together: without the other one a write is not acknowledged, and the client is told so.
. "$(dirname "$0")/lib.sh"

count() { "$gavel" call counter.get name=counter --endpoints "$(uri "$1")"; }

say "Demo 1: two nodes, one counter"
demo_nodes 2 counter

step "The two elect a leader"
wait_for_leader
show 1 "Leader elected: node-$leader"
show 2 "Leader elected: node-$leader"

step "The counter is made, through node-1; both nodes have it"
"$gavel" call counter.increment name=counter by=0 --endpoints "$(uri 1)"
check "the command was taken" $?
show 1 'State set: counter = 0'
show 2 'State set: counter = 0'

step "Five increments, through one node and the other in turn"
for i in 1 2 3 4 5; do
    "$gavel" call counter.increment name=counter --endpoints "$(uri $((i % 2 + 1)))" >/dev/null
    check "increment $i" $?
done
show 1 'State set: counter = 5'
show 2 'State set: counter = 5'
for i in 1 2; do
    value=$(count $i)
    say "node-$i answers: $value"
    [ "$value" = 5 ]; check "node-$i counts to 5" $?
done
same digest; check "both nodes have one digest: $(status 1 digest)" $?

step "One of two is no majority: node-2 is stopped, and a write is not acknowledged"
node_stop 2; check "node-2 stopped cleanly" $?
"$gavel" call counter.increment name=counter --timeout 1s --endpoints "$(uri 1)" 2>"$dir/refused.log"
code=$?
sed 's/^/    /' "$dir/refused.log"
[ $code = 3 ] || [ $code = 4 ]; check "no quorum, and it says so (exit code $code)" $?

step "It comes back, and counting goes on"
node_start 2
wait_for_leader
wait_for "a write" "$gavel" call counter.increment name=counter by=10 --timeout 2s --retry
value=$(count 2)
say "node-2 answers: $value"
[ "$value" = 15 ] || [ "$value" = 16 ]; check "nothing was lost: 5 and 10, and 1 if the undecided one was done" $?

demo_end "demo (two nodes, a counter)"
