#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# scaffold.sh: gavel plugin new: every template becomes a project with the plugin's name in every place, its C compiles
# against the headers without a warning, its page renders, and bad input gets a sentence and leaves nothing behind.
set -u
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "${top_srcdir:-$here/../..}" && pwd -P)
gavel=${top_builddir:?run by make check}/core/cli/gavel
templates=$root/contrib/template
export GAVEL_TEMPLATE_DIR=$templates
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
failed=0 made=0

fail() { echo "FAIL: $*"; failed=1; }

# refused CODE TEXT WORD...: gavel plugin WORD... leaves with CODE and a sentence that has TEXT, and makes nothing.
refused()
{
    local code=$1 text=$2 out got before
    shift 2
    before=$(find . | sort)
    out=$("$gavel" plugin "$@" 2>&1)
    got=$?
    [ "$got" = "$code" ] || fail "gavel plugin $*: exit $got, not $code: $out"
    case $out in *"$text"*) ;; *) fail "gavel plugin $*: does not say '$text': $out" ;; esac
    [ "$(wc -l <<<"$out")" = 1 ] || fail "gavel plugin $*: more than a sentence: $out"
    [ "$(find . | sort)" = "$before" ] || fail "gavel plugin $* left something behind"
}

# ---- every template
for place in "$templates"/*/*/configure.ac; do
    language=$(basename "$(dirname "$place")")
    kind=$(basename "$(dirname "$(dirname "$place")")")
    name=two-words-$made
    made=$((made + 1))
    out=$("$gavel" plugin new "$name" --kind "$kind" --language "$language") || { fail "$kind in $language: $out"; continue; }
    grep -q 'autoreconf -i && ./configure && make check' <<<"$out" || fail "$kind in $language: no next steps: $out"
    grep -q "gaveld --check-plugin $name" <<<"$out" || fail "$kind in $language: no check: $out"
    grep -qE "^$name: (a [^o]|an o)" <<<"$out" || fail "$kind in $language: a or an: $out"
    grep -q "${out##*, }" <<<"$out" || fail "no count"
    if left=$(grep -rniE 'my.plugin|my.date' "$name"; find "$name" -name '*my-plugin*' -o -name 'dot.*') && [ -n "$left" ]; then
        fail "$kind in $language: not filled in: $left"
    fi
    for file in configure.ac Makefile.am README.md .gitignore "gavel-$name.7" "$name-test.c"; do
        [ -s "$name/$file" ] || fail "$kind in $language: there is no $file"
    done
    grep -q "two_words_$((made - 1))" "$name"/*.am || fail "$kind in $language: no name with '_'"
    grep -qE '^\.Dd [A-Z][a-z]+ [0-9]+, 20[0-9][0-9]$' "$name/gavel-$name.7" || fail "$kind in $language: no date"
    for source in "$name"/*.c; do
        ${CC:-cc} -std=gnu11 -Wall -Wextra -Werror -Wno-unused-parameter -fsyntax-only -DPLUGIN='"x"' \
            -DPACKAGE_VERSION='"1"' -I"$root/include" "$source" 2>"$dir/cc.log" || fail "$(cat "$dir/cc.log")"
    done
    if man --version 2>/dev/null | grep -q '^man '; then
        warnings=$(LC_ALL=C.UTF-8 MANROFFSEQ='' man -l --warnings -E UTF-8 "$name/gavel-$name.7" 2>&1 >/dev/null)
        [ -z "$warnings" ] || fail "gavel-$name.7: $warnings"
    fi
done
[ "$made" -ge 3 ] || fail "only $made templates"

# ---- words in any order, a directory, and one that is there
"$gavel" plugin --kind statemachine --dir a/b new bank >out 2>&1 && fail "a directory in a directory that is not there"
grep -q 'a/b cannot be made: No such file' out || fail "$(cat out)"
mkdir here && echo mine >here/notes
"$gavel" plugin --dir=here -k statemachine new bank -l c >out 2>&1 || fail "$(cat out)"
[ "$(cat here/notes)" = mine ] || fail "another's file was touched"
[ -s here/bank.c ] || fail "no here/bank.c"

# ---- bad input
refused 1 'here/README.md is there already; nothing is overwritten' new bank --dir here
echo precious >here/README.md
rm here/*.c here/*.7 here/*.am here/*.ac here/.gitignore
refused 1 'here/README.md is there already; nothing is overwritten' new bank --dir here
[ "$(cat here/README.md)" = precious ] || fail "README.md was overwritten"
for name in '' Bank bank_2 2bank bank- -bank ba--nk 'ba nk' ba/nk ../bank bänk "$(printf 'b%.0s' {1..41})"; do
    refused 64 'is no name for a plugin: lower-case letters, digits' new -- "$name"
done
"$gavel" plugin new "$(printf 'b%.0s' {1..40})" >out || fail "a name of 40: $(cat out)"
refused 64 'gavel comes with a plugin called workflow' new workflow
refused 64 "the template's own name" new my-plugin
refused 64 "--kind is statemachine, transport, serializer or observer, not 'machine'" new bank2 --kind machine
refused 64 "--language is c, c++ or rust, not 'go'" new bank2 --language go
refused 1 'there is no observer template in rust' new bank2 --kind observer --language rust
refused 1 "there are no templates in $dir/none; --template or GAVEL_TEMPLATE_DIR" new bank2 --template "$dir/none"
refused 1 "cannot be made" new bank2 --dir here/README.md/x
refused 64 'gavel plugin new NAME' new
refused 64 'gavel plugin new NAME' new one two
refused 64 'gavel plugin new NAME' old bank2
refused 64 'needs a value' new bank2 --kind
refused 64 "there is no option '--kin' here" new bank2 --kin observer
"$gavel" plugin --help | grep -q 'new NAME' || fail "no help"
"$gavel" --help | grep -q 'plugin new NAME' || fail "gavel --help does not know it"

[ "$failed" = 0 ] && echo "scaffold: $made templates"
exit "$failed"
