#include "wh-agent/uses.h"

#include <string.h>
#include <apr_strings.h>
#include "libwh/wh_log.h"
#include "libwh/wh_pool.h"
#include "wh-agent/thread.h"

/* Sums of what an engine says stay in range, whatever it says. */
static void add(apr_int64_t *to, apr_int64_t n)
{
    *to = *to > WH_SEQ_MAX - n ? WH_SEQ_MAX : *to + n;
}

apr_int64_t wh_uses_cpu_millis(apr_int64_t before_ns, apr_int64_t now_ns, apr_interval_time_t us)
{
    double millis;

    if (us <= 0 || now_ns <= before_ns)
        return 0;
    millis = (double)(now_ns - before_ns) / (double)us;
    return millis < (double)WH_MSG_CPU_MAX ? (apr_int64_t)millis : WH_MSG_CPU_MAX;
}

/* ---- a look ---- */

typedef struct one_t {
    const char *container, *app, *deployment;
    int known; /* before_ns holds */
    apr_int64_t before_ns;
    wh_mono_t before, at;
    int good;
    wh_engine_use_t use;
} one_t;

typedef struct uses_t {
    wh_agent_t *agent;
    apr_pool_t *p;
    apr_array_header_t *list; /* one_t */
} uses_t;

/* Containers of one deployment are one item of the frame. */
static void tell(apr_array_header_t *apps, const one_t *one)
{
    wh_msg_app_use_t *to = NULL;

    for (int i = 0; i < apps->nelts && to == NULL; i++) {
        wh_msg_app_use_t *use = &APR_ARRAY_IDX(apps, i, wh_msg_app_use_t);

        if (strcmp(use->app, one->app) == 0 && strcmp(use->deployment, one->deployment) == 0)
            to = use;
    }
    if (to == NULL && apps->nelts == WH_MSG_APPS_MAX)
        return;
    if (to == NULL) {
        to = apr_array_push(apps);
        *to = (wh_msg_app_use_t){.app = one->app, .deployment = one->deployment};
    }
    to->cpu_millis +=
        wh_uses_cpu_millis(one->before_ns, one->use.cpu_ns, wh_mono_diff(one->at, one->before));
    if (to->cpu_millis > WH_MSG_CPU_MAX)
        to->cpu_millis = WH_MSG_CPU_MAX;
    add(&to->net_rx_bytes, one->use.net_rx_bytes);
    add(&to->net_tx_bytes, one->use.net_tx_bytes);
    add(&to->disk_read_bytes, one->use.disk_read_bytes);
    add(&to->disk_write_bytes, one->use.disk_write_bytes);
    to->memory_bytes += one->use.memory_bytes;
    to->memory_limit_bytes += one->use.memory_limit_bytes;
    if (to->memory_bytes > WH_MSG_MEMORY_MAX)
        to->memory_bytes = WH_MSG_MEMORY_MAX;
    if (to->memory_limit_bytes > WH_MSG_MEMORY_MAX)
        to->memory_limit_bytes = WH_MSG_MEMORY_MAX;
}

/* What the next look begins from, in a pool of its own. */
static void remember(wh_agent_t *agent, const uses_t *uses)
{
    apr_pool_t *p = wh_pool_make("uses");
    wh_uses_cpu_t *cpu;

    if (p == NULL)
        return;
    if (agent->uses_p != NULL)
        apr_pool_destroy(agent->uses_p);
    agent->uses_p = p;
    agent->uses = apr_array_make(p, uses->list->nelts + 1, sizeof(wh_uses_cpu_t));
    for (int i = 0; i < uses->list->nelts; i++) {
        const one_t *one = &APR_ARRAY_IDX(uses->list, i, one_t);

        if (!one->good)
            continue;
        cpu = apr_array_push(agent->uses);
        cpu->container = apr_pstrdup(p, one->container);
        cpu->ns = one->use.cpu_ns;
        cpu->at = one->at;
    }
}

