/* SPDX-License-Identifier: Apache-2.0 */
/* torture_net.c - the proxy: started with the namespaces of all sides, spoken to over a Unix socket. See proxy.c. */
#include "torture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define ANSWER_MS 20000 /* of a program that does nothing but poll; longer is not busy but stuck */

static void become_proxy(struct torture *torture, const char *control, const char *log)
{
    static char numbers[TORTURE_NODES + 1][16];
    static char name[] = "proxy";
    static char port[32];
    static char path[sizeof((struct sockaddr_un *)0)->sun_path];
    char *words[TORTURE_NODES + 5] = {name, path, port};
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

    (void)snprintf(path, sizeof path, "%s", control);
    (void)snprintf(port, sizeof port, "%d+%d", TORTURE_PORT, TORTURE_PORTS - 1);
    for (int i = 0; i <= torture->slots; i++) {
        (void)snprintf(numbers[i], sizeof numbers[i], "%d",
                       i ? torture->nodes[i - 1].space : torture->client_space);
        words[3 + i] = numbers[i];
    }
    (void)setsid(); /* a signal to this group is not for it */
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0)
        _exit(126);
    (void)execv(torture->proxy, words);
    _exit(127);
}

void net_start(struct torture *torture)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    uint64_t until = torture_now(torture) + ANSWER_MS;
    char log[TORTURE_PATH];

    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s/proxy.sock", torture->dir);
    (void)snprintf(log, sizeof log, "%s/proxy.log", torture->dir);
    torture->proxy_pid = fork();
    if (torture->proxy_pid < 0)
        torture_fail(torture, "cannot fork: %s", strerror(errno));
    if (torture->proxy_pid == 0)
        become_proxy(torture, address.sun_path, log);
    torture->proxy_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    while (torture->proxy_fd < 0 || connect(torture->proxy_fd, (struct sockaddr *)&address, sizeof address) != 0) {
        if (torture_now(torture) > until || waitpid(torture->proxy_pid, NULL, WNOHANG) != 0)
            torture_fail(torture, "the proxy does not start: %s", log);
        torture_pause(2);
    }
}

const char *net_do(struct torture *torture, const char *format, ...)
{
    static char answer[256];
    struct pollfd ready = {.fd = torture->proxy_fd, .events = POLLIN};
    char line[128];
    size_t have = 0;
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(line, sizeof line - 1, format, arguments);
    va_end(arguments);
    memcpy(line + strlen(line), "\n", 2);
    if (send(torture->proxy_fd, line, strlen(line), MSG_NOSIGNAL) < 0)
        torture_fail(torture, "the proxy has gone: %s", strerror(errno));
    for (;;) {
        ssize_t got;

        if (poll(&ready, 1, ANSWER_MS) == 0)
            torture_fail(torture, "the proxy does not answer to %s", line);
        got = recv(torture->proxy_fd, answer + have, sizeof answer - 1 - have, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            torture_fail(torture, "the proxy has gone at %s", line);
        have += (size_t)got;
        answer[have] = 0;
        if (answer[have - 1] == '\n')
            break;
    }
    answer[have - 1] = 0;
    if (strncmp(answer, "ok", 2) != 0)
        torture_fail(torture, "the proxy answers '%s' to %s", answer, line);
    return answer[2] ? answer + 3 : "";
}

void net_stop(struct torture *torture)
{
    (void)close(torture->proxy_fd);
    torture->proxy_fd = -1;
    (void)kill(torture->proxy_pid, SIGTERM);
    (void)waitpid(torture->proxy_pid, NULL, 0);
    torture->proxy_pid = 0;
}
