#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# recover-test.sh: quorum lost and repaired, with real nodes: clusters of three and of five under load lose the disks of
# a majority; gavel recover makes a new cluster out of what is left, and everything that the best directory held is
# there, a setting too that was changed since the founding and is in the files by then. Nodes of the old cluster are
# refused. It is told before what it will do, may be cut short, and may run twice.
# shellcheck source=tests/cluster/lib.sh
. "$(dirname "$0")/lib.sh"

field()
{
    printf '%s' "$1" | sed -n "s/.*\"$2\":\\([^,}]*\\).*/\\1/p"
}

# joined: says "all N" when there are N voters, each has joined, and no change is in flight: until then a majority of the
# voters of before is needed too, and of one or two voters that is each.
joined()
{
    "$gavel" -o json member list 2>/dev/null | tr -d ' \n' | awk '{
        n = gsub(/"id":/, "&")
        if (n && gsub(/"role":"voter"/, "&") == n && gsub(/"joined":true/, "&") == n && /"in_flight":false/)
            print "all", n
    }'
}

# Writes one key after the other until it is told to stop, and notes each that was acknowledged.
load()
{
    n=0
    while [ "$n" -lt 400 ] && [ ! -e "$dir/stop" ]; do
        "$gavel" --timeout 5s set "load/$1/$n" "$n" >/dev/null 2>&1 && echo "load/$1/$n" >>"$dir/acked.$1"
        n=$((n + 1))
    done
}
acked() { [ "$(cat "$dir"/acked.* 2>/dev/null | wc -l)" -gt 60 ]; }

give_ttl() { sed -i "s/^;\?ttl = .*/ttl = $1/" "$dir"/c/node-*.ini; }
configured() { give_ttl 15m; }

for count in 3 5; do
    rm -f "$dir"/acked.* "$dir/stop"
    cluster "$count" workflow set first 1
    "$gavel" --data-dir "$dir/c/node-1" settings set session.ttl=20m >/dev/null || die "settings set"
    give_ttl 20m
    [ "$(grep -c '^ttl = 20m' "$dir"/c/node-*.ini | grep -c ':1$')" = "$count" ] || die "no ttl in the files"
    load a & load_a=$!
    load b & load_b=$!
    others+=("$load_a" "$load_b")
    "$gavel" bench --seconds 1 --connections 8 >/dev/null 2>&1
    until_true "writes of both" acked
    stop_all
    touch "$dir/stop"
    wait "$load_a" "$load_b" 2>/dev/null

    # What all of them hold, and which one is furthest along.
    set --
    i=1
    while [ "$i" -le "$count" ]; do
        set -- "$@" --data-dir "$dir/c/node-$i"
        i=$((i + 1))
    done
    out=$("$gavel" recover -o json --dry-run "$@") || die "a dry run over all: $out"
    best=$(printf '%s' "$out" | sed 's/.*"source":"[^"]*node-\([0-9]*\)".*/\1/')
    [ "$(field "$out" complete)" = true ] || die "all directories are there, and something is lost: $out"
    [ -z "$(find "$dir/c" -name 'renew*')" ] || die "a dry run left something behind"

    # The best one stays, another one is only a copy of the old cluster's now, the rest is destroyed.
    old=$((best % count + 1))
    cp -a "$dir/c/node-$old" "$dir/old"
    keep="--data-dir $dir/c/node-$best"
    names=node-$best
    lost=0
    i=1
    while [ "$i" -le "$count" ]; do
        if [ "$i" != "$best" ]; then
            if [ "$lost" -lt $((count / 2 + 1)) ]; then
                rm -rf "$dir/c/node-$i"
                lost=$((lost + 1))
            else
                keep="$keep --data-dir $dir/c/node-$i"
            fi
            names=$names,node-$i
        fi
        i=$((i + 1))
    done
    : >"$dir/node-$best.log"
    start "$best"
    until_says 'Log open' cat "$dir/node-$best.log"
    # shellcheck disable=SC2086 # words
    until_says 'a node runs on' "$gavel" recover --dry-run $keep
    stop_all
    # shellcheck disable=SC2086 # words
    out=$("$gavel" recover --dry-run --members "$names" $keep) || die "a dry run: $out"
    case $out in *"nothing was changed"*) ;; *) die "a dry run does not say so: $out" ;; esac
    case $out in *"the source: index 1 to"*) ;; *) die "the source is not named: $out" ;; esac
    # shellcheck disable=SC2086 # words
    out=$("$gavel" recover --members "$names" $keep) || die "gavel recover: $out"
    # shellcheck disable=SC2086 # words
    again=$("$gavel" recover --members "$names" $keep) || die "a second run: $again"
    case $again in *"first member of a new cluster already"*) ;; *) die "a second run says: $again" ;; esac

    start "$best"
    GAVEL_ENDPOINTS=tcp://127.0.0.1:$((port + best - 1))
    export GAVEL_ENDPOINTS
    until_says 'revision' "$gavel" --timeout 5s set after 1
    sort "$dir"/acked.* >"$dir/acked"
    "$gavel" --timeout 30s list --all --keys --from load/ --to load0 | sort >"$dir/there"
    comm -23 "$dir/acked" "$dir/there" >"$dir/missing"
    [ ! -s "$dir/missing" ] || die "acknowledged and gone: $(head -3 "$dir/missing")"

    # The old cluster's node comes back by accident, with what it had: it is not let in, and changes nothing.
    rm -rf "$dir/c/node-$old"
    mv "$dir/old" "$dir/c/node-$old"
    start "$old"
    until_says 'another cluster' grep -h 'another cluster' "$dir/node-$old.log" "$dir/node-$best.log"
    slay "$old"
    rm -rf "$dir/c/node-$old"

    # The others join with empty directories.
    i=1
    while [ "$i" -le "$count" ]; do
        [ "$i" = "$best" ] || start "$i"
        i=$((i + 1))
    done
    until_says "all $count" joined
    slay "$best"
    GAVEL_ENDPOINTS=tcp://127.0.0.1:$((port + old - 1))
    export GAVEL_ENDPOINTS
    until_says 'revision' "$gavel" --timeout 5s set after 2
    n=$("$gavel" --timeout 30s list --all --keys --from load/ --to load0 | wc -l)
    [ "$n" = "$(wc -l <"$dir/there")" ] || die "the new members hold $n of $(wc -l <"$dir/there") keys"
    stop_all
    echo "$count nodes: $(wc -l <"$dir/acked") acknowledged writes, all there; source node-$best"
done
exit "$failed"
