#include <ctype.h>
#include "t/unit/db.h"
#include "whdb/wh_dbc_priv.h"

/* The placeholders of a text as kinds; anything else behind a % is '!'. */
static const char *kinds_of(apr_pool_t *p, const char *text)
{
    char *kinds = apr_pcalloc(p, strlen(text) + 1);
    char *to = kinds;

    for (; *text != '\0'; text++) {
        if (*text != '%')
            continue;
        if (strncmp(text, "%s", 2) == 0)
            *to++ = 's';
        else if (strncmp(text, "%lld", 4) == 0)
            *to++ = 'i';
        else
            *to++ = '!';
    }
    return kinds;
}

/* A batch is a text to the driver. */
static const char *as_bound(apr_pool_t *p, const char *kinds)
{
    char *bound = apr_pstrdup(p, kinds);

    for (char *c = bound; *c != '\0'; c++)
        *c = *c == 'j' ? 's' : *c;
    return bound;
}

static void check_text(db_t *t, const wh_sql_t *s, const char *text)
{
    if (strcmp(as_bound(t->p, s->kinds), kinds_of(t->p, text)) != 0)
        fail_msg("%s: kinds %s, text has %s", s->label, s->kinds, kinds_of(t->p, text));
    assert_null(strstr(text, "SELECT *"));
    assert_null(strstr(text, ";"));
    if (s->mode == 'R')
        assert_memory_equal(text, "SELECT ", 7);
    assert_int_equal(strstr(text, "RETURNING") != NULL, s->mode == 'X');
}

static void test_list(void **state)
{
    db_t *t = *state;

    for (int i = 0; i < WH_SQL_COUNT; i++) {
        const wh_sql_t *s = wh_sql_get((wh_sql_e)i);

        for (const char *c = s->label; *c != '\0'; c++)
            assert_true(islower((unsigned char)*c) || *c == '_');
        assert_non_null(strchr("RWX", s->mode));
        check_text(t, s, s->text);
        check_text(t, s, s->pgsql);
    }
}

/* Each statement is understood by the database: run with values that match no row. A constraint may
 * refuse it; that it is a known word to the database is what counts. */
static void test_run_all(void **state)
{
    db_t *t = *state;

    for (int i = 0; i < WH_SQL_COUNT; i++) {
        const wh_sql_t *s = wh_sql_get((wh_sql_e)i);
        wh_arg_t args[48];
        int n = (int)strlen(s->kinds);
        wh_rows_t rows;
        apr_status_t rv;

        for (int a = 0; a < n; a++)
            args[a] = s->kinds[a] == 's'   ? WH_S("nothing like this")
                      : s->kinds[a] == 'j' ? WH_J("[[\"nothing\"],[7,7,7]]")
                                           : WH_I(INT64_C(9000000000000));
        assert_ok(wh_dbc_begin(t->dbc, t->p, &t->err), &t->err);
        rv = s->mode == 'W' ? wh_dbc_query(t->dbc, t->p, (wh_sql_e)i, args, n, NULL, &t->err)
                            : wh_dbc_select(t->dbc, t->p, (wh_sql_e)i, args, n, &rows, &t->err);
        if (rv != APR_SUCCESS && strcmp(t->err.code, "db_check") != 0 &&
            strcmp(t->err.code, "foreign_key") != 0)
            fail_msg("%s: %s %s", s->label, t->err.code, t->err.text);
        wh_dbc_rollback(t->dbc);
    }
}

static void test_wrong_call(void **state)
{
    db_t *t = *state;
    wh_rows_t rows;

    assert_code(wh_dbc_select(t->dbc, t->p, WH_SQL_app_by_id, WH_ARGS(WH_I(1)), &rows, &t->err),
                &t->err, "db_error");
    assert_code(wh_dbc_select(t->dbc, t->p, WH_SQL_app_by_id, WH_NOARGS, &rows, &t->err), &t->err,
                "db_error");
    assert_int_equal(t->err.http, 500);
}

int main(void)
{
    const db_case_t cases[] = {
        DB_CASE("labels are lower case, argument kinds are those of the text", test_list),
        DB_CASE("each statement is understood by the database", test_run_all),
        DB_CASE("a call with wrong arguments is refused before the database", test_wrong_call),
    };

    return DB_RUN(cases);
}
