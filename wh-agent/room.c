#include <apr_strings.h>
#include "libwh/wh_model.h"
#include "wh-agent/room.h"

static int low(int was, apr_int64_t available, apr_int64_t floor)
{
    if (floor <= 0 || available < 0)
        return 0;
    return available < (was ? floor + floor / 10 : floor);
}

int wh_room_judge(wh_room_t *room, const wh_room_look_t *look)
{
    int before = room->refuses[0] != '\0';

    room->disk_low = low(room->disk_low, look->disk_free, look->disk_floor);
    room->memory_low = low(room->memory_low, look->memory_free, look->memory_floor);
    room->refuses[0] = '\0';
    if (room->disk_low)
        (void)apr_snprintf(room->refuses, sizeof(room->refuses),
                           "the disk has %" APR_INT64_T_FMT
                           " MiB left; builds need %" APR_INT64_T_FMT " MiB",
                           look->disk_free / WH_MIB, look->disk_floor / WH_MIB);
    else if (room->memory_low)
        (void)apr_snprintf(room->refuses, sizeof(room->refuses),
                           "the memory has %" APR_INT64_T_FMT
                           " MiB left; builds need %" APR_INT64_T_FMT " MiB",
                           look->memory_free / WH_MIB, look->memory_floor / WH_MIB);
    return before != (room->refuses[0] != '\0');
}
