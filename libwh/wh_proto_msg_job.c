/* wh_proto_msg_job: job, job_ack, job_status, job_result. */
#include <string.h>

#include "libwh/wh_host.h"
#include "libwh/wh_imageref.h"
#include "libwh/wh_manifest.h"
#include "libwh/wh_proto_msg_int.h"
#include "libwh/wh_seq.h"

#define DEADLINE_MAX 86400

static json_t *env_json(const apr_array_header_t *env)
{
    json_t *list = json_array();

    for (int i = 0; i < env->nelts; i++) {
        const wh_env_pair_t *e = &APR_ARRAY_IDX(env, i, wh_env_pair_t);

        (void)json_array_append_new(list, json_pack("{s:s, s:s, s:b, s:b}", "name", e->name, "value",
                                                    e->value, "secret", e->secret, "build",
                                                    e->build));
    }
    return list;
}

json_t *wh_proto_msg_job_encode(const wh_msg_job_t *m)
{
    json_t *json =
        json_pack("{s:s, s:I, s:s, s:s, s:s, s:s, s:s, s:o, s:{s:o, s:o}, s:{s:I, s:I, s:I,"
                     " s:I}}",
                     "job", m->job, "epoch", (json_int_t)m->epoch, "kind",
                     wh_model_job_kind_text(m->kind), "app", m->app, "slug", m->slug,
                     "deployment", m->deployment, "environment", m->environment, "snapshot",
                     m->kind == WH_JOB_KIND_DEPLOY ? wh_model_snapshot_json(&m->snapshot)
                                                   : json_object(),
                     "commit", "sha", wh_proto_msg_int_null(m->commit_sha), "ref",
                     wh_proto_msg_int_null(m->commit_ref), "deadlines", "clone_s",
                     (json_int_t)m->clone_s, "build_s", (json_int_t)m->build_s, "start_s",
                     (json_int_t)m->start_s, "check_s", (json_int_t)m->check_s);

    if (json != NULL && m->image_of != NULL && *m->image_of != '\0')
        json_object_set_new(json, "image_of", json_string(m->image_of));
    if (json != NULL && m->env != NULL && m->env->nelts > 0)
        json_object_set_new(json, "env", env_json(m->env));
    if (json != NULL && (m->source.n_keys > 0 || m->source.token != NULL))
        json_object_set_new(json, "source", wh_gitauth_json(&m->source));
    if (json != NULL && m->image_digest != NULL && *m->image_digest != '\0')
        json_object_set_new(json, "image_digest", json_string(m->image_digest));
    return json;
}

/* What to build: a commit, a branch, or neither (then the snapshot's branch). */
static apr_status_t wanted(const wh_json_at_t *at, wh_msg_job_t *m, wh_err_t *err)
{
    wh_json_at_t commit;

    m->commit_sha = m->commit_ref = "";
    TRY(wh_json_obj(at, "commit", WH_JSON_F_NULL, &commit, err));
    if (!commit.obj)
        return APR_SUCCESS;
    TRY(wh_proto_msg_int_text(&commit, "sha", 64, &m->commit_sha, err));
    TRY(wh_proto_msg_int_text(&commit, "ref", WH_HOST_BRANCH_MAX, &m->commit_ref, err));
    if (*m->commit_sha)
        TRY(wh_host_commit_check(m->commit_sha, err));
    if (*m->commit_ref)
        TRY(wh_host_branch_check(m->commit_ref, err));
    return APR_SUCCESS;
}

static apr_status_t deadlines(const wh_json_at_t *at, wh_msg_job_t *m, wh_err_t *err)
{
    wh_json_at_t part;

    TRY(wh_json_obj(at, "deadlines", WH_JSON_F_REQUIRED, &part, err));
    TRY(wh_json_int(&part, "clone_s", WH_JSON_REQ(1, DEADLINE_MAX), &m->clone_s, err));
    TRY(wh_json_int(&part, "build_s", WH_JSON_REQ(1, DEADLINE_MAX), &m->build_s, err));
    TRY(wh_json_int(&part, "start_s", WH_JSON_REQ(1, DEADLINE_MAX), &m->start_s, err));
    return wh_json_int(&part, "check_s", WH_JSON_REQ(1, DEADLINE_MAX), &m->check_s, err);
}

