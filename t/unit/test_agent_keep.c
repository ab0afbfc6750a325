#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <apr_strings.h>
#include "t/unit/unit.h"
#include "wh-agent/caches.h"
#include "wh-agent/fsutil.h"
#include "wh-agent/keep.h"
#include "wh-agent/room.h"

#define MIB ((apr_int64_t)1048576)

/* ---- room ---- */

static int look(wh_room_t *room, apr_int64_t disk, apr_int64_t memory)
{
    wh_room_look_t l = {.disk_free = disk * MIB,
                        .disk_floor = 1000 * MIB,
                        .memory_free = memory * MIB,
                        .memory_floor = 100 * MIB};
    (void)wh_room_judge(room, &l);
    return room->refuses[0] == '\0';
}

static void test_room(void **state)
{
    wh_room_t room = {0};
    wh_room_look_t off = {.disk_free = 0, .memory_free = 0};
    wh_room_look_t unknown = {
        .disk_free = -1, .disk_floor = 5, .memory_free = -1, .memory_floor = 5};

    (void)state;
    assert_true(look(&room, 1000, 100));
    assert_false(look(&room, 999, 100));
    assert_non_null(strstr(room.refuses, "disk"));
    assert_false(look(&room, 1000, 100)); /* a tenth more is needed to begin again */
    assert_false(look(&room, 1099, 100));
    assert_true(look(&room, 1100, 100));
    assert_true(look(&room, 1000, 100));
    assert_false(look(&room, 5000, 99));
    assert_non_null(strstr(room.refuses, "memory"));
    assert_false(look(&room, 5000, 109));
    assert_true(look(&room, 5000, 110));
    assert_false(look(&room, 0, 0));
    assert_int_equal(wh_room_judge(&room, &off), 1);
    assert_string_equal(room.refuses, "");
    assert_int_equal(wh_room_judge(&room, &unknown), 0);
}

/* ---- images ---- */

typedef struct set_t {
    apr_pool_t *p;
    wh_keep_in_t in;
    apr_array_header_t *images, *containers;
} set_t;

static void add(set_t *s, const char *id, const char *label, apr_int64_t age, apr_int64_t mib)
{
    apr_array_header_t *labels = apr_array_make(s->p, 1, sizeof(wh_engine_label_t));
    apr_array_header_t *tags = apr_array_make(s->p, 1, sizeof(const char *));

    APR_ARRAY_PUSH(labels, wh_engine_label_t) = (wh_engine_label_t){WH_ENGINE_LABEL_IMAGE, label};
    if (id[0] != '-')
        APR_ARRAY_PUSH(tags, const char *) = id;
    APR_ARRAY_PUSH(s->images, wh_engine_item_t) =
        (wh_engine_item_t){.id = apr_pstrcat(s->p, "sha256:", id, NULL),
                           .labels = labels,
                           .tags = tags,
                           .bytes = mib * MIB,
                           .created_at = 1000000 - age};
}

static void use(set_t *s, const char *id)
{
    APR_ARRAY_PUSH(s->containers, wh_engine_item_t) =
        (wh_engine_item_t){.id = "c", .image = apr_pstrdup(s->p, id)};
}

static void expect(set_t *s, const char *want)
{
    apr_int64_t bytes;
    apr_array_header_t *go;
    const char *got = "";

    s->in.images = s->images;
    s->in.containers = s->containers;
    go = wh_keep_plan(s->p, &s->in, &bytes);
    for (int i = 0; i < go->nelts; i++)
        got = apr_pstrcat(s->p, got, APR_ARRAY_IDX(go, i, const wh_engine_item_t *)->id + 7, " ",
                          NULL);
    assert_string_equal(got, want);
}

static set_t make(apr_pool_t *p, apr_int64_t kept, apr_int64_t quota_mib)
{
    return (set_t){.p = p,
                   .in = {.agent = "me", .kept = kept, .quota = quota_mib * MIB},
                   .images = apr_array_make(p, 8, sizeof(wh_engine_item_t)),
                   .containers = apr_array_make(p, 8, sizeof(wh_engine_item_t))};
}

