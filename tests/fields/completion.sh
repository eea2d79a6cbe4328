#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# completion.sh: in a real bash, and in a real zsh where there is one, gavel and gaveld complete areas, options and their
# values, machines' commands, their arguments and choices: those of a running node, kept for a while, else those of the
# installed plugins.
set -u
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "${top_srcdir:-$here/../..}" && pwd -P)
export GAVEL_PLUGIN_DIR=$GAVEL_TEST_PLUGINDIR
dir=$(mktemp -d)
node=
trap 'if [ -n "$node" ]; then kill -9 "$node"; fi 2>/dev/null; rm -rf "$dir"' EXIT
mkdir "$dir/bin" "$dir/cache" "$dir/site"
ln -s "$top_builddir/core/cli/gavel" "$top_builddir/core/host/gaveld" "$dir/bin"
export PATH=$dir/bin:$PATH XDG_CACHE_HOME=$dir/cache HOME=$dir GAVEL_ENDPOINTS=unix://$dir/node.sock LC_ALL=C.UTF-8
unset FPATH
failed=0 asked=0

fail() { echo "FAIL: $*"; failed=1; }

# ---- bash: the function is called as readline calls it
# bash_words LINE: COMP_WORDS as bash breaks the line, at blanks and at each run of = and :.
bash_words()
{
    local rest=$1 word
    COMP_WORDS=()
    while [ -n "$rest" ]; do
        case $rest in
            [[:blank:]]*)
                rest=${rest#"${rest%%[![:blank:]]*}"}
                [ -n "$rest" ] || COMP_WORDS+=("")
                continue ;;
            [=:]*) word=${rest%%[!=:]*} ;;
            *) word=${rest%%[=:[:blank:]]*} ;;
        esac
        COMP_WORDS+=("$word")
        rest=${rest#"$word"}
    done
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
}

