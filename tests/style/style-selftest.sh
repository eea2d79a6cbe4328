#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# style-selftest.sh: a check that cannot fail is no check. Plants one violation of each rule of style.awk in a small
# tree of its own and expects exactly that rule's name; the same tree without it must be clean.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
spdx='/* SPDX-License-Identifier: Apache-2.0 */'
failed=0

# expect RULE FILE: the tree holds FILE (text on stdin) and the first finding must be RULE ("clean": none at all).
expect()
{
    local rule=$1 file=$2 out
    rm -rf "${tree:?}"/*
    mkdir -p "$tree/$(dirname "$file")"
    cat >"$tree/$file"
    printf '# SPDX-License-Identifier: Apache-2.0\n' >"$tree/one.am"
    if out=$("$here/style.sh" "$tree"); then
        [ "$rule" = clean ] || { echo "not found: $rule in $file"; failed=1; }
    elif [ "$rule" = clean ] || ! grep -q "^$file:[0-9]*: $rule: " <<<"$out"; then
        echo "expected $rule in $file, got: $out"
        failed=1
    fi
}

planted() { printf '%s\n' "$spdx" "$@"; }
lines() { local i; for ((i = 0; i < $1; i++)); do echo "    x++;"; done; }

planted 'int f(void);' 'static const char *s = "strcpy(a) // \" NDEBUG";' '/* a time() b' ' * malloc(1)' ' */' \
    | expect clean core/raft/a.c
echo 'int x;' | expect spdx core/os/a.c
planted "int $(printf 'a%.0s' {1..130});" | expect line-length core/os/a.c
planted 'int x; ' | expect trailing-space core/os/a.c
planted "$(printf '\tint x;')" | expect tab core/os/a.c
planted '/* TODO: more */' | expect mark core/os/a.c
planted '/* zero is good enough for now */' | expect mark core/os/a.c
planted 'int f(void)' '{' "$(lines 70)" '}' | expect clean core/os/a.c
planted 'int f(void)' '{' "$(lines 71)" '}' | expect function-length core/os/a.c
planted 'int f(void) {' "$(lines 71)" '}' | expect function-length core/os/a.c
planted "$(lines 799)" | expect clean core/os/a.c
planted "$(lines 800)" | expect file-length core/os/a.c
planted 'x = strcpy(a, b);' | expect banned-call core/os/a.c
planted '    sprintf(a, b);' | expect banned-call core/os/a.c
planted '    snprintf(a, b);' '    my_strcpy(a);' '    o->gets(a);' | expect clean core/os/a.c
planted 'typedef struct a b;' | expect typedef core/os/a.h
planted '    assert(a && b);' | expect assert-split core/os/a.c
planted '    assert(f(a) == 1);' '    assert(!"x" && "never");' | expect clean core/os/a.c
planted '#ifdef NDEBUG' | expect ndebug core/os/a.c
planted '    usleep(10);' | expect sleep tests/unit/a.c
planted '    p = malloc(1);' | expect pure-core core/raft/a.c
planted '#include <stdio.h>' | expect pure-core core/raft/a.c
planted '    pthread_create(a);' | expect no-threads core/node/a.c
planted '    pthread_create(a);' | expect clean core/host/a.c
planted '    t = time(NULL);' | expect deterministic statemachines/x/a.c
planted '#define A_MAGIC 0x12ab34cdu' '#define B_MAGIC 0x12AB34CDu' | expect magic core/os/a.h
planted '#define A_MAGIC 0x12ab34cdu' '#define B_MAGIC 0x12AB34CEu' | expect clean core/os/a.h
planted '#include "core/os/os.h"' | expect plugin-include plugins/x/a.c
planted '#include "a.h"' '#include <gavel/abi.h>' | expect clean plugins/x/a.c
planted '#include "core/node/node.h"' | expect core-include core/log/a.c
planted '#include "core/os/os.h"' | expect clean core/log/a.c
planted '#include "core/log/log.h"' | expect core-include core/raft/a.c
planted '#include "abi.h"' | expect public-include include/gavel/a.h
planted '#include <uv.h>' | expect public-include include/gavel/a.h

[ "$failed" = 0 ] && echo "style-selftest: every rule fires, and only where it should"
exit "$failed"