static void test_kept(void **state)
{
    set_t s = make(*state, 2, 0);

    add(&s, "a1", "me.a", 1, 10);
    add(&s, "a2", "me.a", 2, 10);
    add(&s, "a3", "me.a", 3, 10);
    add(&s, "a4", "me.a", 4, 10);
    add(&s, "b9", "me.b", 9, 10);
    add(&s, "you", "you.a", 99, 10);
    add(&s, "me2", "me2.a", 99, 10);
    add(&s, "none", "", 99, 10);
    expect(&s, "a4 a3 ");
    use(&s, "sha256:a4"); /* what runs stays, however old */
    expect(&s, "a3 ");
}

static void test_nameless(void **state)
{
    set_t s = make(*state, 5, 0);

    add(&s, "a1", "me.a", 1, 10);
    add(&s, "-x", "me.a", 0, 10);
    add(&s, "-y", "me.a", 5, 10);
    add(&s, "-z", "you.a", 5, 10);
    use(&s, "-y");
    expect(&s, "-x ");
}

/* Names are as builds give them. */
static void test_building(void **state)
{
    set_t s = make(*state, 1, 0);
    apr_array_header_t *building = apr_array_make(*state, 2, sizeof(const char *));

    s.in.building = building;
    add(&s, "localhost/wisehost/a:d5", "me.a", 1, 10);
    add(&s, "localhost/wisehost/a:d4", "me.a", 2, 10);
    add(&s, "localhost/wisehost/a:d3", "me.a", 3, 10);
    add(&s, "-x", "me.a", 4, 10);
    expect(&s, "-x localhost/wisehost/a:d3 localhost/wisehost/a:d4 ");
    /* Its build came to what was there: an old image, which nothing runs from yet. */
    APR_ARRAY_PUSH(building, const char *) = "d3";
    expect(&s, "localhost/wisehost/a:d4 ");
    APR_ARRAY_IDX(building, 0, const char *) = "d6";
    expect(&s, "localhost/wisehost/a:d3 localhost/wisehost/a:d4 ");
    s.in.quota = 1; /* and whatever the quota says */
    APR_ARRAY_IDX(building, 0, const char *) = "d3";
    s.in.kept = 5;
    expect(&s, "localhost/wisehost/a:d4 ");
}

/* Previews are counted by themselves, and even the newest goes where there is no room. */
static void test_previews(void **state)
{
    set_t s = make(*state, 2, 0);
    apr_array_header_t *made = apr_array_make(*state, 4, sizeof(wh_made_t));

    s.in.made = made;
    for (int i = 1; i < 6; i++)
        add(&s, apr_psprintf(s.p, "localhost/wisehost/a:d%d", i), "me.a", i, 10);
    for (int i = 1; i < 4; i++)
        APR_ARRAY_PUSH(made, wh_made_t) = (wh_made_t){"a", apr_psprintf(s.p, "d%d", i), 1};
    expect(&s, "localhost/wisehost/a:d3 ");
    s.in.quota = 10 * MIB;
    expect(&s, "localhost/wisehost/a:d5 localhost/wisehost/a:d3 localhost/wisehost/a:d2 "
               "localhost/wisehost/a:d1 ");
}

static void test_quota(void **state)
{
    set_t s = make(*state, 5, 50);

    add(&s, "a1", "me.a", 1, 20);
    add(&s, "a2", "me.a", 2, 20);
    add(&s, "b3", "me.b", 3, 20);
    add(&s, "b4", "me.b", 4, 20);
    add(&s, "a5", "me.a", 5, 20);
    add(&s, "you", "you.a", 9, 900);
    use(&s, "b4");
    expect(&s, "a5 a2 "); /* 100 → 60 MiB; b3, a1 are the newest of theirs, b4 runs */
    s.in.quota = 60 * MIB;
    expect(&s, "a5 a2 ");
    s.in.quota = 80 * MIB;
    expect(&s, "a5 ");
    s.in.quota = 100 * MIB;
    expect(&s, "");
    s.in.quota = 1;
    expect(&s, "a5 a2 ");
}

