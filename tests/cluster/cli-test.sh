#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cli-test.sh: the command line against three real nodes: what it prints, its exit codes, and what it does without a
# quorum.
# shellcheck source=tests/cluster/lib.sh
. "$(dirname "$0")/lib.sh"

# until_leads NAME: status says so, within a minute; the lead is handed over again if it went elsewhere meanwhile.
until_leads()
{
    since=$(date +%s)
    until "$gavel" status 2>&1 | grep -q "^leader     $1"; do
        [ $(($(date +%s) - since)) -lt 60 ] || { echo "$1 does not lead: $("$gavel" status 2>&1)"; failed=1; return; }
        "$gavel" leader transfer --to "$1" --data-dir "$sock" >/dev/null 2>&1
    done
}

# exactly TEXT WORD...: it prints just that.
exactly()
{
    text=$1
    shift
    out=$("$gavel" "$@" 2>&1)
    [ "$out" = "$text" ] || { echo "gavel $*: printed '$out', not '$text'"; failed=1; }
}

cluster 3 workflow,counter set first 1

# the store
exactly 'first: 1' get first
expect 0 'revision: ' set color blue
exactly 'color: blue' get color
exactly 'color: blue' get key=color
exactly 'color: blue' call workflow.get key=color
expect 0 '"mod_revision"' -o json get color
expect 2 'no such key' get nothing
expect 2 'another value' cas color red green
expect 0 'revision: ' cas color blue green
exactly 'color: green' get color --stale
expect 0 'revision: ' set doc '{"a":1,"b":[1,2]}'
expect 0 'revision: ' update doc '{"a":null,"c":"x"}'
exactly 'doc: {"b": [1, 2], "c": "x"}' get doc
exactly 'n: 5' incr n 5
expect 0 'revision: ' batch 'set a 1' 'set b {"x":2}' 'incr n' 'del color'
expect 2 'items[1]' batch 'set z 1' 'delete nothing'
expect 2 'no such key' get z
exactly 'a: 1
b: {"x": 2}
doc: {"b": [1, 2], "c": "x"}
first: 1
n: 6' list
exactly 'a
b' list --keys --from a --to c
expect 0 'there is more' list --limit 2
exactly 5 list --count
expect 2 'no such key' del a nothing
expect 0 'revision: ' --retry set safe 1

# any machine, by its table
exactly 3 counter.increment hits 3
exactly 3 counter.get hits
expect 64 "did you mean 'set'" sett a 1
expect 64 "did you mean 'value'" set key=a valeu=1
expect 64 'missing' set a
expect 64 "did you mean 'key'" get kee=a key=a
expect 64 "did you mean 'value'" set a valeu=1
expect 64 'did you mean gavel settings?' setings
expect 64 "no machine 'workflo' here; did you mean 'workflow'?" workflo.get a
expect 64 "no machine 'bank' here" -m bank open a
expect 64 "no machine here has a command 'counter.gett'" counter.gett a
expect 64 "no machine here has a command 'nonsense'" help nonsense
expect 64 'one word too many' get a 1 2
expect 64 'JSON' call set --json '{'
expect 0 'revision: ' call set --json '{"key":"j","value":[true,null]}'
exactly 'j: [true, null]' get j
expect 0 'Required' help set
expect 0 'incr' help

# workflows
expect 0 'status: running' workflow start import '{"step":1}'
expect 1 'already' workflow start import
expect 0 'version: 2' workflow update import '{"step":2}'
expect 0 'import' workflow list running
expect 0 'status: stopped' workflow stop import

# the cluster
expect 0 'leader' status
expect 0 '"cluster_id"' status --json
expect 0 '"consensus.commands.total"' status --json
expect 0 'node-3' members
expect 0 'consensus.elections.total' metrics
expect 5 'administrators' call gavel.snapshot
expect 64 'admin socket' snapshot
expect 64 'needs a value' -e

