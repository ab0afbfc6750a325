/* The commands of wh, one a file: wh_cmd_<words>.c. */
#ifndef WH_CMD_H
#define WH_CMD_H

#include "wh/wh_cli.h"

extern const wh_cli_cmd_t wh_cmd_login, wh_cmd_apps, wh_cmd_apps_create, wh_cmd_apps_info,
    wh_cmd_apps_set, wh_cmd_apps_delete, wh_cmd_apps_deploy_key, wh_cmd_apps_credentials,
    wh_cmd_apps_known_hosts, wh_cmd_deploy, wh_cmd_cancel, wh_cmd_deployments,
    wh_cmd_logs, wh_cmd_events,
    wh_cmd_rollback, wh_cmd_promote, wh_cmd_status, wh_cmd_sync, wh_cmd_doctor,
    wh_cmd_hooks,
    wh_cmd_hooks_create, wh_cmd_hooks_delete,
    wh_cmd_hooks_deliveries, wh_cmd_hooks_replay, wh_cmd_hooks_rotate,
    wh_cmd_hooks_forge_token, wh_cmd_approve,
    wh_cmd_version, wh_cmd_env, wh_cmd_env_set, wh_cmd_env_unset,
    wh_cmd_env_import, wh_cmd_environments,
    wh_cmd_environments_set, wh_cmd_environments_unset, wh_cmd_environments_delete,
    wh_cmd_domains, wh_cmd_domains_add,
    wh_cmd_domains_info, wh_cmd_domains_verify, wh_cmd_domains_remove, wh_cmd_workers,
    wh_cmd_workers_info, wh_cmd_workers_enroll, wh_cmd_workers_drain, wh_cmd_workers_undrain,
    wh_cmd_workers_remove, wh_cmd_workers_revoke, wh_cmd_workers_rotate_key, wh_cmd_stats,
    wh_cmd_usage, wh_cmd_requests, wh_cmd_audit,
    wh_cmd_alerts, wh_cmd_alerts_ack, wh_cmd_alerts_resolve, wh_cmd_alerts_rules,
    wh_cmd_alerts_add, wh_cmd_alerts_set, wh_cmd_alerts_remove,
    wh_cmd_drains, wh_cmd_drains_add, wh_cmd_drains_set, wh_cmd_drains_remove,
    wh_cmd_notify, wh_cmd_notify_add, wh_cmd_notify_set, wh_cmd_notify_test, wh_cmd_notify_log,
    wh_cmd_notify_resend, wh_cmd_notify_rotate, wh_cmd_notify_remove, wh_cmd_notify_events,
    wh_cmd_git_remote, wh_cmd_git_credential;

/* What "hooks create" and "hooks forge" share: the token on standard input (NULL after it was said
 * that there is none), and the body's "forge" with it. */
const char *wh_cmd_hooks_token(const wh_cli_t *cli);
json_t *wh_cmd_hooks_forge(wh_cli_t *cli, const char *token);

#endif
