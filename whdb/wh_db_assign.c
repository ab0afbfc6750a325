#include "whdb/wh_db_assign.h"

#include <string.h>

#include "libwh/wh_fsm.h"
#include "libwh/wh_sched.h"
#include "whdb/wh_dbc_priv.h"

/* A worker of the batch as it stands under the lock, and what it is about to promise. */
typedef struct room_t {
    apr_int64_t id, cpu_millis, cpu_used, memory_bytes, memory_used;
    apr_int64_t cpu, memory; /* of this batch */
    int takes;
} room_t;

/* What an app and environment hold of a worker. */
typedef struct own_t {
    const char *app_id, *environment;
    apr_int64_t worker_id, live_cpu, live_memory, job_cpu, job_memory;
} own_t;

/* One batch under way. */
typedef struct batch_t {
    wh_dbc_t *dbc;
    apr_pool_t *p;
    room_t *rooms;
    int n_rooms;
    own_t *owns;
    int n_owns;
    apr_array_header_t *taken; /* wh_db_placed_t */
    int waited;                /* some deployment says why it waited */
} batch_t;

/* ---- reading under the locks ---- */

static apr_status_t lock_workers(batch_t *b, const wh_db_place_t *list, int n, wh_err_t *err)
{
    json_t *ids = json_array();
    wh_rows_t rows;
    apr_status_t rv;

    for (int i = 0; i < n; i++) {
        json_array_append_new(ids, json_pack("[I]", (json_int_t)list[i].worker_id));
    }
    rv = wh_dbc_select(b->dbc, b->p, WH_SQL_assign_workers,
                       WH_ARGS(WH_J(wh_dbc_batch_text(b->p, ids))), &rows, err);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    b->n_rooms = rows.n;
    b->rooms = apr_pcalloc(b->p, sizeof(*b->rooms) * (size_t)(rows.n + 1));
    for (int i = 0; i < rows.n; i++) {
        wh_row_t r = wh_dbc_row(&rows, i);
        room_t *room = &b->rooms[i];
        wh_worker_status_e status = WH_WORKER_OFFLINE;
        wh_worker_admin_e admin = WH_WORKER_DRAINING;

        room->id = wh_dbc_int(&r);
        (void)wh_model_worker_status_of(wh_dbc_text(&r), &status);
        (void)wh_model_worker_admin_of(wh_dbc_text(&r), &admin);
        room->takes =
            status == WH_WORKER_ONLINE && admin == WH_WORKER_ACTIVE && wh_dbc_text(&r)[0] == '\0';
        room->cpu_millis = wh_dbc_int(&r);
        room->cpu_used = wh_dbc_int(&r);
        room->memory_bytes = wh_dbc_int(&r);
        room->memory_used = wh_dbc_int(&r);
    }
    return APR_SUCCESS;
}

/* The jobs of the rows, with all that their frames say. *waited: one of them says why it waited. */
static apr_array_header_t *placed_at(apr_pool_t *p, const wh_rows_t *rows, int *waited)
{
    apr_array_header_t *out = apr_array_make(p, rows->n + 1, sizeof(wh_db_placed_t));

    for (int i = 0; i < rows->n; i++) {
        wh_row_t r = wh_dbc_row(rows, i);
        wh_db_placed_t *t = apr_array_push(out);

        *t = (wh_db_placed_t){.place = (int)wh_dbc_int(&r)};
        t->job.id = wh_dbc_text(&r);
        (void)wh_model_job_kind_of(wh_dbc_text(&r), &t->job.kind);
        t->job.app_id = wh_dbc_text(&r);
        t->job.deployment_id = wh_dbc_text(&r);
        t->job.worker_id = wh_dbc_int(&r);
        t->job.epoch = wh_dbc_int(&r);
        t->cpu_millis = wh_dbc_int(&r);
        t->memory_bytes = wh_dbc_int(&r);
        t->environment = wh_dbc_text(&r);
        t->commit_sha = wh_dbc_text(&r);
        t->commit_ref = wh_dbc_text(&r);
        t->snapshot = wh_dbc_text(&r);
        *waited |= wh_dbc_text(&r)[0] != '\0';
        t->slug = wh_dbc_text(&r);
        t->source_id = wh_dbc_text(&r);
        t->site = wh_dbc_text(&r);
        t->untrusted = (int)wh_dbc_int(&r);
        t->env_vars = wh_dbc_int(&r);
    }
    return out;
}

