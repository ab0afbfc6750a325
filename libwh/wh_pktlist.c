/* wh_pktlist: see wh_pktlist.h. */
#include <string.h>

#include "libwh/wh_pktlist.h"

#define HEAD ((size_t)4)

void wh_pktlist_init(wh_pktlist_t *list)
{
    memset(list, 0, sizeof(*list));
    list->want = HEAD;
}

static int hex_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* "<40 or 64 digits><end>"; what follows, or NULL. */
static const char *behind_oid(const char *s, char end)
{
    size_t n = strspn(s, "0123456789abcdef");

    return (n == 40 || n == 64) && s[n] == end ? s + n + (end != '\0') : NULL;
}

/* The line without its end; a NUL in it begins what the client can do. */
static int take_line(wh_pktlist_t *list, char *line, size_t n)
{
    const char *name;

    if (n > 0 && line[n - 1] == '\n')
        n--;
    line[n] = '\0';
    if (strncmp(line, "shallow ", 8) == 0)
        return behind_oid(line + 8, '\0') != NULL ? 0 : -1;
    name = behind_oid(line, ' ');
    name = name != NULL ? behind_oid(name, ' ') : NULL;
    if (name == NULL || *name == '\0')
        return -1;
    for (; *name != '\0'; name++)
        if ((unsigned char)*name < ' ' || *name == 0x7f)
            return -1;
    list->commands++;
    return 0;
}

/* What was wanted is there. */
static int step(wh_pktlist_t *list)
{
    size_t length = 0;

    if (list->want > HEAD) {
        list->want = HEAD;
        return take_line(list, list->line, list->n);
    }
    for (size_t i = 0; i < HEAD; i++) {
        if (hex_of(list->line[i]) < 0)
            return -1;
        length = length * 16 + (size_t)hex_of(list->line[i]);
    }
    list->done = length == 0;
    if (length != 0 && (length <= HEAD || length > WH_PKTLIST_LINE_MAX))
        return -1;
    list->want = length;
    return 0;
}

int wh_pktlist_feed(wh_pktlist_t *list, const char *data, size_t n)
{
    while (n > 0 && !list->done && !list->bad) {
        /* A line's length counts its own four digits, which are read by then. */
        size_t need = list->want > HEAD ? list->want - HEAD : HEAD, take = need - list->n;

        take = take < n ? take : n;
        memcpy(list->line + list->n, data, take);
        list->n += take;
        list->total += take;
        data += take;
        n -= take;
        if (list->total > WH_PKTLIST_MAX)
            list->bad = 1;
        if (list->n == need) {
            list->bad |= step(list) != 0;
            list->n = 0;
        }
    }
    return list->bad ? -1 : 0;
}
