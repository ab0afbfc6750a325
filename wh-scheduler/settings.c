#include "wh-scheduler/settings.h"

#include <string.h>
#include <arpa/inet.h>
#include <apr_strings.h>
#include "libwh/wh_conf.h"
#include "libwh/wh_host.h"
#include "libwh/wh_log.h"

#define AT(member) .offset = offsetof(wh_settings_t, member)

static const wh_conf_key_t keys[] = {
    {.name = "state_dir",
     .type = WH_CONF_PATH,
     AT(state_dir),
     .def = "/var/lib/wisehost",
     .doc = "Where database, routes, keys, logs and releases are."},
    {.name = "db_driver",
     .type = WH_CONF_CHOICE,
     AT(db_driver),
     .def = "sqlite3",
     .choices = "sqlite3|pgsql",
     .doc = "The driver of apr_dbd."},
    {.name = "db_params",
     .type = WH_CONF_STRING,
     AT(db_params),
     .flags = WH_CONF_F_SECRET,
     .def = "",
     .doc =
         "sqlite3: the file, default db/wisehost.db in state_dir. pgsql: host=… dbname=… user=…."},
    {.name = "hub_socket",
     .type = WH_CONF_PATH,
     AT(hub_socket),
     .def = "",
     .doc = "The unix socket for httpd, default run/hub.sock in state_dir."},
    {.name = "listen",
     .type = WH_CONF_STRING,
     AT(listen),
     .max = 64,
     .def = "",
     .doc = "IP address and port at which agents may come straight here, by TLS 1.3: 0.0.0.0:8443, "
            "[::]:8443; empty = through Apache only."},
    {.name = "listen_cert",
     .type = WH_CONF_PATH,
     AT(listen_cert),
     .def = "",
     .doc = "Its certificate with the chain (PEM); SIGHUP reads it anew."},
    {.name = "listen_key",
     .type = WH_CONF_PATH,
     AT(listen_key),
     .def = "",
     .doc = "The certificate's key (PEM, mode 0600 or 0640)."},
    {.name = "allow_raw_key",
     .type = WH_CONF_BOOL,
     AT(allow_raw_key),
     .def = "on",
     .doc = "Whether a worker's API key itself opens its channel there, and not only a token."},
    {.name = "httpd_user",
     .type = WH_CONF_STRING,
     AT(httpd_user),
     .min = 1,
     .max = 32,
     .def = "www-data",
     .doc = "Only this user, root and the scheduler's own may use the hub socket."},
    {.name = "base_domain",
     .type = WH_CONF_STRING,
     AT(base_domain),
     .max = 200,
     .flags = WH_CONF_F_REQUIRED,
     .doc = "Apps are names below it, as WiseHostBaseDomain says."},
    {.name = "dns_resolver",
     .type = WH_CONF_STRING,
     AT(dns_resolver),
     .max = 200,
     .def = "",
     .doc = "Whom domains are looked up with: IP addresses with commas between, each with :port where "
            "it is not 53; empty = as /etc/resolv.conf says."},
    {.name = "domain_http_port",
     .type = WH_CONF_INT,
     AT(domain_http_port),
     .min = 1,
     .max = 65535,
     .def = "80",
     .doc = "Where the file that proves a domain is asked for."},
    {.name = "domain_private",
     .type = WH_CONF_BOOL,
     AT(domain_private),
     .def = "off",
     .doc = "Whether that may be asked for at private and loopback addresses: for networks of your own."},
    {.name = "git_program",
     .type = WH_CONF_PATH,
     AT(git_program),
     .def = "/usr/bin/git",
     .doc = "The git program, which looks up the branches of apps that are polled."},
    {.name = "local_repo_root",
     .type = WH_CONF_PATH,
     AT(local_repo_root),
     .def = "",
     .doc = "Repositories on this machine are polled below this directory only; empty = none are."},
    {.name = "ca_file",
     .type = WH_CONF_PATH,
     AT(ca_file),
     .def = "",
     .doc = "Certificates (PEM) by which forges and all else that is sent to by https are known; empty = "
            "the system's."},
    {.name = "git_private_addresses",
     .type = WH_CONF_BOOL,
     AT(git_private),
     .def = "off",
     .doc = "Whether repositories that are polled may lie at private or local network addresses."},
    {.name = "http_private_addresses",
     .type = WH_CONF_BOOL,
     AT(http_private),
     .def = "off",
     .doc = "Whether what the server sends by itself (to forges, notifications) may go to private "
            "addresses and to this machine, and there by http:// too."},
    {.name = "notify_keep_days",
     .type = WH_CONF_INT,
     AT(notify_keep_days),
     .min = 1,
     .max = 3650,
     .def = "30",
     .unit = "d",
     .doc = "How long it is told what was notified of, and what came of it."},
    {.name = "notify_disable_after",
     .type = WH_CONF_INT,
     AT(notify_disable_after),
     .min = 0,
     .max = 1000,
     .def = "10",
     .doc = "A notification channel is disabled when so many in a row did not arrive within their day; 0 = never."},
    {.name = "job_deadline_clone_s",
     .type = WH_CONF_INT,
     AT(clone_s),
     .min = 1,
     .max = 86400,
     .def = "300",
     .unit = "s",
     .doc = "How long fetching the commit may take."},
    {.name = "job_deadline_build_s",
     .type = WH_CONF_INT,
     AT(build_s),
     .min = 1,
     .max = 86400,
     .def = "900",
     .unit = "s",
     .doc = "How long a build may take."},
    {.name = "job_deadline_start_s",
     .type = WH_CONF_INT,
     AT(start_s),
     .min = 1,
     .max = 86400,
     .def = "120",
     .unit = "s",
     .doc = "How long making and starting the containers may take."},
    {.name = "job_deadline_check_s",
     .type = WH_CONF_INT,
     AT(check_s),
     .min = 1,
     .max = 86400,
     .def = "60",
     .unit = "s",
     .doc = "How long a started app has until it answers."},
    {.name = "job_on_worker_loss",
     .type = WH_CONF_CHOICE,
     AT(job_on_worker_loss),
     .def = "reassign",
     .choices = "reassign|hold",
     .doc =
         "A job that has not begun when its worker drops: another one's, or kept for it until it "
         "fails after 15 minutes."},
    {.name = "tick_ms",
     .type = WH_CONF_INT,
     AT(tick_ms),
     .min = 10,
     .max = 60000,
     .def = "1000",
     .unit = "ms",
     .doc = "Pause between two looks at the database; new work does not wait for it."},
    {.name = "max_workers",
     .type = WH_CONF_INT,
     AT(max_workers),
     .min = 1,
     .max = 7000,
     .def = "1000",
     .doc = "Connections of agents at once."},
    {.name = "releases_kept",
     .type = WH_CONF_INT,
     AT(releases_kept),
     .min = 1,
     .max = 1000,
     .def = "10",
     .doc = "Succeeded deployments of each app and environment that a rollback may choose from."},
    {.name = "releases_kept_s",
     .type = WH_CONF_INT,
     AT(releases_kept_s),
     .min = 3600,
     .max = 31536000,
     .def = "86400",
     .unit = "s",
     .doc = "Besides these, every deployment is kept for so long; of a deleted app nothing longer."},
    {.name = "audit_days",
     .type = WH_CONF_INT,
     AT(audit_days),
     .max = 36500,
     .def = "0",
     .doc = "Rows of the audit log that are older go; 0 = everything is kept."},
    {.name = "switches_kept_s",
     .type = WH_CONF_INT,
     AT(switches_kept_s),
     .min = 86400,
     .max = APR_INT64_C(315360000),
     .def = "7776000",
     .unit = "s",
     .doc = "How long it is told what came of a rollback or a promotion that is done."},
    {.name = "collect_after_s",
     .type = WH_CONF_INT,
     AT(collect_after_s),
     .min = 3600,
     .max = 31536000,
     .def = "86400",
     .unit = "s",
     .doc = "What nothing needs is removed from the store when it is older than this; more than a "
            "deployment may take."},
    {.name = "app_log_bytes",
     .type = WH_CONF_BYTES,
     AT(app_log_bytes),
     .min = 4 * WH_MIB,
     .max = 64 * 1024 * WH_MIB,
     .def = "64M",
     .doc = "What each app's log may take on the disk, packed; the oldest lines go first."},
    {.name = "app_log_age_s",
     .type = WH_CONF_INT,
     AT(app_log_age_s),
     .min = 3600,
     .max = 3650 * 86400,
     .def = "2592000",
     .unit = "s",
     .doc = "How old an app's lines may get."},
    {.name = "event_log_bytes",
     .type = WH_CONF_BYTES,
     AT(event_log_bytes),
     .min = 4 * WH_MIB,
     .max = 64 * 1024 * WH_MIB,
     .def = "64M",
     .doc = "What the events of all apps may take on the disk, packed; the oldest go first."},
    {.name = "event_log_age_s",
     .type = WH_CONF_INT,
     AT(event_log_age_s),
     .min = 3600,
     .max = 3650 * 86400,
     .def = "2592000",
     .unit = "s",
     .doc = "How old an event may get."},
    {.name = "log_level",
     .type = WH_CONF_CHOICE,
     AT(log_level),
     .def = "info",
     .choices = "error|warn|info|debug",
     .doc = "What goes to standard error; SIGHUP reads it anew."},
};

