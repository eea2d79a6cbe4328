/* SPDX-License-Identifier: Apache-2.0 */
/*
 * process.c - up: directory, loop, services, observers, other plugins, node; and down in the reverse order.
 *
 * Nothing is written before the node listens: a port in use, a directory that may not be written or a plugin that
 * cannot start costs one line and an exit code.
 */
#include "core/host/process.h"

#include "core/host/builtin.h"
#include "core/host/option.h"
#include "core/host/reload.h"
#include "core/os/call.h"

#include <assert.h>
#include <errno.h>
#include <libgen.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#define PROCESS_MAGIC 0xe7310bd4u
#define FILES_BEYOND_CLIENTS 512 /* descriptors for peers, segments, snapshots and plugins */
#define QUIESCE_MS 3000          /* for all transports, then for all others; a connection may flush for 1 s */
#define GUARD_MORE_MS 8000       /* beyond stop_timeout: twice QUIESCE_MS, and lanes that end */
#define CLOSE_TURNS 8            /* of the loop; a close takes one, and its call-back may close another */
#define GUARD_LAST_MS 1000       /* beyond that: when the loop itself waits */

/* ---- before anything else ---------------------------------------------------------------------------------------- */

static void prepare_limits(const struct host_process *process)
{
    rlim_t wanted = (rlim_t)process->setup->config.client.connections + FILES_BEYOND_CLIENTS;
    struct rlimit limit;

    (void)umask(077);
    (void)signal(SIGPIPE, SIG_IGN);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < wanted) {
        limit.rlim_cur = limit.rlim_max == RLIM_INFINITY || wanted < limit.rlim_max ? wanted : limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit); /* fewer files: fewer clients, which is told when it happens */
    }
}

/* Why it cannot be made, and what the administrator is to do about it. Returns an exit code. */
static int tell_unmade(const char *dir, int reason)
{
    int code = reason == EACCES || reason == EPERM || reason == EROFS ? EX_NOPERM : EX_IOERR;
    const struct passwd *user = getpwuid(geteuid());
    char copy[HOST_DATA_DIR_MAX + 1], who[64];
    const char *parent;
    bool seen;

    (void)snprintf(copy, sizeof copy, "%s", dir);
    parent = dirname(copy);
    seen = access(parent, F_OK) == 0;
    if (user)
        (void)snprintf(who, sizeof who, "%s", user->pw_name);
    else
        (void)snprintf(who, sizeof who, "%lu", (unsigned long)geteuid());
    if (reason == ENOENT && !seen)
        (void)fprintf(stderr, "gaveld: data_dir %s cannot be made: there is no directory %s; make it, and let user %s "
                      "write in it\n", dir, parent, who);
    else if ((reason == EACCES || reason == EPERM) && !seen)
        (void)fprintf(stderr, "gaveld: data_dir %s cannot be made: user %s may not go through a directory on the way "
                      "to %s\n", dir, who, parent);
    else if (reason == EACCES || reason == EPERM)
        (void)fprintf(stderr, "gaveld: data_dir %s cannot be made: user %s may not write in %s; make it for that user: "
                      "install -d -m 0700 -o %s %s\n", dir, who, parent, who, dir);
    else
        (void)fprintf(stderr, "gaveld: data_dir %s cannot be made: %s\n", dir, strerror(reason));
    return code;
}

