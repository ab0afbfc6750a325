/* wh_idn: see wh_idn.h. */
#include <string.h>
#include <apr_strings.h>
#include <idn2.h>

#include "libwh/wh_idn.h"

/* Not IDN2_USE_STD3_ASCII_RULES: it takes what a name may not have out of it, without a word
 * (libidn2 2.3.3), so that "bü/x" becomes the name "büx". */
#define FLAGS (IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL)

static int is_ascii(const char *s)
{
    for (; *s; s++) {
        if ((unsigned char)*s >= 0x80)
            return 0;
    }
    return 1;
}

/* What stands in ASCII has to be that of a name. */
static int is_name(const char *s)
{
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;

        if (c < 0x80 && c != '-' && c != '.' && !(c >= '0' && c <= '9') &&
            !(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z'))
            return 0;
    }
    return 1;
}

static char *lower(apr_pool_t *p, const char *text)
{
    char *s = apr_pstrdup(p, text);

    for (char *c = s; *c; c++) {
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c - 'A' + 'a');
    }
    return s;
}

/* What libidn2 gave, as a string of p. */
static const char *take(apr_pool_t *p, void *made)
{
    const char *s = apr_pstrdup(p, made);

    idn2_free(made);
    return s;
}

apr_status_t wh_idn_ascii(apr_pool_t *p, const char *text, const char **out, wh_err_t *err)
{
    uint8_t *made = NULL;
    int rc;

    if (is_ascii(text)) {
        *out = lower(p, text);
        return APR_SUCCESS;
    }
    rc = !is_name(text)                    ? IDN2_DISALLOWED
         : strlen(text) <= WH_IDN_TEXT_MAX ? idn2_lookup_u8((const uint8_t *)text, &made, FLAGS)
                                           : IDN2_TOO_BIG_DOMAIN;
    if (rc != IDN2_OK)
        return wh_err_set(err, 400, "domain_invalid", "this is no name of the Internet: %s",
                          idn2_strerror(rc));
    *out = take(p, made);
    return APR_SUCCESS;
}

const char *wh_idn_unicode(apr_pool_t *p, const char *host)
{
    const char *text, *back;
    char *made = NULL;

    if (strstr(host, "xn--") == NULL || idn2_to_unicode_8z8z(host, &made, 0) != IDN2_OK)
        return host;
    text = take(p, made);
    return wh_idn_ascii(p, text, &back, NULL) == APR_SUCCESS && strcmp(back, host) == 0 ? text
                                                                                        : host;
}
