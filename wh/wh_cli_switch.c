/* Rollbacks and promotions: asked for, and waited for. */
#include "config.h"

#include <apr_strings.h>
#include <apr_time.h>
#include <string.h>
#include <time.h>

#include "wh/wh_cli.h"

#define PAUSE_MIN_MS 5
#define PAUSE_MAX_MS 500

static apr_int64_t mono_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (apr_int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int too_long(apr_int64_t began_ms, apr_int64_t timeout_s)
{
    return timeout_s > 0 && mono_ms() - began_ms > timeout_s * 1000;
}

/* Until it is done, or a deployment has been made for it. */
static int look(wh_cli_t *cli, const char *path, apr_int64_t timeout_s, json_t **out)
{
    apr_int64_t began_ms = mono_ms();
    int pause_ms = PAUSE_MIN_MS;
    for (;;) {
        wh_cli_reply_t reply;
        int rc = wh_cli_http(cli, "GET", path, NULL, NULL, &reply);
        if (rc != 0)
            return rc;
        *out = reply.body;
        if (*wh_cli_get(cli, reply.body, "outcome") != '\0')
            return 0;
        if (wh_cli_interrupted) {
            wh_cli_error("interrupted; the switch goes on");
            return WH_EXIT_INT;
        }
        if (too_long(began_ms, timeout_s)) {
            wh_cli_error("not carried out within %d s; is wh-scheduler running?", (int)timeout_s);
            return WH_EXIT_TIMEOUT;
        }
        wh_cli_watch_pause(pause_ms);
        pause_ms = pause_ms * 3 / 2 > PAUSE_MAX_MS ? PAUSE_MAX_MS : pause_ms * 3 / 2;
    }
}

/* Containers are being started for it: a deployment like any other. */
static int follow(wh_cli_t *cli, const char *path, apr_int64_t timeout_s, json_t **out)
{
    json_t *deployment = NULL;
    wh_cli_note(cli, "its containers are started again, as deployment %s\n",
                wh_cli_get(cli, *out, "result"));
    int rc = wh_cli_watch(cli, wh_cli_get(cli, *out, "result"), timeout_s, &deployment);
    while (rc == 0 && strcmp(wh_cli_get(cli, *out, "outcome"), "starting") == 0) {
        rc = look(cli, path, timeout_s, out);
        if (rc == 0 && strcmp(wh_cli_get(cli, *out, "outcome"), "starting") == 0)
            wh_cli_watch_pause(PAUSE_MAX_MS / 5);
        if (wh_cli_interrupted)
            rc = WH_EXIT_INT;
    }
    return rc;
}

static int say(wh_cli_t *cli, const json_t *end, apr_int64_t began_ms)
{
    const char *outcome = wh_cli_get(cli, end, "outcome");
    if (strcmp(outcome, "switched") != 0) {
        wh_cli_error("%s: %s", wh_cli_paint(cli, "red", outcome),
                     wh_cli_get(cli, end, "cause.detail"));
        wh_cli_error("what was live before goes on serving");
        return WH_EXIT_FAIL;
    }
    wh_cli_note(cli, "%s shows deployment %s, after %d ms\n", wh_cli_get(cli, end, "environment"),
                wh_cli_get(cli, end, "result"), (int)(mono_ms() - began_ms));
    if (!cli->json)
        wh_cli_out("%s\n", wh_cli_get(cli, end, "url"));
    return WH_EXIT_OK;
}

int wh_cli_switch(wh_cli_t *cli, const char *path, json_t *body)
{
    wh_cli_reply_t reply;
    apr_int64_t began_ms = mono_ms(), timeout_s = 0;
    const char *settings = wh_cli_opts_get(cli, "settings");
    if (wh_cli_opts_int(cli, "timeout", 1, 86400, &timeout_s) != 0)
        return WH_EXIT_USAGE;
    if (settings != NULL)
        json_object_set_new(body, "settings", json_string(settings));
    int rc = wh_cli_http(cli, "POST", path, body, NULL, &reply);
    if (rc != 0)
        return rc;
    json_t *end = reply.body;
    const char *at = apr_pstrcat(cli->p, "/v1/switches/",
                                 wh_cli_http_escape(cli, wh_cli_get(cli, end, "id")), NULL);
    rc = look(cli, at, timeout_s, &end);
    if (rc == 0 && strcmp(wh_cli_get(cli, end, "outcome"), "starting") == 0)
        rc = follow(cli, at, timeout_s, &end);
    if (rc == 0)
        rc = say(cli, end, began_ms);
    if (cli->json)
        wh_cli_json(end);
    return rc;
}
