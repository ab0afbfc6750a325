/* Who this agent is to the server: its API key, made here and never sent but to register, to
 * refresh and to be changed, and the worker token of fifteen minutes that comes of it (F54-F58,
 * R31). The agent's own id names its containers in the engine, so that several agents can share
 * one.
 *
 * A new key is first written to api.key.next, then registered, then renamed to api.key. Whoever
 * dies in between finds both files at the next start: the key in api.key is tried first, and when
 * the server does not know it (401) the other, which takes its place if it is known. So
 * api.key.next is never removed, only renamed or registered again: its registration may still be on
 * its way.
 *
 * Any thread; calls are serialised.
 */
#ifndef WH_AGENT_IDENTITY_H
#define WH_AGENT_IDENTITY_H

#include "libwh/wh_clock.h"
#include "libwh/wh_err.h"
#include "libwh/wh_rand.h"
#include "wh-agent/conf.h"

typedef struct wh_identity_t wh_identity_t;

typedef struct wh_identity_opts_t {
    const wh_agent_conf_t *conf;
    const wh_clock_t *clock;
    const wh_rand_t *rnd;
} wh_identity_opts_t;

/* Read state_dir/api.key and agent.id, or make them (0600, durable) before anything is sent. Codes:
 * state_unreadable, state_unwritable, key_mode, key_content, internal. */
apr_status_t wh_identity_open(apr_pool_t *p, const wh_identity_opts_t *opts,
                              wh_identity_t **identity, wh_err_t *err) WH_MUST_CHECK;

/* 26 characters; lives as long as the identity. */
const char *wh_identity_agent_id(const wh_identity_t *identity);

/* The MAC key of the link. */
void wh_identity_mac_key(wh_identity_t *identity, unsigned char out[32]);

/* A token that is good for two minutes more, in p: the present one, or a fresh one by
 * refresh-token, or, when the server does not know the key, by registering with the enrolment
 * token. force: not the present one. Codes: not_enrolled (the server knows neither),
 * server_unreachable and what the server answers. Blocks for the time of a request. */
apr_status_t wh_identity_token(wh_identity_t *identity, apr_pool_t *p, int force,
                               const char **token, wh_err_t *err) WH_MUST_CHECK;

/* Make a new key, register it in the place of the present one, and take it. Codes: those of
 * wh_identity_token; whatever is not 4xx leaves open whether the server took it, which the next
 * wh_identity_token with force finds out. Blocks for the time of a request. */
apr_status_t wh_identity_rotate(wh_identity_t *identity, wh_err_t *err) WH_MUST_CHECK;

/* Microseconds until the token should be refreshed, 0 = now. */
apr_interval_time_t wh_identity_refresh_in(wh_identity_t *identity);

/* iat and exp of a token, without checking its signature (that is the server's). Returns its
 * lifetime in seconds, -1 when it is none. Pure. */
apr_int64_t wh_identity_lifetime(apr_pool_t *p, const char *token);

#endif
