/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prom_request.c - the head of a request (RFC 9110, RFC 9112), as much of it as GET and HEAD need. What could be
 * understood in two ways is refused.
 */
#include "prom.h"

#include <strings.h>

#define Q_SCALE 1000

/* A run of bytes within the head. */
struct run {
    const char *at;
    size_t size;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static struct run trim(const char *at, size_t size)
{
    while (size && is_blank(*at)) {
        at++;
        size--;
    }
    while (size && is_blank(at[size - 1]))
        size--;
    return (struct run){at, size};
}

static bool same(struct run run, const char *word)
{
    return run.size == strlen(word) && strncasecmp(run.at, word, run.size) == 0;
}

/* Cut off what is before `separator`; what is behind it stays in *rest. */
static struct run cut(struct run *rest, char separator)
{
    const char *end = rest->size ? memchr(rest->at, separator, rest->size) : NULL;
    struct run first = {rest->at, end ? (size_t)(end - rest->at) : rest->size};

    rest->at += first.size + (end != NULL);
    rest->size -= first.size + (end != NULL);
    return trim(first.at, first.size);
}

/* The bytes of the head with the empty line that ends it; 0: that has not come yet. */
static size_t head_size(const char *data, size_t size, size_t seen)
{
    for (size_t i = seen > 3 ? seen - 3 : 0; i < size; i++) {
        if (data[i] != '\n')
            continue;
        if (i + 1 < size && data[i + 1] == '\n')
            return i + 2;
        if (i + 2 < size && data[i + 1] == '\r' && data[i + 2] == '\n')
            return i + 3;
    }
    return 0;
}

/* The next line without its end. */
static struct run take_line(struct run *rest)
{
    const char *end = memchr(rest->at, '\n', rest->size);
    struct run line = {rest->at, end ? (size_t)(end - rest->at) : rest->size};

    rest->size -= line.size + (end != NULL);
    rest->at += line.size + (end != NULL);
    if (line.size && line.at[line.size - 1] == '\r')
        line.size--;
    return line;
}

/* ---- lists with weights ------------------------------------------------------------------------------------------ */

/* "0.5" in thousandths; a weight that is none counts as 1. */
static int weight(struct run text)
{
    int value = 0, scale = Q_SCALE;

    if (text.size == 0 || text.size > 5 || (text.at[0] != '0' && text.at[0] != '1'))
        return Q_SCALE;
    for (size_t i = 0; i < text.size; i++) {
        if (i == 1) {
            if (text.at[i] != '.')
                return Q_SCALE;
            continue;
        }
        if (text.at[i] < '0' || text.at[i] > '9')
            return Q_SCALE;
        value += (text.at[i] - '0') * scale;
        scale /= 10;
    }
    return value > Q_SCALE ? Q_SCALE : value;
}

/* One element of Accept or Accept-Encoding: its name, its weight, and its parameter "version". */
struct element {
    struct run name;
    struct run version;
    int q;
};

static bool take_element(struct run *list, struct element *element)
{
    struct run rest;

    do {
        if (list->size == 0)
            return false;
        rest = cut(list, ',');
    } while (rest.size == 0);
    *element = (struct element){.name = cut(&rest, ';'), .q = Q_SCALE};
    while (rest.size) {
        struct run value = cut(&rest, ';'), name = cut(&value, '=');

        value = trim(value.at, value.size);
        if (value.size >= 2 && value.at[0] == '"' && value.at[value.size - 1] == '"')
            value = (struct run){value.at + 1, value.size - 2};
        if (same(name, "q"))
            element->q = weight(value);
        else if (same(name, "version"))
            element->version = value;
    }
    return true;
}

/* How precisely an element speaks of a format: 0 not at all, 3 by its name. */
static int precision(const struct element *element, const char *type, const char *any, const char *version)
{
    if (same(element->name, type))
        return element->version.size == 0 || same(element->version, version) ? 3 : 0;
    return same(element->name, any) ? 2 : same(element->name, "*/*") ? 1 : 0;
}

/*
 * The most precise element decides the weight of a format (RFC 9110, 12.5.1); OpenMetrics has to be asked for: a "*"
 * alone is no wish for it.
 */
static enum prom_format choose_format(struct run accept)
{
    int best_text = 0, best_open = 0, q_text = 0, q_open = 0;
    struct element element;

