/* What the files of wh_hook share; nobody else includes this. */
#ifndef WH_HOOK_INT_H
#define WH_HOOK_INT_H

#include "libwh/wh_hook.h"

/* Where things stand in a payload; the meaning of each is told in wh_hook_provider.def. */
typedef struct wh_hook_shape_t {
    const char *items;
    const char *ref, *name, *type, *before, *sha, *deleted, *forced, *head;
    const char *commits, *id, *message, *author, *at, *paths[3], *total;
    const char *number, *source, *source_repo, *target_repo, *fork;
    const char *repository, *url, *full_name;
} wh_hook_shape_t;

/* The row for an event of this name and action (NULL = not told). Returns 0 when no row has the
 * name; *shape is NULL when none fits. */
int wh_hook_int_event(const wh_hook_provider_t *provider, const char *event, const char *action,
                      wh_hook_kind_e *kind, const wh_hook_shape_t **shape);

#endif
