/* Workers as people name them and read them, and where an app is to run. */
#include "config.h"

#include <apr_strings.h>
#include <string.h>

#include "wh/wh_cli.h"

const char *wh_cli_worker_path(wh_cli_t *cli, const char *name, const char *action)
{
    return apr_pstrcat(cli->p, "/v1/workers/", wh_cli_http_escape(cli, name), action, NULL);
}

const char *wh_cli_worker_state(const wh_cli_t *cli, const json_t *worker)
{
    const char *admin = wh_cli_get(cli, worker, "admin_state");
    int revoked = json_is_true(json_object_get(worker, "revoked"));
    int rotating = json_is_true(json_object_get(worker, "rotating"));
    return apr_pstrcat(cli->p, wh_cli_get(cli, worker, "status"),
                       strcmp(admin, "active") != 0 ? ", " : "",
                       strcmp(admin, "active") != 0 ? admin : "", revoked ? ", revoked" : "",
                       rotating ? ", rotating" : "", NULL);
}

const char *wh_cli_worker_share(const wh_cli_t *cli, const json_t *object, const char *used,
                                const char *all, json_int_t unit)
{
    return apr_psprintf(cli->p, "%" APR_INT64_T_FMT "/%" APR_INT64_T_FMT,
                        (apr_int64_t)(wh_cli_get_int(object, used) / unit),
                        (apr_int64_t)(wh_cli_get_int(object, all) / unit));
}

const char *wh_cli_worker_disk(const wh_cli_t *cli, const json_t *worker)
{
    json_int_t bytes = wh_cli_get_int(worker, "disk_free_bytes");
    /* 0 is what a row begins with; a disk that is full makes the worker refuse builds. */
    if (bytes == 0 && *wh_cli_get(cli, worker, "refuses") == '\0')
        return "unknown";
    return apr_psprintf(cli->p, "%" APR_INT64_T_FMT, (apr_int64_t)(bytes / 1048576));
}

/* "k=v k=v" of an object of strings. */
const char *wh_cli_worker_labels(const wh_cli_t *cli, const json_t *labels)
{
    const char *text = "", *key;
    json_t *value;
    json_object_foreach((json_t *)(apr_uintptr_t)labels, key, value)
    {
        text = apr_pstrcat(cli->p, text, *text ? " " : "", wh_cli_clean(cli, key), "=",
                           json_is_string(value) ? wh_cli_clean(cli, json_string_value(value)) : "",
                           NULL);
    }
    return text;
}

const char *wh_cli_worker_left(const wh_cli_t *cli, const json_t *left)
{
    const char *id = wh_cli_get(cli, left, "deployment");
    const char *status = wh_cli_get(cli, left, "status");
    const char *cause = wh_cli_get(cli, left, "cause.detail");
    if (strcmp(wh_cli_get(cli, left, "cause.code"), "stopping") == 0)
        return cause;
    if (*id == '\0')
        return *cause != '\0' ? apr_pstrcat(cli->p, "cannot move: ", cause, NULL)
                              : "its turn comes";
    if (strcmp(status, "completed") == 0)
        return apr_pstrcat(cli->p, "cannot move: ", *cause ? cause : "its deployment has ended",
                           "; see wh logs ", id, NULL);
    if (*cause != '\0')
        return apr_pstrcat(cli->p, "waits: ", cause, NULL);
    return apr_pstrcat(cli->p, "moves, deployment ", id, NULL);
}

int wh_cli_worker_change(wh_cli_t *cli, const char *action, const char *done, const char **name)
{
    wh_cli_reply_t reply;
    const char *called;
    int rc =
        wh_cli_http(cli, "POST", wh_cli_worker_path(cli, cli->args[0], action), NULL, NULL, &reply);
    if (rc != 0)
        return rc;
    if (cli->json)
        wh_cli_json(reply.body);
    called = wh_cli_get(cli, reply.body, "name");
    wh_cli_note(cli, "%s %s\n", called, done);
    if (name != NULL)
        *name = called;
    return WH_EXIT_OK;
}

/* ---- --worker --zone --label ---- */

typedef struct labels_t {
    json_t *object;
    const char *bad;
    int given;
} labels_t;

static int label_add(void *baton, const char *name, const char *value)
{
    labels_t *labels = baton;
    const char *equal = strchr(value, '=');
    (void)name;
    labels->given = 1;
    if (*value == '\0')
        return 1; /* none */
    if (equal == NULL || equal == value ||
        json_object_setn_new(labels->object, value, (size_t)(equal - value),
                             json_string(equal + 1)) != 0) {
        labels->bad = value;
        return 0;
    }
    return 1;
}

int wh_cli_worker_placement(const wh_cli_t *cli, json_t *body)
{
    static const char *const names[] = {"worker", "zone"};
    labels_t labels = {.object = json_object()};
    json_t *place = json_object();
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *value = wh_cli_opts_get(cli, names[i]);
        if (value != NULL &&
            json_object_set_new(place, names[i],
                                *value != '\0' ? json_string(value) : json_null()) != 0)
            labels.bad = value;
    }
    if (labels.bad == NULL)
        apr_table_do(label_add, &labels, cli->opts, "label", NULL);
    if (labels.bad != NULL) {
        wh_cli_error("\"%s\" is no UTF-8 text, or no KEY=VALUE of --label",
                     wh_cli_clean(cli, labels.bad));
        json_decref(labels.object);
        json_decref(place);
        return WH_EXIT_USAGE;
    }
    if (labels.given)
        json_object_set(place, "labels", labels.object);
    json_decref(labels.object);
    if (json_object_size(place) > 0)
        json_object_set(body, "placement", place);
    json_decref(place);
    return 0;
}