# members: looked at by anybody, changed through a socket; a node that joins, and one that goes
expect 0 'node-3' member list
expect 64 'gavel member add NAME' member add
expect 64 'admin socket' member remove node-3
sock=$dir/c/node-2
expect 2 'no member has the name' member remove nobody --data-dir "$sock"
expect 1 'is that of member' member add node-4 "tcp://127.0.0.1:$port" --data-dir "$sock"
expect 2 'have changed since' member add node-4 "tcp://127.0.0.1:$((port + 3))" --if-version 77 --data-dir "$sock"
sed -e 's/node-1$/node-4/' -e '/^members/,/node-3=/d' -e "s/:$port\$/:$((port + 3))/" "$dir/c/node-1.ini" >"$dir/c/node-4.ini"
"$gaveld" --config "$dir/c/node-4.ini" >>"$dir/node-4.log" 2>&1
[ $? -eq 78 ] || { echo 'a node with an empty directory, no members and no addresses to join by does not leave with 78'; failed=1; }
"$gaveld" --config "$dir/c/node-4.ini" --join "tcp://127.0.0.1:$port" >>"$dir/node-4.log" 2>&1 &
pids[4]=$!
expect 0 'caught up' member add node-4 "tcp://127.0.0.1:$((port + 3))" --wait 60s --timeout 60s --data-dir "$sock"
expect 0 'voter' member list
exactly 'first: 1' -e "tcp://127.0.0.1:$((port + 3))" get first
expect 0 'is a learner' member demote node-4 --data-dir "$sock"
expect 0 'was updated' member update node-4 --priority 2 --data-dir "$sock"
expect 0 'learner           2' member list
expect 2 'have changed since' member change --promote node-4 --if-version 77 --data-dir "$sock"
expect 2 "no member has the name 'nobody'" member change --promote node-4 --remove nobody --data-dir "$sock"
expect 64 'takes NAME=ADDRESS' member change --add node-5 --data-dir "$sock"
expect 64 'gavel member change' member remove node-4 --promote node-4 --data-dir "$sock"
expect 1 'is no voter' leader transfer --to node-4 --data-dir "$sock"
until_leads node-2 # a leader of priority 0 would go, and who follows it does not know at once what is committed
until_says 'was updated' "$gavel" member update node-1 --priority 0 --data-dir "$sock"
expect 1 'its priority is 0' leader transfer --to node-1 --data-dir "$sock"
expect 0 'was updated' member update node-1 --priority 1 --data-dir "$sock"
for n in 1 2 3; do # of any member, whoever leads
    expect 0 'handed over' leader transfer --to node-$n --data-dir "$sock"
    until_leads "node-$n" # whoever is asked may not have heard of it yet; a busy machine may have cost it the lead
done
until_says '2 changes were made in one step' "$gavel" member change --remove node-4 \
    --update "node-1=tcp://127.0.0.1:$port,tcp://127.0.0.1:$port/" --data-dir "$sock"
expect 0 'was updated' member update node-1 "tcp://127.0.0.1:$port" --data-dir "$sock"
wait "${pids[4]}"
[ $? -eq 78 ] || { echo 'a node that was removed does not leave with 78'; failed=1; }
expect 0 'taken' snapshot --data-dir "$dir/c/node-1"
"$gavel" events --count 1 --type state_changed,balance --json >"$dir/events" 2>"$dir/note" &
events=$!
others+=("$events")
for try in $(awk 'BEGIN { for (i = 0; i < 1000; i++) print i }'); do
    "$gavel" set watched "$try" >/dev/null
    kill -0 "$events" 2>/dev/null || break
done
wait "$events"
grep -q "has no events of type 'balance'" "$dir/note" || { echo "events noted: $(cat "$dir/note")"; failed=1; }
grep -q '"key":"watched"' "$dir/events" || { echo "events printed: $(cat "$dir/events")"; failed=1; }
expect 0 'ops/s' bench --connections 4 --seconds 1

