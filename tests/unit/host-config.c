/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host-config.c - unit test: the configuration that an INI file becomes, and the exact sentence for each mistake in
 * one.
 */
#include "core/codec/field.h"
#include "core/host/config.h"
#include "core/host/option.h"
#include "core/host/uri.h"

#include <gavel/plugin.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct host_config config;
static struct host_faults faults, warnings;

#define GOOD                                                                                                        \
    "[node]\nname = node-1\ndata_dir = /tmp/d\n"                                                                    \
    "[cluster]\nmembers = node-1=tcp://127.0.0.1:1|ws://[::1]:2, node-2=tcp://h:3\n"                                \
    "[transport.t]\nplugin = tcp\nlisten = tcp://127.0.0.1:1 tcp://[::1]:1\n"                                       \
    "[statemachine.m]\n"

static void read_config(const char *text)
{
    union {
        const char *from;
        char *to;
    } memory = {.from = text}; /* fmemopen only reads with "r" */
    FILE *stream = fmemopen(memory.to, strlen(text), "r");

    assert_non_null(stream);
    host_config_read(&config, stream, "t.ini", &faults, &warnings);
    (void)fclose(stream);
}

/* What the host does after it has loaded the plugins, here with one table for all. */
static void bind_all(const struct gavel_fields *table)
{
    for (unsigned i = 0; i < config.instance_count; i++)
        host_config_bind(&config, &config.instance[i], table, false, &faults, &warnings);
}

static int forget(void **state)
{
    (void)state;
    host_config_free(&config);
    host_faults_free(&faults);
    host_faults_free(&warnings);
    return 0;
}

static void has_fault(const char *sentence)
{
    for (unsigned i = 0; i < faults.count; i++)
        if (strcmp(faults.text[i], sentence) == 0)
            return;
    host_faults_print(&faults, stderr, "found: ");
    fail_msg("expected: %s", sentence);
}

static void has_warning(const char *sentence)
{
    for (unsigned i = 0; i < warnings.count; i++)
        if (strcmp(warnings.text[i], sentence) == 0)
            return;
    fail_msg("expected: %s", sentence);
}

static void test_good(void **state)
{
    (void)state;
    read_config(GOOD "[raft]\nheartbeat = 20\nelection_timeout_max = 1s\nbatch_bytes = 64 KiB\n"
                     "[serializer]\nplugin = json, msgpack\n");
    bind_all(NULL);
    host_faults_print(&faults, stderr, "");
    assert_int_equal(faults.count, 0);
    assert_int_equal(warnings.count, 0);
    assert_int_equal(config.raft.heartbeat, 20);
    assert_int_equal(config.raft.election_timeout_min, 150);
    assert_int_equal(config.raft.election_timeout_max, 1000);
    assert_int_equal(config.raft.batch_bytes, 65536);
    assert_int_equal(config.snapshot.snapshot_entries, 1000);
    assert_int_equal(config.snapshot.snapshot_log_min, 64u << 20);
    assert_int_equal(config.snapshot.snapshot_keep, 5);
    assert_int_equal(config.member_count, 2);
    assert_string_equal(config.member[0].name, "node-1");
    assert_int_equal(config.member[0].uri_count, 2);
    assert_string_equal(config.member[0].uri[1], "ws://[::1]:2");
    assert_string_equal(config.member[1].uri[0], "tcp://h:3");
    assert_int_equal(config.instance_count, 5);
    assert_string_equal(config.instance[0].plugin, "tcp");
    assert_int_equal(config.instance[0].listen_count, 2);
    assert_string_equal(config.instance[1].plugin, "m");
    assert_string_equal(config.instance[2].plugin, "json");
    assert_string_equal(config.instance[3].plugin, "msgpack");
    assert_string_equal(config.instance[4].plugin, "log"); /* the built-in voice */
}

