#include <errno.h>
#include <string.h>
#include <apr_strings.h>
#include "libwh/wh_text.h"

#define ESC 0x1b
#define REPLACEMENT "\xef\xbf\xbd"

static int is_cont(unsigned char c)
{
    return (c & 0xc0) == 0x80;
}

/* Table 3-7 of the Unicode standard: the second byte's range depends on the first. */
size_t wh_text_utf8_len(const char *s, size_t n)
{
    const unsigned char *u = (const unsigned char *)s;
    unsigned char lo = 0x80, hi = 0xbf;
    size_t len;

    if (n == 0)
        return 0;
    if (u[0] < 0x80)
        return 1;
    if (u[0] < 0xc2 || u[0] > 0xf4)
        return 0;
    len = u[0] < 0xe0 ? 2 : u[0] < 0xf0 ? 3 : 4;
    if (u[0] == 0xe0)
        lo = 0xa0;
    else if (u[0] == 0xed)
        hi = 0x9f;
    else if (u[0] == 0xf0)
        lo = 0x90;
    else if (u[0] == 0xf4)
        hi = 0x8f;
    if (n < len || u[1] < lo || u[1] > hi)
        return 0;
    for (size_t i = 2; i < len; i++)
        if (!is_cont(u[i]))
            return 0;
    return len;
}

int wh_text_utf8_ok(const char *s, size_t n)
{
    size_t len;

    if (n == WH_TEXT_NUL)
        n = strlen(s);
    for (size_t i = 0; i < n; i += len) {
        len = wh_text_utf8_len(s + i, n - i);
        if (len == 0)
            return 0;
    }
    return 1;
}

size_t wh_text_utf8_floor(const char *s, size_t n)
{
    for (size_t back = 1; back <= 3 && back <= n; back++) {
        unsigned char c = (unsigned char)s[n - back];

        if (is_cont(c))
            continue;
        if ((c >= 0xc0 && back < 2) || (c >= 0xe0 && back < 3) || (c >= 0xf0 && back < 4))
            return n - back;
        break;
    }
    return n;
}

/* C0 and DEL, or C1 (two bytes in UTF-8). */
static int is_control(const char *s, size_t len)
{
    unsigned char c = (unsigned char)s[0];

    return c < 0x20 || c == 0x7f || (len == 2 && c == 0xc2 && (unsigned char)s[1] < 0xa0);
}

int wh_text_plain(const char *s, size_t n)
{
    size_t len;

    if (n == WH_TEXT_NUL)
        n = strlen(s);
    for (size_t i = 0; i < n; i += len) {
        len = wh_text_utf8_len(s + i, n - i);
        if (is_control(s + i, len))
            return 0;
        if (len == 0)
            len = 1;
    }
    return 1;
}

int wh_text_honest(const char *s, size_t n)
{
    const unsigned char *u = (const unsigned char *)s;

    if (n == WH_TEXT_NUL)
        n = strlen(s);
    for (size_t i = 0; i + 2 < n; i++) {
        if (u[i] == 0xe2 && u[i + 1] == 0x80 &&
            ((u[i + 2] >= 0x8b && u[i + 2] <= 0x8f) || (u[i + 2] >= 0xaa && u[i + 2] <= 0xae)))
            return 0;
        if (u[i] == 0xe2 && u[i + 1] == 0x81 && u[i + 2] >= 0xa6 && u[i + 2] <= 0xa9)
            return 0;
        if (u[i] == 0xef && u[i + 1] == 0xbb && u[i + 2] == 0xbf)
            return 0;
    }
    return wh_text_plain(s, n);
}

void wh_text_tame(char *s)
{
    size_t n = strlen(s);
    size_t len;

    for (size_t i = 0; i < n; i += len) {
        len = wh_text_utf8_len(s + i, n - i);
        if (len == 0 || is_control(s + i, len)) {
            len = len == 0 ? 1 : len;
            memset(s + i, '?', len);
        }
    }
}

/* The state of one cleaning: in[0…n), out[0…cap). */
typedef struct cleaner_t {
    const unsigned char *in;
    size_t n, pos;
    char *out;
    size_t cap, len;
    int full;          /* something did not fit */
    int no_string_end; /* no terminator of a control string is left in the input */
} cleaner_t;

