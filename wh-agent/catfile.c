#include <string.h>
#include <apr_lib.h>
#include "libwh/wh_sign.h"
#include "wh-agent/catfile.h"

void wh_catfile_init(wh_catfile_t *cat, wh_catfile_fn *fn, void *baton)
{
    memset(cat, 0, sizeof(*cat));
    cat->fn = fn;
    cat->baton = baton;
}

static int parse_number(const char *s, apr_int64_t *out)
{
    apr_int64_t value = 0;
    size_t n = strlen(s);

    if (n == 0 || n > 18)
        return -1;
    for (; *s != '\0'; s++) {
        if (!apr_isdigit(*s))
            return -1;
        value = value * 10 + (*s - '0');
    }
    *out = value;
    return 0;
}

/* "<oid> <type> <size>" or "<what was asked> missing"; anything else (ambiguous, …) is malformed.
 */
static int parse_header(wh_catfile_t *cat)
{
    wh_catfile_object_t *o = &cat->object;
    char *line = cat->header, *sp = strrchr(line, ' '), *type;
    size_t noid;

    o->type[0] = '\0';
    o->oid[0] = '\0';
    o->size = 0;
    if (sp == NULL)
        return -1;
    if (strcmp(sp, " missing") == 0)
        return 0;
    *sp = '\0';
    type = strrchr(line, ' ');
    if (type == NULL)
        return -1;
    noid = (size_t)(type - line);
    *type++ = '\0';
    if ((noid != 40 && noid != 64) || !wh_sign_is_hex(line, noid) || strlen(type) == 0 ||
        strlen(type) >= sizeof(o->type) || parse_number(sp + 1, &o->size) != 0)
        return -1;
    memcpy(o->oid, line, noid);
    o->oid[noid] = '\0';
    memcpy(o->type, type, strlen(type) + 1);
    return 0;
}

static int next_object(wh_catfile_t *cat)
{
    int rv = cat->fn(cat->baton, &cat->object, "", 0);

    cat->object.index++;
    cat->have = 0;
    cat->state = WH_CATFILE_HEADER;
    return rv;
}

/* Returns how many bytes were taken, 0 with *rv set when the reading ends. */
static size_t take_header(wh_catfile_t *cat, const char *buf, size_t n, int *rv)
{
    const char *lf = memchr(buf, '\n', n);
    size_t take = lf != NULL ? (size_t)(lf - buf) : n;

    if (take >= sizeof(cat->header) - cat->have) {
        cat->broken = 1;
        *rv = -1;
        return 0;
    }
    memcpy(cat->header + cat->have, buf, take);
    cat->have += take;
    if (lf == NULL)
        return take;
    cat->header[cat->have] = '\0';
    if (parse_header(cat) != 0) {
        cat->broken = 1;
        *rv = -1;
        return 0;
    }
    cat->left = cat->object.size;
    if (cat->object.type[0] == '\0')
        *rv = next_object(cat);
    else
        cat->state = cat->left > 0 ? WH_CATFILE_BODY : WH_CATFILE_LF;
    return take + 1;
}

static size_t take_body(wh_catfile_t *cat, const char *buf, size_t n, int *rv)
{
    size_t take = (apr_int64_t)n < cat->left ? n : (size_t)cat->left;

    *rv = cat->fn(cat->baton, &cat->object, buf, take);
    cat->left -= (apr_int64_t)take;
    if (cat->left == 0)
        cat->state = WH_CATFILE_LF;
    return take;
}

int wh_catfile_feed(void *baton, const char *buf, size_t n)
{
    wh_catfile_t *cat = baton;
    int rv = cat->broken ? -1 : 0;

    while (n > 0 && rv == 0) {
        size_t took = 1;

        if (cat->state == WH_CATFILE_HEADER) {
            took = take_header(cat, buf, n, &rv);
        } else if (cat->state == WH_CATFILE_BODY) {
            took = take_body(cat, buf, n, &rv);
        } else if (*buf != '\n') {
            cat->broken = 1;
            rv = -1;
        } else {
            rv = next_object(cat);
        }
        buf += took;
        n -= took;
    }
    return rv;
}

int wh_catfile_complete(const wh_catfile_t *cat, size_t asked)
{
    return !cat->broken && cat->state == WH_CATFILE_HEADER && cat->have == 0 &&
           cat->object.index == asked;
}
