#include "wh-scheduler/roster.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "libwh/wh_sign.h"

/* Slots hold the number of a row + 1; at most half of them are filled, so runs are short and end.
 */
struct wh_roster_t {
    size_t n, mask;
    uint32_t *by_id, *by_key;
    wh_roster_row_t *rows;
};

static size_t slots_for(size_t n)
{
    size_t slots = 16;

    while (slots < 2 * n) {
        slots *= 2;
    }
    return slots;
}

static size_t id_slot(apr_int64_t id)
{
    return (size_t)(((apr_uint64_t)id * APR_UINT64_C(0x9e3779b97f4a7c15)) >> 20);
}

/* The hash is SHA-256 of a secret: any of its bytes are as good as any hash of them. */
static size_t key_slot(const unsigned char key_hash[WH_KEY_LEN])
{
    uint32_t bits;

    memcpy(&bits, key_hash, sizeof(bits));
    return bits;
}

static void put(uint32_t *slots, size_t mask, size_t at, size_t row)
{
    while (slots[at & mask] != 0) {
        at++;
    }
    slots[at & mask] = (uint32_t)row + 1;
}

wh_roster_t *wh_roster_make(const wh_roster_row_t *rows, size_t n)
{
    size_t slots = slots_for(n);
    wh_roster_t *r;

    if (n > UINT32_MAX / 4) {
        return NULL;
    }
    r = calloc(1, sizeof(*r) + n * sizeof(*rows) + 2 * slots * sizeof(uint32_t));
    if (r == NULL) {
        return NULL;
    }
    r->n = n;
    r->mask = slots - 1;
    r->rows = (wh_roster_row_t *)(r + 1);
    r->by_id = (uint32_t *)(r->rows + n);
    r->by_key = r->by_id + slots;
    for (size_t i = 0; i < n; i++) {
        r->rows[i] = rows[i];
        put(r->by_id, r->mask, id_slot(rows[i].id), i);
        put(r->by_key, r->mask, key_slot(rows[i].key_hash), i);
    }
    return r;
}

void wh_roster_free(wh_roster_t *roster)
{
    free(roster);
}

size_t wh_roster_count(const wh_roster_t *roster)
{
    return roster != NULL ? roster->n : 0;
}

const wh_roster_row_t *wh_roster_by_id(const wh_roster_t *roster, apr_int64_t id)
{
    const wh_roster_row_t *found = NULL;

    if (roster == NULL) {
        return NULL;
    }
    for (size_t at = id_slot(id); roster->by_id[at & roster->mask] != 0; at++) {
        const wh_roster_row_t *row = &roster->rows[roster->by_id[at & roster->mask] - 1];

        found = row->id == id ? row : found;
    }
    return found;
}

const wh_roster_row_t *wh_roster_by_key(const wh_roster_t *roster,
                                        const unsigned char key_hash[WH_KEY_LEN])
{
    const wh_roster_row_t *found = NULL;

    if (roster == NULL) {
        return NULL;
    }
    for (size_t at = key_slot(key_hash); roster->by_key[at & roster->mask] != 0; at++) {
        const wh_roster_row_t *row = &roster->rows[roster->by_key[at & roster->mask] - 1];
        int equal = wh_sign_equal(row->key_hash, key_hash, WH_KEY_LEN);

        found = equal && row->state == WH_ROSTER_GOOD ? row : found;
    }
    return found;
}

int wh_roster_same(const wh_roster_t *a, const wh_roster_t *b)
{
    if (a == NULL || b == NULL) {
        return a == b;
    }
    if (a->n != b->n) {
        return 0;
    }
    for (size_t i = 0; i < a->n; i++) {
        if (a->rows[i].id != b->rows[i].id || a->rows[i].state != b->rows[i].state ||
            !wh_sign_equal(a->rows[i].key_hash, b->rows[i].key_hash, WH_KEY_LEN)) {
            return 0;
        }
    }
    return 1;
}
