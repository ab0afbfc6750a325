/*
 * The request fields of every route, with their types and limits; included by wh_mod_api.c alone,
 * which names them in the route table. Limits are those of libwh/wh_model.h where there is one.
 */
#ifndef WH_MOD_API_FIELDS_H
#define WH_MOD_API_FIELDS_H

#include "libwh/wh_dockerfile_gen.h"
#include "libwh/wh_domain.h"
#include "libwh/wh_env.h"
#include "libwh/wh_event.h"
#include "libwh/wh_gitauth.h"
#include "libwh/wh_forge.h"
#include "libwh/wh_giturl.h"
#include "libwh/wh_host.h"
#include "libwh/wh_imageref.h"
#include "libwh/wh_manifest.h"
#include "libwh/wh_oidc.h"
#include "libwh/wh_sshkey.h"
#include "mod_wisehost/wh_mod_api.h"

/* Fields by what they are: those that null may be given for (TEXT, NUMBER, SWITCH, PART), those of
 * a query and the like, where there is no null (WORD, COUNT), and texts that are NEEDED. */
#define ID_FIELD(field_name, text)                                                                 \
    {                                                                                              \
        .name = (field_name), .type = WH_FIELD_STRING, .required = 1, .min = 26, .max = 26,        \
        .doc = (text)                                                                              \
    }
#define EPOCH_FIELD                                                                                \
    {                                                                                              \
        .name = "epoch", .type = WH_FIELD_INTEGER, .required = 1, .min = 1,                        \
        .max = APR_INT64_C(1000000000), .doc = "the job's epoch"                                   \
    }
#define TEXT(field_name, least, most, text)                                                        \
    {                                                                                              \
        .name = (field_name), .type = WH_FIELD_STRING, .nullable = 1, .min = (least),              \
        .max = (most), .doc = (text)                                                               \
    }
#define NUMBER(field_name, least, most, text)                                                      \
    {                                                                                              \
        .name = (field_name), .type = WH_FIELD_INTEGER, .nullable = 1, .min = (least),             \
        .max = (most), .doc = (text)                                                               \
    }
#define SWITCH(field_name, text)                                                                   \
    {                                                                                              \
        .name = (field_name), .type = WH_FIELD_BOOLEAN, .nullable = 1, .doc = (text)               \
    }
#define PART(field_name, members)                                                                  \
    {                                                                                              \
        .name = (field_name), .type = WH_FIELD_OBJECT, .nullable = 1, .fields = (members)          \
    }
#define NEEDED(field_name, least, most, text)                                                      \
    {                                                                                              \
        .name = (field_name), .type = WH_FIELD_STRING, .required = 1, .min = (least),              \
        .max = (most), .doc = (text)                                                               \
    }
#define WORD(field_name, least, most, text)                                                        \
    {                                                                                              \
        .name = (field_name), .type = WH_FIELD_STRING, .min = (least), .max = (most),              \
        .doc = (text)                                                                              \
    }
#define COUNT(field_name, least, most, text)                                                       \
    {                                                                                              \
        .name = (field_name), .type = WH_FIELD_INTEGER, .min = (least), .max = (most),             \
        .doc = (text)                                                                              \
    }
/* limit and cursor of a list (wh_mod_call_page). */
#define PAGE_FIELDS                                                                                \
    COUNT("limit", 1, WH_API_LIST_MAX, "entries of one answer"),                                   \
        WORD("cursor", 1, 64, "\"next\" of the answer before")
#define END                                                                                        \
    {                                                                                              \
        .name = NULL                                                                               \
    }

static const wh_mod_field_t no_fields[] = {END};

static const wh_mod_field_t audit_fields[] = {WORD("action", 1, 64, "app.delete"),
                                              WORD("app", 1, 40, "slug"),
                                              WORD("actor", 1, 255, "id of who did it"),
                                              WORD("since", 1, 40, "RFC 3339"),
                                              PAGE_FIELDS,
                                              END};

