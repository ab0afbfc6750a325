/* wh: the command line of Wisehost. This file holds the table of commands and the way in. */
#include "config.h"

#include <apr_general.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "wh/wh_cmd.h"

volatile sig_atomic_t wh_cli_interrupted;

const wh_cli_cmd_t *const wh_cli_commands[] = {
    &wh_cmd_login,
    &wh_cmd_apps,
    &wh_cmd_apps_create,
    &wh_cmd_apps_info,
    &wh_cmd_apps_set,
    &wh_cmd_apps_delete,
    &wh_cmd_apps_deploy_key,
    &wh_cmd_apps_credentials,
    &wh_cmd_apps_known_hosts,
    &wh_cmd_deploy,
    &wh_cmd_deployments,
    &wh_cmd_rollback,
    &wh_cmd_promote,
    &wh_cmd_logs,
    &wh_cmd_events,
    &wh_cmd_approve,
    &wh_cmd_cancel,
    &wh_cmd_status,
    &wh_cmd_env,
    &wh_cmd_env_set,
    &wh_cmd_env_unset,
    &wh_cmd_env_import,
    &wh_cmd_sync,
    &wh_cmd_environments,
    &wh_cmd_environments_set,
    &wh_cmd_environments_unset,
    &wh_cmd_environments_delete,
    &wh_cmd_domains,
    &wh_cmd_domains_add,
    &wh_cmd_domains_info,
    &wh_cmd_domains_verify,
    &wh_cmd_domains_remove,
    &wh_cmd_requests,
    &wh_cmd_usage,
    &wh_cmd_audit,
    &wh_cmd_alerts,
    &wh_cmd_alerts_ack,
    &wh_cmd_alerts_resolve,
    &wh_cmd_alerts_rules,
    &wh_cmd_alerts_add,
    &wh_cmd_alerts_set,
    &wh_cmd_alerts_remove,
    &wh_cmd_git_remote,
    &wh_cmd_git_credential,
    &wh_cmd_hooks,
    &wh_cmd_hooks_create,
    &wh_cmd_hooks_deliveries,
    &wh_cmd_hooks_replay,
    &wh_cmd_hooks_rotate,
    &wh_cmd_hooks_forge_token,
    &wh_cmd_hooks_delete,
    &wh_cmd_drains,
    &wh_cmd_drains_add,
    &wh_cmd_drains_set,
    &wh_cmd_drains_remove,
    &wh_cmd_notify,
    &wh_cmd_notify_add,
    &wh_cmd_notify_set,
    &wh_cmd_notify_test,
    &wh_cmd_notify_log,
    &wh_cmd_notify_resend,
    &wh_cmd_notify_rotate,
    &wh_cmd_notify_remove,
    &wh_cmd_notify_events,
    &wh_cmd_workers,
    &wh_cmd_workers_info,
    &wh_cmd_workers_enroll,
    &wh_cmd_workers_drain,
    &wh_cmd_workers_undrain,
    &wh_cmd_workers_remove,
    &wh_cmd_workers_revoke,
    &wh_cmd_workers_rotate_key,
    &wh_cmd_stats,
    &wh_cmd_doctor,
    &wh_cmd_version,
    NULL,
};

const wh_cli_option_t wh_cli_common[] = {
    {"url", 0, "URL", "the server (else WH_URL, else what `wh login` kept)"},
    {"json", 0, NULL, "answer in JSON"},
    {"quiet", 'q', NULL, "no progress"},
    {"no-color", 0, NULL, "no colours (NO_COLOR does the same)"},
    {"help", 'h', NULL, "say how the command is used"},
    {NULL, 0, NULL, NULL},
};

static void on_signal(int sig)
{
    (void)sig;
    wh_cli_interrupted = 1;
}

static void catch_signals(void)
{
    struct sigaction act;
    memset(&act, 0, sizeof(act));
    act.sa_handler = on_signal;
    sigemptyset(&act.sa_mask);
    /* No SA_RESTART: a pause or a read ends at once. */
    sigaction(SIGINT, &act, NULL);
    sigaction(SIGTERM, &act, NULL);
    act.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &act, NULL);
}

static int takes_color(void)
{
    const char *no = getenv("NO_COLOR");
    const char *term = getenv("TERM");
    return (no == NULL || *no == '\0') && isatty(STDERR_FILENO) && isatty(STDOUT_FILENO) &&
           term != NULL && strcmp(term, "dumb") != 0;
}

int main(int argc, const char *const *argv)
{
    wh_cli_t cli;
    memset(&cli, 0, sizeof(cli));
    if (apr_initialize() != APR_SUCCESS || apr_pool_create(&cli.root, NULL) != APR_SUCCESS) {
        wh_cli_error("out of memory");
        return WH_EXIT_FAIL;
    }
    cli.p = cli.root;
    cli.color = takes_color();
    int rc = wh_cli_opts_parse(&cli, argc, argv);
    if (rc < 0) {
        rc = wh_cli_conf_load(&cli);
        if (rc == 0) {
            catch_signals();
            rc = cli.cmd->run(&cli);
        }
    }
    if (fflush(stdout) != 0 && rc == WH_EXIT_OK) {
        wh_cli_error("stdout: %s", strerror(errno));
        rc = WH_EXIT_FAIL;
    }
    apr_pool_destroy(cli.root);
    apr_terminate();
    return rc;
}
