/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli_top.c - gavel top: the members with their figures, drawn again every so often. On a terminal it takes the whole
 * screen, whatever its size now is, and gives it back at the end, however that comes: by q, by a signal, or while it is
 * stopped by ^Z. Anywhere else, and with --once, a frame is plain text.
 */
#include "cli.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define TOP_ASK_MS 1000 /* a key waits no longer than that for an endpoint that does not answer */
#define TOP_INTERVAL_MS 2000

/* ---- signals --------------------------------------------------------------------------------------------------- */

static volatile sig_atomic_t ended;   /* the signal that ends it */
static volatile sig_atomic_t stopped; /* ^Z */

static void on_signal(int number)
{
    if (number == SIGTSTP)
        stopped = 1;
    else if (number != SIGWINCH) /* that one only ends the wait: the next frame looks at the size */
        ended = number;
}

static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGWINCH, SIGTSTP};

#define SIGNALS (sizeof signals / sizeof signals[0])

static struct sigaction given[SIGNALS]; /* what it was started with */

/* They come only while it waits: the threads that ask, which begin later, have them blocked as well. */
static void take_signals(sigset_t *before, sigset_t *waiting)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigset_t blocked;

    ended = stopped = 0;
    (void)sigemptyset(&blocked);
    for (size_t i = 0; i < SIGNALS; i++) {
        (void)sigaddset(&blocked, signals[i]);
        (void)sigaction(signals[i], NULL, &given[i]);
        if (given[i].sa_handler != SIG_IGN) /* as nohup(1) and a shell's & have it */
            (void)sigaction(signals[i], &action, NULL);
    }
    (void)pthread_sigmask(SIG_BLOCK, &blocked, before);
    *waiting = *before;
    for (size_t i = 0; i < SIGNALS; i++)
        (void)sigdelset(waiting, signals[i]);
}

static void give_signals(const sigset_t *before)
{
    for (size_t i = 0; i < SIGNALS; i++)
        (void)sigaction(signals[i], &given[i], NULL);
    (void)pthread_sigmask(SIG_SETMASK, before, NULL);
}

/* ---- the screen ------------------------------------------------------------------------------------------------ */

struct screen {
    bool taken;
    struct termios before;
};

static void take_screen(struct screen *screen)
{
    struct termios raw;

    if (tcgetattr(STDIN_FILENO, &screen->before) != 0)
        return;
    raw = screen->before;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    (void)tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    fputs("\033[?1049h\033[?25l", stdout); /* the other screen, no cursor */
    (void)fflush(stdout);
    screen->taken = true;
}

static void give_screen(struct screen *screen)
{
    if (!screen->taken)
        return;
    screen->taken = false;
    fputs("\033[?25h\033[?1049l", stdout);
    (void)fflush(stdout);
    (void)tcsetattr(STDIN_FILENO, TCSANOW, &screen->before);
}

/* ^Z: the shell gets its screen back, and we ours when it lets us go on. */
static void stop_here(struct screen *screen)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    struct sigaction before;
    bool taken = screen->taken;
    sigset_t one;

    stopped = 0;
    give_screen(screen);
    (void)sigaction(SIGTSTP, &action, &before);
    (void)sigemptyset(&one);
    (void)sigaddset(&one, SIGTSTP);
    (void)raise(SIGTSTP);
    (void)pthread_sigmask(SIG_UNBLOCK, &one, NULL); /* here it stands still */
    (void)pthread_sigmask(SIG_BLOCK, &one, NULL);
    (void)sigaction(SIGTSTP, &before, NULL);
    if (taken)
        take_screen(screen);
}

/* Bytes of the line that fit into so many columns: colours take none, nor do continuation bytes of UTF-8. */
static size_t fitting(const char *line, size_t size, unsigned columns)
{
    unsigned column = 0;
    size_t at = 0;

    while (at < size) {
        if (line[at] == '\033') {
            while (at < size && line[at] != 'm')
                at++;
            at += at < size;
            continue;
        }
        if (((unsigned char)line[at] & 0xc0) != 0x80 && column++ == columns)
            break;
        at++;
    }
    return at;
}

/* As much of the frame as the terminal has room for. */
static void draw(const char *frame)
{
    struct winsize size = {.ws_row = 24, .ws_col = 80};

    (void)ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
    if (size.ws_row == 0 || size.ws_col == 0)
        size = (struct winsize){.ws_row = 24, .ws_col = 80};
    fputs("\033[H", stdout);
    for (unsigned row = 0; row < size.ws_row && *frame; row++) {
        size_t length = strcspn(frame, "\n");

        if (row)
            fputs("\r\n", stdout);
        printf("%.*s%s\033[K", (int)fitting(frame, length, size.ws_col), frame, cli_plain());
        frame += length + (frame[length] == '\n');
    }
    fputs("\033[J", stdout);
    (void)fflush(stdout);
}

/* ---- a frame --------------------------------------------------------------------------------------------------- */