static void test_missing(void **state)
{
    (void)state;
    read_config("[node]\nname = a\n[observer.o]\n");
    assert_int_equal(faults.count, 3);
    has_fault("t.ini:1: [node] needs the key data_dir: Directory of the log, the votes and the snapshots, for this "
              "node alone; made when it does not exist, but not its parent. It has mode 0700: one that is there with "
              "another gets it, which the log tells. On a file system that copies on write (btrfs, ZFS, bcachefs, "
              "f2fs) a full disk ends the node, which waits on others");
    has_fault("t.ini: no section [transport.NAME]: A way to reach peers and clients");
    has_fault("t.ini: no section [statemachine.NAME]: A state machine to replicate");
}

/* A node founds with the members that it lists, or joins by addresses: from the file, or from the command line. */
static void test_join(void **state)
{
    (void)state;
    read_config("[node]\nname = a\ndata_dir = /d\n[transport.t]\nlisten = tcp://127.0.0.1:1\n[statemachine.m]\n");
    host_config_join(&config, NULL, &faults);
    assert_int_equal(faults.count, 0); /* one that is in a cluster needs neither */
    assert_int_equal(config.join_count, 0);
    forget(NULL);
    read_config("[node]\nname = a\ndata_dir = /d\n[cluster]\njoin = tcp://h:1, ws://h:2\n[transport.t]\n"
                "listen = tcp://127.0.0.1:1\n[statemachine.m]\n");
    host_config_join(&config, NULL, &faults);
    assert_int_equal(faults.count, 0);
    assert_int_equal(config.join_count, 2);
    assert_string_equal(config.join[1], "ws://h:2");
    forget(NULL);
    read_config("[node]\nname = z\ndata_dir = /d\n[cluster]\nmembers = a=tcp://h:1\njoin = tcp://h:1\n[transport.t]\n"
                "listen = tcp://127.0.0.1:1\n[statemachine.m]\n");
    host_config_join(&config, "ws://[::1]:2,h:1", &faults);
    assert_int_equal(config.join_count, 2); /* what the command line says takes the place of the file's */
    assert_string_equal(config.join[0], "ws://[::1]:2");
    assert_int_equal(faults.count, 1); /* and that it is not listed itself is no matter */
    assert_non_null(strstr(faults.text[0], "--join: "));
    forget(NULL);
    read_config("[node]\nname = z\ndata_dir = /d\n[cluster]\nmembers = a=tcp://h:1\n[transport.t]\n"
                "listen = tcp://127.0.0.1:1\n[statemachine.m]\n");
    host_config_join(&config, "tcp://h:1", &faults);
    assert_int_equal(faults.count, 0); /* nor with the command line alone: the file is a copy of a founder's */
}

static void test_values(void **state)
{
    (void)state;
    read_config(GOOD "[raft]\nelection_timeout_min = soon\nelection_timeout_max = 11m\nheartbeat = -5\n"
                     "batch_entries = 0\nproposals = 12x\nbatch_bytes = 3KB\nredial_min = 18446744073709551616\n"
                     "[session]\nttl =\n");
    assert_int_equal(faults.count, 8);
    has_fault("t.ini:11: election_timeout_min: expected a duration (such as 150ms, 2s) of 10ms to 10m, found \"soon\"");
    has_fault("t.ini:12: election_timeout_max: expected a duration (such as 150ms, 2s) of 11ms to 10m, found \"11m\"");
    has_fault("t.ini:13: heartbeat: expected a duration (such as 150ms, 2s) of 1ms to 1m, found \"-5\"");
    has_fault("t.ini:14: batch_entries: expected a whole number of 1 to 65535, found \"0\"");
    has_fault("t.ini:15: proposals: expected a whole number of 1 to 1048576, found \"12x\"");
    has_fault("t.ini:16: batch_bytes: expected a size (such as 64KiB, 16MiB) of 4KiB to 1MiB, found \"3KB\"");
    has_fault("t.ini:17: redial_min: expected a duration (such as 150ms, 2s) of 1ms to 10m, found "
                 "\"18446744073709551616\"");
    has_fault("t.ini:19: ttl: expected a duration (such as 150ms, 2s) of 1s to 720h, found \"\"");
}