/* "10.0.0.1:8443", "[::1]:8443": into host and port. */
static int split_listen(apr_pool_t *p, wh_settings_t *out)
{
    struct in6_addr address;
    const char *colon = strrchr(out->listen, ':');
    size_t n = colon != NULL ? (size_t)(colon - out->listen) : 0;
    int v6 = n > 2 && out->listen[0] == '[' && out->listen[n - 1] == ']';
    char *end = NULL;

    if (colon == NULL || colon[1] < '1' || colon[1] > '9') {
        return -1;
    }
    out->listen_host =
        v6 ? apr_pstrmemdup(p, out->listen + 1, n - 2) : apr_pstrmemdup(p, out->listen, n);
    out->listen_port = apr_strtoi64(colon + 1, &end, 10);
    return *end == '\0' && out->listen_port <= 65535 &&
                   inet_pton(v6 ? AF_INET6 : AF_INET, out->listen_host, &address) == 1
               ? 0
               : -1;
}

static apr_status_t check_listen(apr_pool_t *p, const char *path, wh_settings_t *out, wh_err_t *err)
{
    if (out->listen[0] == '\0') {
        return APR_SUCCESS;
    }
    if (split_listen(p, out) != 0) {
        return wh_err_set(err, 500, "bad_config",
                          "%s: listen \"%s\" is not an IP address and a port, as 0.0.0.0:8443 or "
                          "[::]:8443",
                          path, out->listen);
    }
    if (out->listen_cert[0] == '\0' || out->listen_key[0] == '\0') {
        return wh_err_set(
            err, 500, "bad_config",
            "%s: listen needs listen_cert and listen_key: there is no channel without "
            "TLS",
            path);
    }
    return APR_SUCCESS;
}

