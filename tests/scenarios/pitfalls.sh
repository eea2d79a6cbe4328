#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# pitfalls.sh [LIST]: the table of known mistakes is complete, and every proof in it exists and is run: in TESTS, not only
# mentioned. The ids are fixed here: a line that is taken away is a failure, like a proof of something that is not there.
# It first sees to it that it can fail.
set -u
root=${top_srcdir:-$(cd "$(dirname "$0")/../.." && pwd)}
here=$root/tests/scenarios
ids="V1 V2 V3 V4 V5 V6 V7 C1 C2 C3 C4 C5 C6 C7 L1 L2 L3 L4 L5 L6 M1 M2 M3 M4 M5 S1 S2 S3 S4 S5 S6 R1 R2 R3
    D1 D2 D3 D4 D5 D6 D7 W1 W2 W3 W4 W5 P1 P2 P3 P4 P5 P6"

# read_am: of all Module.am and the like, "test NAME" for each word of TESTS, and "source PROGRAM FILE" for what each
# program is made of, PROGRAM as automake writes it: what is no letter or digit is _. Comments are no mention.
read_am()
{
    find "$root/tests" "$root/Makefile.am" -name '*.am' | while read -r am; do
        dir=$(dirname "${am#"$root/"}")
        sed -e 's/^[[:space:]]*#.*//' -e "s,%D%,$dir,g" -e "s,%C%,$(echo "$dir" | sed 's/[^A-Za-z0-9_]/_/g'),g" "$am"
        echo
    done | awk '
        function expand(text, deep,   words, count, i, out) {
            count = split(text, words)
            for (i = 1; i <= count; i++)
                out = out " " (words[i] ~ /^\$\([A-Za-z0-9_]+\)$/ && deep < 9 \
                               ? expand(value[substr(words[i], 3, length(words[i]) - 3)], deep + 1) : words[i])
            return out
        }
        { line = line $0 }
        sub(/\\$/, " ", line) { next }
        match(line, /^[A-Za-z0-9_]+[ \t]*\+?=/) {
            name = substr(line, 1, RLENGTH)
            gsub(/[ \t+=]/, "", name)
            value[name] = value[name] " " substr(line, RLENGTH + 1)
        }
        { line = "" }
        END {
            count = split(expand(value["TESTS"], 0), words)
            for (i = 1; i <= count; i++)
                print "test " words[i]
            for (name in value)
                if (name ~ /_SOURCES$/) {
                    count = split(expand(value[name], 0), words)
                    for (i = 1; i <= count; i++)
                        print "source " substr(name, 1, length(name) - 8) " " words[i]
                }
        }'
}

# is_run FILE: true when that is a test, or a test is made of it.
is_run()
{
    awk -v file="$1" '
        $1 == "test" { program = $2; gsub(/[^A-Za-z0-9_]/, "_", program); run[program] = 1; if ($2 == file) found = 1 }
        $1 == "source" && $3 == file { of[$2] = 1 }
        END { for (program in of) if (program in run) found = 1; exit !found }' "$known"
}

# code_of FILE: without what stands in comments.
code_of()
{
    awk '{
        text = $0
        out = ""
        while (text != "") {
            if (inside) {
                at = index(text, "*/")
                if (!at) break
                text = substr(text, at + 2)
                inside = 0
            } else if (match(text, /\/[*\/]/)) {
                out = out substr(text, 1, RSTART - 1)
                if (substr(text, RSTART + 1, 1) == "/") break
                text = substr(text, RSTART + 2)
                inside = 1
            } else {
                out = out text
                break
            }
        }
        print out
    }' "$1" 2>/dev/null
}

