#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# update-docs.sh [--check]: writes what is made from tables into the tree: the marked parts of manual pages, and the
# files of contrib/completion. With --check nothing is written: it names what is stale and fails.
#
# A page marks such a part with two comments, and the first one says which command prints it:
#
#   .\" Made by "gaveld --dump-plugin counter --man"; "make update-docs" writes it anew.
#   ...
#   .\" End of what was made.
#
# Run by make, which says where things are: top_srcdir, top_builddir, GAVEL_TEST_PLUGINDIR.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "${top_srcdir:-$here/../..}" && pwd -P)
build=${top_builddir:?run by make}
export GAVEL_PLUGIN_DIR=${GAVEL_TEST_PLUGINDIR:?run by make}
check=${1:-}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
parts=0 files=0 stale=0

# made COMMAND: what it prints, into $dir/part. The programs are those of the build. 2: such a plugin is not built here.
made()
{
    local words
    read -r -a words <<<"$1"
    case ${words[0]} in
        gaveld) words[0]=$build/core/host/gaveld ;;
        gavel) words[0]=$build/core/cli/gavel ;;
        *) echo "update-docs: $1: only gaveld and gavel make parts of pages" >&2; return 1 ;;
    esac
    "${words[@]}" >"$dir/part" 2>"$dir/err" && return 0
    if grep -q 'there is no plugin called' "$dir/err"; then return 2; fi
    cat "$dir/err" >&2
    return 1
}

# replace FILE: leaves FILE with its parts made anew in $dir/new.
replace()
{
    local line command inside=no status
    : >"$dir/new"
    while IFS= read -r line; do
        case $line in
            '.\" End of what was made.'*) inside=no ;;
        esac
        if [ $inside = no ]; then printf '%s\n' "$line" >>"$dir/new"; fi
        case $line in
            '.\" Made by "'*)
                command=${line#*\"} command=${command#*\"} command=${command%%\"*}
                status=0
                made "$command" || status=$?
                [ $status != 2 ] || { echo "update-docs: $1: not built here: $command"; return 2; }
                [ $status = 0 ] || return 1
                [ -s "$dir/part" ] || { echo "update-docs: $command prints nothing"; return 1; }
                cat "$dir/part" >>"$dir/new"
                inside=yes parts=$((parts + 1)) ;;
        esac
    done <"$1"
    [ $inside = no ] || { echo "update-docs: $1: a part has no end"; return 1; }
}

# put FILE: $dir/new becomes the file, if it differs.
put()
{
    files=$((files + 1))
    if cmp -s "$dir/new" "$1"; then return; fi
    if [ "$check" = --check ]; then
        echo "stale: ${1#"$root"/}; run make update-docs"
        diff -u "$1" "$dir/new" | head -n 40 || true
        stale=$((stale + 1))
    else
        cp "$dir/new" "$1"
        echo "written: ${1#"$root"/}"
    fi
}

while read -r page; do
    status=0
    replace "$page" || status=$?
    [ $status != 1 ] || exit 1
    if [ $status = 0 ]; then put "$page"; fi
done < <(grep -l -r --include='*.[1-8]' '^\.\\" Made by "' "$root"/{core,plugins,transports,statemachines} | sort)

for shell in bash zsh; do
    made "gaveld --completion $shell"
    cp "$dir/part" "$dir/new"
    case $shell in
        bash) put "$root/contrib/completion/bash/gavel" ;;
        zsh) put "$root/contrib/completion/zsh/_gavel" ;;
    esac
done

[ "$stale" = 0 ] || exit 1
[ "$parts" -gt 7 ] || { echo "update-docs: only $parts parts were found"; exit 1; }
echo "update-docs: $parts parts in $files files are as the tables have them"