/* Make the data directory if it is missing, and see that it can be written. Returns an exit code. */
static int prepare_data_dir(struct host_process *process)
{
    const char *dir = process->setup->config.node.data_dir.data;
    struct stat stat_of;

    if (mkdir(dir, 0700) == 0) {
        process->made_data_dir = true;
    } else if (errno != EEXIST) {
        return tell_unmade(dir, errno);
    }
    if (stat(dir, &stat_of) != 0 || !S_ISDIR(stat_of.st_mode)) {
        (void)fprintf(stderr, "gaveld: data_dir %s is not a directory\n", dir);
        return EX_IOERR;
    }
    if (access(dir, R_OK | W_OK | X_OK) != 0) {
        (void)fprintf(stderr, "gaveld: data_dir %s cannot be used: %s\n", dir, strerror(errno));
        return EX_NOPERM;
    }
    if (!realpath(dir, process->data_dir) || strlen(process->data_dir) > HOST_DATA_DIR_MAX) {
        (void)fprintf(stderr, "gaveld: data_dir %s has a full path of more than %d bytes: a Unix socket in it would "
                      "have no address\n", dir, HOST_DATA_DIR_MAX);
        return EX_CONFIG;
    }
    (void)snprintf(process->admin_uri, sizeof process->admin_uri, "unix://%s/" HOST_ADMIN_SOCKET, process->data_dir);
    process->admin_listen[0] = process->admin_uri;
    (void)snprintf(process->private_dir, sizeof process->private_dir, "%s/run", process->data_dir);
    return EX_OK;
}

/* ---- signals and stopping ---------------------------------------------------------------------------------------- */

static void too_long(uv_timer_t *timer)
{
    (void)timer;
    host_watch_tell();
    (void)fputs("gaveld: the stop took too long and is cut short\n", stderr);
    _exit(EX_SOFTWARE);
}

static void start_guard(struct host_process *process)
{
    uint64_t ms = process->setup->config.node.stop_timeout + GUARD_MORE_MS;

    if (uv_is_active((uv_handle_t *)&process->guard))
        return;
    (void)uv_timer_start(&process->guard, too_long, ms, 0);
    host_watch_deadline(process->watch, ms + GUARD_LAST_MS);
}

void host_process_stop(struct host_process *process)
{
    if (process->stopping)
        return;
    process->stopping = true;
    host_reload_stopping(process->reload);
    start_guard(process);
    host_supervise_stopping(process, process->setup->config.node.stop_timeout + GUARD_MORE_MS, "stopping");
    if (process->running)
        node_stop(process->node);
    else
        uv_stop(&process->loop);
}

void host_process_reopen(struct host_process *process)
{
    for (unsigned i = 0; i < process->part_count; i++) {
        struct gavel_error error;

        if (process->part[i]->config->kind == GAVEL_KIND_OBSERVER &&
            host_instance_reload(&process->part[i]->instance, &error) != GAVEL_OK)
            gavel_log(&process->node_face.host, GAVEL_LOG_ERROR, "host", "%s", error.text);
    }
    gavel_log(&process->node_face.host, GAVEL_LOG_INFO, "host", "Log files are opened again");
}

void host_process_let_go(struct host_process *process, struct host_setup *setup)
{
    assert(setup->users > 0);
    if (--setup->users > 0 || setup == process->first)
        return;
    host_setup_free(setup);
    free(setup);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct host_process *process = handle->data;

    assert(process->magic == PROCESS_MAGIC);
    if (number == SIGHUP) {
        host_process_reopen(process); /* whatever becomes of the reload: files were moved away */
        host_reload_begin(process, (struct node_caller){0}, true);
        return;
    }
    if (process->stopping) {
        (void)fprintf(stderr, "gaveld: signal %d again: leaving at once\n", number);
        _exit(128 + number);
    }
    gavel_log(&process->node_face.host, GAVEL_LOG_INFO, "host", "Signal %s: stopping",
              number == SIGTERM ? "TERM" : "INT");
    host_process_stop(process);
}

static void watch_signals(struct host_process *process)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};

    for (unsigned i = 0; i < 3; i++) {
        (void)uv_signal_start(&process->signal[i], on_signal, numbers[i]);
        uv_unref((uv_handle_t *)&process->signal[i]);
    }
}

/* ---- up ---------------------------------------------------------------------------------------------------------- */

