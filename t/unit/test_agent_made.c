#include <string.h>
#include <unistd.h>
#include <apr_strings.h>
#include "libwh/wh_id.h"
#include "t/unit/unit.h"
#include "wh-agent/fsutil.h"
#include "wh-agent/keep.h"
#include "wh-agent/made.h"

#define A "01hzzzzzzzzzzzzzzzzzzzzzaa"
#define B "01hzzzzzzzzzzzzzzzzzzzzzbb"
#define D_ "01hzzzzzzzzzzzzzzzzzzzzzd"
#define D(n) D_ #n

static struct {
    apr_pool_t *p;
    apr_array_header_t *containers;
    const char *missing;      /* ends of the tags of images that are not there */
    const char *stays, *gone; /* a tag whose removal fails; the code of what every removal says */
    char asked[1024];
} store;

static apr_status_t store_list(wh_engine_t *e, apr_pool_t *p, const wh_engine_label_t *with,
                               apr_array_header_t **items, wh_err_t *err)
{
    (void)e;
    (void)p;
    (void)with;
    (void)err;
    *items = store.containers;
    return APR_SUCCESS;
}

/* Nobody may ask for all images: this engine cannot list them any more. */
static apr_status_t store_images(wh_engine_t *e, apr_pool_t *p, const wh_engine_label_t *with,
                                 apr_array_header_t **items, wh_err_t *err)
{
    (void)e;
    (void)p;
    (void)with;
    (void)items;
    return wh_err_set(err, 502, "engine_error", "locating item named \"manifest\"");
}

static const char *last(const char *tag)
{
    return tag + strlen(tag) - 2;
}

static apr_status_t store_image(wh_engine_t *e, apr_pool_t *p, const char *name,
                                wh_engine_image_t *image, wh_err_t *err)
{
    (void)e;
    (void)p;
    (void)err;
    *image = (wh_engine_image_t){.id = name};
    return strstr(store.missing, last(name)) != NULL ? APR_NOTFOUND : APR_SUCCESS;
}

static apr_status_t store_remove(wh_engine_t *e, apr_pool_t *p, const char *tag, wh_err_t *err)
{
    size_t n = strlen(store.asked);

    (void)e;
    (void)p;
    assert_int_equal(strncmp(tag, "localhost/wisehost/01hz", 23), 0);
    apr_snprintf(store.asked + n, sizeof(store.asked) - n, "%s ", last(tag));
    if (store.gone != NULL)
        return wh_err_set(err, 503, store.gone, "no");
    return strcmp(last(tag), store.stays) == 0 ? wh_err_set(err, 409, "engine_error", "in use")
                                               : APR_SUCCESS;
}

static apr_status_t store_open(apr_pool_t *p, const wh_engine_open_t *open, wh_engine_t **engine,
                               wh_err_t *err)
{
    static const wh_engine_vt_t vt = {.images = store_images,
                                      .list = store_list,
                                      .image = store_image,
                                      .image_remove = store_remove};

    (void)open;
    (void)err;
    *engine = apr_pcalloc(p, sizeof(**engine));
    (*engine)->vt = &vt;
    return APR_SUCCESS;
}

static void runs(const char *label, const char *deployment)
{
    apr_array_header_t *labels = apr_array_make(store.p, 1, sizeof(wh_engine_label_t));

    APR_ARRAY_PUSH(labels, wh_engine_label_t) = (wh_engine_label_t){label, deployment};
    APR_ARRAY_PUSH(store.containers, wh_engine_item_t) = (wh_engine_item_t){.labels = labels};
}

static const char *marks(const char *dir)
{
    apr_array_header_t *all = wh_made_list(store.p, dir);
    const char *text = "";

    for (int i = 0; i < all->nelts; i++)
        text = apr_pstrcat(store.p, text, last(APR_ARRAY_IDX(all, i, wh_made_t).deployment), " ",
                           NULL);
    return text;
}

static void note(const char *dir, const char *app, const char *deployment, int preview)
{
    wh_err_t err = WH_ERR_INIT;

    assert_ok(wh_made_note(store.p, dir, &(wh_made_t){app, deployment, preview}, &err), &err);
}

static wh_clock_fake_t now;

