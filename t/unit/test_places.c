/* places: of which app a deployment is; one that is not there is not asked for again and again. */
#include "t/unit/db.h"

#include "wh-scheduler/places.h"

#define SECOND APR_INT64_C(1000000)

static wh_mono_t at(apr_int64_t us)
{
    return (wh_mono_t){.us = us};
}

/* "slug environment", "" for none. */
static const char *find(db_t *t, wh_places_t *places, wh_dbc_t *dbc, apr_int64_t us,
                        const char *deployment)
{
    const char *slug, *environment;

    return wh_places_find(places, dbc, at(us), deployment, &slug, &environment)
               ? apr_pstrcat(t->p, slug, " ", environment, NULL)
               : "";
}

static void test_kept(void **state)
{
    db_t *t = *state;
    wh_places_t *places = wh_places_make(t->p);
    const char *id = db_deployment(t, db_app(t, 1, WH_KIND_CONTAINER), 1);
    const char *want = find(t, places, t->dbc, SECOND, id);

    assert_string_not_equal(want, "");
    assert_string_equal(find(t, places, NULL, SECOND, id), want); /* nobody is asked */
}

static void test_none(void **state)
{
    db_t *t = *state;
    wh_places_t *places = wh_places_make(t->p);
    wh_app_t *app = db_app(t, 1, WH_KIND_CONTAINER);

    assert_string_equal(find(t, places, t->dbc, SECOND, db_id(t, 'd', 1)), "");
    (void)db_deployment(t, app, 1);
    assert_string_equal(find(t, places, t->dbc, SECOND + WH_PLACES_NONE_US - 1, db_id(t, 'd', 1)),
                        ""); /* it was not asked for again */
    assert_string_not_equal(find(t, places, t->dbc, SECOND + WH_PLACES_NONE_US, db_id(t, 'd', 1)),
                            "");
}

static void test_failed(void **state)
{
    db_t *t = *state;
    wh_places_t *places = wh_places_make(t->p);
    const char *id = db_deployment(t, db_app(t, 1, WH_KIND_CONTAINER), 1);

    assert_string_equal(find(t, places, NULL, SECOND, id), "");
    db_sql(t, "ALTER TABLE deployments RENAME TO away");
    assert_string_equal(find(t, places, t->dbc, SECOND, id), "");
    db_sql(t, "ALTER TABLE away RENAME TO deployments");
    assert_string_equal(find(t, places, t->dbc, 2 * SECOND - 1, id), ""); /* not again at once */
    assert_string_not_equal(find(t, places, t->dbc, 2 * SECOND, id), ""); /* nothing was kept */
}

int main(void)
{
    const db_case_t cases[] = {
        DB_CASE("a place is asked for once", test_kept),
        DB_CASE("what is not there is asked for once a minute", test_none),
        DB_CASE("what the database cannot tell is not kept", test_failed),
    };

    return DB_RUN(cases);
}
