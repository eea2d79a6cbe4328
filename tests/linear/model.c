/* SPDX-License-Identifier: Apache-2.0 */
/* model.c - a key-value store of one key; see model.h. */
#include "tests/linear/model.h"

#include <assert.h>

static uint8_t write_value(const struct model_key *before, const struct model_command *command, struct model_key *after)
{
    *after = (struct model_key){
        .value = command->value, .revision = command->index, .version = before->version + 1};
    return HISTORY_OK;
}

static uint8_t run_revision(const struct model_key *before, const struct model_command *command,
                            struct model_key *after)
{
    if (!before->version != !command->expect)
        return HISTORY_CONDITION; /* it exists and must not, or the reverse */
    if (before->version && before->revision && before->revision != command->expect)
        return HISTORY_CONDITION;
    (void)write_value(before, command, after);
    return before->version && !before->revision ? MODEL_EITHER : HISTORY_OK;
}

static uint8_t run_stop(const struct model_key *before, const struct model_command *command, struct model_key *after)
{
    if (!before->version)
        return HISTORY_ABSENT;
    if (!before->stopped) {
        after->stopped = 1;
        after->version++;
        after->revision = command->index;
    }
    return HISTORY_OK; /* stopping what is stopped changes nothing and is answered the same */
}

uint8_t model_run(const struct model_key *before, const struct model_command *command, struct model_key *after)
{
    struct model_command sum = *command;

    *after = *before;
    switch (command->kind) {
    case HISTORY_GET:
        return before->version ? HISTORY_OK : HISTORY_ABSENT;
    case HISTORY_SET:
        return write_value(before, command, after);
    case HISTORY_DELETE:
        *after = (struct model_key){0};
        return before->version ? HISTORY_OK : HISTORY_ABSENT;
    case HISTORY_ADD:
        sum.value += before->value;
        return write_value(before, &sum, after);
    case HISTORY_CAS:
        if (!before->version || before->value != command->expect)
            return HISTORY_CONDITION;
        return write_value(before, command, after);
    case HISTORY_CASREV:
        return run_revision(before, command, after);
    case HISTORY_START:
        return before->version && !before->stopped ? HISTORY_EXISTS : write_value(before, command, after);
    case HISTORY_UPDATE:
        if (!before->version || before->stopped)
            return before->version ? HISTORY_STATE : HISTORY_ABSENT;
        return write_value(before, command, after);
    case HISTORY_STOP:
        return run_stop(before, command, after);
    default:
        assert(!"a command of one key");
        return HISTORY_FAILED;
    }
}
