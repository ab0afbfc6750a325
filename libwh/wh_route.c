/* wh_route: see wh_route.h. */
#include <endian.h>
#include <stdint.h>
#include <string.h>
#include <apr_strings.h>

#include "libwh/wh_route.h"

/* Header, all little-endian:
 *  0  4  magic "whr1"      4  2  version       6  2  kind
 *  8  4  flags            12  4  total length  16  8  generation
 * 24  2  upstreams        26  2  redirect code 28  4  CRC-32C of key, NUL, value with this as zero
 * 32  8  previous until   40  2  timeout       42  2  hold                44  4  zero
 * then app, slug, environment, deployment, release, previous release, redirect: u16 length, bytes,
 * NUL; then each upstream: u16 port, u16 weight, address as a string. */
#define HEADER 48
#define CRC_AT 28
#define CRC_END 32
#define STRINGS 7

static const char magic[4] = {'w', 'h', 'r', '1'};

static apr_uint32_t crc_portable(apr_uint32_t crc, const unsigned char *s, size_t n)
{
    /* One nibble a step: a table of 16 stays in one cache line. */
    static const apr_uint32_t table[16] = {
        0x00000000u, 0x105ec76fu, 0x20bd8edeu, 0x30e349b1u, 0x417b1dbcu, 0x5125dad3u,
        0x61c69362u, 0x7198540du, 0x82f63b78u, 0x92a8fc17u, 0xa24bb5a6u, 0xb21572c9u,
        0xc38d26c4u, 0xd3d3e1abu, 0xe330a81au, 0xf36e6f75u,
    };

    for (size_t i = 0; i < n; i++) {
        crc ^= s[i];
        crc = (crc >> 4) ^ table[crc & 15];
        crc = (crc >> 4) ^ table[crc & 15];
    }
    return crc;
}

#if defined(__x86_64__) && defined(__GNUC__)
/* SSE 4.2 has this very polynomial: each request of a site has its record's 200 bytes checked. */
__attribute__((target("sse4.2"))) static apr_uint32_t crc_machine(apr_uint32_t crc,
                                                                  const unsigned char *s, size_t n)
{
    apr_uint64_t c = crc, word;

    for (; n >= sizeof(word); n -= sizeof(word), s += sizeof(word)) {
        memcpy(&word, s, sizeof(word));
        c = __builtin_ia32_crc32di(c, word);
    }
    for (; n > 0; n--, s++)
        c = __builtin_ia32_crc32qi((apr_uint32_t)c, *s);
    return (apr_uint32_t)c;
}

static int has_machine(void)
{
    return __builtin_cpu_supports("sse4.2");
}
#else
#define crc_machine crc_portable
#define has_machine() 0
#endif

apr_uint32_t wh_route_crc32c(apr_uint32_t crc, const void *data, size_t n)
{
    return ~(has_machine() ? crc_machine(~crc, data, n) : crc_portable(~crc, data, n));
}

static void put(unsigned char *at, apr_uint64_t v, int bytes)
{
    int i;

    for (i = 0; i < bytes; i++)
        at[i] = (unsigned char)(v >> (8 * i));
}

static apr_uint64_t get(const unsigned char *at, size_t bytes)
{
    apr_uint64_t v = 0;

    memcpy(&v, at, bytes);
    return le64toh(v);
}

/* The checksum binds the value to its key, so that a page mixed up in the table is found out. */
static apr_uint32_t checksum(const char *key, const unsigned char *buf, size_t n)
{
    static const unsigned char zero[4];
    apr_uint32_t crc = wh_route_crc32c(0, key, strlen(key) + 1);

    crc = wh_route_crc32c(crc, buf, CRC_AT);
    crc = wh_route_crc32c(crc, zero, sizeof(zero));
    return wh_route_crc32c(crc, buf + CRC_END, n - CRC_END);
}

/* The strings in the order of the record. */
static void strings_of(const wh_route_t *rec, const char *out[STRINGS])
{
    out[0] = rec->app_id;
    out[1] = rec->slug;
    out[2] = rec->environment;
    out[3] = rec->deployment_id;
    out[4] = rec->release_id;
    out[5] = rec->previous_release;
    out[6] = rec->redirect;
}

static int string_ok(const char *s)
{
    return !s || strlen(s) <= WH_ROUTE_STRING_MAX;
}

static int given(const char *s)
{
    return s && *s;
}

static int redirect_ok(const wh_route_t *rec)
{
    int code = rec->redirect_code;

    if (rec->kind != WH_ROUTE_REDIRECT)
        return !given(rec->redirect) && code == 0;
    return given(rec->redirect) && (code == 301 || code == 302 || code == 307 || code == 308);
}

