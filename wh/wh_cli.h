/* wh, the command line: what its files share.
 *
 * The program is one process, one thread, one pool that lives until it exits. It speaks REST only
 * and keeps nothing but its configuration file. Data goes to stdout, progress and errors to stderr.
 * Whatever comes from the server is masked before it can reach a terminal: take strings out of an
 * answer by wh_cli_get() alone.
 */
#ifndef WH_CLI_H
#define WH_CLI_H

#include <apr_pools.h>
#include <apr_tables.h>
#include <jansson.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>

#include "libwh/wh_sse.h"

/* What the program says to its caller by its exit code. */
enum {
    WH_EXIT_OK = 0,
    WH_EXIT_FAIL = 1,
    WH_EXIT_USAGE = 2,
    WH_EXIT_NOT_FOUND = 3,
    WH_EXIT_AUTH = 4,
    WH_EXIT_CONFLICT = 5,
    WH_EXIT_TIMEOUT = 124,
    WH_EXIT_INT = 130
};

typedef struct wh_cli_t wh_cli_t;
typedef struct wh_cli_cmd_t wh_cli_cmd_t;

/* One option. The lists end with an entry without a name. */
typedef struct wh_cli_option_t {
    const char *name; /* long form without the dashes */
    char letter;      /* short form, or 0 */
    const char *arg;  /* what its value is called; NULL: a switch */
    const char *doc;
} wh_cli_option_t;

struct wh_cli_cmd_t {
    const char *words; /* "apps create"; typed with a space or a colon */
    const char *args;  /* for the usage line */
    int min_args, max_args;
    int (*run)(wh_cli_t *cli); /* returns an exit code */
    const wh_cli_option_t *options;
    const char *doc;
};

struct wh_cli_t {
    apr_pool_t *root; /* lives as long as the program */
    apr_pool_t *p;    /* the same, or a pool of one turn of a command that polls */
    const wh_cli_cmd_t *cmd;
    apr_table_t *opts; /* long name -> value, "" for a switch */
    const char **args; /* what is left of the arguments */
    int n_args;
    int json, quiet, color;
    const char *conf_path; /* of the configuration file, NULL without a home */
    const char *url;       /* without a slash at its end; NULL: none is known */
    const char *url_from;  /* where it was found, for people */
    const char *token;
    const char *token_from;
    void *http; /* wh_cli_http.c's own */
};

/* 1 once SIGINT or SIGTERM came in; commands that wait look at it. */
extern volatile sig_atomic_t wh_cli_interrupted;

/* The commands, in the order of the help; ends with NULL. */
extern const wh_cli_cmd_t *const wh_cli_commands[];
/* The options of every command. */
extern const wh_cli_option_t wh_cli_common[];

/* --- wh_cli_opts.c --- */

/* Reads the command line into cli. Returns -1 to go on, or an exit code when all is said (help,
 * version, a wrong option). */
int wh_cli_opts_parse(wh_cli_t *cli, int argc, const char *const *argv);
/* The value of an option, the last one when it was given again; "" for a switch, NULL when it was
 * not given. */
const char *wh_cli_opts_get(const wh_cli_t *cli, const char *name);
/* The value of an option as an integer within [min, max] into *out, which stays as it is when the
 * option was not given. Returns 0, or WH_EXIT_USAGE after it has said what is wrong. */
int wh_cli_opts_int(const wh_cli_t *cli, const char *name, apr_int64_t min, apr_int64_t max,
                    apr_int64_t *out) __attribute__((warn_unused_result));
/* The same for a time in seconds, which may end with s, m, h or d. */
int wh_cli_opts_seconds(const wh_cli_t *cli, const char *name, apr_int64_t min, apr_int64_t max,
                        apr_int64_t *out) __attribute__((warn_unused_result));
/* The app that is meant: -a/--app, else the first argument (which it takes away); NULL after it has
 * said that one is needed. */
const char *wh_cli_opts_app(wh_cli_t *cli);
/* Writes the usage of one command, or of all when cmd is NULL. */
void wh_cli_opts_help(const wh_cli_cmd_t *cmd);

