/*
 * A whole answer 200 to an HTTP/1.1 request, in one pass.
 *
 * httpd's own four filters (BYTERANGE, CONTENT_LENGTH, HTTP_HEADER, HTTP_OUTERROR) take 7,000
 * instructions to find out that there is no range, count what is known, and check and copy each
 * header on its own. Where they stand alone, nothing between them and the connection's filters, and
 * nothing about the request asks for what they can do besides, the same bytes are made here. With
 * any other filter (mod_deflate, mod_headers, mod_ratelimit …) or condition they run as ever. The
 * tables are left as they leave them: %{…}o of a log shows the same.
 */
#include <apr_strings.h>
#include <util_time.h>

#include "libwh/wh_types.h"
#include "mod_wisehost/wh_mod_data.h"

/* APR_BRIGADE_INSERT_HEAD casts volatile away; clang takes it for ours. */
#pragma GCC diagnostic ignored "-Wcast-qual"

#define OWN_FILTERS 4
#define FIELDS_MAX 48  /* an answer with more of them is httpd's */
#define FIELDS_MORE 4 /* Keep-Alive, Connection, Content-Type, Content-Encoding */

static const char *const own_names[OWN_FILTERS] = {"BYTERANGE", "CONTENT_LENGTH", "HTTP_HEADER",
                                                   "HTTP_OUTERROR"};
/* Set in post_config, read-only afterwards. */
static const ap_filter_rec_t *own_filters[OWN_FILTERS];

void wh_mod_send_post_config(void)
{
    int i;

    for (i = 0; i < OWN_FILTERS; i++) {
        own_filters[i] = ap_get_output_filter_handle(own_names[i]);
    }
}

/* httpd's filters and no others, none of which has seen anything yet: the last of them, or NULL. */
static ap_filter_t *own_only(const request_rec *r)
{
    ap_filter_t *f = r->output_filters;
    ap_filter_t *last = NULL;
    int i;

    for (i = 0; i < OWN_FILTERS; i++, f = f->next) {
        if (f == NULL || f->frec != own_filters[i] || f->ctx != NULL) {
            return NULL;
        }
        last = f;
    }
    return f != NULL && f->frec->ftype >= AP_FTYPE_CONNECTION ? last : NULL;
}

/* What mod_setenvif may say about a client that takes no HTTP/1.1. "nokeepalive" is seen to. */
static int env_plain(const apr_table_t *env)
{
    return apr_is_empty_table(env) || (apr_table_get(env, "force-no-vary") == NULL &&
                                       apr_table_get(env, "downgrade-1.0") == NULL &&
                                       apr_table_get(env, "force-response-1.0") == NULL);
}

static int request_plain(const request_rec *r)
{
    return r->proto_num == HTTP_VERSION(1, 1) && r->status == HTTP_OK && r->status_line == NULL &&
           !r->header_only && !r->assbackwards && !r->chunked && !r->no_cache &&
           r->main == NULL && r->prev == NULL && r->connection->master == NULL &&
           r->proxyreq == PROXYREQ_NONE && apr_is_empty_array(r->content_languages) &&
           apr_is_empty_table(r->err_headers_out) && env_plain(r->subprocess_env) &&
           apr_table_get(r->notes, "no-etag") == NULL && !APLOGrtrace3(r);
}

/* Of a header that is not ours: that httpd would send it just so. */
static int field_plain(const char *name, const char *value)
{
    static const char *const not_plain[] = {"Date", "Server", "Transfer-Encoding", "Vary"};
    size_t i;

    for (i = 0; i < WH_ARRAY_LEN(not_plain); i++) {
        if (ap_cstr_casecmp(name, not_plain[i]) == 0) {
            return 0;
        }
    }
    return *name != '\0' && *ap_scan_http_token(name) == '\0' &&
           *ap_scan_http_field_content(value) == '\0';
}

static int fields_plain(const apr_table_t *fields, int foreign)
{
    const apr_array_header_t *all = apr_table_elts(fields);
    const apr_table_entry_t *e = (const apr_table_entry_t *)(const void *)all->elts;
    int i;

    if (all->nelts > FIELDS_MAX) {
        return 0;
    }
    for (i = 0; foreign && i < all->nelts; i++) {
        if (!field_plain(e[i].key, e[i].val)) {
            return 0;
        }
    }
    return 1;
}

