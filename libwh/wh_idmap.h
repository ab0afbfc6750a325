/* A hash table from numbers to structs that carry its link: nothing is allocated after the start, a
 * put or a drop moves no other entry. Several entries may have the same number; the newest is found
 * first. Pure; belongs to one thread. */
#ifndef WH_IDMAP_H
#define WH_IDMAP_H

#include <stddef.h>
#include <apr_pools.h>

typedef struct wh_idmap_link_t {
    struct wh_idmap_link_t *next;
    apr_uint64_t id;
} wh_idmap_link_t;

typedef struct wh_idmap_t {
    wh_idmap_link_t **slots;
    size_t mask;
} wh_idmap_t;

/* The struct that a link is a member of; NULL stays NULL. */
#define WH_IDMAP_OF(link, type, member)                                                            \
    ((link) != NULL ? (type *)(void *)((char *)(link)-offsetof(type, member)) : NULL)

/* Slots in p for about `expected` entries; more than that only cost time. */
void wh_idmap_init(wh_idmap_t *map, apr_pool_t *p, size_t expected);

void wh_idmap_put(wh_idmap_t *map, wh_idmap_link_t *link, apr_uint64_t id);
/* Nothing happens when it is not in the map. */
void wh_idmap_drop(wh_idmap_t *map, wh_idmap_link_t *link);

/* The newest with this number, and the one before it; NULL = none. */
wh_idmap_link_t *wh_idmap_find(const wh_idmap_t *map, apr_uint64_t id);
wh_idmap_link_t *wh_idmap_older(const wh_idmap_link_t *link);

#endif
