/* SPDX-License-Identifier: Apache-2.0 */
/* record.c - the founding record without a node; see record.h. */
#include "core/node/record.h"

#include <string.h>

#include "core/node/bytes.h"

static int32_t cut_short(struct gavel_error *error)
{
    return gavel_fail(error, GAVEL_E_CORRUPT, "the founding record is cut short");
}

int32_t record_read(struct gavel_slice bytes, struct record *record, struct gavel_error *error)
{
    struct bytes_cursor cursor = bytes_read(bytes);
    uint32_t version = bytes_get32(&cursor);
    const uint8_t *cluster = bytes_get(&cursor, sizeof record->cluster_id.bytes);
    const uint8_t *begins = cursor.at;

    memset(record, 0, sizeof *record);
    if (!cluster)
        return cut_short(error);
    if (version != RECORD_VERSION)
        return gavel_fail(error, GAVEL_E_VERSION, "the founding record has version %u; this program reads %d", version,
                          RECORD_VERSION);
    memcpy(record->cluster_id.bytes, cluster, sizeof record->cluster_id.bytes);
    for (int i = 0; i < 4; i++)
        record->limits[i] = bytes_get64(&cursor);
    record->machine_count = bytes_get32(&cursor);
    if (!cursor.bad && record->machine_count > NODE_MACHINES_MAX)
        return gavel_fail(error, GAVEL_E_CORRUPT, "the founding record names %u machines; at most %d fit",
                          record->machine_count, NODE_MACHINES_MAX);
    for (uint32_t i = 0; i < record->machine_count && !cursor.bad; i++) {
        struct record_machine *machine = &record->machines[i];

        machine->name = bytes_get_slice(&cursor);
        machine->plugin = bytes_get_slice(&cursor);
        machine->version = bytes_get64(&cursor);
        machine->options = bytes_get_slice(&cursor);
    }
    if (cursor.bad)
        return cut_short(error);
    record->before_members = gavel_bytes(begins, (uint64_t)(cursor.at - begins));
    record->members = gavel_bytes(cursor.at, cursor.left);
    return GAVEL_OK;
}

int32_t record_rewrite(struct gavel_slice bytes, const struct log_cluster_id *cluster_id,
                       const struct members *members, struct gavel_buffer *out, struct gavel_error *error)
{
    struct record record;
    int32_t status = record_read(bytes, &record, error);

    if (status != GAVEL_OK)
        return status;
    bytes_put32(out, &status, RECORD_VERSION);
    bytes_put(out, &status, cluster_id->bytes, sizeof cluster_id->bytes);
    bytes_put(out, &status, record.before_members.data, record.before_members.size);
    if (status == GAVEL_OK)
        status = members_encode(members, out);
    return status == GAVEL_OK ? status : gavel_fail(error, status, "no memory for the founding record");
}
