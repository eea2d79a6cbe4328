#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# layout.sh: today's headers against those of every released minor (tests/abi/MAJOR.MINOR). With GAVEL_ABI_TARGET set to
# that minor each struct has the same members at the same places, and no number is newer; without it members are only
# appended, 8 bytes wide (or whole structs of such); numbers keep their meaning; and gavel-abi-history(7) names whatever
# came.
set -u
here=$(cd "$(dirname "$0")" && pwd)
root=${top_srcdir:-$here/../..}
page=$root/include/gavel/gavel-abi-history.7
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failed=0 releases=0
fail() { echo "FAIL: $*"; failed=1; }

# unit INCLUDE: a C file that includes every header of the directory.
unit() { for header in "$1"/gavel/*.h; do echo "#include <gavel/${header##*/}>"; done; }

# members INCLUDE [FLAGS]: "STRUCT MEMBER" lines.
members()
{
    local include=$1
    shift
    unit "$include" | ${CC:-cc} -E -P -x c -std=c99 -I"$include" "$@" - | awk -f "$here/members.awk"
}

# layout INCLUDE LIST [FLAGS]: "STRUCT MEMBER OFFSET BYTES" for each line of the list, and "STRUCT - 0 BYTES".
layout()
{
    local include=$1 list=$2
    shift 2
    {
        unit "$include"
        echo 'int main(void) {'
        awk '{ printf "printf(\"%s %s %%zu %%zu\\n\", offsetof(struct %s, %s), sizeof(((struct %s *)0)->%s));\n",
                      $1, $2, $1, $2, $1, $2 }' "$list"
        cut -d' ' -f1 "$list" | uniq | awk '{ printf "printf(\"%s - 0 %%zu\\n\", sizeof(struct %s));\n", $1, $1 }'
        echo 'return 0; }'
    } >"$dir/layout.c"
    ${CC:-cc} -x c -std=c99 -I"$include" "$@" -o "$dir/layout" "$dir/layout.c" 2>"$dir/layout.err" || {
        echo "does not compile: $(head -3 "$dir/layout.err")"
        return 1
    }
    "$dir/layout"
}

# numbers INCLUDE: "#define GAVEL_NAME NUMBER", without those that count the releases.
numbers()
{
    sed -n 's/^#define \(GAVEL_[A-Z0-9_]*\)[ ]\{1,\}\((\{0,1\}-\{0,1\}[0-9][0-9xa-fu]*)\{0,1\}\)\([ ]\{1,\}\/\*.*\)\{0,1\}$/\1 \2/p' \
        "$1"/gavel/*.h | grep -v -e '^GAVEL_ABI_' -e '^GAVEL_CLIENT_' | sort
}

# visible RELEASE INCLUDE [FLAGS]: names of the numbers that whoever includes the headers of a release sees in INCLUDE.
visible()
{
    local release=$1 include=$2
    shift 2
    unit "$release/include" | ${CC:-cc} -E -dM -x c -std=c99 -I"$include" "$@" - \
        | sed -n 's/^#define \(GAVEL_[A-Z0-9_]*\) (\{0,1\}-\{0,1\}[0-9][0-9xa-fu]*)\{0,1\}$/\1/p' \
        | grep -v '^GAVEL_ABI_' | sort
}

# appended OLD NEW: members of NEW that are not in OLD; complains of one that is not appended or not of whole words.
appended()
{
    awk 'NR == FNR { if ($2 == "-") end[$1] = $4; else known[$1 " " $2] = 1; next }
         $2 == "-" || known[$1 " " $2] || !($1 in end) { next }
         $3 < end[$1] { printf "struct %s: %s stands before the end of what was there\n", $1, $2 }
         $4 % 8 { printf "struct %s: %s is %d bytes wide, wanted whole words of 8\n", $1, $2, $4 }' "$1" "$2"
}

# compare RELEASE INCLUDE: everything that the headers of INCLUDE owe to a release; a sentence a line for each breach.
compare()
{
    local release=$1 include=$2 minor=${1##*.}
    members "$release/include" >"$dir/old.list"
    [ -s "$dir/old.list" ] || echo "${release##*/}: no struct found"
    layout "$release/include" "$dir/old.list" >"$dir/old"
    layout "$include" "$dir/old.list" >"$dir/now"
    grep -v ' - 0 ' "$dir/old" >"$dir/old.members"
    grep -v ' - 0 ' "$dir/now" | diff "$dir/old.members" - | sed -n 's/^[<>]/moved or changed:&/p'
    members "$include" -DGAVEL_ABI_TARGET="$minor" >"$dir/target.list"
    layout "$include" "$dir/target.list" -DGAVEL_ABI_TARGET="$minor" | sort >"$dir/target"
    # Structs that are new as a whole are no concern of an old plugin.
    awk 'NR == FNR { old[$1] = 1; next } old[$1]' "$dir/old" "$dir/target" | diff <(sort "$dir/old") - \
        | sed -n "s/^[<>]/with GAVEL_ABI_TARGET=$minor it differs:&/p"
    members "$include" >"$dir/all.list"
    layout "$include" "$dir/all.list" >"$dir/all"
    appended "$dir/old" "$dir/all"
    comm -13 <(visible "$release" "$release/include") <(visible "$release" "$include" -DGAVEL_ABI_TARGET="$minor") \
        | sed "s/^/with GAVEL_ABI_TARGET=$minor it is there all the same: /"
    comm -23 <(numbers "$release/include") <(numbers "$include") | sed 's/^/its number is another one now: /'
}

