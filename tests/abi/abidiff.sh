#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# abidiff.sh: libgavel.so and every public struct against what abidw said of each released minor. Adding is fine; what
# changed or went is shown, and fails. Skips without abigail-tools, or when the library has no debug information.
#
#   abidiff.sh                    check (make check-abi, make check)
#   abidiff.sh --describe DIR     write DIR/libgavel.abi and DIR/plugins.abi from what is built now: once, at a release
set -u
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "${top_srcdir:-$here/../..}" && pwd -P)
build=${top_builddir:?run by make check}
library=$build/core/client/.libs/libgavel.so
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failed=0 releases=0
skip() { echo "skipped: $*"; exit 77; }
fail() { echo "FAIL: $*"; failed=1; }

command -v abidw >/dev/null && command -v abidiff >/dev/null || skip "no abidw and abidiff (abigail-tools)"
[ -e "$library" ] || skip "no $library"
readelf -S "$library" 2>/dev/null | grep -q '\.debug_info' || skip "libgavel has no debug information (CFLAGS without -g)"

# The same text on every machine: no places, no paths of the build, identities by content.
describe()
{
    abidw ${2:+--headers-dir "$2" --drop-private-types} --drop-undefined-syms --no-show-locs --no-comp-dir-path \
        --no-corpus-path --no-architecture --no-elf-needed --type-id-style hash --out-file "$dir/raw.abi" "$1" || return 1
    sed -e "s,path='[^']*/\(core\|plugins\|transports\)/,path='\1/," -e "s,path='[^']*/every\.c',path='every.c'," \
        "$dir/raw.abi" >"$3"
}

# every STRUCTS INCLUDE OUTPUT [FLAGS]: a module that uses each struct named in the list, so that its layout is in it.
every()
{
    local structs=$1 include=$2 output=$3
    shift 3
    {
        for header in "$include"/gavel/*.h; do echo "#include <gavel/${header##*/}>"; done
        while read -r name; do echo "struct $name every_$name;"; done <"$structs"
    } >"$dir/every.c"
    ${CC:-cc} -shared -fPIC -g -gdwarf-4 -O0 -std=c99 -I"$include" "$@" -o "$output" "$dir/every.c"
}

# structs INCLUDE: the names of its structs.
structs()
{
    for header in "$1"/gavel/*.h; do echo "#include <gavel/${header##*/}>"; done |
        ${CC:-cc} -E -P -x c -std=c99 -I"$1" - | awk -f "$here/members.awk" | cut -d' ' -f1 | uniq
}

# against DESCRIPTION MODULE [OPTIONS]: what abidiff has to say; nothing when all is well.
against()
{
    local description=$1 module=$2 status
    shift 2
    abidiff --no-architecture --no-added-syms --harmless "$@" "$description" "$module" >"$dir/said" 2>&1
    status=$?
    [ $status = 0 ] || { echo "abidiff: $status"; cat "$dir/said"; }
}

if [ "${1-}" = --describe ]; then
    structs "$2/include" >"$dir/structs"
    every "$dir/structs" "$2/include" "$dir/every.so" && describe "$dir/every.so" "" "$2/plugins.abi" \
        && describe "$library" "$root/include" "$2/libgavel.abi"
    exit
fi

# Members appended to a struct that the library hands out or takes are no breach: its size says who knows of them.
cat >"$dir/appended.suppr" <<'END'
[suppress_type]
  type_kind = struct
  name_regexp = ^gavel_
  has_data_member_inserted_at = end
END

# Of the library only what its headers show is promised.
public=(--headers-dir2 "$root/include" --drop-private-types)

# ---- the check itself must be able to fail
rm -rf "$dir/include" && cp -r "$root/include" "$dir/include" && chmod -R u+w "$dir/include"
structs "$here/1.0/include" >"$dir/structs"
sed -i 's/^    uint64_t term;/    uint64_t newer;\n&/; /sizeof(struct gavel_call)/d' "$dir/include/gavel/statemachine.h"
every "$dir/structs" "$dir/include" "$dir/every.so" -DGAVEL_ABI_TARGET=0 || fail "the planted headers do not compile"
against "$here/1.0/plugins.abi" "$dir/every.so" >"$dir/found"
grep -q 'newer' "$dir/found" || { fail "a member in the middle of struct gavel_call was not found"; cat "$dir/found"; }
grep -v "elf-symbol name='gavel_call'" "$here/1.0/libgavel.abi" >"$dir/less.abi"
sed "s/elf-symbol name='gavel_call'/elf-symbol name='gavel_gone'/" "$here/1.0/libgavel.abi" >"$dir/gone.abi"
against "$dir/gone.abi" "$library" "${public[@]}" >"$dir/found"
grep -q 'gavel_gone' "$dir/found" || { fail "a function that went was not found"; cat "$dir/found"; }
[ -z "$(against "$dir/less.abi" "$library" "${public[@]}")" ] || { fail "an added function is taken for a breach"; cat "$dir/said"; }

for release in "$here"/[0-9]*; do
    releases=$((releases + 1))
    structs "$release/include" >"$dir/structs"
    every "$dir/structs" "$root/include" "$dir/every.so" -DGAVEL_ABI_TARGET="${release##*.}" || fail "does not compile"
    against "$release/plugins.abi" "$dir/every.so" >"$dir/found"
    [ ! -s "$dir/found" ] || { fail "the structs of ABI ${release##*/} changed:"; cat "$dir/found"; }
    against "$release/libgavel.abi" "$library" "${public[@]}" --suppressions "$dir/appended.suppr" >"$dir/found"
    [ ! -s "$dir/found" ] || { fail "libgavel is no longer that of ABI ${release##*/}:"; cat "$dir/found"; }
    functions=$(grep -c '<elf-symbol' "$release/libgavel.abi")
    echo "ABI ${release##*/}: $(wc -l <"$dir/structs") structs and $functions functions are as they were"
done
[ "$releases" -gt 0 ] || fail "no released minor found"
exit "$failed"
