/* wh_commit: what people want to know of a commit, out of git's own text of it. Thread-safe. */
#ifndef WH_COMMIT_H
#define WH_COMMIT_H

#include <apr_pools.h>
#include <apr_time.h>

#include "libwh/wh_types.h"

#define WH_COMMIT_TEXT_MAX 16384 /* more of it is not looked at */
#define WH_COMMIT_MESSAGE_MAX 1024
#define WH_COMMIT_AUTHOR_MAX 256

typedef struct wh_commit_t {
    const char *message; /* each line cleaned (wh_text_clean_line), at most 1 KiB; "" */
    const char *author;  /* name, cleaned, at most 256 bytes; "" */
    apr_time_t at;       /* of the author, 0 = not said or not to be believed */
} wh_commit_t;

/* Reads the text that `git cat-file commit` gives (NUL-terminated). Never fails: what is not there
 * is "" or 0. Strings are in p. */
void wh_commit_parse(apr_pool_t *p, const char *text, wh_commit_t *out);

/* 1 when a message asks for no deployment: [skip ci], [skip deploy] and their like (R7). */
int wh_commit_skips(const char *message);

#endif
