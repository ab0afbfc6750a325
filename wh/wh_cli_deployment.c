/* Deployments as people name them and read them. */
#include "config.h"

#include <apr_strings.h>
#include <string.h>

#include "wh/wh_cli.h"

#define ID_LEN 26

int wh_cli_deployment_is_id(const char *text)
{
    /* Ids begin with a digit, slugs with a letter: the two never meet. */
    return strlen(text) == ID_LEN && text[0] >= '0' && text[0] <= '9' &&
           strspn(text, "0123456789abcdefghijklmnopqrstuvwxyz") == ID_LEN;
}

static const char *newest_path(wh_cli_t *cli, const char *app)
{
    return apr_pstrcat(cli->p, "/v1/apps/", wh_cli_http_escape(cli, app), "/deployments?limit=1",
                       NULL);
}

int wh_cli_deployment_find(wh_cli_t *cli, const char *app_or_id, json_t **out)
{
    wh_cli_reply_t reply;
    *out = NULL;
    if (wh_cli_deployment_is_id(app_or_id)) {
        const char *path = apr_pstrcat(cli->p, "/v1/deployments/", app_or_id, NULL);
        int rc = wh_cli_http(cli, "GET", path, NULL, NULL, &reply);
        *out = rc == 0 ? reply.body : NULL;
        return rc;
    }
    int rc = wh_cli_http(cli, "GET", newest_path(cli, app_or_id), NULL, NULL, &reply);
    if (rc != 0)
        return rc;
    *out = json_array_get(json_object_get(reply.body, "items"), 0);
    if (*out != NULL)
        return 0;
    wh_cli_error("%s has no deployment yet; run: wh deploy %s", wh_cli_clean(cli, app_or_id),
                 wh_cli_clean(cli, app_or_id));
    return WH_EXIT_NOT_FOUND;
}

json_t *wh_cli_deployment_newest(wh_cli_t *cli, const char *app)
{
    wh_cli_reply_t reply;
    wh_cli_http_try(cli, "GET", newest_path(cli, app), NULL, NULL, &reply);
    return reply.status == 200 ? json_array_get(json_object_get(reply.body, "items"), 0) : NULL;
}

const char *wh_cli_deployment_observed(wh_cli_t *cli, const json_t *app)
{
    const char *observed = wh_cli_get(cli, app, "observed");
    wh_cli_reply_t reply;
    if (strcmp(observed, "running") == 0 &&
        json_is_true(json_object_get(json_object_get(app, "serve"), "maintenance")))
        return "maintenance";
    if (strcmp(observed, "unknown") != 0)
        return observed;
    wh_cli_http_try(cli, "GET", newest_path(cli, wh_cli_get(cli, app, "slug")), NULL, NULL, &reply);
    return reply.status == 200 && json_array_size(json_object_get(reply.body, "items")) == 0
               ? "never deployed"
               : observed;
}

const char *wh_cli_deployment_state(const wh_cli_t *cli, const json_t *deployment)
{
    const char *status = wh_cli_get(cli, deployment, "status");
    const char *conclusion = wh_cli_get(cli, deployment, "conclusion");
    if (strcmp(status, "completed") == 0)
        return conclusion;
    return wh_cli_get(cli, deployment, "phase");
}