# offers LINE CANDIDATE...: these are all that bash is given, in this order; with "..." as the last one: among others.
offers()
{
    local line=$1 got want rest=no
    shift
    asked=$((asked + 1))
    # shellcheck disable=SC2034 # read by the function
    COMP_LINE=$line COMP_POINT=${#line}
    bash_words "$line"
    COMPREPLY=()
    _gavel "${COMP_WORDS[0]}" "${COMP_WORDS[COMP_CWORD]}" ""
    got=" ${COMPREPLY[*]} "
    for want; do
        [ "$want" != ... ] || { rest=yes; continue; }
        [[ $got == *" $want "* ]] || fail "bash: $line: no $want in:$got"
    done
    [ $rest = yes ] || [ "$got" = " $* " ] || fail "bash: $line: wanted $*, got$got"
}

# shellcheck source=/dev/null
source "$root/contrib/completion/bash/gaveld"     # which takes gavel's beside it
complete -p gavel | grep -q -- '-F _gavel' || fail "complete -p gavel"
complete -p gaveld | grep -q -- '-F _gavel' || fail "complete -p gaveld"
diff <(gavel completion bash) "$root/contrib/completion/bash/gavel" || fail "gavel completion bash"
diff <(gaveld --completion zsh) "$root/contrib/completion/zsh/_gavel" || fail "gaveld --completion zsh"

offers "gavel sta" status start_workflow
offers "gavel status --j" --json
offers "gavel --out" --output
offers "gavel --output " table json
offers "gavel --output=t" table
offers "gavel -o j" json
offers "gavel data " check dump repair
mkdir "$dir/one" "$dir/other"
touch "$dir/one.ini"
(cd "$dir" && offers "gavel data check o" one other && offers "gaveld --config on" one one.ini && exit "$failed") || failed=1
offers "gavel workflow st" start stop
offers "gavel log-level raft " trace debug info warn error
offers "gavel help ini" init
offers "gavel completion " bash zsh
offers "gavel init --transport t" tcp
offers "gavel init --machines counter,w" counter,workflow
offers "gavel events --type alarm,leader" alarm,leader_elected
offers "gavel counter.i" counter.increment
offers "gavel call counter." counter.increment counter.get
offers "gavel counter.increment " name= by=
offers "gavel counter.increment name=x b" by=
offers "gavel counter.increment --js" --json
offers "gavel list_workflows status=" any running stopped
offers "gavel list_workflows status=r" running
offers "gavel call workflow.list_workflows limit=3 status=s" stopped
offers "gavel set color " value= ...
offers "gaveld --print" --print-config
offers "gaveld --completion " bash zsh
offers "gaveld --dump-plugin co" counter
offers "gaveld --sample-config tcp w" workflow ...
offers "gavel nosuchcommand x"

# bash-completion finds the file by the command's name, when it is first completed.
lazy=/usr/share/bash-completion/bash_completion
if [ -r $lazy ]; then
    mkdir -p "$dir/user/completions"
    cp "$root"/contrib/completion/bash/* "$dir/user/completions"
    BASH_COMPLETION_USER_DIR=$dir/user bash --norc -c "source $lazy; _completion_loader gaveld; complete -p gaveld" \
        2>"$dir/err" | grep -q -- '-F _gavel' || fail "bash-completion does not load it: $(cat "$dir/err")"
fi

# ---- a running node has another machine than the plugins: its own name is what is completed
mkdir -m 700 "$dir/data"
cat >"$dir/node.ini" <<END
[node]
name = node-1
data_dir = $dir/data
[cluster]
members = node-1=unix://$dir/node.sock
[transport.tcp]
listen = unix://$dir/node.sock
[statemachine.ledger]
plugin = counter
[statemachine.store]
plugin = workflow
END
gaveld --config "$dir/node.ini" 2>"$dir/node.log" &
node=$!
deadline=$((SECONDS + 60))
until gavel --timeout 1s set fruit/apple green >"$dir/out" 2>&1; do
    [ $SECONDS -lt $deadline ] || { cat "$dir/node.log" "$dir/out"; echo "FAIL: the node is not ready"; exit 1; }
done
gavel set fruit/pear yellow >"$dir/out"
rm -rf "$dir/cache/gavel"
slow="gavel --timeout 60s"                   # this machine may have better things to do than to answer at once
offers "$slow led" ledger.
offers "gavel ledger." ledger.increment ledger.get
offers "$slow --machine st" store
offers "$slow get fruit/" fruit/apple fruit/pear ...
offers "$slow store.get key=fruit/a" fruit/apple
offers "$slow member remove node" node-1
kill "$node" && wait "$node"
node=
touch "$dir/cache/gavel"/*
offers "gavel ledger.g" ledger.get          # kept
rm -rf "$dir/cache/gavel"
offers "gavel ledger."                      # not any more: nobody answers, and no plugin is called so
offers "gavel counter.g" counter.get
touch -d '-1 hour' "$dir/cache/gavel"/*
printf 'not what a node says' >"$(ls "$dir/cache/gavel"/*)"
offers "gavel counter.g" counter.get        # what was kept is rubbish

# ---- zsh: typed in a terminal, with the key that a person presses
if ! command -v zsh >/dev/null; then
    echo "no zsh here: only bash was tried"
else
    cp "$root/contrib/completion/zsh/_gavel" "$dir/site"
    cat >"$dir/drive.zsh" <<'END'
# drive.zsh DIR LINE: what the line has become after a tab, between marks.
zmodload zsh/zpty
zpty shell zsh -f -i
expect() { local all; zpty -r -m shell all "*$1*"; print -r -- $all; }
zpty -w shell "PS1=; unsetopt zle_bracketed_paste prompt_cr prompt_sp; fpath=($1/site \$fpath)"
zpty -w shell "autoload -Uz compinit; compinit -u -D; zstyle ':completion:*' menu no; setopt no_list_beep"
zpty -w shell 'report() { print -r -- "<<$BUFFER>>" }; zle -N report; bindkey "^T" report; print re""ady'
expect ready >/dev/null
zpty -w -n shell "$2"$'\t\x14'
expect '>>' | tr -d '\r' | sed -n 's/.*<<\(.*\)>>.*/\1/p'
zpty -d shell
END
    becomes()
    {
        local got
        asked=$((asked + 1))
        got=$(zsh -f "$dir/drive.zsh" "$dir" "$1" 2>"$dir/err" | tail -n 1)
        [ "$got" = "$2" ] || { fail "zsh: $1: wanted '$2', got '$got'"; head -n 5 "$dir/err"; }
    }
    becomes "gavel complet" "gavel completion "
    becomes "gavel status --j" "gavel status --json "
    becomes "gavel counter.inc" "gavel counter.increment "
    becomes "gavel counter.increment n" "gavel counter.increment name="
    becomes "gavel list_workflows status=r" "gavel list_workflows status=running "
    becomes "gavel --output=j" "gavel --output=json "
    becomes "gavel data check $dir/oth" "gavel data check $dir/other/"
    becomes "gaveld --check-c" "gaveld --check-config "
fi

[ "$failed" = 0 ] && echo "completion: $asked lines"
exit "$failed"
