/* The command line: words of the command, options anywhere, the rest as arguments. */
#include "config.h"

#include <apr_strings.h>
#include <stdlib.h>
#include <string.h>

#include "libwh/wh_text.h"
#include "wh/wh_cli.h"

#define COMMAND_WORDS 2

/* The number of argv words that name cmd, 0 when they do not. A colon stands for a space. */
static int words_match(const char *words, const char *const *argv, int argc)
{
    const char *space = strchr(words, ' ');
    if (argc < 1)
        return 0;
    if (space == NULL)
        return strcmp(argv[0], words) == 0 ? 1 : 0;
    size_t first = (size_t)(space - words);
    if (strncmp(argv[0], words, first) != 0)
        return 0;
    if (argv[0][first] == ':')
        return strcmp(argv[0] + first + 1, space + 1) == 0 ? 1 : 0;
    return argv[0][first] == '\0' && argc > 1 && strcmp(argv[1], space + 1) == 0 ? 2 : 0;
}

static const wh_cli_cmd_t *command_find(const char *const *argv, int argc, int *used)
{
    const wh_cli_cmd_t *best = NULL;
    *used = 0;
    for (int i = 0; wh_cli_commands[i] != NULL; i++) {
        int n = words_match(wh_cli_commands[i]->words, argv, argc);
        int colon = n == 1 && strchr(wh_cli_commands[i]->words, ' ') != NULL;
        if (n > *used || colon) {
            best = wh_cli_commands[i];
            *used = n;
        }
    }
    return best;
}

static const wh_cli_option_t *option_by_name(const wh_cli_option_t *list, const char *name,
                                             size_t len)
{
    for (; list != NULL && list->name != NULL; list++)
        if (strlen(list->name) == len && strncmp(list->name, name, len) == 0)
            return list;
    return NULL;
}

static const wh_cli_option_t *option_by_letter(const wh_cli_option_t *list, char letter)
{
    for (; list != NULL && list->name != NULL; list++)
        if (list->letter != 0 && list->letter == letter)
            return list;
    return NULL;
}

static const wh_cli_option_t *option_find(const wh_cli_cmd_t *cmd, const char *text,
                                          const char **value)
{
    const wh_cli_option_t *own = cmd != NULL ? cmd->options : NULL;
    const wh_cli_option_t *found;
    *value = NULL;
    if (text[1] != '-') {
        found = option_by_letter(own, text[1]);
        if (found == NULL)
            found = option_by_letter(wh_cli_common, text[1]);
        if (found != NULL && text[2] != '\0')
            *value = text + 2;
        return found;
    }
    const char *equal = strchr(text, '=');
    size_t len = equal != NULL ? (size_t)(equal - text - 2) : strlen(text + 2);
    if (equal != NULL)
        *value = equal + 1;
    found = option_by_name(own, text + 2, len);
    return found != NULL ? found : option_by_name(wh_cli_common, text + 2, len);
}

/* Takes the option at argv[*i]; moves *i when its value is the next word. */
static int option_take(wh_cli_t *cli, const wh_cli_cmd_t *cmd, const char *const *argv, int argc,
                       int *i)
{
    const char *value;
    const wh_cli_option_t *option = option_find(cmd, argv[*i], &value);
    if (option == NULL) {
        wh_cli_error("unknown option %s; `wh %s --help` lists them", wh_cli_clean(cli, argv[*i]),
                     cmd->words);
        return WH_EXIT_USAGE;
    }
    if (option->arg == NULL && value != NULL) {
        wh_cli_error("--%s takes no value", option->name);
        return WH_EXIT_USAGE;
    }
    if (option->arg != NULL && value == NULL) {
        if (*i + 1 >= argc) {
            wh_cli_error("--%s needs a value: %s", option->name, option->arg);
            return WH_EXIT_USAGE;
        }
        value = argv[++*i];
    }
    apr_table_addn(cli->opts, option->name, value != NULL ? value : "");
    return 0;
}

