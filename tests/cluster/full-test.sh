#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# full-test.sh: the disk of a node runs full and has room again: writes are refused with a status, reads go on, the alarm
# is seen in status and as an event, and all of it is over by itself when space returns; nothing that was acknowledged is
# lost, and nobody restarts anything. On a small tmpfs, so it needs root.
if [ "${1:-}" != inside ]; then
    [ "$(id -u)" = 0 ] || { echo "skipped: a small file system needs root"; exit 77; }
    unshare -m true 2>/dev/null || { echo "skipped: no mount namespace here"; exit 77; }
    exec unshare -m "$0" inside
fi
# shellcheck source=tests/cluster/lib.sh
. "$(dirname "$0")/lib.sh"
cleanup()
{
    end_all
    umount "$dir/disk" 2>/dev/null
    rm -rf "$dir"
}

mkdir "$dir/disk"
mount -t tmpfs -o size=48m none "$dir/disk" 2>/dev/null || { echo "skipped: no tmpfs can be mounted"; exit 77; }

cat >"$dir/node.ini" <<END
[node]
name = node-1
data_dir = $dir/disk/data
[cluster]
members = node-1=tcp://127.0.0.1:0
[transport.main]
plugin = tcp
listen = tcp://127.0.0.1:0
[log]
segment_bytes = 2MiB
trailing_bytes = 0
[statemachine.store]
plugin = workflow
[observer.log]
plugin = log
level = info
END
"$gaveld" --config "$dir/node.ini" >"$dir/node-1.log" 2>&1 &
pids[1]=$!
listens() { grep -q 'Listening on' "$dir/node-1.log"; }
until_true "it listens" listens
GAVEL_ENDPOINTS=$(sed -n 's/.*Listening on \(tcp:[^ ]*\).*/\1/p' "$dir/node-1.log" | head -n 1)
export GAVEL_ENDPOINTS
until_true "it leads" "$gavel" --timeout 5s set before full
alarm() { "$gavel" status --output json 2>/dev/null | grep -q 'no space: writes are refused'; }
alarm && die "an alarm before anything is full"
"$gavel" events --type alarm --count 2 >"$dir/events" 2>&1 &
others+=($!)

# All that is left, but for what the node has reserved.
dd if=/dev/zero of="$dir/disk/filler" bs=64k >/dev/null 2>&1
value=$(printf '%060000d' 7)
refused=''
for n in $(seq 400); do
    if ! "$gavel" --timeout 20s set "key-$n" "$value" >"$dir/out" 2>&1; then
        refused=$n
        break
    fi
done
[ -n "$refused" ] || die "24 MB went onto a disk with 4 MB of room"
[ "$refused" -gt 3 ] || die "write $refused was refused: $(cat "$dir/out")"
grep -q 'disk is full' "$dir/out" || die "the refusal does not say that the disk is full: $(cat "$dir/out")"
until_true "the alarm" alarm
[ "$("$gavel" get before)" = 'before: full' ] || die "a read while the disk is full"
[ "$("$gavel" get "key-$((refused - 1))" | wc -c)" -gt 60000 ] || die "the last acknowledged write cannot be read"
kill -0 "${pids[1]}" || die "the node has left"

rm "$dir/disk/filler"
heals() { "$gavel" --timeout 5s set after healed >/dev/null 2>&1; }
until_true "writes are taken again" heals
over() { ! alarm; }
until_true "the alarm is over" over
both() { [ "$(grep -c no_space "$dir/events")" = 2 ]; }
until_true "the alarm on and over, as events" both
grep -q 'The disk is full' "$dir/node-1.log" && grep -q 'There is space again' "$dir/node-1.log" || die "the log does not tell"
for n in $(seq $((refused - 1))); do
    [ "$("$gavel" get "key-$n" | wc -c)" -gt 60000 ] || die "key-$n was acknowledged and is lost"
done
kill -TERM "${pids[1]}"
wait "${pids[1]}" || die "it left with $?"
echo "write $refused was refused on a full disk, and writes went on when there was room"
exit 0
