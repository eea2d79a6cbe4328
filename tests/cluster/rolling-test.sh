#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# rolling-test.sh: three nodes go to a gaveld whose minor versions (ABI, protocol, disk) are one higher and that says
# more than they know (next.c), one after the other, the leader last; and all the way back. Writers in sessions write all
# the time, and no write fails. A plugin for the newer ABI runs in the new gaveld, and is refused by the old one.
# shellcheck source=tests/cluster/lib.sh
. "$(dirname "$0")/lib.sh"
[ -x "$top/tests/cluster/gaveld-next" ] || { echo "skipped: no gaveld-next"; exit 77; }
writers=()

mkdir "$dir/old" "$dir/new"
cp "$GAVEL_TEST_PLUGINDIR"/gavel-{tcp-transport,workflow-statemachine}.so "$GAVEL_TEST_PLUGINDIR"/gavel-*-serializer.so \
    "$dir/old/"
cp "$dir/old/"* "$dir/new/"
cp "$GAVEL_TEST_PLUGINDIR/gavel-counter-statemachine.so" "$dir/old/"
# The counter again, built for the next ABI: it wants a host of that minor.
${CC:-cc} -shared -fPIC -O1 -I"$top_srcdir/include" -I"$top_srcdir" -DPACKAGE_VERSION='"next"' \
    -include "$top_srcdir/tests/cluster/next.h" -o "$dir/new/gavel-counter-statemachine.so" \
    "$top_srcdir/statemachines/counter/counter.c" || die "counter.c for the next ABI"
chmod 755 "$dir/old" "$dir/new" "$dir"/*/*.so

# ini NODE VERSION
ini()
{
    cat >"$dir/$1.ini" <<END
[node]
name = node-$1
data_dir = $dir/node-$1
plugin_dir = $dir/$2
[cluster]
members = node-1=tcp://127.0.0.1:$port node-2=tcp://127.0.0.1:$((port + 1)) node-3=tcp://127.0.0.1:$((port + 2))
[raft]
election_timeout_min = 1s
election_timeout_max = 2s
[transport.main]
plugin = tcp
listen = tcp://127.0.0.1:$((port + $1 - 1))
[statemachine.store]
plugin = workflow
[statemachine.counter]
plugin = counter
END
}
# start NODE VERSION
start()
{
    local daemon=$gaveld
    [ "$2" = old ] || daemon=$top/tests/cluster/gaveld-next
    ini "$1" "$2"
    "$daemon" --config "$dir/$1.ini" 2>>"$dir/$1.log" &
    pids[$1]=$!
}
stop()
{
    kill -TERM "${pids[$1]}"
    timeout 60 tail -s 0.05 --pid="${pids[$1]}" -f /dev/null || die "node $1 does not stop"
    wait "${pids[$1]}" || die "node $1 left with $?"
}
admin() { local n=$1; shift; "$gavel" --data-dir "$dir/node-$n" --timeout 20s "$@"; }
ready() { admin "$1" status --output json 2>/dev/null | grep -q '"ready": *true'; }
add_one() { "$gavel" --timeout 60s --retry counter.increment "name=$1" >/dev/null 2>>"$dir/load.log"; }

for try in 1 2 3 4 5; do
    new_ports 3
    rm -rf "$dir"/node-*
    for n in 1 2 3; do start $n old; done
    add_one first && break
    stop_all
    [ "$try" != 5 ] || die "no three ports"
done

write_on()
{
    while [ ! -e "$dir/stop" ]; do
        if add_one "writer-$1"; then echo >>"$dir/done-$1"; else echo "writer $1" >>"$dir/failed"; fi
    done
}
for w in 1 2; do
    : >"$dir/done-$w"
    write_on $w &
    writers[w]=$!
    others+=($!)
done
written() { cat "$dir"/done-* | wc -l; }
more() { [ "$(written)" -ge "$1" ]; }
leader() { admin "$1" status --output json 2>/dev/null | sed -n 's/^ *"leader": "node-\(.\)".*/\1/p' | head -n 1; }

# move VERSION NODE...: one after the other to that version; the writes go on.
move()
{
    local version=$1 before
    shift
    for n in "$@"; do
        before=$(written)
        stop "$n"
        start "$n" "$version"
        until_true "node $n is back as $version" ready "$n"
        until_true "writes go on after node $n went to $version" more $((before + 4))
        [ ! -e "$dir/failed" ] || die "a session write failed: $(tail -n 1 "$dir/load.log")"
    done
}
# versions NODE PROTOCOL DISK COUNT: so many members speak and store that, as this node sees it.
versions()
{
    [ "$(admin "$1" member list --output json 2>/dev/null | grep -c "\"protocol\": *\"$2\"")" = "$4" ] &&
        [ "$(admin "$1" member list --output json 2>/dev/null | grep -c "\"disk\": *\"$3\"")" = "$4" ]
}
led() { l=$(leader 1) && [ -n "$l" ]; }
order()
{
    local l
    until_true "a leader, as node 1 sees it" led
    for n in 1 2 3; do [ "$n" = "$l" ] || echo $n; done
    echo "$l"
}

until_true "three old ones" versions 1 1.1 1.0 3
mapfile -t nodes < <(order)
move new "${nodes[0]}"
until_true "one new one, as an old one sees it" versions "${nodes[1]}" 1.2 1.1 1
handed() { admin "${nodes[1]}" leader transfer --to "node-${nodes[0]}" >/dev/null 2>>"$dir/load.log"; }
until_true "the new one gets the lead" handed # who has just been elected elsewhere may refuse, or not have caught up
until_true "writes go on under a new leader" more $(($(written) + 4))
# and back, while it leads: nothing of the new format is in the log
move old "${nodes[0]}"
until_true "three old ones again" versions "${nodes[1]}" 1.1 1.0 3

mapfile -t nodes < <(order)
move new "${nodes[@]}"
for n in 1 2 3; do until_true "three new ones, as node $n sees it" versions $n 1.2 1.1 3; done
new_speaks() { grep -q 'The next minor version speaks' "$dir"/*.log; }
until_true "the new one says something new" new_speaks

# an old gaveld does not take the new plugin, and says why
stop "${nodes[0]}"
ini "${nodes[0]}" new
"$gaveld" --config "$dir/${nodes[0]}.ini" >"$dir/out" 2>&1 && die "the old gaveld took a plugin for the next ABI"
grep -q 'gavel-counter-statemachine.so' "$dir/out" && grep -q '1\.2' "$dir/out" ||
    die "the refusal does not name the plugin and its ABI: $(cat "$dir/out")"
start "${nodes[0]}" new
until_true "node ${nodes[0]} is back" ready "${nodes[0]}"

mapfile -t nodes < <(order)
move old "${nodes[@]}"
until_true "three old ones at the end" versions 2 1.1 1.0 3
touch "$dir/stop"
wait "${writers[@]}"
[ ! -e "$dir/failed" ] || die "a session write failed: $(tail -n 1 "$dir/load.log")"
for w in 1 2; do
    value=$("$gavel" --timeout 30s counter.get "name=writer-$w") || die "no counter of writer $w"
    [ "$value" = "$(wc -l <"$dir/done-$w")" ] ||
        die "writer $w was acknowledged $(wc -l <"$dir/done-$w") times, its counter is $value"
done
same() { [ "$("$gavel" status --output json | grep -o '"digest": *"[0-9a-f]\{16\}"' | sort -u | wc -l)" = 1 ]; }
until_true "equal digests" same
echo "rolled to the next minor version and back, twice: $(written) session writes, none failed"
exit 0
