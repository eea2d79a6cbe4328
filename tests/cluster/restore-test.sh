#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# restore-test.sh: backup and restore as an operator does them: a snapshot saved from a follower under load, looked into,
# damaged at every border of its parts, and made into new clusters, of three nodes and of one; and that the old nodes,
# a second copy of a new one, a full directory and a half made one stay outside.
# shellcheck source=tests/cluster/lib.sh
. "$(dirname "$0")/lib.sh"

answers() { "$gavel" --timeout 5s get first >"$dir/out" 2>&1; }
says() { grep -q "$1" "$2"; }

cluster 3 workflow,counter set first 1
one=tcp://127.0.0.1:$port two=tcp://127.0.0.1:$((port + 1)) three=tcp://127.0.0.1:$((port + 2))
data() { sed -n 's/^data_dir *= *//p' "$dir/c/node-$1.ini"; }
first=$(data 1)
[ -S "$first/admin.sock" ] || die "no $first/admin.sock"

# ---- saved under load, from each node; everything acknowledged before is in it ----
value=$(head -c 3000 /dev/zero | tr '\0' v)
for i in 1 2 3 4 5 6 7 8; do
    "$gavel" batch "set big/$i/a \"$value\"" "set big/$i/b \"$value\"" "set big/$i/c \"$value\"" \
        "set big/$i/d \"$value\"" >/dev/null || die "filling"
done
"$gavel" --retry counter.increment hits 41 >/dev/null || die "counter"
# Alone, at the end, it has to lead all the same.
"$gavel" --data-dir "$first" member update node-1 --priority 0 >"$dir/out" 2>&1 || die "priority: $(cat "$dir/out")"
(i=0; while :; do i=$((i + 1)); "$gavel" set load/$i $i >/dev/null 2>&1; done) &
load=$!
others+=("$load")
for n in 1 2 3; do
    "$gavel" set "before/$n" "$n" >/dev/null || die "set"
    expect 0 "saved $dir/save-$n: index " --data-dir "$(data $n)" snapshot save "$dir/save-$n"
    [ -z "$(ls "$dir"/save-*.part.* 2>/dev/null)" ] || fail "a part is left"
done
"$gavel" --data-dir "$first" snapshot save - 2>"$dir/err" >"$dir/save-out" || fail "to standard output: $(cat "$dir/err")"
says 'saved -: index' "$dir/err" || fail "nothing is said of it: $(cat "$dir/err")"
kill -KILL "$load" && wait "$load" 2>/dev/null
expect 0 'checksums   good' snapshot inspect "$dir/save-out"

# ---- nobody's place is taken ----
cp "$dir/save-1" "$dir/kept"
expect 1 'is there already: --force replaces it' --data-dir "$first" snapshot save "$dir/save-1"
cmp -s "$dir/save-1" "$dir/kept" || fail "it was replaced"
before=$("$gavel" snapshot inspect "$dir/save-1" | sed -n 's/^point *index \([0-9]*\),.*/\1/p')
revision=$("$gavel" set late 1 | sed -n 's/^revision: //p')
expect 0 'saved' --data-dir "$first" snapshot save --force "$dir/save-1"
point=$("$gavel" snapshot inspect "$dir/save-1" | sed -n 's/^point *index \([0-9]*\),.*/\1/p')
{ [ "$point" -gt "$before" ] && [ "$point" -ge "${revision%%.*}" ]; } ||
    fail "what was acknowledged at $revision is not in a snapshot of $point, $before before"
expect 1 'cannot write' --data-dir "$first" snapshot save "$dir/nowhere/file"
expect 64 'admin socket' snapshot save "$dir/other"
expect 64 'gavel snapshot save' snapshot save
expect 64 'gavel snapshot save' snapshot keep file