static void test_unknown(void **state)
{
    (void)state;
    read_config(GOOD "[raft]\nhartbeat = 1\ncolour = red\n[rafft]\n[transports.x]\n[raft.x]\n[cake]\n[transport]\n"
                     "[transport.-x]\n");
    assert_int_equal(faults.count, 8);
    has_fault("t.ini:11: unknown key \"hartbeat\" in [raft]; did you mean 'heartbeat'?");
    has_fault("t.ini:12: unknown key \"colour\" in [raft]");
    has_fault("t.ini:13: unknown section [rafft]; did you mean [raft]?");
    has_fault("t.ini:14: unknown section [transports.x]; did you mean [transport.x]?");
    has_fault("t.ini:15: there is one section [raft]; it takes no name of its own");
    has_fault("t.ini:16: unknown section [cake]");
    has_fault("t.ini:17: expected [transport.NAME] with a NAME of letters, digits, '.', '_' and '-', found "
                 "[transport]");
    has_fault("t.ini:18: expected [transport.NAME] with a NAME of letters, digits, '.', '_' and '-', found "
                 "[transport.-x]");
}

static void test_timings(void **state)
{
    (void)state;
    read_config(GOOD "[raft]\nheartbeat = 80ms\nelection_timeout_max = 150ms\nredial_min = 3s\n");
    assert_int_equal(faults.count, 3);
    has_fault("t.ini:11: heartbeat (80ms) must be at most half of election_timeout_min (150ms), else one lost message "
                 "costs an election");
    has_fault("t.ini:12: election_timeout_max (150ms) must be above election_timeout_min (150ms)");
    has_fault("t.ini:10: redial_max (2000ms) must not be below redial_min (3000ms)");
}

static void test_members(void **state)
{
    (void)state;
    read_config("[node]\nname = nod-1\ndata_dir = /d\n"
                "[cluster]\nmembers = node-1=tcp://h:1, b, c=tcp://h, d=tcp://h:99999, e!=tcp://h:1, f=h:1, "
                "node-1=tcp://h:2, g=my-own.2+x://h:1, i=-x://h:1\n"
                "[transport.t]\n[statemachine.m]\n");
    host_config_join(&config, NULL, &faults);
    assert_int_equal(faults.count, 8);
    has_fault("t.ini:5: member i: expected an address such as ws://127.0.0.1:8080 or tcp://[::1]:8080, found "
                 "\"-x://h:1\"");
    has_fault("t.ini:5: expected a member as name=uri, found \"b\"");
    has_fault("t.ini:5: member c: the address \"tcp://h\" has no host or no port; write scheme://host:port");
    has_fault("t.ini:5: member d: the address \"tcp://h:99999\" has no port of 0 to 65535");
    has_fault("t.ini:5: \"e!\" is no name for a member: letters, digits, '.', '_' and '-', at most 63");
    has_fault("t.ini:5: member f: expected an address such as ws://127.0.0.1:8080 or tcp://[::1]:8080, found "
                 "\"h:1\"");
    has_fault("t.ini:5: member node-1 is listed twice");
    has_fault("t.ini:2: this node is called \"nod-1\", which is not among the members (one that is added "
                 "to a cluster says whom to join instead: join, or gaveld --join); did you mean 'node-1'?");
}

static void test_listen(void **state)
{
    (void)state;
    read_config("[node]\nname = a\ndata_dir = /d\n[cluster]\nmembers = a=tcp://h:1\n[statemachine.m]\n"
                "[transport.t]\nlisten = tcp://0.0.0.0:1\n"
                "[transport.u]\nlisten = ws://h:1\ninsecure = yes\n"
                "[transport.v]\nlisten = wss://0.0.0.0:1, tls://h:2, ws://127.3.2.1:1, ws://localhost:1, ws://[::1]:1\n"
                "[transport.w]\nlisten = ws://127.evil.example:1\ninsecure = maybe\n");
    bind_all(NULL);
    has_fault("t.ini:8: tcp://0.0.0.0:1 has no TLS, so it must be a loopback address; write insecure = yes if "
                 "anybody who reaches it may use it");
    has_fault("t.ini:15: ws://127.evil.example:1 has no TLS, so it must be a loopback address; write insecure = yes "
                 "if anybody who reaches it may use it");
    has_fault("t.ini:16: insecure: expected yes or no, found \"maybe\"");
    assert_int_equal(faults.count, 3);
    has_warning("t.ini:10: ws://h:1 has no TLS and can be reached by others (insecure = yes)");
    assert_int_equal(warnings.count, 1);
}