/* --- wh_cli_conf.c --- */

/* Finds URL and token: option, environment (WH_URL, WH_TOKEN), configuration file, in this order.
 * Returns 0 or an exit code after it has said what is wrong. */
int wh_cli_conf_load(wh_cli_t *cli) __attribute__((warn_unused_result));
/* Writes cli->url and cli->token to the configuration file, mode 0600, by rename. Same returns. */
int wh_cli_conf_save(wh_cli_t *cli) __attribute__((warn_unused_result));
/* 1 when text is an http or https URL without user, query and fragment. */
int wh_cli_conf_url_ok(const char *text);

/* --- wh_cli_http.c --- */

typedef struct wh_cli_reply_t {
    long status;       /* 0: no answer */
    json_t *body;      /* freed with the pool; NULL when there is none or it is not JSON */
    const char *etag;  /* NULL when there is none */
    const char *cause; /* of a missing answer, in words */
} wh_cli_reply_t;

/* One request. path begins with a slash; body is borrowed, NULL for none. Says nothing. */
void wh_cli_http_try(wh_cli_t *cli, const char *method, const char *path, json_t *body,
                     const char *if_match, wh_cli_reply_t *out);
/* The same; returns 0 for a 2xx answer, else the exit code after the error was written. */
int wh_cli_http(wh_cli_t *cli, const char *method, const char *path, json_t *body,
                const char *if_match, wh_cli_reply_t *out) __attribute__((warn_unused_result));
/* Writes what a failed reply means and returns its exit code. */
int wh_cli_http_fail(const wh_cli_t *cli, const wh_cli_reply_t *reply);
/* Sends the file, whole and as it is, by POST; it may take as long as it goes on. Same returns. */
int wh_cli_http_file(wh_cli_t *cli, const char *path, FILE *file, wh_cli_reply_t *out)
    __attribute__((warn_unused_result));
/* Reads a stream of events into sse, until it ends; Last-Event-ID is sse->id. Returns 0, with the
 * status and, of an answer that is no stream, its body; or what sse's function returned. */
int wh_cli_http_stream(wh_cli_t *cli, const char *path, wh_sse_t *sse, wh_cli_reply_t *out)
    __attribute__((warn_unused_result));
/* text as one segment of a path. */
const char *wh_cli_http_escape(wh_cli_t *cli, const char *text);

/* --- wh_cli_stream.c --- */

/* What a function of a stream returns when that was all; not an exit code. */
#define WH_CLI_STREAM_END 1000

/* event is borrowed; what is in cli->p goes with it. 0 = go on, else an exit code, or
 * WH_CLI_STREAM_END. */
typedef int wh_cli_event_fn(void *baton, const char *type, const json_t *event);

typedef struct wh_cli_stream_t {
    const char *path; /* with the parameters */
    json_int_t after; /* the id that we have; -1 = none */
    wh_cli_event_fn *fn;
    void *baton;
} wh_cli_stream_t;

/* Follows it, over its ends and a server that is away for less than a minute, until the function
 * has enough or the user interrupts. Returns an exit code. */
int wh_cli_stream(wh_cli_t *cli, const wh_cli_stream_t *of);

/* --- wh_cli_input.c --- */

/* A file as it is, "-" = stdin; NULL after it has said why not. */
char *wh_cli_input_file(const wh_cli_t *cli, const char *path, size_t max, size_t *n);
/* From stdin without the line end that commands put behind it; from a terminal one line, which it
 * asks for by `what` and does not show. NULL as above. */
char *wh_cli_input_secret(const wh_cli_t *cli, const char *what, size_t max, size_t *n);
/* 1 when --yes was given, or the name was typed; else 0 after it has said why. */
int wh_cli_confirm(const wh_cli_t *cli, const char *command, const char *name);

/* --- wh_cli_list.c --- */

/* A column: a member at a dotted path, or what cell() says. The lists end with an entry without a
 * title. */
