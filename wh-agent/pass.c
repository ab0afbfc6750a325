#include "libwh/wh_log.h"
#include "libwh/wh_pool.h"
#include "wh-agent/pass.h"

static wh_reconcile_opts_t reconcile_opts(const wh_pass_t *pass)
{
    const wh_agent_t *a = pass->agent;

    return (wh_reconcile_opts_t){.conf = &a->conf,
                                 .clock = a->clock,
                                 .engine = a->engine,
                                 .agent = wh_identity_agent_id(a->identity),
                                 .in = pass->acting ? &pass->in : NULL};
}

/* Marks without a result: jobs of a former life that were cut off. Nothing of them may run on; that
 * they are lost is for the hub to say, when our hello does not name them. */
static int clear_former_life(wh_pass_t *pass)
{
    wh_agent_t *a = pass->agent;
    wh_reconcile_opts_t opts = reconcile_opts(pass);
    apr_array_header_t *marked = wh_results_marked(a->conf.state_dir, pass->p);
    apr_array_header_t *lost = apr_array_make(pass->p, 4, sizeof(const char *));
    int killed = wh_proc_kill_marked(pass->p, a->mark);
    apr_status_t rv = APR_SUCCESS;

    for (int i = 0; i < marked->nelts; i++) {
        const char *job = APR_ARRAY_IDX(marked, i, const char *);

        if (wh_results_find(a->results, job, 0) == NULL)
            APR_ARRAY_PUSH(lost, const char *) = job;
    }
    if (killed > 0 || lost->nelts > 0)
        wh_log(WH_LOG_INFO, NULL, "a former life left %d processes and %d jobs: cleared away",
               killed, lost->nelts);
    if (lost->nelts > 0 && a->engine != NULL)
        rv = wh_reconcile_clear_jobs(pass->p, &opts, lost, &pass->engine_err);
    if (rv != APR_SUCCESS) {
        wh_log(WH_LOG_WARN, "WH0670", "containers of cut-off jobs may be left: %s",
               pass->engine_err.text);
        return 0;
    }
    for (int i = 0; i < marked->nelts; i++)
        wh_results_unmark(a->conf.state_dir, pass->p, APR_ARRAY_IDX(marked, i, const char *));
    return 1;
}

void wh_pass_run(wh_pass_t *pass)
{
    wh_agent_t *a = pass->agent;
    wh_reconcile_opts_t opts = reconcile_opts(pass);

    if (pass->clear)
        pass->clear = clear_former_life(pass);
    pass->ok = 1;
    if (pass->want_token)
        pass->ok = wh_identity_token(a->identity, pass->p, pass->force_token, &pass->token,
                                     &pass->err) == APR_SUCCESS;
    pass->engine_name = "";
    if (a->engine != NULL && wh_reconcile_pass(pass->p, &opts, &pass->seen, &pass->engine_name,
                                               &pass->engine_err) != APR_SUCCESS) {
        pass->seen = NULL;
        pass->engine_name = "";
    }
    if (a->engine != NULL && pass->want_token && pass->seen != NULL)
        (void)wh_reconcile_engine_root(pass->p, &opts, &pass->engine_root);
}

wh_pass_t *wh_pass_make(wh_agent_t *agent)
{
    apr_pool_t *p = wh_pool_make("pass");
    wh_pass_t *pass = p != NULL ? apr_pcalloc(p, sizeof(*pass)) : NULL;

    if (pass != NULL) {
        pass->agent = agent;
        pass->p = p;
        pass->engine_root = "";
    }
    return pass;
}
