#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# install.sh: make install puts every part in its place, both programs start from there without LD_LIBRARY_PATH, a
# plugin builds against what gavel.pc says, a client program against libgavel.pc, a plugin's test with the conformance kit
# against libgavelcheck.pc, and make uninstall leaves nothing.
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
include=$root$(value includedir) libexec=$root$(value libexecdir) pc=$root$(value pkgconfigdir)

for file in "$bin/gavel" "$sbin/gaveld" "$lib/libgavel.so" "$pc/gavel.pc" "$pc/libgavel.pc" \
    "$include/gavel/statemachine.h" "$include/gavel/client.h" "$plugins/gavel-tcp-transport.so" \
    "$plugins/gavel-msgpack-serializer.so" "$plugins/gavel-workflow-statemachine.so" \
    "$plugins/gavel-counter-statemachine.so" "$plugins/gavel-log-observer.so" "$plugins/gavel-prometheus-observer.so" \
    "$libexec/gavel/gavel-check" "$lib/libgavelcheck.so" "$pc/libgavelcheck.pc" "$include/gavel/check.h"; do
    [ -e "$file" ] || fail "not installed: ${file#"$root"}"
done
for file in bash-completion/completions/gavel bash-completion/completions/gaveld zsh/site-functions/_gavel; do
    find "$root" -path "*/$file" | grep -q . || fail "not installed: $file"
done
find "$root" -path '*/man3/gavel-check.3*' | grep -q . || fail "not installed: gavel-check(3)"
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

    # A plugin and its ten-line test, which is the one that the header shows, as their author would build them; only that
    # the prefix is not where the .pc files say, as in any staged install.
    name=gavel-twice-statemachine
    cat >"$dir/$name.c" <<'END'
#include <gavel/statemachine.h>
#include <stdlib.h>
static int32_t run_add(void *self, const struct gavel_call *call, const void *arguments, struct gavel_reply *reply)
{
    (void)call, (void)arguments;
    gavel_put_uint(reply->out, *(uint64_t *)self += 2);
    return GAVEL_OK;
}
static const struct gavel_command commands[] = {{"add", 1, GAVEL_WRITE, NULL, run_add, "Count two", NULL}};
static void state(void *self, struct gavel_machine_state *out)
{
    out->digest[0] = out->digest[1] = 0;
    gavel_digest_add(out->digest, gavel_text("count"), gavel_bytes(self, 8));
    out->entries = 1;
}
static int32_t begin(void *self, void **snapshot, struct gavel_error *error)
{
    (void)error;
    *snapshot = self;
    return GAVEL_OK;
}
static int32_t next(void *self, void *snapshot, struct gavel_buffer *chunk, struct gavel_error *error)
{
    (void)snapshot;
    return gavel_buffer_append(chunk, self, 8) == GAVEL_OK ? 0 : gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory");
}
static void end(void *self, void *snapshot) { (void)self, (void)snapshot; }
static int32_t restore_begin(void *self, uint64_t version, struct gavel_error *error)
{
    (void)self;
    return version == 1 ? GAVEL_OK : gavel_fail(error, GAVEL_E_VERSION, "I know version 1 only");
}
static int32_t restore_chunk(void *self, struct gavel_slice chunk, struct gavel_error *error)
{
    if (chunk.size != 8)
        return gavel_fail(error, GAVEL_E_CORRUPT, "a count has 8 bytes");
    memcpy(self, chunk.data, 8);
    return GAVEL_OK;
}
static int32_t restore_end(void *self, struct gavel_error *error) { return (void)self, (void)error, GAVEL_OK; }
static int32_t create(const struct gavel_host *host, const void *options, void **self, struct gavel_error *error)
{
    (void)host, (void)options;
    *self = calloc(1, 8);
    return *self ? GAVEL_OK : gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory");
}
static const struct gavel_statemachine operations = {
    .size = GAVEL_END(struct gavel_statemachine, maintain), .flags = GAVEL_BOUNDED, .state_version = 1,
    .commands = commands, .command_count = 1, .command_stride = sizeof commands[0], .state = state,
    .snapshot_begin = begin, .snapshot_next = next, .snapshot_end = end, .restore_begin = restore_begin,
    .restore_chunk = restore_chunk, .restore_end = restore_end};
static const struct gavel_plugin plugin = {
    .size = GAVEL_END(struct gavel_plugin, destroy), .abi_major = GAVEL_ABI_MAJOR, .abi_minor = GAVEL_ABI_TARGET,
    .kind = GAVEL_KIND_STATEMACHINE, .name = "twice", .version = "1", .summary = "Counts by two",
    .operations = &operations, .create = create, .destroy = free};
GAVEL_PLUGIN(twice) { return &plugin; }
END
    cat >"$dir/test.c" <<'END'
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <gavel/check.h>
static void conforms(void **state) { (void)state; gavel_check_assert(PLUGIN); }
int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(conforms)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
END
    # shellcheck disable=SC2046 # flags are words
    ${CC:-cc} -fPIC -I"$include" $(pkg-config --cflags gavel) $(pkg-config --variable=module_ldflags gavel) \
        -o "$dir/$name.so" "$dir/$name.c" >"$dir/cc.log" 2>&1 || fail "a plugin with gavel.pc: $(tail -n 5 "$dir/cc.log")"
    chmod 755 "$dir/$name.so"
    # shellcheck disable=SC2046
    ${CC:-cc} -DPLUGIN="\"$dir/$name.so\"" -I"$include" -o "$dir/test" "$dir/test.c" -L"$lib" \
        $(pkg-config --cflags --libs libgavelcheck cmocka) ${GAVEL_TEST_LDFLAGS:-} >"$dir/cc.log" 2>&1 ||
        fail "a plugin's test with libgavelcheck.pc: $(tail -n 5 "$dir/cc.log")"
    check=$root$(pkg-config --variable=check libgavelcheck)
    [ -x "$check" ] || fail "libgavelcheck.pc names another gavel-check"
    LD_LIBRARY_PATH=$lib GAVEL_CHECK_PROGRAM=$check "$dir/test" >"$dir/test.log" 2>&1 ||
        fail "a plugin's own test: $(tail -n 8 "$dir/test.log")"
    # And it is the plugin that passed: with a state that its digest does not know it does not.
    sed -i 's/gavel_bytes(self, 8)/gavel_bytes(\&self, 8)/' "$dir/$name.c"
    # shellcheck disable=SC2046
    ${CC:-cc} -fPIC -I"$include" $(pkg-config --cflags gavel) $(pkg-config --variable=module_ldflags gavel) \
        -o "$dir/$name.so" "$dir/$name.c" >"$dir/cc.log" 2>&1 || fail "a bad plugin does not build"
    if LD_LIBRARY_PATH=$lib GAVEL_CHECK_PROGRAM=$check "$dir/test" >"$dir/test.log" 2>&1; then
        fail "the test of a plugin whose digest is an address passes"
    fi
    grep -q 'twice: .*expected .*, saw another digest in the second' "$dir/test.log" ||
        fail "the test of a bad plugin has no sentence: $(tail -n 8 "$dir/test.log")"
fi

quiet_make uninstall DESTDIR="$root" || fail "make uninstall: $(tail -n 5 "$dir/make.log")"
left=$(find "$root" -type f -o -type l)
[ -z "$left" ] || fail "make uninstall left: $left"
[ "$failed" = 0 ] && echo "install: everything in its place, and gone again"
exit "$failed"
