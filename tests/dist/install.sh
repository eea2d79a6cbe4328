#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# install.sh: make install puts every part in its place, both programs start from there without LD_LIBRARY_PATH, a
# plugin builds against what gavel.pc says, a client program against libgavel.pc, and make uninstall leaves nothing.
set -eu
build=${top_builddir:?run by make check}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failed=0
unset LD_LIBRARY_PATH

fail() { echo "FAIL: $*"; failed=1; }
quiet_make() { env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL -u DESTDIR make -s -C "$build" "$@" >"$dir/make.log" 2>&1; }
value() { env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL make -s -C "$build" "print-$1"; }

quiet_make install DESTDIR="$dir/root" || { tail -n 20 "$dir/make.log"; echo "make install failed"; exit 1; }
root=$dir/root
bin=$root$(value bindir) sbin=$root$(value sbindir) lib=$root$(value libdir) plugins=$root$(value plugindir)
include=$root$(value includedir) pc=$root$(value pkgconfigdir)

for file in "$bin/gavel" "$sbin/gaveld" "$lib/libgavel.so" "$pc/gavel.pc" "$pc/libgavel.pc" \
    "$include/gavel/statemachine.h" "$include/gavel/client.h" "$plugins/gavel-tcp-transport.so" \
    "$plugins/gavel-msgpack-serializer.so" "$plugins/gavel-workflow-statemachine.so" \
    "$plugins/gavel-counter-statemachine.so" "$plugins/gavel-log-observer.so"; do
    [ -e "$file" ] || fail "not installed: ${file#"$root"}"
done
for file in bash-completion/completions/gavel bash-completion/completions/gaveld zsh/site-functions/_gavel; do
    find "$root" -path "*/$file" | grep -q . || fail "not installed: $file"
done
[ ! -e "$include/gavel/raft.h" ] || fail "a core header is installed"
if find "$plugins" -name '*.la' | grep -q .; then fail "libtool files among the plugins"; fi

for program in "$bin/gavel" "$sbin/gaveld"; do
    "$program" --version >"$dir/version" 2>&1 || fail "$program --version: $(tail -n 3 "$dir/version")"
    grep -q "$(value PACKAGE_VERSION)" "$dir/version" || fail "$program --version does not tell the version"
done

# One exported symbol a plugin, and nothing that it leaves for the host's binary to supply.
for plugin in "$plugins"/*.so; do
    if command -v nm >/dev/null; then
        exported=$(nm -D --defined-only "$plugin" | awk '$2 ~ /[A-Z]/ { print $3 }')
        [ "$(wc -l <<<"$exported")" = 1 ] || fail "$(basename "$plugin") exports $(echo $exported)"
        case $exported in gavel_plugin_*) ;; *) fail "$(basename "$plugin") exports $exported" ;; esac
    fi
done
if command -v nm >/dev/null && nm -D --defined-only "$sbin/gaveld" | grep -q ' T gavel_'; then
    fail "gaveld exports symbols to plugins"
fi

if ! command -v pkg-config >/dev/null; then
    echo "no pkg-config: the .pc files are not tried"
else
    export PKG_CONFIG_PATH=$pc
    [ "$(pkg-config --variable=plugindir gavel)" = "${plugins#"$root"}" ] || fail "gavel.pc has another plugindir"
    [ "$(pkg-config --modversion libgavel)" = "$(value PACKAGE_VERSION)" ] || fail "libgavel.pc has another version"
    printf '#include <gavel/client.h>\nint main(void) { return 0; }\n' >"$dir/user.c"
    # shellcheck disable=SC2046 # flags are words
    ${CC:-cc} -I"$include" -o "$dir/user" "$dir/user.c" -L"$lib" $(pkg-config --libs libgavel) ${GAVEL_TEST_LDFLAGS:-} \
        >"$dir/cc.log" 2>&1 || fail "a program with libgavel.pc: $(tail -n 5 "$dir/cc.log")"
fi

quiet_make uninstall DESTDIR="$root" || fail "make uninstall: $(tail -n 5 "$dir/make.log")"
left=$(find "$root" -type f -o -type l)
[ -z "$left" ] || fail "make uninstall left: $left"
[ "$failed" = 0 ] && echo "install: everything in its place, and gone again"
exit "$failed"
