/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loader.c - files: where they are, whether they may be trusted, and their entry function. What the entry returns is
 * checked in adopt.c.
 *
 * A file is looked at before dlopen runs any of its code: that it is there, is a module for this machine, and that
 * nobody but its owner can have put code into it.
 */
#include "core/host/loader.h"

#include "core/codec/field.h"
#include "core/host/directory.h"
#include "core/host/module.h"
#include "core/host/schema.h"
#include "core/os/call.h"

#include <assert.h>
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- the file ---------------------------------------------------------------------------------------------------- */

/*
 * Whether the file holds all that its segments claim: the dynamic linker maps them without looking, and the first
 * access behind the end of a file that was cut short kills the process.
 */
static int32_t check_whole(const char *path, int fd, const Elf64_Ehdr *header, struct gavel_error *error)
{
    uint64_t end = header->e_shoff + (uint64_t)header->e_shnum * header->e_shentsize;
    struct stat stat;

    for (uint64_t i = 0; i < header->e_phnum; i++) {
        Elf64_Phdr segment;
        ssize_t got = pread(fd, &segment, sizeof segment, (off_t)(header->e_phoff + i * header->e_phentsize));

        if (got != (ssize_t)sizeof segment || segment.p_offset > INT64_MAX || segment.p_filesz > INT64_MAX)
            end = UINT64_MAX; /* forged, if not cut: their sum must not wrap around */
        else if (segment.p_offset + segment.p_filesz > end)
            end = segment.p_offset + segment.p_filesz;
    }
    if (fstat(fd, &stat) != 0)
        return gavel_fail(error, GAVEL_E_CONFIG, "%s: cannot be read: %s", path, strerror(errno));
    if ((uint64_t)stat.st_size < end)
        return gavel_fail(error, GAVEL_E_CONFIG, "%s: is cut short after %lld bytes; install it again", path,
                          (long long)stat.st_size);
    return GAVEL_OK;
}

/* The header of this program: what machine the process is for, without a list of machines. */
extern const Elf64_Ehdr __ehdr_start __attribute__((visibility("hidden")));

static int32_t check_elf(const char *path, int fd, struct gavel_error *error)
{
    Elf64_Ehdr header;
    ssize_t got = pread(fd, &header, sizeof header, 0);

    if (got < 0)
        return gavel_fail(error, GAVEL_E_CONFIG, "%s: cannot be read: %s", path, strerror(errno));
    if (got < (ssize_t)SELFMAG || memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
        return gavel_fail(error, GAVEL_E_CONFIG,
                          "%s: is not a module: found a file without the ELF mark, wanted a shared object; name the "
                          ".so file that the linker made", path);
    if (got < (ssize_t)sizeof header)
        return gavel_fail(error, GAVEL_E_CONFIG, "%s: is cut short after %zd bytes; install it again", path, got);
    if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB || header.e_type != ET_DYN)
        return gavel_fail(error, GAVEL_E_CONFIG,
                          "%s: is an ELF file of class %u and type %u, wanted a 64-bit shared object (-shared -fPIC)",
                          path, header.e_ident[EI_CLASS], header.e_type);
    if (header.e_machine != __ehdr_start.e_machine)
        return gavel_fail(error, GAVEL_E_CONFIG,
                          "%s: is for machine %u of the ELF list, this gaveld is for %u; build it here, or install the "
                          "package of this architecture", path, header.e_machine, __ehdr_start.e_machine);
    return check_whole(path, fd, &header, error);
}

