#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# discover-test.sh: nodes that find each other, as real processes: by seeds, in any order; by A and SRV records of a name
# server of the test's own; a name server that comes late; a restart that asks nobody; what is refused.
set -u
gaveld=$top_builddir/core/host/gaveld
gavel=$top_builddir/core/cli/gavel
export GAVEL_PLUGIN_DIR=$GAVEL_TEST_PLUGINDIR
dir=$(mktemp -d)
pids=()
failed=0
end()
{
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null; done
    wait
    [ "$failed" = 0 ] || tail -n 30 "$dir"/*.log
    rm -rf "$dir"
}
trap end EXIT
fail() { echo "FAIL: $*"; failed=1; }
command -v python3 >/dev/null || { echo "skipped: no python3 for the name server"; exit 77; }

# until_true SECONDS COMMAND...: waits for the condition.
until_true()
{
    local end=$((SECONDS + $1))
    shift
    while ! "$@"; do
        [ "$SECONDS" -lt "$end" ] || return 1
        read -r -t 0.1 <>"$dir/never"
    done
    return 0
}
mkfifo "$dir/never"

# ports COUNT: free ones, all different, and none that the system gives to a connection before a node listens there. They
# are said when they are free again: whoever reads them does not wait for the end of the program.
ports()
{
    python3 -c 'import random, socket, sys
held = []
while len(held) < int(sys.argv[1]):
    each = socket.socket()
    try: each.bind(("127.0.0.1", random.randrange(20000, 32000)))
    except OSError: continue
    held.append(each)
found = [each.getsockname()[1] for each in held]
for each in held: each.close()
print(*found)' "$1"
}

# ini NAME PORT LINE...: a configuration; the lines go to [cluster].
ini()
{
    local name=$1 port=$2
    shift 2
    {
        printf '[node]\nname = %s\ndata_dir = %s/%s\n[cluster]\n' "$name" "$dir" "$name"
        printf '%s\n' "$@"
        printf '[transport.tcp]\nlisten = tcp://127.0.0.1:%s\n[statemachine.counter]\n' "$port"
    } >"$dir/$name.ini"
}

start()
{
    "$gaveld" --config "$dir/$1.ini" >>"$dir/$1.log" 2>&1 &
    pids+=($!)
    eval "pid_$1=$!"
}
stop() { eval "kill \$pid_$1; wait \$pid_$1"; }

# One text of the status of a node: "" while it does not answer, or is in no cluster.
field()
{
    local address
    address=$(sed -n 's/^listen = //p' "$dir/$1.ini")
    "$gavel" --timeout 2s --endpoints "$address" status --json 2>/dev/null |
        sed -n "s/^ *\"$2\": \"\(..*\)\",\{0,1\}$/\1/p" | head -1
}
in_cluster() { local n; for n in "$@"; do id=$(field "$n" cluster_id); [ -n "$id" ] || return 1; done; }
leads() { local n; for n in "$@"; do [ -n "$(field "$n" leader)" ] || return 1; done; }
# id_of NODE: of the cluster that it is in, as soon as it says so.
id_of() { until_true 60 in_cluster "$1" && echo "$id"; }
same_id()
{
    local first id
    first=$(id_of "$1")
    for n in "$@"; do
        id=$(id_of "$n")
        [ "$id" = "$first" ] || { fail "$n is in cluster $id, $1 in $first"; return 1; }
    done
}

# A name server with what the file says: "A NAME ADDRESS", "SRV NAME PORT TARGET". It counts what it is asked.
cat >"$dir/dns.py" <<'PY'
import os, socket, struct, sys
records, counter = sys.argv[1], sys.argv[2]
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("127.0.0.1", int(sys.argv[3])))
def name(text): return b"".join(bytes([len(part)]) + part.encode() for part in text.split(".")) + b"\0"
asked = 0
while True:
    query, peer = sock.recvfrom(4096)
    at, labels = 12, []
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]].decode())
        at += 1 + query[at]
    kind, = struct.unpack("!H", query[at + 1:at + 3])
    wanted, answers = ".".join(labels).lower(), []
    for line in open(records):
        word = line.split()
        if not word or word[1] != wanted: continue
        if word[0] == "A" and kind == 1: data = socket.inet_aton(word[2])
        elif word[0] == "SRV" and kind == 33: data = struct.pack("!HHH", 0, 0, int(word[2])) + name(word[3])
        else: continue
        answers.append(b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 0, len(data)) + data)
    known = any(line.split()[1:2] == [wanted] for line in open(records))
    flags = 0x8580 if known else 0x8583
    sock.sendto(query[:2] + struct.pack("!HHHHH", flags, 1, len(answers), 0, 0) + query[12:at + 5] + b"".join(answers),
                peer)
    asked += 1
    with open(counter + ".new", "w") as out: out.write(str(asked))
    os.rename(counter + ".new", counter)
PY
name_server() { python3 "$dir/dns.py" "$dir/records" "$dir/asked" "$dns" & dns_pid=$!; pids+=("$dns_pid"); }

# ---- by seeds, the last one first --------------------------------------------------------------------------------
read -r a b c < <(ports 3)
seeds="seeds = tcp://127.0.0.1:$a, tcp://127.0.0.1:$b, tcp://127.0.0.1:$c"
ini n1 "$a" "$seeds" 'bootstrap_expect = 3'
ini n2 "$b" "$seeds" 'bootstrap_expect = 3'
ini n3 "$c" "$seeds" 'bootstrap_expect = 3'
start n3
start n2
until_true 60 grep -q 'Founding: 2 of 3 nodes are there: n2, n3' "$dir/n2.log" || fail "n2 does not see n3"
[ "$(field n2 cluster_id)" = "" ] || fail "two of three have founded"
start n1
until_true 60 in_cluster n1 n2 n3 || fail "three by seeds are in no cluster"
until_true 60 leads n1 n2 n3 || fail "three by seeds have no leader"
same_id n1 n2 n3 && echo "ok: three by seeds"
before=$(id_of n1)

# A restart discovers nothing: seeds that lead nowhere, and a number that would found alone.
for n in n1 n2 n3; do stop "$n"; done
for n in n1 n2 n3; do
    sed -i 's/^seeds = .*/seeds = tcp:\/\/127.0.0.1:9/; s/^bootstrap_expect.*/bootstrap_expect = 1/' "$dir/$n.ini"
    start "$n"
done
until_true 60 leads n1 n2 n3 || fail "no leader after a restart"
[ "$(id_of n2)" = "$before" ] && same_id n1 n2 n3 && echo "ok: a restart discovers nothing"

# One more by the same seeds meets a formed cluster: it waits, and joins when it is added.
read -r d < <(ports 1)
ini n4 "$d" "$seeds" 'bootstrap_expect = 3'
start n4
until_true 60 grep -q 'waits to be added' "$dir/n4.log" || fail "n4 does not say that it waits"
[ "$(field n4 cluster_id)" = "" ] || fail "n4 has founded"
"$gavel" member add n4 "tcp://127.0.0.1:$d" --data-dir "$dir/n1" --wait 1m >/dev/null || fail "n4 cannot be added"
until_true 60 in_cluster n4 && same_id n1 n4 && echo "ok: one that comes later joins"
for n in n1 n2 n3 n4; do stop "$n"; done

# ---- by SRV records, of a name server that comes late ------------------------------------------------------------
read -r a b c dns < <(ports 4)
printf '%s\n' "SRV _gavel._tcp.test $a localhost" "SRV _gavel._tcp.test $b localhost" \
    "SRV _gavel._tcp.test $c localhost" >"$dir/records"
i=0
for p in "$a" "$b" "$c"; do
    i=$((i + 1))
    ini "s$i" "$p" 'discover = dns+srv://_gavel._tcp.test' "discover_server = 127.0.0.1:$dns" 'bootstrap_expect = 3'
    start "s$i"
done
until_true 60 grep -q 'nobody is found: _gavel._tcp.test: no name server answers' "$dir/s1.log" ||
    fail "s1 does not say that no name server answers"
name_server
until_true 60 in_cluster s1 s2 s3 || fail "three by SRV are in no cluster"
until_true 60 leads s1 s2 s3 || fail "three by SRV have no leader"
same_id s1 s2 s3 && echo "ok: three by SRV"
[ "$(grep -c 'nobody is found' "$dir/s1.log")" = 1 ] || fail "it is said more than once"
grep -q 'is answered now' "$dir/s1.log" || fail "it is not said that it is well again"

# Who is in a cluster asks no name server.
for n in s1 s2 s3; do stop "$n"; done
asked=$(cat "$dir/asked")
for n in s1 s2 s3; do start "$n"; done
until_true 60 leads s1 s2 s3 || fail "no leader after a restart"
[ "$(cat "$dir/asked")" = "$asked" ] && echo "ok: a restart asks no name server" || fail "a restart asked a name server"
for n in s1 s2 s3; do stop "$n"; done

# ---- by A records: three addresses of one name, on one port -------------------------------------------------------
read -r p < <(ports 1)
printf '%s\n' 'A gavel.test 127.0.0.21' 'A gavel.test 127.0.0.22' >"$dir/records"
for i in 1 2 3; do
    ini "a$i" "$p" "discover = dns://gavel.test:$p" "discover_server = 127.0.0.1:$dns" 'bootstrap_expect = 3'
    sed -i "s/^listen.*/listen = tcp:\/\/127.0.0.2$i:$p/" "$dir/a$i.ini"
    start "a$i"
done
until_true 60 grep -q 'Founding: 2 of 3 nodes are there: a1, a2' "$dir/a1.log" || fail "a1 does not see a2"
echo 'A gavel.test 127.0.0.23' >>"$dir/records" # the third pod has come
until_true 60 in_cluster a1 a2 a3 || fail "three by A are in no cluster"
until_true 60 leads a1 a2 a3 || fail "three by A have no leader"
same_id a1 a2 a3 && echo "ok: three by A, the third one late"
for n in a1 a2 a3; do stop "$n"; done

# A stop while a name server is being waited for takes no time.
kill "$dns_pid"
wait "$dns_pid" 2>/dev/null # and its port is free
python3 -c 'import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("127.0.0.1", int(sys.argv[1])))
s.recv(4096)
open(sys.argv[2], "w")
while True: s.recv(4096)' "$dns" "$dir/silent" &
pids+=($!)
ini q1 "$p" 'discover = dns+srv://_gavel._tcp.test' "discover_server = 127.0.0.1:$dns" 'bootstrap_expect = 3'
start q1
until_true 60 test -e "$dir/silent" || fail "q1 asks nobody"
# shellcheck disable=SC2154 # set by start
kill "$pid_q1"
wait "$pid_q1"
code=$?
[ "$code" = 0 ] && echo "ok: a stop while it asks" || fail "a stop while it asks ends with $code"

# ---- what is refused ----------------------------------------------------------------------------------------------
refused()
{
    local want=$1 got code
    shift
    ini r "$p" "$@"
    got=$("$gaveld" --check-config --config "$dir/r.ini" 2>&1)
    code=$?
    [ "$code" = 78 ] && [[ $got = *"$want"* ]] || fail "$*: $code $got"
}
refused 'r.ini:5: members names the founders, seeds and discover look for them: give either the one or the others' \
    "members = r=tcp://127.0.0.1:$p" "seeds = tcp://127.0.0.1:$p"
refused 'a node is told whom to join, or discovers it by seeds and discover' \
    "join = tcp://127.0.0.1:$p" "seeds = tcp://127.0.0.1:$p"
refused 'bootstrap_expect needs seeds or discover: where the others are' "members = r=tcp://127.0.0.1:$p" \
    'bootstrap_expect = 3'
refused 'discover_server is of no use without discover' "seeds = tcp://127.0.0.1:$p" 'discover_server = 127.0.0.1:53'
refused 'expected dns://NAME:PORT or dns+srv://_gavel._tcp.NAME, found "consul://x"' 'discover = consul://x'
refused '"dns://gavel.test" names no port: dns://NAME:PORT' 'discover = dns://gavel.test'
refused '"dns+srv://gavel.test:80" has no name that a name server could know; SRV records say the port' \
    'discover = dns+srv://gavel.test:80'
refused 'expected the IPv4 address of a name server, found "ns.test"' 'discover = dns://gavel.test:1' \
    'discover_server = ns.test'
ini r "$p" "seeds = tcp://127.0.0.1:$p, tcp://127.0.0.1:9" 'bootstrap_expect = 3'
got=$("$gaveld" --check-config --config "$dir/r.ini" 2>&1)
[[ $got = *'bootstrap_expect is 3, but by these seeds this node sees 2 at most'* ]] || fail "seeds of some only: $got"
ini r "$p" 'seeds = tcp://127.0.0.1:8, tcp://127.0.0.1:9' 'bootstrap_expect = 3'
got=$("$gaveld" --check-config --config "$dir/r.ini" 2>&1)
[[ $got != *'bootstrap_expect is 3'* ]] || fail "seeds without the node's own: $got"
refused 'bootstrap_expect: expected a whole number of 0 to 32, found "33"' "seeds = tcp://127.0.0.1:$p" 'bootstrap_expect = 33'
exit "$failed"
