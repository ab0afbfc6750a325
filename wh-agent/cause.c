#include <string.h>
#include <apr_strings.h>
#include "wh-agent/cause.h"

apr_status_t wh_cause_not_ready(wh_err_t *err, const wh_cause_probe_t *probe)
{
    if (probe->last_status > 0)
        return wh_err_set(err, 422, "unhealthy",
                          "GET %.200s still answered %d after %" APR_INT64_T_FMT " s", probe->path,
                          probe->last_status, probe->waited_s);
    if (probe->connected)
        return wh_err_set(err, 422, "unhealthy",
                          "port %" APR_INT64_T_FMT
                          " took connections but gave no HTTP answer to GET "
                          "%.200s within %" APR_INT64_T_FMT " s",
                          probe->port, probe->path, probe->waited_s);
    return wh_err_set(err, 422, "not_listening",
                      "nothing listened on port %" APR_INT64_T_FMT " within %" APR_INT64_T_FMT " s",
                      probe->port, probe->waited_s);
}

apr_status_t wh_cause_exited(wh_err_t *err, apr_int64_t status, int oom_killed,
                             apr_interval_time_t after_us)
{
    apr_int64_t tenths = (after_us > 0 ? after_us : 0) / 100000;
    char after[48], how[64];

    (void)apr_snprintf(after, sizeof(after), "after %" APR_INT64_T_FMT ".%d s", tenths / 10,
                       (int)(tenths % 10));
    if (oom_killed)
        return wh_err_set(
            err, 422, "container_exited",
            "the container was killed %s because it needed more memory than it may have", after);
    if (status > 128 && status < 128 + 65)
        (void)apr_snprintf(how, sizeof(how), "by signal %" APR_INT64_T_FMT, status - 128);
    else if (status >= 0)
        (void)apr_snprintf(how, sizeof(how), "with status %" APR_INT64_T_FMT, status);
    else
        apr_cpystrn(how, "", sizeof(how));
    return wh_err_set(err, 422, "container_exited", "the container exited%s%s %s",
                      how[0] != '\0' ? " " : "", how, after);
}

void wh_cause_settle(wh_err_t *err)
{
    static const char *const shown[] = {"clone_failed",   "ref_not_found",    "repository_refused", "repository_auth",
                                        "output_missing", "output_refused",   "settings_invalid", "too_many_files",   "too_large",
                                        "build_failed",   "build_timeout",    "no_engine",
                                        "start_failed",   "container_exited", "not_listening",
                                        "image_gone",     "image_refused",    "pull_failed",
                                        "pull_timeout",   "digest_mismatch",
                                        "unhealthy",      "upload_failed",    "agent_lost",
                                        "deadline",       "canceled",         "internal"};
    static const char *const renamed[][2] = {{"ref_invalid", "ref_not_found"},
                                             {"commit_invalid", "ref_not_found"},
                                             {"path_invalid", "output_missing"},
                                             {"engine_error", "start_failed"},
                                             {"server_unreachable", "upload_failed"}};

    for (size_t i = 0; i < WH_ARRAY_LEN(shown); i++)
        if (strcmp(err->code, shown[i]) == 0)
            return;
    for (size_t i = 0; i < WH_ARRAY_LEN(renamed); i++)
        if (strcmp(err->code, renamed[i][0]) == 0) {
            apr_cpystrn(err->code, renamed[i][1], sizeof(err->code));
            return;
        }
    apr_cpystrn(err->code, "internal", sizeof(err->code));
    if (err->text[0] == '\0')
        apr_cpystrn(err->text, "the agent met an unexpected error", sizeof(err->text));
}
