/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shell.c - what "gavel completion" prints. The files of contrib/completion/, which get installed, hold the same: "make
 * update-docs" writes them, and tests/fields tells when they are stale.
 */
#include "core/host/shell.h"

#include <stddef.h>
#include <string.h>

static const char bash[] =
    "# SPDX-License-Identifier: Apache-2.0\n"
    "# Completion of gavel and gaveld for bash. The program that is typed is asked, so it knows every plugin, and\n"
    "# nothing in here gets old. For one shell alone: source <(gavel completion bash)\n"
    "_gavel()\n"
    "{\n"
    "    local rest=${COMP_LINE:0:COMP_POINT} blank word keep tail candidate help paths= i\n"
    "    local words=() found=()\n"
    "\n"
    "    # bash breaks words at '=' and ':'; what stands without a blank between is one word for the program.\n"
    "    for ((i = 0; i <= COMP_CWORD; i++)); do\n"
    "        blank=${rest%%[![:blank:]]*}\n"
    "        rest=${rest#\"$blank\"}\n"
    "        word=${COMP_WORDS[i]}\n"
    "        if ((i == COMP_CWORD)); then word=$rest; fi\n"
    "        if ((i > 0)) && [[ -z $blank ]]; then words[${#words[@]} - 1]+=$word; else words+=(\"$word\"); fi\n"
    "        rest=${rest#\"$word\"}\n"
    "    done\n"
    "\n"
    "    # What bash replaces begins behind the last break.\n"
    "    word=${words[${#words[@]} - 1]}\n"
    "    tail=${word##*[=:]}\n"
    "    keep=${word%\"$tail\"}\n"
    "    COMPREPLY=()\n"
    "    while IFS=$'\\t' read -r candidate help; do\n"
    "        case $candidate in\n"
    "            :files) paths=-f ;;\n"
    "            :dirs) paths=-d ;;\n"
    "            *) COMPREPLY+=(\"${candidate#\"$keep\"}\") ;;\n"
    "        esac\n"
    "    done < <(\"${words[0]/#\\~\\//$HOME/}\" --complete \"${words[@]:1}\" 2>/dev/null)\n"
    "    if [[ -n $paths ]]; then\n"
    "        mapfile -t found < <(compgen \"$paths\" -- \"$tail\")\n"
    "        COMPREPLY+=(\"${found[@]}\")\n"
    "        compopt -o filenames 2>/dev/null\n"
    "    fi\n"
    "    if [[ ${#COMPREPLY[@]} = 1 && ${COMPREPLY[0]} == *[=,.] ]]; then compopt -o nospace 2>/dev/null; fi\n"
    "    return 0\n"
    "}\n"
    "complete -F _gavel gavel gaveld\n";

static const char zsh[] =
    "#compdef gavel gaveld\n"
    "# SPDX-License-Identifier: Apache-2.0\n"
    "# Completion of gavel and gaveld for zsh. The program that is typed is asked, so it knows every plugin, and\n"
    "# nothing in here gets old. For one shell alone, after compinit: source <(gavel completion zsh)\n"
    "_gavel() {\n"
    "    local line candidate help\n"
    "    local -a given names shown open open_shown\n"
    "\n"
    "    given=(\"${(@Q)words[2,CURRENT]}\")\n"
    "    while IFS= read -r line; do\n"
    "        candidate=${line%%$'\\t'*}\n"
    "        help=\n"
    "        if [[ $line == *$'\\t'* ]]; then help=${line#*$'\\t'}; fi\n"
    "        case $candidate in\n"
    "            :files) compset -P '*='; _files ;;\n"
    "            :dirs) compset -P '*='; _files -/ ;;\n"
    "            *[=,.])\n"
    "                open+=(\"$candidate\")\n"
    "                open_shown+=(\"$candidate${help:+  -- $help}\") ;;\n"
    "            *)\n"
    "                names+=(\"$candidate\")\n"
    "                shown+=(\"$candidate${help:+  -- $help}\") ;;\n"
    "        esac\n"
    "    done < <(\"${words[1]}\" --complete \"${given[@]}\" 2>/dev/null)\n"
    "    (( $#names )) && compadd -l -d shown -a names\n"
    "    (( $#open )) && compadd -S '' -l -d open_shown -a open\n"
    "    return 0\n"
    "}\n"
    "if [[ ${funcstack[1]:-} = _gavel ]]; then\n"
    "    _gavel \"$@\"\n"
    "else\n"
    "    compdef _gavel gavel gaveld\n"
    "fi\n";

const char *shell_script(const char *shell)
{
    if (strcmp(shell, "bash") == 0)
        return bash;
    return strcmp(shell, "zsh") == 0 ? zsh : NULL;
}
