#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# proofs.sh: every bug of tests/sim/found has something that fails without its mend, named in tests/regress/proofs and
# run by make check. Both lists are in the same order.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
tests=$here/..
bad=0
complain() { echo "proofs: $*"; bad=$((bad + 1)); }

# The words behind a test's, corpus', scene's or sim file's name are there.
check()
{
    case $1 in
        test)
            [ -f "$tests/unit/$2" ] || { complain "$3: there is no tests/unit/$2"; return; }
            grep -q -E "(cmocka_unit_test[a-z_]*|[A-Z]+_CASE)\\($3\\b" "$tests/unit/$2" || complain "tests/unit/$2 runs no $3"
            grep -q -h "/$2\b" "$tests"/unit/*.am || complain "tests/unit/$2 is built by nobody" ;;
        corpus) [ -f "$tests/fuzz/corpus/$2" ] || complain "there is no tests/fuzz/corpus/$2" ;;
        scene)
            [ "${2#*:}" = memory ] && grep -q -E "^for scene in (.* )?${2%:*}( .*)?; do" "$here/enumerate.sh" ||
                complain "enumerate.sh does not play $2" ;;
        sim) [ -f "$tests/regress/$2" ] || complain "there is no tests/regress/$2" ;;
        script)
            [ -f "$tests/$2" ] || { complain "there is no tests/$2"; return; }
            grep -q "%D%/${2##*/}\b" "$tests/${2%/*}"/*.am || complain "tests/$2 is run by nobody" ;;
        scenario)
            grep -q "/$2 " "$tests/scenarios/Module.am" || complain "tests/scenarios/Module.am does not name $2" ;;
        *) complain "what is '$1'?" ;;
    esac
}

exec 3< <(grep -v '^#' "$tests/regress/proofs")
count=0
while IFS= read -r bug; do
    count=$((count + 1))
    IFS= read -r proof <&3 || { complain "nothing proves: ${bug%% -- *}"; continue; }
    case $bug in
        "${proof%% -- *}"*) ;;
        *) complain "the proof of '${proof%% -- *}' stands where that of '${bug%% -- *}' is due"; break ;;
    esac
    # shellcheck disable=SC2086 # words
    check ${proof##* -- }
done < <(grep -v -e '^#' -e '^[[:space:]]*$' "$here/found")
! IFS= read -r proof <&3 || complain "a proof of nothing that was found: $proof"
echo "$count bugs, $bad complaints"
[ "$bad" = 0 ] && [ "$count" -gt 0 ]
