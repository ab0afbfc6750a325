#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <apr_strings.h>
#include "libwh/wh_conf.h"
#include "libwh/wh_file.h"
#include "libwh/wh_text.h"

#define FILE_MAX ((size_t)(256 * 1024))
#define VALUE_MAX 1024
#define KEYS_MAX 128

/* One reading of one file. */
typedef struct reading_t {
    apr_pool_t *p;
    const char *name;
    int line;
    const wh_conf_key_t *keys;
    size_t nkeys;
    char *out;
    wh_err_t *err;
} reading_t;

/* "…/agent.conf:12: <text>"; line 0 is the file as a whole. */
static apr_status_t fail(const reading_t *r, const char *fmt, ...) WH_PRINTF(2, 3);
static apr_status_t fail(const reading_t *r, const char *fmt, ...)
{
    va_list ap;
    const char *text;

    va_start(ap, fmt);
    text = apr_pvsprintf(r->p, fmt, ap);
    va_end(ap);
    if (r->line == 0)
        return wh_err_set(r->err, 500, "bad_config", "%s: %s", r->name, text);
    return wh_err_set(r->err, 500, "bad_config", "%s:%d: %s", r->name, r->line, text);
}

/* Digits, and for bytes a unit. The number is exact or it is none. */
static int parse_number(const char *s, int bytes, apr_int64_t *out)
{
    static const char units[] = "KMGT";
    apr_int64_t value, factor = 1;
    const char *unit;
    char *end;

    if (s[0] != '-' && (s[0] < '0' || s[0] > '9'))
        return 0;
    errno = 0;
    value = apr_strtoi64(s, &end, 10);
    if (errno != 0 || end == s)
        return 0;
    if (bytes && *end != '\0' && (unit = strchr(units, *end)) != NULL) {
        factor = INT64_C(1) << (10 * (unit - units + 1));
        end++;
    }
    if (*end != '\0' || value > APR_INT64_MAX / factor || value < APR_INT64_MIN / factor)
        return 0;
    *out = value * factor;
    return 1;
}

static apr_status_t set_number(const reading_t *r, const wh_conf_key_t *k, const char *value)
{
    apr_int64_t n;

    if (!parse_number(value, k->type == WH_CONF_BYTES, &n))
        return fail(r, "%s: \"%s\" is not %s", k->name, value,
                    k->type == WH_CONF_BYTES ? "a size like 64K, 512M or 2G" : "a whole number");
    if ((k->min != 0 || k->max != 0) && (n < k->min || n > k->max))
        return fail(r, "%s: %s is outside %" APR_INT64_T_FMT " to %" APR_INT64_T_FMT "%s%s",
                    k->name, value, k->min, k->max, k->unit != NULL ? " " : "",
                    k->unit != NULL ? k->unit : "");
    *(apr_int64_t *)(void *)(r->out + k->offset) = n;
    return APR_SUCCESS;
}

static apr_status_t set_bool(const reading_t *r, const wh_conf_key_t *k, const char *value)
{
    static const char *const words[] = {"off", "on", "no", "yes", "false", "true"};

    for (size_t i = 0; i < WH_ARRAY_LEN(words); i++) {
        if (strcmp(value, words[i]) == 0) {
            *(int *)(void *)(r->out + k->offset) = (int)(i % 2);
            return APR_SUCCESS;
        }
    }
    return fail(r, "%s: \"%s\" is neither on nor off", k->name, value);
}

/* Is value one of the words between the bars? */
static int among(const char *choices, const char *value)
{
    size_t n = strlen(value);

    while (choices != NULL && *choices != '\0') {
        size_t len = strcspn(choices, "|");

        if (len == n && memcmp(choices, value, n) == 0)
            return 1;
        choices += len + (choices[len] == '|');
    }
    return 0;
}

static apr_status_t set_text(const reading_t *r, const wh_conf_key_t *k, const char *value)
{
    apr_int64_t max = k->max != 0 ? k->max : VALUE_MAX;
    apr_int64_t n = (apr_int64_t)strlen(value);

    if (k->type == WH_CONF_CHOICE && !among(k->choices, value))
        return fail(r, "%s: \"%s\" is none of %s", k->name, value, k->choices);
    if (k->type == WH_CONF_PATH && n > 0 && value[0] != '/')
        return fail(r, "%s: \"%s\" is not an absolute path", k->name, value);
    if (k->type == WH_CONF_PATH && n == 0 && k->def != NULL && k->def[0] != '\0')
        return fail(r, "%s: a path must be given", k->name);
    if (k->type != WH_CONF_CHOICE && (n < k->min || n > max))
        return fail(r, "%s: must have %" APR_INT64_T_FMT " to %" APR_INT64_T_FMT " bytes", k->name,
                    k->min, max);
    *(const char **)(void *)(r->out + k->offset) = value;
    return APR_SUCCESS;
}