/* The first words that are no option name the command; options may stand before and between. */
static const wh_cli_cmd_t *command_of(const char *const *argv, int argc, int at[COMMAND_WORDS],
                                      int *used)
{
    const char *words[COMMAND_WORDS];
    int n = 0;
    for (int i = 1; i < argc && n < COMMAND_WORDS; i++) {
        if (argv[i][0] == '-' && argv[i][1] != '\0') {
            const char *value;
            const wh_cli_option_t *option = option_find(NULL, argv[i], &value);
            /* Between the words only common options can stand; a value is not a word. */
            if (option == NULL && n > 0)
                break;
            if (option != NULL && option->arg != NULL && value == NULL)
                i++;
            continue;
        }
        at[n] = i;
        words[n++] = argv[i];
    }
    return n > 0 ? command_find(words, n, used) : NULL;
}

static int arguments_check(const wh_cli_t *cli)
{
    if (cli->n_args >= cli->cmd->min_args && cli->n_args <= cli->cmd->max_args)
        return 0;
    wh_cli_error("%s: %s; usage: wh %s %s", cli->cmd->words,
                 cli->n_args < cli->cmd->min_args ? "an argument is missing" : "too many arguments",
                 cli->cmd->words, cli->cmd->args);
    return WH_EXIT_USAGE;
}

static int no_command(int argc, const char *const *argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return wh_cli_opts_help(NULL), WH_EXIT_OK;
        if (strcmp(argv[i], "--version") == 0)
            return wh_cli_out("wh %s\n", PACKAGE_VERSION), WH_EXIT_OK;
    }
    wh_cli_error("which command? `wh --help` lists them");
    return WH_EXIT_USAGE;
}

int wh_cli_opts_parse(wh_cli_t *cli, int argc, const char *const *argv)
{
    int at[COMMAND_WORDS] = {0}, used = 0, ended = 0, rc;
    cli->opts = apr_table_make(cli->p, 8);
    cli->args = apr_pcalloc(cli->p, (size_t)(argc + 1) * sizeof(*cli->args));
    cli->cmd = command_of(argv, argc, at, &used);
    if (cli->cmd == NULL && at[0] > 0 && strcmp(argv[at[0]], "help") != 0) {
        wh_cli_error("no command %s; `wh --help` lists them", wh_cli_clean(cli, argv[at[0]]));
        return WH_EXIT_USAGE;
    }
    if (cli->cmd == NULL && at[0] > 0)
        return wh_cli_opts_help(NULL), WH_EXIT_OK;
    if (cli->cmd == NULL)
        return no_command(argc, argv);
    for (int i = 1; i < argc; i++) {
        if (i == at[0] || (used == 2 && i == at[1]))
            continue;
        if (!ended && strcmp(argv[i], "--") == 0)
            ended = 1;
        else if (!ended && argv[i][0] == '-' && argv[i][1] != '\0') {
            if ((rc = option_take(cli, cli->cmd, argv, argc, &i)) != 0)
                return rc;
        } else
            cli->args[cli->n_args++] = argv[i];
    }
    cli->json = wh_cli_opts_get(cli, "json") != NULL;
    cli->quiet = wh_cli_opts_get(cli, "quiet") != NULL;
    if (wh_cli_opts_get(cli, "no-color") != NULL)
        cli->color = 0;
    if (wh_cli_opts_get(cli, "help") != NULL)
        return wh_cli_opts_help(cli->cmd), WH_EXIT_OK;
    rc = arguments_check(cli);
    return rc != 0 ? rc : -1;
}

const char *wh_cli_opts_get(const wh_cli_t *cli, const char *name)
{
    const apr_array_header_t *all = apr_table_elts(cli->opts);
    const apr_table_entry_t *list = (const apr_table_entry_t *)(const void *)all->elts;
    for (int i = all->nelts; i > 0; i--)
        if (strcmp(list[i - 1].key, name) == 0)
            return list[i - 1].val;
    return NULL;
}