# ---- what is in it ----
file=$dir/save-3
expect 0 'member      node-2, id 2, voter tcp://' snapshot inspect "$file"
expect 0 'plugin counter, state version' snapshot inspect "$file"
expect 0 "from node-3, gaveld" snapshot inspect "$file"
cluster=$("$gavel" snapshot inspect "$file" | sed -n 's/^cluster *//p')
[ ${#cluster} = 32 ] || fail "no cluster id: $cluster"
"$gavel" -o json snapshot inspect "$file" >"$dir/json" || fail "inspect -o json"
for word in '"cluster_id"' '"checksums"' '"state_version"' '"sessions"' '"digest"' "$cluster"; do
    says "$word" "$dir/json" || fail "no $word in $(cat "$dir/json")"
done
expect 1 'cannot open' snapshot inspect "$dir/nothing"
expect 1 'no saved snapshot' snapshot inspect "$dir/c/node-1.ini"

# ---- damage: one bit at each border of a part, and the file cut there ----
number() { od -An -tu"$3" -j"$1" -N"$3" "$2" | tr -d ' '; }
size=$(stat -c %s "$file")
about=$(number 24 "$file" 4) founding=$(number 28 "$file" 4) at=$(number 8 "$file" 8)
meta=$(number $((at + 28)) "$file" 4)
blocks=$((at + (40 + meta + 4095) / 4096 * 4096))
borders="0 4 8 16 24 28 32 48 60 63 64 $((64 + about - 1)) $((64 + about)) $((64 + about + founding - 1))"
borders="$borders $((64 + about + founding)) $((at - 1)) $at $((at + 8)) $((at + 36)) $((at + 40)) $((at + 40 + meta - 1))"
borders="$borders $((at + 40 + meta)) $((blocks - 1)) $blocks $((blocks + 4)) $((blocks + 8)) $((blocks + 65535))"
borders="$borders $((blocks + 65536)) $((size - 41)) $((size - 40)) $((size - 1))"
[ "$size" -gt $((blocks + 70000)) ] || fail "the payload has one block only: $size"
tried=0
for byte in $borders; do
    cp "$file" "$dir/bad"
    old=$(number "$byte" "$file" 1)
    printf '%b' "$(printf '\\x%02x' $((old ^ 16)))" | dd of="$dir/bad" bs=1 seek="$byte" conv=notrunc status=none
    expect 1 "$dir/bad" snapshot inspect "$dir/bad"
    expect 1 "$dir/bad" snapshot restore "$dir/bad" --data-dir "$dir/new" --name node-1
    head -c "$byte" "$file" >"$dir/short"
    expect 1 "$dir/short" snapshot inspect "$dir/short"
    tried=$((tried + 1))
done
[ -e "$dir/new" ] && fail "a damaged file made a directory"
cp "$file" "$dir/long"
echo more >>"$dir/long"
expect 1 'goes on after its end' snapshot inspect "$dir/long"
echo "$tried borders damaged and cut: all refused"

# ---- what cannot be ----
members="node-1=$one node-2=$two,node-3=$three"
expect 64 'needs --data-dir' snapshot restore "$file" --name node-1
expect 64 'is no name' snapshot restore "$file" --data-dir "$dir/new" --name 'node 1'
expect 64 'not among --members' snapshot restore "$file" --data-dir "$dir/new" --name node-4 --members "$members" \
    --cluster-token t
expect 64 '--cluster-token TEXT' snapshot restore "$file" --data-dir "$dir/new" --name node-1 --members "$members"
expect 64 'is not NAME=ADDRESS' snapshot restore "$file" --data-dir "$dir/new" --name node-1 --members node-1
expect 64 'is not an address' snapshot restore "$file" --data-dir "$dir/new" --name node-1 --members node-1=here
expect 64 'are called' snapshot restore "$file" --data-dir "$dir/new" --name node-1 --members "node-1=$one node-1=$two"
expect 1 'is not empty' snapshot restore "$file" --data-dir "$first" --name node-1
expect 64 'no member of the old cluster was called other' snapshot restore "$file" --data-dir "$dir/new" --name other
[ -e "$dir/new" ] && fail "a directory was made"

# ---- names in a file that would drive a terminal; a pipe that would be replaced by a file ----
quiet() { "$gavel" "$@" >"$dir/out" 2>&1; ! says "$(printf '[\033\233]')" "$dir/out" || fail "gavel $*: drives a terminal"; }
quiet snapshot restore "$file" --data-dir "$dir/new" --name "$(printf 'n\033[31m')"
if command -v python3 >/dev/null; then
    python3 - "$file" "$dir/evil" <<'EOF' || fail "the evil file"
import struct, sys
def crc(data):
    c = 0xffffffff
    for byte in data:
        c ^= byte
        for _ in range(8):
            c = c >> 1 ^ (0x82f63b78 if c & 1 else 0)
    return c ^ 0xffffffff
data = bytearray(open(sys.argv[1], 'rb').read())
about = struct.unpack_from('<I', data, 24)[0]
data[84:86] = b'\x1b['
struct.pack_into('<I', data, 40, crc(data[64:64 + about]))
struct.pack_into('<I', data, 60, crc(data[:60]))
open(sys.argv[2], 'wb').write(data)
EOF
    expect 0 'checksums   good' snapshot inspect "$dir/evil"
    quiet snapshot inspect "$dir/evil"
    quiet -o json snapshot inspect "$dir/evil"
fi
mkfifo "$dir/pipe"
for force in '' --force; do
    # shellcheck disable=SC2086
    expect 64 'is no regular file' --data-dir "$first" snapshot save $force "$dir/pipe"
done
[ -p "$dir/pipe" ] || fail "the pipe is gone"

# ---- killed on the way: nothing of it is left ----
kill -STOP "${pids[1]}"
"$gavel" --data-dir "$first" snapshot save "$dir/killed" >"$dir/out" 2>&1 &
saver=$!
others+=("$saver")
until_true 'the file is open' sh -c "ls -l /proc/$saver/fd | grep -q '$dir/[^o]'"
kill -KILL "$saver" && wait "$saver" 2>/dev/null
kill -CONT "${pids[1]}"
[ -z "$(find "$dir" -maxdepth 1 -name 'killed*')" ] || fail "a part is left: $(ls "$dir")"
until_true 'the cluster answers' answers

# ---- three new nodes, in the places of the old ones ----
mkdir "$dir/new"
"$gavel" list --limit 1000 >"$dir/after"
stop_all
for n in 1 2 3; do
    mv "$(data $n)" "$dir/old-$n"
    expect 0 "id $((n + 3)), a member of the new cluster" snapshot restore "$file" --data-dir "$(data $n)" \
        --name "node-$n" --members "$members" --cluster-token 'first of two'
done
for n in 1 2 3; do start $n; done
until_true 'the new cluster answers' answers
expect 0 'before/3: 3' list before/
expect 0 '41' counter.get hits
expect 0 'first: 1' get first
# What was written behind the point is not there, and what is there is what was there.
"$gavel" list --limit 1000 >"$dir/restored"
[ -z "$(grep -vxFf "$dir/after" "$dir/restored")" ] || fail "there is something that never was: $(cat "$dir/restored")"
[ "$("$gavel" list big/ --count)" = 32 ] || fail "not all of big/ is there"
for n in 1 2 3; do
    until_true "node-$n knows the new cluster" sh -c "'$gavel' --data-dir '$(data $n)' health >/dev/null 2>&1"
done
"$gavel" -o json members >"$dir/members" 2>&1
says '"id": *4' "$dir/members" || fail "the ids are not new: $(cat "$dir/members")"
expect 0 'revision: ' set new 1

# ---- an old node does not come back ----
joined() { "$gavel" -o json member list 2>/dev/null | tr -d ' \n' | grep -o '"joined":true' | wc -l | grep -qx 3; }
until_true 'the leader has noted all three directories' joined
ordinary=$("$gavel" -o json member list 2>/dev/null | tr -d ' \n' | grep -o '"priority":1[,}]' | wc -l)
[ "$ordinary" = 3 ] || fail "$ordinary of 3 have the ordinary priority: $("$gavel" member list)"
slay 3
mv "$(data 3)" "$dir/new-3" && mv "$dir/old-3" "$(data 3)"
: >"$dir/node-3.log"
start 3
until_true 'the old node is refused' says 'belongs to another cluster' "$dir/node-3.log"
expect 0 'revision: ' set new 2
slay 3
rm -rf "$(data 3)"

# ---- nor does a second copy of a new one: it would vote twice ----
expect 0 'restored' snapshot restore "$file" --data-dir "$(data 3)" --name node-3 --members "$members" \
    --cluster-token 'first of two'
: >"$dir/node-3.log"
start 3
until_true 'the second copy is refused' says 'another data directory' "$dir/node-3.log"
slay 3
rm -rf "$(data 3)" && mv "$dir/new-3" "$(data 3)"
start 3
until_true 'the real one is back' sh -c "'$gavel' --data-dir '$(data 3)' health >/dev/null 2>&1"
stop_all

# ---- a node alone, then two empty ones that are added; and one that was interrupted ----
mkdir "$dir/half"
touch "$dir/half/unfinished" "$dir/half/vote.0"
sed "s,^data_dir *=.*,data_dir = $dir/half," "$dir/c/node-1.ini" >"$dir/c/node-9.ini"
"$gaveld" --config "$dir/c/node-9.ini" >"$dir/out" 2>&1
[ $? = 78 ] || fail "a half made directory starts"
says 'did not finish' "$dir/out" || fail "why not: $(cat "$dir/out")"
expect 0 'id 4, alone in the new cluster' snapshot restore "$file" --data-dir "$dir/half" --name node-1
start 9
export GAVEL_ENDPOINTS=$one
until_true 'the one answers' answers
[ "$("$gavel" list big/ --count)" = 32 ] || fail "alone: not all of big/ is there"
for n in 2; do
    rm -rf "$(data $n)"
    address=$two
    "$gavel" --data-dir "$dir/half" member add node-$n $address >"$dir/out" 2>&1 || fail "add: $(cat "$dir/out")"
    "$gaveld" --config "$dir/c/node-$n.ini" --join "$one" >>"$dir/node-$n.log" 2>&1 &
    pids[$n]=$!
    until_true "node-$n votes" sh -c \
        "'$gavel' -o json member list 2>/dev/null | tr -d '\\n ' | grep -q '\"name\":\"node-$n\",\"id\":5,\"role\":\"voter\"'"
done
expect 0 'before/2: 2' -e "$two" list before/
exit "$failed"