static int32_t check_file(const char *path, struct gavel_error *error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat stat;
    int32_t status;

    if (fd < 0 && errno == ENOENT)
        return gavel_fail(error, GAVEL_E_NOT_FOUND, "%s: there is no such file; see gaveld --list-plugins", path);
    if (fd < 0)
        return gavel_fail(error, GAVEL_E_CONFIG, "%s: cannot be opened: %s", path, strerror(errno));
    if (fstat(fd, &stat) != 0 || !S_ISREG(stat.st_mode))
        status = gavel_fail(error, GAVEL_E_CONFIG, "%s: is not a regular file", path);
    else if (stat.st_mode & (S_IWGRP | S_IWOTH))
        status = gavel_fail(error, GAVEL_E_CONFIG,
                            "%s: others than its owner may write it (mode %04o), and what they write would run here; "
                            "chmod go-w it", path, stat.st_mode & 07777);
    else
        status = check_elf(path, fd, error);
    (void)close(fd);
    return status;
}

/* The real place of a plugin named by name must lie in the real plugin directory: no link leads out of it. */
static int32_t check_inside(const char *path, const char *dir, struct gavel_error *error)
{
    char real_path[PATH_MAX], real_dir[PATH_MAX];
    size_t size;

    if (!realpath(dir, real_dir) || !realpath(path, real_path))
        return GAVEL_OK; /* check_file says what is missing */
    size = strlen(real_dir);
    if (strncmp(real_path, real_dir, size) != 0 || real_path[size] != '/')
        return gavel_fail(error, GAVEL_E_CONFIG,
                          "%s: leads out of the plugin directory to %s; if that is meant, name the full path in the "
                          "INI file", path, real_path);
    return GAVEL_OK;
}

/* Load the file, from `from`, and ask its entry function for the head. */
static int32_t open_module(const char *path, const char *from, const char *name, const struct gavel_plugin **found,
                           struct gavel_error *error)
{
    char symbol[96];
    gavel_plugin_entry entry;
    struct os_call before;
    void *handle = dlopen(from, RTLD_NOW | RTLD_LOCAL);

    if (!handle) {
        const char *why = dlerror();
        size_t size = strlen(from);

        if (strncmp(why, from, size) == 0 && strncmp(why + size, ": ", 2) == 0)
            why += size + 2;
        return gavel_fail(error, GAVEL_E_CONFIG, "%s: cannot be loaded: %s", path, why);
    }
    (void)snprintf(symbol, sizeof symbol, "gavel_plugin_%s", name);
    for (char *at = symbol; *at; at++)
        *at = (char)(*at == '-' ? '_' : *at);
    *(void **)&entry = dlsym(handle, symbol);
    if (!entry)
        return gavel_fail(error, GAVEL_E_CONFIG,
                          "%s: has no entry function: wanted %s(); write GAVEL_PLUGIN(%s), and export it", path, symbol,
                          symbol + strlen("gavel_plugin_"));
    host_module_add(path, *(void **)&entry);
    before = os_call_enter(path, symbol, OS_CALL_LOOP);
    *found = entry();
    os_call_set(before);
    if (!*found)
        return gavel_fail(error, GAVEL_E_CONFIG, "%s: %s() returned no plugin", path, symbol);
    return GAVEL_OK;
}

/* ---- another content under the same name ------------------------------------------------------------------------- */

/* Everything that tells one file from another. False with errno. */
static bool look_at(const char *path, struct host_file *file)
{
    unsigned char bytes[65536];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat stat;
    ssize_t got = -1;

    if (fd < 0)
        return false;
    *file = (struct host_file){.hash = 1};
    while (fstat(fd, &stat) == 0 && (got = read(fd, bytes, sizeof bytes)) > 0)
        file->hash = gavel_mix(file->hash, bytes, (uint64_t)got);
    file->device = stat.st_dev;
    file->inode = stat.st_ino;
    file->size = (uint64_t)stat.st_size;
    file->changed_ns = (int64_t)stat.st_mtim.tv_sec * 1000000000 + stat.st_mtim.tv_nsec;
    (void)close(fd);
    return got == 0;
}

