/* An engine in memory for units: containers that answer, exit or never listen, as the test says;
 * each call can be made to fail. */
#ifndef T_UNIT_FAKE_ENGINE_H
#define T_UNIT_FAKE_ENGINE_H

#include "wh-agent/engine.h"

typedef struct fake_container_t {
    char id[72];
    char name[128];
    int exists, running;
    apr_time_t created_at;
    apr_int64_t restarts, exit_status;
    apr_array_header_t *labels;
    const char *image;
    wh_engine_spec_t spec;
} fake_container_t;

typedef struct fake_engine_t {
    wh_engine_t engine;
    apr_pool_t *p;
    fake_container_t all[16];
    int n;
    int calls, fail_at; /* the call of that number fails; 0 = none */
    int exit_at_check;  /* the n-th wait_check says that it ended, 0 = never */
    int checks;
    apr_int64_t exit_status;
    int start_hangs;
    apr_int64_t start_limit_s; /* of the last start */
    const char *forbidden;     /* what inspect finds */
    int cut_off;
    int starts, removes, stops, networks_removed;
    char log[1024]; /* what was called, in order */
} fake_engine_t;

extern fake_engine_t fake;

/* Forget everything. */
void fake_engine_reset(apr_pool_t *p);

/* A container that is there already. */
fake_container_t *fake_engine_add(const char *id, int running, apr_time_t created_at,
                                  const wh_engine_label_t *labels, size_t nlabels);

wh_engine_open_fn fake_engine_open;

#endif