int wh_cli_opts_int(const wh_cli_t *cli, const char *name, apr_int64_t min, apr_int64_t max,
                    apr_int64_t *out)
{
    const char *text = wh_cli_opts_get(cli, name);
    if (text != NULL && !wh_text_number(text, min, max, out)) {
        wh_cli_error("--%s: \"%s\" is no number from %" APR_INT64_T_FMT " to %" APR_INT64_T_FMT,
                     name, wh_cli_clean(cli, text), min, max);
        return WH_EXIT_USAGE;
    }
    return 0;
}

/* 90, 90s, 10m, 2h, 7d. */
static int seconds_of(const wh_cli_t *cli, const char *text, apr_int64_t min, apr_int64_t max,
                      apr_int64_t *out)
{
    static const struct {
        char unit;
        apr_int64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    size_t n = strlen(text);
    apr_int64_t each = 0, number = 0;
    for (size_t i = 0; n > 1 && i < sizeof(units) / sizeof(units[0]); i++)
        each = text[n - 1] == units[i].unit ? units[i].seconds : each;
    if (each == 0)
        return wh_text_number(text, min, max, out);
    if (!wh_text_number(apr_pstrmemdup(cli->p, text, n - 1), 0, APR_INT64_MAX / each, &number) ||
        number * each < min || number * each > max)
        return 0;
    *out = number * each;
    return 1;
}

int wh_cli_opts_seconds(const wh_cli_t *cli, const char *name, apr_int64_t min, apr_int64_t max,
                        apr_int64_t *out)
{
    const char *text = wh_cli_opts_get(cli, name);
    if (text != NULL && !seconds_of(cli, text, min, max, out)) {
        wh_cli_error("--%s: \"%s\" is no time from %" APR_INT64_T_FMT " s on, as 90, 90s, 10m, 2h "
                     "or 7d", name, wh_cli_clean(cli, text), min);
        return WH_EXIT_USAGE;
    }
    return 0;
}

const char *wh_cli_opts_app(wh_cli_t *cli)
{
    const char *app = wh_cli_opts_get(cli, "app");
    if (app != NULL)
        return app;
    if (cli->n_args == 0) {
        wh_cli_error("%s: which app? usage: wh %s %s", cli->cmd->words, cli->cmd->words,
                     cli->cmd->args);
        return NULL;
    }
    cli->n_args--;
    return *cli->args++;
}

static void options_help(const wh_cli_option_t *list)
{
    for (; list != NULL && list->name != NULL; list++) {
        int width = (int)(strlen(list->name) + (list->arg != NULL ? strlen(list->arg) + 1 : 0));
        wh_cli_out("  %c%c%c --%s%s%s%*s %s\n", list->letter ? '-' : ' ',
                   list->letter ? list->letter : ' ', list->letter ? ',' : ' ', list->name,
                   list->arg != NULL ? "=" : "", list->arg != NULL ? list->arg : "",
                   width < 22 ? 22 - width : 0, "", list->doc);
    }
}

void wh_cli_opts_help(const wh_cli_cmd_t *cmd)
{
    if (cmd != NULL) {
        wh_cli_out("wh %s%s%s\n    %s\n\n", cmd->words, *cmd->args ? " " : "", cmd->args, cmd->doc);
        options_help(cmd->options);
        options_help(wh_cli_common);
        return;
    }
    wh_cli_out("wh COMMAND [ARGUMENTS] [OPTIONS]: the command line of Wisehost\n\n");
    for (int i = 0; wh_cli_commands[i] != NULL; i++)
        wh_cli_out("  %-18s %s\n", wh_cli_commands[i]->words, wh_cli_commands[i]->doc);
    wh_cli_out("\nOptions of every command:\n");
    options_help(wh_cli_common);
    wh_cli_out(
        "\nwh COMMAND --help tells more. Exit codes: 0 ok, 1 failure, 2 usage, 3 not found,\n"
        "4 not allowed, 5 conflict, 124 out of time.\n");
}