static int exit_code_of(int32_t status)
{
    switch (status) {
    case GAVEL_E_IO:
    case GAVEL_E_NO_SPACE:
        return EX_IOERR;
    case GAVEL_E_DENIED:
        return EX_NOPERM;
    case GAVEL_E_CONFIG:
    case GAVEL_E_INVALID:
    case GAVEL_E_VERSION:
        return EX_CONFIG;
    case GAVEL_E_CORRUPT:
        return EX_DATAERR;
    default:
        return EX_SOFTWARE;
    }
}

static int tell(int32_t status, const struct gavel_error *error)
{
    (void)fprintf(stderr, "gaveld: %s\n", error->text);
    return exit_code_of(status);
}

static int init_loop(struct host_process *process)
{
    uv_loop_t *loop = &process->loop;

    if (uv_loop_init(loop) != 0 || uv_timer_init(loop, &process->deadline) != 0 ||
        uv_timer_init(loop, &process->guard) != 0 || host_scout_open(process) != 0 ||
        uv_timer_init(loop, &process->patience) != 0 ||
        uv_timer_init(loop, &process->probe) != 0)
        return EX_SOFTWARE;
    (void)uv_loop_configure(loop, UV_METRICS_IDLE_TIME);
    process->deadline.data = process;
    process->patience.data = process;
    for (unsigned i = 0; i < 3; i++) {
        (void)uv_signal_init(loop, &process->signal[i]);
        process->signal[i].data = process;
    }
    host_supervise_open(process);
    process->services = host_services_new(loop, process->name);
    if (!process->services) {
        (void)fputs("gaveld: memory or file descriptors are out\n", stderr);
        return EX_SOFTWARE;
    }
    host_process_probe(process, false);
    return EX_OK;
}

static int start_part(struct host_process *process, unsigned i)
{
    struct host_part *part = host_part_new(process, process->setup, i);
    struct gavel_error error;
    int32_t status;

    if (!part)
        return tell(gavel_fail(&error, GAVEL_E_NO_MEMORY, "memory is out"), &error);
    status = host_part_start(part, &error);
    if (status == GAVEL_OK && part->config->kind == GAVEL_KIND_OBSERVER)
        status = host_part_observe(part, NULL, &error) == GAVEL_OK ? GAVEL_OK : GAVEL_E_CONFIG;
    if (status == GAVEL_OK)
        host_part_move(part, HOST_PART_SERVING);
    return status == GAVEL_OK ? EX_OK : tell(status, &error);
}

/* Observers first, so that the others are heard. */
static int start_instances(struct host_process *process)
{
    const struct host_config *config = &process->setup->config;
    struct gavel_error error;
    int code = EX_OK;

    for (unsigned i = 0; i < config->instance_count && code == EX_OK; i++)
        if (config->instance[i].kind == GAVEL_KIND_OBSERVER)
            code = start_part(process, i);
    if (code == EX_OK && host_services_ready(process->services, &error) != GAVEL_OK)
        code = tell(GAVEL_E_NO_MEMORY, &error);
    host_services_trace(process->services, config->trace.ratio);
    host_face_init(&process->node_face, process->services, "node", true);
    for (unsigned i = 0; i < config->instance_count && code == EX_OK; i++)
        if (config->instance[i].kind != GAVEL_KIND_OBSERVER)
            code = start_part(process, i);
    return code;
}

static void *tcp_options(struct host_process *process, const struct gavel_fields *table, struct gavel_error *error)
{
    void *options = table ? host_arena_take(&process->setup->config.arena, table->struct_size) : NULL;

    if (table && host_option_defaults(table, options, &process->setup->config.arena, error) != GAVEL_OK)
        return NULL;
    return options;
}

