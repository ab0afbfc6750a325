#include "libwh/wh_idmap.h"

void wh_idmap_init(wh_idmap_t *map, apr_pool_t *p, size_t expected)
{
    size_t slots = 64;

    while (slots < expected) {
        slots *= 2;
    }
    /* NOLINTNEXTLINE(bugprone-sizeof-expression): the table holds pointers */
    map->slots = apr_pcalloc(p, slots * sizeof(*map->slots));
    map->mask = slots - 1;
}

static wh_idmap_link_t **slot_of(const wh_idmap_t *map, apr_uint64_t id)
{
    return &map->slots[((id * APR_UINT64_C(0x9e3779b97f4a7c15)) >> 32) & map->mask];
}

void wh_idmap_put(wh_idmap_t *map, wh_idmap_link_t *link, apr_uint64_t id)
{
    wh_idmap_link_t **slot = slot_of(map, id);

    link->id = id;
    link->next = *slot;
    *slot = link;
}

void wh_idmap_drop(wh_idmap_t *map, wh_idmap_link_t *link)
{
    for (wh_idmap_link_t **at = slot_of(map, link->id); *at != NULL; at = &(*at)->next) {
        if (*at == link) {
            *at = link->next;
            link->next = NULL;
            return;
        }
    }
}

static wh_idmap_link_t *first_of(wh_idmap_link_t *link, apr_uint64_t id)
{
    while (link != NULL && link->id != id) {
        link = link->next;
    }
    return link;
}

wh_idmap_link_t *wh_idmap_find(const wh_idmap_t *map, apr_uint64_t id)
{
    return first_of(*slot_of(map, id), id);
}

wh_idmap_link_t *wh_idmap_older(const wh_idmap_link_t *link)
{
    return first_of(link->next, link->id);
}
