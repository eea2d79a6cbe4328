#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# build-deb.sh: Debian packages of this tree, built as any user.
#
#   contrib/packaging/build-deb.sh [--tarball FILE] OUTDIR
#
# Without --tarball one is made first by "make dist", from a checkout or from an unpacked tarball alike. What
# the packages need for their build is what contrib/test.sh installs, and debhelper. DEB_BUILD_OPTIONS is honoured; the
# default is "nocheck", because contrib/test.sh runs the checks.
set -eu
. "$(dirname "$0")/../build-aux/setup.sh"

usage() { sed -n '3,9s/^# \{0,1\}//p' "$0"; exit 64; }

tarball=
if [ "${1:-}" = --tarball ]; then
    [ -f "${2:-}" ] || die "there is no tarball ${2:-}"
    tarball=$(readlink -f "$2")
    shift 2
fi
case ${1:--} in -*) usage ;; esac
[ $# = 1 ] || usage
command -v dh >/dev/null || die "debhelper is missing: apt install debhelper"
mkdir -p "$1"
out=$(cd "$1" && pwd -P)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

if [ -z "$tarball" ]; then
    mkdir -p "$work"
    setup_bootstrap >&2
    mkdir "$dir/dist"
    (cd "$dir/dist" && "$root/configure" && make dist) >"$dir/dist.log" 2>&1 \
        || { tail -n 20 "$dir/dist.log"; die "make dist failed"; }
    tarball=$(echo "$dir"/dist/gavel-*.tar.xz)
fi
mkdir "$dir/build"
tar -xf "$tarball" -C "$dir/build"
tree=$(echo "$dir"/build/gavel-*)
version=${tree##*/gavel-}
[ -d "$tree/contrib/packaging/debian" ] || die "$tarball holds no contrib/packaging/debian"
cp -a "$tree/contrib/packaging/debian" "$tree/debian"
# The date of what is built, so that the same tarball gives the same packages.
: "${SOURCE_DATE_EPOCH:=$(stat -c %Y "$tree/configure")}"
export SOURCE_DATE_EPOCH
date=$(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")
sed -i -e "s/@VERSION@/$version/" -e "s/@DATE@/$date/" "$tree/debian/changelog"
export DEB_BUILD_OPTIONS=${DEB_BUILD_OPTIONS-nocheck}
case " $DEB_BUILD_OPTIONS " in *" parallel="*) ;; *) DEB_BUILD_OPTIONS="$DEB_BUILD_OPTIONS parallel=$jobs" ;; esac
(cd "$tree" && dpkg-buildpackage -b -us -uc) >"$dir/build.log" 2>&1 || {
    tail -n 60 "$dir/build.log"
    die "dpkg-buildpackage failed"
}
find "$dir/build" -maxdepth 1 -type f -exec cp -t "$out" {} +
cp "$dir/build.log" "$out/build.log"
find "$out" -maxdepth 1 -name '*.deb' | sort