bool host_plugin_changed(const struct host_plugin *plugin)
{
    struct host_file now;
    struct stat stat_of;

    if (!*plugin->path || stat(plugin->path, &stat_of) != 0)
        return false;
    if (stat_of.st_dev == plugin->file.device && stat_of.st_ino == plugin->file.inode &&
        (uint64_t)stat_of.st_size == plugin->file.size &&
        (int64_t)stat_of.st_mtim.tv_sec * 1000000000 + stat_of.st_mtim.tv_nsec == plugin->file.changed_ns)
        return false;
    /* The same bytes again, as a package that is installed anew: nothing has changed. */
    return look_at(plugin->path, &now) && (now.hash != plugin->file.hash || now.size != plugin->file.size);
}

/* Copy what was checked; the copy is checked again, whatever became of the file meanwhile. */
static int32_t copy_file(const char *path, const char *copy, struct gavel_error *error)
{
    unsigned char bytes[65536];
    int in = open(path, O_RDONLY | O_CLOEXEC);
    int out = in < 0 ? -1 : open(copy, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0700);
    bool good = out >= 0;
    ssize_t got = 0;

    while (good && (got = read(in, bytes, sizeof bytes)) > 0)
        good = write(out, bytes, (size_t)got) == got;
    good = good && got == 0;
    if (out >= 0 && close(out) != 0)
        good = false;
    if (in >= 0)
        (void)close(in);
    return good ? check_file(copy, error)
                : gavel_fail(error, GAVEL_E_CONFIG, "%s: cannot be copied to %s: %s", path, copy, strerror(errno));
}

static int32_t make_copy(struct host_loader *loader, const char *path, struct host_file *file, char *copy,
                         struct gavel_error *error)
{
    const char *name = strrchr(path, '/');
    struct host_file made;
    int32_t status;

    if (!loader->fresh && loader->generation >= HOST_GENERATIONS_MAX)
        return gavel_fail(error, GAVEL_E_STATE,
                          "%s: %d generations of plugins have been loaded into this process, and nothing is ever "
                          "unloaded: restart gaveld to load another one", path, HOST_GENERATIONS_MAX);
    if (!loader->fresh)
        loader->generation++;
    loader->fresh = true;
    if (snprintf(copy, HOST_PLUGIN_PATH_MAX, "%s/%u-%u%s%s", loader->private_dir, loader->generation, loader->count,
                 name ? "-" : "", name ? name + 1 : path) >= HOST_PLUGIN_PATH_MAX)
        return gavel_fail(error, GAVEL_E_CONFIG, "%s: has too long a name", path);
    (void)unlink(copy);
    status = copy_file(path, copy, error);
    if (status == GAVEL_OK && look_at(copy, &made)) {
        file->hash = made.hash; /* of what runs, should the file have changed under the copying */
        file->size = made.size;
    }
    return status;
}

int32_t host_loader_again(struct host_loader *loader, const char *private_dir, struct gavel_error *error)
{
    if (mkdir(private_dir, 0700) != 0 && errno != EEXIST)
        return gavel_fail(error, GAVEL_E_IO, "%s: cannot be made: %s", private_dir, strerror(errno));
    loader->generation += loader->generation == 0;
    loader->round++;
    loader->fresh = false;
    loader->private_dir = private_dir;
    return GAVEL_OK;
}

/* ---- the list ---------------------------------------------------------------------------------------------------- */

/* Adopt `found` and keep it. */
static int32_t keep(struct host_loader *loader, const struct gavel_plugin *found, const char *path,
                    const struct host_file *file, const char *name, uint64_t kind, const struct host_plugin **plugin,
                    struct gavel_error *error)
{
    struct host_plugin *made;
    int32_t status;

    if (loader->count == HOST_PLUGINS_MAX)
        return gavel_fail(error, GAVEL_E_CONFIG, "%s: more than %d plugins in one process", name, HOST_PLUGINS_MAX);
    made = calloc(1, sizeof *made + strlen(path) + 1);
    if (!made)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "memory is out");
    memcpy(made + 1, path, strlen(path) + 1);
    status = host_plugin_adopt(found, (const char *)(made + 1), name, kind, made, error);
    if (status != GAVEL_OK) {
        free(made);
        return status;
    }
    made->round = loader->round;
    if (file)
        made->file = *file;
    loader->plugin[loader->count++] = made;
    *plugin = made;
    return GAVEL_OK;
}