typedef struct wh_cli_column_t {
    const char *title, *member;
    const char *(*cell)(wh_cli_t *cli, const json_t *one);
} wh_cli_column_t;

/* Lists all entries that the API has under path, however many pages, or the first `newest` of them
 * (0: all). Returns an exit code; WH_EXIT_USAGE for a path that is NULL (see below). */
int wh_cli_list(wh_cli_t *cli, const char *path, apr_int64_t newest,
                const wh_cli_column_t *columns);
/* "/v1/apps/APP/what" for `wh WHAT [list] APP`; NULL after it has said that an app is needed. */
const char *wh_cli_list_path(wh_cli_t *cli, const char *what);
/* For `wh WHAT [list]`: another word than "list" is refused. Returns 0 or WH_EXIT_USAGE. */
int wh_cli_list_word(const wh_cli_t *cli) __attribute__((warn_unused_result));

/* --- wh_cli_pack.c --- */

/* The archive at path, or one made of the directory there (without what is called .git), to be
 * sent. The caller closes *out. Returns 0, or an exit code after it has said what is wrong. */
int wh_cli_pack(const char *path, FILE **out) __attribute__((warn_unused_result));

/* --- wh_cli_out.c --- */

/* The member at a dotted path as masked text: strings as they are, numbers and booleans in words,
 * "" for what is not there. Lives as long as the pool. */
