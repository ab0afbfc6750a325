/* wh_hook_provider: the tables of wh_hook_provider.def. */
#include <string.h>
#include <strings.h>
#include <apr_strings.h>

#include "libwh/wh_hook_int.h"

enum {
#define WH_HOOK_PROVIDER(sym, ...) PROVIDER_##sym,
#include "libwh/wh_hook_provider.def"
#undef WH_HOOK_PROVIDER
    PROVIDERS
};

enum {
#define WH_HOOK_SHAPE(sym, ...) SHAPE_##sym,
#include "libwh/wh_hook_provider.def"
#undef WH_HOOK_SHAPE
    SHAPES
};

static const wh_hook_shape_t shapes[SHAPES] = {
#define WH_HOOK_SHAPE(sym, ...) [SHAPE_##sym] = {__VA_ARGS__},
#include "libwh/wh_hook_provider.def"
#undef WH_HOOK_SHAPE
};

static const wh_hook_provider_t providers[PROVIDERS] = {
#define WH_HOOK_PROVIDER(sym, text, ...)                                                           \
    [PROVIDER_##sym] = {.name = (text), .kind = PROVIDER_##sym, __VA_ARGS__},
#include "libwh/wh_hook_provider.def"
#undef WH_HOOK_PROVIDER
};

static const struct {
    const char *name;
    int of;
    const char *title;
} aliases[] = {
#define WH_HOOK_ALIAS(sym, who, text) {#sym, PROVIDER_##who, text},
#include "libwh/wh_hook_provider.def"
#undef WH_HOOK_ALIAS
};

static const struct {
    int provider;
    const char *event, *action;
    wh_hook_kind_e kind;
    int shape;
} events[] = {
#define WH_HOOK_EVENT(who, name, act, what, form)                                                  \
    {PROVIDER_##who, name, act, WH_HOOK_##what, SHAPE_##form},
#include "libwh/wh_hook_provider.def"
#undef WH_HOOK_EVENT
};

const wh_hook_provider_t *wh_hook_provider_at(int i)
{
    return i >= 0 && i < PROVIDERS ? &providers[i] : NULL;
}

const wh_hook_provider_t *wh_hook_provider(const char *name)
{
    size_t i;

    for (i = 0; name && i < WH_ARRAY_LEN(providers); i++) {
        if (strcmp(providers[i].name, name) == 0)
            return &providers[i];
    }
    for (i = 0; name && i < WH_ARRAY_LEN(aliases); i++) {
        if (strcmp(aliases[i].name, name) == 0)
            return &providers[aliases[i].of];
    }
    return NULL;
}

const char *wh_hook_provider_names(apr_pool_t *p)
{
    const char *text = providers[0].name;
    size_t i;

    for (i = 1; i < WH_ARRAY_LEN(providers); i++)
        text = apr_pstrcat(p, text, ", ", providers[i].name, NULL);
    for (i = 0; i < WH_ARRAY_LEN(aliases); i++)
        text = apr_pstrcat(p, text, ", ", aliases[i].name, NULL);
    return text;
}

int wh_hook_int_event(const wh_hook_provider_t *provider, const char *event, const char *action,
                      wh_hook_kind_e *kind, const wh_hook_shape_t **shape)
{
    int known = 0;
    size_t i;

    *kind = WH_HOOK_OTHER;
    *shape = NULL;
    for (i = 0; i < WH_ARRAY_LEN(events); i++) {
        if (events[i].provider != provider->kind || strcmp(events[i].event, event) != 0)
            continue;
        known = 1;
        if (events[i].action && (!action || strcmp(events[i].action, action) != 0))
            continue;
        *kind = events[i].kind;
        *shape = &shapes[events[i].shape];
        break;
    }
    return known;
}

static const char *const kinds[WH_HOOK_KINDS] = {
    [WH_HOOK_OTHER] = "other",
    [WH_HOOK_PING] = "ping",
    [WH_HOOK_PUSH] = "push",
    [WH_HOOK_TAG] = "tag",
    [WH_HOOK_DELETE] = "delete",
    [WH_HOOK_REQUEST_OPEN] = "request_open",
    [WH_HOOK_REQUEST_SYNC] = "request_sync",
    [WH_HOOK_REQUEST_CLOSE] = "request_close",
};

const char *wh_hook_kind_text(wh_hook_kind_e kind)
{
    return (unsigned)kind < WH_HOOK_KINDS ? kinds[kind] : kinds[WH_HOOK_OTHER];
}

wh_hook_kind_e wh_hook_kind_of(const char *text)
{
    int i;

    for (i = 0; text && i < WH_HOOK_KINDS; i++) {
        if (strcmp(kinds[i], text) == 0)
            return (wh_hook_kind_e)i;
    }
    return WH_HOOK_OTHER;
}
