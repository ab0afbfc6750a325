#include "wh-scheduler/watchdog.h"

#include <stdlib.h>
#include <apr_strings.h>

void wh_watchdog_init(wh_watchdog_t *dog, const char *usec, const char *pid, long ours,
                      wh_mono_t now)
{
    int is_ours = pid == NULL || apr_atoi64(pid) == ours;

    dog->limit = usec != NULL && is_ours ? apr_atoi64(usec) : 0;
    dog->next = now;
    atomic_init(&dog->mark, now.us);
}

void wh_watchdog_mark(wh_watchdog_t *dog, wh_mono_t now)
{
    if (dog != NULL) {
        atomic_store_explicit(&dog->mark, now.us, memory_order_relaxed);
    }
}

int wh_watchdog_due(wh_watchdog_t *dog, wh_mono_t now)
{
    apr_int64_t mark = atomic_load_explicit(&dog->mark, memory_order_relaxed);

    if (dog->limit <= 0 || !wh_mono_reached(now, dog->next) || now.us - mark > dog->limit / 2) {
        return 0;
    }
    dog->next = wh_mono_add(now, dog->limit / 4);
    return 1;
}
