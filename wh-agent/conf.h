/* The agent's configuration: one struct, filled from one table of keys (wh_conf). Read-only after
 * start. */
#ifndef WH_AGENT_CONF_H
#define WH_AGENT_CONF_H

#include <apr_tables.h>
#include "libwh/wh_conf.h"

typedef struct wh_agent_conf_t {
    const char *state_dir;
    const char *server_url;           /* without a slash at the end */
    const char *hub_url;              /* "" = through server_url */
    apr_array_header_t *hub_urls;     /* wh_huburl_t: what follows from both, never empty */
    const char *name;                 /* "" in the file = the host name */
    const char *enrolment_token_file; /* "" = none */
    const char *local_repo_root;      /* "" = local repositories are refused */
    const char *engine_socket;        /* "" = no container engine */
    const char *address;              /* containers are published here */
    const char *git_program;
    const char *labels; /* JSON object of strings */
    const char *runner_images; /* likewise, see wh_dockerfile_gen.h */
    const char *registries; /* from which images may come, see pull.h */
    const char *zone;
    const char *ca_file; /* "" = the system's */
    const char *log_level;
    apr_int64_t max_jobs;
    apr_int64_t cpu_millis;   /* 0 in the file = eight times what the machine has */
    apr_int64_t memory_bytes; /* 0 in the file = what the machine has */
    apr_int64_t clone_max_bytes;
    apr_int64_t build_memory_bytes;
    apr_int64_t image_max_bytes; /* of a pulled one; 0 = no limit */
    apr_int64_t container_log_bytes; /* the engine's own file of each; 0 = as the engine has it */
    apr_int64_t build_pids;
    apr_int64_t build_disk_bytes, build_files, build_output_bytes; /* 0 = no limit */
    apr_int64_t publish_port_min, publish_port_max;
    apr_int64_t images_kept;                          /* an app, newest first */
    apr_int64_t storage_quota_bytes;                  /* of images and git caches; 0 = none */
    apr_int64_t disk_floor_bytes, memory_floor_bytes; /* 0 = none */
    apr_int64_t build_cpu_weight;
    int insecure_http;
    int git_private_addresses;
} wh_agent_conf_t;

extern const wh_conf_key_t wh_agent_conf_keys[];
extern const size_t wh_agent_conf_nkeys;

/* Read the file, fill in what depends on the machine, and check what one key alone cannot say.
 * Codes: bad_config, config_unreadable. */
apr_status_t wh_agent_conf_load(apr_pool_t *p, const char *path, wh_agent_conf_t *conf,
                                wh_err_t *err) WH_MUST_CHECK;

#endif