/* Each as job, worker, epoch, place in the list. */
static wh_arg_t places(apr_pool_t *p, const wh_db_place_t *list, int n)
{
    json_t *batch = json_array();

    for (int i = 0; i < n; i++) {
        json_array_append_new(batch,
                              json_pack("[s,I,I,i]", list[i].job_id, (json_int_t)list[i].worker_id,
                                        (json_int_t)list[i].epoch, i));
    }
    return WH_J(wh_dbc_batch_text(p, batch));
}

static apr_status_t take_jobs(batch_t *b, const wh_db_place_t *list, int n, wh_err_t *err)
{
    wh_rows_t rows;
    apr_status_t rv =
        wh_dbc_select(b->dbc, b->p, WH_SQL_assign_take, WH_ARGS(places(b->p, list, n)), &rows, err);

    if (rv == APR_SUCCESS) {
        b->taken = placed_at(b->p, &rows, &b->waited);
    }
    return rv;
}

static apr_status_t read_held(batch_t *b, wh_err_t *err)
{
    json_t *ids = json_array();
    const char *text;
    wh_rows_t rows;
    apr_status_t rv;

    for (int i = 0; i < b->taken->nelts; i++) {
        const wh_db_placed_t *t = &APR_ARRAY_IDX(b->taken, i, wh_db_placed_t);

        json_array_append_new(ids, json_pack("[s]", t->job.app_id));
    }
    text = wh_dbc_batch_text(b->p, ids);
    rv = wh_dbc_select(b->dbc, b->p, WH_SQL_assign_held, WH_ARGS(WH_J(text), WH_J(text)), &rows,
                       err);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    b->n_owns = rows.n;
    b->owns = apr_pcalloc(b->p, sizeof(*b->owns) * (size_t)(rows.n + b->taken->nelts + 1));
    for (int i = 0; i < rows.n; i++) {
        wh_row_t r = wh_dbc_row(&rows, i);
        own_t *own = &b->owns[i];

        own->app_id = wh_dbc_text(&r);
        own->environment = wh_dbc_text(&r);
        own->worker_id = wh_dbc_int(&r);
        own->live_cpu = wh_dbc_int(&r);
        own->live_memory = wh_dbc_int(&r);
        own->job_cpu = wh_dbc_int(&r);
        own->job_memory = wh_dbc_int(&r);
    }
    return APR_SUCCESS;
}

/* ---- deciding ---- */

static room_t *room_of(const batch_t *b, apr_int64_t worker_id)
{
    for (int i = 0; i < b->n_rooms; i++) {
        if (b->rooms[i].id == worker_id) {
            return &b->rooms[i];
        }
    }
    return NULL;
}

/* The row of this job's app and environment on its worker. A new one of nothing where there is
 * none: a second job of the same app in the batch must find what the first one added. */
static own_t *own_of(batch_t *b, const wh_db_placed_t *t)
{
    own_t *own;

    for (int i = 0; i < b->n_owns; i++) {
        own = &b->owns[i];
        if (own->worker_id == t->job.worker_id && strcmp(own->app_id, t->job.app_id) == 0 &&
            strcmp(own->environment, t->environment) == 0) {
            return own;
        }
    }
    own = &b->owns[b->n_owns++];
    *own = (own_t){
        .app_id = t->job.app_id, .environment = t->environment, .worker_id = t->job.worker_id};
    return own;
}

/* Reserves for one job. 0 = its worker does not take it. */
static int fits(batch_t *b, wh_db_placed_t *t)
{
    room_t *room = room_of(b, t->job.worker_id);
    apr_int64_t cpu, memory, needs_cpu, needs_memory;
    own_t *own;

    if (t->job.kind != WH_JOB_KIND_DEPLOY) {
        t->cpu_millis = t->memory_bytes = 0;
        return room != NULL;
    }
    own = own_of(b, t);
    cpu = wh_sched_adds(own->live_cpu, own->job_cpu, t->cpu_millis);
    memory = wh_sched_adds(own->live_memory, own->job_memory, t->memory_bytes);
    needs_cpu = wh_sched_needs(own->live_cpu, own->job_cpu, t->cpu_millis);
    needs_memory = wh_sched_needs(own->live_memory, own->job_memory, t->memory_bytes);
    if (room == NULL || !room->takes || room->cpu_used + room->cpu + needs_cpu > room->cpu_millis ||
        room->memory_used + room->memory + needs_memory > room->memory_bytes) {
        return 0;
    }
    own->job_cpu += t->cpu_millis;
    own->job_memory += t->memory_bytes;
    room->cpu += cpu;
    room->memory += memory;
    t->cpu_millis = cpu;
    t->memory_bytes = memory;
    return 1;
}

