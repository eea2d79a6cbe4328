#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# three-nodes.sh: a data pipeline as a workflow on three nodes. It is started, makes progress, finishes with a batch
# over several workflows that happens as a whole or not at all, and ends up in a snapshot on every node. The documents
# beside this script (*.json) may be edited.
. "$(dirname "$0")/lib.sh"

document() { cat "$here/$1.json"; }

say "Demo 2: a workflow on three nodes"
demo_nodes 3 workflow

step "Three nodes elect a leader"
wait_for_leader
for i in 1 2 3; do show $i "Leader elected: node-$leader"; done

step "Two workflows start: the pipeline, and a report that needs it (pipeline.json, report.json)"
"$gavel" workflow start pipeline-1 "$(document pipeline)"
check "the pipeline was started" $?
"$gavel" workflow start report-1 "$(document report)" >/dev/null
check "the report was started" $?
for i in 1 2 3; do show $i 'Command applied: START_WORKFLOW'; done
"$gavel" workflow start pipeline-1 "$(document pipeline)" >/dev/null 2>"$dir/refused.log"
[ $? != 0 ]; check "starting it twice is refused: $(head -c 200 "$dir/refused.log")" $?

step "A first snapshot, of two workflows"
"$gavel" snapshot --data-dir "$dir/node-$leader" >/dev/null; check "node-$leader was asked" $?
show "$leader" 'Snapshot created (size: 2)'

step "It makes progress, told to one node after the other (progress-*.json)"
i=0
for progress in 33 66 100; do
    i=$((i + 1))
    "$gavel" workflow update pipeline-1 "$(document progress-$progress)" --endpoints "$(uri $i)" >/dev/null
    check "progress $progress, told to node-$i" $?
    show $((i % 3 + 1)) "State [a-z_]*: pipeline-1 = .*$progress"
done

step "A batch over several workflows, pipeline-1 and report-1: all of it or nothing (batch.json)"
"$gavel" batch "$here/batch.json"
check "the batch was taken as a whole" $?
show 3 'Command applied: BATCH'
"$gavel" batch "set pipeline-1/result broken" "incr pipeline-1/result" >/dev/null 2>"$dir/refused.log"
[ $? != 0 ]; check "a batch with one bad item is refused: $(head -c 200 "$dir/refused.log")" $?
"$gavel" get pipeline-1/result | grep -q 1200; check "and changed nothing" $?

step "The finished pipeline is stopped"
"$gavel" workflow stop pipeline-1 >/dev/null; check "stopped" $?
"$gavel" workflow list
"$gavel" workflow list -o json | tr -d ' \n' | grep -q '"pipeline-1"'; check "it is in the list" $?

step "Every node writes a snapshot while it goes on serving"
for i in 1 2 3; do
    "$gavel" snapshot --data-dir "$dir/node-$i" >/dev/null; check "node-$i was asked" $?
    show $i 'Snapshot created (size: [0-9]*)'
done

step "Three nodes, one state"
wait_for "one applied index" same applied
for i in 1 2 3; do say "node-$i: applied $(status $i applied), digest $(status $i digest)"; done
same digest; check "one digest on all three" $?

demo_end "demo (a workflow on three nodes)"
