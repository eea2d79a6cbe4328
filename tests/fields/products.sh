#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# products.sh: a plugin with every type and every flag (every.c) shows up, row by row, in all that is made from field
# tables: --dump-plugin, manual pages, sample INIs, gavel help, completion. With one option more, so does that. Secrets
# and what is deprecated are shown where they belong only, and hostile texts reach people as they were written.
set -u
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "${top_srcdir:-$here/../..}" && pwd -P)
gaveld=$top_builddir/core/host/gaveld gavel=$top_builddir/core/cli/gavel
unset GAVEL_ENDPOINTS GAVEL_PLUGIN_DIR
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export XDG_CACHE_HOME=$dir/cache HOME=$dir GAVEL_ENDPOINTS=tcp://127.0.0.1:1
mkdir "$dir/cache"
failed=0 looked=0

fail() { echo "FAIL: $*"; failed=1; }
# has FILE TEXT, lacks FILE TEXT: a fixed string somewhere in it.
has() { looked=$((looked + 1)); grep -qF -e "$2" "$dir/$1" || fail "$1 has no: $2"; }
lacks() { looked=$((looked + 1)); ! grep -qF -e "$2" "$dir/$1" || fail "$1 has: $2"; }

# ---- two builds of the plugin, beside the others
for name in plain extra; do
    mkdir -m 755 "$dir/$name"
    cp "$GAVEL_TEST_PLUGINDIR"/*.so "$dir/$name"
    flags=
    [ $name = plain ] || flags=-DEXTRA
    # shellcheck disable=SC2086 # flags are words
    ${CC:-cc} -shared -fPIC -Wall -Wextra -Werror $flags -I"$root/include" \
        -Wl,-z,defs -o "$dir/$name/gavel-every-statemachine.so" "$here/every.c" >"$dir/cc.log" 2>&1 || { cat "$dir/cc.log"; exit 1; }
    chmod 755 "$dir/$name"/*.so
done

# ---- every product of both
for name in plain extra; do
    export GAVEL_PLUGIN_DIR=$dir/$name
    "$gaveld" --dump-plugin every >"$dir/$name.lines" || fail "--dump-plugin"
    "$gaveld" --dump-plugin every --json >"$dir/$name.json" || fail "--json"
    "$gaveld" --dump-plugin "$dir/$name/gavel-every-statemachine.so" --man >"$dir/$name.man" || fail "--man"
    "$gaveld" --sample-config tcp every >"$dir/$name.ini" || fail "--sample-config"
    "$gavel" init --nodes 1 --transport tcp --machines every "$dir/$name.init" >"$dir/out" || fail "gavel init"
    cp "$dir/$name.init/node-1.ini" "$dir/$name.node"
    "$gavel" help --plugins every.touch >"$dir/$name.help" || fail "gavel help --plugins"
    "$gavel" help every.touch >"$dir/$name.alone" 2>"$dir/err" || fail "gavel help without a cluster"
    cmp -s "$dir/$name.help" "$dir/$name.alone" || fail "gavel help differs without a cluster"
    rm -rf "$dir/cache/gavel"
    "$gavel" --complete every.touch "" >"$dir/$name.words" 2>"$dir/err" || fail "gavel --complete"
done

rows="flag count offset ratio pause room label blob document mode tls names password old_count"
for row in $rows; do
    has plain.lines "options.$row.id="
    has plain.lines "commands.touch.arguments.$row.id="
    has plain.json "\"name\": \"$row\""
    [ $row = tls ] || has plain.man ".It Cm $row No = "
    has plain.man ".It Ar $row"
    grep -q "^  $row  *[A-Z.'1]" "$dir/plain.help" || fail "gavel help has no $row"
done
for row in flag count offset ratio pause room label blob document mode tls.cert tls.strict names password; do
    grep -q "^;$row =" "$dir/plain.ini" || fail "--sample-config has no $row"
    grep -q "^;$row =" "$dir/plain.node" || fail "gavel init has no $row"
done
for row in flag count offset ratio pause room label blob document mode tls names password rules; do
    grep -q "^$row=" "$dir/plain.words" || fail "completion has no $row="
done
for product in lines json man help ini node words; do
    lacks plain.$product extra_option
    has extra.$product extra_option
    lacks plain.$product hunter2        # a secret's default
done
for product in ini node words; do lacks plain.$product old_count; done
# What every flag means, in lines joined again.
for product in man help ini node; do
    sed 's/^; //' "$dir/plain.$product" | tr -s '\n ' '  ' >"$dir/joined.$product"
    for text in "May change at run time, by a reload." "Replicated: the same on every node of a cluster." \
        "Secret: never printed or logged." "; unit: pieces." "Has a default, which is not shown." \
        "Key: watches, permissions and traces select on it." "How it goes. Takes one of slow, fast, Ar."; do
        has joined.$product "$text"
    done
done
for product in man help; do has joined.$product "Deprecated: still taken, with a warning."; done
has plain.lines "state_version=3"
has plain.lines "state_version_oldest=3"
has plain.lines "machine_flags=bounded,concurrent"
has plain.lines "section=[statemachine.NAME]"
has plain.lines "commands.touch.arguments.rules.fields.cert.type=string"
has plain.lines "commands.sweep.flags=write,internal"
has plain.help "rules"
has plain.man "that the machine asks for itself"
"$gavel" --complete call every. 2>"$dir/err" | cut -f 1 >"$dir/commands"
[ "$(sort "$dir/commands" | tr '\n' ' ')" = "every.look every.touch " ] || fail "commands: $(cat "$dir/commands")"
"$gavel" --complete every.touch mode= 2>"$dir/err" | cut -f 1 >"$dir/choices"
[ "$(tr '\n' ' ' <"$dir/choices")" = "mode=slow mode=fast mode=Ar " ] || fail "choices: $(cat "$dir/choices")"

# ---- the JSON is what gaveld(8) says it is
if command -v python3 >/dev/null; then
    python3 - "$dir/plain.json" <<'END' || fail "the JSON"
import json, sys
p = json.load(open(sys.argv[1]))
assert p["schema"] == 1 and p["kind"] == "statemachine" and p["state_version"] == 3, p
touch = next(c for c in p["commands"] if c["name"] == "touch")
rows = {r["name"]: r for r in touch["arguments"]}
types = [rows[n]["type"] for n in ("flag count offset ratio pause room label blob document mode tls names".split())]
assert types == "bool uint int real duration size string bytes value choice record list".split(), types
assert rows["names"]["element"] == "string" and rows["rules"]["element"] == "record", rows
assert (rows["offset"]["min"], rows["offset"]["max"]) == (-10, 10) and "max" not in rows["room"], rows["room"]
assert rows["mode"]["choices"] == ["slow", "fast", "Ar"] and rows["count"]["unit"] == "pieces"
assert rows["label"]["help"] == "a text\nof two lines" and "default" not in rows["password"]
flags = [rows[n]["flags"] for n in ("rules label password count offset old_count".split())]
assert flags == [[f] for f in "required key secret reloadable replicated deprecated".split()], flags
assert [f["name"] for f in rows["tls"]["fields"]] == ["cert", "strict"]
END
fi

# ---- the page: without a warning, and what was written is what is read
if man --version 2>/dev/null | grep -q '^man '; then
    { printf '.Dd November 29, 2026\n.Dt EVERY 7\n.Os\n.Sh NAME\n.Nm every\n.Nd everything\n'; cat "$dir/plain.man"; } \
        >"$dir/every.7"
    LC_ALL=C.UTF-8 MANWIDTH=400 MANROFFSEQ='' man -l --warnings -E UTF-8 "$dir/every.7" >"$dir/text" 2>"$dir/warnings"
    [ ! -s "$dir/warnings" ] || fail "the page warns: $(cat "$dir/warnings")"
    for text in ".Sh IS NO SECTION: a leading dot, \\fBno bold\\fP, \\n(nx, a \"quote\" and 'another'." \
        "'leading quote, --two-dashes and - a dash." "with ~ and ^ and \`." "100% of \${HOME} and \$(HOME)." \
        "How long, café €." "slow | fast | Ar" "Default: \${not_a_variable}." \
        "gavel call every.touch rules='[{\"cert\":\"a\\\\b\"}]' mode=slow"; do
        has text "$text"
    done
    lacks text "NO SECTION SECTION"
fi

# ---- samples: with every default written out the file is accepted, and means the same
export GAVEL_PLUGIN_DIR=$dir/plain
plugins=$(cd "$dir/plain" && ls | sed -n 's/^gavel-\(.*\)-\([a-z]*\)\.so$/\2.\1/p')
# shellcheck disable=SC2086 # names are words
"$gaveld" --sample-config $plugins >"$dir/all.ini" || fail "--sample-config of all"
for file in all.ini plain.ini plain.node; do
    sed -E -e '/^;plugin_dir =/d' -e 's/^;([a-z0-9_.]+ = .+)$/\1/' "$dir/$file" >"$dir/written.ini"
    [ "$(grep -c '^[a-z]' "$dir/written.ini")" -gt $(($(grep -c '^[a-z]' "$dir/$file") + 30)) ] || fail "$file: few keys"
    for one in "$dir/$file" "$dir/written.ini"; do
        "$gaveld" --check-config --config "$one" >"$dir/out" 2>&1 || fail "$one: $(cat "$dir/out")"
        "$gaveld" --print-config --config "$one" 2>/dev/null | sed -e 's/ *; .*//' >"$dir/$(basename "$one").values"
    done
    diff "$dir/$file.values" "$dir/written.ini.values" >"$dir/diff" || fail "$file: $(cat "$dir/diff")"
