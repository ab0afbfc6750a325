/* Runs one job of the agent without a hub: wh-agent-job -c FILE [--cancel-after MS] JOB.json
 *
 * JOB.json is the payload of a `job` frame. Log lines and phases go to standard output as they
 * come, each as "log <stream> <text>" or "phase <name>", and at the end the payload of the
 * job_result as "result {…}". With --reconcile JOB.json is {"desired":[…]} of a welcome, and what
 * is seen afterwards is printed. After a stop that went well house is kept, as the agent does it.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <apr_general.h>
#include <curl/curl.h>
#include "libwh/wh_json.h"
#include "libwh/wh_log.h"
#include "libwh/wh_sys.h"
#include "wh-agent/deploy.h"
#include "wh-agent/fsutil.h"
#include "wh-agent/keep.h"
#include "wh-agent/reconcile.h"
#include "wh-agent/thread.h"

typedef struct tool_t {
    apr_pool_t *p;
    wh_agent_conf_t conf;
    wh_identity_t *identity;
    wh_cancel_t cancel;
    apr_int64_t cancel_after_ms;
    wh_logs_t *logs;
    wh_logs_t *shown;
} tool_t;

static int fail(const wh_err_t *err)
{
    fprintf(stderr, "wh-agent-job: %s: %s\n", err->code, err->text);
    return 2;
}

static void show_logs(void *baton)
{
    tool_t *tool = baton;
    apr_int64_t dropped;
    apr_pool_t *p;
    apr_array_header_t *lines;

    apr_pool_create(&p, NULL);
    while ((lines = wh_logs_take(tool->logs, p, &dropped)) != NULL) {
        for (int i = 0; i < lines->nelts; i++) {
            const wh_msg_line_t *line = &APR_ARRAY_IDX(lines, i, wh_msg_line_t);

            printf("log %s %s\n", wh_model_stream_text(line->stream), line->text);
            wh_logs_acked(tool->logs, line->seq);
        }
        if (dropped > 0)
            printf("dropped %ld\n", (long)dropped);
    }
    fflush(stdout);
    apr_pool_destroy(p);
}

static void show_phase(void *baton, wh_phase_e phase, const wh_msg_commit_t *commit)
{
    (void)baton;
    printf("phase %s%s%s\n", wh_model_phase_text(phase), commit != NULL ? " " : "",
           commit != NULL ? commit->sha : "");
    fflush(stdout);
}

static void cancel_later(void *data)
{
    tool_t *tool = data;

    (void)wh_cancel_wait(NULL, tool->cancel_after_ms * 1000);
    wh_cancel_set(&tool->cancel);
}

static int keep_house(tool_t *tool)
{
    wh_keep_opts_t opts = {.conf = &tool->conf,
                           .clock = wh_sys_clock(),
                           .engine = wh_engine_docker_open,
                           .agent = wh_identity_agent_id(tool->identity)};
    wh_err_t err = WH_ERR_INIT;

    return wh_keep_superseded(tool->p, &opts, NULL, &err) == APR_SUCCESS &&
                   wh_keep_run(tool->p, &opts, &err) == APR_SUCCESS
               ? 0
               : fail(&err);
}

static int run_job(tool_t *tool, json_t *doc)
{
    wh_msg_job_t job;
    wh_err_t err = WH_ERR_INIT;
    wh_logs_opts_t logs = {.clock = wh_sys_clock(), .wake = show_logs, .wake_baton = tool};
    wh_work_t work = {.p = tool->p,
                      .conf = &tool->conf,
                      .clock = wh_sys_clock(),
                      .rnd = wh_sys_rand(),
                      .identity = tool->identity,
                      .engine = tool->conf.engine_socket[0] != '\0' ? wh_engine_docker_open : NULL,
                      .mark = "WISEHOST_AGENT=tool",
                      .cancel = &tool->cancel,
                      .job = &job,
                      .phase = show_phase};
    wh_msg_job_result_t result;
    json_t *payload;

    if (wh_proto_msg_job_decode(tool->p, doc, &job, &err) != APR_SUCCESS ||
        wh_logs_make(tool->p, &logs, &tool->logs, &err) != APR_SUCCESS)
        return fail(&err);
    work.logs = tool->logs;
    if (tool->cancel_after_ms > 0 && wh_thread_start(cancel_later, tool, &err) != APR_SUCCESS)
        return fail(&err);
    wh_deploy_run(&work, &result);
    payload = wh_proto_msg_job_result_encode(&result);
    printf("result %s\n", wh_json_text(tool->p, payload, NULL));
    json_decref(payload);
    if (result.outcome != WH_OUTCOME_SUCCEEDED)
        return 1;
    return job.kind == WH_JOB_KIND_STOP && work.engine != NULL ? keep_house(tool) : 0;
}

static int run_reconcile(tool_t *tool, json_t *doc)
{
    wh_msg_welcome_t welcome;
    wh_err_t err = WH_ERR_INIT;
    wh_reconcile_in_t in = {.asked_at = wh_clock_now(wh_sys_clock()), .may_remove = 1};
    wh_reconcile_opts_t opts = {.conf = &tool->conf,
                                .clock = wh_sys_clock(),
                                .engine = wh_engine_docker_open,
                                .agent = wh_identity_agent_id(tool->identity),
                                .in = &in};
    apr_array_header_t *seen;
    const char *name;

    if (wh_proto_msg_welcome_decode(tool->p, doc, &welcome, &err) != APR_SUCCESS)
        return fail(&err);
    in.desired = welcome.desired;
    if (wh_reconcile_pass(tool->p, &opts, &seen, &name, &err) != APR_SUCCESS)
        return fail(&err);
    printf("engine %s\n", name);
    for (int i = 0; i < seen->nelts; i++) {
        const wh_reconcile_seen_t *s = &APR_ARRAY_IDX(seen, i, wh_reconcile_seen_t);

        printf("seen %s %s %s:%d %s %s\n", s->deployment, s->container, s->address, (int)s->port,
               wh_model_observed_text(s->state), s->reason);
    }
    return 0;
}

int main(int argc, char **argv)
{
    static tool_t tool;
    wh_identity_opts_t identity = {
        .conf = &tool.conf, .clock = wh_sys_clock(), .rnd = wh_sys_rand()};
    const char *config = NULL, *file = NULL;
    wh_err_t err = WH_ERR_INIT;
    int reconcile = 0, rc;
    json_t *doc;
    char *text;
    size_t n;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-c") == 0 && i + 1 < argc)
            config = argv[++i];
        else if (strcmp(argv[i], "--cancel-after") == 0 && i + 1 < argc)
            tool.cancel_after_ms = strtol(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--reconcile") == 0)
            reconcile = 1;
        else
            file = argv[i];
    }
    if (config == NULL || file == NULL)
        return fprintf(stderr,
                       "usage: wh-agent-job -c FILE [--cancel-after MS | --reconcile] JSON\n"),
               2;
    signal(SIGPIPE, SIG_IGN);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    wh_log_set_sink(wh_log_stderr, NULL);
    if (apr_initialize() != APR_SUCCESS || apr_pool_create(&tool.p, NULL) != APR_SUCCESS)
        return 2;
    if (wh_agent_conf_load(tool.p, config, &tool.conf, &err) != APR_SUCCESS ||
        wh_fsutil_mkdir(tool.p, tool.conf.state_dir, &err) != APR_SUCCESS ||
        wh_identity_open(tool.p, &identity, &tool.identity, &err) != APR_SUCCESS ||
        wh_cancel_init(tool.p, &tool.cancel, &err) != APR_SUCCESS ||
        wh_fsutil_read(tool.p, file, 1048576, &text, &n, &err) != APR_SUCCESS ||
        wh_json_load_object(tool.p, text, n, NULL, &doc, &err) != APR_SUCCESS)
        return fail(&err);
    rc = reconcile ? run_reconcile(&tool, doc) : run_job(&tool, doc);
    apr_pool_destroy(tool.p);
    return rc;
}
