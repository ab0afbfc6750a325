#include <string.h>
#include <apr_lib.h>
#include "libwh/wh_sign.h"
#include "wh-agent/lstree.h"

void wh_lstree_init(wh_lstree_t *ls, wh_lstree_fn *fn, void *baton)
{
    ls->fn = fn;
    ls->baton = baton;
    ls->have = 0;
    ls->broken = 0;
}

/* Six octal digits. */
static int parse_mode(const char *s, unsigned *mode)
{
    unsigned value = 0;

    for (int i = 0; i < 6; i++) {
        if (s[i] < '0' || s[i] > '7')
            return -1;
        value = value * 8 + (unsigned)(s[i] - '0');
    }
    *mode = value;
    return s[6] == ' ' ? 0 : -1;
}

/* "   123" or "      -", up to the tab. */
static int parse_size(const char *s, const char *tab, apr_int64_t *size)
{
    apr_int64_t value = 0;

    while (s < tab && *s == ' ')
        s++;
    if (tab - s == 1 && *s == '-') {
        *size = -1;
        return 0;
    }
    if (s == tab || tab - s > 18)
        return -1;
    for (; s < tab; s++) {
        if (!apr_isdigit(*s))
            return -1;
        value = value * 10 + (*s - '0');
    }
    *size = value;
    return 0;
}

static wh_lstree_kind_e kind_of(unsigned mode, const char *type, size_t n)
{
    int is_blob = n == 4 && memcmp(type, "blob", 4) == 0;

    if (is_blob && (mode == 0100644 || mode == 0100755))
        return WH_LSTREE_FILE;
    if (is_blob && mode == 0120000)
        return WH_LSTREE_SYMLINK;
    if (mode == 0160000)
        return WH_LSTREE_SUBMODULE;
    return WH_LSTREE_ODD;
}

/* "<mode> <type> <oid> <size>\t<path>" with a NUL behind it. */
static int parse_entry(const char *s, wh_lstree_entry_t *entry)
{
    const char *tab = strchr(s, '\t'), *type, *oid, *end;
    size_t noid;

    if (tab == NULL || tab - s < 12 || tab[1] == '\0' || parse_mode(s, &entry->mode) != 0)
        return -1;
    type = s + 7;
    oid = memchr(type, ' ', (size_t)(tab - type));
    if (oid == NULL)
        return -1;
    oid++;
    end = memchr(oid, ' ', (size_t)(tab - oid));
    if (end == NULL)
        return -1;
    noid = (size_t)(end - oid);
    if (noid != 40 && noid != 64)
        return -1;
    memcpy(entry->oid, oid, noid);
    entry->oid[noid] = '\0';
    if (!wh_sign_is_hex(entry->oid, noid))
        return -1;
    entry->kind = kind_of(entry->mode, type, (size_t)(oid - 1 - type));
    entry->path = tab + 1;
    if (parse_size(end + 1, tab, &entry->size) != 0)
        return -1;
    return entry->kind == WH_LSTREE_FILE && entry->size < 0 ? -1 : 0;
}

static int entry_done(wh_lstree_t *ls)
{
    wh_lstree_entry_t entry;

    ls->have = 0;
    if (parse_entry(ls->buf, &entry) != 0) {
        ls->broken = 1;
        return -1;
    }
    return ls->fn(ls->baton, &entry);
}

int wh_lstree_feed(void *baton, const char *buf, size_t n)
{
    wh_lstree_t *ls = baton;

    while (n > 0 && !ls->broken) {
        const char *nul = memchr(buf, '\0', n);
        size_t take = nul != NULL ? (size_t)(nul - buf) + 1 : n;
        int rv;

        if (take > sizeof(ls->buf) - ls->have - (nul == NULL)) {
            ls->broken = 1;
            return -1;
        }
        memcpy(ls->buf + ls->have, buf, take);
        ls->have += take;
        buf += take;
        n -= take;
        if (nul == NULL)
            continue;
        rv = entry_done(ls);
        if (rv != 0)
            return rv;
    }
    return ls->broken ? -1 : 0;
}

int wh_lstree_complete(const wh_lstree_t *ls)
{
    return !ls->broken && ls->have == 0;
}
