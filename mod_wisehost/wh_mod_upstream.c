/*
 * What is known of each upstream, in anonymous shared memory made before the children: who cannot
 * be reached rests for all of them, and the status page counts all of them.
 *
 * A table of fixed size without a lock. A slot belongs to the upstream whose hash it carries and is
 * found within a few steps of that hash; one long unused is taken over by compare-and-swap. A
 * counter of a slot that changed hands in between may be off by one: these are figures for people,
 * and a rest that is lost is learned anew by the next connection.
 */
#include <apr_atomic.h>
#include <apr_shm.h>
#include <apr_strings.h>

#include "libwh/wh_hash.h"
#include "mod_wisehost/wh_mod_proxy.h"

#define WH_SLOTS 4096 /* a power of two */
#define WH_SLOT_STEPS 8
#define WH_SLOT_IDLE_S 60   /* unused that long and nothing in flight: may be taken over */
#define WH_SLOT_LOST_S 7200 /* … or with something in flight, which a killed child left behind */
#define WH_SLOT_SHOWN_S 600

struct wh_slot_t {
    volatile apr_uint64_t key;         /* hash of address and port, 0 = nobody's */
    volatile apr_uint64_t used_s;      /* seconds */
    volatile apr_uint64_t rests_until; /* microseconds */
    volatile apr_uint32_t failures;
    volatile apr_uint32_t in_flight;
    volatile apr_uint32_t requests;
    volatile apr_uint32_t errors;
    char name[72];
};

static wh_slot_t *slots; /* set in post_config, read-only afterwards */

void wh_mod_upstream_post_config(apr_pool_t *pconf, server_rec *s)
{
    apr_shm_t *shm = NULL;
    apr_status_t rv = apr_shm_create(&shm, sizeof(wh_slot_t) * WH_SLOTS, NULL, pconf);

    slots = NULL;
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, rv, s,
                     "WH0164: no shared memory for upstreams: none will rest, none is counted");
        return;
    }
    slots = apr_shm_baseaddr_get(shm);
    memset(slots, 0, sizeof(wh_slot_t) * WH_SLOTS);
}

/* Never 0. Plain: addresses are those that the workers were registered with. */
static apr_uint64_t hash_of(const wh_route_upstream_t *up)
{
    const char port[] = {(char)(up->port & 0xff), (char)(up->port >> 8)};
    uint64_t h = wh_hash_plain(WH_HASH_PLAIN, up->address, strlen(up->address));

    h = wh_hash_plain(h, port, sizeof(port));
    h ^= h >> 32;
    return h != 0 ? h : 1;
}

static int may_take(const wh_slot_t *slot, apr_uint64_t now_s)
{
    apr_uint64_t idle = now_s > slot->used_s ? now_s - slot->used_s : 0;

    return slot->key == 0 || (idle > WH_SLOT_IDLE_S && slot->in_flight == 0) ||
           idle > WH_SLOT_LOST_S;
}

static int take(wh_slot_t *slot, apr_uint64_t key, const wh_route_upstream_t *up,
                apr_uint64_t now_s)
{
    apr_uint64_t old = slot->key;

    if (apr_atomic_cas64(&slot->key, key, old) != old) {
        return 0;
    }
    slot->used_s = now_s;
    slot->rests_until = 0;
    slot->failures = 0;
    slot->in_flight = 0;
    slot->requests = 0;
    slot->errors = 0;
    apr_snprintf(slot->name, sizeof(slot->name),
                 ap_strchr_c(up->address, ':') != NULL ? "[%s]:%d" : "%s:%d", up->address,
                 up->port);
    return 1;
}