/* The grammar of the name is the system's own; a value is any text. */
static apr_status_t env_item(const wh_json_at_t *at, void *element, wh_err_t *err)
{
    const wh_json_rule_t value = {.flags = WH_JSON_F_REQUIRED | WH_JSON_F_ANY,
                                  .max = WH_ENV_VALUE_MAX};
    wh_env_pair_t *e = element;

    if (!json_is_object(at->obj))
        return wh_err_field(err, at->pointer, "bad_payload", "a variable is an object");
    TRY(wh_json_str(at, "name", WH_JSON_REQ(1, WH_ENV_NAME_MAX), &e->name, err));
    TRY(wh_json_str(at, "value", &value, &e->value, err));
    TRY(wh_json_bool(at, "secret", 0, &e->secret, err));
    TRY(wh_json_bool(at, "build", 0, &e->build, err));
    if (strchr(e->name, '=') != NULL)
        return wh_proto_msg_int_refuse(at, "name", err, "this is no name of a variable");
    return APR_SUCCESS;
}

static apr_status_t digest(const wh_json_at_t *at, const char **out, wh_err_t *err)
{
    TRY(wh_proto_msg_int_text(at, "image_digest", WH_IMAGEREF_DIGEST_LEN, out, err));
    if (**out && !wh_imageref_digest_ok(*out))
        return wh_proto_msg_int_refuse(at, "image_digest", err, "this is no digest");
    return APR_SUCCESS;
}

static apr_status_t source(apr_pool_t *p, const wh_json_at_t *at, wh_gitauth_t *out, wh_err_t *err)
{
    wh_json_at_t part;

    TRY(wh_json_obj(at, "source", WH_JSON_F_NULL, &part, err));
    return part.obj ? wh_gitauth_decode(p, json_object_get(at->obj, "source"), out, err)
                    : APR_SUCCESS;
}

static apr_status_t job(apr_pool_t *p, const wh_json_at_t *at, wh_msg_job_t *m, wh_err_t *err)
{
    static const wh_proto_msg_int_array_t env = {.key = "env",
                                                 .max = 3 * WH_ENV_VARS_MAX + 32,
                                                 .size = sizeof(wh_env_pair_t),
                                                 .item = env_item};
    wh_msg_ref_t ref = {0};
    const char *kind = NULL;

    memset(m, 0, sizeof(*m));
    m->source = WH_GITAUTH_NONE;
    TRY(wh_proto_msg_int_ref(at, &ref, err));
    m->job = ref.job;
    m->epoch = ref.epoch;
    TRY(wh_json_str(at, "kind", WH_JSON_REQ(1, 32), &kind, err));
    if (!wh_model_job_kind_of(kind, &m->kind))
        return wh_proto_msg_int_refuse(at, "kind", err, "deploy or stop");
    TRY(wh_proto_msg_int_id(at, "app", &m->app, err));
    TRY(wh_json_str(at, "slug", WH_JSON_REQ(1, WH_HOST_SLUG_MAX), &m->slug, err));
    TRY(wh_host_slug_check(m->slug, err));
    TRY(wh_proto_msg_int_id(at, "deployment", &m->deployment, err));
    TRY(wh_json_str(at, "environment", WH_JSON_REQ(1, WH_HOST_ENV_MAX), &m->environment, err));
    TRY(wh_host_env_check(m->environment, err));
    TRY(wanted(at, m, err));
    TRY(deadlines(at, m, err));
    m->image_of = "";
    if (wh_json_has(at, "image_of"))
        TRY(wh_proto_msg_int_id(at, "image_of", &m->image_of, err));
    TRY(digest(at, &m->image_digest, err));
    if (m->kind != WH_JOB_KIND_DEPLOY)
        return APR_SUCCESS;
    TRY(wh_proto_msg_int_array(p, at, &env, &m->env, err));
    TRY(source(p, at, &m->source, err));
    return wh_model_snapshot_decode(p, json_object_get(at->obj, "snapshot"), &m->snapshot, err);
}