static const wh_mod_field_t usage_fields[] = {
    WORD("from", 1, 40, "RFC 3339; a day before to"), WORD("to", 1, 40, "RFC 3339; now"),
    COUNT("step", 0, 2592000, "seconds, a multiple of 300; 0 = what makes at most 300 points"),
    END};

#define RULE_FIELDS                                                                                \
    {.name = "threshold",                                                                          \
     .type = WH_FIELD_NUMBER,                                                                      \
     .nullable = 1,                                                                                \
     .max = 100000000,                                                                             \
     .doc = "in the unit of the kind: percent of a core, percent of the memory limit, MB/s, "      \
            "percent of requests, ms; it fires above it"},                                         \
        COUNT("sustain_minutes", 0, WH_ALERT_SUSTAIN_MAX,                                          \
              "so long above before it fires, and so long not above before it resolves"),          \
        WORD("severity", 4, 8, "info, warning (default) or critical"),                             \
    {                                                                                              \
        .name = "enabled", .type = WH_FIELD_BOOLEAN, .doc = "true unless said"                     \
    }

static const wh_mod_field_t alert_rule_fields[] = {
    NEEDED("kind", 3, 32,
           "cpu, memory, network, disk, error_rate, latency, offline, crashloop or "
           "deployment_failed"),
    RULE_FIELDS, END};
static const wh_mod_field_t alert_rule_patch_fields[] = {RULE_FIELDS, END};

static const wh_mod_field_t alert_source_members[] = {
    NEEDED("type", 1, 64, "app.cpu"),
    {.name = "id", .type = WH_FIELD_STRING, .required = 1, .min = 1, .max = 128},
    END};
static const wh_mod_field_t alert_source_fields[] = {
    {.name = "source", .type = WH_FIELD_OBJECT, .required = 1, .fields = alert_source_members},
    END};

static const wh_mod_field_t alert_list_fields[] = {
    WORD("status", 1, 16, "open (active or acknowledged), active, acknowledged or resolved"),
    PAGE_FIELDS, END};

static const wh_mod_field_t page_fields[] = {PAGE_FIELDS, END};

static const wh_mod_field_t log_fields[] = {
    COUNT("after", 0, APR_INT64_C(1000000000000), "only lines with a higher sequence number"),
    COUNT("limit", 1, 1000, "lines of one answer"), END};

static const wh_mod_field_t app_log_fields[] = {
    COUNT("after", 0, APR_INT64_C(1000000000000), "lines with a higher number, the oldest first"),
    COUNT("before", 1, APR_INT64_C(1000000000000),
          "lines with a lower number, the newest of them; absent = from the end"),
    COUNT("limit", 1, 1000, "lines of one answer"),
    WORD("from", 1, 40, "not older than this: RFC 3339, or seconds since 1970"),
    WORD("to", 1, 40, "older than this"),
    WORD("level", 1, 8, "of this level or a graver one: debug, info, warn, error, fatal"),
    WORD("text", 1, 256, "stands in the line; small and capital letters of ASCII count the same"),
    WORD("deployment", 26, 26, "its id"),
    WORD("environment", 1, WH_HOST_ENV_MAX, "of deployments to it"),
    WORD("stream", 3, 3, "out, err or sys"),
    END};

static const wh_mod_field_t event_fields[] = {
    {.name = "after",
     .type = WH_FIELD_INTEGER,
     .min = 0,
     .max = APR_INT64_C(1000000000000),
     .doc = "events with a higher id, the oldest first"},
    {.name = "before",
     .type = WH_FIELD_INTEGER,
     .min = 1,
     .max = APR_INT64_C(1000000000000),
     .doc = "events with a lower id, the newest of them; absent = from the end"},
    {.name = "limit",
     .type = WH_FIELD_INTEGER,
     .min = 1,
     .max = 1000,
     .doc = "events of one answer"},
    {.name = "from",
     .type = WH_FIELD_STRING,
     .min = 1,
     .max = 40,
     .doc = "not older than this: RFC 3339, or seconds since 1970"},
    {.name = "to", .type = WH_FIELD_STRING, .min = 1, .max = 40, .doc = "older than this"},
    {.name = "type",
     .type = WH_FIELD_STRING,
     .min = 1,
     .max = 400,
     .doc = "of these types, with commas between: deploymentUpdate, alert.*"},
    END};

