/* wh deploy: the newest commit (or the one named) goes live; --wait tells how. */
#include "config.h"

#include <apr_strings.h>
#include <string.h>

#include "libwh/wh_types.h"
#include "wh/wh_cmd.h"

#define TAIL_LINES 40

static int body_make(const wh_cli_t *cli, json_t *body)
{
    static const char *const names[] = {"ref", "commit", "environment"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *value = wh_cli_opts_get(cli, names[i]);
        if (value != NULL && json_object_set_new(body, names[i], json_string(value)) != 0) {
            wh_cli_error("--%s is no UTF-8 text", names[i]);
            return WH_EXIT_USAGE;
        }
    }
    if (json_object_get(body, "ref") != NULL && json_object_get(body, "commit") != NULL) {
        wh_cli_error("give --ref or --commit, not both");
        return WH_EXIT_USAGE;
    }
    return wh_cli_worker_placement(cli, body);
}

/* --upload: the archive first, then the commit that it became. */
static int upload(wh_cli_t *cli, const char *app, json_t *body)
{
    const char *path = wh_cli_opts_get(cli, "upload");
    wh_cli_reply_t reply;
    FILE *file;
    if (path == NULL)
        return 0;
    if (json_object_get(body, "ref") != NULL || json_object_get(body, "commit") != NULL) {
        wh_cli_error("--upload takes the place of --ref and --commit");
        return WH_EXIT_USAGE;
    }
    int rc = wh_cli_pack(path, &file);
    if (rc != 0)
        return rc;
    rc = wh_cli_http_file(
        cli, apr_pstrcat(cli->p, "/v1/apps/", wh_cli_http_escape(cli, app), "/uploads", NULL), file,
        &reply);
    fclose(file);
    if (rc != 0)
        return rc;
    wh_cli_note(cli, "%s files uploaded, %s bytes\n", wh_cli_get(cli, reply.body, "files"),
                wh_cli_get(cli, reply.body, "bytes"));
    json_object_set(body, "commit", json_object_get(reply.body, "commit"));
    json_object_set_new(body, "uploaded", json_true());
    return 0;
}

/* The last lines of the log: with --quiet they were not seen before. */
static void tail_say(wh_cli_t *cli, const char *id)
{
    wh_cli_reply_t reply;
    json_t *lines = json_array();
    json_int_t seq = 0;
    for (;;) {
        const char *path =
            apr_psprintf(cli->p, "/v1/deployments/%s/logs?after=%" APR_INT64_T_FMT "&limit=1000",
                         id, (apr_int64_t)seq);
        wh_cli_http_try(cli, "GET", path, NULL, NULL, &reply);
        json_t *items = json_object_get(reply.body, "items");
        size_t n = json_array_size(items);
        if (reply.status != 200 || n == 0)
            break;
        json_array_extend(lines, items);
        json_int_t last = wh_cli_get_int(json_array_get(items, n - 1), "seq");
        if (last <= seq || n < 1000)
            break;
        seq = last;
    }
    size_t total = json_array_size(lines);
    for (size_t i = total > TAIL_LINES ? total - TAIL_LINES : 0; i < total; i++)
        wh_cli_error("  %s", wh_cli_get(cli, json_array_get(lines, i), "text"));
    json_decref(lines);
}

/* 1 when an earlier deployment of the app succeeded: that one goes on serving. */
static int serves_still(wh_cli_t *cli, const json_t *deployment)
{
    wh_cli_reply_t reply;
    const char *app = wh_cli_get(cli, deployment, "app");
    wh_cli_http_try(cli, "GET",
                    apr_pstrcat(cli->p, "/v1/apps/", wh_cli_http_escape(cli, app),
                                "/deployments?limit=50", NULL),
                    NULL, NULL, &reply);
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(reply.body, "items"), i,
                       one) if (strcmp(wh_cli_get(cli, one, "conclusion"), "succeeded") ==
                                0) return 1;
    return 0;
}

/* What gives the app what its repository asks for; the cause's own words say which it is. */
static const char *access_command(const wh_cli_t *cli, const json_t *deployment, const char *app)
{
    static const char *const words[] = {"apps known-hosts", "apps deploy-key", "apps credentials"};
    const char *detail = wh_cli_get(cli, deployment, "cause.detail");
    size_t i = 0;
    while (i < WH_ARRAY_LEN(words) - 1 && strstr(detail, words[i]) == NULL)
        i++;
    return apr_pstrcat(cli->p, "wh ", words[i], " ", app, NULL);
}