/* The plugin of that file if it is loaded already; a fault when another file has its name. */
static int32_t loaded(const struct host_loader *loader, const char *path, const char *name, uint64_t kind,
                      const struct host_plugin **plugin, struct gavel_error *error)
{
    *plugin = NULL;
    for (unsigned i = 0; i < loader->count; i++) {
        struct host_plugin *held = loader->plugin[i];

        if (held->head.kind != kind || strcmp(held->head.name, name) != 0)
            continue;
        if (held->round != loader->round) {
            /* An earlier reading loaded it: it serves again if nothing has changed, and clashes with nothing. */
            if (strcmp(held->path, path) != 0 || (*path && host_plugin_changed(held)))
                continue;
            held->round = loader->round;
        }
        if (strcmp(held->path, path) != 0)
            return gavel_fail(error, GAVEL_E_CONFIG,
                              "%s: the name clashes: the %s %s was loaded from %s; name one of the two files "
                              "everywhere",
                              *path ? path : "(linked in)", host_kind_name(kind), name,
                              *held->path ? held->path : "gaveld itself");
        *plugin = held;
        return GAVEL_OK;
    }
    return GAVEL_OK;
}

static int32_t load_file(struct host_loader *loader, const char *path, const char *name, uint64_t kind,
                         const struct host_plugin **plugin, struct gavel_error *error)
{
    const struct gavel_plugin *found = NULL;
    struct host_file file;
    char copy[HOST_PLUGIN_PATH_MAX];
    int32_t status = loaded(loader, path, name, kind, plugin, error);

    if (status != GAVEL_OK || *plugin)
        return status;
    status = check_file(path, error);
    if (status == GAVEL_OK && !look_at(path, &file))
        status = gavel_fail(error, GAVEL_E_CONFIG, "%s: cannot be read: %s", path, strerror(errno));
    (void)snprintf(copy, sizeof copy, "%s", path);
    if (status == GAVEL_OK && loader->private_dir)
        status = make_copy(loader, path, &file, copy, error);
    if (status == GAVEL_OK)
        status = open_module(path, copy, name, &found, error);
    if (loader->private_dir && strcmp(copy, path) != 0)
        (void)unlink(copy); /* it stays in memory, for as long as the process runs */
    if (status == GAVEL_OK)
        status = keep(loader, found, path, &file, name, kind, plugin, error);
    return status;
}

int32_t host_load_path(struct host_loader *loader, const char *path, const struct host_plugin **plugin,
                       struct gavel_error *error)
{
    const char *file = strrchr(path, '/');
    char real[PATH_MAX], name[64];
    uint64_t kind;

    file = file ? file + 1 : path;
    if (!host_plugin_file(file, name, &kind))
        return gavel_fail(error, GAVEL_E_CONFIG,
                          "%s: is no name for a plugin's file: wanted gavel-NAME-KIND.so with a KIND of transport, "
                          "serializer, statemachine or observer", path);
    return load_file(loader, realpath(path, real) ? real : path, name, kind, plugin, error);
}

static const struct host_builtin *builtin_of(const struct host_builtin *builtins, const char *name, uint64_t kind)
{
    for (; builtins && builtins->entry; builtins++)
        if (builtins->kind == kind && strcmp(builtins->name, name) == 0)
            return builtins;
    return NULL;
}

int32_t host_load_builtin(const char *name, uint64_t kind, const struct host_builtin *builtins,
                          struct host_plugin *plugin, struct gavel_error *error)
{
    const struct host_builtin *builtin = builtin_of(builtins, name, kind);

    if (!builtin)
        return gavel_fail(error, GAVEL_E_NOT_FOUND, "no %s called %s is linked in", host_kind_name(kind), name);
    return host_plugin_adopt(builtin->entry(), "", name, kind, plugin, error);
}