# nodes that register themselves; with --hold until a signal comes
expect 0 'w1 is registered' node register w1 tcp://worker:9000 zone=a disk=ssd --ttl 1h
expect 0 'tcp://worker:9000  disk=ssd zone=a' node list
expect 0 'w1 goes on' node keep w1
expect 0 '"zone"' node list -o json
expect 64 'neither an address' node register w2 zone
expect 0 'w1 was taken out' node deregister w1
expect 2 'w1' node keep w1
expect 64 'gavel node register NAME' node register
"$gavel" node register w3 zone=b --ttl 30s --hold >"$dir/hold" 2>&1 &
hold=$!
others+=("$hold")
until_listed() { for try in $(awk 'BEGIN { for (i = 0; i < 300; i++) print i }'); do
    "$gavel" node list 2>/dev/null | grep -q "$1" && return; done; return 1; }
until_listed '^w3 .*zone=b' || { echo "node register --hold: is not listed: $(cat "$dir/hold")"; failed=1; }
kill -TERM "$hold"
wait "$hold" || { echo "node register --hold: exit $? after SIGTERM"; failed=1; }
[ "$(cat "$dir/hold")" = "$(printf 'w3 is registered\nw3 was taken out')" ] ||
    { echo "node register --hold: $(cat "$dir/hold")"; failed=1; }
expect 2 'w3' node deregister w3

# usage: what is wrong, and then how it is meant
expect 64 "gavel member knows no 'ad'; did you mean 'add'? usage: gavel member list" member ad node-4
expect 64 'gavel member needs more words; usage: gavel member list' member
expect 64 'too few words, or too many; usage: gavel member add NAME' member add node-4
expect 64 "gavel settings knows no 'sett'; did you mean 'set'? usage: gavel settings" settings sett
expect 64 'gavel reload takes no words; usage: gavel reload' reload node-1
expect 64 "gavel completion knows no 'fish'; usage: gavel completion" completion fish
expect 64 "there is no setting 'ttl'; did you mean 'session.ttl'?" settings set ttl=20m --data-dir "$dir/c/node-1"
expect 64 'no option' status --nonsense
expect 64 '--output json prints JSON' health --json
expect 64 'usage: gavel'
expect 0 'usage: gavel' --help
expect 0 'gavel 0' --version
expect 64 'no endpoint' -e gopher://x get a

# no quorum: two of three are gone; a leader needs a moment to see it, and what it takes until then is unknown
slay 2 3
for try in $(awk 'BEGIN { for (i = 0; i < 200; i++) print i }'); do
    "$gavel" status >/dev/null 2>&1 || break
done
expect 3 'no leader' status
# The node waits for a leader as long as it was told, a tenth less than this: time for its answer to come back.
expect 3 'no leader was found' --timeout 5s set lost 1
exactly 'first: 1' get first --stale
slay 1
expect 3 'nobody listens there' --timeout 2s get first
expect 0 'sound' data check "$dir/c/node-1"
expect 0 'command' data dump --count 3 --from 3 "$dir/c/node-1"
expect 1 'nothing is damaged' data repair "$dir/c/node-1"
expect 1 'and 2 other ones vote: start its node' data repair --apply "$dir/c/node-1"

# a typing error where nobody can be asked; a cluster whose machine is not installed: told at once, and by start.sh
expect 3 'did you mean gavel plugin?' --timeout 2s plgin new bank
expect 0 'gavel-bonk-statemachine.so: there is no such file' init --transport tcp --machines workflow,bonk "$dir/b"
GAVELD=$gaveld "$dir/b/start.sh" >>"$dir/node-b.log" 2>&1
[ $? -eq 78 ] || { echo 'start.sh does not leave with the code of nodes that failed'; failed=1; }

[ "$failed" = 0 ] && echo "cli-test: everything as documented"
exit "$failed"
