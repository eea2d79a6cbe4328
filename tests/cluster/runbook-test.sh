#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# runbook-test.sh: gavel-runbook(7) at its word. Each section's trouble is made with three real nodes, then each command
# that the section shows (its lines ".Dl $ ...") is typed as it stands there, and what the section expects has to be so.
# Then: whatever the programs say of a section of that page, there is one of that name.
# shellcheck source=tests/cluster/lib.sh
. "$(dirname "$0")/lib.sh"

root=$(cd "${top_srcdir:-$(dirname "$0")/../..}" && pwd -P)
page=$root/core/cli/gavel-runbook.7
commands=0
section=
address= other=
die() { fail "$section: $*"; exit 1; }

gavel() { "$gavel" "$@"; }
log() { cat "$dir/$1.log"; }

# As the units do it: a start has come back when the node listens, a stop when it is gone.
systemctl()
{
    local verb=$1 name=${2#gaveld@} code
    case $verb in
        start)
            [ -z "${pids[$name]:-}" ] || ! kill -0 "${pids[$name]}" 2>/dev/null || return 0
            rm -f "$dir/c/$name/admin.sock"
            "$gaveld" --config "$dir/c/$name.ini" >>"$dir/$name.log" 2>&1 &
            pids[$name]=$!
            until_says yes test_socket "$name"
            ;;
        stop)
            [ -n "${pids[$name]:-}" ] || return 0
            kill -TERM "${pids[$name]}" 2>/dev/null
            wait "${pids[$name]}" 2>/dev/null
            unset "pids[$name]"
            ;;
        restart) systemctl stop "gaveld@$name" && systemctl start "gaveld@$name" ;;
        *) die "systemctl $*" ;;
    esac
}
test_socket() { [ ! -S "$dir/c/$1/admin.sock" ] || echo yes; kill -0 "${pids[$1]}" 2>/dev/null || echo yes; }

start() { systemctl start "gaveld@node-$1"; }

fill()
{
    local i
    for i in $(seq 1 40); do gavel --timeout 20s set "key/$i" "$i" >/dev/null || die "set key/$i"; done
}

# Damage in the middle of what was synced.
spoil()
{
    printf '\377\377\377\377' | dd of="$dir/c/$1/log/0000000000000001.seg" bs=1 seek=$((4096 + 512 * 9 + 70)) conv=notrunc \
        2>/dev/null
}

well() { until_says "${1:-3} voters" voters; }
voters()
{
    gavel -o json member list 2>/dev/null | tr -d ' \n' | awk '{
        n = gsub(/"role":"voter"/, "&"); if (gsub(/"joined":true/, "&") == n && /"in_flight":false/) print n, "voters" }'
}

