#include "mod_wisehost/mod_wisehost.h"
#include "mod_wisehost/wh_mod_rate.h"

#include <apr_strings.h>
#include <apr_thread_mutex.h>

#include "libwh/wh_bucket.h"
#include "libwh/wh_sign.h"
#include "libwh/wh_sys.h"

/* 1024 rows of 4: about 300 KiB a child, whatever the number of addresses. */
#define RATE_ROWS 1024
#define RATE_WAYS 4
#define RATE_GLOBAL_FACTOR 50
/* Buckets count whole units a second; a failure costs 60 of them, so rates read "a minute". */
#define RATE_UNIT 60

typedef struct rate_entry_t {
    unsigned char id[16]; /* first half of a keyed hash; all zero = free */
    wh_bucket_t bucket;
} rate_entry_t;

typedef struct rate_table_t {
    apr_thread_mutex_t *lock; /* NULL in a child without threads */
    unsigned char key[WH_SHA256_LEN];
    wh_bucket_t global[WH_RATE_KINDS];
    rate_entry_t entry[RATE_ROWS][RATE_WAYS];
} rate_table_t;

static const struct {
    apr_int64_t per_minute, burst;
} rates[WH_RATE_KINDS] = {
    [WH_RATE_CREDENTIAL] = {.per_minute = 120, .burst = 240},
    [WH_RATE_LOGIN] = {.per_minute = 5, .burst = 20},
    [WH_RATE_DELIVERY] = {.per_minute = 60, .burst = 60},
    [WH_RATE_REFUSED] = {.per_minute = 120, .burst = 600},
};

static rate_table_t *table;

void wh_mod_rate_child_init(apr_pool_t *pchild)
{
    wh_mono_t now = wh_clock_mono(wh_sys_clock());
    rate_table_t *t = apr_pcalloc(pchild, sizeof(*t));

#if APR_HAS_THREADS
    if (apr_thread_mutex_create(&t->lock, APR_THREAD_MUTEX_DEFAULT, pchild)) {
        return;
    }
#endif
    /* A secret key, so that nobody can aim addresses at one row. */
    if (wh_rand_fill(wh_sys_rand(), t->key, sizeof(t->key))) {
        return;
    }
    for (int i = 0; i < WH_RATE_KINDS; i++) {
        wh_bucket_init(&t->global[i], rates[i].per_minute * RATE_GLOBAL_FACTOR,
                       rates[i].burst * RATE_UNIT * RATE_GLOBAL_FACTOR, now);
    }
    table = t;
}

/* The bytes of the address that count; an IPv4 one may come mapped into IPv6. */
static apr_size_t address_bytes(request_rec *r, unsigned char out[16])
{
    const apr_sockaddr_t *sa = r->useragent_addr;

    memset(out, 0, 16);
#if APR_HAVE_IPV6
    if (sa->family == APR_INET6) {
        const unsigned char *in6 = (const unsigned char *)&sa->sa.sin6.sin6_addr;
        int mapped = IN6_IS_ADDR_V4MAPPED(&sa->sa.sin6.sin6_addr);

        memcpy(out, mapped ? in6 + 12 : in6, mapped ? 4 : 8);
        return mapped ? 4 : 8;
    }
#endif
    memcpy(out, &sa->sa.sin.sin_addr, 4);
    return 4;
}

static void identify(request_rec *r, wh_mod_rate_e kind, const char *subject,
                     unsigned char id[WH_SHA256_LEN])
{
    unsigned char address[16];
    apr_size_t n = address_bytes(r, address);
    const char *text =
        apr_psprintf(r->pool, "%d %s %s", (int)kind, wh_sign_hex(r->pool, address, n), subject);

    wh_sign_hmac(table->key, sizeof(table->key), text, strlen(text), id);
}

/* The entry of id: its own, a free one, or the one that was used longest ago. Lock held. */
static wh_bucket_t *entry_of(const unsigned char id[WH_SHA256_LEN], wh_mod_rate_e kind,
                             wh_mono_t now)
{
    static const unsigned char none[16];
    rate_entry_t *row = table->entry[(id[16] << 8 | id[17]) % RATE_ROWS];
    rate_entry_t *oldest = row;

    for (int i = 0; i < RATE_WAYS; i++) {
        if (!memcmp(row[i].id, id, sizeof(row[i].id))) {
            return &row[i].bucket;
        }
        if (!memcmp(row[i].id, none, sizeof(none))) {
            oldest = &row[i];
            break;
        }
        if (row[i].bucket.last.us < oldest->bucket.last.us) {
            oldest = &row[i];
        }
    }
    memcpy(oldest->id, id, sizeof(oldest->id));
    wh_bucket_init(&oldest->bucket, rates[kind].per_minute, rates[kind].burst * RATE_UNIT, now);
    return &oldest->bucket;
}

static apr_interval_time_t longest(apr_interval_time_t a, apr_interval_time_t b)
{
    return a > b ? a : b;
}

static apr_status_t ask(request_rec *r, wh_mod_rate_e kind, const char *subject, int take,
                        wh_err_t *err)
{
    wh_mono_t now = wh_clock_mono(wh_sys_clock());
    unsigned char id[WH_SHA256_LEN];
    apr_interval_time_t wait;
    wh_bucket_t *own;

    if (!table) {
        return wh_err_set(err, 503, "not_ready", "This server process is not ready yet.");
    }
    identify(r, kind, subject, id);
    if (table->lock) {
        apr_thread_mutex_lock(table->lock);
    }
    own = entry_of(id, kind, now);
    wait = wh_bucket_wait(own, RATE_UNIT, now);
    if (take) { /* many addresses together slow down refusals, never somebody who only asks */
        wait = longest(wait, wh_bucket_wait(&table->global[kind], RATE_UNIT, now));
    }
    if (!wait && take) {
        wh_bucket_take(own, RATE_UNIT, now);
        wh_bucket_take(&table->global[kind], RATE_UNIT, now);
    }
    if (table->lock) {
        apr_thread_mutex_unlock(table->lock);
    }
    if (wait) {
        apr_table_setn(
            r->err_headers_out, "Retry-After",
            apr_psprintf(r->pool, "%d", (int)((wait + APR_USEC_PER_SEC - 1) / APR_USEC_PER_SEC)));
        return wh_err_set(err, 429, "rate_limited",
                          "Too many refused calls from this address; wait before the next.");
    }
    return APR_SUCCESS;
}

apr_status_t wh_mod_rate_failed(request_rec *r, wh_mod_rate_e kind, const char *subject,
                                wh_err_t *err)
{
    return ask(r, kind, subject, 1, err);
}

apr_status_t wh_mod_rate_room(request_rec *r, wh_mod_rate_e kind, const char *subject,
                              wh_err_t *err)
{
    return ask(r, kind, subject, 0, err);
}