static const char *begin(apr_pool_t *p, const char *name)
{
    static const char *const made[] = {D(1), D(2), D(3), D(4), D(5)};
    const char *dir = apr_psprintf(p, "/tmp/wh-agent-made-%s-%d", name, (int)getpid());

    wh_clock_fake_init(&now, wh_id_time(D(1)) + apr_time_from_sec(3601));
    memset(&store, 0, sizeof(store));
    store.p = p;
    store.containers = apr_array_make(p, 4, sizeof(wh_engine_item_t));
    store.missing = store.stays = "";
    for (size_t i = 0; i < WH_ARRAY_LEN(made); i++)
        note(dir, A, made[i], 0);
    note(dir, A, D(5), 0); /* again is fine */
    note(dir, B, D(6), 0);
    note(dir, B, D(7), 0);
    return dir;
}

static void end(const char *dir)
{
    wh_err_t err = WH_ERR_INIT;

    assert_ok(wh_fsutil_remove_tree(store.p, dir, &err), &err);
}

static void test_superseded(void **state)
{
    const char *dir = begin(*state, "plain");
    wh_agent_conf_t conf = {.engine_socket = "/s", .state_dir = dir, .images_kept = 2};
    wh_keep_opts_t opts = {.conf = &conf, .engine = store_open, .clock = &now.clock, .agent = "me"};
    wh_err_t err = WH_ERR_INIT;

    assert_string_equal(marks(dir), "d7 d6 d5 d4 d3 d2 d1 ");
    runs(WH_ENGINE_LABEL_DEPLOYMENT, D(2));
    runs(WH_ENGINE_LABEL_SOURCE, D(3)); /* gone back to */
    assert_ok(wh_keep_superseded(*state, &opts, NULL, &err), &err);
    assert_string_equal(store.asked, "d1 "); /* oldest first; what runs stays */
    assert_string_equal(marks(dir), "d7 d6 d5 d4 d3 d2 ");
    end(dir);
}

/* However many branches are pushed: production keeps what it may go back to. */
static void test_previews(void **state)
{
    const char *dir = begin(*state, "previews");
    wh_agent_conf_t conf = {.engine_socket = "/s", .state_dir = dir, .images_kept = 2};
    wh_keep_opts_t opts = {.conf = &conf, .engine = store_open, .clock = &now.clock, .agent = "me"};
    wh_err_t err = WH_ERR_INIT;

    note(dir, B, D(8), 1);
    note(dir, B, D(9), 1);
    note(dir, B, D(a), 1);
    note(dir, A, D(c), 1);
    assert_string_equal(marks(dir), "d7 d6 da d9 d8 d5 d4 d3 d2 d1 dc ");
    assert_ok(wh_keep_superseded(*state, &opts, NULL, &err), &err);
    assert_string_equal(store.asked, "d1 d2 d3 d8 ");
    assert_string_equal(marks(dir), "d7 d6 da d9 d5 d4 dc ");
    end(dir);
}

/* Builds that came to nothing do not push good ones out. */
static void test_nothing(void **state)
{
    const char *dir = begin(*state, "nothing");
    wh_agent_conf_t conf = {.engine_socket = "/s", .state_dir = dir, .images_kept = 2};
    apr_array_header_t *building = apr_array_make(*state, 1, sizeof(const char *));
    wh_keep_opts_t opts = {.conf = &conf,
                           .engine = store_open,
                           .clock = &now.clock,
                           .agent = "me",
                           .building = building};
    wh_err_t err = WH_ERR_INIT;

    store.missing = "d4 d5";
    APR_ARRAY_PUSH(building, const char *) = D(5); /* has none yet */
    assert_ok(wh_keep_superseded(*state, &opts, NULL, &err), &err);
    assert_string_equal(store.asked, "d1 d2 ");
    assert_string_equal(marks(dir), "d7 d6 d5 d3 ");
    end(dir);
}

