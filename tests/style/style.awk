# SPDX-License-Identifier: Apache-2.0
# style.awk: the rules of taste that a machine can see, one pass over every file of the tree.
# Called by style.sh with the files as arguments (relative to the root) and prints "file:line: rule: sentence" for
# each violation. style-selftest.sh plants one violation of each rule and expects its name here, so a rule that
# cannot fire is itself a failure.

function bad(rule, sentence)
{
    printf "%s:%d: %s: %s\n", file, FNR, rule, sentence
    found++
}

# The part of a line that the compiler sees, as far as one line can tell: strings and comments blanked.
function code_of(line,    n)
{
    gsub(/\\\\/, "", line)
    gsub(/\\"/, "", line)
    gsub(/"[^"]*"/, "\"\"", line)
    gsub(/'[^']*'/, "' '", line)
    if (in_comment) {
        n = index(line, "*/")
        if (n == 0)
            return ""
        line = substr(line, n + 2)
        in_comment = 0
    }
    while ((n = index(line, "/*")) > 0) {
        rest = substr(line, n + 2)
        line = substr(line, 1, n - 1)
        if ((n = index(rest, "*/")) == 0) {
            in_comment = 1
            break
        }
        line = line " " substr(rest, n + 2)
    }
    sub(/\/\/.*/, "", line)
    return line
}

function end_of_file()
{
    if (file == "")
        return
    if (!has_spdx && needs_spdx)
        printf "%s:1: spdx: no SPDX-License-Identifier line at the top\n", file
    if ((is_c || is_sh) && lines > FILE_MAX)
        printf "%s:%d: file-length: %d lines, at most %d\n", file, lines, lines, FILE_MAX
}

function begin_file()
{
    end_of_file()
    file = FILENAME
    sub(/^\.\//, "", file)
    is_c = file ~ /\.[ch]$/
    is_h = file ~ /\.h$/
    is_sh = file ~ /\.(sh|awk)$/
    is_am = file ~ /(\.am|\.ac|\.m4|\.in)$/
    is_doc = file ~ /\.[1-8]$/ || file ~ /\.md$/ || file == "NEWS"
    is_test = file ~ /^tests\//
    # Data that has no place for a comment, the licence itself, and definitions of others, which stay as published.
    needs_spdx = file !~ /\.(json|bin|hex|msgpack|keep|csv|abi)$/ && file != "LICENSE" && file != ".gitignore" \
        && file !~ /\/data\// && file !~ /^tests\/otlp\/proto\// \
        && file !~ /\/debian\/(changelog|copyright|source\/format|gavel\.README\.Debian)$/
    has_spdx = 0
    in_comment = 0
    body = 0
    lines = 0
}

# core/X may include core/Y only along the arrows of the design: host -> node -> {raft, log} -> os.
BEGIN {
    LINE_MAX = 120
    SCRIPT_LINE_MAX = 135 # a sentence in quotes cannot be broken in shell
    FUNCTION_MAX = 70
    FILE_MAX = 800
    may["core/os"] = " os "
    may["core/log"] = " log os "
    may["core/raft"] = " raft "
    may["core/codec"] = " codec os raft log " # headers only: raft/message.h and log/batch.h, whose wire form is here
    may["core/node"] = " node raft log codec os "
    may["core/client"] = " client codec os "
    may["core/cli"] = " cli client codec log os host node " # of the host: sample.h; of the node: what works off line
    may["core/host"] = " host node raft log codec os client "
    chancy = "time|clock_gettime|gettimeofday|rand|random|getrandom|getpid|getenv"
    impure = "malloc|calloc|realloc|free|printf|fprintf|time|clock_gettime|rand|random|getrandom|getenv|open" \
        "|read|write"
    banned = "strcpy|strcat|sprintf|vsprintf|atoi|atol|atoll|atof|strtok|gets|alloca|mktemp|tmpnam"
}

FNR == 1 { begin_file() }

{ lines = FNR; line = $0 }

FNR <= 3 && /SPDX-License-Identifier: Apache-2\.0/ { has_spdx = 1 }

(is_c && length(line) > LINE_MAX) || ((is_sh || is_am) && length(line) > SCRIPT_LINE_MAX) {
    bad("line-length", length(line) " columns, at most " (is_c ? LINE_MAX : SCRIPT_LINE_MAX))
}
(is_c || is_sh || is_am || is_doc) && line ~ /[ \t]$/ { bad("trailing-space", "blanks at the end of the line") }
is_c && line ~ /\t/ { bad("tab", "a tab; four spaces instead") }

(is_c || is_sh || is_am || is_doc) && file !~ /^tests\/style\// {
    if (line ~ /(^|[^A-Za-z_])(TODO|FIXME|XXX|HACK)([^A-Za-z_]|$)/)
        bad("mark", "a mark of unfinished work")
    else if (tolower(line) ~ /(^|[^a-z_])(for now|stubbed|not implemented yet|not yet implemented)([^a-z_]|$)/)
        bad("mark", "a mark of unfinished work")
}

