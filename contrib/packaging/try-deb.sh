#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# try-deb.sh: the packages in a clean Debian 12: installed with what they depend on, a cluster run from them, upgraded
# while it runs, removed, purged.
#
#   contrib/packaging/try-deb.sh DEBS CACHE     root only; about two minutes, and one more when CACHE is empty
#
# DEBS is what build-deb.sh made. CACHE keeps the bare system and the downloaded packages from run to run. The mirror is
# the one that this machine's own apt is set up with. Prints a line "PASS: ..." or "FAIL: ..." for each thing tried, or
# "SKIP: ..." with the reason, and leaves with 0, 1 or 77.
set -u
. "$(dirname "$0")/../build-aux/setup.sh"
export LC_ALL=C.UTF-8
failed=0

[ $# = 2 ] || { sed -n '3,10s/^# \{0,1\}//p' "$0"; exit 64; }
debs=$(readlink -f "$1") cache=$2
skip() { echo "SKIP: $*"; exit 77; }
pass() { echo "PASS: $*"; }
bad() { echo "FAIL: $*"; failed=1; }

[ "$(id -u)" = 0 ] || skip "only root can make a chroot"
for tool in debootstrap apt-get unshare chroot; do command -v $tool >/dev/null || skip "$tool is not here"; done
arch=$(dpkg --print-architecture)
# The repositories of Debian 12 that this machine's apt knows: URI, release, and component of each.
sources=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT) $(CODENAME) $(ORIGIN)' \
    'Created-By: Packages' 2>/dev/null \
    | awk '$4 ~ /^bookworm(-updates|-security)?$/ && $5 ~ /^Debian/ && $3 == "main"' | sort -u)
mirror=$(awk '$4 == "bookworm" { print $1; exit }' <<<"$sources")
[ -n "$mirror" ] || skip "apt knows no mirror of Debian 12 here"