typedef struct text_t {
    const char *s;
    size_t n;
} text_t;

static inline text_t text_of(const char *s)
{
    text_t t = {.s = s, .n = strlen(s)};

    return t;
}

static inline char *put(char *at, const char *s, size_t n)
{
    memcpy(at, s, n);
    return at + n;
}

static inline char *put_field(char *at, text_t name, text_t value)
{
    at = put(at, name.s, name.n);
    at = put(at, ": ", 2);
    at = put(at, value.s, value.n);
    return put(at, "\r\n", 2);
}

/* Status line, Date and Server: the same for every answer of a second. Nothing where the server
 * says too much of itself. */
static text_t beginning(apr_time_t when)
{
    static __thread char text[1024];
    static __thread text_t made;
    static __thread apr_time_t second;
    const char *server = ap_get_server_banner();
    char date[APR_RFC822_DATE_LEN];

    if (made.n == 0 || second != apr_time_sec(when)) {
        if (strlen(server) > sizeof(text) - 100) {
            return made;
        }
        second = apr_time_sec(when);
        ap_recent_rfc822_date(date, when);
        made.s = text;
        made.n = (size_t)apr_snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nDate: %s\r\n%s%s%s",
                                      date, *server != '\0' ? "Server: " : "", server,
                                      *server != '\0' ? "\r\n" : "");
    }
    return made;
}

/* That, then the table in its order: as a bucket. */
static apr_bucket *header(request_rec *r, text_t begin, apr_bucket_alloc_t *list)
{
    const apr_array_header_t *all = apr_table_elts(r->headers_out);
    const apr_table_entry_t *e = (const apr_table_entry_t *)(const void *)all->elts;
    text_t fields[2 * (FIELDS_MAX + FIELDS_MORE)];
    size_t n = begin.n + 2;
    char *buf;
    char *at;
    int i;

    for (i = 0; i < all->nelts && i < FIELDS_MAX + FIELDS_MORE; i++) {
        fields[2 * i] = text_of(e[i].key);
        fields[2 * i + 1] = text_of(e[i].val);
        n += fields[2 * i].n + fields[2 * i + 1].n + 4;
    }
    buf = apr_bucket_alloc(n, list);
    at = put(buf, begin.s, begin.n);
    for (i = 0; i < all->nelts; i++) {
        at = put_field(at, fields[2 * i], fields[2 * i + 1]);
    }
    at = put(at, "\r\n", 2);
    return apr_bucket_heap_create(buf, (size_t)(at - buf), apr_bucket_free, list);
}

/* What HTTP_HEADER puts into the table, in its order. */
static void complete(request_rec *r)
{
    const char *type = ap_make_content_type(r, r->content_type);

    r->status_line = ap_get_status_line(r->status);
    (void)ap_set_keepalive(r);
    if (type != NULL) {
        apr_table_setn(r->headers_out, "Content-Type", type);
    }
    if (r->content_encoding != NULL) {
        apr_table_setn(r->headers_out, "Content-Encoding", r->content_encoding);
    }
}

int wh_mod_send_whole(request_rec *r, apr_bucket_brigade *bb, apr_off_t size, int foreign,
                      apr_status_t *rv)
{
    ap_filter_t *last = own_only(r);
    text_t begin;
    apr_bucket *b;

    if (last == NULL || !request_plain(r) || !fields_plain(r->headers_out, foreign)) {
        return 0;
    }
    begin = beginning(r->request_time);
    if (begin.n == 0) {
        return 0;
    }
    complete(r);
    b = header(r, begin, bb->bucket_alloc);
    APR_BRIGADE_INSERT_HEAD(bb, b);
    /* Their work is done: nothing that comes later is to pass through them. */
    while (r->output_filters != last) {
        ap_remove_output_filter(r->output_filters);
    }
    r->sent_bodyct = 1;
    r->bytes_sent = size;
    r->eos_sent = 1;
    *rv = ap_pass_brigade(last->next, bb);
    return 1;
}
