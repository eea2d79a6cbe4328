#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# answers.sh: what gaveld answers without being a node: --check-config, --print-config, --dump-plugin, --list-plugins,
# usage, and their exit codes.
set -u
gaveld=$top_builddir/core/host/gaveld
export GAVEL_PLUGIN_DIR=$GAVEL_TEST_PLUGINDIR
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failed=0 count=0

# answer CODE ARGS...: runs gaveld, leaves its output in $dir/out and $dir/err.
answer()
{
    local want=$1 code
    shift
    count=$((count + 1))
    timeout 60 "$gaveld" "$@" >"$dir/out" 2>"$dir/err"
    code=$?
    [ "$code" = "$want" ] || { echo "gaveld $*: exit $code, wanted $want"; cat "$dir/err"; failed=1; }
}

# says FILE LINE: the line stands in out or err, whole.
says()
{
    grep -qxF -- "$2" "$dir/$1" || { printf 'no line in %s: %s\n' "$1" "$2"; sed 's/^/    /' "$dir/$1"; failed=1; }
}

cat >"$dir/good.ini" <<END
[node]
name = node-1
data_dir = $dir/data
[cluster]
members = node-1=tcp://127.0.0.1:8080, node-2=tcp://127.0.0.1:8081, \\
    node-3=tcp://127.0.0.1:8082, node-4=tcp://127.0.0.1:8083
[transport.main]
plugin = tcp
listen = tcp://127.0.0.1:8080
backlog = 9
[statemachine.counter]
[raft]
heartbeat = 20
END
answer 0 --check-config --config "$dir/good.ini"
says out "$dir/good.ini: ok"
[ ! -e "$dir/data" ] || { echo "--check-config touched the data directory"; failed=1; }

answer 0 --print-config -c "$dir/good.ini"
says out "heartbeat = 20ms                                 ; $dir/good.ini:13"
says out "election_timeout_min = 150ms                     ; default"
says out "backlog = 9                                      ; $dir/good.ini:10"
says out "plugin = counter                                 ; default"
grep -q "^plugin_dir = $GAVEL_PLUGIN_DIR  *; GAVEL_PLUGIN_DIR$" "$dir/out" || { echo "plugin_dir"; failed=1; }

# What is printed is read again, and means the same.
cp "$dir/out" "$dir/again.ini"
answer 0 --print-config -c "$dir/again.ini"
strip() { grep -v '^;' "$1" | sed 's/ *; .*//'; }
diff <(strip "$dir/again.ini") <(strip "$dir/out") || { echo "--print-config does not survive itself"; failed=1; }

# All mistakes in one run, in one exit code, none of them hidden by another.
cat >"$dir/bad.ini" <<END
[node]
name = node-1
data_dir = $dir/data
[cluster]
members = node-1=tcp://127.0.0.1:8080
[transport.main]
plugin = tcp
listen = tcp://0.0.0.0:8080
backlog = 0
baklog = 1
[transport.other]
plugin = tpc
[statemachine.counter]
listen = tcp://127.0.0.1:1
[raft]
heartbeat = 20
heartbeat = 20
hearbeat = 30
[observer.log]
format = xml
END
answer 78 --check-config --config "$dir/bad.ini"
says err "gaveld: $dir/bad.ini:17: key \"heartbeat\" of [raft] was given already in line 16"
says err "gaveld: $dir/bad.ini:18: unknown key \"hearbeat\" in [raft]; did you mean 'heartbeat'?"
says err "gaveld: $dir/bad.ini:9: backlog: expected a whole number of 1 to 65535, found \"0\""
says err "gaveld: $dir/bad.ini:10: unknown key \"baklog\" in [transport.main]; did you mean 'backlog'?"
says err "gaveld: $dir/bad.ini:8: tcp://0.0.0.0:8080 has no TLS, so it must be a loopback address; write insecure = \
yes if anybody who reaches it may use it"
says err "gaveld: $dir/bad.ini:11: $GAVEL_PLUGIN_DIR/gavel-tpc-transport.so: there is no such file; see gaveld \
--list-plugins; did you mean 'tcp'?"
says err "gaveld: $dir/bad.ini:14: unknown key \"listen\" in [statemachine.counter]"
says err "gaveld: $dir/bad.ini:20: format: expected one of human, json, found \"xml\""
[ "$(wc -l <"$dir/err")" = 8 ] || { echo "not 8 sentences:"; cat "$dir/err"; failed=1; }

sed -e 's/^listen.*/listen = tcp:\/\/0.0.0.0:8080/' -e 's/^backlog.*/insecure = yes/' "$dir/good.ini" >"$dir/open.ini"
answer 0 --check-config --config "$dir/open.ini"
says err "gaveld: warning: $dir/open.ini:9: tcp://0.0.0.0:8080 has no TLS and can be reached by others (insecure = yes)"

sed 's/^listen.*/listen = ftp:\/\/127.0.0.1:8080/' "$dir/good.ini" >"$dir/ftp.ini"
answer 78 --check-config --config "$dir/ftp.ini"
says err "gaveld: $dir/ftp.ini:7: transport main speaks tcp unix, and cannot listen on ftp://127.0.0.1:8080"

