/* The settings of an app: what the options say into a body of the API, and back into lines. */
#include "config.h"

#include <apr_strings.h>
#include <string.h>

#include "wh/wh_cli.h"

#define NO_PREFIX "no-"

enum { TEXT, NEED, NUMBER, SWITCH };
enum { ALL, SITE, BOX, NEVER };
enum { NOW, NEXT };

static const struct {
    const char *option, *arg, *path, *title;
    int type, shown, effect;
    apr_int64_t least;
} fields[] = {
#define APP_TEXT(option, arg, path, shown, title, effect, doc)                                     \
    {option, arg, path, title, TEXT, shown, effect, 0},
#define APP_NEED(option, arg, path, shown, title, effect, doc)                                     \
    {option, arg, path, title, NEED, shown, effect, 0},
#define APP_NUMBER(option, arg, path, least, shown, title, effect, doc)                            \
    {option, arg, path, title, NUMBER, shown, effect, least},
#define APP_SWITCH(option, path, shown, title, effect, doc)                                        \
    {option, NULL, path, title, SWITCH, shown, effect, 0},
#include "wh/wh_cli_app.def"
#undef APP_TEXT
#undef APP_NEED
#undef APP_NUMBER
#undef APP_SWITCH
};

#define FIELDS (sizeof(fields) / sizeof(fields[0]))

/* Takes value over. The object that "object.member" goes into is made where it is not there yet. */
static void put(const wh_cli_t *cli, json_t *body, const char *path, json_t *value)
{
    const char *dot = strchr(path, '.');
    json_t *into = body;
    if (dot != NULL) {
        const char *object = apr_pstrmemdup(cli->p, path, (apr_size_t)(dot - path));
        into = json_object_get(body, object);
        if (into == NULL) {
            into = json_object();
            json_object_set_new(body, object, into);
        }
        path = dot + 1;
    }
    json_object_set_new(into, path, value);
}

/* What the option says; *out stays NULL when it was not given. An empty value is null: what an app
 * has that nothing was said of. Returns 0 or WH_EXIT_USAGE. */
static int value_of(const wh_cli_t *cli, size_t i, json_t **out)
{
    const char *option = fields[i].option, *text = wh_cli_opts_get(cli, option);
    apr_int64_t number = 0;
    if (fields[i].type == SWITCH) {
        int off = wh_cli_opts_get(cli, apr_pstrcat(cli->p, NO_PREFIX, option, NULL)) != NULL;
        if (text != NULL && off) {
            wh_cli_error("--%s and --" NO_PREFIX "%s: which one?", option, option);
            return WH_EXIT_USAGE;
        }
        if (text != NULL || off)
            *out = json_boolean(!off);
        return 0;
    }
    if (text == NULL)
        return 0;
    if (fields[i].type == NEED && *text == '\0') {
        wh_cli_error("--%s must not be empty", option);
        return WH_EXIT_USAGE;
    }
    if (fields[i].type == NUMBER && *text != '\0') {
        int rc = (strcmp(fields[i].arg, "SECONDS") == 0 ? wh_cli_opts_seconds : wh_cli_opts_int)(
            cli, option, fields[i].least, APR_INT64_MAX, &number);
        if (rc != 0)
            return rc;
    }
    *out = *text == '\0'              ? json_null()
           : fields[i].type == NUMBER ? json_integer((json_int_t)number)
                                      : json_string(text);
    if (*out == NULL) {
        wh_cli_error("--%s is no UTF-8 text", option);
        return WH_EXIT_USAGE;
    }
    return 0;
}

int wh_cli_app_body(wh_cli_t *cli, json_t *body, int *next)
{
    int rc = 0;
    *next = 0;
    for (size_t i = 0; rc == 0 && i < FIELDS; i++) {
        json_t *value = NULL;
        rc = value_of(cli, i, &value);
        if (value != NULL) {
            put(cli, body, fields[i].path, value);
            *next |= fields[i].effect == NEXT;
        }
    }
    if (rc == 0)
        rc = wh_cli_worker_placement(cli, body);
    *next |= json_object_get(body, "placement") != NULL;
    return rc;
}

void wh_cli_app_lines(const wh_cli_t *cli, const json_t *app)
{
    int container = strcmp(wh_cli_get(cli, app, "kind"), "container") == 0;
    for (size_t i = 0; i < FIELDS; i++) {
        const char *value = wh_cli_get(cli, app, fields[i].path);
        int shown = fields[i].shown == ALL || fields[i].shown == (container ? BOX : SITE);
        if (shown && *value != '\0')
            wh_cli_out(WH_CLI_APP_LINE, fields[i].title, value);
    }
}
