/* The route table's only writer. Host name -> record (libwh/wh_route.h) in an LMDB environment that
 * httpd's children read; `routes` is a link to the directory in force, routes.1, routes.2 …
 *
 * What the trials taught: catching errors does not make a damaged file safe (a truncated one is a
 * SIGBUS, a scrambled one answers wrongly), and replacing data.mdb under a reader loses names. So a
 * table is looked through by a process of its own before it is used, a bad one is left as it is,
 * and a new directory takes its place by a rename of the link; httpd looks at the link once a
 * second.
 *
 * Beside the names there is one record under the key "\0table": count and generation, with a
 * checksum, so that a table that lost names is seen to be short. No host name begins with a NUL.
 * Belongs to the database thread.
 */
#ifndef WH_PUBLISH_H
#define WH_PUBLISH_H

#include <apr_tables.h>

#include "libwh/wh_route.h"

#define WH_PUBLISH_MAP_BYTES (1024 * WH_MIB) /* the same on both sides: address space only */
#define WH_PUBLISH_READERS 4096

typedef struct wh_publish_t wh_publish_t;

/* A name to write (route set) or to take away (route NULL). */
typedef struct wh_publish_item_t {
    const char *host; /* lower case, no port */
    const wh_route_t *route;
} wh_publish_item_t;

/* Opens the table behind `link`, made when there is none. verifier is the path of a program that is
 * run as "<verifier> --verify-routes <dir>" and exits 0 when the table is sound; NULL = no check
 * (tests). Beside a damaged table a new one is made, which takes its place with the first
 * wh_publish_all: *fresh is 1 then. The caller publishes everything at start anyway. Closed with p.
 * Errors: routes_unusable. */
apr_status_t wh_publish_open(apr_pool_t *p, const char *link, const char *verifier,
                             wh_publish_t **out, int *fresh, wh_err_t *err) WH_MUST_CHECK;

/* One transaction for all items (of one app, say); durable when it returns. Records get the next
 * generation. On an error nothing has changed. Errors: routes_failed. */
apr_status_t wh_publish_items(wh_publish_t *pub, apr_pool_t *ptemp, const apr_array_header_t *items,
                              wh_err_t *err) WH_MUST_CHECK;

/* The same, and every name that is not among the items goes: the table is exactly this. */
apr_status_t wh_publish_all(wh_publish_t *pub, apr_pool_t *ptemp, const apr_array_header_t *items,
                            wh_err_t *err) WH_MUST_CHECK;

/* Frees the slots of readers that died, so that their pages can be used again. Every minute. */
void wh_publish_tend(wh_publish_t *pub);

/* Looks the table through (in a process of its own). When it is damaged *fresh is 1 and a
 * new one takes its place with the next wh_publish_all. Every hour. */
apr_status_t wh_publish_check(wh_publish_t *pub, apr_pool_t *ptemp, int *fresh,
                              wh_err_t *err) WH_MUST_CHECK;

/* What --verify-routes does, in this process: APR_SUCCESS, or routes_damaged with what was found.
 * May die of a signal on a damaged file; that is why it is a process of its own. *names (may be
 * NULL) counts them. */
apr_status_t wh_publish_verify(apr_pool_t *p, const char *dir, apr_size_t *names,
                               wh_err_t *err) WH_MUST_CHECK;

/* Makes directory and files of an empty table, and the link. Nothing is touched when the link is
 * there. For --init too. */
apr_status_t wh_publish_make(apr_pool_t *p, const char *link, wh_err_t *err) WH_MUST_CHECK;

#endif