/* An engine that has the images of a set, and will not remove some of them. */
static struct {
    set_t set;
    const char *refuses, *loses; /* tags: stays and fails; goes and fails */
    const char *gone;            /* the code of what every removal says, NULL = it works */
    const char *named;           /* an image that got a name since it was listed */
    const char *asked;
} store;

static apr_status_t store_images(wh_engine_t *e, apr_pool_t *p, const wh_engine_label_t *with,
                                 apr_array_header_t **items, wh_err_t *err)
{
    (void)e;
    (void)with;
    (void)err;
    *items = apr_array_copy(p, store.set.images);
    return APR_SUCCESS;
}

static apr_status_t store_list(wh_engine_t *e, apr_pool_t *p, const wh_engine_label_t *with,
                               apr_array_header_t **items, wh_err_t *err)
{
    (void)e;
    (void)p;
    (void)with;
    (void)err;
    *items = store.set.containers;
    return APR_SUCCESS;
}

static apr_status_t store_remove(wh_engine_t *e, apr_pool_t *p, const char *tag, wh_err_t *err)
{
    apr_array_header_t *left = apr_array_make(p, 8, sizeof(wh_engine_item_t));

    (void)e;
    store.asked = apr_pstrcat(store.set.p, store.asked, tag, " ", NULL);
    if (store.gone != NULL)
        return wh_err_set(err, 503, store.gone, "no");
    if (strcmp(tag, store.refuses) == 0)
        return wh_err_set(err, 502, "engine_error", "no");
    for (int i = 0; i < store.set.images->nelts; i++) {
        wh_engine_item_t *image = &APR_ARRAY_IDX(store.set.images, i, wh_engine_item_t);

        if (strcmp(image->id + 7, tag) != 0)
            APR_ARRAY_PUSH(left, wh_engine_item_t) = *image;
    }
    store.set.images = left;
    return strcmp(tag, store.loses) == 0 ? wh_err_set(err, 502, "engine_error", "no such name")
                                         : APR_SUCCESS;
}

