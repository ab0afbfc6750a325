#include "libwh/wh_alert_plan.h"

#include <stdlib.h>
#include <string.h>
#include <apr_hash.h>
#include <apr_strings.h>

#include "libwh/wh_id.h"

#define PAIR_LEN (2 * WH_ID_LEN)
#define USER_MAX 64

/* A rule with its texts. */
typedef struct own_t {
    wh_alert_rule_t rule; /* first */
    char id[WH_ID_LEN + 1], app_id[WH_ID_LEN + 1], user_id[USER_MAX + 1], severity[16];
} own_t;

typedef struct node_t {
    wh_alert_state_t state;
    int anew;       /* what was counted was against another threshold */
    unsigned round; /* of the plan that looked at it last */
    char pair[PAIR_LEN + 1];
} node_t;

struct wh_alert_book_t {
    own_t **rules; /* by app, kind, id; those of all apps first */
    int n_rules;
    apr_int64_t revision;
    apr_hash_t *states; /* pair -> node_t */
    unsigned round;
};

static apr_status_t book_free(void *data)
{
    wh_alert_book_t *book = data;

    for (int i = 0; i < book->n_rules; i++) {
        free(book->rules[i]);
    }
    free(book->rules);
    for (apr_hash_index_t *at = apr_hash_first(NULL, book->states); at; at = apr_hash_next(at)) {
        free(apr_hash_this_val(at));
    }
    return APR_SUCCESS;
}

wh_alert_book_t *wh_alert_book_make(apr_pool_t *p)
{
    wh_alert_book_t *book = apr_pcalloc(p, sizeof(*book));

    book->states = apr_hash_make(p);
    apr_pool_cleanup_register(p, book, book_free, apr_pool_cleanup_null);
    return book;
}

/* ---- rules ---- */

static int compare(const void *left, const void *right)
{
    const own_t *a = *(own_t *const *)left, *b = *(own_t *const *)right;
    int d = strcmp(a->app_id, b->app_id);

    d = d != 0 ? d : (int)a->rule.kind - (int)b->rule.kind;
    return d != 0 ? d : strcmp(a->id, b->id);
}

static own_t *own_of(const wh_alert_rule_t *rule)
{
    own_t *own = malloc(sizeof(*own));

    if (own == NULL) {
        return NULL;
    }
    own->rule = *rule;
    own->rule.id = own->id;
    own->rule.app_id = own->app_id;
    own->rule.user_id = own->user_id;
    own->rule.severity = own->severity;
    apr_cpystrn(own->id, rule->id, sizeof(own->id));
    apr_cpystrn(own->app_id, rule->app_id, sizeof(own->app_id));
    apr_cpystrn(own->user_id, rule->user_id, sizeof(own->user_id));
    apr_cpystrn(own->severity, rule->severity, sizeof(own->severity));
    return own;
}

static void count_anew(const wh_alert_book_t *book, const char *rule_id)
{
    for (apr_hash_index_t *at = apr_hash_first(NULL, book->states); at; at = apr_hash_next(at)) {
        node_t *node = apr_hash_this_val(at);

        node->anew |= strncmp(node->pair, rule_id, WH_ID_LEN) == 0;
    }
}

/* Drops what was changed or deleted; returns how many are left. */
static int without(wh_alert_book_t *book, const apr_array_header_t *changed)
{
    apr_pool_t *p;
    apr_hash_t *ids;
    int n = 0;

    apr_pool_create(&p, changed->pool);
    ids = apr_hash_make(p);
    for (int i = 0; i < changed->nelts; i++) {
        const wh_alert_rule_t *r = &APR_ARRAY_IDX(changed, i, wh_alert_rule_t);

        apr_hash_set(ids, r->id, APR_HASH_KEY_STRING, r);
    }
    for (int i = 0; i < book->n_rules; i++) {
        const wh_alert_rule_t *now = apr_hash_get(ids, book->rules[i]->id, APR_HASH_KEY_STRING);

        if (now != NULL) {
            if (now->threshold != book->rules[i]->rule.threshold) {
                count_anew(book, now->id);
            }
            free(book->rules[i]);
        } else {
            book->rules[n++] = book->rules[i];
        }
    }
    apr_pool_destroy(p);
    return n;
}

static void forget_all(own_t **fresh, int n)
{
    for (int i = 0; i < n; i++) {
        free(fresh[i]);
    }
    free(fresh);
}

