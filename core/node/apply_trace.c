/* SPDX-License-Identifier: Apache-2.0 */
/*
 * apply_trace.c - [apply] the span of a command in its machine: one comparison for a run that has no traced entry.
 */
#include "core/node/apply_internal.h"

#include "core/codec/field.h"
#include "core/os/call.h"

void apply_trace_begin(struct apply *apply, const struct apply_run *run, uint64_t term,
                       const struct gavel_command *command)
{
    const struct gavel_host *host = apply->log.host;
    struct apply_tracing *tracing = &apply->tracing;
    char name[80];

    for (uint32_t i = 0; i < run->trace_count; i++) {
        if (run->traces[i].index != apply->index || run->traces[i].term != term)
            continue;
        (void)snprintf(name, sizeof name, "state.%s", command->name);
        tracing->span = host->span_begin(host->self, name, &run->traces[i].context, &tracing->context);
        tracing->arguments = run->trace_arguments;
        if (!tracing->span)
            return;
        tracing->outside = os_trace_here; /* what the machine logs belongs to it */
        os_trace_here = &tracing->context;
        trace_attributes(&tracing->attributes, apply->node);
        trace_text(&tracing->attributes, "command", gavel_text(command->name));
        trace_number(&tracing->attributes, "index", apply->index);
        trace_number(&tracing->attributes, "term", term);
        return;
    }
}

/* Those that the table flags as keys; a secret is none. */
void apply_trace_arguments(struct apply *apply, const struct gavel_command *command, const void *arguments)
{
    const struct gavel_fields *table = command->arguments;

    for (uint64_t i = 0; table && arguments && i < table->count; i++) {
        struct gavel_field copy;
        const struct gavel_field *field = codec_row(table, i, &copy);
        const char *member = (const char *)arguments + field->offset;
        struct gavel_slice slice;
        uint64_t number;

        if (!(field->flags & GAVEL_KEY) || field->flags & GAVEL_SECRET)
            continue;
        if (field->type == GAVEL_STRING || field->type == GAVEL_BYTES) {
            memcpy(&slice, member, sizeof slice);
            trace_text(&apply->tracing.attributes, field->name, slice);
        } else if (field->type == GAVEL_UINT) {
            memcpy(&number, member, sizeof number);
            trace_number(&apply->tracing.attributes, field->name, number);
        }
    }
}

void apply_trace_end(struct apply *apply, int32_t status)
{
    const struct gavel_host *host = apply->log.host;
    struct apply_tracing *tracing = &apply->tracing;

    host->span_end(host->self, tracing->span, status < 0 ? status : 0, tracing->attributes.item,
                   tracing->attributes.count);
    tracing->span = 0;
    os_trace_here = tracing->outside;
}
