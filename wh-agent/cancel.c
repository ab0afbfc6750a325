#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "wh-agent/cancel.h"

static apr_status_t cancel_close(void *data)
{
    wh_cancel_t *cancel = data;

    if (cancel->fd >= 0)
        close(cancel->fd);
    cancel->fd = -1;
    return APR_SUCCESS;
}

apr_status_t wh_cancel_init(apr_pool_t *p, wh_cancel_t *cancel, wh_err_t *err)
{
    cancel->is_set = 0;
    cancel->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (cancel->fd < 0)
        return wh_err_wrap(err, errno, 500, "internal", "cannot make an event descriptor");
    apr_pool_cleanup_register(p, cancel, cancel_close, apr_pool_cleanup_null);
    return APR_SUCCESS;
}

void wh_cancel_set(wh_cancel_t *cancel)
{
    uint64_t one = 1;

    __atomic_store_n(&cancel->is_set, 1, __ATOMIC_SEQ_CST);
    if (cancel->fd >= 0 && write(cancel->fd, &one, sizeof(one)) < 0)
        return; /* the counter is full: it is readable already */
}

int wh_cancel_is_set(const wh_cancel_t *cancel)
{
    return cancel != NULL && __atomic_load_n(&cancel->is_set, __ATOMIC_SEQ_CST);
}

int wh_cancel_wait(const wh_cancel_t *cancel, apr_interval_time_t us)
{
    struct pollfd pfd = {.fd = cancel != NULL ? cancel->fd : -1, .events = POLLIN};

    if (!wh_cancel_is_set(cancel) && us > 0)
        (void)poll(&pfd, 1, (int)((us + 999) / 1000));
    return wh_cancel_is_set(cancel);
}
