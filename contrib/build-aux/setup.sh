# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# setup.sh: what test.sh and demo.sh share, sourced by both: the packages, configure, a build out of the tree, and
# the counting of results. From a bare Debian 12 with nothing but git to a build in one go, and safe to run twice.
#
# Sets root (the source tree), work (where builds and logs go: $GAVEL_BUILD_DIR, else build/ in the tree), and jobs.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
work=${GAVEL_BUILD_DIR:-$root/build}
jobs=$(nproc 2>/dev/null || echo 2)

# The build "normal": tested by test.sh, and installed below $installed for its stage "stranger" and for demo.sh.
installed=$work/installed
normal=(--enable-werror "--prefix=$installed")

# What a build needs, and what only tests use (a test whose tool is absent skips).
setup_packages="autoconf automake libtool pkg-config make gcc g++ libc6-dev libuv1-dev libwebsockets-dev
    libwebsockets-evlib-uv libssl-dev libcap-dev libmsgpack-dev libinih-dev libcmocka-dev libjansson-dev
    libcurl4-openssl-dev zlib1g-dev xz-utils"
# abigail-tools compares ABIs (make check-abi), zsh and bash-completion complete command lines, systemd and strace judge
# the units (tests/dist/units.sh), rustc builds a plugin (tests/stranger), protoc reads what the otlp observer sends to a
# collector in Python, with certificates that openssl makes (tests/otlp). npm and Prometheus: see below.
setup_test_packages="man-db groff-base procps e2fsprogs abigail-tools zsh bash-completion systemd strace rustc
    protobuf-compiler python3 openssl"

# What the stage "packaging" uses: it builds packages, judges them, and tries them in a clean system.
setup_packaging_packages="dpkg-dev debhelper lintian debootstrap iproute2"

say() { printf '%s\n' "$*"; }
die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

# setup_install PACKAGES...: installs those that are missing. The only step that needs root, and it says so.
setup_install()
{
    local package missing=() as_root=()
    if ! command -v dpkg-query >/dev/null; then
        say "No dpkg here: configure will name what is missing."
        return 0
    fi
    for package; do
        case $(dpkg-query -W -f='${Status}' "$package" 2>/dev/null) in
            *" installed") ;;
            *) missing+=("$package") ;;
        esac
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null \
            || die "packages are missing; run this once as root: apt update && apt install ${missing[*]}"
        say "Packages are missing: the next step, and only that one, runs apt-get through sudo."
        as_root=(sudo)
    fi
    say "Installing: ${missing[*]}"
    "${as_root[@]}" apt-get update -qq || say "apt-get update failed; trying with the lists that are here"
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "${missing[@]}" >"$work/apt.log" 2>&1 \
        || { tail -n 20 "$work/apt.log"; die "apt-get could not install: ${missing[*]}"; }
}

# setup_prometheus: a real Prometheus and its promtool for tests/prometheus, from Debian's package, unpacked below $work.
# It is not installed: its service would start, and listen on a port that may be somebody's. Without it the tests skip.
setup_prometheus()
{
    local dir=$work/prometheus
    if ! command -v promtool >/dev/null && [ ! -x "$dir/usr/bin/promtool" ] && command -v dpkg >/dev/null; then
        say "Unpacking prometheus below $dir (for tests only)"
        mkdir -p "$dir"
        # Lists that are absent or too old are fetched again, if this user may.
        (cd "$dir" && { apt-get download -qq prometheus || { apt-get update -qq && apt-get download -qq prometheus; }; } \
            && dpkg -x prometheus_*.deb . && rm -f prometheus_*.deb) \
            >"$work/prometheus.log" 2>&1 || say "no prometheus ($work/prometheus.log): its tests skip"
    fi
    PATH=$PATH:$dir/usr/bin
}

# setup_npm: node and npm, with which tests/otlp/npm.sh fetches a second reader of what the otlp observer sends. They are
# looked for by their commands: the nodejs of nodesource.com brings its own npm, and excludes Debian's. Without them that
# test skips.
setup_npm()
{
    command -v node >/dev/null && command -v npm >/dev/null && return 0
    (setup_install nodejs npm) || say "no npm: tests/otlp/npm.sh skips"
}