/* What is dialled has a port; what is listened on need not. */
static void test_port_0(void **state)
{
    (void)state;
    read_config("[node]\nname = a\ndata_dir = /d\n"
                "[cluster]\nmembers = a=tcp://h:0, b=ws://[::1]:0/x|unix:///0, c=tcp://h:10\n"
                "[transport.t]\nlisten = tcp://127.0.0.1:0\nadvertise = tcp://h:00, tcp://h, unix:///a\n"
                "[statemachine.m]\n");
    bind_all(NULL);
    has_fault("t.ini:5: member a: nobody can dial port 0, in \"tcp://h:0\": write the port that is listened on");
    has_fault("t.ini:5: member b: nobody can dial port 0, in \"ws://[::1]:0/x\": write the port that is listened on");
    has_fault("t.ini:8: advertise: nobody can dial port 0, in \"tcp://h:00\": write the port that is listened on");
    has_fault("t.ini:8: advertise: the address \"tcp://h\" has no host or no port; write scheme://host:port");
    assert_int_equal(faults.count, 4);
    (void)forget(NULL);
    read_config("[node]\nname = a\ndata_dir = /d\n[cluster]\nseeds = tcp://h:0\n[statemachine.m]\n"
                "[transport.t]\nlisten = tcp://127.0.0.1:0\n");
    has_fault("t.ini:5: nobody can dial port 0, in \"tcp://h:0\": write the port that is listened on");
    assert_int_equal(faults.count, 1);
    host_config_join(&config, "tcp://i:0", &faults);
    has_fault("--join: nobody can dial port 0, in \"tcp://i:0\": write the port that is listened on");
    (void)forget(NULL);
    read_config("[node]\nname = a\ndata_dir = /d\n[cluster]\nmembers = a=tcp://127.0.0.1:0\n[statemachine.m]\n"
                "[transport.t]\nlisten = tcp://127.0.0.1:0\n"); /* who is alone is dialled by nobody */
    assert_int_equal(faults.count, 0);
}

static void test_levels(void **state)
{
    (void)state;
    read_config(GOOD "[observer.o]\nlevel = infos\nlevels = raft:debug, transport, x:loud\n");
    bind_all(NULL);
    assert_int_equal(faults.count, 3);
    has_fault("t.ini:11: level: expected one of trace, debug, info, warn, error, found \"infos\"; did you mean "
              "'info'?");
    has_fault("t.ini:12: levels: expected module:level such as raft:debug, found \"transport\"");
    has_fault("t.ini:12: levels: expected a level (trace, debug, info, warn or error), found \"loud\"");
}

/* ---- a plugin's table -------------------------------------------------------------------------------------------- */

struct inner {
    uint64_t present;
    struct gavel_slice cert;
};

struct options {
    uint64_t present;
    uint64_t yes;
    int64_t whole;
    double real;
    struct gavel_slice text;
    uint64_t choice;
    struct gavel_list numbers;
    struct inner tls;
    struct gavel_slice secret;
    uint64_t old;
};

