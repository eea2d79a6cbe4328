#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# refusals.sh: every module that gaveld must not load, forged and shown to it; the sentence is compared word by word.
set -u
gaveld=$top_builddir/core/host/gaveld
here=$top_srcdir/tests/host
dir=$(mktemp -d)
trap 'chmod -R u+rwx "$dir"; rm -rf "$dir"' EXIT
failed=0 count=0
mkdir "$dir/plugins"
file=$dir/plugins/gavel-forged-statemachine.so

build() { ${CC:-cc} -shared -fPIC -Wall -Werror -I"$top_srcdir/include" "$@" "$here/forge.c"; }

# ini PLUGIN [EXTRA]: a configuration that names the plugin as a state machine.
ini()
{
    local section=${2:-statemachine}.m
    [ "${2-}" != serializer ] || section=serializer
    printf '[node]\nname = a\ndata_dir = %s/data\nplugin_dir = %s/plugins\n' "$dir" "$dir"
    printf '[cluster]\nmembers = a=tcp://127.0.0.1:1\n[transport.tcp]\n[%s]\nplugin = %s\n' "$section" "$1"
    [ -z "${3-}" ] || echo "$3"
    # The section of serializers has no name of its own.
    [ "${2:-statemachine}" = statemachine ] ||
        printf '[statemachine.c]\nplugin = %s/good/gavel-forged-statemachine.so\n' "$dir"
}

# refused SENTENCE [PLUGIN] [SECTION]: exit code 78 and exactly that line (line 8 of the file is the section).
refused()
{
    local want="gaveld: $dir/t.ini:8: $1" got code
    ini "${2:-forged}" "${3:-statemachine}" >"$dir/t.ini"
    got=$("$gaveld" --check-config --config "$dir/t.ini" 2>&1)
    code=$?
    count=$((count + 1))
    if [ "$code" != 78 ] || [ "$got" != "$want" ]; then
        printf 'not ok %d\n  wanted 78 %s\n  got    %s %s\n' "$count" "$want" "$code" "$got"
        failed=1
    fi
}

# forged DEFINES... -- SENTENCE: builds, then as above; FILE stands for the module's path in the sentence.
forged()
{
    local flags=()
    while [ "$1" != -- ]; do flags+=("$1"); shift; done
    rm -f "$file"
    build -o "$file" "${flags[@]}" || { echo "cannot build ${flags[*]}"; failed=1; return; }
    chmod 755 "$file"
    refused "${2//FILE/$file}" forged "${3:-statemachine}"
}

accepted() { [ "$("$gaveld" --check-config --config "$dir/t.ini" 2>&1)" = "$dir/t.ini: ok" ]; }

# The good one loads, or nothing below proves anything.
build -o "$file" && chmod 755 "$file"
ini forged >"$dir/t.ini"
accepted || { echo "the good one is refused"; exit 1; }
mkdir "$dir/good" && cp "$file" "$dir/good"

# ---- files
rm "$file"
refused "$file: there is no such file; see gaveld --list-plugins"
echo "#!/bin/sh" >"$file"; chmod 755 "$file"
refused "$file: is not a module: found a file without the ELF mark, wanted a shared object; name the .so file that the \
linker made"
printf '\x7fELF\x02\x01\x01' >"$file"
refused "$file: is cut short after 7 bytes; install it again"
cp "$(readlink -f /proc/self/exe)" "$file"; chmod 755 "$file"
printf '\x01' | dd of="$file" bs=1 seek=4 conv=notrunc 2>/dev/null
refused "$file: is an ELF file of class 1 and type 3, wanted a 64-bit shared object (-shared -fPIC)"
# patched OFFSET BYTES SENTENCE: the good module with other bytes at that place.
patched()
{
    rm -rf "$file"; build -o "$file"; chmod 755 "$file"
    # shellcheck disable=SC2059 # the bytes are given as printf spells them
    printf "$2" | dd of="$file" bs=1 seek="$1" conv=notrunc 2>/dev/null
    refused "$3"
}
machine=$(od -An -tu2 -j18 -N2 "$gaveld" | tr -d ' ')
patched 18 '\xff\x00' "$file: is for machine 255 of the ELF list, this gaveld is for $machine; build it here, or install \
the package of this architecture"
patched 16 '\x01' "$file: is an ELF file of class 2 and type 1, wanted a 64-bit shared object (-shared -fPIC)"
size=$(stat -c %s "$file")
# A first segment of 2^63 bytes more, and a table of segments that lies nowhere.
patched $((64 + 39)) '\x80' "$file: is cut short after $size bytes; install it again"
patched 39 '\x7f' "$file: is cut short after $size bytes; install it again"
rm "$file"; mkdir "$file"
refused "$file: is not a regular file"
rmdir "$file"
build -o "$file"; chmod 775 "$file"
refused "$file: others than its owner may write it (mode 0775), and what they write would run here; chmod go-w it"
chmod 757 "$file"
refused "$file: others than its owner may write it (mode 0757), and what they write would run here; chmod go-w it"
head -c 4000 "$file" >"$dir/cut" && mv "$dir/cut" "$file" && chmod 755 "$file"
refused "$file: is cut short after 4000 bytes; install it again"