mkdir -p "$cache/archives"
room=$(mktemp -d)
root=$room/root
cleanup()
{
    mountpoint -q "$root/proc" && umount "$root/proc"
    cp -n "$root"/var/cache/apt/archives/*.deb "$cache/archives/" 2>/dev/null
    rm -rf --one-file-system "$room"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

# in_root COMMAND...: in the clean system, with a clean environment.
in_root()
{
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
        ${UPGRADE:+"UPGRADE=$UPGRADE"} chroot "$root" "$@"
}

base=$cache/bookworm-$arch.tar
if [ ! -e "$base" ]; then
    mkdir "$room/new"
    debootstrap --variant=minbase --arch="$arch" bookworm "$room/new" "$mirror" >"$room/log" 2>&1 \
        || { tail -n 5 "$room/log"; skip "debootstrap could not make a Debian 12"; }
    tar -C "$room/new" -cf "$base.new" . && mv "$base.new" "$base"
    rm -rf "$room/new"
fi
mkdir "$root"
tar -C "$root" -xf "$base" || { bad "the cached system $base cannot be unpacked; remove it"; exit 1; }
# The way to the mirror, as this machine has it.
while read -r uri release component _; do
    echo "deb $uri $release $component"
done <<<"$sources" >"$root/etc/apt/sources.list"
apt-config dump | grep -i -E '^Acquire::(http|https)(::[^ ]*)?(::| )?.*proxy' >"$root/etc/apt/apt.conf.d/80proxy" || :
cp -L /etc/resolv.conf "$root/etc/resolv.conf" 2>/dev/null || :
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
cp "$cache"/archives/*.deb "$root/var/cache/apt/archives/" 2>/dev/null || :
printf 'APT::Keep-Downloaded-Packages "true";\n' >"$root/etc/apt/apt.conf.d/80keep"
rm -f "$root/etc/apt/apt.conf.d/docker-clean"
mount -t proc proc "$root/proc" 2>/dev/null || skip "no /proc can be mounted in a chroot here"
in_root apt-get update -qq >"$room/log" 2>&1 \
    || { tail -n 5 "$room/log"; skip "apt-get update does not work in the clean system"; }
find "$root/" -xdev -name '*gavel*' | sort >"$room/before"

# ---- installed, with what the packages depend on and nothing else
mkdir "$root/debs" "$root/newer"
find "$debs" -maxdepth 1 -name "*_$arch.deb" ! -name '*-dbgsym_*' -exec cp -t "$root/debs" {} +
packages=$(for deb in "$root"/debs/*.deb; do dpkg-deb -f "$deb" Package; done)
if ! in_root sh -c 'apt-get install -y -qq --no-install-recommends /debs/*.deb' >"$room/log" 2>&1; then
    tail -n 20 "$room/log"
    bad "the packages do not install"
    exit 1
fi
# shellcheck disable=SC2086 # a list of names
in_root dpkg -V $packages >"$room/log" 2>&1
[ ! -s "$room/log" ] || bad "dpkg -V: $(cat "$room/log")"
in_root gaveld --check-config --config /usr/share/doc/gavel/examples/gavel.ini >"$room/log" 2>&1 \
    || bad "the sample configuration: $(cat "$room/log")"
missing=$(for file in "$root"/usr/sbin/gaveld "$root"/usr/bin/gavel "$root"/usr/lib/*/gavel/*.so \
    "$root"/usr/lib/*/libgavel*.so.0 "$root"/usr/libexec/gavel/*; do
    in_root ldd "${file#"$root"}" 2>/dev/null | grep 'not found'
done)
[ -z "$missing" ] || bad "libraries that the dependencies do not bring: $missing"
[ $failed = 0 ] && pass "installed in a clean Debian 12"

# ---- a version above this one: the same files, as a package that is only newer
for deb in "$root"/debs/*.deb; do
    mkdir "$room/repack"
    dpkg-deb -R "$deb" "$room/repack"
    old=$(dpkg-deb -f "$deb" Version)
    sed -i -e "s/^Version: .*/Version: $old+newer1/" -e "s/(= $old)/(= $old+newer1)/g" "$room/repack/DEBIAN/control"
    dpkg-deb --root-owner-group -Zgzip -b "$room/repack" "$root/newer/$(basename "$deb")" >/dev/null \
        || bad "repacking $deb"
    rm -rf "$room/repack"
done

# ---- three nodes, a killed leader, an upgrade, restarts; in a network and a process space of their own if possible
cp "$(dirname "$0")/debian/tests/cluster" "$root/cluster"
UPGRADE="$(cd "$root" && for f in newer/*.deb; do printf '/%s ' "$f"; done)"
own=()
if command -v ip >/dev/null && unshare --net --pid --fork --kill-child ip link set lo up 2>/dev/null; then
    own=(unshare --net --pid --fork --kill-child)
fi
export -f in_root
export root UPGRADE
# shellcheck disable=SC2016 # for that shell
if "${own[@]}" bash -c '[ $# = 0 ] || ip link set lo up; in_root /cluster' - "${own[@]}" >"$room/log" 2>&1; then
    sed 's/^/    /' "$room/log"
    pass "three nodes from the packages, a killed leader, an upgrade under way, restarts"
else
    cat "$room/log"
    bad "the cluster from the packages"
fi
[ "$(in_root dpkg-query -W -f '${Version}' gavel)" = "$old+newer1" ] || bad "not upgraded"

# ---- gone
unset UPGRADE
in_root apt-get remove -y -qq gavel >"$room/log" 2>&1 || { tail -n 20 "$room/log"; bad "apt-get remove"; }
[ -d "$root/var/lib/gavel/node-1/log" ] || bad "removing the package removed the data"
[ ! -e "$root/usr/sbin/gaveld" ] || bad "removing the package left gaveld"
# What depends on gavel went with it, and has nothing to purge: dpkg says so and goes on.
# shellcheck disable=SC2086 # a list of names
in_root dpkg --purge $packages >"$room/log" 2>&1 || { tail -n 20 "$room/log"; bad "dpkg --purge"; }
rm -rf "$root/debs" "$root/newer" "$root/cluster"
find "$root/" -xdev -name '*gavel*' ! -path '*/var/cache/apt/*' | sort | comm -13 "$room/before" - >"$room/left"
if [ -s "$room/left" ]; then
    bad "purging left: $(paste -sd' ' "$room/left")"
else
    pass "removed with the data kept, purged with nothing left"
fi
exit $failed