static const wh_mod_field_t login_fields[] = {
    NEEDED("token", 1, 256, "the one-time token"),
    TEXT("name", 1, WH_APP_NAME_MAX, "what the new token is called"), END};

static const wh_mod_field_t repository_fields[] = {
    TEXT("url", 1, WH_GITURL_MAX,
         "https or ssh address, or a local path where the server allows them"),
    TEXT("branch", 1, WH_HOST_BRANCH_MAX, "the branch that is deployed"),
    TEXT("root_directory", 0, WH_APP_PATH_MAX, "directory of the app inside the repository"), END};

static const wh_mod_field_t build_fields[] = {
    TEXT("preset", 0, 32, "how it is built: a preset, auto or dockerfile"),
    TEXT("install_command", 0, WH_APP_COMMAND_MAX, "brings what the build needs"),
    TEXT("build_command", 0, WH_APP_COMMAND_MAX, "runs inside the build container"),
    TEXT("start_command", 0, WH_APP_COMMAND_MAX, "what runs in the container"),
    TEXT("pre_deploy_command", 0, WH_APP_COMMAND_MAX, "runs before each start"),
    TEXT("runner_image", 0, WH_DOCKERFILE_GEN_IMAGE_MAX, "what it is built in and runs in"),
    NUMBER("timeout_seconds", WH_APP_BUILD_MIN, WH_APP_BUILD_MAX, "of a build"),
    NUMBER("memory_bytes", WH_APP_BUILD_MEMORY_MIN, WH_APP_MEMORY_MAX, "limit of a build"),
    SWITCH("submodules", "fetches the repository's submodules too"),
    SWITCH("lfs", "fetches what Git LFS keeps of its files"),
    TEXT("dockerfile", 1, WH_APP_PATH_MAX, "below root_directory"),
    TEXT("output_directory", 0, WH_APP_PATH_MAX, "what a static app publishes"),
    END};

static const wh_mod_field_t run_fields[] = {
    NUMBER("port", 1, 65535, "where the container listens"),
    TEXT("health_path", 1, WH_APP_HEALTH_MAX, "asked before the app goes live"),
    NUMBER("replicas", 1, WH_APP_REPLICAS_MAX, "containers side by side"),
    NUMBER("cpu_millis", WH_APP_CPU_MIN, WH_APP_CPU_MAX, "thousandths of a core"),
    NUMBER("memory_bytes", WH_APP_MEMORY_MIN, WH_APP_MEMORY_MAX, "memory limit"),
    NUMBER("pids", WH_APP_PIDS_MIN, WH_APP_PIDS_MAX, "process limit"),
    END};

static const wh_mod_field_t placement_fields[] = {
    TEXT("worker", 1, WH_WORKER_NAME_MAX, "name of the only worker that may have it"),
    TEXT("zone", 0, 63, "the only zone that may have it"),
    {.name = "labels",
     .type = WH_FIELD_MAP,
     .nullable = 1,
     .max = 32,
     .doc = "what the worker must have"},
    END};

static const wh_mod_field_t serve_fields[] = {
    SWITCH("clean_urls", "about.html is served as /about, from the next deployment on"),
    SWITCH("sticky", "a visitor stays with one replica"),
    SWITCH("maintenance", "all its names answer 503"),
    NUMBER("timeout_seconds", 0, WH_APP_TIMEOUT_MAX, "of an answer; 0 = the server's Timeout"),
    NUMBER("hold_seconds", 0, WH_APP_HOLD_MAX, "a request waits so long for a switch"),
    NUMBER("grace_seconds", 0, WH_APP_GRACE_MAX, "an old container ends so long after a switch"),
    NUMBER("previous_assets_seconds", 0, WH_APP_PREVIOUS_MAX,
           "so long files of the release before are still found"),
    END};