static apr_status_t store_image(wh_engine_t *e, apr_pool_t *p, const char *name,
                                wh_engine_image_t *image, wh_err_t *err)
{
    (void)e;
    (void)err;
    *image = (wh_engine_image_t){.id = name, .tags = apr_array_make(p, 1, sizeof(const char *))};
    if (store.named != NULL && strcmp(store.named, name) == 0)
        APR_ARRAY_PUSH(image->tags, const char *) = "new";
    return APR_SUCCESS;
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

static void test_stubborn(void **state)
{
    wh_agent_conf_t conf = {.engine_socket = "/s", .images_kept = 1};
    wh_keep_opts_t opts = {.conf = &conf, .engine = store_open, .agent = "me"};
    wh_err_t err = WH_ERR_INIT;

    memset(&store, 0, sizeof(store));
    store.set = make(*state, 1, 0);
    store.asked = "";
    for (int i = 1; i < 5; i++)
        add(&store.set, apr_psprintf(*state, "a%d", i), "me.a", i, 10);
    store.refuses = "";
    store.loses = "a4";
    assert_int_equal(wh_keep_run(*state, &opts, &err), APR_SUCCESS);
    assert_string_equal(store.asked, "a4 a3 a2 "); /* gone is gone, whatever was said */
    assert_int_equal(store.set.images->nelts, 1);

    add(&store.set, "a7", "me.a", 7, 10);
    add(&store.set, "a8", "me.a", 8, 10);
    store.refuses = "a8";
    assert_true(wh_keep_run(*state, &opts, &err) != APR_SUCCESS);
    assert_int_equal(store.set.images->nelts, 2); /* a1, and a8 that stays; a7 went */
}

static void test_meanwhile(void **state)
{
    wh_agent_conf_t conf = {.engine_socket = "/s", .images_kept = 1};
    wh_keep_opts_t opts = {.conf = &conf, .engine = store_open, .agent = "me"};
    wh_err_t err = WH_ERR_INIT;

    memset(&store, 0, sizeof(store));
    store.set = make(*state, 1, 0);
    store.asked = store.refuses = store.loses = "";
    store.named = "-x";
    add(&store.set, "a1", "me.a", 1, 10);
    add(&store.set, "-x", "me.a", 2, 10);
    add(&store.set, "-y", "me.a", 3, 10);
    assert_ok(wh_keep_run(*state, &opts, &err), &err);
    assert_string_equal(store.asked, "-y "); /* a removal by id would take the new name away */

    store.asked = "";
    store.gone = "no_engine";
    add(&store.set, "a4", "me.a", 4, 10);
    add(&store.set, "a5", "me.a", 5, 10);
    assert_true(wh_keep_run(*state, &opts, &err) != APR_SUCCESS);
    assert_string_equal(store.asked, "a5 "); /* of an engine that is gone no more is asked */
}

/* ---- when ---- */

static apr_int64_t due_s(const wh_keep_when_t *when, const wh_clock_fake_t *clock)
{
    return wh_mono_diff(when->due, clock->mono) / APR_USEC_PER_SEC;
}

static void end_after(wh_keep_when_t *when, wh_clock_fake_t *clock, apr_int64_t s, int failed)
{
    wh_keep_when_begins(when);
    wh_clock_fake_advance(clock, apr_time_from_sec(s));
    wh_keep_when_ended(when, clock->mono, failed);
}

static void test_when(void **state)
{
    static const apr_int64_t waits[] = {30, 60, 120, 240, 480, 600, 600};
    wh_keep_when_t when = {.running = 0};
    wh_clock_fake_t clock;

    (void)state;
    wh_clock_fake_init(&clock, 0);
    wh_clock_fake_advance(&clock, apr_time_from_sec(1000));
    assert_true(wh_mono_reached(clock.mono, when.due));
    for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
        end_after(&when, &clock, 1, 1);
        assert_int_equal(due_s(&when, &clock), waits[i]);
    }
    wh_keep_when_soon(&when, clock.mono); /* a job ended, so the engine works */
    assert_int_equal(due_s(&when, &clock), 30);
    end_after(&when, &clock, 1, 0);
    assert_int_equal(due_s(&when, &clock), 600);
    end_after(&when, &clock, 1, 1);
    assert_int_equal(due_s(&when, &clock), 30); /* from the first wait again */
}

static void test_when_storm(void **state)
{
    wh_keep_when_t when = {.running = 0};
    wh_clock_fake_t clock;
    int times = 0;

    (void)state;
    wh_clock_fake_init(&clock, 0);
    wh_clock_fake_advance(&clock, apr_time_from_sec(1000));
    end_after(&when, &clock, 1, 0);
    wh_clock_fake_advance(&clock, apr_time_from_sec(100));
    wh_keep_when_soon(&when, clock.mono);
    assert_int_equal(due_s(&when, &clock), 2);
    wh_clock_fake_advance(&clock, APR_USEC_PER_SEC);
    wh_keep_when_soon(&when, clock.mono);
    assert_int_equal(due_s(&when, &clock), 1); /* it is not put off by the next */
    for (int s = 0; s < 250; s++) { /* a job's end each second, and each time takes 5 s */
        wh_keep_when_soon(&when, clock.mono);
        if (wh_mono_reached(clock.mono, when.due)) {
            end_after(&when, &clock, 5, 0);
            times++;
        }
        wh_clock_fake_advance(&clock, APR_USEC_PER_SEC);
    }
    assert_int_equal(times, 13);

    wh_clock_fake_advance(&clock, apr_time_from_sec(100));
    wh_keep_when_begins(&when);
    wh_keep_when_soon(&when, clock.mono); /* it may have been looked at already */
    wh_keep_when_ended(&when, clock.mono, 0);
    assert_int_equal(due_s(&when, &clock), 20);
}