# setup_bootstrap: makes configure when it is absent or older than what it is made from (a tarball brings it along).
setup_bootstrap()
{
    local log=$work/autoreconf.log
    [ ! -e "$root/config.status" ] || die "$root is configured in place; run 'make distclean' in it first"
    if [ -x "$root/configure" ] && [ -e "$root/Makefile.in" ] && [ -z "$(find "$root" -path "$work" -prune -o \
        \( -name '*.am' -o -name configure.ac -o -name '*.m4' \) -newer "$root/Makefile.in" -print -quit)" ]; then
        return 0
    fi
    say "Making configure ..."
    (cd "$root" && autoreconf -fi) >"$log" 2>&1 || { tail -n 20 "$log"; die "autoreconf failed (whole log: $log)"; }
}

# setup_build NAME [configure arguments or VAR=value]...: configures and builds work/NAME; a second run with the same
# arguments only builds what changed. Non-zero when it does not build, after the errors were shown.
setup_build()
{
    local name=$1 dir=$work/$1 log
    shift
    log=$work/$name.log
    mkdir -p "$dir"
    if [ ! -e "$dir/Makefile" ] || [ "$(cat "$dir/.arguments" 2>/dev/null)" != "$*" ]; then
        (cd "$dir" && "$root/configure" "$@") >"$log" 2>&1 || {
            tail -n 30 "$log"
            say "$name: configure failed (whole log: $log)"
            return 1
        }
        printf '%s' "$*" >"$dir/.arguments"
    fi
    log=$work/$name-build.log
    make -C "$dir" -j"$jobs" all >"$log" 2>&1 || {
        grep -n -E 'error|Error|undefined|warning' "$log" | tail -n 30
        say "$name: the build failed (whole log: $log)"
        return 1
    }
}

# The totals of a run; totals prints the line that everything ends with, and fails if anything did. What failed is kept in
# a file as well, "failed: NAME" and the end of its log below it, for .ci/run, whose last words say it again.
passed=0 failed=0 skipped=0
failures=()
rm -f "$work/failures.${0##*/}"

count_pass() { passed=$((passed + 1)); }
count_skip() { skipped=$((skipped + 1)); }
# count_fail NAME [LOG]: remembers a failure and shows the end of its log at once.
count_fail()
{
    failed=$((failed + 1))
    failures+=("$1")
    say "FAILED: $1"
    say "failed: $1" >>"$work/failures.${0##*/}"
    if [ -n "${2:-}" ] && [ -s "$2" ]; then
        tail -n 40 "$2" | sed 's/^/    | /'
        tail -n 15 "$2" | cut -c1-200 | sed 's/^/    | /' >>"$work/failures.${0##*/}"
    fi
}

# skip_reason LOG: the last words of a test that skipped, before those of automake.
skip_reason() { grep -v -e '^SKIP .*(exit status: 77)$' -e '^$' "$1" 2>/dev/null | tail -n 1; }

# left_out STAGE NAME LOG: what a test that passed did without on this machine, by its own words; no result of its own.
left_out()
{
    local line
    while read -r line; do
        say "left out: $1: $2: $line"
    done < <(sed -n -e 's/^skipped: //p' -e 's/^\[  SKIPPED \] \([a-z_]*\)$/\1/p' "$3" 2>/dev/null | sort -u)
}

# count_trs STAGE DIRECTORY MARK: the results of make check below DIRECTORY, from the .trs files newer than MARK.
count_trs()
{
    local trs result
    while read -r trs; do
        while read -r result; do
            case $result in
                PASS | XFAIL)
                    count_pass
                    left_out "$1" "$(basename "$trs" .trs)" "${trs%.trs}.log"
                    ;;
                SKIP)
                    count_skip
                    say "skipped: $1: $(basename "$trs" .trs): $(skip_reason "${trs%.trs}.log")"
                    ;;
                *) count_fail "$1: ${trs#"$2"/}" "${trs%.trs}.log" ;;
            esac
        done < <(sed -n 's/^:test-result: *\([A-Z]*\).*/\1/p' "$trs")
    done < <(find "$2" -name '*.trs' -newer "$3" | sort)
}

totals()
{
    local name
    for name in "${failures[@]}"; do say "failed: $name"; done
    printf '%s %s %s\n' "$passed" "$failed" "$skipped" >"$work/totals.${0##*/}"
    say "$passed passed, $failed failed, $skipped skipped"
    [ "$failed" = 0 ] && [ "$passed" -gt 0 ]
}