static const char *const choices[] = {"red", "green", NULL};
static const struct gavel_field inner_rows[] = {
    {.name = "cert", .id = 1, .type = GAVEL_STRING, .flags = GAVEL_REQUIRED, .offset = offsetof(struct inner, cert),
     .help = "The certificate"},
};
static const struct gavel_fields inner_fields = GAVEL_FIELDS(inner_rows, struct inner);
static const struct gavel_field rows[] = {
    {.name = "yes", .id = 1, .type = GAVEL_BOOL, .offset = offsetof(struct options, yes), .fallback = "on"},
    {.name = "whole", .id = 2, .type = GAVEL_INT, .offset = offsetof(struct options, whole), .min = -5, .max = 5,
     .flags = GAVEL_REPLICATED, .fallback = "-1"},
    {.name = "real", .id = 3, .type = GAVEL_REAL, .offset = offsetof(struct options, real)},
    {.name = "text", .id = 4, .type = GAVEL_STRING, .offset = offsetof(struct options, text), .min = 2, .max = 4},
    {.name = "choice", .id = 5, .type = GAVEL_CHOICE, .offset = offsetof(struct options, choice), .choices = choices,
     .flags = GAVEL_REPLICATED, .fallback = "green"},
    {.name = "numbers", .id = 6, .type = GAVEL_LIST, .element = GAVEL_UINT,
     .offset = offsetof(struct options, numbers), .max = 3},
    {.name = "tls", .id = 7, .type = GAVEL_RECORD, .sub = &inner_fields, .offset = offsetof(struct options, tls)},
    {.name = "secret", .id = 8, .type = GAVEL_STRING, .flags = GAVEL_SECRET,
     .offset = offsetof(struct options, secret), .max = 3},
    {.name = "old", .id = 9, .type = GAVEL_UINT, .flags = GAVEL_DEPRECATED, .offset = offsetof(struct options, old),
     .help = "use whole"},
};
static const struct gavel_fields fields = GAVEL_FIELDS(rows, struct options);

static const struct options *machine_options(const char *keys)
{
    char text[2048];

    (void)snprintf(text, sizeof text,
                   "[node]\nname = a\ndata_dir = /d\n[cluster]\nmembers = a=tcp://h:1\n[transport.t]\n"
                   "[statemachine.m]\n%s", keys);
    read_config(text);
    host_config_bind(&config, &config.instance[1], &fields, false, &faults, &warnings);
    return config.instance[1].options;
}

static void test_options(void **state)
{
    const struct options *options = machine_options("yes = no\nwhole = -5\nreal = 1.5e3\ntext = \xc3\xa4\xc3\xa4\n"
                                                    "choice = red\nnumbers = 1, 2 3\ntls.cert = /c\nold = 1\n");

    (void)state;
    assert_int_equal(faults.count, 0);
    has_warning("t.ini:15: old is deprecated: use whole");
    assert_int_equal(options->present, 0x13f); /* a record's members have bits of their own */
    assert_int_equal(options->yes, 0);
    assert_int_equal(options->whole, -5);
    assert_true(options->real == 1500.0);
    assert_string_equal(options->text.data, "\xc3\xa4\xc3\xa4");
    assert_int_equal(options->choice, 0);
    assert_int_equal(options->numbers.count, 3);
    assert_int_equal(((const uint64_t *)options->numbers.items)[2], 3);
    assert_string_equal(options->tls.cert.data, "/c");
    assert_string_equal(host_config_replicated(&config, &config.instance[1]), "choice=red\nwhole=-5\n");
}

static void test_option_faults(void **state)
{
    const struct options *options = machine_options("yes = 1\nwhole = 6\nreal = inf\ntext = abcde\nchoice = gren\n"
                                                    "numbers = 1,2,3,4\nsecret = hunter2\ntls.crt = x\ncolor = x\n");

    (void)state;
    assert_non_null(options);
    assert_int_equal(faults.count, 10);
    has_fault("t.ini:8: yes: expected yes or no, found \"1\"");
    has_fault("t.ini:9: whole: expected a whole number of -5 to 5, found \"6\"");
    has_fault("t.ini:10: real: expected a number, found \"inf\"");
    has_fault("t.ini:11: text: expected text of 2 to 4 bytes, found \"abcde\"");
    has_fault("t.ini:12: choice: expected one of red, green, found \"gren\"; did you mean 'green'?");
    has_fault("t.ini:13: numbers: expected a list (separated by commas or blanks) of 0 to 3 elements, each a whole "
                 "number, found \"1,2,3,4\"");
    has_fault("t.ini:14: secret: expected text of 0 to 3 bytes (the value is secret and not shown)");
    has_fault("t.ini:15: unknown key \"tls.crt\" in [statemachine.m]");
    has_fault("t.ini:16: unknown key \"color\" in [statemachine.m]");
    has_fault("t.ini:7: [statemachine.m] needs the key tls.cert: The certificate");
}