!is_c { next }

{ code = code_of(line) }

# Length of functions: the brace that opens a body stands alone in column one or ends a line that began there.
body == 0 && (code ~ /^\{[ ]*$/ || code ~ /^[A-Za-z_].*\)[ ]*\{[ ]*$/) { body = FNR; next }
body > 0 && line ~ /^\}/ {
    if (line ~ /^\}[ ]*$/ && FNR - body - 1 > FUNCTION_MAX)
        bad("function-length", FNR - body - 1 " lines, at most " FUNCTION_MAX)
    body = 0
}

code ~ ("(^|[^A-Za-z0-9_.>])(" banned ")[ ]*\\(") { bad("banned-call", "a call that cannot be bounded: " code) }
code ~ /typedef[ ]+struct/ { bad("typedef", "a typedef for a struct hides what it is") }
code ~ /(^|[^A-Za-z_])assert\([^()]*&&/ && line !~ /&& "/ {
    bad("assert-split", "two conditions in one assert: split them")
}
code ~ /NDEBUG/ { bad("ndebug", "assertions stay on in every build") }
is_test && code ~ /(^|[^A-Za-z0-9_])(sleep|usleep|nanosleep)[ ]*\(/ {
    if (line !~ /sleep-allowed:/)
        bad("sleep", "a sleep in a test is no synchronisation")
}

file ~ /^core\/raft\// && code ~ ("(^|[^A-Za-z0-9_])(" impure ")[ ]*\\(") {
    bad("pure-core", "I/O, a clock, chance or the heap in the pure core")
}
file ~ /^core\/(node|log)\// && code ~ /(pthread_|uv_thread_|uv_mutex_|uv_cond_|mtx_|thrd_|sem_wait)/ {
    bad("no-threads", "a thread or a lock outside core/os and core/host")
}
file ~ /^statemachines\// && code ~ ("(^|[^A-Za-z0-9_])(" chancy ")[ ]*\\(") {
    bad("deterministic", "a clock, chance or the environment in a state machine")
}

# Magics: a 32-bit constant whose name has MAGIC in it. The same number twice makes the check worthless.
!is_test && match(code, /[A-Z0-9_]*MAGIC[A-Z0-9_]*[ ]*=?[ ]*0[xX][0-9a-fA-F]+/) {
    pair = substr(code, RSTART, RLENGTH)
    number = tolower(pair)
    sub(/.*0x/, "", number)
    sub(/^0+/, "", number)
    if (number in magic)
        bad("magic", "the same magic as " magic[number])
    else
        magic[number] = file ":" FNR
}

/^[ ]*#[ ]*include[ ]+"/ {
    target = line
    sub(/^[^"]*"/, "", target)
    sub(/".*/, "", target)
    home = file
    sub(/\/[^\/]*$/, "", home)
    if (file ~ /^(plugins|transports|statemachines)\//) {
        if (target ~ /^(core|tests|include)\// || target ~ /\.\./)
            bad("plugin-include", "a plugin includes <gavel/...> and its own headers, not " target)
        next
    }
    if (file ~ /^include\/gavel\//)
        bad("public-include", "an installed header names others with <gavel/...>")
    if (file ~ /^core\// && target ~ /^(plugins|transports|statemachines|tests)\//)
        # MessagePack is at home in the core: one implementation, which the plugin wraps for the ABI.
        if (home != "core/host" && home != "core/client" && home != "core/check" \
            && !(home == "core/codec" && target ~ /^plugins\/serializers\/msgpack\/mp[a-z_]*\.h$/))
            bad("core-include", "the core does not know " target)
    if ((home in may) && target ~ /^core\//) {
        split(target, part, "/")
        if (index(may[home], " " part[2] " ") == 0)
            bad("core-include", home " may not include " target)
    }
}

/^[ ]*#[ ]*include[ ]+</ {
    target = line
    sub(/^[^<]*</, "", target)
    sub(/>.*/, "", target)
    if (file ~ /^core\/raft\// && target !~ /^(stdint|stddef|stdbool|inttypes|string|assert|limits)\.h$/)
        bad("pure-core", "core/raft may not include <" target ">")
    if (file ~ /^include\/gavel\// \
        && target !~ /^(gavel\/.*|(stdint|stddef|inttypes|string|assert|limits|stdarg|stdio)\.h)$/)
        bad("public-include", "an installed header may not drag in <" target ">")
}

END {
    end_of_file()
    exit found > 0
}