apr_status_t wh_proto_msg_job_decode(apr_pool_t *p, json_t *payload, wh_msg_job_t *m,
                                     wh_err_t *err)
{
    wh_json_at_t at;

    TRY(wh_proto_msg_int_root(p, payload, &at, err));
    return wh_proto_msg_int_bad(job(p, &at, m, err), err);
}

json_t *wh_proto_msg_job_ack_encode(const wh_msg_job_ack_t *m)
{
    return json_pack("{s:s, s:I, s:b, s:o}", "job", m->job, "epoch", (json_int_t)m->epoch,
                     "accepted", m->accepted, "reason", wh_proto_msg_int_null(m->reason));
}

static apr_status_t job_ack(const wh_json_at_t *at, wh_msg_job_ack_t *m, wh_err_t *err)
{
    wh_msg_ref_t ref = {0};

    TRY(wh_proto_msg_int_ref(at, &ref, err));
    m->job = ref.job;
    m->epoch = ref.epoch;
    TRY(wh_json_bool(at, "accepted", WH_JSON_F_REQUIRED, &m->accepted, err));
    return wh_proto_msg_int_text(at, "reason", WH_MSG_TEXT_MAX, &m->reason, err);
}

apr_status_t wh_proto_msg_job_ack_decode(apr_pool_t *p, json_t *payload, wh_msg_job_ack_t *m,
                                         wh_err_t *err)
{
    wh_json_at_t at;

    TRY(wh_proto_msg_int_root(p, payload, &at, err));
    return wh_proto_msg_int_bad(job_ack(&at, m, err), err);
}

static json_t *commit_json(const wh_msg_commit_t *c)
{
    if (!c->present)
        return json_null();
    return json_pack("{s:s, s:s, s:s, s:I}", "sha", c->sha, "message", c->message, "author",
                     c->author, "at", (json_int_t)c->at);
}

/* The commit as the agent resolved it; absent while it does not know. */
static apr_status_t commit(const wh_json_at_t *at, wh_msg_commit_t *c, wh_err_t *err)
{
    wh_json_at_t part;

    *c = (wh_msg_commit_t){.sha = "", .message = "", .author = ""};
    TRY(wh_json_obj(at, "commit", WH_JSON_F_NULL, &part, err));
    if (!part.obj)
        return APR_SUCCESS;
    TRY(wh_json_str(&part, "sha", WH_JSON_REQ(40, 64), &c->sha, err));
    TRY(wh_host_commit_check(c->sha, err));
    TRY(wh_proto_msg_int_text(&part, "message", WH_MSG_TEXT_MAX, &c->message, err));
    TRY(wh_proto_msg_int_text(&part, "author", 256, &c->author, err));
    TRY(wh_json_int(&part, "at", WH_JSON_OPT(0, WH_SEQ_MAX), &c->at, err));
    c->present = 1;
    return APR_SUCCESS;
}

static const char *phase_text(wh_phase_e phase)
{
    return phase == WH_PHASE_SWITCHING ? "uploading" : wh_model_phase_text(phase);
}

json_t *wh_proto_msg_job_status_encode(const wh_msg_job_status_t *m)
{
    return json_pack("{s:s, s:I, s:s, s:o, s:I}", "job", m->job, "epoch", (json_int_t)m->epoch,
                     "phase", phase_text(m->phase), "commit", commit_json(&m->commit),
                     "started_at", (json_int_t)m->started_at);
}

