#include <stdio.h>
#include <apr_strings.h>
#include "bench/sim/sim.h"

int wh_sim_ledger_add(wh_sim_t *sim, const char *job, apr_int64_t epoch, int agent)
{
    wh_sim_ledger_row_t *row = &APR_ARRAY_PUSH(sim->ledger, wh_sim_ledger_row_t);

    *row =
        (wh_sim_ledger_row_t){.epoch = epoch, .agent = agent, .offered = sim->now, .outcome = ""};
    apr_cpystrn(row->job, job, sizeof(row->job));
    return sim->ledger->nelts - 1;
}

wh_sim_ledger_row_t *wh_sim_ledger_row(wh_sim_t *sim, int row)
{
    return &APR_ARRAY_IDX(sim->ledger, row, wh_sim_ledger_row_t);
}

static void put_counts(FILE *to, const wh_sim_count_t *c)
{
    static const char *const codes[] = {"1000", "1009", "1012", "4001", "4002",
                                        "4003", "4008", "4009", "4010", "other"};
    const struct {
        const char *name;
        apr_int64_t n;
    } rows[] = {{"frames_in", c->frames_in},
                {"frames_out", c->frames_out},
                {"connects", c->connects},
                {"refused", c->refused},
                {"lost", c->lost},
                {"cut", c->cut},
                {"errors", c->errors},
                {"offered", c->offered},
                {"offered_again", c->offered_again},
                {"acked", c->acked},
                {"refusals", c->refusals},
                {"started", c->started},
                {"go_again", c->go_again},
                {"canceled", c->canceled},
                {"results", c->results},
                {"result_acks", c->result_acks},
                {"lines_made", c->lines_made},
                {"lines_sent", c->lines_sent},
                {"lines_again", c->lines_again},
                {"lines_acked", c->lines_acked},
                {"lines_dropped", c->lines_dropped},
                {"heartbeats", c->heartbeats},
                {"stats", c->stats},
                {"rotations", c->rotations}};

    for (size_t i = 0; i < WH_ARRAY_LEN(rows); i++)
        fprintf(to, "\"%s\":%" APR_INT64_T_FMT ",", rows[i].name, rows[i].n);
    fputs("\"closes\":{", to);
    for (size_t i = 0; i < WH_ARRAY_LEN(codes); i++)
        fprintf(to, "%s\"%s\":%" APR_INT64_T_FMT, i > 0 ? "," : "", codes[i], c->closes[i]);
    fputs("}", to);
}

int wh_sim_ledger_write(const wh_sim_t *sim, const char *path)
{
    FILE *to = fopen(path, "w");

    if (to == NULL)
        return -1;
    fprintf(to, "{\"agents\":%d,\"ready\":%d,\"counters\":{", sim->n, sim->ready);
    put_counts(to, &sim->count);
    fputs("},\n\"jobs\":[", to);
    for (int i = 0; i < sim->ledger->nelts; i++) {
        const wh_sim_ledger_row_t *r = &APR_ARRAY_IDX(sim->ledger, i, wh_sim_ledger_row_t);

        fprintf(to,
                "%s\n{\"job\":\"%s\",\"epoch\":%" APR_INT64_T_FMT ",\"agent\":\"%s\",\"outcome\":"
                "\"%s\",\"offered_us\":%" APR_INT64_T_FMT ",\"acked_us\":%" APR_INT64_T_FMT
                ",\"started_us\":%" APR_INT64_T_FMT ",\"finished_us\":%" APR_INT64_T_FMT
                ",\"settled_us\":%" APR_INT64_T_FMT ",\"sent\":%d}",
                i > 0 ? "," : "", r->job, r->epoch, sim->agents[r->agent].name, r->outcome,
                r->offered.us, r->acked.us, r->started.us, r->finished.us, r->settled.us, r->sent);
    }
    fputs("]}\n", to);
    return ferror(to) | fclose(to) ? -1 : 0;
}