static const wh_mod_field_t previews_fields[] = {
    NUMBER("max", 0, WH_APP_PREVIEWS_MAX,
           "a preview for each branch that no environment takes, so many at one time"),
    NUMBER("ttl_seconds", WH_APP_PREVIEW_TTL_MIN, WH_APP_PREVIEW_TTL_MAX,
           "of a preview, after its last deployment"),
    END};

static const wh_mod_field_t sync_fields[] = {
    TEXT("type", 1, 16, "webhook, polling, github-actions or manual"),
    NUMBER("every_seconds", WH_APP_SYNC_EVERY_MIN, WH_APP_SYNC_EVERY_MAX,
           "how often polling looks at the branch"),
    END};

#define IMAGE_FIELD                                                                                \
    TEXT("image", 1, WH_IMAGEREF_MAX,                                                              \
         "instead of a repository: registry/path with a tag or a digest")

static const wh_mod_field_t app_create_fields[] = {
    NEEDED("slug", 1, 255, "the app's name in URLs"),
    TEXT("name", 1, WH_APP_NAME_MAX, "the name that people read"),
    NEEDED("kind", 1, 16, "static or container"),
    {.name = "repository", .type = WH_FIELD_OBJECT, .fields = repository_fields},
    IMAGE_FIELD,
    PART("build", build_fields),
    PART("run", run_fields),
    PART("placement", placement_fields),
    SWITCH("spa", "answer unknown paths with index.html"),
    PART("serve", serve_fields),
    PART("previews", previews_fields),
    PART("sync", sync_fields),
    TEXT("desired", 1, 16, "running or stopped"),
    END};

static const wh_mod_field_t app_patch_fields[] = {
    TEXT("slug", 1, 255, "may be named with its present value only"),
    TEXT("name", 1, WH_APP_NAME_MAX, "the name that people read"),
    TEXT("kind", 1, 16, "may be named with its present value only"),
    PART("repository", repository_fields),
    IMAGE_FIELD,
    PART("build", build_fields),
    PART("run", run_fields),
    PART("placement", placement_fields),
    SWITCH("spa", "answer unknown paths with index.html"),
    PART("serve", serve_fields),
    PART("previews", previews_fields),
    PART("sync", sync_fields),
    TEXT("desired", 1, 16, "running or stopped"),
    END};

static const wh_mod_field_t deployment_fields[] = {
    TEXT("environment", 1, WH_HOST_ENV_MAX, "production unless named"),
    TEXT("ref", 1, WH_HOST_BRANCH_MAX, "a branch; the app's own unless named"),
    TEXT("commit", 1, 64, "a commit instead of a branch: 40 or 64 hex digits"),
    SWITCH("uploaded", "the commit is one of an upload, not of the app's own repository"),
    PART("placement", placement_fields),
    END};

static const wh_mod_field_t environment_fields[] = {
    NEEDED("pattern", 1, WH_HOST_BRANCH_MAX,
           "branches: * stands for anything within a segment, ** for segments"),
    NUMBER("position", 0, 1000000, "the lowest that matches takes the branch; 0 unless named"),
    END};

static const wh_mod_field_t environment_delete_fields[] = {
    {.name = "keep",
     .type = WH_FIELD_BOOLEAN,
     .doc = "it takes no branches any more, and what it shows stays"},
    END};

static const wh_mod_field_t variable_fields[] = {
    NEEDED("name", 1, WH_ENV_NAME_MAX,
           "letters, digits and _, no digit first; not WISEHOST_… nor PORT"),
    TEXT("value", 0, WH_ENV_VALUE_MAX, "absent or null: it keeps the one that it has"),
    SWITCH("secret", "the value is never shown again; so it is unless said otherwise"),
    SWITCH("build", "a build may ask for it, too"),
    SWITCH("remove", "it goes"),
    END};

static const wh_mod_field_t env_fields[] = {
    TEXT("environment", 1, WH_HOST_ENV_MAX,
         "only there; preview = all previews; absent = everywhere"),
    {.name = "variables",
     .type = WH_FIELD_LIST,
     .required = 1,
     .min = 0,
     .max = WH_ENV_VARS_MAX,
     .fields = variable_fields},
    END};