# ---- no transport has TLS, wherever somebody writes it
no_tls="gavel's own transports have no TLS. Use ws:// or tcp://, and between machines a network that encrypts by itself, \
such as a VPN"
sed -e 's/^listen.*/listen = tls:\/\/127.0.0.1:8080/' -e 's/node-3=tcp/node-3=wss/' "$dir/good.ini" >"$dir/tls.ini"
answer 78 --check-config --config "$dir/tls.ini"
says err "gaveld: $dir/tls.ini:7: transport main speaks tcp unix, and cannot listen on tls://127.0.0.1:8080: $no_tls"
says err "gaveld: $dir/tls.ini:5: members: no transport can dial wss://127.0.0.1:8082: $no_tls"
answer 78 --check-config --config "$dir/good.ini" --join https://h:1
says err "gaveld: --join: no transport can dial https://h:1: $no_tls"

sed -e 's/^members.*/seeds = tcp:\/\/127.0.0.1:1, tls:\/\/h:1/' -e '/^ *node-3/d' "$dir/good.ini" >"$dir/seeds.ini"
answer 78 --check-config --config "$dir/seeds.ini"
says err "gaveld: $dir/seeds.ini:5: seeds: no transport can dial tls://h:1: $no_tls"
sed 's/^listen.*/&\nadvertise = tcp:\/\/h:1, wss:\/\/h:1/' "$dir/good.ini" >"$dir/advertise.ini"
answer 78 --check-config --config "$dir/advertise.ini"
says err "gaveld: $dir/advertise.ini:10: advertise: no transport can dial wss://h:1: $no_tls"

# ---- levels of modules that nothing logs as: only a warning, for a plugin may log under any word
{ cat "$dir/good.ini" && printf '%s\n' '[observer.people]' 'plugin = log' \
    'levels = raft:debug, rafft:debug, observer.people:info, log:warn, wood.x:info, transport.main.deep:error'
} >"$dir/levels.ini"
answer 0 --check-config --config "$dir/levels.ini"
says err "gaveld: warning: $dir/levels.ini:16: levels: nothing logs as 'rafft'; did you mean 'raft'?"
says err "gaveld: warning: $dir/levels.ini:16: levels: nothing logs as 'wood.x'; known are each plugin's section, and apply, \
cluster, discover, disk, health, host, log, node, peer, raft, recover, settings, snapshot, state"
[ "$(wc -l <"$dir/err")" = 2 ] || { echo "not 2 sentences:"; cat "$dir/err"; failed=1; }
sed 's/^plugin = log/plugin = nosuch/' "$dir/levels.ini" >"$dir/unknown.ini" # which might log as any of them
answer 78 --check-config --config "$dir/unknown.ini"
! grep 'nothing logs as' "$dir/err" || failed=1

answer 78 --check-config --config "$dir/none.ini"
says err "gaveld: $dir/none.ini: cannot be opened: No such file or directory; --config names the file, gavel init makes one"
answer 78 --check-config --config "$dir"

# ---- plugins
answer 0 --dump-plugin counter
says out "name=counter"
says out "kind=statemachine"
says out "path=$(readlink -f "$GAVEL_PLUGIN_DIR")/gavel-counter-statemachine.so"
says out "commands.increment.flags=write"
says out "commands.increment.arguments.by.default=1"
says out "commands.get.flags=read"
answer 0 --dump-plugin "$GAVEL_PLUGIN_DIR/gavel-tcp-transport.so"
says out "schemes=tcp unix"
says out "options.backlog.type=uint"
says out "options.backlog.min=1"
says out "options.backlog.max=65535"
answer 0 --dump-plugin counter --json
if command -v python3 >/dev/null; then
    python3 - "$dir/out" <<'END' || { echo "the JSON is not what it should be"; failed=1; }
import json, sys
plugin = json.load(open(sys.argv[1]))
assert plugin["kind"] == "statemachine" and plugin["abi"] == "1.1"
increment = next(c for c in plugin["commands"] if c["name"] == "increment")
assert increment["flags"] == ["write"] and [a["name"] for a in increment["arguments"]] == ["name", "by"]
END
fi
answer 78 --dump-plugin nosuch
says err "gaveld: there is no plugin called \"nosuch\" in $GAVEL_PLUGIN_DIR; see gaveld --list-plugins"
answer 0 --list-plugins
grep -Eq '^statemachine +counter +[0-9.]+ +' "$dir/out" || { echo "no counter in the list"; failed=1; }
GAVEL_PLUGIN_DIR=$dir/none answer 78 --list-plugins
says err "gaveld: the plugin directory $dir/none cannot be read"

# ---- usage
answer 0 --version
grep -Eq '^gaveld [0-9.]+ \(plugin ABI 1\.1\)$' "$dir/out" || { echo "--version"; failed=1; }
answer 0 --help
answer 64 --nonsense
answer 64 stray
says err 'gaveld: unexpected argument "stray"; a configuration is named with --config'
answer 64 --check-config --print-config
answer 64 --json
answer 64 --dev --config x
answer 78 --config "$dir/none.ini"

echo "answers: $count asked"
exit "$failed"
