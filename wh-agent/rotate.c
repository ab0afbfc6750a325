#include "libwh/wh_log.h"
#include "libwh/wh_pool.h"
#include "wh-agent/rotate.h"
#include "wh-agent/thread.h"

typedef struct change_t {
    wh_agent_t *agent;
    apr_pool_t *p;
    int ok;
    wh_err_t err;
} change_t;

static void on_changed(void *owner, void *data)
{
    wh_agent_t *agent = owner;
    const change_t *change = data;

    agent->rotating = 0;
    if (!change->ok)
        wh_log(WH_LOG_WARN, "WH0711", "the key of this worker could not be changed: %s",
               change->err.text);
    /* Unless the server said no, its answer may have got lost: a new line shows which key counts.
     */
    if (!change->ok && change->err.http < 500)
        return;
    agent->force_token |= !change->ok;
    if (!agent->connected)
        return; /* it is on its way back already */
    agent->rekeyed = 1;
    wh_link_close(agent->link, 1000);
}

static void change_thread(void *data)
{
    change_t *change = data;

    change->ok = wh_identity_rotate(change->agent->identity, &change->err) == APR_SUCCESS;
    wh_box_post(change->agent->box, change->p, on_changed, change);
}

void wh_rotate_begin(wh_agent_t *agent)
{
    apr_pool_t *p = agent->rotating || agent->stopping ? NULL : wh_pool_make("rotate");
    change_t *change = p != NULL ? apr_pcalloc(p, sizeof(*change)) : NULL;
    wh_err_t err = WH_ERR_INIT;

    if (change == NULL)
        return;
    change->agent = agent;
    change->p = p;
    agent->rotating = 1;
    if (wh_thread_start(change_thread, change, &err) == APR_SUCCESS)
        return;
    wh_log(WH_LOG_ERROR, "WH0712", "%s", err.text);
    agent->rotating = 0;
    apr_pool_destroy(p);
}