static const wh_mod_field_t env_list_fields[] = {
    WORD("environment", 1, WH_HOST_ENV_MAX,
         "what a deployment there gets; absent = all that there are"),
    END};

static const wh_mod_field_t env_delete_fields[] = {
    WORD("environment", 1, WH_HOST_ENV_MAX, "of this environment; absent = those of the app"),
    WORD("name", 1, WH_ENV_NAME_MAX, "only this one"), END};

static const wh_mod_field_t deploy_key_fields[] = {
    TEXT("private_key", 0, WH_SSHKEY_MAX,
         "in OpenSSH's form, without a passphrase; absent = a new Ed25519 one"),
    NUMBER("overlap", 0, 2592000,
           "seconds in which the former key is offered too; 86400 unless named"),
    END};

static const wh_mod_field_t credentials_fields[] = {
    NEEDED("token", 1, WH_GITAUTH_TOKEN_MAX, "or a password"),
    TEXT("username", 1, WH_GITAUTH_USER_MAX, "git unless named"),
    TEXT("host", 0, 300,
         "name or name:port, the only one that gets them; the repository's unless named"),
    END};

static const wh_mod_field_t known_hosts_fields[] = {
    NEEDED("known_hosts", 0, WH_SSHKEY_MAX,
           "lines of a known_hosts file, as ssh-keyscan has them; empty = none"),
    END};

static const wh_mod_field_t domain_create_fields[] = {
    NEEDED("host", 1, 1024, "the name, as DNS has it or in the letters of any script"),
    TEXT("environment", 1, WH_HOST_ENV_MAX, "what it shows; production unless named"),
    TEXT("redirect_to", 1, WH_DOMAIN_TARGET_MAX, "leads there instead, path and query kept"),
    NUMBER("redirect_code", 301, 308, "301, 302, 307 or 308; 308 unless named"), END};

static const wh_mod_field_t domain_patch_fields[] = {
    TEXT("environment", 1, WH_HOST_ENV_MAX, "what it shows"),
    TEXT("redirect_to", 1, WH_DOMAIN_TARGET_MAX, "leads there instead; null = shows the app again"),
    NUMBER("redirect_code", 301, 308, "301, 302, 307 or 308"), END};

#define SETTINGS_FIELD                                                                             \
    TEXT("settings", 1, 16, "own: as it was deployed; current: with the app's present settings")

static const wh_mod_field_t rollback_fields[] = {SETTINGS_FIELD, END};

static const wh_mod_field_t rollback_app_fields[] = {
    TEXT("environment", 1, WH_HOST_ENV_MAX, "production unless named"),
    TEXT("to", 1, 26, "id or number of a deployment; what was shown before unless named"),
    SETTINGS_FIELD, END};

static const wh_mod_field_t promote_fields[] = {
    NEEDED("environment", 1, WH_HOST_ENV_MAX, "the one that is to show it"), SETTINGS_FIELD, END};

#define PROVIDER_FIELD                                                                             \
    {                                                                                              \
        .name = "provider", .type = WH_FIELD_STRING, .required = 1, .min = 1, .max = 32,           \
        .doc = "github, gitea, forgejo, codeberg, gitlab, bitbucket, azure or generic"             \
    }
#define WATCH_FIELD                                                                                \
    TEXT("watch", 0, 8192, "patterns of paths, one a line: other pushes start nothing")

static const wh_mod_field_t actions_fields[] = {
    TEXT("issuer", 1, WH_OIDC_ISSUER_MAX, "who issues the tokens; GitHub unless named"),
    TEXT("audience", 1, WH_OIDC_AUDIENCE_MAX, "whom they are for; wisehost- and the hook's id"),
    TEXT("repository", 1, 140, "owner/name; that of the app unless named"),
    TEXT("repository_id", 1, 20, "its id at GitHub, which no other gets"),
    TEXT("workflows", 0, 4096, "patterns of workflow files, one a line; all unless named"),
    TEXT("branches", 0, 4096, "patterns of branches, one a line; all unless named"),
    END};

