#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>
#include "config.h"
#include "libwh/wh_json.h"
#include "libwh/wh_pool.h"
#include "libwh/wh_sign.h"
#include "wh-agent/api.h"
#include "wh-agent/identity.h"
#include "bench/sim/sim.h"

static wh_api_t *the_api; /* one kept connection for all */

static apr_status_t call(wh_sim_t *sim, apr_pool_t *p, const wh_api_call_t *what, json_t **reply,
                         wh_err_t *err)
{
    apr_status_t rv = APR_SUCCESS;

    if (the_api == NULL)
        rv = wh_api_open(sim->p, &sim->conf, NULL, &the_api, err);
    return rv == APR_SUCCESS ? wh_api_call(the_api, p, what, reply, err) : rv;
}

/* A list made by a seeding tool, or by us: "name key" a line. */
static int read_list(wh_sim_t *sim)
{
    FILE *in = fopen(sim->opts.workers_file, "r");
    char name[64], key[65];
    int n = 0;

    if (in == NULL)
        return 0;
    while (n < sim->n && fscanf(in, "%63s %64s", name, key) == 2 && strlen(key) == 64) {
        sim->agents[n].name = apr_pstrdup(sim->p, name);
        memcpy(sim->agents[n++].key, key, sizeof(key));
    }
    fclose(in);
    return n;
}

static apr_status_t enrol_one(wh_sim_agent_t *agent, const char *secret, FILE *list, wh_err_t *err)
{
    wh_sim_t *sim = agent->sim;
    apr_pool_t *p = wh_pool_make("enrol");
    const char *key = p != NULL ? wh_rand_hex(p, sim->rnd, 32) : NULL;
    wh_api_call_t what = {
        .method = "POST", .path = "/v1/workers/register", .bearer = secret, .fd = -1};
    apr_status_t rv = wh_err_set(err, 500, "internal", "no memory, or no random numbers");

    if (key != NULL) {
        wh_err_clear(err);
        agent->name = apr_psprintf(sim->p, "%s%05d", sim->opts.prefix, agent->number + 1);
        memcpy(agent->key, key, sizeof(agent->key));
        what.json =
            wh_json_own(p, json_pack("{s:s, s:s, s:I, s:I, s:s, s:s}", "name", agent->name,
                                     "api_key", key, "cpu_millis", (json_int_t)WH_MSG_CPU_MAX,
                                     "memory_bytes", (json_int_t)(1024 * WH_GIB), "address",
                                     "127.0.0.1", "version", PACKAGE_VERSION));
        rv = call(sim, p, &what, NULL, err);
    }
    if (rv == APR_SUCCESS && list != NULL)
        fprintf(list, "%s %s\n", agent->name, agent->key);
    if (p != NULL)
        apr_pool_destroy(p);
    return rv;
}

apr_status_t wh_sim_enrol(wh_sim_t *sim, wh_err_t *err)
{
    const wh_sim_opts_t *o = &sim->opts;
    int have = o->workers_file != NULL ? read_list(sim) : 0;
    FILE *in, *list = NULL;
    char secret[256] = "";
    apr_status_t rv = APR_SUCCESS;

    if (have >= sim->n)
        return APR_SUCCESS;
    if (have > 0 || o->api_url == NULL || o->secret_file == NULL)
        return wh_err_set(err, 500, "bad_config",
                          "%d workers are listed, %d are wanted; --api and --secret-file register "
                          "them when there is no list",
                          have, sim->n);
    in = fopen(o->secret_file, "r");
    if (in == NULL || fscanf(in, "%255s", secret) != 1)
        rv = wh_err_set(err, 500, "bad_config", "%s holds no secret", o->secret_file);
    if (in != NULL)
        fclose(in);
    if (rv == APR_SUCCESS && o->workers_file != NULL &&
        (list = fopen(o->workers_file, "w")) == NULL)
        rv = wh_err_set(err, 500, "bad_config", "%s cannot be written", o->workers_file);
    for (int i = 0; rv == APR_SUCCESS && i < sim->n; i++)
        rv = enrol_one(&sim->agents[i], secret, list, err);
    if (list != NULL)
        fclose(list);
    return rv;
}

apr_status_t wh_sim_enrol_token(wh_sim_agent_t *agent, wh_err_t *err)
{
    wh_sim_t *sim = agent->sim;
    apr_pool_t *p;
    wh_api_call_t what = {
        .method = "POST", .path = "/v1/workers/refresh-token", .bearer = agent->key, .fd = -1};
    json_t *reply = NULL;
    const char *token;
    apr_status_t rv;

    if (agent->token != NULL && !wh_mono_reached(sim->now, agent->token_until))
        return APR_SUCCESS;
    p = wh_pool_make("token");
    if (p == NULL)
        return wh_err_set(err, 500, "internal", "out of memory");
    rv = call(sim, p, &what, &reply, err);
    token = json_string_value(json_object_get(reply, "token"));
    if (rv == APR_SUCCESS && token == NULL)
        rv = wh_err_set(err, 502, "bad_reply", "the server gave no token");
    if (rv == APR_SUCCESS) {
        free((void *)(uintptr_t)agent->token);
        agent->token = strdup(token);
        agent->token_until =
            wh_mono_add(sim->now, apr_time_from_sec(wh_identity_lifetime(p, token) * 3 / 4));
    }
    apr_pool_destroy(p);
    return rv;
}