# proved PROOF: prints what is wrong with it.
proved()
{
    local what=${1%% *} rest=${1#* } file text
    case $what in
        scenario)
            [ -f "$here/$rest.txt" ] || echo "there is no scenario $rest"
            grep -q "^[^#]*/$rest\.txt" "$here/Module.am" || echo "the scenario $rest is not in Module.am"
            is_run tests/scenarios/scenario || echo "the scenarios are not run"
            ;;
        test)
            file=${rest%%:*} text=${rest#*:}
            code_of "$root/$file" | grep -qE "(cmocka_unit_test[a-z_]*|[A-Z]+_CASE)\($text[,)]" ||
                echo "$file has no case $text"
            is_run "$file" || echo "$file is in no test that is run"
            ;;
        fuzz)
            is_run "tests/fuzz/$rest" || echo "the fuzz target $rest is no test"
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
        scene)
            code_of "$root/tests/sim/enumerate_scenes.c" | grep -qF "    {\"$rest\"," || echo "there is no scene $rest"
            is_run tests/sim/enumerate.sh || echo "the scenes are not run"
            ;;
        bug) grep -qE "^$rest +[a-z]" "$root/tests/sim/bugs.txt" || echo "tests/sim/bugs.txt has no bug $rest" ;;
        process)
            [ -f "$root/tests/$rest" ] || echo "there is no tests/$rest"
            is_run "tests/$rest" || echo "tests/$rest is in no test that is run"
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
known=$(mktemp)
trap 'rm -f "$planted" "$known"' EXIT
read_am >"$known"

# Of the tests that this build has (what it is built without is not among them) none is unknown here: else read_am does not
# read as automake does.
if [ -f "${top_builddir:-}/Makefile" ]; then
    # Not as a child of the make that runs this: it would warn of its jobs, on the same output.
    for name in $(env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL make -s -C "$top_builddir" print-tests); do
        grep -qxF "test $name" "$known" || { echo "pitfalls: $name is a test, and is not found in any .am"; exit 1; }
    done
fi

sed -e '/^C1 /d' -e '/^V2 /s/candidate-steps-down-keeps-vote/no-such-thing/' -e '/^L6 /s/test_vote_before_append/test_nothing/' \
    -e '/^P1 /s/never core: .*/never core: #include/' -e '/^R3 /s/impossible: .*/impossible: no/' \
    -e '/^W4 /s/; instead: .*//' -e '/^W3 /s/scene session;/scene sessions;/' -e '/^D2 /s/bug log-s[a-z-]*@/bug none@/' \
    -e '/^P3 /s/evlib.sh/nobody.sh/' -e '/^P5 /s/instead: .*/instead: so/' "$list" >"$planted"
seen=$(check "$planted")
for id in C1 V2 L6 P1 R3 W4 W3 D2 P3 P5; do
    echo "$seen" | grep -q "^$id: " || { echo "pitfalls: a planted mistake in $id was not seen"; exit 1; }
done

# A test that is made and not run, and a case that is only in a comment, are none.
all=$(cat "$known")
printf '%s\n' "$all" | grep -v -x -e 'test tests/unit/log_test' -e 'test tests/host/evlib.sh' -e 'test tests/cluster/torture' \
    -e 'test tests/fuzz/log_segment' -e 'test tests/scenarios/scenario' >"$known"
seen=$(check "$list")
for words in 'L5: tests/unit/log_test.c is' 'P3: tests/host/evlib.sh is' 'tests/cluster/torture_[a-z]*.c is' 'log_segment is no' \
    'the scenarios are not'; do
    echo "$seen" | grep -q "$words" || { echo "pitfalls: a test that is not run was not seen: $words"; exit 1; }
done
printf '%s\n' "$all" >"$known"
printf '%s\n' 'A(a), /* B(b), */' '// C(c)' 'D(d) // E' '/* F(f),' ' * G(g) */ H(h),' >"$planted"
[ "$(code_of "$planted" | tr -d ' \n')" = "A(a),D(d)H(h)," ] || { echo "pitfalls: comments are taken for code"; exit 1; }

wrong=$(check "$list")
if [ -n "$wrong" ]; then
    echo "$wrong"
    exit 1
fi
echo "pitfalls: $(echo $ids | wc -w) mistakes, each with a proof"