static const wh_mod_field_t forge_fields[] = {
    NEEDED("token", 1, WH_FORGE_TOKEN_MAX, "for the forge's API; never shown again"),
    TEXT("api", 1, 255, "where it is; that of the app's repository unless named"),
    TEXT("repository", 1, 255, "owner/name; that of the app unless named"), END};

static const wh_mod_field_t app_hook_fields[] = {
    PROVIDER_FIELD, WATCH_FIELD, PART("actions", actions_fields), PART("forge", forge_fields), END};

static const wh_mod_field_t hook_fields[] = {NEEDED("app", 1, 255, "slug of the app"),
                                             PROVIDER_FIELD,
                                             WATCH_FIELD,
                                             PART("actions", actions_fields),
                                             PART("forge", forge_fields),
                                             END};

static const wh_mod_field_t hook_patch_fields[] = {WATCH_FIELD, PART("forge", forge_fields), END};

static const wh_mod_field_t hook_rotate_fields[] = {
    NUMBER("overlap", 0, 2592000,
           "seconds in which the former secret is taken too; 86400 unless named"),
    END};

static const wh_mod_field_t register_fields[] = {
    NEEDED("name", 1, WH_WORKER_NAME_MAX, "unique among workers"),
    NEEDED("api_key", 64, 64, "64 hex digits"),
    {.name = "cpu_millis", .type = WH_FIELD_INTEGER, .required = 1, .min = 1, .max = 1024000},
    {.name = "memory_bytes",
     .type = WH_FIELD_INTEGER,
     .required = 1,
     .min = 1,
     .max = APR_INT64_C(1) << 46},
    TEXT("address", 1, 255, "the IP address at which its containers are reached"),
    {.name = "labels", .type = WH_FIELD_MAP, .nullable = 1, .max = 32},
    TEXT("zone", 0, 63, "where it stands"),
    TEXT("version", 0, 63, "of the agent"),
    END};

static const wh_mod_field_t rotate_fields[] = {
    NEEDED("api_key", 64, 64, "the new key: 64 hex digits"), END};

static const wh_mod_field_t enrol_fields[] = {
    TEXT("worker", 1, WH_WORKER_NAME_MAX, "the only name that the token registers"),
    SWITCH("replaces", "that worker is there: it gets a new key and keeps its apps"),
    NUMBER("expires_in", 60, 2592000, "seconds; 3600 unless named"), END};

static const wh_mod_field_t remove_fields[] = {
    {.name = "force", .type = WH_FIELD_BOOLEAN, .doc = "although apps have containers there"}, END};

static const wh_mod_field_t variant_fields[] = {
    {.name = "sha256", .type = WH_FIELD_STRING, .required = 1, .min = 64, .max = 64},
    {.name = "size",
     .type = WH_FIELD_INTEGER,
     .required = 1,
     .min = 1,
     .max = WH_MANIFEST_BYTES_MAX},
    END};

static const wh_mod_field_t variants_fields[] = {
    {.name = "br", .type = WH_FIELD_OBJECT, .fields = variant_fields},
    {.name = "zstd", .type = WH_FIELD_OBJECT, .fields = variant_fields},
    {.name = "gzip", .type = WH_FIELD_OBJECT, .fields = variant_fields},
    END};

static const wh_mod_field_t manifest_fields[] = {
    {.name = "path", .type = WH_FIELD_STRING, .required = 1, .min = 1, .max = WH_MANIFEST_PATH_MAX},
    {.name = "size",
     .type = WH_FIELD_INTEGER,
     .required = 1,
     .min = 0,
     .max = WH_MANIFEST_BYTES_MAX},
    {.name = "sha256", .type = WH_FIELD_STRING, .required = 1, .min = 64, .max = 64},
    {.name = "mode", .type = WH_FIELD_INTEGER, .min = 0, .max = 0777},
    {.name = "variants",
     .type = WH_FIELD_OBJECT,
     .fields = variants_fields,
     .doc = "the same content compressed, each smaller than the file"},
    END};

