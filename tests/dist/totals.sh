#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# totals.sh: the last words of .ci/run name each failure of test.sh and of demo.sh, with the end of its log before.
set -u
unset GAVEL_BUILD_DIR
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir -p "$dir/.ci" "$dir/contrib/build-aux" "$dir/build"
cp "$top_srcdir/.ci/run" "$dir/.ci/run"
cp "$top_srcdir/contrib/build-aux/setup.sh" "$dir/contrib/build-aux/"
seq -f 'line %g' 100 >"$dir/long.log"
failed=0

# script NAME LINE...: a script in the place of contrib/NAME that counts so.
script()
{
    local file=$dir/contrib/$1
    shift
    printf '%s\n' '#!/bin/bash' '. "$(dirname "$0")/build-aux/setup.sh"' "$@" >"$file"
    chmod +x "$file"
}

# says CODE TEXT: .ci/run leaves with that, and its last words are these.
says()
{
    local code=$1 text=$2 out got
    out=$("$dir/.ci/run" 2>&1)
    got=$?
    [ $got = "$code" ] || { echo "FAIL: left with $got, not $code: $out"; failed=1; }
    [ "$(tail -n "$(wc -l <<<"$text")" <<<"$out")" = "$text" ] || { echo "FAIL: not '$text' at the end of: $out"; failed=1; }
}

script test.sh count_pass totals
script demo.sh count_pass count_skip totals
says 0 "2 passed, 0 failed, 1 skipped"
! "$dir/.ci/run" | grep -q '^failed: ' || { echo "FAIL: names a failure where there is none"; failed=1; }

script test.sh 'count_fail "normal: tests/a b.trs" "$root/long.log"' count_pass 'count_fail "coverage"' totals
script demo.sh 'count_fail "demo: counter"' totals 'seq 1000'
says 1 "$(seq -f '    | line %g' 86 100; printf '%s\n' 'failed: coverage' 'failed: demo: counter' '' \
    'failed: normal: tests/a b.trs' 'failed: coverage' 'failed: demo: counter' '1 passed, 3 failed, 0 skipped')"

# Who is ended before the totals has failed as well; what an earlier run left does not count.
script test.sh count_pass 'exit 1'
script demo.sh count_pass totals
says 1 "$(printf '%s\n' '' 'failed: test.sh ended without totals' '' 'failed: test.sh ended without totals' \
    '1 passed, 1 failed, 0 skipped')"
exit $failed