# play SECTION: types what it shows.
play()
{
    local line
    section=$1
    grep -q "^\.Ss $section\$" "$page" || die "there is no such section"
    while IFS= read -r line; do
        line=${line//\\-/-}
        line=${line//ws:\/\/node-3:8080/$address}
        line=${line//ws:\/\/node-3:8090/$other}
        commands=$((commands + 1))
        eval "${line//\/var\/lib\/gavel/$dir/c}" </dev/null >"$dir/out" 2>&1 || case $line in
            *"data check"*) ;; # it says by its status that something is damaged
            *) die "$line: exit $?: $(cat "$dir/out")" ;;
        esac
    done < <(awk -v section="$section" '/^\.S[sh] / { in_it = $0 == ".Ss " section } in_it && sub(/^\.Dl \$ /, "")' "$page")
    played="${played:-} $section "
}

cluster 3 workflow set first 1
fill
play first-look
play no-leader
play follower-lagging
play disk-full
play wrong-cluster
play backup-restore
play certificates-expired
gavel leader transfer --to node-1 --data-dir "$dir/c/node-2" >/dev/null 2>&1
play leader-flapping
until_says 'node-2' gavel members
play slow-disk
play rolling-restart
play rolling-upgrade
well

# node-3 moves, and moves back.
home=tcp://127.0.0.1:$((port + 2))
away=tcp://127.0.0.1:$((port + 3))
while (exec 3<>"/dev/tcp/127.0.0.1/${away##*:}") 2>/dev/null; do away=tcp://127.0.0.1:$((${away##*:} + 1)); done
for move in "$home $away" "$away $home"; do
    address=${move% *} other=${move#* }
    sed -i "s,^listen = $address\$,listen = $other," "$dir/c/node-3.ini"
    grep -q "^listen = $other\$" "$dir/c/node-3.ini" || die "node-3.ini has no line 'listen = $address'"
    play node-moves
    until_says "$other" gavel member list --data-dir "$dir/c/node-3"
    case $(gavel -o json member list --data-dir "$dir/c/node-1") in *"\"$address\""*) die "$address is still there" ;; esac
    well
done

systemctl stop gaveld@node-3
play quorum-at-risk
well

systemctl stop gaveld@node-2
spoil node-2
play corruption
until_says 'Recovered' log node-2

systemctl stop gaveld@node-2
rm -rf "$dir/c/node-2"
systemctl start gaveld@node-2
until_says 'data directory' log node-2
play lost-disk
well

for name in node-1 node-2 node-3; do systemctl stop gaveld@$name; done
spoil node-1
spoil node-3
for name in node-1 node-2 node-3; do systemctl start gaveld@$name; done
for name in node-1 node-2 node-3; do
    wait "${pids[$name]}"
    code=$?
    [ "$code" = 65 ] || die "$name leaves with $code, not 65, when a majority recovers"
    unset "pids[$name]"
    until_says 'a majority of the voters recovers from damage' log $name
    until_says "gavel recover --dry-run --data-dir $dir/c/$name" log $name
done
play majority-recovering
well
[ "$(gavel --timeout 20s get key/40)" = 'key/40: 40' ] || die "key/40 is gone"

for name in node-1 node-2 node-3; do systemctl stop gaveld@$name; done
rm -rf "$dir/c/node-2" "$dir/c/node-3"
play quorum-lost
well
[ "$(gavel --timeout 20s get key/40)" = 'key/40: 40' ] || die "key/40 is gone"
for name in node-1 node-2 node-3; do systemctl stop gaveld@$name; done

# Empty nodes that find each other by seeds; one of them is not there.
section=founding-hangs
rm -rf "$dir"/c/node-?
for name in node-1 node-2 node-3; do
    : >"$dir/$name.log"
    awk -v seeds="$(tr , ' ' <<<"$GAVEL_ENDPOINTS")" '
        skip && /^[ \t]/ { next }
        { skip = 0 }
        /^members *=/ { print "seeds = " seeds "\nbootstrap_expect = 3"; skip = 1; next }
        { print }' "$dir/c/$name.ini" >"$dir/new.ini"
    mv "$dir/new.ini" "$dir/c/$name.ini"
done
systemctl start gaveld@node-1
systemctl start gaveld@node-2
until_says 'Founding: 2 of 3 nodes are there: node-1, node-2' log node-1
play founding-hangs
well
for name in node-1 node-2 node-3; do systemctl stop gaveld@$name; done

# A plugin that rolls dice on one of three nodes.
mkdir "$dir/plugins"
cp "$GAVEL_PLUGIN_DIR/gavel-tcp-transport.so" "$dir/plugins"
cp "$GAVEL_PLUGIN_DIR/gavel-log-observer.so" "$dir/plugins" 2>/dev/null
${CC:-cc} -shared -fPIC -O1 -I"$root/include" -DBAD_KIND=3 -o "$dir/plugins/gavel-bad-statemachine.so" \
    "$root/tests/host/bad_plugin.c" $(pkg-config --cflags libuv 2>/dev/null) -luv || die "bad_plugin.c does not compile"
chmod 755 "$dir/plugins" "$dir"/plugins/*
export GAVEL_PLUGIN_DIR=$dir/plugins
section=divergence
configured()
{
    printf 'fault = dice\n' >"$dir/fault"
    sed -i "/^\[statemachine.bad\]/,/^\[/ { /^plugin/ r $dir/fault
    }" "$dir/c/node-2.ini"
}
cluster 3 bad bad.add by=1
gavel leader transfer --to node-1 --data-dir "$dir/c/node-2" >/dev/null 2>&1
gavel bad.add by=13 >/dev/null || die "bad.add"
gavel bad.add by=2 >/dev/null || die "bad.add"
until_says 'this node, node-2, is fenced' log node-2
until_says 'Divergence: the state of node-2 differs' cat "$dir/node-1.log" "$dir/node-3.log"
until_says 'see divergence in gavel-runbook(7)' gavel status -o json --endpoints "tcp://127.0.0.1:$((port + 1))"
[ "$(gavel bad.get --endpoints "tcp://127.0.0.1:$((port + 1))")" = 16 ] || die "a wrong read, or none, of a fenced node"
links() { echo "links: $(grep -c 'Connected to node-2' "$dir/node-1.log")."; }
linked=$(grep -c 'Connected to node-2' "$dir/node-1.log")
systemctl restart gaveld@node-2
until_says 'was fenced after index' log node-2
until_says "links: $((linked + 1))." links # the leader's own connection, which it rebuilds by
play divergence
until_says 'is not fenced any more' log node-2
until_says 16 gavel bad.get --stale --endpoints "tcp://127.0.0.1:$((port + 1))"

# Every section was played, and what is cited is there.
section=
sections=$(awk '/^\.Ss / { print $2 }' "$page")
for name in $sections; do
    case $played in *" $name "*) ;; *) echo "FAIL: $name: nobody plays it"; failed=1 ;; esac
done
cited=0
while read -r name; do
    cited=$((cited + 1))
    grep -qx "$name" <<<"$sections" || { echo "FAIL: gavel-runbook(7) has no section $name, which is cited"; failed=1; }
done < <(find "$root/core" "$root/contrib" -type f \( -name '*.[ch]' -o -name '*.yml' -o -name '*.rules' -o -name '*.json' \) \
    -exec cat {} + | tr -s '\n ' ' ' | sed 's/" "//g' | grep -oE '[a-z]+(-[a-z]+)* in gavel-runbook\(7\)' | cut -d ' ' -f 1 | sort -u)
[ "$cited" -ge 3 ] || { echo "FAIL: only $cited sections are cited"; failed=1; }
echo "runbook: $(wc -w <<<"$sections") sections, $commands commands, $cited sections cited"
exit $failed