static const char *upstreams_fault(const wh_route_t *rec)
{
    if (rec->n_upstreams < 0 || rec->n_upstreams > WH_ROUTE_UPSTREAMS_MAX)
        return "at most 16 upstreams";
    if (rec->kind != WH_ROUTE_PROXY && rec->n_upstreams > 0)
        return "a proxy route, and no other, has upstreams";
    if (rec->kind == WH_ROUTE_PROXY && rec->n_upstreams == 0 && !(rec->flags & WH_ROUTE_HOLD))
        return "a proxy route without upstream that nobody waits for";
    for (int i = 0; i < rec->n_upstreams; i++) {
        const wh_route_upstream_t *u = &rec->upstreams[i];
        if (!given(u->address) || !string_ok(u->address) || u->port < 1 || u->port > 65535 ||
            u->weight < 1 || u->weight > 1000)
            return "an upstream is out of range";
    }
    return NULL;
}

/* What decoding need not look at again: it took no longer string and found the key's checksum. */
static const char *strings_fault(const char *key, const wh_route_t *rec)
{
    const char *strings[STRINGS];

    if (!key || !*key || strlen(key) > WH_ROUTE_STRING_MAX)
        return "the host name has 1 to 255 bytes";
    strings_of(rec, strings);
    for (int i = 0; i < STRINGS; i++)
        if (!string_ok(strings[i]))
            return "a string is longer than 255 bytes";
    return NULL;
}

/* NULL = fine, else what is wrong. */
static const char *fault_of(const wh_route_t *rec)
{
    if (rec->kind < WH_ROUTE_STATIC || rec->kind > WH_ROUTE_REDIRECT)
        return "no such kind";
    if (rec->kind == WH_ROUTE_STATIC && !given(rec->release_id))
        return "a static route needs a release";
    if (!redirect_ok(rec))
        return "a redirect, and no other, has a target and a code";
    if ((rec->flags & ~WH_ROUTE_FLAGS) != 0 || rec->timeout_s < 0 ||
        rec->timeout_s > WH_ROUTE_TIMEOUT_MAX || rec->hold_s < 0 ||
        rec->hold_s > WH_ROUTE_HOLD_MAX || rec->previous_until < 0)
        return "a number is out of range";
    return upstreams_fault(rec);
}

static unsigned char *put_string(unsigned char *at, const char *s)
{
    size_t n = s ? strlen(s) : 0;

    put(at, n, 2);
    if (n)
        memcpy(at + 2, s, n);
    at[2 + n] = 0;
    return at + 3 + n;
}

const char *wh_route_fault(const char *key, const wh_route_t *rec)
{
    const char *fault = strings_fault(key, rec);

    return fault ? fault : fault_of(rec);
}

apr_status_t wh_route_encode(apr_pool_t *p, const char *key, const wh_route_t *rec, void **buf,
                             size_t *n, wh_err_t *err)
{
    const char *fault = wh_route_fault(key, rec);
    const char *strings[STRINGS];
    unsigned char *b, *at;
    size_t total = HEADER;
    int i;

    if (fault)
        return wh_err_set(err, 500, "route_invalid", "route of %s: %s", key ? key : "?", fault);
    strings_of(rec, strings);
    for (i = 0; i < STRINGS; i++)
        total += 3 + (strings[i] ? strlen(strings[i]) : 0);
    for (i = 0; i < rec->n_upstreams; i++)
        total += 7 + strlen(rec->upstreams[i].address);
    b = apr_pcalloc(p, total);
    memcpy(b, magic, 4);
    put(b + 4, WH_ROUTE_VERSION, 2);
    put(b + 6, rec->kind, 2);
    put(b + 8, rec->flags, 4);
    put(b + 12, total, 4);
    put(b + 16, rec->generation, 8);
    put(b + 24, (apr_uint64_t)rec->n_upstreams, 2);
    put(b + 26, (apr_uint64_t)rec->redirect_code, 2);
    put(b + 32, (apr_uint64_t)rec->previous_until, 8);
    put(b + 40, (apr_uint64_t)rec->timeout_s, 2);
    put(b + 42, (apr_uint64_t)rec->hold_s, 2);
    at = b + HEADER;
    for (i = 0; i < STRINGS; i++)
        at = put_string(at, strings[i]);
    for (i = 0; i < rec->n_upstreams; i++) {
        put(at, (apr_uint64_t)rec->upstreams[i].port, 2);
        put(at + 2, (apr_uint64_t)rec->upstreams[i].weight, 2);
        at = put_string(at + 4, rec->upstreams[i].address);
    }
    put(b + CRC_AT, checksum(key, b, total), 4);
    *buf = b;
    *n = total;
    return APR_SUCCESS;
}

typedef struct reader_t {
    const unsigned char *at, *end;
    int bad;
} reader_t;

static const char *take_string(reader_t *r)
{
    const unsigned char *s;
    size_t n;

    if (r->bad || r->end - r->at < 3)
        goto bad;
    n = (size_t)get(r->at, 2);
    s = r->at + 2;
    if (n > WH_ROUTE_STRING_MAX || (size_t)(r->end - s) < n + 1 || s[n] != 0 || memchr(s, 0, n))
        goto bad;
    r->at = s + n + 1;
    return (const char *)s;
bad:
    r->bad = 1;
    return "";
}