static void put(cleaner_t *c, const char *bytes, size_t len)
{
    if (c->full || c->len + len > c->cap) {
        c->full = 1;
        return;
    }
    memcpy(c->out + c->len, bytes, len);
    c->len += len;
}

static int peek(const cleaner_t *c, size_t at)
{
    return at < c->n ? c->in[at] : -1;
}

/* A control sequence behind its introducer: parameters, intermediates, one final byte. What breaks
 * the form is left where it is, as text. */
static void skip_csi(cleaner_t *c)
{
    while (peek(c, c->pos) >= 0x30 && peek(c, c->pos) <= 0x3f)
        c->pos++;
    while (peek(c, c->pos) >= 0x20 && peek(c, c->pos) <= 0x2f)
        c->pos++;
    if (peek(c, c->pos) >= 0x40 && peek(c, c->pos) <= 0x7e)
        c->pos++;
}

/* A control string (window title, device control) up to BEL or ST. Without an end only its
 * introducer goes, or the rest of the line could be hidden; that there is none is remembered, or
 * many introducers would cost a scan each. */
static void skip_string(cleaner_t *c)
{
    if (c->no_string_end)
        return;
    for (size_t i = c->pos; i < c->n; i++) {
        if (c->in[i] == 0x07) {
            c->pos = i + 1;
            return;
        }
        if ((c->in[i] == ESC && peek(c, i + 1) == '\\') ||
            (c->in[i] == 0xc2 && peek(c, i + 1) == 0x9c)) {
            c->pos = i + 2;
            return;
        }
    }
    c->no_string_end = 1;
}

/* The sequence that begins at pos with ESC. */
static void skip_escape(cleaner_t *c)
{
    int next = peek(c, c->pos + 1);

    c->pos++;
    if (next == '[') {
        c->pos++;
        skip_csi(c);
    } else if (next == ']' || next == 'P' || next == 'X' || next == '^' || next == '_') {
        c->pos++;
        skip_string(c);
    } else if (next >= 0x20 && next <= 0x2f) {
        while (peek(c, c->pos) >= 0x20 && peek(c, c->pos) <= 0x2f)
            c->pos++;
        if (peek(c, c->pos) >= 0x30 && peek(c, c->pos) <= 0x7e)
            c->pos++;
    } else if (next >= 0x30 && next <= 0x7e) {
        c->pos++;
    }
}

/* A C1 control in UTF-8 at pos: some of them introduce what ESC and a letter introduce. */
static void skip_c1(cleaner_t *c)
{
    unsigned char which = c->in[c->pos + 1];

    c->pos += 2;
    if (which == 0x9b)
        skip_csi(c);
    else if (which == 0x90 || which == 0x98 || which == 0x9d || which == 0x9e || which == 0x9f)
        skip_string(c);
}

static void clean_one(cleaner_t *c)
{
    const char *at = (const char *)c->in + c->pos;
    unsigned char b = c->in[c->pos];
    size_t len = wh_text_utf8_len(at, c->n - c->pos);

    if (b == ESC) {
        skip_escape(c);
    } else if (b == '\r' || b == '\n') {
        while (peek(c, c->pos) == '\r' || peek(c, c->pos) == '\n')
            c->pos++;
        put(c, " ", 1);
    } else if (len == 0) {
        put(c, REPLACEMENT, 3);
        c->pos++;
    } else if (b != '\t' && is_control(at, len)) {
        if (len == 2)
            skip_c1(c);
        else
            c->pos++;
    } else {
        put(c, at, len);
        c->pos += len;
    }
}