# told RELEASE INCLUDE PAGE: what came since, and is not named in the page.
told()
{
    members "$1/include" >"$dir/old.list"
    members "$2" | awk 'NR == FNR { structs[$1] = 1; known[$1 " " $2] = 1; next }
        !($1 in structs) { if (!new[$1]++) print "struct " $1; next }
        !known[$1 " " $2] { print $1 "." $2 }' "$dir/old.list" - | while read -r name; do
        sed 's/\\-/-/g; s/\\&//g; s/\\f[BIRP]//g' "$3" | grep -qF -- "$name" \
            || echo "$name came, and gavel-abi-history(7) does not say why"
    done
}

# ---- the check itself must be able to fail: one planted breach of each rule
planted()
{
    local what=$1 want=$2 file=$3 script=$4
    rm -rf "$dir/planted" && cp -r "$root/include" "$dir/planted" && chmod -R u+w "$dir/planted"
    sed -i "$script" "$dir/planted/gavel/$file"
    { compare "$here/1.0" "$dir/planted"; told "$here/1.0" "$dir/planted" "$page"; } >"$dir/found"
    grep -q -- "$want" "$dir/found" || { fail "planted, and not found: $what"; cat "$dir/found"; }
}
planted "a member in the middle" "moved or changed" statemachine.h 's/^    uint64_t term;/    uint64_t newer;\n&/'
planted "a removed member" "does not compile" host.h '/^    void (\*wake)/d'
planted "another type" "moved or changed" abi.h 's/char text\[504\]/char text[248]/; /sizeof(struct gavel_error)/d'
planted "an appended member without a guard" "with GAVEL_ABI_TARGET=0 it differs" observer.h \
    's/^    void (\*flush)(void \*self);/&\n    uint64_t newer;/; /sizeof(struct gavel_observer)/d'
planted "a new number without a guard" "it is there all the same: GAVEL_OBSERVE_NEWER" observer.h \
    's/^#define GAVEL_OBSERVE_METRICS .*/&\n#define GAVEL_OBSERVE_NEWER 16u/'
planted "an appended member of four bytes" "is 4 bytes wide" observer.h \
    's/^    void (\*flush)(void \*self);/&\n    uint32_t newer;/; /sizeof(struct gavel_observer)/d'
planted "a number with another meaning" "its number is another one" plugin.h 's/GAVEL_KIND_OBSERVER 4/GAVEL_KIND_OBSERVER 5/'
planted "a member that nobody justified" "gavel_observer.newer came" observer.h \
    's/^    void (\*flush)(void \*self);/&\n#if GAVEL_ABI_TARGET >= 1\n    uint64_t newer;\n#endif/; /sizeof(struct gavel_observer)/d'

for release in "$here"/[0-9]*; do
    releases=$((releases + 1))
    (cd "$release" && sha256sum --quiet -c SHA256SUMS) || fail "$release is frozen, and was edited"
    compare "$release" "$root/include" >"$dir/found"
    told "$release" "$root/include" "$page" >>"$dir/found"
    [ ! -s "$dir/found" ] || { fail "ABI ${release##*/} is broken:"; cat "$dir/found"; }
    grep -q "ABI ${release##*/}" "$page" || fail "gavel-abi-history(7) has no section on ABI ${release##*/}"
    echo "ABI ${release##*/}: $(grep -vc ' - 0 ' "$dir/old") members of $(grep -c ' - 0 ' "$dir/old") structs are where they were"
done
[ "$releases" -gt 0 ] || fail "no released minor found"
exit "$failed"