static void test_bad_utf8(void **state)
{
    (void)state;
    (void)machine_options("text = a\xff\ntls.cert = x\n");
    assert_int_equal(faults.count, 1);
    has_fault("t.ini:8: text: expected text, found bytes that are not UTF-8");
}

static void test_print(void **state)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    (void)state;
    (void)machine_options("whole = 2\nsecret = abc\ntls.cert = /c\n");
    assert_int_equal(faults.count, 0);
    host_config_print(&config, out);
    (void)fclose(out);
    assert_non_null(strstr(text, "\n[statemachine.m]\nplugin = m                                       ; default\n"));
    assert_non_null(strstr(text, "\nwhole = 2                                        ; t.ini:8\n"));
    assert_non_null(strstr(text, "\nchoice = green                                   ; default\n"));
    assert_non_null(strstr(text, "\n; text is not set\n"));
    assert_non_null(strstr(text, "\ntls.cert = /c                                    ; t.ini:10\n"));
    assert_non_null(strstr(text, "\nsecret = (secret)                                ; t.ini:9\n"));
    assert_null(strstr(text, "abc"));
    free(text);
}

/* Serializers share a section, and may have keys of the same name. */
static void test_print_of_shared_keys(void **state)
{
    static const char given[] = "[node]\nname = a\ndata_dir = /d\n[cluster]\nmembers = a=tcp://h:1\n[transport.t]\n"
                                "[serializer]\nplugin = json, msgpack\nwhole = 3\ntls.cert = /c\n[statemachine.m]\n";
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    const char *at;

    read_config(given);
    for (unsigned i = 0; i < config.instance_count; i++)
        if (config.instance[i].kind == GAVEL_KIND_SERIALIZER)
            host_config_bind(&config, &config.instance[i], &fields, false, &faults, &warnings);
    assert_int_equal(faults.count, 0);
    host_config_print(&config, out);
    (void)fclose(out);
    at = strstr(text, "\nwhole = 3");
    assert_non_null(at);
    assert_null(strstr(at + 2, "whole = 3"));
    at = strstr(text, "\ntls.cert = /c");
    assert_non_null(at);
    assert_null(strstr(at + 2, "tls.cert"));
    assert_null(strstr(text, "\nchoice = green"));
    assert_non_null(strstr(text, "\n; choice = green                                 ; default of json\n"));
    assert_non_null(strstr(text, "\n; choice = green                                 ; default of msgpack\n"));
    assert_int_equal(forget(state), 0);
    read_config(text); /* what was printed is read again */
    assert_int_equal(faults.count, 0);
    free(text);
}

/* What every text would take must be what it prints. */
static void test_round_trip(void **state)
{
    static const struct {
        const char *given;
        const char *printed;
    } sizes[] = {{"0", "0"}, {"1023", "1023"}, {"64KiB", "64KiB"}, {"65536", "64KiB"}, {"1024MiB", "1GiB"}};
    static const struct {
        const char *given;
        const char *printed;
    } times[] = {{"0", "0ms"}, {"90s", "90s"}, {"60s", "1m"}, {"1500", "1500ms"}, {"24h", "24h"}, {"2 s", "2s"}};
    static const struct gavel_field pair[] = {
        {.name = "size", .id = 1, .type = GAVEL_SIZE, .offset = 8},
        {.name = "time", .id = 2, .type = GAVEL_DURATION, .offset = 16},
    };
    static const struct gavel_fields table = {pair, 2, sizeof pair[0], 24};
    uint64_t object[3] = {0, 0, 0};
    char text[64];

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0] + sizeof times / sizeof times[0]; i++) {
        size_t n = sizeof sizes / sizeof sizes[0];
        const char *given = i < n ? sizes[i].given : times[i - n].given;
        FILE *out = fmemopen(text, sizeof text, "w");

        assert_int_equal(host_option_set(&table, i < n ? 0 : 1, given, object, &config.arena, NULL), GAVEL_OK);
        host_option_print(&table, i < n ? 0 : 1, object, out);
        (void)fclose(out);
        assert_string_equal(text, i < n ? sizes[i].printed : times[i - n].printed);
    }
}

