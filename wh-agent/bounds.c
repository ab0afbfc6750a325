#include <stdarg.h>
#include <sys/statvfs.h>
#include <apr_atomic.h>
#include <apr_strings.h>
#include "wh-agent/bounds.h"

#define LOOK_US ((apr_interval_time_t)250000)

static apr_uint32_t under_way; /* builds of this process */

static int see(const wh_bounds_t *bounds, apr_int64_t *room, apr_int64_t *nodes)
{
    struct statvfs fs;

    if (bounds->dir[0] == '\0' || statvfs(bounds->dir, &fs) != 0)
        return 0;
    *room = (apr_int64_t)fs.f_bavail * (apr_int64_t)fs.f_frsize;
    *nodes = (apr_int64_t)fs.f_favail;
    return 1;
}

void wh_bounds_begin(wh_bounds_t *bounds, const wh_work_t *work, const char *dir)
{
    const wh_agent_conf_t *conf = work->conf;
    struct statvfs fs;

    *bounds = (wh_bounds_t){.clock = work->clock,
                            .dir = dir[0] != '\0' && statvfs(dir, &fs) == 0 ? dir : conf->state_dir,
                            .output_max = conf->build_output_bytes,
                            .disk_max = conf->build_disk_bytes,
                            .files_max = conf->build_files,
                            .floor = conf->disk_floor_bytes / 2,
                            .next = wh_mono_add(wh_clock_mono(work->clock), LOOK_US)};
    apr_atomic_inc32(&under_way);
    if (!see(bounds, &bounds->free, &bounds->nodes))
        bounds->dir = "";
}

void wh_bounds_end(wh_bounds_t *bounds)
{
    (void)bounds;
    apr_atomic_dec32(&under_way);
}

static void __attribute__((format(printf, 2, 3))) say(wh_bounds_t *bounds, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    if (bounds->why[0] == '\0') /* the first cause is the cause */
        (void)apr_vsnprintf(bounds->why, sizeof(bounds->why), fmt, ap);
    va_end(ap);
}

int wh_bounds_judge(wh_bounds_t *bounds, apr_int64_t room, apr_int64_t nodes)
{
    int builds = bounds->builds > 1 ? bounds->builds : 1, over = 0;
    apr_int64_t used = bounds->free - room, disk_max = bounds->disk_max * builds;

    if (disk_max > 0 && used > disk_max) {
        say(bounds, "the build filled more than %" APR_INT64_T_FMT " MiB of the disk",
            bounds->disk_max / WH_MIB);
        over = used > 2 * disk_max ? 2 : 1;
    } else if (bounds->files_max > 0 && bounds->nodes - nodes > bounds->files_max * builds) {
        say(bounds, "the build made more than %" APR_INT64_T_FMT " files", bounds->files_max);
        over = 1;
    }
    if (room < bounds->floor && used > 0) {
        say(bounds, "the disk has only %" APR_INT64_T_FMT " MiB left", room / WH_MIB);
        over = 2;
    }
    return over;
}

int wh_bounds_over(void *baton)
{
    wh_bounds_t *bounds = baton;
    wh_mono_t now = wh_clock_mono(bounds->clock);
    apr_int64_t room, nodes;
    int builds = (int)apr_atomic_read32(&under_way), over;

    bounds->builds = builds > bounds->builds ? builds : bounds->builds;
    if (bounds->output_max > 0 && bounds->output > bounds->output_max) {
        say(bounds, "the build printed more than %" APR_INT64_T_FMT " MiB",
            bounds->output_max / WH_MIB);
        bounds->over = bounds->over > 0 ? bounds->over : 1;
    }
    if (!wh_mono_reached(now, bounds->next))
        return bounds->over;
    bounds->next = wh_mono_add(now, LOOK_US);
    over = see(bounds, &room, &nodes) ? wh_bounds_judge(bounds, room, nodes) : 0;
    bounds->over = over > bounds->over ? over : bounds->over;
    return bounds->over;
}
