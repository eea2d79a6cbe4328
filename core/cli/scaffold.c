/* SPDX-License-Identifier: Apache-2.0 */
/* scaffold.c - copies a template with the words of scaffold.h replaced. */
#include "core/cli/scaffold.h"

#include "core/os/clean.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LETTERS "abcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"

static const char *const kinds[] = {"statemachine", "transport", "serializer", "observer", NULL};
static const char *const languages[] = {"c", "c++", "rust", NULL};

/* What comes with gavel: a plugin of the same file name would replace it. */
static const char *const taken[] = {"workflow", "counter",    "tcp",  "websocket", "msgpack",
                                    "json",     "prometheus", "otlp", "log",       NULL};

/* A word of the template and what takes its place. */
struct word {
    const char *from;
    char to[64];
};

#define WORDS 5

struct file {
    char from[PATH_MAX];
    char to[PATH_MAX];
    mode_t mode;
};

struct plan {
    struct word words[WORDS];
    struct file *files;
    uint64_t count;
};

/* ---- what was asked for ------------------------------------------------------------------------------------------ */

static bool among(const char *const *list, const char *word)
{
    for (; *list; list++)
        if (strcmp(*list, word) == 0)
            return true;
    return false;
}

static int32_t check_name(const char *name, struct gavel_error *error)
{
    size_t size = strlen(name);

    if (size == 0 || size > SCAFFOLD_NAME_MAX || !strchr(LETTERS, name[0]) ||
        strspn(name, LETTERS DIGITS "-") != size || name[size - 1] == '-' || strstr(name, "--"))
        return gavel_fail(error, GAVEL_E_INVALID,
                          "\"%.60s\" is no name for a plugin: lower-case letters, digits and single '-' between them, "
                          "a letter first, at most %d in all",
                          name, SCAFFOLD_NAME_MAX);
    if (strcmp(name, "my-plugin") == 0)
        return gavel_fail(error, GAVEL_E_INVALID, "my-plugin is the template's own name; choose another one");
    if (among(taken, name))
        return gavel_fail(error, GAVEL_E_INVALID, "gavel comes with a plugin called %s; choose another name", name);
    return GAVEL_OK;
}

static int32_t check(const struct scaffold *scaffold, struct gavel_error *error)
{
    int32_t status = check_name(scaffold->name, error);

    if (status == GAVEL_OK && !among(kinds, scaffold->kind))
        status = gavel_fail(error, GAVEL_E_INVALID,
                            "--kind is statemachine, transport, serializer or observer, not '%.60s'", scaffold->kind);
    if (status == GAVEL_OK && !among(languages, scaffold->language))
        status = gavel_fail(error, GAVEL_E_INVALID, "--language is c, c++ or rust, not '%.60s'", scaffold->language);
    return status;
}

/* ---- words ------------------------------------------------------------------------------------------------------- */

static void set_word(struct word *word, const char *from, const char *name, char dash, bool capitals)
{
    size_t i;

    word->from = from;
    for (i = 0; name[i]; i++) {
        char letter = name[i] == '-' ? dash : name[i];

        word->to[i] = (char)(capitals ? toupper((unsigned char)letter) : letter);
    }
    word->to[i] = 0;
}

static void set_words(struct word words[WORDS], const char *name)
{
    time_t now = time(NULL);
    struct tm today;

    set_word(&words[0], "my-plugin", name, '-', false);
    set_word(&words[1], "my_plugin", name, '_', false);
    set_word(&words[2], "MY-PLUGIN", name, '-', true);
    set_word(&words[3], "MY_PLUGIN", name, '_', true);
    words[4].from = "MY-DATE";
    if (!gmtime_r(&now, &today) || strftime(words[4].to, sizeof words[4].to, "%B %d, %Y", &today) == 0)
        words[4].to[0] = 0;
}

/* Copy text with its words replaced; false when `out` took no more. */
static bool replace(const struct word words[WORDS], const char *text, size_t size, FILE *out)
{
    size_t begin = 0, at = 0;

    while (at < size) {
        size_t i, length = 0;

        for (i = 0; i < WORDS; i++) {
            length = strlen(words[i].from);
            if (length <= size - at && memcmp(text + at, words[i].from, length) == 0)
                break;
        }
        if (i == WORDS) {
            at++;
            continue;
        }
        (void)fwrite(text + begin, 1, at - begin, out);
        (void)fputs(words[i].to, out);
        at += length;
        begin = at;
    }
    (void)fwrite(text + begin, 1, size - begin, out);
    return !ferror(out);
}

/* ---- the plan ---------------------------------------------------------------------------------------------------- */

static int32_t plan_file(struct plan *plan, const char *from, const char *name, const char *dir,
                         struct gavel_error *error)
{
    struct file *file = &plan->files[plan->count];
    os_autofree char *renamed = NULL;
    size_t size = 0;
    struct stat there;
    FILE *out;

    if (snprintf(file->from, sizeof file->from, "%s/%s", from, name) >= (int)sizeof file->from)
        return gavel_fail(error, GAVEL_E_INVALID, "%.100s...: the path is too long", from);
    if (stat(file->from, &there) != 0 || !S_ISREG(there.st_mode))
        return GAVEL_OK; /* a language's directory */
    file->mode = there.st_mode & 0111 ? 0755 : 0644;
    if (plan->count == SCAFFOLD_FILES_MAX - 1)
        return gavel_fail(error, GAVEL_E_TOO_LARGE, "%s: a template has less than %d files", from, SCAFFOLD_FILES_MAX);
    out = open_memstream(&renamed, &size);
    if (!out)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "memory is out");
    name += strncmp(name, "dot.", 4) == 0 ? 3 : 0;
    (void)replace(plan->words, name, strlen(name), out);
    if (fclose(out) != 0)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "memory is out");
    if (snprintf(file->to, sizeof file->to, "%s/%s", dir, renamed) >= (int)sizeof file->to)
        return gavel_fail(error, GAVEL_E_INVALID, "%.100s...: the path is too long", dir);
    if (lstat(file->to, &there) == 0)
        return gavel_fail(error, GAVEL_E_EXISTS, "%s is there already; nothing is overwritten", file->to);
    plan->count++;
    return GAVEL_OK;
}

