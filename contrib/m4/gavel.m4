# SPDX-License-Identifier: Apache-2.0
# gavel.m4: the probes of configure.ac, so that configure.ac reads as a list of decisions.

# GAVEL_SWITCH(name, default, help): --enable-name with a plain yes or no in $enable_name.
AC_DEFUN([GAVEL_SWITCH], [
    AC_ARG_ENABLE([$1], [AS_HELP_STRING([--enable-$1], [$3 @<:@$2@:>@])], [],
        [AS_TR_SH([enable_$1])=$2])
    AS_CASE([$AS_TR_SH([enable_$1])], [yes|no], [],
        [AC_MSG_ERROR([--enable-$1 takes yes or no, not "$AS_TR_SH([enable_$1])"])])
])

# GAVEL_TRISTATE(name, help): an optional plugin. auto builds it when its library is there, yes insists.
AC_DEFUN([GAVEL_TRISTATE], [
    AC_ARG_ENABLE([$1], [AS_HELP_STRING([--enable-$1=auto|yes|no], [build $2 @<:@auto@:>@])], [],
        [AS_TR_SH([enable_$1])=auto])
    AS_CASE([$AS_TR_SH([enable_$1])], [auto|yes|no], [],
        [AC_MSG_ERROR([--enable-$1 takes auto, yes or no, not "$AS_TR_SH([enable_$1])"])])
])

