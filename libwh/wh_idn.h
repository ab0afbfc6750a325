/* wh_idn: names of the Internet in the letters that people write, by IDNA 2008 (UTS 46, not
 * transitional). DNS, visitors and our tables have the A-label ("xn--bcher-kva"); the U-label
 * ("bücher") is for people. Pure and thread-safe. */
#ifndef WH_IDN_H
#define WH_IDN_H

#include <apr_pools.h>

#include "libwh/wh_err.h"

#define WH_IDN_TEXT_MAX 1024

/* The name as DNS has it, in lower case, in p; text that is ASCII is no more than lowered. What no
 * registry could have given out (letters that are not for names, writing directions mixed, a label
 * or name that is too long, no UTF-8) is refused. Code (400): domain_invalid. */
apr_status_t wh_idn_ascii(apr_pool_t *p, const char *text, const char **out,
                          wh_err_t *err) WH_MUST_CHECK;

/* The name as people read it; host itself where it has no such form, or one that would not lead
 * back to it. In p. */
const char *wh_idn_unicode(apr_pool_t *p, const char *host);

#endif
