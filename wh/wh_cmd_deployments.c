/* wh deployments */
#include "config.h"

#include <apr_strings.h>
#include <string.h>

#include "wh/wh_cmd.h"

static const char *short_sha(const wh_cli_t *cli, const json_t *deployment)
{
    const char *sha = wh_cli_get(cli, deployment, "commit.sha");
    return strlen(sha) > 7 ? apr_pstrmemdup(cli->p, sha, 7) : sha;
}

/* "live in production, staging" */
static const char *live_in(const wh_cli_t *cli, const json_t *deployment)
{
    const char *text = "live";
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(deployment, "environments"), i, one)
    {
        if (json_is_string(one))
            text = apr_pstrcat(cli->p, text, i == 0 ? " in " : ", ",
                               wh_cli_clean(cli, json_string_value(one)), NULL);
    }
    return text;
}

/* Where it serves, or whether it could again. */
static const char *serving(const wh_cli_t *cli, const json_t *deployment)
{
    const char *word = wh_cli_get(cli, deployment, "serving");
    int kept = json_is_true(json_object_get(deployment, "retained"));
    return strcmp(word, "current") == 0 ? live_in(cli, deployment)
           : !kept                      ? "-"
           : strcmp(word, "none") == 0  ? "kept"
                                        : "before";
}

static void row_add(const wh_cli_t *cli, wh_cli_table_t *table, const json_t *one)
{
    const char *said = wh_cli_get(cli, one, "cause.detail");
    if (*said == '\0')
        said = wh_cli_get(cli, one, "commit.message");
    wh_cli_table_add(table, wh_cli_get(cli, one, "number"));
    wh_cli_table_add(table, wh_cli_get(cli, one, "id"));
    wh_cli_table_add(table, wh_cli_deployment_state(cli, one));
    wh_cli_table_add(table, serving(cli, one));
    wh_cli_table_add(table, short_sha(cli, one));
    wh_cli_table_add(table, wh_cli_get(cli, one, "trigger"));
    wh_cli_table_add(table, wh_cli_when(cli, wh_cli_get(cli, one, "created_at")));
    wh_cli_table_add(table, said);
}

static int run(wh_cli_t *cli)
{
    static const char *const titles[] = {"NO",     "ID",      "STATE",         "SERVES",
                                         "COMMIT", "TRIGGER", "CREATED (UTC)", "WHAT"};
    wh_cli_reply_t reply;
    wh_cli_table_t table;
    apr_int64_t count = 20;
    const char *app = wh_cli_opts_app(cli);
    if (app == NULL || wh_cli_opts_int(cli, "number", 1, 100, &count) != 0)
        return WH_EXIT_USAGE;
    int rc = wh_cli_http(cli, "GET",
                         apr_psprintf(cli->p, "/v1/apps/%s/deployments?limit=%" APR_INT64_T_FMT,
                                      wh_cli_http_escape(cli, app), count),
                         NULL, NULL, &reply);
    if (rc != 0)
        return rc;
    json_t *one, *items = json_object_get(reply.body, "items");
    if (cli->json) {
        wh_cli_json(items);
        return WH_EXIT_OK;
    }
    wh_cli_table_begin(cli, &table, 8, titles);
    size_t i;
    json_array_foreach(items, i, one) row_add(cli, &table, one);
    wh_cli_table_print(&table);
    return WH_EXIT_OK;
}

static const wh_cli_option_t options[] = {
    {"app", 'a', "APP", "the app"},
    {"number", 'n', "N", "how many (20)"},
    {NULL, 0, NULL, NULL},
};

const wh_cli_cmd_t wh_cmd_deployments = {.words = "deployments",
                                         .args = "APP",
                                         .max_args = 1,
                                         .run = run,
                                         .options = options,
                                         .doc = "list an app's deployments, newest first"};
