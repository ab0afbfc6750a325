/* The end of the audit log: only by age, only when it is set, with a row of its own; the rest the
 * database refuses. */
#include "t/unit/sched.h"

#include "whdb/wh_db_audit.h"
#include "wh-scheduler/audit.h"

#define DAY apr_time_from_sec(86400)

static void add(db_t *t, int n, apr_time_t at)
{
    wh_db_audit_t row = {.id = db_id(t, 'q', n),
                         .at = at,
                         .actor_kind = "token",
                         .action = "app.delete",
                         .outcome = "done"};

    assert_ok(wh_db_audit_insert(t->dbc, t->p, &row, &t->err), &t->err);
}

static void look(sched_t *s)
{
    assert_ok(wh_audit_look(&s->core, s->t->p, s->clock.mono, s->clock.now, &s->t->err),
              &s->t->err);
}

static void test_prune(void **state)
{
    sched_t *s = sched_case(*state);
    db_t *t = s->t;

    for (int i = 0; i < 10; i++) {
        add(t, i, s->clock.now - i * DAY);
    }
    look(s);
    sched_pass(s, 900);
    look(s);
    assert_string_equal(db_value(t, "SELECT COUNT(*) FROM audit"), "10"); /* unset: for ever */
    s->settings.audit_days = 4;
    sched_pass(s, 86400 - 900 - 1);
    look(s);
    assert_string_equal(db_value(t, "SELECT COUNT(*) FROM audit"), "10");
    sched_pass(s, 901);
    look(s);
    /* Of 1, 2, 3, 4 … 10 days those up to 4 are left, and the row that says so. */
    assert_string_equal(db_value(t, "SELECT COUNT(*) FROM audit"), "4");
    assert_string_equal(db_value(t, "SELECT object FROM audit WHERE action = 'audit.prune'"),
                        "7 rows older than 4 days");
    sched_pass(s, 86401);
    s->settings.audit_days = 400; /* a wider limit brings nothing back, nor lets younger ones go */
    look(s);
    assert_string_equal(db_value(t, "SELECT COUNT(*) FROM audit"), "4");
    sched_end(s);
}

/* By our own connection, with rights to all. */
static void test_refused(void **state)
{
    db_t *t = *state;
    int n;

    add(t, 1, DB_T(1));
    add(t, 2, DB_T(2));
    assert_ok(wh_dbc_begin(t->dbc, t->p, &t->err), &t->err);
    assert_ok(wh_db_audit_prune(t->dbc, t->p, DB_T(2), &n, &t->err), &t->err);
    assert_ok(wh_dbc_commit(t->dbc, &t->err), &t->err);
    assert_int_equal(n, 1);
    assert_string_equal(db_value(t, "SELECT COUNT(*) FROM audit"), "1");
}

int main(void)
{
    const db_case_t cases[] = {
        DB_CASE("the audit log is cut by age alone, and says so", test_prune),
        DB_CASE("what is as old as the limit stays", test_refused),
    };

    return DB_RUN(cases);
}