int wh_alert_book_rules(wh_alert_book_t *book, const apr_array_header_t *changed)
{
    own_t **fresh, **all;
    int n = 0;

    if (changed->nelts == 0) {
        return 1;
    }
    fresh = calloc((size_t)changed->nelts, sizeof(*fresh));
    for (int i = 0; fresh != NULL && i < changed->nelts; i++) {
        const wh_alert_rule_t *r = &APR_ARRAY_IDX(changed, i, wh_alert_rule_t);

        if (r->deleted_at == 0 && (fresh[n++] = own_of(r)) == NULL) {
            forget_all(fresh, n);
            return 0;
        }
    }
    all = realloc(book->rules, (size_t)(book->n_rules + n + 1) * sizeof(*all));
    if (fresh == NULL || all == NULL) {
        book->rules = all != NULL ? all : book->rules;
        forget_all(fresh, n);
        return 0;
    }
    book->rules = all;
    book->n_rules = without(book, changed);
    if (n > 0) {
        memcpy(all + book->n_rules, fresh, (size_t)n * sizeof(*all));
    }
    book->n_rules += n;
    qsort(all, (size_t)book->n_rules, sizeof(*all), compare);
    for (int i = 0; i < changed->nelts; i++) {
        apr_int64_t revision = APR_ARRAY_IDX(changed, i, wh_alert_rule_t).revision;

        book->revision = revision > book->revision ? revision : book->revision;
    }
    free(fresh);
    return 1;
}

apr_int64_t wh_alert_book_revision(const wh_alert_book_t *book)
{
    return book->revision;
}

int wh_alert_book_count(const wh_alert_book_t *book)
{
    return book->n_rules;
}

/* ---- states ---- */

static void pair_of(char pair[PAIR_LEN + 1], const char *rule_id, const char *app_id)
{
    apr_snprintf(pair, PAIR_LEN + 1, "%-26.26s%.26s", rule_id, app_id);
}

static node_t *node_of(const wh_alert_book_t *book, const char *rule_id, const char *app_id)
{
    char pair[PAIR_LEN + 1];

    if (apr_hash_count(book->states) == 0) {
        return NULL;
    }
    pair_of(pair, rule_id, app_id);
    return apr_hash_get(book->states, pair, APR_HASH_KEY_STRING);
}

int wh_alert_book_put(wh_alert_book_t *book, const char *rule_id, const char *app_id,
                      const wh_alert_state_t *state)
{
    node_t *node = node_of(book, rule_id, app_id);

    if (state->since == 0 && state->missing_since == 0) {
        if (node != NULL) {
            apr_hash_set(book->states, node->pair, APR_HASH_KEY_STRING, NULL);
            free(node);
        }
        return 1;
    }
    if (node == NULL) {
        node = calloc(1, sizeof(*node));
        if (node == NULL) {
            return 0;
        }
        pair_of(node->pair, rule_id, app_id);
        apr_hash_set(book->states, node->pair, APR_HASH_KEY_STRING, node);
    }
    node->state = *state;
    node->anew = 0;
    return 1;
}

wh_alert_state_t wh_alert_book_get(const wh_alert_book_t *book, const char *rule_id,
                                   const char *app_id)
{
    const node_t *node = node_of(book, rule_id, app_id);

    return node != NULL ? node->state : (wh_alert_state_t){.since = 0};
}

int wh_alert_book_states(const wh_alert_book_t *book)
{
    return (int)apr_hash_count(book->states);
}

/* ---- the plan ---- */

typedef struct plan_t {
    wh_alert_book_t *book;
    apr_pool_t *p;
    const wh_alert_world_t *world;
    wh_alert_plan_t *out;
    apr_hash_t *open; /* pair -> wh_alert_open_t, of rules that a tick looks at */
    /* Of the app in hand: */
    const wh_alert_app_t *app;
    wh_alert_reading_t readings[WH_ALERT_KINDS];
    unsigned asked;  /* which kinds of readings were asked for */
    unsigned events; /* which EVENT kinds have a rule that holds */
} plan_t;

static wh_alert_open_t *open_of(const plan_t *plan, const char *rule_id, const char *app_id)
{
    char pair[PAIR_LEN + 1];

    if (plan->world->open->nelts == 0) {
        return NULL;
    }
    pair_of(pair, rule_id, app_id);
    return apr_hash_get(plan->open, pair, APR_HASH_KEY_STRING);
}

