/* Lists: what the API has under a path, as a table or, with --json, as it came. */
#include "config.h"

#include <apr_strings.h>
#include <string.h>

#include "wh/wh_cli.h"

int wh_cli_list_word(const wh_cli_t *cli)
{
    if (cli->n_args == 0 || strcmp(cli->args[0], "list") == 0)
        return 0;
    wh_cli_error("no command %s %s; `wh --help` lists them", cli->cmd->words,
                 wh_cli_clean(cli, cli->args[0]));
    return WH_EXIT_USAGE;
}

const char *wh_cli_list_path(wh_cli_t *cli, const char *what)
{
    const char *app;
    int more = wh_cli_opts_get(cli, "app") != NULL ? 0 : 1;
    if (cli->n_args > more && strcmp(cli->args[0], "list") == 0) {
        cli->args++;
        cli->n_args--;
    }
    app = wh_cli_opts_app(cli);
    return app != NULL
               ? apr_pstrcat(cli->p, "/v1/apps/", wh_cli_http_escape(cli, app), "/", what, NULL)
               : NULL;
}

/* All pages, or the first one with so many. Returns 0 or an exit code. */
static int fetch(wh_cli_t *cli, const char *path, apr_int64_t newest, json_t *all)
{
    const char *more = strchr(path, '?') != NULL ? "&" : "?";
    const char *query =
        newest > 0 ? apr_psprintf(cli->p, "%slimit=%" APR_INT64_T_FMT, more, newest) : "";
    const char *cursor = "";
    int rc;
    do {
        wh_cli_reply_t reply;
        rc = wh_cli_http(cli, "GET", apr_pstrcat(cli->p, path, query, NULL), NULL, NULL, &reply);
        if (rc != 0)
            return rc;
        json_array_extend(all, json_object_get(reply.body, "items"));
        const char *next = newest > 0 ? "" : wh_cli_get(cli, reply.body, "next");
        /* A server that repeats its cursor must not hold us for ever. */
        cursor = strcmp(next, cursor) != 0 ? next : "";
        query = apr_pstrcat(cli->p, more, "cursor=", wh_cli_http_escape(cli, cursor), NULL);
    } while (*cursor != '\0');
    return 0;
}

static void print(wh_cli_t *cli, const json_t *all, const wh_cli_column_t *columns)
{
    wh_cli_table_t table = {.columns = 0};
    const json_t *one;
    size_t i;
    while (columns[table.columns].title != NULL)
        table.columns++;
    table.cells = apr_array_make(cli->p, 64, sizeof(const char *));
    for (int c = 0; c < table.columns; c++)
        wh_cli_table_add(&table, columns[c].title);
    json_array_foreach(all, i, one)
    {
        for (int c = 0; c < table.columns; c++)
            wh_cli_table_add(&table, columns[c].cell != NULL
                                         ? columns[c].cell(cli, one)
                                         : wh_cli_get(cli, one, columns[c].member));
    }
    wh_cli_table_print(&table);
}

int wh_cli_list(wh_cli_t *cli, const char *path, apr_int64_t newest, const wh_cli_column_t *columns)
{
    json_t *all = json_array();
    int rc = path != NULL ? fetch(cli, path, newest, all) : WH_EXIT_USAGE;
    if (rc == 0 && cli->json)
        wh_cli_json(all);
    else if (rc == 0)
        print(cli, all, columns);
    json_decref(all);
    return rc;
}
