#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# partition-test.sh: five real nodes, each in a network namespace of its own behind a router that drops what goes one way.
# Whatever is cut, to the leader, from it, to a follower, from one, or all but one bridge between two halves: while a
# majority can work, it has one leader, its term stands still, session writes go on, and when the links are healed nobody
# is disturbed. Needs root, for namespaces. PARTITION_SECONDS: how long each state is looked at (2).
if [ "${1:-}" != inside ]; then
    [ "$(id -u)" = 0 ] || { echo "skipped: network namespaces need root"; exit 77; }
    unshare -n -m true 2>/dev/null || { echo "skipped: no namespaces here"; exit 77; }
    command -v ip >/dev/null || { echo "skipped: no ip(8)"; exit 77; }
    exec unshare -n -m "$0" inside
fi
# shellcheck source=tests/cluster/lib.sh
. "$(dirname "$0")/lib.sh"
seconds=${PARTITION_SECONDS:-2}

# ---- a router with five nodes around it
mount -t tmpfs none /run 2>/dev/null && ip link set lo up && echo 1 >/proc/sys/net/ipv4/ip_forward ||
    { echo "skipped: no forwarding in a namespace"; exit 77; }
address() { echo "10.77.$1.2"; }
members='' GAVEL_ENDPOINTS=''
for n in 1 2 3 4 5; do
    ip netns add n$n && ip link add hub$n type veth peer name eth netns n$n && ip addr add 10.77.$n.1/24 dev hub$n &&
        ip link set hub$n up && ip -n n$n addr add "$(address $n)/24" dev eth && ip -n n$n link set eth up &&
        ip -n n$n link set lo up && ip -n n$n route add default via 10.77.$n.1 ||
        { echo "skipped: no veth or no named namespaces"; exit 77; }
    members="$members node-$n=tcp://$(address $n):7000"
    GAVEL_ENDPOINTS=$GAVEL_ENDPOINTS${GAVEL_ENDPOINTS:+,}tcp://$(address $n):7000
done
export GAVEL_ENDPOINTS
# cut A B: what A sends to B is lost on its way, without a word.
cut() { ip rule add pref 10 from "$(address "$1")" to "$(address "$2")" blackhole || die "no rule"; }
heal() { while ip rule del pref 10 2>/dev/null; do :; done; }
ip rule add pref 10 from 10.77.1.2 to 10.77.2.2 blackhole 2>/dev/null || { echo "skipped: no ip rule"; exit 77; }
heal

# Longer elections than the default: on a busy machine nobody shall be replaced for being late.
for n in 1 2 3 4 5; do
    cat >"$dir/$n.ini" <<END
[node]
name = node-$n
data_dir = $dir/$n
[cluster]
members =$members
[transport.main]
plugin = tcp
listen = tcp://$(address $n):7000
insecure = yes
[raft]
election_timeout_min = 1s
election_timeout_max = 2s
[statemachine.store]
plugin = workflow
[statemachine.counter]
plugin = counter
[observer.log]
plugin = log
level = info
END
    ip netns exec n$n "$gaveld" --config "$dir/$n.ini" >"$dir/$n.log" 2>&1 &
    pids[$n]=$!
done

# view NODE: "role= term= leader=" as the node itself says; status asks nobody else.
view()
{
    "$gavel" -e "tcp://$(address "$1"):7000" --timeout 2s -o json status 2>/dev/null |
        sed -n 's/^  "\(role\|term\|leader\)": *"\{0,1\}\([^",]*\).*/\1=\2/p' | tr '\n' ' '
}
seen() { v=$(view "$1") && [ -n "$v" ]; }
# look NODE: a view of it into v, as soon as the machine has time for it.
look() { until_true "node $1 answers" seen "$1"; }
leads() { case $(view "$1") in *role=leader*) ;; *) return 1 ;; esac }
one_leads() { for l in "$@"; do leads "$l" && return 0; done; return 1; }
sees() { case $(view "$1") in *leader=node-"$2"\ *) ;; *) return 1 ;; esac }
# Of the view $v that was taken.
has_term() { case $v in *term="$1"\ *) ;; *) return 1 ;; esac }