static void index_open(plan_t *plan)
{
    plan->open = apr_hash_make(plan->p);
    for (int i = 0; i < plan->world->open->nelts; i++) {
        wh_alert_open_t *open = &APR_ARRAY_IDX(plan->world->open, i, wh_alert_open_t);
        char *pair = apr_palloc(plan->p, PAIR_LEN + 1);

        open->seen = 0;
        if (wh_alert_class(open->kind) != WH_ALERT_CLASS_EVENT) {
            pair_of(pair, open->rule_id, open->app_id);
            apr_hash_set(plan->open, pair, APR_HASH_KEY_STRING, open);
        }
    }
}

static const wh_alert_reading_t *reading_of(plan_t *plan, wh_alert_kind_e kind)
{
    const wh_alert_world_t *w = plan->world;
    wh_alert_reading_t *r = &plan->readings[kind];

    if (kind == WH_ALERT_OFFLINE) {
        *r =
            (wh_alert_reading_t){.known = !(w->blind && plan->app->away), .value = plan->app->away};
        return r;
    }
    for (int i = 0; (plan->asked & (1u << kind)) == 0 && i < w->n_meters; i++) {
        if (w->meters[i].kinds & (1u << kind)) {
            w->meters[i].read(w->meters[i].baton, plan->app, plan->readings);
            plan->asked |= w->meters[i].kinds;
        }
    }
    return r;
}

/* A rule that a tick looks at, on this app. */
static int applies(const plan_t *plan, wh_alert_class_e class)
{
    return plan->app->runs && (class == WH_ALERT_CLASS_REQUEST || plan->app->container);
}

static void change(const plan_t *plan, const char *rule_id, const char *app_id,
                   const wh_alert_state_t *state, apr_int64_t value)
{
    wh_alert_change_t *c = apr_array_push(plan->out->changes);

    *c = (wh_alert_change_t){.rule_id = rule_id, .app_id = app_id, .state = *state, .value = value};
}

static void look(plan_t *plan, const wh_alert_rule_t *rule)
{
    node_t *node = node_of(plan->book, rule->id, plan->app->id);
    wh_alert_state_t state = node != NULL ? node->state : (wh_alert_state_t){.since = 0};
    const wh_alert_state_t before = state;
    const wh_alert_reading_t *reading = reading_of(plan, rule->kind);
    wh_alert_open_t *open = open_of(plan, rule->id, plan->app->id);
    wh_alert_act_e act = WH_ALERT_STAY;

    plan->out->looks++;
    if (node != NULL) {
        node->round = plan->book->round;
        state.since = node->anew ? 0 : state.since;
    }
    if (open != NULL) {
        open->seen = 1;
    }
    if (reading->known || !plan->world->blind) {
        act = wh_alert_step(rule, &state, open != NULL, reading, plan->world->now);
    }
    if (state.since != before.since || state.open != before.open ||
        state.missing_since != before.missing_since) {
        change(plan, rule->id, plan->app->id, &state, reading->value);
    }
    if (act != WH_ALERT_STAY) {
        wh_alert_edge_t *edge = apr_array_push(plan->out->edges);

        *edge = (wh_alert_edge_t){.act = act,
                                  .rule = rule,
                                  .app = plan->app,
                                  .open = open,
                                  .value = reading->value,
                                  .reason = "recovered"};
    }
}

/* The rules of the list at [from, to), but for the kinds in `but`; returns which kinds they are. */
static unsigned look_at(plan_t *plan, int from, int to, unsigned but)
{
    unsigned kinds = 0;

    for (int i = from; i < to; i++) {
        const wh_alert_rule_t *rule = &plan->book->rules[i]->rule;
        wh_alert_class_e class = wh_alert_class(rule->kind);

        kinds |= 1u << rule->kind;
        if ((but & (1u << rule->kind)) != 0 || !rule->enabled) {
            continue;
        }
        if (class == WH_ALERT_CLASS_EVENT) {
            plan->events |= 1u << rule->kind;
        } else if (applies(plan, class)) {
            look(plan, rule);
        }
    }
    return kinds;
}

static int end_of(const wh_alert_book_t *book, int from, const char *app_id)
{
    while (from < book->n_rules && strcmp(book->rules[from]->app_id, app_id) == 0) {
        from++;
    }
    return from;
}