# ---- places
build -o "$dir/gavel-forged-statemachine.so"; chmod 755 "$dir/gavel-forged-statemachine.so"
ln -sf "$dir/gavel-forged-statemachine.so" "$file"
refused "$file: leads out of the plugin directory to $dir/gavel-forged-statemachine.so; if that is meant, name the \
full path in the INI file"
# A neighbour whose name begins like the directory's is outside all the same.
mkdir "$dir/plugins.d" && cp "$dir/gavel-forged-statemachine.so" "$dir/plugins.d"
ln -sf "$dir/plugins.d/gavel-forged-statemachine.so" "$file"
refused "$file: leads out of the plugin directory to $dir/plugins.d/gavel-forged-statemachine.so; if that is meant, name \
the full path in the INI file"
rm "$file"
refused "../gavel-forged-statemachine.so: leaves the plugin directory by a relative path; give the plugin's name, or \
the full path of its file" ../gavel-forged-statemachine.so
refused '"Forged" is no name for a plugin: lower-case letters, digits and '"'-'" Forged
refused "$dir/forged.so: is no name for a plugin's file: wanted gavel-NAME-KIND.so with a KIND of transport, \
serializer, statemachine or observer" "$dir/forged.so"
refused "$dir/gavel-forged-observer.so: is by its name a plugin of kind observer, wanted statemachine" \
    "$dir/gavel-forged-observer.so"
# In full it is what the administrator meant.
ini "$dir/gavel-forged-statemachine.so" >"$dir/t.ini"
accepted || { echo "a full path is refused"; failed=1; }

# ---- two files of one name
build -o "$file"; chmod 755 "$file"
{ ini forged; printf '[statemachine.n]\nplugin = %s\n' "$dir/gavel-forged-statemachine.so"; } >"$dir/t.ini"
want="gaveld: $dir/t.ini:10: $dir/gavel-forged-statemachine.so: the name clashes: the statemachine forged was loaded \
from $file; name one of the two files everywhere"
got=$("$gaveld" --check-config --config "$dir/t.ini" 2>&1)
[ "$got" = "$want" ] || { printf 'wanted %s\ngot    %s\n' "$want" "$got"; failed=1; }

# ---- heads
${CC:-cc} -shared -fPIC -x c -o "$dir/libnowhere.so" - <<<'int nowhere_else;' || exit 1
forged -DFORGE_UNDEFINED -- "FILE: cannot be loaded: undefined symbol: nowhere"
forged -Wl,--no-as-needed -L"$dir" -lnowhere -- "FILE: cannot be loaded: libnowhere.so: cannot open shared object \
file: No such file or directory"
forged -DFORGE_NO_ENTRY -- "FILE: has no entry function: wanted gavel_plugin_forged(); write GAVEL_PLUGIN(forged), and \
export it"
forged -DFORGE_NO_HEAD -- "FILE: gavel_plugin_forged() returned no plugin"
forged -DFORGE_MAJOR=2 -- "FILE: was built for plugin ABI 2, this gaveld has ABI 1; use a newer gaveld"
forged -DFORGE_MAJOR=0 -- "FILE: was built for plugin ABI 0, this gaveld has ABI 1; rebuild the plugin against its \
headers"
forged -DFORGE_MINOR=99 -- "FILE: needs plugin ABI 1.99, this gaveld has 1.1; use a newer gaveld, or build the plugin \
with GAVEL_ABI_TARGET=1"
forged -DFORGE_HEAD_SIZE=8 -- "FILE: states a head of 8 bytes, wanted at least 120: it is damaged or no plugin; \
rebuild it against gavel/plugin.h"
forged -DFORGE_HEAD_SIZE=112 -- "FILE: states a head of 112 bytes, wanted at least 120: it is damaged or no plugin; \
rebuild it against gavel/plugin.h"
forged -DFORGE_KIND=9 -- "FILE: is a plugin of kind 9, which this gaveld does not know; use a newer gaveld"
forged -DFORGE_KIND=1 -- "FILE: is of kind transport, wanted statemachine; name it in a section of its kind"
forged '-DFORGE_NAME="other"' -- "FILE: calls itself \"other\", wanted \"forged\"; a plugin is called as its file"
for member in name version summary operations create destroy; do
    forged -DFORGE_OMIT_HEAD=$member -- "FILE: the head lacks the mandatory member \"$member\""