/* Our own tables are held to what a plugin's are. */
static void test_tables(void **state)
{
    struct gavel_error error;

    (void)state;
    assert_int_equal(codec_fields_check(&fields, NULL), GAVEL_OK);
    for (const struct host_section *section = host_sections; section->name; section++)
        if (codec_fields_check(section->fields, &error) != GAVEL_OK)
            fail_msg("[%s]: %s", section->name, error.text);
}

/* A plugin of an older ABI has shorter rows: what they lack reads as 0. */
static void test_short_rows(void **state)
{
    unsigned char memory[2][GAVEL_END(struct gavel_field, help)];
    const struct gavel_field full[] = {
        {.name = "a", .id = 1, .type = GAVEL_UINT, .offset = 8, .help = "first", .element = 77},
        {.name = "b", .id = 2, .type = GAVEL_BOOL, .offset = 16, .help = "second", .element = 77}};
    const struct gavel_fields table = {(const struct gavel_field *)(const void *)memory, 2, sizeof memory[0], 24};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct gavel_field row;

        memcpy(memory[i], &full[i], sizeof memory[i]);
        row = host_field(&table, (uint64_t)i);
        assert_string_equal(row.help, full[i].help);
        assert_int_equal(row.id, i + 1);
        assert_int_equal(row.element, 0);
    }
}

/* Noise in a good file: whatever comes out, nothing is read or written beside its place (the sanitizers look on). */
static void test_noise(void **state)
{
    static const char pieces[][12] = {"[", "]", "=", "\\\n", "${", "}", ";", "\n", "\xff", "|", "[node]\n", "x=\n",
    ",", " "};
    uint64_t seed = UINT64_C(0x2545f4914f6cdd1d);

    (void)state;
    print_message("seed %llx\n", (unsigned long long)seed);
    for (int round = 0; round < 3000; round++) {
        char text[1024] = GOOD "[raft]\nheartbeat = 20\n[observer.o]\nlevels = raft:debug\n";

        for (int change = 0; change < 1 + round % 7; change++) {
            size_t size = strlen(text), at;
            const char *piece;

            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            at = seed % size;
            piece = pieces[(seed >> 32) % (sizeof pieces / sizeof pieces[0])];
            if (size + strlen(piece) >= sizeof text)
                break;
            memmove(text + at + strlen(piece), text + at, size - at + 1);
            memcpy(text + at, piece, strlen(piece));
        }
        read_config(text);
        bind_all(&fields);
        (void)forget(NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_good, forget),          cmocka_unit_test_teardown(test_missing, forget),
        cmocka_unit_test_teardown(test_join, forget),
        cmocka_unit_test_teardown(test_values, forget),        cmocka_unit_test_teardown(test_unknown, forget),
        cmocka_unit_test_teardown(test_timings, forget),       cmocka_unit_test_teardown(test_members, forget),
        cmocka_unit_test_teardown(test_listen, forget),        cmocka_unit_test_teardown(test_port_0, forget),
        cmocka_unit_test_teardown(test_levels, forget),
        cmocka_unit_test_teardown(test_options, forget),       cmocka_unit_test_teardown(test_option_faults, forget),
        cmocka_unit_test_teardown(test_bad_utf8, forget),      cmocka_unit_test_teardown(test_print, forget),
        cmocka_unit_test_teardown(test_print_of_shared_keys, forget),
        cmocka_unit_test_teardown(test_round_trip, forget),    cmocka_unit_test_teardown(test_tables, forget),
        cmocka_unit_test_teardown(test_noise, forget),
        cmocka_unit_test_teardown(test_short_rows, forget),
    };

    (void)unsetenv("GAVEL_PLUGIN_DIR");
    return cmocka_run_group_tests_name("host-config", tests, NULL, NULL);
}