/* Directories and files whose place follows from state_dir. */
static void derive(apr_pool_t *p, wh_settings_t *out)
{
    const char *dir = out->state_dir;

    out->keys_dir = apr_pstrcat(p, dir, "/keys", NULL);
    out->routes = apr_pstrcat(p, dir, "/routes", NULL);
    out->logs_dir = apr_pstrcat(p, dir, "/logs", NULL);
    out->lock_file = apr_pstrcat(p, dir, "/scheduler.lock", NULL);
    if (out->hub_socket[0] == '\0') {
        out->hub_socket = apr_pstrcat(p, dir, "/run/hub.sock", NULL);
    }
    if (strcmp(out->db_driver, "sqlite3") == 0) {
        if (out->db_params[0] == '\0') {
            out->db_params = apr_pstrcat(p, dir, "/db/wisehost.db", NULL);
        }
        out->sqlite_file = out->db_params;
    }
}

apr_status_t wh_settings_load(apr_pool_t *p, const char *path, wh_settings_t *out, wh_err_t *err)
{
    wh_settings_t read = {0};
    apr_status_t rv = wh_conf_load(p, path, keys, WH_ARRAY_LEN(keys), &read, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    derive(p, &read);
    if (!wh_host_domain_ok(read.base_domain)) {
        return wh_err_set(err, 500, "bad_config", "%s: base_domain \"%s\" is not a domain name",
                          path, read.base_domain);
    }
    rv = check_listen(p, path, &read, err);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    /* sun_path of a unix address holds 108 bytes with its end. */
    if (strlen(read.hub_socket) > 107) {
        return wh_err_set(err, 500, "bad_config",
                          "%s: hub_socket is longer than the 107 bytes a unix socket may have",
                          path);
    }
    *out = read;
    return APR_SUCCESS;
}

int wh_settings_hold(const wh_settings_t *settings)
{
    return strcmp(settings->job_on_worker_loss, "hold") == 0;
}

void wh_settings_dump(FILE *to, const wh_settings_t *settings)
{
    wh_conf_dump(to, keys, WH_ARRAY_LEN(keys), settings);
}

void wh_settings_reference(FILE *to)
{
    wh_conf_reference(to, keys, WH_ARRAY_LEN(keys));
}