static void test_refused(void **state)
{
    const char *dir = begin(*state, "refused");
    wh_agent_conf_t conf = {.engine_socket = "/s", .state_dir = dir, .images_kept = 1};
    wh_keep_opts_t opts = {.conf = &conf, .engine = store_open, .clock = &now.clock, .agent = "me"};
    wh_err_t err = WH_ERR_INIT;

    store.stays = "d2";
    assert_code(wh_keep_superseded(*state, &opts, NULL, &err), &err, "engine_error");
    assert_string_equal(store.asked, "d1 d2 d3 d4 d6 "); /* one that stays keeps no other */
    assert_string_equal(marks(dir), "d7 d5 d2 ");
    store.asked[0] = '\0';
    store.gone = "no_engine";
    wh_err_clear(&err);
    assert_code(wh_keep_superseded(*state, &opts, NULL, &err), &err, "no_engine");
    assert_string_equal(store.asked, "d2 ");
    end(dir);
    assert_ok(wh_keep_superseded(*state, &opts, NULL, &err), &err); /* no directory, nothing made */
}

/* A build of the agent's former life goes on in the engine: its image is known when it comes. */
static void test_young(void **state)
{
    const char *dir = begin(*state, "young");
    wh_agent_conf_t conf = {.engine_socket = "/s", .state_dir = dir, .images_kept = 2};
    wh_keep_opts_t opts = {.conf = &conf, .engine = store_open, .clock = &now.clock, .agent = "me"};
    wh_err_t err = WH_ERR_INIT;

    wh_clock_fake_init(&now, wh_id_time(D(1)) + apr_time_from_sec(3599));
    store.missing = "d5";
    assert_ok(wh_keep_superseded(*state, &opts, NULL, &err), &err);
    assert_string_equal(store.asked, "d1 d2 "); /* it counts for nothing */
    assert_string_equal(marks(dir), "d7 d6 d5 d4 d3 ");
    store.missing = "";
    assert_ok(wh_keep_superseded(*state, &opts, NULL, &err), &err);
    assert_string_equal(store.asked, "d1 d2 d3 ");
    end(dir);
}

/* Builds beside get a chance between one burst and the next. */
static void test_burst(void **state)
{
    const char *dir = begin(*state, "burst");
    wh_agent_conf_t conf = {.engine_socket = "/s", .state_dir = dir, .images_kept = 1};
    wh_keep_opts_t opts = {.conf = &conf, .engine = store_open, .clock = &now.clock, .agent = "me"};
    wh_err_t err = WH_ERR_INIT;
    int more = 0;

    for (int i = 1; i < 8; i++)
        note(dir, B, apr_psprintf(*state, D_ "%d", i), 0);
    assert_ok(wh_keep_superseded(*state, &opts, &more, &err), &err);
    assert_string_equal(store.asked, "d1 d2 d3 d4 d1 d2 d3 d4 ");
    assert_int_equal(more, 1);
    store.asked[0] = '\0';
    assert_ok(wh_keep_superseded(*state, &opts, &more, &err), &err);
    assert_string_equal(store.asked, "d5 d6 ");
    assert_int_equal(more, 0);
    end(dir);
}

/* The look at all images has its share of the engine's time. */
static void test_look(void **state)
{
    wh_keep_when_t when = {.running = 0};
    wh_clock_fake_t clock;

    (void)state;
    wh_clock_fake_init(&clock, 0);
    assert_true(wh_mono_reached(clock.mono, when.look_due));
    wh_keep_when_looked(&when, clock.mono, APR_USEC_PER_SEC / 10);
    assert_int_equal(wh_mono_diff(when.look_due, clock.mono), apr_time_from_sec(5));
    wh_keep_when_looked(&when, clock.mono, apr_time_from_sec(12));
    assert_int_equal(wh_mono_diff(when.look_due, clock.mono), apr_time_from_sec(600));
    wh_keep_when_looked(&when, clock.mono, apr_time_from_sec(100));
    assert_int_equal(wh_mono_diff(when.look_due, clock.mono), apr_time_from_sec(600));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("what is superseded goes by its mark, without a list of images", test_superseded),
        UNIT("images_kept does not count previews among the others", test_previews),
        UNIT("a mark without an image is none", test_nothing),
        UNIT("an image that stays is asked again, and keeps no other", test_refused),
        UNIT("a mark whose image may yet come stays", test_young),
        UNIT("a burst at a time", test_burst),
        UNIT("the look at all images has its share", test_look),
    };

    return UNIT_RUN(tests);
}
