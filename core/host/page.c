/* SPDX-License-Identifier: Apache-2.0 */
/*
 * page.c - one item a row, one line a sentence, as mdoc(7) wants them.
 */
#include "core/host/page.h"

#include "core/host/option.h"
#include "core/host/roff.h"
#include "core/host/schema.h"
#include "core/host/words.h"
#include "core/os/clean.h"

#include <stdlib.h>
#include <string.h>

#define KEY_MAX 256 /* bytes of a key with its records: tls.client.cert */

static void say(void *context, const char *sentence)
{
    host_roff_prose(sentence, context);
}

static void begin_list(FILE *out)
{
    (void)fputs(".Bl -tag -width Ds\n", out);
}

static void end_list(FILE *out)
{
    (void)fputs(".El\n", out);
}

/* ---- keys of an INI section -------------------------------------------------------------------------------------- */

/* "number", or literals: "yes | no". */
static void print_value(const struct gavel_field *field, FILE *out)
{
    if (field->type == GAVEL_CHOICE) {
        for (uint64_t i = 0; field->choices[i]; i++) {
            (void)fputs(i ? " | " : "Cm ", out);
            host_roff_word(field->choices[i], out);
        }
    } else {
        (void)fputs(field->type == GAVEL_BOOL ? "Cm " : "Ar ", out);
        host_words_value(field, out);
    }
}

static void print_keys(const struct gavel_fields *table, const char *prefix, FILE *out)
{
    for (uint64_t row = 0; row < table->count; row++) {
        struct gavel_field field = host_field(table, row);
        char key[KEY_MAX];

        (void)snprintf(key, sizeof key, "%s%s", prefix, field.name);
        if (field.fallback && strcmp(field.fallback, GAVEL_PLUGINDIR) == 0)
            field.fallback = "LIBDIR/gavel, with the LIBDIR that gavel was configured with";
        (void)fputs(".It Cm ", out);
        host_roff_word(key, out);
        if (field.type != GAVEL_RECORD) {
            (void)fputs(" No = ", out);
            print_value(&field, out);
        }
        (void)fputc('\n', out);
        host_words_say(&field, HOST_IN_INI, say, out);
        if (field.type == GAVEL_RECORD && field.sub) {
            (void)snprintf(key, sizeof key, "%s%s.", prefix, field.name);
            print_keys(field.sub, key, out);
        }
    }
}

void host_page_sections(FILE *out)
{
    for (const struct host_section *section = host_sections; section->name; section++) {
        os_autofree char *help = host_words_sentence(section->help);

        (void)fprintf(out, ".Ss [%s%s]\n", section->name, section->named ? ".NAME" : "");
        host_roff_prose(help ? help : "", out);
        if (section->free)
            continue;
        begin_list(out);
        print_keys(section->fields, "", out);
        end_list(out);
    }
}

static void print_options(const struct host_plugin *plugin, FILE *out)
{
    (void)fputs(".Sh OPTIONS\n", out);
    if (!plugin->head.options || plugin->head.options->count == 0) {
        (void)fputs("It has no keys of its own beside those that\n.Xr gavel.ini 5\ntells of its section.\n", out);
        return;
    }
    (void)fputs("Keys of its section, beside those that\n.Xr gavel.ini 5\ntells of it.\n", out);
    begin_list(out);
    print_keys(plugin->head.options, "", out);
    end_list(out);
}

/* ---- commands ---------------------------------------------------------------------------------------------------- */

static void print_members(const struct gavel_fields *table, unsigned where, FILE *out)
{
    begin_list(out);
    for (uint64_t row = 0; row < table->count; row++) {
        struct gavel_field field = host_field(table, row);

        (void)fputs(".It Ar ", out);
        host_roff_word(field.name, out);
        (void)fputc('\n', out);
        host_words_say(&field, where, say, out);
        if (field.sub && field.sub->count > 0)
            print_members(field.sub, HOST_IN_RECORD, out);
    }
    end_list(out);
}

/* ".It Cm increment Ar name Oo Ar by Oc" */
static void print_head(const struct gavel_command *command, FILE *out)
{
    (void)fputs(".It Cm ", out);
    host_roff_word(command->name, out);
    for (uint64_t row = 0; command->arguments && row < command->arguments->count; row++) {
        struct gavel_field field = host_field(command->arguments, row);
        int optional = !(field.flags & GAVEL_REQUIRED);

        if (field.flags & GAVEL_DEPRECATED)
            continue;
        (void)fputs(optional ? " Oo Ar " : " Ar ", out);
        host_roff_word(field.name, out);
        (void)fputs(optional ? " Oc" : "", out);
    }
    (void)fputc('\n', out);
}

static void print_command(const char *machine, const struct gavel_command *command, FILE *out)
{
    os_autofree char *help = host_words_sentence(command->help);

    print_head(command, out);
    host_roff_prose(help ? help : "", out);
    (void)fputs(command->flags & GAVEL_READ ? "A read" : "A write", out);
    (void)fputs(command->flags & GAVEL_INTERNAL ? " that the machine asks for itself; clients cannot call it." : ".",
                out);
    (void)fputc('\n', out);
    if (command->arguments && command->arguments->count > 0)
        print_members(command->arguments, HOST_IN_COMMAND, out);
    if (command->example && !(command->flags & GAVEL_INTERNAL)) {
        os_autofree char *line = NULL;
        size_t size = 0;
        FILE *text = open_memstream(&line, &size);

        if (!text)
            return;
        (void)fprintf(text, "gavel call %s.%s %s", machine, command->name, command->example);
        (void)fclose(text);
        (void)fputs(".Pp\n.Bd -literal -compact\n", out);
        host_roff_line(line, out);
        (void)fputs(".Ed\n", out);
    }
}

static void print_commands(const struct host_plugin *plugin, FILE *out)
{
    const struct gavel_statemachine *machine = &plugin->operations.statemachine;

    (void)fputs(".Sh COMMANDS\n"
                "Arguments in brackets may be left out; with\n"
                ".Xr gavel 1\n"
                "each is written\n"
                ".Ar key Ns Li = Ns Ar value .\n", out);
    begin_list(out);
    for (uint64_t i = 0; i < machine->command_count; i++)
        print_command(plugin->head.name, &machine->commands[i], out);
    end_list(out);
}

void host_page_plugin(const struct host_plugin *plugin, FILE *out)
{
    print_options(plugin, out);
    if (plugin->head.kind == GAVEL_KIND_STATEMACHINE)
        print_commands(plugin, out);
}