/*
 * The nearest name among the files of a directory; their names are gone when the walk is over, so the best is copied.
 */
struct hint {
    struct codec_nearest nearest;
    char best[64];
};

static void offer_file(void *context, const char *file)
{
    struct hint *hint = context;
    char name[64];
    uint64_t kind;

    if (!host_plugin_file(file, name, &kind))
        return;
    codec_nearest_offer(&hint->nearest, gavel_text(name));
    if (hint->nearest.best.data == name) {
        memcpy(hint->best, name, sizeof name);
        hint->nearest.best.data = hint->best;
    }
}

/* Put "did you mean" behind the sentence, when the directory has a plugin of nearly that name. */
static void add_hint(const char *dir, const char *name, uint64_t kind, struct gavel_error *error)
{
    struct hint hint = {.nearest = {.wanted = gavel_text(name)}};
    size_t used = strlen(error->text);
    char text[128];

    if (host_plugins_each(dir, kind, offer_file, &hint) == GAVEL_OK)
        (void)snprintf(error->text + used, sizeof error->text - used, "%s",
                       codec_nearest_text(&hint.nearest, text, sizeof text));
}

/* A path that the INI file gives in full. */
static int32_t load_named_path(struct host_loader *loader, const char *path, uint64_t kind,
                               const struct host_plugin **plugin, struct gavel_error *error)
{
    const char *file = strrchr(path, '/') + 1;
    char name[64];
    uint64_t found;

    if (*path != '/')
        return gavel_fail(error, GAVEL_E_CONFIG,
                          "%s: leaves the plugin directory by a relative path; give the plugin's name, or the full "
                          "path of its file", path);
    if (host_plugin_file(file, name, &found) && found != kind)
        return gavel_fail(error, GAVEL_E_CONFIG, "%s: is by its name a plugin of kind %s, wanted %s", path,
                          host_kind_name(found), host_kind_name(kind));
    return host_load_path(loader, path, plugin, error);
}

int32_t host_load(struct host_loader *loader, const char *dir, const char *name, uint64_t kind,
                  const struct host_builtin *builtins, const struct host_plugin **plugin, struct gavel_error *error)
{
    const struct host_builtin *builtin = builtin_of(builtins, name, kind);
    char path[HOST_PLUGIN_PATH_MAX], real[PATH_MAX];
    int32_t status;

    assert(host_kind_name(kind));
    if (strchr(name, '/'))
        return load_named_path(loader, name, kind, plugin, error);
    if (snprintf(path, sizeof path, "%s/gavel-%s-%s.so", dir, name, host_kind_name(kind)) >= (int)sizeof path ||
        strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(name) || strlen(name) > 63)
        return gavel_fail(error, GAVEL_E_CONFIG, "\"%.80s\" is no name for a plugin: lower-case letters, digits and "
                                                 "'-'",
                          name);
    if (builtin && access(path, F_OK) != 0) {
        status = loaded(loader, "", name, kind, plugin, error);
        return status != GAVEL_OK || *plugin ? status
                                             : keep(loader, builtin->entry(), "", NULL, name, kind, plugin, error);
    }
    status = check_inside(path, dir, error);
    if (status != GAVEL_OK)
        return status;
    status = load_file(loader, realpath(path, real) ? real : path, name, kind, plugin, error);
    if (status == GAVEL_E_NOT_FOUND && error)
        add_hint(dir, name, kind, error);
    return status;
}

void host_loader_free(struct host_loader *loader)
{
    for (unsigned i = 0; i < loader->count; i++) {
        loader->plugin[i]->magic = 0;
        if (loader->plugin[i]->head.kind == GAVEL_KIND_STATEMACHINE)
            free((void *)(uintptr_t)loader->plugin[i]->operations.statemachine.commands);
        free(loader->plugin[i]);
    }
    loader->count = 0;
}