/* ---- git caches ---- */

static void cache_of(apr_pool_t *p, const char *dir, const char *app, int age_s, size_t bytes)
{
    const char *cache = apr_pstrcat(p, dir, "/cache/", app, NULL);
    const char *lock = apr_pstrcat(p, cache, "/lock", NULL);
    struct timespec times[2] = {{.tv_sec = 1000000 - age_s}, {.tv_sec = 1000000 - age_s}};
    wh_err_t err = WH_ERR_INIT;

    assert_ok(wh_fsutil_mkdir(p, apr_pstrcat(p, cache, "/git/objects/pack", NULL), &err), &err);
    assert_ok(wh_fsutil_write(p, apr_pstrcat(p, cache, "/git/objects/pack/x", NULL),
                              apr_pcalloc(p, bytes), bytes, WH_FSUTIL_QUICK, &err),
              &err);
    assert_ok(wh_fsutil_write(p, lock, "", 0, WH_FSUTIL_QUICK, &err), &err);
    assert_int_equal(utimensat(AT_FDCWD, lock, times, 0), 0);
}

static int has(apr_pool_t *p, const char *dir, const char *app)
{
    return access(apr_pstrcat(p, dir, "/cache/", app, "/git", NULL), F_OK) == 0;
}

static void test_caches(void **state)
{
    static const char *const app[] = {"01hzzzzzzzzzzzzzzzzzzzzz01", "01hzzzzzzzzzzzzzzzzzzzzz02",
                                      "01hzzzzzzzzzzzzzzzzzzzzz03"};
    apr_pool_t *p = *state;
    const char *dir = apr_psprintf(p, "/tmp/wh-agent-caches-%d", (int)getpid());
    apr_int64_t left;
    int gone, fd;
    wh_err_t err = WH_ERR_INIT;

    cache_of(p, dir, app[0], 10, 1000);
    cache_of(p, dir, app[1], 30, 1000);
    cache_of(p, dir, app[2], 20, 1000);
    assert_ok(wh_caches_trim(p, dir, 3000, &left, &gone, &err), &err);
    assert_int_equal(left, 3000);
    assert_int_equal(gone, 0);
    /* The one used longest ago, unless a job works in it. */
    fd = open(apr_pstrcat(p, dir, "/cache/", app[1], "/lock", NULL), O_RDWR);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_ok(wh_caches_trim(p, dir, 2500, &left, &gone, &err), &err);
    assert_true(has(p, dir, app[0]) && has(p, dir, app[1]) && !has(p, dir, app[2]));
    assert_int_equal(left, 2000);
    close(fd);
    assert_ok(wh_caches_trim(p, dir, 1500, &left, &gone, &err), &err);
    assert_true(has(p, dir, app[0]) && !has(p, dir, app[1]));
    assert_ok(wh_caches_trim(p, dir, 0, &left, &gone, &err), &err);
    assert_int_equal(left, 0);
    assert_int_equal(gone, 1);
    assert_int_equal(access(apr_pstrcat(p, dir, "/cache/", app[0], "/lock", NULL), F_OK), 0);
    assert_ok(wh_fsutil_remove_tree(p, dir, &err), &err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("one image that does not go keeps no other", test_stubborn),
        UNIT("below a floor builds are refused until a tenth more is free", test_room),
        UNIT("so many images of each app are kept, and what runs", test_kept),
        UNIT("images without a name go", test_nameless),
        UNIT("while something is built", test_building),
        UNIT("what changed since the list was made", test_meanwhile),
        UNIT("house is kept again soon after a failure, a job's end, the engine's return",
             test_when),
        UNIT("many jobs that end make few of it", test_when_storm),
        UNIT("over the quota the oldest go first", test_quota),
        UNIT("previews are counted by themselves", test_previews),
        UNIT("git caches: the ones used longest ago go, never one in use", test_caches),
    };
    return UNIT_RUN(tests);
}