done
for kind in transport serializer statemachine observer; do has all.ini "[$kind"; done

# ---- the programs' own options: --help, the page and completion name the same ones
options() { sed -n 's/^ \{2,6\}\(-[a-zA-Z], \)\{0,1\}--\([a-z-]*\).*/\2/p' "$1" | sort -u; }
"$gaveld" --help >"$dir/gaveld.help"
"$gavel" --help >"$dir/gavel.help"
"$gaveld" --complete -- 2>&1 | cut -f 1 | sed 's/^--//' | sort -u >"$dir/gaveld.complete"
"$gavel" --complete -- 2>&1 | cut -f 1 | sed 's/^--//' | sort -u >"$dir/gavel.complete"
for program in gaveld gavel; do
    options "$dir/$program.help" >"$dir/options"
    [ "$(wc -l <"$dir/options")" -gt 10 ] || fail "$program --help tells few options"
    diff "$dir/options" "$dir/$program.complete" >"$dir/diff" || fail "$program: completion and --help: $(cat "$dir/diff")"
    page=$root/core/host/gaveld.8
    [ $program = gaveld ] || page=$root/core/cli/gavel.1
    while read -r option; do
        grep -q -F "Fl \\-$option" "$page" || fail "$(basename "$page") has no --$option"
    done <"$dir/options"
done
"$gavel" --complete "" 2>"$dir/err" | cut -f 1 >"$dir/areas"
while read -r area; do
    grep -q "^  $area\( \|\$\)" "$dir/gavel.help" || grep -q "^$area\$" <<<"look touch" || case $area in
        *.) ;;
        *) "$gavel" help --plugins "$area" >"$dir/out" 2>&1 || fail "$area is offered, and has no help" ;;
    esac
done <"$dir/areas"
for area in call help get batch status member leader data init completion; do
    grep -qx "$area" "$dir/areas" || fail "$area is not completed"
    grep -q "^\.It Ic $area\b" "$root/core/cli/gavel.1" || fail "gavel(1) has no $area"
done

[ "$looked" -gt 80 ] || fail "only $looked texts were looked for"
[ "$failed" = 0 ] && echo "products: $looked texts, each where it belongs"
exit "$failed"