/* All files of one directory; the caller knows that it is there. */
static int32_t plan_directory(struct plan *plan, const char *from, const char *dir, struct gavel_error *error)
{
    struct dirent **names = NULL;
    int count = scandir(from, &names, NULL, alphasort);
    int32_t status = GAVEL_OK;
    int i;

    if (count < 0)
        return gavel_fail(error, GAVEL_E_IO, "%s: %s", from, strerror(errno));
    for (i = 0; i < count; i++) {
        const char *name = names[i]->d_name;

        if (status == GAVEL_OK && name[0] != '.' && name[strlen(name) - 1] != '~')
            status = plan_file(plan, from, name, dir, error);
        free(names[i]);
    }
    free(names);
    return status;
}

static int32_t plan_all(struct plan *plan, const struct scaffold *scaffold, struct gavel_error *error)
{
    const char *templates = scaffold->templates ? scaffold->templates : GAVEL_TEMPLATEDIR;
    char common[PATH_MAX], own[PATH_MAX];
    struct stat there;
    int32_t status;

    if (snprintf(common, sizeof common, "%s/%s", templates, scaffold->kind) >= (int)sizeof common ||
        snprintf(own, sizeof own, "%s/%s/%s", templates, scaffold->kind, scaffold->language) >= (int)sizeof own)
        return gavel_fail(error, GAVEL_E_INVALID, "%.100s...: the path is too long", templates);
    if (stat(common, &there) != 0 || !S_ISDIR(there.st_mode))
        return gavel_fail(error, GAVEL_E_NOT_FOUND,
                          "there are no templates in %s; --template or GAVEL_TEMPLATE_DIR names another directory",
                          templates);
    if (stat(own, &there) != 0 || !S_ISDIR(there.st_mode))
        return gavel_fail(error, GAVEL_E_NOT_FOUND, "there is no %s template in %s; --language c has all kinds",
                          scaffold->kind, scaffold->language);
    status = plan_directory(plan, common, scaffold->dir, error);
    return status == GAVEL_OK ? plan_directory(plan, own, scaffold->dir, error) : status;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

/* The whole file, in malloc'd memory. */
static int32_t read_file(const char *path, char **text, size_t *size, struct gavel_error *error)
{
    FILE *in = fopen(path, "re");
    char *memory = malloc(SCAFFOLD_FILE_MAX + 1);
    int32_t status = GAVEL_OK;

    if (!in || !memory)
        status = gavel_fail(error, in ? GAVEL_E_NO_MEMORY : GAVEL_E_IO, "%s: %s", path, strerror(errno));
    if (status == GAVEL_OK) {
        *size = fread(memory, 1, SCAFFOLD_FILE_MAX + 1, in);
        if (ferror(in) || *size > SCAFFOLD_FILE_MAX)
            status = gavel_fail(error, GAVEL_E_IO, "%s: cannot be read, or has over %u bytes", path, SCAFFOLD_FILE_MAX);
    }
    if (in)
        (void)fclose(in);
    if (status != GAVEL_OK)
        free(memory);
    else
        *text = memory;
    return status;
}

static int32_t write_file(const struct plan *plan, const struct file *file, struct gavel_error *error)
{
    os_autofree char *text = NULL;
    size_t size = 0;
    int32_t status = read_file(file->from, &text, &size, error);
    bool good;
    FILE *out;
    int fd;

    if (status != GAVEL_OK)
        return status;
    fd = open(file->to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, file->mode);
    out = fd < 0 ? NULL : fdopen(fd, "w");
    if (!out)
        return gavel_fail(error, errno == EEXIST ? GAVEL_E_EXISTS : GAVEL_E_IO, "%s cannot be made: %s", file->to,
                          strerror(errno));
    good = replace(plan->words, text, size, out);
    if (fclose(out) != 0 || !good)
        return gavel_fail(error, GAVEL_E_IO, "%s cannot be written: %s", file->to, strerror(errno));
    return GAVEL_OK;
}

int32_t scaffold_write(const struct scaffold *scaffold, uint64_t *files, struct gavel_error *error)
{
    struct plan plan = {.count = 0};
    int32_t status = check(scaffold, error);
    uint64_t i;

    *files = 0;
    if (status != GAVEL_OK)
        return status;
    plan.files = calloc(SCAFFOLD_FILES_MAX, sizeof *plan.files);
    if (!plan.files)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "memory is out");
    set_words(plan.words, scaffold->name);
    status = plan_all(&plan, scaffold, error);
    if (status == GAVEL_OK && mkdir(scaffold->dir, 0755) != 0 && errno != EEXIST)
        status = gavel_fail(error, GAVEL_E_IO, "%s cannot be made: %s", scaffold->dir, strerror(errno));
    for (i = 0; i < plan.count && status == GAVEL_OK; i++) {
        status = write_file(&plan, &plan.files[i], error);
        *files += status == GAVEL_OK;
    }
    free(plan.files);
    return status;
}