static void put_head(FILE *out, const struct cli_asked *best, uint64_t interval_ms, bool keys)
{
    struct gavel_slice status = best->result->value;
    time_t now = time(NULL);
    struct tm local;
    char clock[16] = "";

    if (localtime_r(&now, &local))
        (void)strftime(clock, sizeof clock, "%H:%M:%S", &local);
    fprintf(out, "%sgavel top%s  %s  leader ", cli_bold(), cli_plain(), clock);
    if (cli_asked_leader(best))
        cli_print_value(codec_map_find(status, "leader"), out);
    else
        fprintf(out, "%snone: no quorum%s", cli_red(), cli_plain());
    fprintf(out, ", term %llu  members ", (unsigned long long)gavel_get_uint(status, "term", 0));
    cli_rows_summary(out, best);
    if (keys)
        fprintf(out, "  every %.1f s, q quits", (double)interval_ms / 1000);
    fputs("\ncluster ", out);
    cli_print_value(codec_map_find(status, "cluster_id"), out);
    fputs("  seen by ", out);
    cli_print_value(codec_map_find(status, "name"), out);
    fputs("\n\n", out);
}

static void put_frame(FILE *out, const struct cli_asked *asked, int count, uint64_t interval_ms, bool keys)
{
    const struct cli_asked *best = cli_asked_best(asked, count);
    bool gap = true;

    if (best) {
        put_head(out, best, interval_ms, keys);
        cli_rows(out, asked, count, best);
    } else {
        fprintf(out, "%sgavel top%s  %sno node answers%s%s\n", cli_bold(), cli_plain(), cli_red(), cli_plain(),
                keys ? "  q quits" : "");
    }
    for (int i = 0; i < count; i++)
        if (asked[i].status < 0) {
            fprintf(out, "%s  %s%s: ", gap ? "\n" : "", cli_red(), asked[i].uri);
            cli_put_plain(out, cli_asked_failure(&asked[i]));
            fprintf(out, "%s\n", cli_plain());
            gap = false;
        }
    cli_rows_alarms(out, asked, count);
}

/* ---- the loop -------------------------------------------------------------------------------------------------- */

/* Until a key, a signal, or the time; true: the end is wanted. */
static bool wait_here(struct screen *screen, uint64_t interval_ms, const sigset_t *waiting)
{
    struct timespec time = {.tv_sec = (time_t)(interval_ms / 1000), .tv_nsec = (long)(interval_ms % 1000) * 1000000};
    fd_set keys;
    char key = 0;
    int ready;

    if (ended)
        return true; /* signals come below, but a sanitizer hands one over when the next call is made */
    FD_ZERO(&keys);
    if (screen->taken)
        FD_SET(STDIN_FILENO, &keys);
    ready = pselect(screen->taken ? STDIN_FILENO + 1 : 0, &keys, NULL, NULL, &time, waiting);
    if (stopped)
        stop_here(screen);
    if (ready > 0) {
        ssize_t got = read(STDIN_FILENO, &key, 1);

        if (got == 0 || (got < 0 && errno != EINTR))
            return true; /* the terminal is gone */
    }
    return ended || key == 'q' || key == 'Q';
}

struct top {
    bool once;
    uint64_t interval_ms;
    uint64_t frames; /* 0: for ever */
};

static int show(const struct top *top, struct cli_asked *asked, int count, bool screen_wanted)
{
    struct screen screen = {.taken = false};
    sigset_t before;
    sigset_t waiting;
    int code = CLI_OK;

    take_signals(&before, &waiting);
    if (screen_wanted)
        take_screen(&screen);
    for (uint64_t frame = 1;; frame++) {
        char *text = NULL;
        size_t size = 0;
        FILE *out;

        cli_ask_all(asked, count);
        out = open_memstream(&text, &size);
        if (out)
            put_frame(out, asked, count, top->interval_ms, screen.taken);
        if (!out || fclose(out) != 0) {
            free(text);
            code = CLI_FAILED;
            break;
        }
        if (screen.taken)
            draw(text);
        else
            printf("%s%s", frame > 1 ? "\n" : "", text);
        free(text);
        code = cli_asked_best(asked, count) ? CLI_OK : CLI_NO_QUORUM;
        if (fflush(stdout) != 0) { /* whoever read it is gone */
            code = CLI_FAILED;
            break;
        }
        if (top->once || frame == top->frames || wait_here(&screen, top->interval_ms, &waiting))
            break;
    }
    give_screen(&screen);
    give_signals(&before);
    return ended ? 128 + ended : code;
}

static struct top top;

const struct usage_option cli_top_options[] = {
    {"interval", 'i', USAGE_DURATION, "TIME", "How often it is drawn; 2s", &top.interval_ms},
    {"once", 0, USAGE_FLAG, NULL, "One frame, as plain text", &top.once},
    {"frames", 'n', USAGE_NUMBER, "N", "End after so many frames; else never", &top.frames},
    {.name = NULL},
};

int cli_area_top(struct cli *cli, int count, char **words)
{
    struct cli_asked *asked;
    bool terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    int total;
    int code;

    top = (struct top){.interval_ms = TOP_INTERVAL_MS};
    code = cli_options_take(cli, cli_top_options, count, words);
    if (code == CLI_OK && cli->word_count > 1)
        code = cli_misused(cli, "gavel top [--interval TIME] [--once] [--frames N]");
    if (code != CLI_OK)
        return code;
    if (top.interval_ms < 100)
        return cli_fail(CLI_USAGE, "--interval is at least 100ms");
    total = cli_ask_begin(cli, "gavel top", cli->timeout_ms ? cli->timeout_ms : TOP_ASK_MS, &asked);
    if (!asked)
        return cli_fail(CLI_FAILED, "no memory");
    code = show(&top, asked, total, terminal && !top.once);
    cli_ask_end(asked, total);
    return code;
}
