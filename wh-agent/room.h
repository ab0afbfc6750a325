/* Whether there is room for new builds: below a floor of disk or memory they are refused, until a
 * tenth more than the floor is free again. What runs goes on, and stopping always works. Pure. */
#ifndef WH_AGENT_ROOM_H
#define WH_AGENT_ROOM_H

#include "libwh/wh_types.h"

typedef struct wh_room_look_t {
    apr_int64_t disk_free, disk_floor; /* bytes; a floor of 0 = none, free < 0 = not known */
    apr_int64_t memory_free, memory_floor;
} wh_room_look_t;

typedef struct wh_room_t {
    int disk_low, memory_low;
    char refuses[160]; /* why, "" = builds are taken */
} wh_room_t;

/* Look again. Returns whether `refuses` went from empty to full or back. */
int wh_room_judge(wh_room_t *room, const wh_room_look_t *look);

#endif