# steady NODE...: these have one leader among them, and keep it and its term for the time of a look. Sets l and term. A
# node that a busy machine has not let run for an election time-out may ask for a pre-vote; it must not get it, and has
# to see the same leader of the same term again.
steady()
{
    local end n
    until_true "a leader among $*" one_leads "$@"
    for n in "$@"; do until_true "node $n sees node $l" sees "$n" "$l"; done
    look "$l"
    term=${v##*term=} term=${term%% *}
    end=$((SECONDS + seconds))
    while [ $SECONDS -lt $end ]; do
        for n in "$@"; do
            v=$(view "$n")
            [ -n "$v" ] || continue # the machine is busy: it says nothing in time
            has_term "$term" || die "$state: the term of node $n was $term, and is: $v"
            case $v in
                *leader=node-"$l"\ *) ;;
                *leader=node-*) die "$state: node $n follows another than node $l: $v" ;;
                *)
                    until_true "$state: node $n sees node $l again" sees "$n" "$l"
                    look "$n"
                    has_term "$term" || die "$state: the term of node $n was $term, and is: $v" ;;
            esac
        done
        pause 0.25
    done
    writes_go_on
}
writes_go_on()
{
    local before
    before=$(wc -l <"$dir/done")
    until_true "$state: writes go on" grown "$before"
}
grown() { [ "$(wc -l <"$dir/done")" -gt $(($1 + 2)) ]; }
# healed: all see the same leader again, of the same term as the majority had.
healed()
{
    local was=$term had=$l
    heal
    state="$state, healed"
    steady 1 2 3 4 5
    [ "$term" = "$was" ] || die "$state: the term grew from $was to $term"
    [ "$l" = "$had" ] || die "$state: node $l leads, it was node $had"
    echo "ok: $state: node $l leads in term $term"
}
# others NODE: all but this one.
others() { for o in 1 2 3 4 5; do [ "$o" = "$1" ] || echo "$o"; done; }
follower() { others "$l" | head -n 1; }

(while :; do
    "$gavel" --retry --timeout 60s counter.increment name=load >/dev/null 2>>"$dir/load.log" && echo >>"$dir/done" ||
        echo "failed" >>"$dir/failed"
    pause
done) &
load=$!
others+=("$load")
: >"$dir/done"
state='before'
steady 1 2 3 4 5

state='from a follower to the leader'
f=$(follower) && was=$term && cut "$f" "$l"
mapfile -t rest < <(others "$f")
steady "${rest[@]}"
[ "$term" = "$was" ] || die "$state: the term grew"
healed

state='from the leader to a follower'
f=$(follower) && was=$term && cut "$l" "$f"
mapfile -t rest < <(others "$f")
steady "${rest[@]}"
[ "$term" = "$was" ] || die "$state: the term grew"
healed

state='from a follower to all'
f=$(follower) && was=$term && mapfile -t rest < <(others "$f")
for n in "${rest[@]}"; do cut "$f" "$n"; done
steady "${rest[@]}"
[ "$term" = "$was" ] || die "$state: the term grew"
healed

state='from all to a follower'
f=$(follower) && was=$term && mapfile -t rest < <(others "$f")
for n in "${rest[@]}"; do cut "$n" "$f"; done
steady "${rest[@]}"
[ "$term" = "$was" ] || die "$state: the term grew"
healed

state='from the leader to all'
f=$l && mapfile -t rest < <(others "$f")
for n in "${rest[@]}"; do cut "$f" "$n"; done
steady "${rest[@]}"
healed

state='from all to the leader'
f=$l && mapfile -t rest < <(others "$f")
for n in "${rest[@]}"; do cut "$n" "$f"; done
steady "${rest[@]}"
healed

# Two and two, which only see the fifth. Whoever leads sees a majority: all of his side and the bridge.
state='a bridge between two halves'
mapfile -t rest < <(others "$l")
was=$term
left=("$l" "${rest[0]}") bridge=${rest[1]} right=("${rest[2]}" "${rest[3]}")
for a in "${left[@]}"; do for b in "${right[@]}"; do cut "$a" "$b"; cut "$b" "$a"; done; done
steady "${left[@]}" "$bridge"
[ "$term" = "$was" ] || die "$state: the term grew"
for n in "${right[@]}"; do
    look "$n"
    has_term "$was" || die "$state: the term of the half that is cut off grew: $v"
done
healed

[ ! -e "$dir/failed" ] || die "a session write failed: $(tail -n 1 "$dir/load.log")"
echo "$(wc -l <"$dir/done") session writes, none failed"
exit 0