char *wh_text_clean_line(apr_pool_t *p, const char *s, size_t n, size_t cap)
{
    cleaner_t c = {.in = (const unsigned char *)s, .cap = cap};

    if (n == WH_TEXT_NUL)
        n = strlen(s);
    while (n > 0 && (s[n - 1] == '\n' || s[n - 1] == '\r'))
        n--;
    c.n = n;
    /* A stray byte grows to three; no more than that is ever needed. */
    c.out = apr_palloc(p, (n < cap / 3 ? n * 3 : cap) + 1);
    while (c.pos < c.n && !c.full)
        clean_one(&c);
    if (c.full && cap >= 2 * strlen(WH_TEXT_CUT)) {
        c.len = wh_text_utf8_floor(
            c.out, c.len < cap - strlen(WH_TEXT_CUT) ? c.len : cap - strlen(WH_TEXT_CUT));
        memcpy(c.out + c.len, WH_TEXT_CUT, strlen(WH_TEXT_CUT));
        c.len += strlen(WH_TEXT_CUT);
    }
    c.out[c.len] = '\0';
    return c.out;
}

char *wh_text_cap_middle(apr_pool_t *p, const char *s, size_t max)
{
    size_t len = strlen(s);
    size_t head, tail;

    if (len <= max)
        return apr_pstrdup(p, s);
    head = wh_text_utf8_floor(s, max / 2);
    tail = len - max / 2;
    while (tail < len && is_cont((unsigned char)s[tail]))
        tail++;
    return apr_pstrcat(p, apr_pstrmemdup(p, s, head), WH_TEXT_CUT_MIDDLE, s + tail, NULL);
}

char *wh_text_cap(apr_pool_t *p, const char *s, size_t max)
{
    size_t len = strlen(s);

    return apr_pstrmemdup(p, s, len <= max ? len : wh_text_utf8_floor(s, max));
}

/* The escaped form of what stands at s into e (at least 5 bytes), its length, and how much was
 * read. */
static size_t escape_one(const char *s, size_t n, int twice, char *e, size_t *read)
{
    static const char hex[] = "0123456789abcdef";
    size_t len = wh_text_utf8_len(s, n);

    if (len > 0 && !is_control(s, len)) {
        memcpy(e, s, len);
        *read = len;
        if (twice && s[0] == '\\') {
            e[1] = '\\';
            return 2;
        }
        return len;
    }
    e[0] = '\\';
    e[1] = 'x';
    e[2] = hex[(unsigned char)s[0] >> 4];
    e[3] = hex[s[0] & 15];
    *read = 1;
    return 4;
}

static void escape_into(char *out, size_t max, const char *s, size_t n, int twice)
{
    size_t len = 0, read;
    char e[5];

    for (size_t i = 0; i < n; i += read) {
        size_t k = escape_one(s + i, n - i, twice, e, &read);

        if (len + k > max)
            break;
        memcpy(out + len, e, k);
        len += k;
    }
    out[len] = '\0';
}

const char *wh_text_log_escape(apr_pool_t *p, const char *s, size_t n, size_t max)
{
    char *out;

    if (n == WH_TEXT_NUL)
        n = strlen(s);
    if (n < max / 4)
        max = n * 4;
    out = apr_palloc(p, max + 1);
    escape_into(out, max, s, n, 1);
    return out;
}

void wh_text_log_escape_buf(char *out, size_t size, const char *s, size_t n)
{
    if (n == WH_TEXT_NUL)
        n = strlen(s);
    escape_into(out, size - 1, s, n, 0);
}

const char *wh_text_first_line(apr_pool_t *p, const char *s)
{
    return apr_pstrmemdup(p, s, strcspn(s, "\r\n"));
}

const char *wh_text_short_sha(apr_pool_t *p, const char *sha)
{
    return sha != NULL ? apr_pstrndup(p, sha, 7) : "";
}

const char *wh_text_mask(apr_pool_t *p, const char *secret)
{
    if (secret == NULL || strlen(secret) < 24)
        return "***";
    return apr_pstrcat(p, apr_pstrndup(p, secret, 6), "***", NULL);
}

int wh_text_number(const char *s, apr_int64_t min, apr_int64_t max, apr_int64_t *out)
{
    const char *digits = s + (s[0] == '-');
    apr_int64_t value;
    char *end;

    if (digits[0] < '0' || digits[0] > '9')
        return 0;
    errno = 0;
    value = apr_strtoi64(s, &end, 10);
    if (errno != 0 || *end != '\0' || value < min || value > max)
        return 0;
    *out = value;
    return 1;
}
