#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# release.sh [TARBALL]: the tarball as a stranger has it. It builds where git, the autotools and the tools for manual
# pages are shadowed by programs that fail; make install DESTDIR= writes nowhere else and what it wrote runs from there;
# the binaries hold no rpath and no path of the build; a second build in another directory gives the same bytes.
#
# Run by contrib/test.sh packaging, not by make check: it builds everything twice. Without TARBALL it makes one.
# Prints "PASS: ..." or "FAIL: ..." for each thing that it looks at.
set -u
here=$(cd "$(dirname "$0")" && pwd -P)
. "$here/../../contrib/build-aux/setup.sh"
export LC_ALL=C.UTF-8
umask 022
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failed=0
began=0

pass() { [ "$failed" != "$began" ] || echo "PASS: $*"; began=$failed; }
bad() { echo "FAIL: $*"; failed=$((failed + 1)); }
stop() { bad "$1"; tail -n 25 "$2"; exit 1; }

tarball=${1:-}
if [ -z "$tarball" ]; then
    mkdir -p "$work" "$dir/dist"
    setup_bootstrap
    (cd "$dir/dist" && "$root/configure" && make dist) >"$dir/log" 2>&1 || stop "make dist" "$dir/log"
    tarball=$(echo "$dir"/dist/gavel-*.tar.xz)
fi

# ---- the tools that a release must not need
mkdir "$dir/shadow"
for tool in git autoconf autoheader autom4te autoreconf autoupdate automake automake-1.16 aclocal aclocal-1.16 libtoolize \
    m4 gm4 man nroff groff troff mandoc help2man pandoc asciidoc asciidoctor txt2man rst2man pod2man ronn; do
    printf '#!/bin/sh\necho "%s $*" >>"%s"\necho "%s is shadowed" >&2\nexit 99\n' $tool "$dir/called" $tool \
        >"$dir/shadow/$tool"
done
chmod 755 "$dir"/shadow/*
( PATH=$dir/shadow:$PATH; git --version ) >/dev/null 2>&1 && bad "the shadows do not work"
rm -f "$dir/called"

# build NAME: unpack, configure, make, make install DESTDIR=, in a directory of that name.
prefix=/nowhere-gavel-$$
build()
{
    mkdir "$dir/$1"
    tar -C "$dir/$1" -xf "$tarball" || exit 1
    mv "$dir/$1"/gavel-* "$dir/$1/tree"
    (
        cd "$dir/$1/tree" || exit 1
        export PATH=$dir/shadow:$PATH SOURCE_DATE_EPOCH=1700000000
        ./configure --prefix=$prefix --enable-werror CFLAGS="-O2 -g -ffile-prefix-map=$PWD=." && make -j"$jobs" \
            && make install DESTDIR="$dir/$1/dest"
    ) >"$dir/$1/log" 2>&1 || stop "the tarball does not build and install" "$dir/$1/log"
}

build one
# The simulator asks git for a commit to show, and does without one.
called=$(grep -v '^git .*describe' "$dir/called" 2>/dev/null | sort -u | head -n 5 | paste -sd';')
[ -z "$called" ] || bad "the build called: $called"
pass "the tarball builds without git, autotools and tools for manual pages"

# ---- what was installed
dest=$dir/one/dest
[ ! -e $prefix ] || { bad "make install DESTDIR= wrote to $prefix"; rm -rf $prefix; }
outside=$(find "$dest" -mindepth 1 -maxdepth 1 ! -name "${prefix#/}")
[ -z "$outside" ] || bad "installed beside the prefix: $outside"
for file in bin/gavel sbin/gaveld lib/libgavel.so lib/pkgconfig/gavel.pc lib/pkgconfig/libgavel.pc include/gavel/plugin.h \
    lib/gavel/gavel-tcp-transport.so lib/gavel/gavel-workflow-statemachine.so share/man/man8/gaveld.8; do
    [ -s "$dest$prefix/$file" ] || bad "not installed: $file"
done
odd=$(find "$dest" -type d ! -perm 755 -o -type f ! -perm 644 ! -perm 755)
[ -z "$odd" ] || bad "odd modes: $odd"
binaries=$(find "$dest" -type f | while read -r f; do
    [ "$(head -c 4 "$f" | od -An -c | tr -d ' ')" != '177ELF' ] || echo "$f"
done)
[ "$(wc -l <<<"$binaries")" -gt 8 ] || bad "only $(wc -l <<<"$binaries") binaries"
# shellcheck disable=SC2086 # names without blanks
if readelf -d $binaries | grep -E 'R(UN)?PATH'; then bad "an rpath"; fi
leaks=$(grep -rlF "$dir" "$dest")
[ -z "$leaks" ] || bad "the path of the build is in: $leaks"
pass "make install DESTDIR= is whole, stays inside, and holds no path of the build"

# ---- moved to another place, it runs
mv "$dest$prefix" "$dir/moved"
export GAVEL_PLUGIN_DIR=$dir/moved/lib/gavel
"$dir/moved/bin/gavel" --version >/dev/null || bad "gavel does not start"
[ "$("$dir/moved/sbin/gaveld" --list-plugins | wc -l)" -ge 7 ] || bad "gaveld does not find its plugins"
if command -v pkg-config >/dev/null; then
    at=$(PKG_CONFIG_PATH=$dir/moved/lib/pkgconfig pkg-config --define-prefix --cflags gavel)
    [ "${at% }" = "-I$dir/moved/include" ] || bad "gavel.pc does not move along: $at"
fi
unset GAVEL_PLUGIN_DIR
mv "$dir/moved" "$dest$prefix"
pass "what was installed runs from another place"

# ---- a few of the checks, without the programs that only tests need
(cd "$dir/one/tree" && PATH=$dir/shadow:$PATH make -j"$jobs" check check_LTLIBRARIES= \
    check_PROGRAMS='tests/unit/host-ini' \
    TESTS='tests/unit/host-ini tests/host/answers.sh tests/host/life.sh tests/style/style.sh tests/dist/install.sh') \
    >"$dir/log" 2>&1 || {
    for trs in $(grep -l -E '^:test-result: (FAIL|ERROR)' $(find "$dir/one/tree/tests" -name '*.trs')); do
        tail -n 20 "${trs%.trs}.log"
    done
    bad "checks of the tarball: $(grep -E '^(FAIL|ERROR):' "$dir/log" | paste -sd' ')"
}
pass "a few checks in the tarball"

# ---- again, elsewhere: the same bytes
build another-directory-with-a-longer-name
again=$dir/another-directory-with-a-longer-name/dest
diff -r "$dest" "$again" >"$dir/diff" 2>&1 || bad "two builds differ: $(head -n 5 "$dir/diff")"
pass "two builds in two directories are the same, byte for byte"
[ $failed = 0 ]