/* Leaves those that fit. */
static void decide(batch_t *b)
{
    int kept = 0;

    for (int i = 0; i < b->taken->nelts; i++) {
        wh_db_placed_t *t = &APR_ARRAY_IDX(b->taken, i, wh_db_placed_t);

        if (fits(b, t)) {
            APR_ARRAY_IDX(b->taken, kept++, wh_db_placed_t) = *t;
        }
    }
    b->taken->nelts = kept;
}

/* ---- writing ---- */

static apr_status_t exactly(apr_status_t rv, int rows, int want, wh_err_t *err)
{
    return rv == APR_SUCCESS && rows != want
               ? wh_err_set(err, 503, "db_error", "%d of %d rows were given out.", rows, want)
               : rv;
}

static apr_status_t write_jobs(batch_t *b, apr_time_t now, apr_time_t lease_until, wh_err_t *err)
{
    json_t *list = json_array();
    wh_job_status_e to = WH_JOB_ASSIGNED;
    int rows = 0;
    apr_status_t rv;

    (void)wh_fsm_job_next(WH_JOB_PENDING, WH_JOB_EV_ASSIGN, &to);
    for (int i = 0; i < b->taken->nelts; i++) {
        wh_db_placed_t *t = &APR_ARRAY_IDX(b->taken, i, wh_db_placed_t);

        json_array_append_new(list, json_pack("[s,I,I]", t->job.id, (json_int_t)t->job.worker_id,
                                              (json_int_t)t->job.epoch));
        t->job.epoch++;
        t->job.status = to;
        t->job.assigned_at = now;
        t->job.lease_until = lease_until;
    }
    rv = wh_dbc_query(b->dbc, b->p, WH_SQL_assign_jobs,
                      WH_ARGS(WH_S(wh_model_job_status_text(to)), WH_I(now), WH_I(lease_until),
                              WH_J(wh_dbc_batch_text(b->p, list)),
                              WH_S(wh_model_job_status_text(WH_JOB_PENDING))),
                      &rows, err);
    return exactly(rv, rows, b->taken->nelts, err);
}

static apr_status_t write_rooms(batch_t *b, wh_err_t *err)
{
    json_t *list = json_array();
    int rows = 0, want = 0;
    apr_status_t rv;

    for (int i = 0; i < b->n_rooms; i++) {
        const room_t *room = &b->rooms[i];

        if (room->cpu != 0 || room->memory != 0) {
            json_array_append_new(list, json_pack("[I,I,I]", (json_int_t)room->id,
                                                  (json_int_t)room->cpu, (json_int_t)room->memory));
            want++;
        }
    }
    if (want == 0) {
        json_decref(list);
        return APR_SUCCESS;
    }
    rv = wh_dbc_query(b->dbc, b->p, WH_SQL_assign_reserve,
                      WH_ARGS(WH_J(wh_dbc_batch_text(b->p, list))), &rows, err);
    return exactly(rv, rows, want, err);
}

static apr_status_t write_waits(batch_t *b, wh_err_t *err)
{
    wh_db_wait_t *waits = apr_palloc(b->p, sizeof(*waits) * (size_t)(b->taken->nelts + 1));

    for (int i = 0; i < b->taken->nelts; i++) {
        const wh_db_placed_t *t = &APR_ARRAY_IDX(b->taken, i, wh_db_placed_t);

        waits[i] = (wh_db_wait_t){.deployment_id = t->job.deployment_id, .code = "", .detail = ""};
    }
    return wh_db_assign_waits(b->dbc, b->p, waits, b->waited ? b->taken->nelts : 0, NULL, err);
}