static int take_number(reader_t *r)
{
    int v;

    if (r->bad || r->end - r->at < 2) {
        r->bad = 1;
        return 0;
    }
    v = (int)get(r->at, 2);
    r->at += 2;
    return v;
}

static apr_status_t corrupt(const char *key, wh_err_t *err, const char *why)
{
    return wh_err_set(err, 503, "route_corrupt", "the route of %s is damaged: %s", key, why);
}

apr_status_t wh_route_decode(apr_pool_t *p, const char *key, const void *buf, size_t n,
                             wh_route_t *rec, wh_err_t *err)
{
    const unsigned char *b;
    const char *fault;
    wh_route_t out;
    reader_t r;
    int i;

    if (n < HEADER || n > WH_ROUTE_MAX_BYTES || memcmp(buf, magic, 4) != 0)
        return corrupt(key, err, "no such record");
    b = apr_pmemdup(p, buf, n);
    if (get(b + 12, 4) != n || get(b + CRC_AT, 4) != checksum(key, b, n))
        return corrupt(key, err, "checksum");
    if (get(b + 4, 2) != WH_ROUTE_VERSION)
        return corrupt(key, err, "it is of another version");
    memset(&out, 0, sizeof(out));
    r = (reader_t){.at = b + HEADER, .end = b + n};
    out.kind = (wh_route_kind_e)get(b + 6, 2);
    out.flags = (unsigned)get(b + 8, 4);
    out.generation = get(b + 16, 8);
    out.n_upstreams = (int)get(b + 24, 2);
    out.redirect_code = (int)get(b + 26, 2);
    out.previous_until = (apr_time_t)get(b + 32, 8);
    out.timeout_s = (int)get(b + 40, 2);
    out.hold_s = (int)get(b + 42, 2);
    out.app_id = take_string(&r);
    out.slug = take_string(&r);
    out.environment = take_string(&r);
    out.deployment_id = take_string(&r);
    out.release_id = take_string(&r);
    out.previous_release = take_string(&r);
    out.redirect = take_string(&r);
    for (i = 0; i < out.n_upstreams && i < WH_ROUTE_UPSTREAMS_MAX; i++) {
        out.upstreams[i].port = take_number(&r);
        out.upstreams[i].weight = take_number(&r);
        out.upstreams[i].address = take_string(&r);
    }
    if (r.bad || r.at != r.end || get(b + 44, 4) != 0)
        return corrupt(key, err, "its strings do not add up");
    fault = fault_of(&out);
    if (fault)
        return corrupt(key, err, fault);
    *rec = out;
    return APR_SUCCESS;
}

/* Each string of a record. */
static int pointers_of(wh_route_t *rec, const char **out[STRINGS + WH_ROUTE_UPSTREAMS_MAX])
{
    int n = STRINGS;

    out[0] = &rec->app_id;
    out[1] = &rec->slug;
    out[2] = &rec->environment;
    out[3] = &rec->deployment_id;
    out[4] = &rec->release_id;
    out[5] = &rec->previous_release;
    out[6] = &rec->redirect;
    for (int i = 0; i < rec->n_upstreams; i++)
        out[n++] = &rec->upstreams[i].address;
    return n;
}

wh_route_t *wh_route_flat(apr_pool_t *p, const wh_route_t *rec, size_t *n)
{
    const char **at[STRINGS + WH_ROUTE_UPSTREAMS_MAX];
    wh_route_t copy = *rec, *flat;
    int count = pointers_of(&copy, at);
    size_t size = sizeof(*flat);
    char *s;

    for (int i = 0; i < count; i++)
        size += strlen(*at[i]) + 1;
    flat = apr_palloc(p, size);
    s = (char *)(flat + 1);
    for (int i = 0; i < count; i++) {
        size_t len = strlen(*at[i]) + 1;

        *at[i] = memcpy(s, *at[i], len);
        s += len;
    }
    *flat = copy;
    *n = size;
    return flat;
}

void wh_route_moved(wh_route_t *copy, const void *from)
{
    const char **at[STRINGS + WH_ROUTE_UPSTREAMS_MAX];
    int count = pointers_of(copy, at);

    for (int i = 0; i < count; i++) /* where the old one lay is only a number by now */
        *at[i] = (const char *)copy + ((uintptr_t)*at[i] - (uintptr_t)from);
}

void wh_route_table_encode(const wh_route_table_t *table, unsigned char out[WH_ROUTE_TABLE_BYTES])
{
    put(out, table->count, 8);
    put(out + 8, table->generation, 8);
    put(out + 16, wh_route_crc32c(0, out, 16), 4);
}

int wh_route_table_decode(const void *buf, size_t n, wh_route_table_t *out)
{
    const unsigned char *in = buf;

    if (n != WH_ROUTE_TABLE_BYTES || get(in + 16, 4) != wh_route_crc32c(0, in, 16))
        return 0;
    out->count = get(in, 8);
    out->generation = get(in + 8, 8);
    return 1;
}