# GAVEL_SYSTEMD: where units and sysusers.d go. Where systemd is known they go below the prefix, as all else does (systemd
# looks below /usr/local too); a directory that is named wins, and "no" installs none.
AC_DEFUN([GAVEL_SYSTEMD], [
    AC_ARG_WITH([systemdsystemunitdir],
        [AS_HELP_STRING([--with-systemdsystemunitdir=DIR|no],
            [where systemd units are installed @<:@PREFIX/lib/systemd/system where systemd is@:>@])],
        [], [with_systemdsystemunitdir=yes
             AS_IF([$PKG_CONFIG --exists systemd 2>/dev/null], [], [with_systemdsystemunitdir=no])])
    AS_CASE([$with_systemdsystemunitdir],
        [no], [systemdsystemunitdir=],
        [yes], [systemdsystemunitdir='${prefix}/lib/systemd/system'],
        [/*], [systemdsystemunitdir=$with_systemdsystemunitdir],
        [AC_MSG_ERROR([--with-systemdsystemunitdir takes a full path or no, not "$with_systemdsystemunitdir"])])
    AC_ARG_WITH([sysusersdir],
        [AS_HELP_STRING([--with-sysusersdir=DIR], [where sysusers.d files are installed @<:@PREFIX/lib/sysusers.d@:>@])],
        [sysusersdir=$withval], [sysusersdir='${prefix}/lib/sysusers.d'])
    AC_SUBST([systemdsystemunitdir])
    AC_SUBST([sysusersdir])
])

# GAVEL_NEED(VARIABLE, pkg-config modules, Debian package): a library without which nothing is built.
AC_DEFUN([GAVEL_NEED], [
    PKG_CHECK_MODULES([$1], [$2], [], [AS_VAR_APPEND([gavel_missing], [" $3"])])
])

# inih gained its .pc file late and some distributions drop it: fall back to header plus library.
AC_DEFUN([GAVEL_NEED_INIH], [
    PKG_CHECK_MODULES([INIH], [inih], [], [
        gavel_saved_libs=$LIBS
        gavel_inih=no
        AC_CHECK_HEADER([ini.h], [AC_CHECK_LIB([inih], [ini_parse_stream], [gavel_inih=yes])])
        LIBS=$gavel_saved_libs
        AS_IF([test "x$gavel_inih" = xyes], [INIH_CFLAGS= INIH_LIBS=-linih],
            [AS_VAR_APPEND([gavel_missing], [" libinih-dev"])])
    ])
])

# libwebsockets runs on our libuv loop through a glue library that it loads by itself at run time and that
# Debian packs apart: without it every start fails, so its absence is a finding of configure, not of a user.
AC_DEFUN([GAVEL_WEBSOCKET], [
    gavel_websocket_why=
    gavel_optional=
    AS_IF([test "x$enable_websocket" != xno], [
        gavel_lws_missing=
        PKG_CHECK_MODULES([LWS], [libwebsockets >= 4.1], [
            AC_MSG_CHECKING([for the libuv glue of libwebsockets])
            gavel_lws_libdir=`$PKG_CONFIG --variable=libdir libwebsockets`
            AS_IF([test -f "$gavel_lws_libdir/libwebsockets-evlib_uv.so"], [AC_MSG_RESULT([yes])],
                [AC_MSG_RESULT([no])
                 # A libwebsockets built with libuv inside has no glue file, but says so in its configuration.
                 AC_CHECK_DECL([LWS_WITH_EVLIB_PLUGINS],
                    [gavel_lws_missing=" libwebsockets-evlib-uv"],
                    [], [[#include <lws_config.h>]])])
        ], [gavel_lws_missing=" libwebsockets-dev libwebsockets-evlib-uv"])
        AS_IF([test -z "$gavel_lws_missing"], [enable_websocket=yes],
            [test "x$enable_websocket" = xyes],
            [AS_VAR_APPEND([gavel_missing], ["$gavel_lws_missing"])],
            [gavel_websocket_why=" (missing:$gavel_lws_missing)"
             gavel_optional=$gavel_lws_missing
             enable_websocket=no])
    ])
])

# The otlp observer: libcurl sends, zlib compresses. Older libcurls wait for a name server that hangs when they end.
AC_DEFUN([GAVEL_OTLP], [
    gavel_otlp_why=
    AS_IF([test "x$enable_otlp" != xno], [
        gavel_otlp_missing=
        PKG_CHECK_MODULES([CURL], [libcurl >= 7.87], [], [AS_VAR_APPEND([gavel_otlp_missing], [" libcurl4-openssl-dev"])])
        PKG_CHECK_MODULES([ZLIB], [zlib], [], [AS_VAR_APPEND([gavel_otlp_missing], [" zlib1g-dev"])])
        AS_IF([test -z "$gavel_otlp_missing"], [enable_otlp=yes],
            [test "x$enable_otlp" = xyes],
            [AS_VAR_APPEND([gavel_missing], ["$gavel_otlp_missing"])],
            [gavel_otlp_why=" (missing:$gavel_otlp_missing)"
             AS_VAR_APPEND([gavel_optional], ["$gavel_otlp_missing"])
             enable_otlp=no])
    ])
])

# What the prometheus observer can do beyond its own: HTTPS with OpenSSL, gzip with zlib. It is built without them too.
AC_DEFUN([GAVEL_PROMETHEUS], [
    PROM_CPPFLAGS= gavel_prometheus_parts=
    PKG_CHECK_MODULES([PROM_TLS], [openssl >= 1.1.1],
        [AS_VAR_APPEND([PROM_CPPFLAGS], [" -DPROM_WITH_TLS"])
         AS_VAR_APPEND([gavel_prometheus_parts], [" tls"])],
        [AS_VAR_APPEND([gavel_optional], [" libssl-dev"])])
    PKG_CHECK_MODULES([PROM_GZIP], [zlib],
        [AS_VAR_APPEND([PROM_CPPFLAGS], [" -DPROM_WITH_GZIP"])
         AS_VAR_APPEND([gavel_prometheus_parts], [" gzip"])],
        [AS_VAR_APPEND([gavel_optional], [" zlib1g-dev"])])
    AC_SUBST([PROM_CPPFLAGS])
])

# jansson is needed by the command line in any case (GAVEL_NEED stops without it); the switch is for those who
# want no JSON on the wire.
AC_DEFUN([GAVEL_JSON], [
    gavel_json_why=
    AS_IF([test "x$enable_json" = xauto], [enable_json=yes])
])

# GAVEL_TRY(flag, variable...): append the flag to each variable if the compiler takes it at compile and link time.
AC_DEFUN([GAVEL_TRY], [
    AS_VAR_PUSHDEF([gavel_var], [gavel_cv_flag_$1])
    AC_CACHE_CHECK([whether $CC takes $1], [gavel_var], [
        gavel_saved_cflags=$CFLAGS
        CFLAGS="$CFLAGS -Werror $1"
        AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <stdio.h>]], [[puts("x");]])],
            [AS_VAR_SET([gavel_var], [yes])], [AS_VAR_SET([gavel_var], [no])])
        CFLAGS=$gavel_saved_cflags
    ])
    AS_VAR_IF([gavel_var], [yes],
        [m4_foreach([gavel_target], m4_dquote(m4_shift($@)), [AS_VAR_APPEND(gavel_target, [" $1"])
        ])])
    AS_VAR_POPDEF([gavel_var])
])

# GAVEL_FLAGS: fills GAVEL_CFLAGS, GAVEL_CPPFLAGS, GAVEL_LDFLAGS (every link) and GAVEL_PROGRAM_LDFLAGS (programs).
AC_DEFUN([GAVEL_FLAGS], [
    GAVEL_CFLAGS=-std=gnu11 GAVEL_CPPFLAGS= GAVEL_LDFLAGS= GAVEL_PROGRAM_LDFLAGS=
    m4_foreach_w([gavel_w], [-Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith
            -Wcast-qual -Wwrite-strings -Wundef -Wformat=2 -Wvla -fno-common -fno-semantic-interposition],
        [GAVEL_TRY(gavel_w, [GAVEL_CFLAGS])])
    AS_IF([test "x$enable_werror" = xyes], [AS_VAR_APPEND([GAVEL_CFLAGS], [" -Werror"])])
    AS_IF([test "x$enable_seeded_bugs" = xyes], [AS_VAR_APPEND([GAVEL_CPPFLAGS], [" -DGAVEL_SEEDED_BUGS"])])
    AS_IF([test "x$enable_cover" = xyes], [AS_VAR_APPEND([GAVEL_CPPFLAGS], [" -DGAVEL_COVER"])])

    gavel_sanitize=
    AS_IF([test "x$enable_fuzzers" = xyes], [GAVEL_TRY([-fsanitize=fuzzer-no-link], [GAVEL_CFLAGS])])
    AS_IF([test "x$enable_asan" = xyes], [gavel_sanitize=address])
    AS_IF([test "x$enable_tsan" = xyes], [gavel_sanitize=thread])
    AS_IF([test "x$enable_ubsan" = xyes], [gavel_sanitize=${gavel_sanitize:+$gavel_sanitize,}undefined])
    AS_IF([test -n "$gavel_sanitize"], [
        # A finding must fail the test, so nothing recovers; frame pointers make the traces readable.
        AS_VAR_APPEND([GAVEL_CFLAGS], [" -fsanitize=$gavel_sanitize -fno-sanitize-recover=all -fno-omit-frame-pointer"])
        AS_VAR_APPEND([GAVEL_LDFLAGS], [" -fsanitize=$gavel_sanitize"])
    ])

    gavel_hardening=off
    AS_IF([test "x$enable_hardening" = xyes], [
        gavel_hardening=
        GAVEL_TRY([-fstack-protector-strong], [GAVEL_CFLAGS], [gavel_hardening])
        GAVEL_TRY([-fstack-clash-protection], [GAVEL_CFLAGS], [gavel_hardening])
        GAVEL_TRY([-Wl,-z,relro], [GAVEL_LDFLAGS], [gavel_hardening])
        GAVEL_TRY([-Wl,-z,now], [GAVEL_LDFLAGS], [gavel_hardening])
        GAVEL_TRY([-pie], [GAVEL_PROGRAM_LDFLAGS], [gavel_hardening])
        AS_IF([test -n "$GAVEL_PROGRAM_LDFLAGS"], [GAVEL_TRY([-fPIE], [GAVEL_CFLAGS], [gavel_hardening])])
        # The sanitizers replace the fortified calls with their own, and fortify needs an optimising build.
        AS_CASE(["$gavel_sanitize:$CPPFLAGS $CFLAGS"],
            [:*_FORTIFY_SOURCE*], [],
            [:*-O@<:@123s@:>@*], [
                AS_VAR_APPEND([GAVEL_CPPFLAGS], [" -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2"])
                AS_VAR_APPEND([gavel_hardening], [" -D_FORTIFY_SOURCE=2"])])
        gavel_hardening=${gavel_hardening# }
        AS_IF([test -z "$gavel_hardening"], [gavel_hardening="none taken by $CC"])
    ])

    # A module must resolve every symbol by itself; clang leaves the sanitizer's run time to the program.
    gavel_zdefs=-Wl,-z,defs
    AS_IF([test -n "$gavel_sanitize"], [
        AC_MSG_CHECKING([whether $CC is clang])
        AC_COMPILE_IFELSE([AC_LANG_PROGRAM([[
            #ifndef __clang__
            #error not clang
            #endif
        ]])], [gavel_zdefs=
               AC_MSG_RESULT([yes])], [AC_MSG_RESULT([no])])
    ])
    GAVEL_MODULE_LDFLAGS="$GAVEL_LDFLAGS $gavel_zdefs -module -avoid-version -shared"
    AS_VAR_APPEND([GAVEL_MODULE_LDFLAGS], [" -export-symbols-regex '^gavel_plugin_'"])

    AC_SUBST([GAVEL_CFLAGS])
    AC_SUBST([GAVEL_CPPFLAGS])
    AC_SUBST([GAVEL_LDFLAGS])
    AC_SUBST([GAVEL_PROGRAM_LDFLAGS])
    AC_SUBST([GAVEL_MODULE_LDFLAGS])
])
