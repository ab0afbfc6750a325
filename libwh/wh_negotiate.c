/* wh_negotiate: see wh_negotiate.h. Weights are thousandths; -1 = not named. */
#include <string.h>
#include <strings.h>

#include "libwh/wh_negotiate.h"
#include "libwh/wh_types.h"

#define STAR (WH_CODING_IDENTITY + 1)
#define NAMES (STAR + 1)
#define ONE 1000

typedef struct name_t {
    const char *text;
    size_t n;
    int coding;
} name_t;

/* "x-gzip" is the same as "gzip" (8.4.1.3). */
static const name_t names[] = {
    {"br", 2, WH_CODING_BR},
    {"zstd", 4, WH_CODING_ZSTD},
    {"gzip", 4, WH_CODING_GZIP},
    {"x-gzip", 6, WH_CODING_GZIP},
    {"identity", 8, WH_CODING_IDENTITY},
    {"*", 1, STAR},
};

static const char *skip_space(const char *s)
{
    while (*s == ' ' || *s == '\t')
        s++;
    return s;
}

/* qvalue = ( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "." 0*3("0") ] ). Thousandths, or -1. */
static int qvalue(const char **at)
{
    const char *s = *at;
    int v, unit = ONE;

    if (*s != '0' && *s != '1')
        return -1;
    v = (*s++ - '0') * ONE;
    if (*s == '.') {
        for (s++; *s >= '0' && *s <= '9'; s++) {
            unit /= 10;
            if (unit == 0)
                return -1;
            v += (*s - '0') * unit;
        }
    }
    *at = s;
    return v <= ONE ? v : -1;
}

/* The weight behind a coding, up to the comma: ONE when there is none, -1 when it is no weight. */
static int weight(const char *s, const char *end)
{
    int v;

    s = skip_space(s);
    if (s == end)
        return ONE;
    if (*s != ';')
        return -1;
    s = skip_space(s + 1);
    if ((*s != 'q' && *s != 'Q') || s[1] != '=')
        return -1;
    s += 2;
    v = qvalue(&s);
    return skip_space(s) == end ? v : -1;
}

static void member(const char *s, const char *end, int q[NAMES])
{
    size_t n;

    s = skip_space(s);
    n = strcspn(s, " \t;,");
    for (size_t i = 0; i < WH_ARRAY_LEN(names); i++) {
        if (names[i].n == n && strncasecmp(names[i].text, s, n) == 0) {
            int v = weight(s + n, end);

            if (v >= 0)
                q[names[i].coding] = v;
            return;
        }
    }
}

int wh_negotiate_coding(const char *accept, unsigned there)
{
    int q[NAMES];
    int best = WH_CODING_IDENTITY, best_q;

    if (!accept || there == 0)
        return WH_CODING_IDENTITY;
    for (int i = 0; i < NAMES; i++)
        q[i] = -1;
    for (const char *s = accept, *end;; s = end + 1) {
        end = s + strcspn(s, ",");
        member(s, end, q);
        if (*end == '\0')
            break;
    }
    /* Not named, the file itself is acceptable unless "*;q=0", but what is named comes first. */
    best_q = q[WH_CODING_IDENTITY] >= 0 ? q[WH_CODING_IDENTITY] : 0;
    for (int i = WH_CODINGS - 1; i >= 0; i--) {
        int v = q[i] >= 0 ? q[i] : q[STAR];

        if ((there & (1u << i)) && v > 0 && v >= best_q) {
            best = i;
            best_q = v;
        }
    }
    return best;
}
