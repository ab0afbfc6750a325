/* wh apps create: the options are the members of the API's app, one for one. */
#include "config.h"

#include <apr_strings.h>
#include <string.h>

#include "wh/wh_cmd.h"

static const struct {
    const char *option, *object, *member;
    apr_int64_t max; /* 0: text */
    apr_int64_t min;
} members[] = {
    {"name", NULL, "name", 0, 0},
    {"kind", NULL, "kind", 0, 0},
    {"repo", "repository", "url", 0, 0},
    {"branch", "repository", "branch", 0, 0},
    {"root", "repository", "root_directory", 0, 0},
    {"build-command", "build", "build_command", 0, 0},
    {"dockerfile", "build", "dockerfile", 0, 0},
    {"output", "build", "output_directory", 0, 0},
    {"port", "run", "port", 65535, 1},
    {"health-path", "run", "health_path", 0, 0},
    {"replicas", "run", "replicas", 16, 1},
    {"cpu", "run", "cpu_millis", APR_INT64_MAX, 1},
    {"memory", "run", "memory_bytes", APR_INT64_MAX, 1},
    {"pids", "run", "pids", APR_INT64_MAX, 1},
    {"timeout", "serve", "timeout_seconds", APR_INT64_MAX, 0},
    {"hold", "serve", "hold_seconds", APR_INT64_MAX, 0},
    {"grace", "serve", "grace_seconds", APR_INT64_MAX, 0},
    {"previous-assets", "serve", "previous_assets_seconds", APR_INT64_MAX, 0},
    {"previews", "previews", "max", APR_INT64_MAX, 0},
    {"preview-ttl", "previews", "ttl_seconds", APR_INT64_MAX, 0},
};

static const struct {
    const char *option, *object, *member;
} switches[] = {
    {"spa", NULL, "spa"},
    {"clean-urls", "serve", "clean_urls"},
    {"sticky", "serve", "sticky"},
};

/* The object that a member goes into, made where it is not there yet. */
static json_t *part(json_t *body, const char *object)
{
    json_t *into = object != NULL ? json_object_get(body, object) : body;
    if (into == NULL) {
        into = json_object();
        json_object_set_new(body, object, into);
    }
    return into;
}

static int member_set(wh_cli_t *cli, json_t *body, size_t i)
{
    const char *text = wh_cli_opts_get(cli, members[i].option);
    json_t *value;
    apr_int64_t number = 0;
    if (text == NULL)
        return 0;
    if (members[i].max > 0) {
        int rc = wh_cli_opts_int(cli, members[i].option, members[i].min, members[i].max, &number);
        if (rc != 0)
            return rc;
    }
    value = members[i].max > 0 ? json_integer(number) : json_string(text);
    if (value == NULL) {
        wh_cli_error("--%s is no UTF-8 text", members[i].option);
        return WH_EXIT_USAGE;
    }
    json_object_set_new(part(body, members[i].object), members[i].member, value);
    return 0;
}

static int body_make(wh_cli_t *cli, json_t *body)
{
    int rc = 0;
    if (wh_cli_opts_get(cli, "repo") == NULL) {
        wh_cli_error("apps create: which repository? give --repo URL");
        return WH_EXIT_USAGE;
    }
    if (json_object_set_new(body, "slug", json_string(cli->args[0])) != 0) {
        wh_cli_error("the app's name is no UTF-8 text");
        return WH_EXIT_USAGE;
    }
    json_object_set_new(body, "kind", json_string("static"));
    for (size_t i = 0; rc == 0 && i < sizeof(members) / sizeof(members[0]); i++)
        rc = member_set(cli, body, i);
    if (rc == 0)
        rc = wh_cli_worker_placement(cli, body);
    for (size_t i = 0; rc == 0 && i < sizeof(switches) / sizeof(switches[0]); i++) {
        if (wh_cli_opts_get(cli, switches[i].option) != NULL)
            json_object_set_new(part(body, switches[i].object), switches[i].member, json_true());
    }
    return rc;
}

static int run(wh_cli_t *cli)
{
    wh_cli_reply_t reply;
    json_t *body = json_object();
    int rc = body_make(cli, body);
    if (rc == 0)
        rc = wh_cli_http(cli, "POST", "/v1/apps", body, NULL, &reply);
    json_decref(body);
    if (rc != 0)
        return rc;
    if (cli->json)
        wh_cli_json(reply.body);
    else
        wh_cli_out("%s\n", wh_cli_get(cli, reply.body, "slug"));
    wh_cli_note(cli, "Created. Next: wh deploy --wait %s\n", wh_cli_get(cli, reply.body, "slug"));
    return WH_EXIT_OK;
}

static const wh_cli_option_t options[] = {
    {"repo", 0, "URL", "the git repository: https://…, or a path below local_repo_root"},
    {"kind", 0, "KIND", "static (what is in the repository is served) or container"},
    {"branch", 0, "BRANCH", "what is deployed (main)"},
    {"root", 0, "DIR", "the part of the repository that matters"},
    {"name", 0, "NAME", "for people"},
    {"build-command", 0, "CMD", "runs in the build container"},
    {"output", 0, "DIR", "what is served of a static app"},
    {"dockerfile", 0, "FILE", "of a container app (Dockerfile)"},
    {"port", 0, "PORT", "where the container listens (8080)"},
    {"health-path", 0, "PATH", "what is asked before it goes live (/)"},
    {"replicas", 0, "N", "containers side by side (1)"},
    {"cpu", 0, "MILLIS", "limit: thousandths of a core (1000)"},
    {"memory", 0, "BYTES", "limit (536870912)"},
    {"pids", 0, "N", "limit of processes (256)"},
    WH_CLI_PLACEMENT,
    {"spa", 0, NULL, "unknown paths answer with /index.html"},
    {"clean-urls", 0, NULL, "about.html is served as /about"},
    {"sticky", 0, NULL, "a visitor stays with one container"},
    {"timeout", 0, "SECONDS", "of an answer (0: the server's Timeout)"},
    {"hold", 0, "SECONDS", "a request waits so long for a switch (10)"},
    {"grace", 0, "SECONDS", "an old container ends so long after a switch (30)"},
    {"previous-assets", 0, "SECONDS", "so long files of the release before are found (86400)"},
    {"previews", 0, "N", "for branches that no environment takes: so many previews (0)"},
    {"preview-ttl", 0, "SECONDS", "of a preview, after its last deployment (604800)"},
    {NULL, 0, NULL, NULL},
};

const wh_cli_cmd_t wh_cmd_apps_create = {.words = "apps create",
                                         .args = "NAME --repo URL",
                                         .min_args = 1,
                                         .max_args = 1,
                                         .run = run,
                                         .options = options,
                                         .doc = "make an app of a git repository"};
