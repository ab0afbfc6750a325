/* wh_openmetrics: figures as text for Prometheus and others that read OpenMetrics 1.0.
 *
 * Families are begun one after another, each once, and their samples follow at once. Texts of
 * labels are escaped here; names are ours. The same text can be put into the older form
 * (text/plain; version=0.0.4), which names families of counters with their suffix and knows no
 * units.
 *
 * What it writes lies in the pool. Pure; one thread a writer. */
#ifndef WH_OPENMETRICS_H
#define WH_OPENMETRICS_H

#include "libwh/wh_types.h"

#define WH_OM_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"
#define WH_OM_TYPE_PLAIN "text/plain; version=0.0.4; charset=utf-8"

typedef enum wh_om_kind_e { WH_OM_COUNTER, WH_OM_GAUGE, WH_OM_HISTOGRAM, WH_OM_INFO } wh_om_kind_e;

typedef struct wh_om_t {
    apr_pool_t *p;
    char *buf;
    size_t n, room;
    const char *name; /* of the family under way */
} wh_om_t;

void wh_om_begin(wh_om_t *om, apr_pool_t *p);

/* name without a suffix; unit is what it ends in ("seconds", "bytes"), NULL = none. */
void wh_om_family(wh_om_t *om, wh_om_kind_e kind, const char *name, const char *unit,
                  const char *help);

/* One sample of the family: suffix ("", "_total", "_bucket", "_count", "_sum", "_info"), then names
 * and values of labels in turn, ended by NULL. */
void wh_om_int(wh_om_t *om, const char *suffix, apr_int64_t value, ...);
/* The same in seconds, of microseconds. */
void wh_om_us(wh_om_t *om, const char *suffix, apr_int64_t us, ...);
/* The same of thousandths. */
void wh_om_millis(wh_om_t *om, const char *suffix, apr_int64_t millis, ...);

/* Adds text that another writer made, without its end. */
void wh_om_text(wh_om_t *om, const char *text, size_t n);

/* True for text that can be added: lines, whole and not empty, of which none says that it is the
 * end, no NUL. */
int wh_om_text_ok(const char *text, size_t n);

/* Ends it; the text and its length. */
const char *wh_om_end(wh_om_t *om, size_t *n);

/* Such a text in the older form, in p. */
const char *wh_om_plain(apr_pool_t *p, const char *text, size_t *n);

/* Which form an Accept header (NULL = none) asks for: 1 = OpenMetrics, 0 = the older one. */
int wh_om_wanted(const char *accept);

#endif
