#include "wh-scheduler/places.h"

#include <stdlib.h>
#include <string.h>

#include "libwh/wh_lru.h"
#include "whdb/wh_db_logdrain.h"

typedef struct place_t {
    wh_lru_item_t item; /* first */
    int known;          /* 0 = there is no such deployment, until then */
    wh_mono_t until;
    const char *slug, *environment; /* they and the key lie behind the struct */
} place_t;

struct wh_places_t {
    wh_lru_t *lru;
    apr_pool_t *scratch;
    wh_mono_t ask_at; /* not before: the database failed */
};

static void drop(void *baton, wh_lru_item_t *item)
{
    (void)baton;
    free(item);
}

wh_places_t *wh_places_make(apr_pool_t *p)
{
    wh_places_t *places = apr_pcalloc(p, sizeof(*places));

    apr_pool_create(&places->scratch, p);
    apr_pool_tag(places->scratch, "places");
    places->lru = wh_lru_make(p, WH_PLACES_MAX, drop, NULL);
    return places;
}

static place_t *place_make(const char *deployment, const char *slug, const char *environment)
{
    size_t a = strlen(deployment) + 1, b = strlen(slug) + 1, c = strlen(environment) + 1;
    place_t *place = calloc(1, sizeof(*place) + a + b + c);
    char *text;

    if (place == NULL) {
        return NULL;
    }
    text = (char *)(place + 1);
    place->item.key = memcpy(text, deployment, a);
    place->slug = memcpy(text + a, slug, b);
    place->environment = memcpy(text + a + b, environment, c);
    return place;
}

static place_t *ask(wh_places_t *places, wh_dbc_t *dbc, wh_mono_t mono, const char *deployment)
{
    const char *slug = "", *environment = "";
    wh_err_t err = WH_ERR_INIT;
    place_t *place;
    apr_status_t rv;

    if (dbc == NULL || !wh_mono_reached(mono, places->ask_at)) {
        return NULL;
    }
    rv = wh_db_logdrain_place(dbc, places->scratch, deployment, &slug, &environment, &err);
    place =
        rv == APR_SUCCESS || rv == APR_NOTFOUND ? place_make(deployment, slug, environment) : NULL;
    apr_pool_clear(places->scratch);
    if (place == NULL) {
        places->ask_at = wh_mono_add(mono, WH_PLACES_FAILED_US);
        return NULL;
    }
    place->known = rv == APR_SUCCESS;
    place->until = wh_mono_add(mono, WH_PLACES_NONE_US);
    wh_lru_add(places->lru, &place->item);
    return place;
}

int wh_places_find(wh_places_t *places, wh_dbc_t *dbc, wh_mono_t mono, const char *deployment,
                   const char **slug, const char **environment)
{
    place_t *place = (place_t *)wh_lru_find(places->lru, deployment);

    if (place != NULL && !place->known && wh_mono_reached(mono, place->until)) {
        wh_lru_remove(places->lru, &place->item);
        place = NULL;
    }
    place = place != NULL ? place : ask(places, dbc, mono, deployment);
    if (place == NULL || !place->known) {
        return 0;
    }
    *slug = place->slug;
    *environment = place->environment;
    return 1;
}