static apr_status_t job_status(const wh_json_at_t *at, wh_msg_job_status_t *m, wh_err_t *err)
{
    wh_msg_ref_t ref = {0};
    const char *phase = NULL;

    m->started_at = 0;
    TRY(wh_proto_msg_int_ref(at, &ref, err));
    m->job = ref.job;
    m->epoch = ref.epoch;
    TRY(wh_json_str(at, "phase", WH_JSON_REQ(1, 32), &phase, err));
    if (strcmp(phase, "uploading") == 0)
        m->phase = WH_PHASE_SWITCHING;
    else if (!wh_model_phase_of(phase, &m->phase) || m->phase < WH_PHASE_CLONING ||
             m->phase > WH_PHASE_CHECKING)
        return wh_proto_msg_int_refuse(at, "phase", err, "this is no phase of a running job");
    TRY(commit(at, &m->commit, err));
    return wh_json_int(at, "started_at", WH_JSON_OPT(0, WH_SEQ_MAX), &m->started_at, err);
}

apr_status_t wh_proto_msg_job_status_decode(apr_pool_t *p, json_t *payload,
                                            wh_msg_job_status_t *m, wh_err_t *err)
{
    wh_json_at_t at;

    TRY(wh_proto_msg_int_root(p, payload, &at, err));
    return wh_proto_msg_int_bad(job_status(&at, m, err), err);
}

static json_t *instances_json(const apr_array_header_t *instances)
{
    json_t *array = json_array();
    int i;

    for (i = 0; instances && array && i < instances->nelts; i++) {
        const wh_msg_instance_t *in = &APR_ARRAY_IDX(instances, i, wh_msg_instance_t);
        (void)json_array_append_new(array, json_pack("{s:s, s:s, s:I}", "container",
                                                     in->container, "address", in->address,
                                                     "port", (json_int_t)in->port));
    }
    return array;
}

json_t *wh_proto_msg_job_result_encode(const wh_msg_job_result_t *m)
{
    const wh_msg_timings_t *t = &m->timings;
    json_t *cause = m->cause_code && *m->cause_code
                        ? json_pack("{s:s, s:s}", "code", m->cause_code, "detail",
                                    m->cause_detail ? m->cause_detail : "")
                        : json_null();

    json_t *json = json_pack("{s:s, s:I, s:s, s:o, s:o, s:o, s:o, s:o, s:{s:I, s:I, s:I, s:I, s:I}}", "job",
                     m->job, "epoch", (json_int_t)m->epoch, "outcome",
                     wh_model_outcome_text(m->outcome), "cause", cause, "commit",
                     commit_json(&m->commit), "release", wh_proto_msg_int_null(m->release),
                     "image_digest", wh_proto_msg_int_null(m->image_digest),
                     "instances", instances_json(m->instances), "timings", "clone_ms",
                     (json_int_t)t->clone_ms, "build_ms", (json_int_t)t->build_ms, "start_ms",
                     (json_int_t)t->start_ms, "check_ms", (json_int_t)t->check_ms, "upload_ms",
                     (json_int_t)t->upload_ms);

    if (json != NULL && m->site)
        json_object_set_new(json, "site", json_pack("{s:b, s:b}", "spa", m->spa, "clean_urls",
                                                    m->clean_urls));
    return json;
}

static apr_status_t cause(const wh_json_at_t *at, wh_msg_job_result_t *m, wh_err_t *err)
{
    wh_json_at_t part;
    const char *s;

    m->cause_code = m->cause_detail = "";
    TRY(wh_json_obj(at, "cause", WH_JSON_F_NULL, &part, err));
    if (!part.obj)
        return m->outcome == WH_OUTCOME_SUCCEEDED
                   ? APR_SUCCESS
                   : wh_proto_msg_int_refuse(at, "cause", err, "what did not succeed has a cause");
    TRY(wh_json_str(&part, "code", WH_JSON_REQ(1, 48), &m->cause_code, err));
    for (s = m->cause_code; *s; s++) {
        if (!((*s >= 'a' && *s <= 'z') || (*s >= '0' && *s <= '9') || *s == '_'))
            return wh_proto_msg_int_refuse(&part, "code", err, "a code is lower-case snake case");
    }
    return wh_proto_msg_int_text(&part, "detail", WH_MSG_TEXT_MAX, &m->cause_detail, err);
}