    while (take_element(&accept, &element)) {
        int text = precision(&element, "text/plain", "text/*", "0.0.4");
        int open = precision(&element, "application/openmetrics-text", "application/*", "1.0.0");

        if (text > best_text || (text == best_text && text && element.q > q_text)) {
            best_text = text;
            q_text = element.q;
        }
        if (open > best_open || (open == best_open && open && element.q > q_open)) {
            best_open = open;
            q_open = element.q;
        }
    }
    if (best_open < 3 || q_open == 0)
        return PROM_TEXT;
    return q_open >= q_text ? PROM_OPENMETRICS : PROM_TEXT;
}

static bool choose_gzip(struct run accept)
{
    int q = 0, q_any = 0;
    bool named = false;
    struct element element;

    while (take_element(&accept, &element)) {
        if (same(element.name, "gzip") || same(element.name, "x-gzip")) {
            q = element.q;
            named = true;
        } else if (same(element.name, "*")) {
            q_any = element.q;
        }
    }
    return (named ? q : q_any) > 0;
}

/* ---- lines ------------------------------------------------------------------------------------------------------- */

static bool has_word(struct run list, const char *word)
{
    while (list.size)
        if (same(cut(&list, ','), word))
            return true;
    return false;
}

/* "/readyz?verbose&x=1": the path and whether "verbose" is among the names. */
static void take_target(struct run target, struct prom_request *request)
{
    struct run path = cut(&target, '?');

    (void)snprintf(request->path, sizeof request->path, "%.*s", (int)(path.size < 64 ? path.size : 64), path.at);
    while (target.size) {
        struct run value = cut(&target, '&'), name = cut(&value, '=');

        if (same(name, "verbose") && !same(value, "0") && !same(value, "false"))
            request->verbose = true;
    }
}

static int take_request_line(struct run line, struct prom_request *request, const char **why)
{
    struct run method = cut(&line, ' '), target = cut(&line, ' '), version = trim(line.at, line.size);

    if (method.size == 0 || target.size == 0 || version.size != 8 || strncmp(version.at, "HTTP/", 5) != 0) {
        *why = "this is no request of HTTP/1.1";
        return -400;
    }
    if (version.at[5] != '1' || version.at[6] != '.' || (version.at[7] != '0' && version.at[7] != '1')) {
        *why = "HTTP/1.1 is spoken here";
        return -505;
    }
    request->keep = version.at[7] == '1';
    request->method = method.size == 3 && memcmp(method.at, "GET", 3) == 0    ? PROM_GET
                      : method.size == 4 && memcmp(method.at, "HEAD", 4) == 0 ? PROM_HEAD
                                                                              : PROM_OTHER;
    if (target.at[0] != '/' && target.size > 7 && strncasecmp(target.at, "http://", 7) == 0) {
        const char *slash = memchr(target.at + 7, '/', target.size - 7); /* as to a proxy */

        target = slash ? (struct run){slash, target.size - (size_t)(slash - target.at)} : (struct run){"/", 1};
    }
    take_target(target, request);
    return 0;
}

struct fields {
    struct run accept;
    struct run encoding;
    bool host;
};

static int take_field(struct run line, struct prom_request *request, struct fields *fields, const char **why)
{
    const char *colon = memchr(line.at, ':', line.size);
    struct run name = {line.at, colon ? (size_t)(colon - line.at) : 0}, value;

    if (name.size == 0 || is_blank(line.at[0]) || is_blank(name.at[name.size - 1])) {
        *why = "a line of the head is no \"name: value\"";
        return -400;
    }
    value = trim(colon + 1, line.size - name.size - 1);
    if (same(name, "host"))
        fields->host = true;
    else if (same(name, "accept"))
        fields->accept = value; /* the last one: nobody sends two */
    else if (same(name, "accept-encoding"))
        fields->encoding = value;
    else if (same(name, "connection") && has_word(value, "close"))
        request->keep = false;
    else if (same(name, "transfer-encoding") || (same(name, "content-length") && !same(value, "0"))) {
        *why = "a request with a body is not taken here";
        return -413;
    }
    return 0;
}

int prom_request(const char *data, size_t size, size_t seen, struct prom_request *request, const char **why)
{
    size_t blank = 0, whole;
    struct fields fields = {.host = false};
    struct run rest;
    int status;
    bool old;

    while (blank < size && (data[blank] == '\r' || data[blank] == '\n'))
        blank++; /* RFC 9112, 2.2: an empty line before the request is skipped */
    whole = head_size(data + blank, size - blank, seen > blank ? seen - blank : 0);
    if (whole == 0)
        return 0;
    *request = (struct prom_request){.method = PROM_OTHER};
    rest = (struct run){data + blank, whole};
    if (memchr(rest.at, 0, rest.size)) {
        *why = "a NUL stands in the head of this request";
        return -400;
    }
    status = take_request_line(take_line(&rest), request, why);
    old = !request->keep;
    while (status == 0) {
        struct run line = take_line(&rest);

        if (line.size == 0)
            break;
        status = take_field(line, request, &fields, why);
    }
    if (status == 0 && !fields.host && !old) {
        *why = "a request of HTTP/1.1 names the host";
        status = -400;
    }
    if (status < 0)
        return status;
    request->format = choose_format(fields.accept);
    request->gzip = choose_gzip(fields.encoding);
    return (int)(blank + whole);
}