/* The admin socket has a tcp transport of its own, the linked-in one, whatever the INI file names. */
static int start_admin(struct host_process *process)
{
    const struct host_plugin *plugin = &process->admin_plugin;
    struct gavel_error error;
    int32_t status = host_load_builtin("tcp", GAVEL_KIND_TRANSPORT, host_builtins, &process->admin_plugin, &error);

    if (status == GAVEL_OK)
        status = host_instance_start(&process->admin, plugin, "admin",
                                     tcp_options(process, plugin->head.options, &error), process->services, &error);
    return status == GAVEL_OK ? EX_OK : tell(status, &error);
}

/* ---- down -------------------------------------------------------------------------------------------------------- */

static void admin_quiet(void *context)
{
    struct host_process *process = context;

    process->admin_quiet = true;
}

static bool is_quiet(const struct host_process *process, bool transports)
{
    for (unsigned i = 0; i < process->part_count; i++)
        if ((process->part[i]->config->kind == GAVEL_KIND_TRANSPORT) == transports && !process->part[i]->quiesced)
            return false;
    return !transports || process->admin_quiet;
}

/* Whoever has not called done stays as it is: the process ends soon, and waits for nobody for ever. */
static void out_of_patience(uv_timer_t *timer)
{
    struct host_process *process = timer->data;

    for (unsigned i = 0; i <= process->part_count; i++) {
        bool admin = i == process->part_count;
        struct host_instance *instance = admin ? &process->admin : &process->part[i]->instance;

        if (instance->state != HOST_INSTANCE_QUIESCING || instance->given_up)
            continue;
        gavel_log(&process->node_face.host, GAVEL_LOG_ERROR, "host",
                  "%s, in quiesce: has not called done within %d ms; it is left behind", instance->who, QUIESCE_MS);
        host_instance_give_up(instance);
        *(admin ? &process->admin_quiet : &process->part[i]->quiesced) = true;
    }
}

/* Quiesce all started instances of a kind (or of every other kind) and wait for them. */
static void quiesce(struct host_process *process, bool transports)
{
    for (unsigned i = 0; i < process->part_count; i++)
        if ((process->part[i]->config->kind == GAVEL_KIND_TRANSPORT) == transports)
            host_part_quiesce(process->part[i]);
    if (transports)
        host_instance_quiesce(&process->admin, admin_quiet, process);
    (void)uv_timer_start(&process->patience, out_of_patience, QUIESCE_MS, 0);
    while (!is_quiet(process, transports))
        (void)uv_run(&process->loop, UV_RUN_ONCE);
    (void)uv_timer_stop(&process->patience);
}

static void free_parts(struct host_process *process, bool observers)
{
    for (unsigned i = process->part_count; i-- > 0;)
        if ((process->part[i]->config->kind == GAVEL_KIND_OBSERVER) == observers)
            host_part_free(process->part[i]);
}

static bool is_ours(void *context, const uv_handle_t *handle)
{
    const struct host_process *process = context;
    const char *at = (const char *)handle, *begin = (const char *)process;

    for (unsigned i = 0; i < process->part_count; i++)
        if (handle == (const uv_handle_t *)&process->part[i]->timer)
            return true;
    return (at >= begin && at < begin + sizeof *process) || host_services_own(process->services, handle) ||
           host_watch_owns(process->watch, handle) || host_meter_owns(process->meter, handle);
}

/* Handles that a plugin left open would keep the loop turning for ever: it turns until ours are closed. */
static void close_handles(struct host_process *process)
{
    uv_close((uv_handle_t *)&process->patience, NULL);
    host_meter_stop(process->meter);
    uv_close((uv_handle_t *)&process->probe, NULL);
    uv_close((uv_handle_t *)&process->deadline, NULL);
    uv_close((uv_handle_t *)&process->scout.timer, NULL);
    uv_close((uv_handle_t *)&process->guard, NULL);
    for (unsigned i = 0; i < 3; i++)
        uv_close((uv_handle_t *)&process->signal[i], NULL);
    host_supervise_close(process);
    host_services_close(process->services);
    for (unsigned i = 0; i < CLOSE_TURNS; i++)
        (void)uv_run(&process->loop, UV_RUN_NOWAIT);
}