static void app_events(plan_t *plan, apr_hash_t *held)
{
    unsigned kinds = plan->events;

    if (!plan->app->runs) {
        kinds &= ~(1u << WH_ALERT_CRASHLOOP); /* what was stopped crashes no more */
    }
    for (int k = 0; k < WH_ALERT_KINDS; k++) {
        if (kinds & (1u << k)) {
            apr_hash_set(held, apr_psprintf(plan->p, "%d%s", k, plan->app->id), APR_HASH_KEY_STRING,
                         plan->app);
        }
    }
}

static const wh_alert_app_t *app_of(const wh_alert_world_t *w, const char *id)
{
    int low = 0, high = w->apps->nelts;

    while (low < high) {
        int mid = (low + high) / 2;
        const wh_alert_app_t *app = &APR_ARRAY_IDX(w->apps, mid, wh_alert_app_t);
        int d = strcmp(app->id, id);

        if (d == 0) {
            return app;
        }
        low = d < 0 ? mid + 1 : low;
        high = d < 0 ? high : mid;
    }
    return NULL;
}

/* Alerts that no rule stands behind any more. */
static void orphans(const plan_t *plan, apr_hash_t *held)
{
    for (int i = 0; i < plan->world->open->nelts; i++) {
        const wh_alert_open_t *open = &APR_ARRAY_IDX(plan->world->open, i, wh_alert_open_t);
        const wh_alert_app_t *app = app_of(plan->world, open->app_id);
        wh_alert_edge_t *edge;

        if (open->seen ||
            (wh_alert_class(open->kind) == WH_ALERT_CLASS_EVENT &&
             apr_hash_get(held, apr_psprintf(plan->p, "%d%s", (int)open->kind, open->app_id),
                          APR_HASH_KEY_STRING) != NULL)) {
            continue;
        }
        edge = apr_array_push(plan->out->edges);
        *edge = (wh_alert_edge_t){.act = WH_ALERT_RESOLVE,
                                  .app = app,
                                  .open = open,
                                  .reason = app == NULL  ? "app_deleted"
                                            : !app->runs ? "app_stopped"
                                                         : "rule_removed"};
    }
}

static void forgotten(const plan_t *plan)
{
    const wh_alert_state_t rest = {.since = 0};

    for (apr_hash_index_t *at = apr_hash_first(plan->p, plan->book->states); at;
         at = apr_hash_next(at)) {
        const node_t *node = apr_hash_this_val(at);

        if (node->round != plan->book->round) {
            change(plan, apr_pstrmemdup(plan->p, node->pair, WH_ID_LEN), node->pair + WH_ID_LEN,
                   &rest, 0);
        }
    }
}

void wh_alert_plan(wh_alert_book_t *book, apr_pool_t *p, const wh_alert_world_t *world,
                   wh_alert_plan_t *out)
{
    plan_t plan = {.book = book, .p = p, .world = world, .out = out};
    apr_hash_t *held = apr_hash_make(p);
    int shared = end_of(book, 0, ""), at = shared;

    out->edges = apr_array_make(p, 8, sizeof(wh_alert_edge_t));
    out->changes = apr_array_make(p, 8, sizeof(wh_alert_change_t));
    out->looks = 0;
    book->round++;
    index_open(&plan);
    for (int i = 0; i < world->apps->nelts; i++) {
        unsigned own;
        int to;

        plan.app = &APR_ARRAY_IDX(world->apps, i, wh_alert_app_t);
        plan.asked = plan.events = 0;
        memset(plan.readings, 0, sizeof(plan.readings));
        while (at < book->n_rules && strcmp(book->rules[at]->app_id, plan.app->id) < 0) {
            at++;
        }
        to = end_of(book, at, plan.app->id);
        own = look_at(&plan, at, to, 0);
        (void)look_at(&plan, 0, shared, own);
        at = to;
        if (world->open->nelts > 0) {
            app_events(&plan, held);
        }
    }
    orphans(&plan, held);
    forgotten(&plan);
}

int wh_alert_plan_done(wh_alert_book_t *book, const wh_alert_plan_t *plan)
{
    int good = 1;

    for (int i = 0; i < plan->changes->nelts; i++) {
        const wh_alert_change_t *c = &APR_ARRAY_IDX(plan->changes, i, wh_alert_change_t);
        char rule[WH_ID_LEN + 1], app[WH_ID_LEN + 1]; /* the texts may be the node's own */

        apr_cpystrn(rule, c->rule_id, sizeof(rule));
        apr_cpystrn(app, c->app_id, sizeof(app));
        good &= wh_alert_book_put(book, rule, app, &c->state);
    }
    return good;
}
