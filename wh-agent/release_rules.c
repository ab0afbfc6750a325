/* What httpd will not take of a site's _redirects and _headers, told to who deploys it: the same
 * readers, and the same words, as when it is served. */
#include <string.h>
#include <apr_strings.h>
#include "libwh/wh_headers.h"
#include "libwh/wh_redirects.h"
#include "wh-agent/release_int.h"

#define LINES_MAX 20

typedef struct rules_t {
    wh_release_run_t *r;
    apr_pool_t *p; /* of this look */
    const char *name;
    char *text;
    size_t len;
    size_t max;
    int refused;
} rules_t;

static void refused(void *baton, int line, const char *why)
{
    rules_t *u = baton;

    if (u->refused++ < LINES_MAX)
        wh_logs_say(u->r->work->logs, "not taken: %s line %d: %s", u->name, line, why);
}

static void read_redirects(rules_t *u)
{
    (void)wh_redirects_parse(u->p, u->text, u->len, refused, u);
}

static void read_headers(rules_t *u)
{
    (void)wh_headers_parse(u->p, u->text, u->len, refused, u);
}

static const struct {
    const char *name;
    size_t max;
    void (*read)(rules_t *u);
} kinds[] = {
    {WH_REDIRECTS_FILE, WH_REDIRECTS_BYTES_MAX, read_redirects},
    {WH_HEADERS_FILE, WH_HEADERS_BYTES_MAX, read_headers},
};

static int take(void *baton, const wh_catfile_object_t *o, const char *buf, size_t n)
{
    rules_t *u = baton;

    if (strcmp(o->type, "blob") != 0 || n > u->max - u->len)
        return 1;
    memcpy(u->text + u->len, buf, n);
    u->len += n;
    return 0;
}

/* Nothing depends on it: what cannot be read now is served, or fails to be sent, all the same. */
static void look(rules_t *u, const wh_release_file_t *f, void (*read)(rules_t *u))
{
    const char *oid = f->oid;
    wh_source_read_t what = {.oids = &oid, .n = 1, .fn = take, .baton = u};
    wh_err_t err = WH_ERR_INIT;
    int ended = 0;

    if (f->size > (apr_int64_t)u->max) {
        wh_logs_say(u->r->work->logs, "not taken: %s is longer than %d MiB", u->name,
                    (int)(u->max / WH_MIB));
        return;
    }
    u->max = (size_t)f->size;
    u->text = apr_palloc(u->p, u->max + 1);
    if (wh_release_read(u->r, &what, &ended, &err) != APR_SUCCESS || ended)
        return;
    read(u);
    if (u->refused > LINES_MAX)
        wh_logs_say(u->r->work->logs, "not taken: %d lines more of %s", u->refused - LINES_MAX,
                    u->name);
}

void wh_release_rules(wh_release_run_t *r)
{
    for (size_t k = 0; k < WH_ARRAY_LEN(kinds); k++) {
        for (int i = 0; i < r->files->nelts; i++) {
            const wh_release_file_t *f = &APR_ARRAY_IDX(r->files, i, wh_release_file_t);
            rules_t u = {.r = r, .name = kinds[k].name, .max = kinds[k].max};

            if (strcmp(f->path, u.name) != 0 || apr_pool_create(&u.p, r->p) != APR_SUCCESS)
                continue;
            look(&u, f, kinds[k].read);
            apr_pool_destroy(u.p);
        }
    }
}