static apr_status_t set_value(const reading_t *r, const wh_conf_key_t *k, const char *value)
{
    switch (k->type) {
    case WH_CONF_INT:
    case WH_CONF_BYTES:
        return set_number(r, k, value);
    case WH_CONF_BOOL:
        return set_bool(r, k, value);
    case WH_CONF_STRING:
    case WH_CONF_PATH:
    case WH_CONF_CHOICE:
        return set_text(r, k, value);
    }
    return fail(r, "%s: a key without a type", k->name);
}

/* Defaults are what a file would say, so they are read like it; one that is not given is zero or
 * "", whatever the range is. */
static apr_status_t set_defaults(const reading_t *r)
{
    for (size_t i = 0; i < r->nkeys; i++) {
        const wh_conf_key_t *k = &r->keys[i];
        char *member = r->out + k->offset;
        apr_status_t rv;

        if (k->def != NULL && k->def[0] != '\0') {
            rv = set_value(r, k, k->def);
            if (rv != APR_SUCCESS)
                return rv;
        } else if (k->type == WH_CONF_INT || k->type == WH_CONF_BYTES) {
            *(apr_int64_t *)(void *)member = 0;
        } else if (k->type == WH_CONF_BOOL) {
            *(int *)(void *)member = 0;
        } else {
            *(const char **)(void *)member = "";
        }
    }
    return APR_SUCCESS;
}

static const wh_conf_key_t *find_key(const reading_t *r, const char *name, size_t len)
{
    for (size_t i = 0; i < r->nkeys; i++)
        if (strlen(r->keys[i].name) == len && memcmp(r->keys[i].name, name, len) == 0)
            return &r->keys[i];
    return NULL;
}

static int is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* s[0…n) without blanks at both ends; in r->p. */
static const char *trimmed(const reading_t *r, const char *s, size_t n)
{
    while (n > 0 && is_blank(s[n - 1]))
        n--;
    while (n > 0 && is_blank(*s)) {
        s++;
        n--;
    }
    return apr_pstrmemdup(r->p, s, n);
}

static apr_status_t check_characters(const reading_t *r, const char *s, size_t n)
{
    if (n > 0 && s[n - 1] == '\r')
        return fail(r, "the line ends in a carriage return: save the file with plain line feeds");
    if (!wh_text_utf8_ok(s, n))
        return fail(r, "the line is not valid UTF-8");
    for (size_t i = 0; i < n; i++)
        if (s[i] != '\t' && ((unsigned char)s[i] < 0x20 || s[i] == 0x7f))
            return fail(r, "the line has a control character");
    return APR_SUCCESS;
}

static apr_status_t read_line(const reading_t *r, const char *s, size_t n, unsigned char *given)
{
    const char *line, *equals, *key;
    const wh_conf_key_t *k;
    apr_status_t rv = check_characters(r, s, n);

    if (rv != APR_SUCCESS)
        return rv;
    line = trimmed(r, s, n);
    if (line[0] == '\0' || line[0] == '#')
        return APR_SUCCESS;
    equals = strchr(line, '=');
    if (equals == NULL)
        return fail(r, "not of the form \"key = value\"");
    key = trimmed(r, line, (size_t)(equals - line));
    k = find_key(r, key, strlen(key));
    if (k == NULL)
        return fail(r, "unknown key \"%s\"", wh_text_cap(r->p, key, 80));
    if (given[k - r->keys] != 0)
        return fail(r, "%s is given a second time", k->name);
    given[k - r->keys] = 1;
    return set_value(r, k, trimmed(r, equals + 1, strlen(equals + 1)));
}

apr_status_t wh_conf_parse(apr_pool_t *p, const wh_conf_text_t *in, const wh_conf_key_t *keys,
                           size_t nkeys, void *out, wh_err_t *err)
{
    reading_t r = {.p = p, .name = in->name, .keys = keys, .nkeys = nkeys, .out = out, .err = err};
    unsigned char given[KEYS_MAX] = {0};
    apr_status_t rv;

    if (nkeys > KEYS_MAX)
        return fail(&r, "more than %d keys in the table", KEYS_MAX);
    if (in->len > FILE_MAX)
        return fail(&r, "larger than %d KiB", (int)(FILE_MAX / 1024));
    rv = set_defaults(&r);
    for (size_t pos = 0; pos < in->len && rv == APR_SUCCESS;) {
        const char *end = memchr(in->text + pos, '\n', in->len - pos);
        size_t n = end != NULL ? (size_t)(end - (in->text + pos)) : in->len - pos;

        r.line++;
        rv = read_line(&r, in->text + pos, n, given);
        pos += n + 1;
    }
    r.line = 0;
    for (size_t i = 0; i < nkeys && rv == APR_SUCCESS; i++)
        if ((keys[i].flags & WH_CONF_F_REQUIRED) != 0 && given[i] == 0)
            rv = fail(&r, "%s must be given", keys[i].name);
    return rv;
}

