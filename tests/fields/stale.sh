#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# stale.sh: what the tree holds of the tables (manual pages, completion) is what the programs print now; and a row, a
# page or a script that changed alone would be told.
set -u
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "${top_srcdir:-$here/../..}" && pwd -P)
update=$root/contrib/build-aux/update-docs.sh
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failed=0

"$update" --check || failed=1

# The same over a copy, in which one part after the other is changed by hand.
mkdir "$dir/tree"
(cd "$root" && find core plugins transports statemachines contrib/completion -type f \
    \( -name '*.[1-8]' -o -path 'contrib/completion/*' \) -exec cp --parents {} "$dir/tree" \;)
chmod -R u+w "$dir/tree"
tell() { top_srcdir=$dir/tree "$update" --check >"$dir/out" 2>&1; }
tell || { echo "FAIL: the copy is stale at once"; cat "$dir/out"; failed=1; }
planted=0
while read -r file line; do
    cp "$dir/tree/$file" "$dir/kept"
    sed -i "${line}s/\$/ and more/" "$dir/tree/$file"
    planted=$((planted + 1))
    if tell; then echo "FAIL: $file:$line was changed, and nobody noticed"; failed=1; fi
    grep -q "^stale: $file" "$dir/out" || { echo "FAIL: $file is not named"; cat "$dir/out"; failed=1; }
    cp "$dir/kept" "$dir/tree/$file"
done < <(cd "$dir/tree" && awk 'FNR == 1 { in_part = 0 } /^\.\\" Made by "/ { in_part = FNR }
        in_part && FNR == in_part + 3 { print FILENAME, FNR }' core/host/gaveld.8 core/host/gavel.ini.5 \
        statemachines/workflow/gavel-workflow.7 transports/tcp/gavel-tcp.7
    for f in contrib/completion/bash/gavel contrib/completion/zsh/_gavel; do echo "$f 8"; done)
[ "$planted" = 6 ] || { echo "FAIL: $planted changes were planted"; failed=1; }
exit "$failed"