wh_slot_t *wh_mod_upstream_slot(const wh_route_upstream_t *up, apr_time_t now)
{
    apr_uint64_t key = hash_of(up);
    apr_uint64_t now_s = (apr_uint64_t)apr_time_sec(now);

    if (slots == NULL) {
        return NULL;
    }
    for (apr_uint64_t i = 0; i < WH_SLOT_STEPS; i++) {
        wh_slot_t *slot = &slots[(key + i) & (WH_SLOTS - 1)];
        if (slot->key == key) {
            return slot;
        }
    }
    for (apr_uint64_t i = 0; i < WH_SLOT_STEPS; i++) {
        wh_slot_t *slot = &slots[(key + i) & (WH_SLOTS - 1)];
        if (may_take(slot, now_s) && take(slot, key, up, now_s)) {
            return slot;
        }
    }
    return NULL;
}

wh_upstream_state_t wh_mod_upstream_state(const wh_slot_t *slot)
{
    wh_upstream_state_t state = {0, 0};

    if (slot != NULL) {
        state.failures = slot->failures;
        state.rests_until = (apr_time_t)slot->rests_until;
    }
    return state;
}

apr_uint64_t wh_mod_upstream_begin(wh_slot_t *slot, apr_time_t now)
{
    if (slot == NULL) {
        return 0;
    }
    slot->used_s = (apr_uint64_t)apr_time_sec(now);
    (void)apr_atomic_inc32(&slot->in_flight);
    (void)apr_atomic_inc32(&slot->requests);
    return slot->key;
}

void wh_mod_upstream_end(wh_slot_t *slot, apr_uint64_t begun, int failed)
{
    if (slot == NULL || slot->key != begun) {
        return; /* another's by now */
    }
    if (slot->in_flight > 0) {
        (void)apr_atomic_dec32(&slot->in_flight);
    }
    if (failed) {
        (void)apr_atomic_inc32(&slot->errors);
    }
}

int wh_mod_upstream_probe(wh_slot_t *slot, apr_time_t now)
{
    apr_uint64_t until;

    if (slot == NULL) {
        return 1;
    }
    until = slot->rests_until;
    return (apr_time_t)until <= now &&
           apr_atomic_cas64(&slot->rests_until,
                            (apr_uint64_t)(now + apr_time_from_sec(WH_TARGET_CONNECT_S)),
                            until) == until;
}

/* Requests that were under way together count as one failure: it rests already for the first. */
void wh_mod_upstream_refused(wh_slot_t *slot, apr_time_t now, int probing)
{
    apr_uint32_t failures;

    if (slot == NULL) {
        return;
    }
    failures = slot->failures;
    if (!probing && failures > 0 && (apr_time_t)slot->rests_until > now) {
        return;
    }
    if (apr_atomic_cas32(&slot->failures, failures + 1, failures) == failures) {
        slot->rests_until = (apr_uint64_t)(now + wh_upstream_rest(failures + 1));
    }
}

void wh_mod_upstream_reached(wh_slot_t *slot)
{
    if (slot != NULL && slot->failures != 0) {
        slot->failures = 0;
        slot->rests_until = 0;
    }
}

apr_array_header_t *wh_mod_upstream_list(apr_pool_t *p, apr_time_t now)
{
    apr_array_header_t *list = apr_array_make(p, 16, sizeof(wh_mod_upstream_t));
    apr_uint64_t now_s = (apr_uint64_t)apr_time_sec(now);

    for (int i = 0; slots != NULL && i < WH_SLOTS; i++) {
        const wh_slot_t *slot = &slots[i];
        wh_mod_upstream_t *info;

        if (slot->key == 0 || (slot->in_flight == 0 && slot->used_s + WH_SLOT_SHOWN_S < now_s)) {
            continue;
        }
        info = apr_array_push(list);
        info->name = apr_pstrmemdup(p, slot->name, strnlen(slot->name, sizeof(slot->name)));
        info->in_flight = slot->in_flight;
        info->requests = slot->requests;
        info->errors = slot->errors;
        info->resting = slot->failures > 0 && (apr_time_t)slot->rests_until > now;
    }
    return list;
}