/* Up to FILE_MAX + 1 bytes of the file, so that one that is too long shows. */
static apr_status_t slurp(apr_pool_t *p, int fd, const char *path, wh_conf_text_t *text,
                          wh_err_t *err)
{
    struct stat st;
    char *buf;
    size_t size;
    apr_status_t rv;

    if (fstat(fd, &st) != 0)
        return wh_err_wrap(err, errno, 500, "config_unreadable", "%s", path);
    if (!S_ISREG(st.st_mode))
        return wh_err_set(err, 500, "config_unreadable", "%s is not a regular file", path);
    size = st.st_size >= 0 && (apr_uint64_t)st.st_size < FILE_MAX ? (size_t)st.st_size : FILE_MAX;
    buf = apr_palloc(p, size + 1);
    *text = (wh_conf_text_t){.name = path, .text = buf};
    rv = wh_file_get(fd, buf, size + 1, &text->len);
    if (rv != APR_SUCCESS)
        return wh_err_wrap(err, rv, 500, "config_unreadable", "%s", path);
    if (text->len <= size)
        return APR_SUCCESS;
    if (size < FILE_MAX)
        return wh_err_set(err, 500, "config_unreadable", "%s changed while it was read", path);
    return APR_SUCCESS;
}

apr_status_t wh_conf_load(apr_pool_t *p, const char *path, const wh_conf_key_t *keys, size_t nkeys,
                          void *out, wh_err_t *err)
{
    wh_conf_text_t text = {.name = path};
    apr_status_t rv;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (fd < 0)
        return wh_err_wrap(err, errno, 500, "config_unreadable", "%s", path);
    rv = slurp(p, fd, path, &text, err);
    close(fd);
    if (rv != APR_SUCCESS)
        return rv;
    return wh_conf_parse(p, &text, keys, nkeys, out, err);
}

/* Whether all of it could be written is asked once, by the caller: ferror(to). */
WH_PRINTF(2, 3)
static void emit(FILE *to, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)vfprintf(to, fmt, ap);
    va_end(ap);
}

static void print_value(FILE *to, const wh_conf_key_t *k, const char *conf)
{
    const char *member = conf + k->offset;

    switch (k->type) {
    case WH_CONF_INT:
    case WH_CONF_BYTES:
        emit(to, "%" APR_INT64_T_FMT, *(const apr_int64_t *)(const void *)member);
        break;
    case WH_CONF_BOOL:
        emit(to, "%s", *(const int *)(const void *)member ? "on" : "off");
        break;
    case WH_CONF_STRING:
    case WH_CONF_PATH:
    case WH_CONF_CHOICE:
        emit(to, "%s", *(const char *const *)(const void *)member);
        break;
    }
}

/* A key whose zero or "" stands for "not given" is left out: written down it could be refused. */
static int is_unset(const wh_conf_key_t *k, const char *conf)
{
    const char *member = conf + k->offset;

    if (k->def != NULL && k->def[0] != '\0')
        return 0;
    if (k->type == WH_CONF_INT || k->type == WH_CONF_BYTES)
        return *(const apr_int64_t *)(const void *)member == 0;
    return k->type != WH_CONF_BOOL && (*(const char *const *)(const void *)member)[0] == '\0';
}

void wh_conf_dump(FILE *to, const wh_conf_key_t *keys, size_t nkeys, const void *conf)
{
    for (size_t i = 0; i < nkeys; i++) {
        const wh_conf_key_t *k = &keys[i];

        if (is_unset(k, conf)) {
            emit(to, "# %s is not set\n", k->name);
        } else if ((k->flags & WH_CONF_F_SECRET) != 0) {
            emit(to, "# %s = ***\n", k->name);
        } else {
            emit(to, "%s = ", k->name);
            print_value(to, k, conf);
            emit(to, "\n");
        }
    }
}

static void print_range(FILE *to, const wh_conf_key_t *k)
{
    if (k->type == WH_CONF_CHOICE)
        emit(to, "# One of %s.\n", k->choices);
    else if (k->type == WH_CONF_BOOL)
        emit(to, "%s", "# on or off.\n");
    else if ((k->type == WH_CONF_INT || k->type == WH_CONF_BYTES) && (k->min != 0 || k->max != 0))
        emit(to, "# From %" APR_INT64_T_FMT " to %" APR_INT64_T_FMT "%s%s.\n", k->min, k->max,
             k->unit != NULL ? " " : "", k->unit != NULL ? k->unit : "");
}

void wh_conf_reference(FILE *to, const wh_conf_key_t *keys, size_t nkeys)
{
    for (size_t i = 0; i < nkeys; i++) {
        const wh_conf_key_t *k = &keys[i];

        emit(to, "%s# %s\n", i > 0 ? "\n" : "", k->doc != NULL ? k->doc : k->name);
        print_range(to, k);
        if ((k->flags & WH_CONF_F_REQUIRED) != 0)
            emit(to, "%s", "# Must be given.\n");
        emit(to, "#%s = %s\n", k->name, k->def != NULL ? k->def : "");
    }
}
