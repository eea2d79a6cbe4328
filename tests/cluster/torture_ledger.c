/* SPDX-License-Identifier: Apache-2.0 */
/* torture_ledger.c - a line about the run, for tests/cluster/ledger, which says what its words mean. */
#include "torture.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include "commit.h"

void ledger_note(struct torture *torture, const char *format, ...)
{
    size_t used = strlen(torture->deeds);
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(torture->deeds + used, sizeof torture->deeds - used, format, arguments);
    va_end(arguments);
}

void ledger_write(const struct torture *torture, const char *result)
{
    time_t now = time(NULL);
    struct tm at;
    char date[32] = "";
    FILE *out;

    if (!torture->ledger)
        return;
    out = fopen(torture->ledger, "ae");
    if (!out) {
        printf("%s: %s\n", torture->ledger, strerror(errno));
        return;
    }
    if (gmtime_r(&now, &at))
        (void)strftime(date, sizeof date, "%Y-%m-%d", &at);
    fprintf(out, "%s %s seed=%" PRIu64 " nodes=%d seconds=%" PRIu64 " transport=%s rate=%u %s%s faults=%s%s %s\n", date,
            SIM_COMMIT, torture->seed, torture->count, torture->storm_ms / 1000, torture->transport, torture->rate,
            torture->staged ? "installed" : torture->prefix ? "elsewhere" : "built", torture->slow ? " sanitized" : "",
            torture->only ? torture->only : "drawn", torture->deeds, result);
    (void)fclose(out);
}
