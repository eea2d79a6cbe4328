#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# bad.sh: every way of being a bad plugin is found by the check that is meant for it, in exactly these words; and the
# same source without a fault passes, so that it is the fault that was found.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "${top_srcdir:-$here/../..}" && pwd -P)
build=${top_builddir:?run by make check}
check=$build/core/check/gavel-check
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failed=0 tried=0
cc=${CC:-cc}
sanitized=no
case " ${GAVEL_TEST_LDFLAGS:-} " in *-fsanitize=*) sanitized=yes ;; esac

# build_bad SOURCE KIND FLAG...: $dir/N/gavel-bad-KIND.so; its path on stdout.
build_bad()
{
    local source=$1 kind=$2
    shift 2
    mkdir -p "$dir/$tried"
    # shellcheck disable=SC2086 # flags are words
    $cc -std=gnu11 -O0 -fPIC -shared -w -I"$root/include" "$@" -o "$dir/$tried/gavel-bad-$kind.so" "$here/$source" \
        ${extra:-} ${GAVEL_TEST_LDFLAGS:-} -lpthread
    chmod 755 "$dir/$tried/gavel-bad-$kind.so"
    echo "$dir/$tried/gavel-bad-$kind.so"
}

# expect SOURCE KIND FLAG CHECK SENTENCE [OPTION...]: the verdict of that check, without the seed, is "fail" with it.
expect()
{
    local source=$1 kind=$2 flag=$3 name=$4 wanted=$5 so said
    shift 5
    tried=$((tried + 1))
    so=$(build_bad "$source" "$kind" "-D$flag") || { echo "FAIL: $flag: does not build"; failed=1; return; }
    said=$("$check" --seed 7 --only "$name" "$@" "$so" 2>/dev/null | sed -n -e 's/^fail  [a-z-]*  //p' |
        sed -e 's/ (seed 7)$//' -e "s,$dir/[0-9]*/,," -e 's/127\.0\.0\.1:[0-9]*/127.0.0.1:PORT/g' \
            -e 's/entry [0-9]* (GAVEL_CONCURRENT)/entry N (GAVEL_CONCURRENT)/') || : # two lanes: not at each the same
    if [ "$said" != "$wanted" ]; then
        printf 'FAIL: %s, check %s\n  wanted: %s\n  said:   %s\n' "$flag" "$name" "$wanted" "$said"
        failed=1
    fi
}

# good SOURCE KIND: the source as it is has no fault.
good()
{
    local so out
    tried=$((tried + 1))
    so=$(build_bad "$1" "$2" -DGOOD)
    if ! out=$("$check" --seed 7 --deadline 600s "$so" 2>&1); then
        printf 'FAIL: %s without a fault:\n%s\n' "$1" "$out"
        failed=1
    fi
}

. "$here/${1:?the list of faults}"
# A plugin that hangs leaves no process behind. Who was just killed may still be on its way out.
left() { grep -alsF -f - /proc/[0-9]*/cmdline <<<"$dir/"; }
end=$((SECONDS + 30))
while left >/dev/null && [ $SECONDS -lt $end ]; do read -rt 0.05 <> <(:) || :; done
for each in $(left); do
    echo "FAIL: a process was left behind: $(tr '\0' ' ' <"$each")"
    kill -KILL "$(cut -d/ -f3 <<<"$each")"
    failed=1
done
echo "$1: $tried plugins tried"
[ "$tried" -gt 3 ] || exit 1
exit "$failed"