static const wh_mod_field_t release_fields[] = {ID_FIELD("job", "the job that makes the release"),
                                                EPOCH_FIELD,
                                                {.name = "manifest",
                                                 .type = WH_FIELD_LIST,
                                                 .required = 1,
                                                 .min = 0,
                                                 .max = WH_MANIFEST_FILES_MAX + 1,
                                                 .fields = manifest_fields},
                                                END};

#define CHANNEL_TARGET                                                                             \
    "where to, as a URL: discord://, slack://, https:// …; it is never shown again"
#define CHANNEL_EVENTS                                                                             \
    {                                                                                              \
        .name = "events", .type = WH_FIELD_TEXTS, .nullable = 1, .max = WH_EVENT_FILTERS_MAX,      \
        .doc = "names (GET /v1/notifications/events), \"deployment.*\"; none = all"                \
    }

static const wh_mod_field_t channel_fields[] = {
    NEEDED("name", 1, 64, "a-z 0-9 - _ ."),
    NEEDED("target", 1, WH_SHOUT_URL_MAX, CHANNEL_TARGET),
    TEXT("app", 1, 255, "slug: of this app alone; null = of every app"),
    CHANNEL_EVENTS,
    TEXT("secret", 1, 128, "of a webhook: \"whsec_\" and base64; made when it is not named"),
    SWITCH("enabled", "whether it is told; true unless named"),
    END};

static const wh_mod_field_t channel_patch_fields[] = {
    TEXT("name", 1, 64, "a-z 0-9 - _ ."),
    TEXT("target", 1, WH_SHOUT_URL_MAX, CHANNEL_TARGET),
    TEXT("app", 1, 255, "slug: of this app alone; null = of every app"),
    CHANNEL_EVENTS,
    SWITCH("enabled", "whether it is told"),
    END};

#define DRAIN_TARGET "where to: loki+https://, syslog+tls://, https:// …; it is never shown again"
static const wh_mod_field_t logdrain_fields[] = {
    NEEDED("name", 1, 64, "a-z 0-9 - _ ."), NEEDED("target", 1, WH_LOGDRAIN_URL_MAX, DRAIN_TARGET),
    TEXT("app", 1, 255, "slug: the lines of this app alone; null = of every app"),
    SWITCH("enabled", "whether it gets lines; true unless named"),
    SWITCH("gzip", "whether bodies go out as gzip (by HTTP alone); false unless named"), END};

static const wh_mod_field_t logdrain_patch_fields[] = {
    TEXT("name", 1, 64, "a-z 0-9 - _ ."), TEXT("target", 1, WH_LOGDRAIN_URL_MAX, DRAIN_TARGET),
    TEXT("app", 1, 255, "slug: the lines of this app alone; null = of every app"),
    SWITCH("enabled", "whether it gets lines"),
    SWITCH("gzip", "whether bodies go out as gzip (by HTTP alone)"), END};

static const wh_mod_field_t notice_fields[] = {
    PAGE_FIELDS, WORD("status", 1, 16, "pending, delivered or dead"), END};

static const wh_mod_field_t job_fields[] = {ID_FIELD("job", "the job that makes the release"),
                                            EPOCH_FIELD, END};

static const wh_mod_field_t job_query_fields[] = {ID_FIELD("job", "the job that makes the release"),
                                                  EPOCH_FIELD, END};

static const wh_mod_field_t service_fields[] = {NEEDED("service", 1, 32, "git-upload-pack"), END};

#undef ID_FIELD
#undef EPOCH_FIELD
#undef TEXT
#undef NUMBER
#undef SWITCH
#undef SETTINGS_FIELD
#undef PART
#undef NEEDED
#undef WORD
#undef COUNT
#undef PAGE_FIELDS
#undef PROVIDER_FIELD
#undef WATCH_FIELD
#undef CHANNEL_TARGET
#undef DRAIN_TARGET
#undef CHANNEL_EVENTS
#undef IMAGE_FIELD
#undef END

#endif