done
forged -DFORGE_HEAD_SIZE=123 -- "FILE: states a head of 123 bytes, which is no whole number of members of 8: it is \
damaged; rebuild it with GAVEL_END of the last member"
forged -DFORGE_HEAD_SIZE=0 -- "FILE: states a head of 0 bytes, wanted at least 120: it is damaged or no plugin; rebuild \
it against gavel/plugin.h"
forged -DFORGE_KIND=0 -- "FILE: is a plugin of kind 0, which this gaveld does not know; use a newer gaveld"
forged -DFORGE_BAD_DEFAULT -- "FILE: options: row 'number': its default: 'many' is not a whole number that is not \
negative"

# ---- operations
forged -DFORGE_SIZE=96 -- "FILE: states 96 bytes of operations, the kind statemachine has at least 112; rebuild it against \
these headers"
forged -DFORGE_SIZE=0 -- "FILE: states 0 bytes of operations, the kind statemachine has at least 112; rebuild it against \
these headers"
forged -DFORGE_SIZE=117 -- "FILE: states operations of 117 bytes, which is no whole number of members of 8: it is damaged; \
rebuild it with GAVEL_END of the last member"

# omits KIND-NAME KIND MEMBERS...: each mandatory member of the kind, missing in turn.
omits()
{
    local kind=$1 number=$2 member
    shift 2
    file=$dir/plugins/gavel-forged-$kind.so
    for member; do
        forged -DFORGE_KIND="$number" -DFORGE_OMIT="$member" -- \
            "FILE: the $kind lacks the mandatory member \"$member\"" "$kind"
    done
}
omits statemachine 3 state_version commands command_count state snapshot_begin snapshot_next snapshot_end \
    restore_begin restore_chunk restore_end
omits transport 1 schemes prepare listen connect send queued pause close unlisten
forged -DFORGE_KIND=1 -DFORGE_SIZE=80 -- "FILE: states 80 bytes of operations, the kind transport has at least 88; rebuild it \
against these headers" transport
forged -DFORGE_KIND=3 -- "FILE: is of kind statemachine, wanted transport; name it in a section of its kind" transport
omits serializer 2 media_type writer_bytes reader_bytes write_begin write_end read_begin read_end
forged -DFORGE_KIND=2 -DFORGE_SIZE=64 -- "FILE: states 64 bytes of operations, the kind serializer has at least 72; rebuild it \
against these headers" serializer
omits observer 4 wants
forged -DFORGE_KIND=4 -DFORGE_SIZE=40 -- "FILE: states 40 bytes of operations, the kind observer has at least 48; rebuild it \
against these headers" observer
for wants in 1 2 4; do
    forged -DFORGE_KIND=4 -DFORGE_WANTS=$wants -- "FILE: the observer wants ($wants) what it has no function for" observer
done
file=$dir/plugins/gavel-forged-statemachine.so

# ---- commands
forged -DFORGE_ID=0 -- "FILE: command number 0 of its table has no name, id or run"
forged -DFORGE_RUN=NULL -- "FILE: command number 0 of its table has no name, id or run"
forged -DFORGE_COMMAND_FLAGS=0 -- "FILE: command one must be flagged either GAVEL_WRITE or GAVEL_READ"
forged '-DFORGE_ARGUMENTS=&twice' -- "FILE: one: row 'b': its name or its id is there twice"
forged -DFORGE_STRIDE=48 -- "FILE: states 2 commands of 48 bytes; wanted at most 256 of at least 56"
forged -DFORGE_STRIDE=60 -- "FILE: states 2 commands of 60 bytes; wanted at most 256 of at least 56"
forged -DFORGE_COUNT=257 -- "FILE: states 257 commands of 56 bytes; wanted at most 256 of at least 56"
forged -DFORGE_COMMAND_FLAGS=3 -- "FILE: command one must be flagged either GAVEL_WRITE or GAVEL_READ"
forged -DFORGE_SECOND_ID=1 -- "FILE: commands one and two have the same name or id (1)"
# ---- a table longer than ours, from a newer minor: the part that we know is used
rm -f "$file"; build -o "$file" -DFORGE_HEAD_SIZE=4096 -DFORGE_SIZE=4096; chmod 755 "$file"
ini forged >"$dir/t.ini"
accepted || { echo "a longer table is refused"; failed=1; }

# ---- rows of a newer minor are longer, and ours are read out of them
rm -f "$file"; build -o "$file" -DFORGE_WIDE; chmod 755 "$file"
got=$("$gaveld" --dump-plugin "$file" | grep -E '^commands\.(one|two)\.(id|flags)=' | tr '\n' ' ')
[ "$got" = "commands.one.id=1 commands.one.flags=write commands.two.id=2 commands.two.flags=read " ] ||
    { echo "wide rows: $got"; failed=1; }

# ---- check(), with the plugin's own sentence
ini forged statemachine "number = 9" >"$dir/t.ini"
got=$("$gaveld" --check-config --config "$dir/t.ini" 2>&1)
[ "$got" = "gaveld: $dir/t.ini:8: statemachine m: number: 9 is taken already" ] || { echo "check: $got"; failed=1; }

echo "refusals: $count sentences compared"
exit "$failed"
