#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# headers.sh: every installed header compiles alone, twice in one unit, as C99 and as C++11, with warnings as errors:
# authors of plugins choose their own language level and flags, and must not have to guess an order of includes.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=${top_srcdir:-$here/../..}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failed=0 tried=0
warn=(-Wall -Wextra -Wpedantic -Werror -Wundef -Wshadow -fsyntax-only -I"$root/include")

# compile LANGUAGE FILE: LANGUAGE is c or c++; the compiler's words go to stdout.
compile()
{
    case $1 in
        c) ${CC:-cc} -x c -std=c99 "${warn[@]}" -Wstrict-prototypes "$2" 2>&1 ;;
        c++) ${CXX:-c++} -x c++ -std=c++11 "${warn[@]}" "$2" 2>&1 ;;
    esac
}

languages=c
printf 'int main() { return 0; }\n' >"$dir/probe.cc"
if compile c++ "$dir/probe.cc" >/dev/null; then languages="c c++"; else echo "no C++ compiler: C only"; fi

# The check itself must be able to fail: a header that needs another one first, and one that is C but not C++.
printf '#include <gavel/abi.h>\nsize_of_what x;\n' >"$dir/planted.c"
if compile c "$dir/planted.c" >/dev/null; then echo "a broken header was accepted"; exit 1; fi

for header in "$root"/include/gavel/*.h; do
    name=gavel/$(basename "$header")
    printf '#include <%s>\n#include <%s>\nextern int unit_is_not_empty;\n' "$name" "$name" >"$dir/unit.c"
    for language in $languages; do
        tried=$((tried + 1))
        if ! out=$(compile "$language" "$dir/unit.c"); then
            printf 'FAIL: <%s> alone as %s:\n%s\n' "$name" "$language" "$out"
            failed=1
        fi
    done
done
echo "headers: $tried compilations"
[ "$tried" -gt 0 ] || exit 1
exit "$failed"
