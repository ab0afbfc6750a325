/* wh_address: see wh_address.h. The parsers are strict: what they take has one reading only, which
 * inet_aton's octal, hexadecimal and short forms do not. */
#include <string.h>

#include "libwh/wh_address.h"

/* Four decimal parts into bytes; 0 when it is none. */
static int v4_parse(const char *s, unsigned char out[4])
{
    for (int i = 0; i < 4; i++) {
        size_t n = strspn(s, "0123456789");
        int part = 0;

        if (n == 0 || n > 3 || (n > 1 && s[0] == '0'))
            return 0;
        for (; n > 0; n--)
            part = part * 10 + (*s++ - '0');
        if (part > 255 || *s != (i < 3 ? '.' : '\0'))
            return 0;
        out[i] = (unsigned char)part;
        s++;
    }
    return 1;
}

/* One group of at most four hex digits; returns its length, 0 when there is none. */
static size_t group_parse(const char *s, unsigned *value)
{
    size_t n = strspn(s, "0123456789abcdefABCDEF");

    *value = 0;
    for (size_t i = 0; i < n && n <= 4; i++) {
        int c = s[i] | 0x20;

        *value = *value * 16 + (unsigned)(c >= 'a' ? c - 'a' + 10 : c - '0');
    }
    return n <= 4 ? n : 0;
}

/* Eight groups, or fewer with one "::", into bytes; 0 when it is none. */
static int v6_parse(const char *s, unsigned char out[16])
{
    unsigned groups[8];
    int n = 0, gap = -1;

    if (s[0] == ':' && s[1] != ':')
        return 0;
    while (*s) {
        size_t len;

        if (*s == ':') {
            if (gap >= 0 || s[1] != ':')
                return 0;
            gap = n;
            s += 2;
            continue;
        }
        if (n == 8 || (len = group_parse(s, &groups[n])) == 0)
            return 0;
        n++;
        s += len;
        if (s[0] == ':' && s[1] != ':') {
            if (s[1] == '\0')
                return 0;
            s++;
        } else if (s[0] != '\0' && s[0] != ':') {
            return 0;
        }
    }
    if (gap < 0 ? n != 8 : n > 7)
        return 0;
    memset(out, 0, 16);
    for (int i = 0; i < n; i++) {
        int at = gap >= 0 && i >= gap ? i + 8 - n : i;

        out[2 * at] = (unsigned char)(groups[i] >> 8);
        out[2 * at + 1] = (unsigned char)(groups[i] & 0xff);
    }
    return 1;
}

static wh_address_e v4_class(const unsigned char a[4])
{
    if (a[0] == 127)
        return WH_ADDRESS_LOOPBACK;
    if (a[0] == 0 || a[0] >= 224 || (a[0] == 169 && a[1] == 254))
        return WH_ADDRESS_REFUSED;
    return WH_ADDRESS_HOST;
}

static wh_address_e v6_class(const unsigned char a[16])
{
    static const unsigned char zero[16];
    static const unsigned char nat64[12] = {0x00, 0x64, 0xff, 0x9b};

    if (memcmp(a, zero, 15) == 0 && a[15] == 1)
        return WH_ADDRESS_LOOPBACK;
    if (memcmp(a, zero, 10) == 0 && a[10] == 0xff && a[11] == 0xff)
        return v4_class(a + 12);
    if (memcmp(a, nat64, sizeof(nat64)) == 0)
        return v4_class(a + 12);
    if (a[0] == 0x20 && a[1] == 0x02)
        return v4_class(a + 2);
    if (memcmp(a, zero, 12) == 0 || a[0] == 0xff || (a[0] == 0xfe && (a[1] & 0xc0) == 0x80))
        return WH_ADDRESS_REFUSED;
    return WH_ADDRESS_HOST;
}

wh_address_e wh_address_of(const char *text)
{
    unsigned char bytes[16];

    if (strchr(text, ':') != NULL)
        return v6_parse(text, bytes) ? v6_class(bytes) : WH_ADDRESS_BAD;
    return v4_parse(text, bytes) ? v4_class(bytes) : WH_ADDRESS_BAD;
}

/* What the registries of IANA (RFC 6890) do not call globally reachable, beside what v4_class and
 * v6_class refuse. */
typedef struct range_t {
    unsigned char bits, prefix[3];
} range_t;

static int within(const unsigned char *a, const range_t *ranges, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const range_t *range = &ranges[i];
        int k = 0, bits = range->bits;

        for (; bits >= 8 && a[k] == range->prefix[k]; bits -= 8)
            k++;
        if (bits < 8 && (bits == 0 || ((a[k] ^ range->prefix[k]) >> (8 - bits)) == 0))
            return 1;
    }
    return 0;
}

static int v4_public(const unsigned char a[4])
{
    static const range_t own[] = {
        {8, {10}},          {12, {172, 16}},     {16, {192, 168}},    {10, {100, 64}},
        {24, {192, 0, 0}},  {24, {192, 0, 2}},   {15, {198, 18}},     {24, {198, 51, 100}},
        {24, {203, 0, 113}}};

    return v4_class(a) == WH_ADDRESS_HOST && !within(a, own, sizeof(own) / sizeof(own[0]));
}

/* The IPv4 address inside an IPv6 one, NULL = it has none. */
static const unsigned char *v6_inner(const unsigned char a[16])
{
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
    static const unsigned char nat64[12] = {0x00, 0x64, 0xff, 0x9b};

    if (memcmp(a, mapped, sizeof(mapped)) == 0 || memcmp(a, nat64, sizeof(nat64)) == 0)
        return a + 12;
    return a[0] == 0x20 && a[1] == 0x02 ? a + 2 : NULL;
}

/* 2000::/3 is all that was ever given out; in it 2001::/23 is for protocols (Teredo carries an IPv4
 * address), the others for documents. */
static int v6_public(const unsigned char a[16])
{
    static const range_t given[] = {{3, {0x20}}};
    const unsigned char *inner = v6_inner(a);

    if (inner != NULL)
        return v4_public(inner);
    return within(a, given, 1) && !(a[0] == 0x20 && a[1] == 0x01 && a[2] < 2) &&
           memcmp(a, "\x20\x01\x0d\xb8", 4) != 0 && !(a[0] == 0x3f && a[1] == 0xff && a[2] < 16);
}

int wh_address_public(const char *text)
{
    unsigned char bytes[16];

    if (strchr(text, ':') == NULL)
        return v4_parse(text, bytes) && v4_public(bytes);
    return v6_parse(text, bytes) && v6_public(bytes);
}