const char *wh_cli_get(const wh_cli_t *cli, const json_t *object, const char *path);
/* The same as an integer, 0 for what is none. */
json_int_t wh_cli_get_int(const json_t *object, const char *path);
/* text without control characters, escape sequences and marks that turn the writing direction. */
const char *wh_cli_clean(const wh_cli_t *cli, const char *text);
/* "2026-01-02 03:04:05" of an RFC 3339 text; "-" for none. */
const char *wh_cli_when(const wh_cli_t *cli, const char *rfc3339);
/* Data, to stdout. */
void wh_cli_out(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Progress, to stderr; silent with --quiet. */
void wh_cli_note(const wh_cli_t *cli, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* "wh: …" to stderr. */
void wh_cli_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* A JSON value to stdout, indented, ASCII only. */
void wh_cli_json(const json_t *value);
/* The same in one line. */
void wh_cli_json_line(const json_t *value);
/* text in a colour of "red green yellow bold" when the terminal takes colours. */
const char *wh_cli_paint(const wh_cli_t *cli, const char *color, const char *text);

/* A table of text: columns, then cells row by row, then print. */
typedef struct wh_cli_table_t {
    int columns;
    apr_array_header_t *cells; /* const char * */
} wh_cli_table_t;
void wh_cli_table_begin(const wh_cli_t *cli, wh_cli_table_t *table, int columns,
                        const char *const *titles);
void wh_cli_table_add(wh_cli_table_t *table, const char *cell);
void wh_cli_table_print(const wh_cli_table_t *table);

/* --- wh_cli_worker.c --- */

/* "/v1/workers/NAME" and what follows. */
const char *wh_cli_worker_path(wh_cli_t *cli, const char *name, const char *action);
/* "online", "offline, draining, revoked"… */
const char *wh_cli_worker_state(const wh_cli_t *cli, const json_t *worker);
/* "used/all" of two members at dotted paths, in units. */
const char *wh_cli_worker_share(const wh_cli_t *cli, const json_t *object, const char *used,
                                const char *all, json_int_t unit);
/* "k=v k=v", "" for none. */
const char *wh_cli_worker_labels(const wh_cli_t *cli, const json_t *labels);
/* What becomes of an entry of drain.left, in words. */
const char *wh_cli_worker_left(const wh_cli_t *cli, const json_t *left);
/* POST of an action on the worker that the first argument names; done says what it is now. *name,
 * which may be NULL, is what it is called. Returns an exit code. */
int wh_cli_worker_change(wh_cli_t *cli, const char *action, const char *done, const char **name);
/* Its free disk in MiB, or "unknown". */
const char *wh_cli_worker_disk(const wh_cli_t *cli, const json_t *worker);
/* Puts "placement" into body as the options below say; nothing when none was given. Returns 0 or
 * WH_EXIT_USAGE after it has said what is wrong. */
int wh_cli_worker_placement(const wh_cli_t *cli, json_t *body) __attribute__((warn_unused_result));
#define WH_CLI_PLACEMENT                                                                           \
    {"worker", 0, "NAME", "only this worker may have it"},                                         \
        {"zone", 0, "ZONE", "only workers of this zone may have it"},                              \
    {                                                                                              \
        "label", 0, "KEY=VALUE", "only workers with this label may have it; may be given again"    \
    }

/* --- wh_cli_app.c --- */

/* Puts what the options of wh_cli_app.def and --worker, --zone, --label say into body; an empty
 * value says null. *next: some of it takes a deployment to be seen. Returns 0 or WH_EXIT_USAGE
 * after it has said what is wrong. */
int wh_cli_app_body(wh_cli_t *cli, json_t *body, int *next) __attribute__((warn_unused_result));
/* Writes a line for each setting of the app that means something for its kind. */
void wh_cli_app_lines(const wh_cli_t *cli, const json_t *app);
#define WH_CLI_APP_LINE "  %-15s %s\n"

/* --- wh_cli_switch.c --- */

/* POSTs body (borrowed; --settings goes into it) to a path of rollback or promotion, waits for the
 * outcome and says it, with the URL. Returns an exit code. */
int wh_cli_switch(wh_cli_t *cli, const char *path, json_t *body);
#define WH_CLI_SWITCH                                                                              \
    {"settings", 0, "WHICH", "own: as it was deployed (default); current: the app's of today"},    \
    {                                                                                              \
        "timeout", 0, "SECONDS", "do not wait longer (exit code 124)"                              \
    }

/* --- wh_cli_watch.c --- */

/* Streams the log and the phases of a deployment until it is completed, timeout_s (0: never) has
 * passed or the user interrupts. Returns an exit code; *out gets the last state seen (borrowed from
 * the pool) or NULL. */
int wh_cli_watch(wh_cli_t *cli, const char *id, apr_int64_t timeout_s, json_t **out);
/* Writes the log lines after *seq as they stand now, and moves *seq. *complete says whether the log
 * has ended. Returns 0 or an exit code (nothing written then).
 */
int wh_cli_watch_log(wh_cli_t *cli, const char *id, json_int_t *seq, int *complete,
                     wh_cli_reply_t *reply);
/* Sleeps for ms milliseconds or until a signal. */
void wh_cli_watch_pause(int ms);

/* --- wh_cli_applog.c --- */

/* Whether `wh logs WHAT` is about what an app prints, by its options or its kind. Asks the server.
 */
int wh_cli_applog_is_meant(wh_cli_t *cli, const char *what);
/* Its newest lines (tail of them; 0: 100, or all that --since names), as the options filter them,
 * and with --follow what comes. Returns an exit code. */
int wh_cli_applog(wh_cli_t *cli, const char *app, apr_int64_t tail);

/* A deployment id or an app (its newest deployment) into the deployment. Returns 0 or an exit code
 * after the error was written. */
int wh_cli_deployment_find(wh_cli_t *cli, const char *app_or_id, json_t **out)
    __attribute__((warn_unused_result));
/* The newest deployment of an app, borrowed from the pool, or NULL. Says nothing. */
json_t *wh_cli_deployment_newest(wh_cli_t *cli, const char *app);
/* How an app does; "maintenance" instead of "running" where its names answer that, "never deployed"
 * instead of "unknown" where that is why. Asks the server then. */
const char *wh_cli_deployment_observed(wh_cli_t *cli, const json_t *app);
/* 1 when text has the form of an id. */
int wh_cli_deployment_is_id(const char *text);
/* "succeeded", "failed: cause", "deploy (cloning)"… */
const char *wh_cli_deployment_state(const wh_cli_t *cli, const json_t *deployment);

#endif
