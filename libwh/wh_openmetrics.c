#include "libwh/wh_openmetrics.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <apr_strings.h>

#define FIRST 16384
#define NUMBER 48

static const char *const kinds[] = {"counter", "gauge", "histogram", "info"};

void wh_om_begin(wh_om_t *om, apr_pool_t *p)
{
    *om = (wh_om_t){.p = p, .buf = apr_palloc(p, FIRST), .room = FIRST};
}

static void put(wh_om_t *om, const char *s, size_t n)
{
    if (om->n + n > om->room) {
        char *old = om->buf;

        while (om->n + n > om->room)
            om->room *= 2;
        om->buf = apr_palloc(om->p, om->room);
        memcpy(om->buf, old, om->n);
    }
    memcpy(om->buf + om->n, s, n);
    om->n += n;
}

static void say(wh_om_t *om, const char *s)
{
    put(om, s, strlen(s));
}

static void comment(wh_om_t *om, const char *what, const char *name, const char *text)
{
    say(om, "# ");
    say(om, what);
    say(om, " ");
    say(om, name);
    say(om, " ");
    say(om, text);
    say(om, "\n");
}

void wh_om_family(wh_om_t *om, wh_om_kind_e kind, const char *name, const char *unit,
                  const char *help)
{
    om->name = name;
    comment(om, "TYPE", name, kinds[kind]);
    if (unit != NULL)
        comment(om, "UNIT", name, unit);
    comment(om, "HELP", name, help);
}

static void escaped(wh_om_t *om, const char *s)
{
    for (; *s != '\0'; s++) {
        if (*s == '\\' || *s == '"')
            put(om, "\\", 1);
        if (*s == '\n')
            say(om, "\\n");
        else
            put(om, s, 1);
    }
}

static void sample(wh_om_t *om, const char *suffix, const char *value, va_list labels)
{
    const char *before = "{";
    const char *name;

    say(om, om->name);
    say(om, suffix);
    while ((name = va_arg(labels, const char *)) != NULL) {
        say(om, before);
        say(om, name);
        say(om, "=\"");
        escaped(om, va_arg(labels, const char *));
        say(om, "\"");
        before = ",";
    }
    say(om, *before == ',' ? "} " : " ");
    say(om, value);
    say(om, "\n");
}

/* value in parts of one, of which `digits` decimals make one. */
static void decimal(char *out, apr_int64_t value, apr_int64_t one, int digits)
{
    apr_uint64_t n = value < 0 ? 0 - (apr_uint64_t)value : (apr_uint64_t)value;

    apr_snprintf(out, NUMBER, "%s%" APR_UINT64_T_FMT ".%0*" APR_UINT64_T_FMT, value < 0 ? "-" : "",
                 n / (apr_uint64_t)one, digits, n % (apr_uint64_t)one);
}

void wh_om_int(wh_om_t *om, const char *suffix, apr_int64_t value, ...)
{
    char text[NUMBER];
    va_list ap;

    apr_snprintf(text, sizeof(text), "%" APR_INT64_T_FMT, value);
    va_start(ap, value);
    sample(om, suffix, text, ap);
    va_end(ap);
}

void wh_om_us(wh_om_t *om, const char *suffix, apr_int64_t us, ...)
{
    char text[NUMBER];
    va_list ap;

    decimal(text, us, 1000000, 6);
    va_start(ap, us);
    sample(om, suffix, text, ap);
    va_end(ap);
}

void wh_om_millis(wh_om_t *om, const char *suffix, apr_int64_t millis, ...)
{
    char text[NUMBER];
    va_list ap;

    decimal(text, millis, 1000, 3);
    va_start(ap, millis);
    sample(om, suffix, text, ap);
    va_end(ap);
}

void wh_om_text(wh_om_t *om, const char *text, size_t n)
{
    put(om, text, n);
}

int wh_om_text_ok(const char *text, size_t n)
{
    const char *end = text + n;

    if (n == 0 || end[-1] != '\n' || memchr(text, '\0', n) != NULL)
        return 0;
    for (const char *line = text; line < end; line++) {
        if (*line == '\n' || (end - line >= 5 && memcmp(line, "# EOF", 5) == 0))
            return 0;
        line = memchr(line, '\n', (size_t)(end - line));
    }
    return 1;
}

const char *wh_om_end(wh_om_t *om, size_t *n)
{
    say(om, "# EOF\n");
    *n = om->n;
    put(om, "", 1);
    return om->buf;
}

/* ---- the older form ---- */

/* "# TYPE name kind" of [line, end): what is behind the name, or NULL for another line. */
static const char *type_of(const char *line, const char *end, const char **name, size_t *n)
{
    const char *space;

    if (end - line < 7 || memcmp(line, "# TYPE ", 7) != 0)
        return NULL;
    *name = line + 7;
    space = memchr(*name, ' ', (size_t)(end - *name));
    *n = space != NULL ? (size_t)(space - *name) : 0;
    return space;
}

const char *wh_om_plain(apr_pool_t *p, const char *text, size_t *n)
{
    const char *end = text + *n, *name = "", *suffix = "", *next;
    size_t len = 0;
    wh_om_t om;

    wh_om_begin(&om, p);
    for (const char *line = text; line < end; line = next) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        const char *kind;

        stop = stop != NULL ? stop : end - 1;
        next = stop + 1;
        kind = type_of(line, stop, &name, &len);
        if (kind != NULL) {
            int info = strncmp(kind, " info", 5) == 0;

            suffix = info ? "_info" : strncmp(kind, " counter", 8) == 0 ? "_total" : "";
            put(&om, line, 7 + len);
            say(&om, suffix);
            put(&om, info ? " gauge" : kind, info ? 6 : (size_t)(stop - kind));
            say(&om, "\n");
        } else if (stop - line > 7 && memcmp(line, "# HELP ", 7) == 0) {
            put(&om, line, 7 + len); /* it follows its type */
            say(&om, suffix);
            put(&om, line + 7 + len, (size_t)(next - line) - 7 - len);
        } else if (*line != '#') {
            put(&om, line, (size_t)(next - line));
        }
    }
    *n = om.n;
    put(&om, "", 1);
    return om.buf;
}

/* ---- Accept ---- */

/* The q of one range, 1000 when it has none. */
static int quality(const char *range, size_t n)
{
    for (size_t i = 0; i + 2 < n; i++) {
        if (range[i] == ';') {
            size_t k = i + 1 + strspn(range + i + 1, " \t");

            if (k + 2 < n && (range[k] | 0x20) == 'q' && range[k + 1] == '=')
                return (int)(strtod(range + k + 2, NULL) * 1000);
        }
    }
    return 1000;
}

int wh_om_wanted(const char *accept)
{
    static const char ours[] = "application/openmetrics-text", plain[] = "text/plain";
    int best = 0, other = 0;

    while (accept != NULL && *accept != '\0') {
        size_t skip = strspn(accept, " \t,"), n = strcspn(accept + skip, ",");
        const char *range = accept + skip;
        size_t type = strcspn(range, "; \t,");
        int q = quality(range, n);

        if (type == sizeof(ours) - 1 && strncasecmp(range, ours, type) == 0)
            best = q > best ? q : best;
        else if (type == sizeof(plain) - 1 && strncasecmp(range, plain, type) == 0)
            other = q > other ? q : other;
        accept = range + n;
    }
    return best > 0 && best >= other;
}