static const char *next_command(const wh_cli_t *cli, const json_t *deployment)
{
    const char *code = wh_cli_get(cli, deployment, "cause.code");
    const char *app = wh_cli_get(cli, deployment, "app");
    if (strcmp(code, "repository_auth") == 0)
        return access_command(cli, deployment, app);
    if (strcmp(code, "repository_refused") == 0)
        return apr_pstrcat(cli->p, "wh apps set ", app, " --repo URL", NULL);
    if (strcmp(code, "no_engine") == 0 || strcmp(code, "agent_lost") == 0)
        return "wh doctor";
    if (strcmp(code, "not_listening") == 0 || strcmp(code, "unhealthy") == 0 ||
        strcmp(code, "ref_not_found") == 0)
        return apr_pstrcat(cli->p, "wh apps info ", app, NULL);
    return apr_pstrcat(cli->p, "wh logs ", wh_cli_get(cli, deployment, "id"), NULL);
}

static int failed(wh_cli_t *cli, const json_t *deployment)
{
    const char *conclusion = wh_cli_get(cli, deployment, "conclusion");
    const char *cause = wh_cli_get(cli, deployment, "cause.detail");
    if (cli->quiet && strcmp(conclusion, "failed") == 0)
        tail_say(cli, wh_cli_get(cli, deployment, "id"));
    if (*cause == '\0')
        cause = wh_cli_get(cli, deployment, "cause.code");
    wh_cli_error("%s: %s", wh_cli_paint(cli, "red", conclusion), cause);
    if (serves_still(cli, deployment))
        wh_cli_error("what was live before goes on serving");
    wh_cli_error("next: %s", next_command(cli, deployment));
    return WH_EXIT_FAIL;
}

static int wait_for(wh_cli_t *cli, const char *id, apr_int64_t timeout_s)
{
    json_t *deployment = NULL;
    int rc = wh_cli_watch(cli, id, timeout_s, &deployment);
    if (rc == 0 && strcmp(wh_cli_get(cli, deployment, "conclusion"), "succeeded") != 0)
        rc = failed(cli, deployment);
    if (cli->json && deployment != NULL)
        wh_cli_json(deployment);
    else if (rc == 0)
        wh_cli_out("%s\n", wh_cli_get(cli, deployment, "url"));
    return rc;
}

static int run(wh_cli_t *cli)
{
    wh_cli_reply_t reply;
    apr_int64_t timeout_s = 0;
    const char *app = wh_cli_opts_app(cli);
    if (app == NULL || wh_cli_opts_int(cli, "timeout", 1, 86400, &timeout_s) != 0)
        return WH_EXIT_USAGE;
    json_t *body = json_object();
    int rc = body_make(cli, body);
    rc = rc != 0 ? rc : upload(cli, app, body);
    if (rc == 0)
        rc = wh_cli_http(
            cli, "POST",
            apr_pstrcat(cli->p, "/v1/apps/", wh_cli_http_escape(cli, app), "/deployments", NULL),
            body, NULL, &reply);
    json_decref(body);
    if (rc != 0)
        return rc;
    const char *id = wh_cli_get(cli, reply.body, "id");
    wh_cli_note(cli, "%s deployment %s (%s), to be live at %s\n", wh_cli_clean(cli, app),
                wh_cli_get(cli, reply.body, "number"), id, wh_cli_get(cli, reply.body, "url"));
    if (wh_cli_opts_get(cli, "wait") != NULL && wh_cli_deployment_is_id(id))
        return wait_for(cli, id, timeout_s);
    if (cli->json)
        wh_cli_json(reply.body);
    else
        wh_cli_out("%s\n", id);
    wh_cli_note(cli, "See it: wh logs -f %s\n", id);
    return WH_EXIT_OK;
}

static const wh_cli_option_t options[] = {
    {"app", 'a', "APP", "the app"},
    {"wait", 'w', NULL, "stream the log, end with the URL; the exit code says how it went"},
    {"timeout", 0, "SECONDS", "with --wait: do not wait longer (exit code 124)"},
    {"ref", 0, "BRANCH", "another branch or tag than the app's"},
    {"commit", 0, "SHA", "this very commit"},
    {"upload", 'u', "PATH", "this directory, or this tar, tar.gz, tar.zst or zip"},
    {"environment", 'e', "ENV", "the environment (production)"},
    WH_CLI_PLACEMENT,
    {NULL, 0, NULL, NULL},
};

const wh_cli_cmd_t wh_cmd_deploy = {.words = "deploy",
                                    .args = "APP [--wait]",
                                    .max_args = 1,
                                    .run = run,
                                    .options = options,
                                    .doc = "put the newest commit live"};
