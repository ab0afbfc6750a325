#include "wh-scheduler/offers.h"

#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>

int wh_offers_open(const wh_offers_t *offers)
{
    return offers->frames < WH_OFFERS_FRAMES && offers->bytes < WH_OFFERS_BYTES;
}

void wh_offers_sent(wh_offers_t *offers, size_t bytes)
{
    offers->frames++;
    offers->bytes += bytes;
}

void wh_offers_renew(wh_offers_t *offers)
{
    offers->frames = 0;
    offers->bytes = 0;
    offers->asked = 0;
}

int wh_offers_later(wh_offers_t *offers, const char *job, apr_int64_t epoch)
{
    wh_offer_t *slot;

    for (size_t i = offers->first; i < offers->n; i++) {
        if (strcmp(offers->list[i].job, job) == 0) {
            offers->list[i].epoch = epoch;
            return 0;
        }
    }
    if (offers->n == offers->size) {
        size_t size = offers->size > 0 ? offers->size * 2 : WH_OFFERS_FRAMES;
        wh_offer_t *grown = realloc(offers->list, size * sizeof(*grown));

        if (grown == NULL) {
            return -1;
        }
        offers->list = grown;
        offers->size = size;
    }
    slot = &offers->list[offers->n++];
    apr_cpystrn(slot->job, job, sizeof(slot->job));
    slot->epoch = epoch;
    return 0;
}

const wh_offer_t *wh_offers_next(const wh_offers_t *offers)
{
    return offers->first < offers->n ? &offers->list[offers->first] : NULL;
}

int wh_offers_waiting(const wh_offers_t *offers)
{
    return (int)(offers->n - offers->first);
}

const wh_offer_t *wh_offers_at(const wh_offers_t *offers, int i)
{
    return &offers->list[offers->first + (size_t)i];
}

void wh_offers_drop(wh_offers_t *offers)
{
    if (offers->first < offers->n && ++offers->first == offers->n) {
        wh_offers_free(offers);
    }
}

void wh_offers_free(wh_offers_t *offers)
{
    free(offers->list);
    offers->list = NULL;
    offers->first = offers->n = offers->size = 0;
}
