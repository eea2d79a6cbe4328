/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli_rows.c - a line for each member, for status and top. A node that was asked itself speaks for itself; of the other
 * ones the figures are those of their last answer to a check, which the best node passes on.
 */
#include "cli.h"

#include <string.h>

/* Sizes as people read them: three digits at most. */
static void put_size(FILE *out, int width, uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    char text[32];
    size_t unit = 0;
    double value = (double)bytes;

    while (value >= 999.5 && unit + 1 < sizeof units / sizeof units[0]) {
        value /= 1024;
        unit++;
    }
    (void)snprintf(text, sizeof text, value < 9.95 && unit ? "%.1f%s" : "%.0f%s", value, units[unit]);
    fprintf(out, "%*s", width, text);
}

/* "0.31/12" in milliseconds, as a pair of quantiles. */
static void put_latency(FILE *out, int width, uint64_t p50_us, uint64_t p99_us)
{
    char text[64] = "-";

    if (p50_us || p99_us)
        (void)snprintf(text, sizeof text, "%.*f/%.*f", p50_us < 10000 ? 2 : 0, (double)p50_us / 1000,
                       p99_us < 10000 ? 2 : 0, (double)p99_us / 1000);
    fprintf(out, " %*s", width, text);
}

static void put_text(FILE *out, int width, struct gavel_slice text)
{
    char safe[64];
    size_t length = 0;

    for (; length < text.size && length < sizeof safe - 1; length++) {
        char byte = ((const char *)text.data)[length];

        safe[length] = byte < 0x20 || byte == 0x7f ? '?' : byte; /* nothing that drives a terminal */
    }
    safe[length] = 0;
    fprintf(out, "%-*s ", width, safe);
}

static bool is_healthy(struct gavel_slice member)
{
    return gavel_slice_equal(gavel_get_bytes(member, "health"), gavel_text("HEALTHY"));
}

/* Its own status, if it was asked. */
static const struct cli_asked *own_status(const struct cli_asked *asked, int count, struct gavel_slice name)
{
    for (int i = 0; i < count; i++)
        if (asked[i].status >= 0 && gavel_slice_equal(gavel_get_bytes(asked[i].result->value, "name"), name))
            return &asked[i];
    return NULL;
}

static void put_figures(FILE *out, struct gavel_slice member, struct gavel_slice report)
{
    uint64_t snapshot = gavel_get_uint(report, "snapshot_index", 0);

    fprintf(out, "%6llu %10llu %10llu %8llu ", (unsigned long long)gavel_get_uint(report, "term", 0),
            (unsigned long long)gavel_get_uint(report, "commit", 0),
            (unsigned long long)gavel_get_uint(report, "applied", 0),
            (unsigned long long)gavel_get_uint(member, "lag_entries", 0));
    put_size(out, 7, gavel_get_uint(report, "log_bytes", 0));
    if (snapshot) {
        fprintf(out, " %10llu ", (unsigned long long)snapshot);
        put_size(out, 7, gavel_get_uint(report, "snapshot_bytes", 0));
    } else {
        fprintf(out, " %10s %7s", "-", "-");
    }
    fprintf(out, " %8llu %8llu", (unsigned long long)gavel_get_uint(report, "writes", 0),
            (unsigned long long)gavel_get_uint(report, "reads", 0));
    put_latency(out, 11, gavel_get_uint(report, "commit_p50_us", 0), gavel_get_uint(report, "commit_p99_us", 0));
    put_latency(out, 11, gavel_get_uint(report, "sync_p50_us", 0), gavel_get_uint(report, "sync_p99_us", 0));
}