/* Transports may call the node until they are quiet; plugins may log until they are gone. */
static void tear_down(struct host_process *process)
{
    bool asks = host_scout_stop(process);

    start_guard(process);
    process->reload = host_reload_free(process->reload);
    quiesce(process, true);
    (void)uv_timer_stop(&process->probe); /* it gives the observers' lane work */
    host_services_stop(process->services); /* first: a machine that is late works on the node's own memory */
    node_free(process->node);
    process->node = NULL;
    quiesce(process, false);
    host_instance_destroy(&process->admin);
    free_parts(process, false);
    for (unsigned i = 0; i < CLOSE_TURNS; i++)
        (void)uv_run(&process->loop, UV_RUN_NOWAIT);
    host_leak_handles(&process->loop, is_ours, process, &process->node_face.host);
    host_watch_stop(process->watch);
    host_sink_drain(host_services_sink(process->services));
    free_parts(process, true);
    close_handles(process);
    process->watch = host_watch_free(process->watch);
    process->meter = host_meter_free(process->meter);
    process->services = host_services_free(process->services);
    (void)uv_loop_close(&process->loop);
    if (asks) /* libuv would wait for the thread that waits for a name server, for seconds */
        _exit(process->exit_code);
}

static int bring_up(struct host_process *process)
{
    int code = start_instances(process);

    if (code == EX_OK)
        code = start_admin(process);
    host_supervise_reading(process);
    if (code == EX_OK)
        code = host_process_make_node(process);
    return code;
}

/* What people look for first: who runs, on what, and what deserves a look. */
static void announce(const struct host_process *process)
{
    const struct gavel_host *host = &process->node_face.host;

    gavel_log(host, GAVEL_LOG_INFO, "host", "gaveld %s, data in %s", process->version, process->data_dir);
    for (uint32_t i = 0; i < process->transport_count; i++)
        for (uint32_t j = 0; j < process->transport[i].listen_count && !process->transport[i].admin; j++)
            gavel_log(host, GAVEL_LOG_INFO, "host", "Listening on %s", node_bound(process->node, i, j));
    for (unsigned i = 0; i < process->setup->warnings.count; i++)
        gavel_log(host, GAVEL_LOG_WARN, "host", "%s", process->setup->warnings.text[i]);
}

int host_process_run(struct host_setup *setup, const char *version)
{
    struct host_process *process = calloc(1, sizeof *process);
    char prefix[96];
    int code;

    if (!process)
        return EX_SOFTWARE;
    process->magic = PROCESS_MAGIC;
    process->setup = setup;
    process->first = setup;
    setup->users = 1; /* the process, of the one in force */
    process->version = version;
    process->name = setup->config.node.name.data;
    (void)snprintf(prefix, sizeof prefix, "gaveld: [%s] ", process->name);
    os_call_prefix(prefix);
    prepare_limits(process);
    code = prepare_data_dir(process);
    if (code == EX_OK)
        code = init_loop(process);
    if (code == EX_OK) {
        code = bring_up(process);
        if (code == EX_OK) {
            announce(process);
            watch_signals(process);
            process->watch = host_watch_start(&process->loop, &process->node_face.host,
                                              setup->config.node.slow_call);
            if (host_services_measured())
                process->meter = host_meter_start(&process->loop, process->services, process->version);
            process->running = true;
            process->reload = host_reload_new(process);
            node_start(process->node);
            host_scout_start(process);
            host_process_probe(process, true);
            (void)uv_run(&process->loop, UV_RUN_DEFAULT);
            code = process->exit_code;
        }
        tear_down(process);
    }
    if (code != EX_OK && process->made_data_dir)
        (void)rmdir(process->data_dir); /* only when nothing was written into it */
    host_process_let_go(process, process->setup);
    process->magic = 0;
    free(process);
    return code;
}
