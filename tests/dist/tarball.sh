#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# tarball.sh: every file that git tracks is in the tarball. A file that only git has builds for its author and for
# nobody who downloads a release. Skips where there is no git work tree (inside the tarball itself).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "${top_srcdir:-$here/../..}" && pwd -P)
build=${top_builddir:?run by make check}

top=$(git -C "$root" rev-parse --show-toplevel 2>/dev/null) || { echo "no git here"; exit 77; }
[ "$top" = "$root" ] || { echo "$root is not the top of a git work tree"; exit 77; }

listed=$(mktemp)
tracked=$(mktemp)
trap 'rm -f "$listed" "$tracked"' EXIT
env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL make -s -C "$build" print-distfiles \
    | sed -E -e "s,^$root/,," -e 's,^(\.\.?/)+,,' | sort -u >"$listed" # absolute, or relative to the build

# What only makes sense in a checkout.
git -C "$root" ls-files | grep -v -E '(^|/)\.(gitignore|gitattributes|keep)$' | sort >"$tracked"

missing=$(comm -23 "$tracked" "$listed" | while read -r f; do
    d=$f
    while [ "$d" != "${d%/*}" ]; do        # a directory may be listed as a whole
        d=${d%/*}
        if grep -qxF "$d" "$listed"; then continue 2; fi
    done
    echo "$f"
done)
if [ -n "$missing" ]; then
    printf 'not in the tarball (name it in a Module.am, EXTRA_DIST if nothing else fits):\n%s\n' "$missing"
    exit 1
fi
count=$(wc -l <"$tracked")
[ "$count" -gt 10 ] || { echo "git lists only $count files"; exit 1; }
if grep -qxF "no/such/file" "$listed"; then exit 1; fi
echo "tarball: all $count tracked files are in"
