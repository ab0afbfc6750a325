/* wh_mask: secret values are taken out of text: each stands in it as "***".
 *
 * All forms of all values are looked for in one pass (A. V. Aho and M. J. Corasick, "Efficient
 * string matching: an aid to bibliographic search", Comm. ACM 18(6), 1975): as it is; each line of
 * a value of several; escaped as in JSON; percent-encoded in the usual ways; hex; base64 and
 * base64url at each of the three places at which a value can stand in what was encoded as a whole
 * ("user:secret"). Line ends in the text count for nothing, so that base64 in lines of 76, or a
 * value that is printed over several lines, is found: of what goes on from one piece of text to the
 * next the caller keeps the state between them. What a piece ends with is masked, too, when it is
 * the beginning of a form and WH_MASK_MIN bytes long; so of a form that goes over a border at most
 * WH_MASK_MIN - 1 bytes are seen.
 *
 * Values (and forms, and lines) of fewer than WH_MASK_MIN bytes are not looked for: they would blot
 * out ordinary words, and protect nothing. A mask is read-only once made, and for any thread. */
#ifndef WH_MASK_H
#define WH_MASK_H

#include "libwh/wh_types.h"

#define WH_MASK_MIN 6
#define WH_MASK_TEXT "***"

typedef struct wh_mask_t wh_mask_t;

/* For these n values, in p. NULL when none of them is long enough: every function here takes NULL
 * for "mask nothing". */
wh_mask_t *wh_mask_make(apr_pool_t *p, const char *const *values, int n);

/* Between two pieces of the same stream; zero it first. */
typedef struct wh_mask_state_t {
    int at;
} wh_mask_state_t;

/* The piece with what is secret replaced, in p, with a NUL behind its *len bytes; s itself when
 * there is nothing to replace. state may be NULL for a text that stands alone. */
const char *wh_mask_text(apr_pool_t *p, const wh_mask_t *mask, wh_mask_state_t *state,
                         const char *s, size_t n, size_t *len);

/* A NUL-terminated text where it stands, of size bytes at most; cut when it gets longer, which it
 * gets by no value of WH_MASK_MIN bytes. */
void wh_mask_buf(const wh_mask_t *mask, char *buf, size_t size);

#endif