static apr_status_t instance_item(const wh_json_at_t *at, void *element, wh_err_t *err)
{
    wh_msg_instance_t *in = element;

    if (!json_is_object(at->obj))
        return wh_err_field(err, at->pointer, "bad_payload", "an instance is an object");
    TRY(wh_json_str(at, "container", WH_JSON_REQ(1, 128), &in->container, err));
    TRY(wh_json_str(at, "address", WH_JSON_REQ(1, 253), &in->address, err));
    TRY(wh_json_int(at, "port", WH_JSON_REQ(1, 65535), &in->port, err));
    if (!wh_model_address_ok(in->address))
        return wh_proto_msg_int_refuse(at, "address", err, "this is no address");
    return APR_SUCCESS;
}

static apr_status_t timings(const wh_json_at_t *at, wh_msg_timings_t *t, wh_err_t *err)
{
    const wh_json_rule_t *rule = WH_JSON_OPT(0, APR_INT64_C(1000) * DEADLINE_MAX * 30);
    wh_json_at_t part;

    *t = (wh_msg_timings_t){0};
    TRY(wh_json_obj(at, "timings", WH_JSON_F_NULL, &part, err));
    if (!part.obj)
        return APR_SUCCESS;
    TRY(wh_json_int(&part, "clone_ms", rule, &t->clone_ms, err));
    TRY(wh_json_int(&part, "build_ms", rule, &t->build_ms, err));
    TRY(wh_json_int(&part, "start_ms", rule, &t->start_ms, err));
    TRY(wh_json_int(&part, "check_ms", rule, &t->check_ms, err));
    return wh_json_int(&part, "upload_ms", rule, &t->upload_ms, err);
}

static apr_status_t site(const wh_json_at_t *at, wh_msg_job_result_t *m, wh_err_t *err)
{
    wh_json_at_t part;

    m->site = m->spa = m->clean_urls = 0;
    TRY(wh_json_obj(at, "site", WH_JSON_F_NULL, &part, err));
    if (!part.obj)
        return APR_SUCCESS;
    m->site = 1;
    TRY(wh_json_bool(&part, "spa", 0, &m->spa, err));
    return wh_json_bool(&part, "clean_urls", 0, &m->clean_urls, err);
}

static apr_status_t job_result(apr_pool_t *p, const wh_json_at_t *at, wh_msg_job_result_t *m,
                               wh_err_t *err)
{
    static const wh_proto_msg_int_array_t instances = {.key = "instances",
                                                       .max = WH_APP_REPLICAS_MAX,
                                                       .size = sizeof(wh_msg_instance_t),
                                                       .item = instance_item};
    wh_msg_ref_t ref = {0};
    const char *outcome = NULL;

    TRY(wh_proto_msg_int_ref(at, &ref, err));
    m->job = ref.job;
    m->epoch = ref.epoch;
    TRY(wh_json_str(at, "outcome", WH_JSON_REQ(1, 32), &outcome, err));
    if (!wh_model_outcome_of(outcome, &m->outcome))
        return wh_proto_msg_int_refuse(at, "outcome", err, "succeeded, failed or canceled");
    TRY(cause(at, m, err));
    TRY(commit(at, &m->commit, err));
    TRY(wh_proto_msg_int_text(at, "release", WH_MANIFEST_ID_LEN, &m->release, err));
    if (*m->release && !wh_manifest_id_ok(m->release))
        return wh_proto_msg_int_refuse(at, "release", err, "this is no release id");
    TRY(digest(at, &m->image_digest, err));
    TRY(site(at, m, err));
    TRY(wh_proto_msg_int_array(p, at, &instances, &m->instances, err));
    return timings(at, &m->timings, err);
}

apr_status_t wh_proto_msg_job_result_decode(apr_pool_t *p, json_t *payload,
                                            wh_msg_job_result_t *m, wh_err_t *err)
{
    wh_json_at_t at;

    TRY(wh_proto_msg_int_root(p, payload, &at, err));
    return wh_proto_msg_int_bad(job_result(p, &at, m, err), err);
}
