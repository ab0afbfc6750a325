/*
 * wh_mod_lru.h - an intrusive list, most recently used first. The node is the first member of its
 * entry. No locking: the owner holds its mutex.
 */
#ifndef WH_MOD_LRU_H
#define WH_MOD_LRU_H

typedef struct wh_mod_lru_t wh_mod_lru_t;
struct wh_mod_lru_t {
    wh_mod_lru_t *prev;
    wh_mod_lru_t *next;
};

static inline void wh_mod_lru_init(wh_mod_lru_t *list)
{
    list->prev = list;
    list->next = list;
}

static inline void wh_mod_lru_remove(wh_mod_lru_t *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    node->prev = node;
    node->next = node;
}

static inline void wh_mod_lru_push(wh_mod_lru_t *list, wh_mod_lru_t *node)
{
    node->next = list->next;
    node->prev = list;
    list->next->prev = node;
    list->next = node;
}

#endif
