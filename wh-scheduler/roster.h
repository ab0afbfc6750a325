/* Who is a worker: a table of all of them as the database had it a moment ago, for the event loop,
 * which asks no database. Made by the database thread, posted to the loop, never changed; each one
 * replaces the one before. On the heap, one block.
 *
 * A look-up costs the same whether it finds or not: the run of filled slots is walked to its end,
 * and every key hash in it is compared in constant time. */
#ifndef WH_ROSTER_H
#define WH_ROSTER_H

#include "libwh/wh_keys.h"

typedef enum wh_roster_state_e {
    WH_ROSTER_GOOD,
    WH_ROSTER_REMOVED,
    WH_ROSTER_REVOKED /* its key is good for nothing; the worker may be enrolled again */
} wh_roster_state_e;

typedef struct wh_roster_row_t {
    apr_int64_t id;
    unsigned char key_hash[WH_KEY_LEN]; /* SHA-256 of the API key */
    wh_roster_state_e state;
} wh_roster_row_t;

typedef struct wh_roster_t wh_roster_t;

/* Copies the rows (ids differ); NULL when out of memory. */
wh_roster_t *wh_roster_make(const wh_roster_row_t *rows, size_t n);
void wh_roster_free(wh_roster_t *roster);

size_t wh_roster_count(const wh_roster_t *roster);

/* NULL = not there. roster may be NULL: nobody is. */
const wh_roster_row_t *wh_roster_by_id(const wh_roster_t *roster, apr_int64_t id);
/* The good worker with this key; removed and revoked ones are not found. */
const wh_roster_row_t *wh_roster_by_key(const wh_roster_t *roster,
                                        const unsigned char key_hash[WH_KEY_LEN]);

/* True when both tables say the same. */
int wh_roster_same(const wh_roster_t *a, const wh_roster_t *b);

#endif