apr_status_t wh_db_assign(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_place_t *list, int n,
                          apr_time_t now, apr_time_t lease_until, apr_array_header_t **placed,
                          wh_err_t *err)
{
    batch_t b = {.dbc = dbc, .p = p};
    apr_status_t rv;

    if (!wh_dbc_in_transaction(dbc)) {
        return wh_err_set(err, 503, "db_error", "Jobs are given out in a transaction only.");
    }
    /* The workers first, so that nothing that is read after it is older than the locks. */
    rv = lock_workers(&b, list, n, err);
    rv = rv == APR_SUCCESS ? take_jobs(&b, list, n, err) : rv;
    rv = rv == APR_SUCCESS ? read_held(&b, err) : rv;
    if (rv != APR_SUCCESS) {
        return rv;
    }
    decide(&b);
    *placed = b.taken;
    if (b.taken->nelts == 0) {
        return APR_SUCCESS;
    }
    rv = write_jobs(&b, now, lease_until, err);
    rv = rv == APR_SUCCESS ? write_rooms(&b, err) : rv;
    return rv == APR_SUCCESS ? write_waits(&b, err) : rv;
}

apr_status_t wh_db_assign_waits(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_wait_t *list, int n,
                                int *rows, wh_err_t *err)
{
    json_t *batch;

    if (rows != NULL) {
        *rows = 0;
    }
    if (n == 0) {
        return APR_SUCCESS;
    }
    batch = json_array();
    for (int i = 0; i < n; i++) {
        json_array_append_new(
            batch, json_pack("[s,s,s]", list[i].deployment_id, list[i].code, list[i].detail));
    }
    return wh_dbc_query(dbc, p, WH_SQL_deployment_waits_all,
                        WH_ARGS(WH_J(wh_dbc_batch_text(p, batch))), rows, err);
}

apr_status_t wh_db_assign_offers(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_place_t *list, int n,
                                 apr_array_header_t **out, wh_err_t *err)
{
    wh_rows_t rows;
    int waited = 0;
    apr_status_t rv =
        wh_dbc_select(dbc, p, WH_SQL_assign_offers, WH_ARGS(places(p, list, n)), &rows, err);

    if (rv == APR_SUCCESS) {
        *out = placed_at(p, &rows, &waited);
    }
    for (int i = 0; rv == APR_SUCCESS && i < (*out)->nelts; i++) {
        APR_ARRAY_IDX(*out, i, wh_db_placed_t).job.status = WH_JOB_ASSIGNED;
    }
    return rv;
}

apr_status_t wh_db_assign_begin(wh_dbc_t *dbc, apr_pool_t *p, const wh_db_place_t *list, int n,
                                apr_time_t now, apr_time_t lease_until, apr_time_t deadline_at,
                                wh_err_t *err)
{
    wh_job_status_e job = WH_JOB_PROCESSING;
    wh_deployment_status_e deployment = WH_DEPLOYMENT_DEPLOY;
    wh_arg_t batch = places(p, list, n);
    int rows = 0;
    apr_status_t rv;

    if (!wh_dbc_in_transaction(dbc)) {
        return wh_err_set(err, 503, "db_error", "Jobs begin together in a transaction only.");
    }
    (void)wh_fsm_job_next(WH_JOB_ASSIGNED, WH_JOB_EV_ACK, &job);
    (void)wh_fsm_deployment_next(WH_DEPLOYMENT_PREPARE, WH_DEPLOYMENT_EV_START, &deployment);
    rv = wh_dbc_query(dbc, p, WH_SQL_begin_jobs,
                      WH_ARGS(WH_S(wh_model_job_status_text(job)), WH_I(now), WH_I(lease_until),
                              WH_I(deadline_at), batch,
                              WH_S(wh_model_job_status_text(WH_JOB_ASSIGNED))),
                      &rows, err);
    if (rv == APR_SUCCESS && rows != n) {
        return wh_dbc_not_found(err);
    }
    rv = rv == APR_SUCCESS
             ? wh_dbc_query(dbc, p, WH_SQL_begin_deployments,
                            WH_ARGS(WH_S(wh_model_deployment_status_text(deployment)), WH_I(now),
                                    batch,
                                    WH_S(wh_model_deployment_status_text(WH_DEPLOYMENT_PREPARE))),
                            &rows, err)
             : rv;
    return rv == APR_SUCCESS && rows != n ? wh_dbc_not_found(err) : rv;
}
