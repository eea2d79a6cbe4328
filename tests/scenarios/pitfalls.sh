#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# pitfalls.sh [LIST]: the table of known mistakes is complete, and every proof in it exists and is run. The ids are
# fixed here: a line that is taken away is a failure, like a proof of something that is not there. It first sees to it
# that it can fail.
set -u
root=${top_srcdir:-$(cd "$(dirname "$0")/../.." && pwd)}
here=$root/tests/scenarios
ids="V1 V2 V3 V4 V5 V6 V7 C1 C2 C3 C4 C5 C6 C7 L1 L2 L3 L4 L5 L6 M1 M2 M3 M4 M5 S1 S2 S3 S4 S5 S6 R1 R2 R3
    D1 D2 D3 D4 D5 D6 D7 W1 W2 W3 W4 W5 P1 P2 P3 P4 P5 P6"

# proved PROOF: prints what is wrong with it.
proved()
{
    local what=${1%% *} rest=${1#* } file text
    case $what in
        scenario)
            [ -f "$here/$rest.txt" ] || echo "there is no scenario $rest"
            grep -q "/$rest\.txt" "$here/Module.am" || echo "the scenario $rest is not in Module.am"
            ;;
        test)
            file=${rest%%:*} text=${rest#*:}
            grep -qE "(cmocka_unit_test[a-z_]*|[A-Z]+_CASE)\($text[,)]" "$root/$file" 2>/dev/null ||
                echo "$file has no case $text"
            grep -rqs --include='*.am' "${file##*/}" "$root/tests" || echo "$file is built by no Module.am"
            ;;
        fuzz)
            grep -qw "$rest" "$root/tests/fuzz/Module.am" || echo "there is no fuzz target $rest"
            ls "$root/tests/fuzz/corpus/$rest-"* >/dev/null 2>&1 || echo "the fuzz target $rest has no corpus"
            ;;
        says)
            file=${rest%%: *} text=${rest#*: }
            grep -qF -e "$text" "$root/$file" 2>/dev/null || echo "$file does not say: $text"
            ;;
        never)
            file=${rest%%: *} text=${rest#*: }
            [ -d "$root/$file" ] || echo "there is no directory $file"
            grep -rqF --include='*.[ch]' -e "$text" "$root/$file" && echo "below $file something says: $text"
            ;;
        scene) grep -qF "    {\"$rest\"," "$root/tests/sim/enumerate_scenes.c" || echo "there is no scene $rest" ;;
        bug) grep -qE "^$rest +[a-z]" "$root/tests/sim/bugs.txt" || echo "tests/sim/bugs.txt has no bug $rest" ;;
        process)
            [ -f "$root/tests/$rest" ] || echo "there is no tests/$rest"
            grep -qE "%D%/${rest##*/}( |\$)" "$root/tests/${rest%/*}"/*.am || echo "tests/$rest is run by no Module.am"
            ;;
        impossible: | instead:)
            [ ${#rest} -gt 40 ] || echo "why that is so takes a sentence"
            ;;
        *) echo "no proof is called '$what'" ;;
    esac
}

# check LIST: prints everything that is wrong.
check()
{
    local id sentence proofs proof seen=" "
    while IFS='|' read -r id sentence proofs; do
        case $id in '' | '#'*) continue ;; esac
        id=${id% } sentence=${sentence# }
        case $seen in *" $id "*) echo "$id: is there twice" ;; esac
        case " $(echo $ids) " in *" $id "*) ;; *) echo "$id: nobody knows it" ;; esac
        seen="$seen$id "
        [ ${#sentence} -gt 20 ] || echo "$id: no sentence"
        [ -n "${proofs# }" ] || echo "$id: no proof"
        echo ";$proofs" | grep -qE '; *(scenario|scene) [a-z]|; *(impossible|instead): ' ||
            echo "$id: neither a scenario, nor why there is none"
        while read -r proof; do
            [ -z "$proof" ] || proved "$proof" | sed "s/^/$id: /"
        done < <(printf '%s\n' "$proofs" | sed 's/; */\n/g; s/^ *//; s/ *$//' | sed 's/^ *//')
    done <"$1"
    for id in $ids; do
        case $seen in *" $id "*) ;; *) echo "$id: is missing" ;; esac
    done
}

list=${1:-$here/pitfalls.list}
planted=$(mktemp)
trap 'rm -f "$planted"' EXIT
sed -e '/^C1 /d' -e '/^V2 /s/candidate-steps-down-keeps-vote/no-such-thing/' -e '/^L6 /s/test_vote_before_append/test_nothing/' \
    -e '/^P1 /s/never core: .*/never core: #include/' -e '/^R3 /s/impossible: .*/impossible: no/' \
    -e '/^W4 /s/; instead: .*//' -e '/^W3 /s/scene session;/scene sessions;/' -e '/^D2 /s/bug log-s[a-z-]*@/bug none@/' \
    -e '/^P3 /s/evlib.sh/nobody.sh/' -e '/^P5 /s/instead: .*/instead: so/' "$list" >"$planted"
seen=$(check "$planted")
for id in C1 V2 L6 P1 R3 W4 W3 D2 P3 P5; do
    echo "$seen" | grep -q "^$id: " || { echo "pitfalls: a planted mistake in $id was not seen"; exit 1; }
done

wrong=$(check "$list")
if [ -n "$wrong" ]; then
    echo "$wrong"
    exit 1
fi
echo "pitfalls: $(echo $ids | wc -w) mistakes, each with a proof"