static void put_row(FILE *out, struct gavel_slice member, const struct cli_asked *own, uint64_t members)
{
    struct gavel_slice report = codec_map_find(own ? own->result->value : member, "report");
    struct gavel_slice name = gavel_get_bytes(member, "name");
    char links[48];

    fputs("  ", out);
    put_text(out, 12, name);
    put_text(out, 10, report.data ? gavel_get_bytes(report, "role") : gavel_get_bytes(member, "role"));
    fputs(is_healthy(member) ? cli_green() : cli_red(), out);
    put_text(out, 9, gavel_get_bytes(member, "health"));
    fputs(cli_plain(), out);
    if (report.data) {
        (void)snprintf(links, sizeof links, "%llu/%llu", (unsigned long long)gavel_get_uint(report, "links", 0),
                       (unsigned long long)(members - 1));
        put_figures(out, member, report);
        fprintf(out, " %6s ", links);
        cli_print_value(codec_map_find(report, "version"), out);
    }
    putc('\n', out);
    if (is_healthy(member))
        return;
    fprintf(out, "  %-12s %s", "", cli_red());
    cli_print_value(codec_map_find(member, "reason"), out);
    if (!own && report.data)
        fprintf(out, " (figures of %llu s ago)", (unsigned long long)gavel_get_uint(report, "age_ms", 0) / 1000);
    fprintf(out, "%s\n", cli_plain());
}

void cli_rows(FILE *out, const struct cli_asked *asked, int count, const struct cli_asked *best)
{
    struct gavel_slice members = codec_map_find(best->result->value, "members");
    struct codec_walk walk;
    struct gavel_slice key;
    struct gavel_slice member;

    fprintf(out, "  %s%-12s %-10s %-9s %6s %10s %10s %8s %7s %10s %7s %8s %8s %11s %11s %6s %s%s\n", cli_bold(),
            "member", "role", "health", "term", "commit", "applied", "lag", "log", "snapshot", "size", "writes/s",
            "reads/s", "commit ms", "sync ms", "links", "version", cli_plain());
    codec_walk_begin(&walk, members);
    while (codec_walk_next(&walk, &key, &member))
        put_row(out, member, own_status(asked, count, gavel_get_bytes(member, "name")), codec_value_count(members));
}

void cli_rows_summary(FILE *out, const struct cli_asked *best)
{
    static const char *const states[] = {"HEALTHY", "DEGRADED", "UNHEALTHY", "UNKNOWN"};
    struct gavel_slice members = codec_map_find(best->result->value, "members");
    const char *between = ": ";

    fprintf(out, "%llu", (unsigned long long)codec_value_count(members));
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        struct codec_walk walk;
        struct gavel_slice key;
        struct gavel_slice member;
        unsigned count = 0;

        codec_walk_begin(&walk, members);
        while (codec_walk_next(&walk, &key, &member))
            count += gavel_slice_equal(gavel_get_bytes(member, "health"), gavel_text(states[i]));
        if (count)
            fprintf(out, "%s%u %s", between, count, states[i]);
        between = count ? ", " : between;
    }
}

void cli_rows_not_ready(struct gavel_slice status, char *text, size_t size)
{
    struct codec_walk walk;
    struct gavel_slice key;
    struct gavel_slice row;
    size_t used = 0;

    text[0] = 0;
    codec_walk_begin(&walk, codec_map_find(status, "not_ready"));
    while (codec_walk_next(&walk, &key, &row) && used < size) {
        struct gavel_slice reason = gavel_get_bytes(row, "reason");

        used += (size_t)snprintf(text + used, size - used, "%s%.*s", used ? "; " : "", (int)reason.size,
                                 (const char *)reason.data);
    }
}

void cli_rows_alarms(FILE *out, const struct cli_asked *asked, int count)
{
    for (int i = 0; i < count; i++) {
        struct codec_walk walk;
        struct gavel_slice key;
        struct gavel_slice alarm;

        if (asked[i].status < 0)
            continue;
        codec_walk_begin(&walk, codec_map_find(asked[i].result->value, "alarms"));
        while (codec_walk_next(&walk, &key, &alarm)) {
            fprintf(out, "%s%-10s ", cli_red(), "alarm");
            cli_print_value(codec_map_find(asked[i].result->value, "name"), out);
            fputs(": ", out);
            cli_print_value(alarm, out);
            fprintf(out, "%s\n", cli_plain());
        }
    }
}