static void on_looked(void *owner, void *data)
{
    wh_agent_t *agent = owner;
    uses_t *uses = data;
    wh_msg_app_stats_t m = {.apps = apr_array_make(uses->p, 8, sizeof(wh_msg_app_use_t))};
    int fresh = 0;

    agent->using = 0;
    for (int i = 0; i < uses->list->nelts; i++) {
        const one_t *one = &APR_ARRAY_IDX(uses->list, i, one_t);

        fresh |= one->good && !one->known;
        if (one->good && one->known)
            tell(m.apps, one);
    }
    remember(agent, uses);
    if (m.apps->nelts > 0 && agent->welcomed)
        wh_link_send(agent->link, WH_MSG_APP_STATS, wh_proto_msg_app_stats_encode(&m));
    wh_link_timer(agent->link, WH_LINK_T_USES, fresh ? WH_USES_SECOND_US : WH_USES_EVERY_US);
}

static void uses_thread(void *data)
{
    uses_t *uses = data;
    wh_agent_t *a = uses->agent;
    wh_engine_open_t open = {
        .socket = a->conf.engine_socket, .cancel = &a->ending, .clock = a->clock};
    wh_engine_t *e;

    if (a->engine(uses->p, &open, &e, NULL) == APR_SUCCESS) {
        for (int i = 0; i < uses->list->nelts && !wh_cancel_is_set(&a->ending); i++) {
            one_t *one = &APR_ARRAY_IDX(uses->list, i, one_t);

            one->good = e->vt->use(e, uses->p, one->container, &one->use, NULL) == APR_SUCCESS;
            one->at = wh_clock_mono(a->clock);
        }
    }
    wh_box_post(a->box, uses->p, on_looked, uses);
}

/* Those that the last look saw running. */
static void choose(wh_agent_t *agent, uses_t *uses)
{
    for (int i = 0; agent->seen != NULL && i < agent->seen->nelts; i++) {
        const wh_reconcile_seen_t *s = &APR_ARRAY_IDX(agent->seen, i, wh_reconcile_seen_t);
        one_t one = {.container = apr_pstrdup(uses->p, s->container),
                     .app = apr_pstrdup(uses->p, s->app),
                     .deployment = apr_pstrdup(uses->p, s->deployment)};

        if (s->busy || s->state != WH_OBSERVED_RUNNING || s->app[0] == '\0' ||
            s->deployment[0] == '\0')
            continue;
        for (int k = 0; agent->uses != NULL && k < agent->uses->nelts; k++) {
            const wh_uses_cpu_t *cpu = &APR_ARRAY_IDX(agent->uses, k, wh_uses_cpu_t);

            if (strcmp(cpu->container, s->container) == 0) {
                one.known = 1;
                one.before_ns = cpu->ns;
                one.before = cpu->at;
            }
        }
        APR_ARRAY_PUSH(uses->list, one_t) = one;
    }
}

void wh_uses_due(wh_agent_t *agent)
{
    apr_pool_t *p;
    uses_t *uses;
    wh_err_t err = WH_ERR_INIT;

    if (agent->engine == NULL || agent->using || agent->stopping)
        return;
    wh_link_timer(agent->link, WH_LINK_T_USES, WH_USES_EVERY_US);
    if (!agent->welcomed || (p = wh_pool_make("uses")) == NULL)
        return;
    uses = apr_pcalloc(p, sizeof(*uses));
    uses->agent = agent;
    uses->p = p;
    uses->list = apr_array_make(p, 8, sizeof(one_t));
    choose(agent, uses);
    if (uses->list->nelts > 0) {
        agent->using = 1;
        if (wh_thread_start(uses_thread, uses, &err) == APR_SUCCESS)
            return;
        wh_log(WH_LOG_WARN, "WH0691", "what containers use is not known: %s", err.text);
        agent->using = 0;
    }
    apr_pool_destroy(p);
}
