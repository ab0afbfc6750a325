#include "libwh/wh_mask.h"

#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>
#include <apr_tables.h>
#include "libwh/wh_sign.h"
#include "libwh/wh_text.h"

/* A value as large as this is a file: of its forms only those that files come in are looked for. */
#define FILE_BYTES 4096
#define ROOT 0

/* A state is a node; its children hang in a list, but for those of the root. */
typedef struct node_t {
    int child, next; /* first below it, next beside it; 0 = none */
    int fail;        /* the longest other beginning of a form that ends here */
    int ends;        /* bytes of the longest form that ends here, 0 = none */
    int depth;
    unsigned char byte;
} node_t;

struct wh_mask_t {
    node_t *nodes;
    int n, room;
    int top[256]; /* the root's children */
};

/* ---- the automaton ---- */

static int child_of(const wh_mask_t *m, int at, unsigned char c)
{
    int i;

    if (at == ROOT)
        return m->top[c];
    for (i = m->nodes[at].child; i != 0 && m->nodes[i].byte != c;)
        i = m->nodes[i].next;
    return i;
}

static int add_child(wh_mask_t *m, int at, unsigned char c)
{
    int i = m->n;

    if (m->n == m->room) {
        node_t *more = realloc(m->nodes, sizeof(*more) * (size_t)m->room * 2);

        if (more == NULL)
            abort(); /* a text that cannot be masked must not go out */
        m->nodes = more;
        m->room *= 2;
    }
    m->n++;
    m->nodes[i] = (node_t){.depth = m->nodes[at].depth + 1, .byte = c};
    if (at == ROOT) {
        m->top[c] = i;
    } else {
        m->nodes[i].next = m->nodes[at].child;
        m->nodes[at].child = i;
    }
    return i;
}

static int is_line_end(unsigned char c)
{
    return c == '\n' || c == '\r';
}

static void add_form(wh_mask_t *m, const char *s, size_t n)
{
    size_t counted = 0;
    int at = ROOT;

    for (size_t i = 0; i < n; i++)
        counted += !is_line_end((unsigned char)s[i]);
    if (counted < WH_MASK_MIN)
        return;
    for (size_t i = 0; i < n; i++) {
        int next;

        if (is_line_end((unsigned char)s[i]))
            continue;
        next = child_of(m, at, (unsigned char)s[i]);
        at = next != 0 ? next : add_child(m, at, (unsigned char)s[i]);
    }
    m->nodes[at].ends = (int)counted;
}

static int step(const wh_mask_t *m, int at, unsigned char c)
{
    int next;

    while ((next = child_of(m, at, c)) == 0 && at != ROOT)
        at = m->nodes[at].fail;
    return next;
}

/* Level by level; a node's own list serves as the queue is filled in the order of depth. */
static void link_up(wh_mask_t *m)
{
    int *queue = malloc(sizeof(*queue) * (size_t)m->n), head = 0, tail = 0;

    if (queue == NULL)
        abort();
    for (int c = 0; c < 256; c++)
        if (m->top[c] != 0)
            queue[tail++] = m->top[c];
    while (head < tail) {
        int at = queue[head++];
        node_t *node = &m->nodes[at];

        if (node->ends == 0)
            node->ends = m->nodes[node->fail].ends;
        for (int i = node->child; i != 0; i = m->nodes[i].next) {
            m->nodes[i].fail = step(m, node->fail, m->nodes[i].byte);
            queue[tail++] = i;
        }
    }
    free(queue);
}

/* ---- the forms of a value ---- */

static void json_form(wh_mask_t *m, apr_pool_t *p, const char *s, size_t n, int slashes)
{
    static const char plain[] = "\"\\/\b\f\n\r\t", letter[] = "\"\\/bfnrt";
    char *out = apr_palloc(p, 6 * n + 1);
    size_t to = 0;

    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        const char *hit = c != '\0' && (c != '/' || slashes) ? strchr(plain, c) : NULL;

        if (hit != NULL) {
            out[to++] = '\\';
            out[to++] = letter[hit - plain];
        } else if (c < ' ') {
            to += (size_t)apr_snprintf(out + to, 7, "\\u%04x", c);
        } else {
            out[to++] = (char)c;
        }
    }
    add_form(m, out, to);
}

/* keep: what besides letters, digits and "-._" stays as it is. */
static void percent_form(wh_mask_t *m, apr_pool_t *p, const char *s, size_t n, const char *keep)
{
    static const char *const digits[] = {"0123456789ABCDEF", "0123456789abcdef"};

    for (size_t d = 0; d < WH_ARRAY_LEN(digits); d++) {
        char *out = apr_palloc(p, 3 * n + 1);
        size_t to = 0;

        for (size_t i = 0; i < n; i++) {
            unsigned char c = (unsigned char)s[i];

            if ((c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
                (c != '\0' && strchr("-._", c) != NULL) ||
                (c != '\0' && c != ' ' && strchr(keep, c) != NULL)) {
                out[to++] = (char)c;
            } else if (c == ' ' && strchr(keep, ' ') != NULL) {
                out[to++] = '+'; /* as forms have it */
            } else {
                out[to++] = '%';
                out[to++] = digits[d][c >> 4];
                out[to++] = digits[d][c & 15];
            }
        }
        add_form(m, out, to);
    }
}

/* Behind 0, 1 or 2 bytes of something else: what stands there whatever they and what follows are.
 */
static void base64_forms(wh_mask_t *m, apr_pool_t *p, const char *s, size_t n)
{
    static const size_t first[] = {0, 2, 3}; /* the characters that hold bits of what is before */

    for (size_t shift = 0; shift < 3; shift++) {
        char *padded = apr_pcalloc(p, n + 3), *url, *std;
        size_t to;

        memcpy(padded + shift, s, n);
        url = wh_sign_b64url(p, padded, n + shift);
        to = strlen(url);
        /* The last character, where it has room for bits of what follows. */
        to -= (n + shift) % 3 != 0;
        if (to <= first[shift])
            continue;
        std = apr_pstrmemdup(p, url, to);
        for (char *c = std; *c != '\0'; c++)
            *c = (char)(*c == '-' ? '+' : *c == '_' ? '/' : *c);
        add_form(m, url + first[shift], to - first[shift]);
        add_form(m, std + first[shift], to - first[shift]);
    }
}

static void hex_forms(wh_mask_t *m, apr_pool_t *p, const char *s, size_t n)
{
    char *hex = wh_sign_hex(p, s, n);

    add_form(m, hex, 2 * n);
    for (char *c = hex; *c != '\0'; c++)
        *c = (char)(*c >= 'a' ? *c - 0x20 : *c);
    add_form(m, hex, 2 * n);
}

/* Each of its lines, for what prints one alone; and all of it as a log line keeps it. */
static void plain_forms(wh_mask_t *m, apr_pool_t *p, const char *s, size_t n)
{
    const char *end = s + n;

    add_form(m, s, n);
    while (s < end) {
        size_t len = 0, from = 0;
        const char *clean;

        while (s + len < end && !is_line_end((unsigned char)s[len]))
            len++;
        clean = wh_text_clean_line(p, s, len, 3 * len + 1);
        add_form(m, clean, strlen(clean));
        for (; from < len && (s[from] == ' ' || s[from] == '\t');)
            from++;
        add_form(m, s + from, len - from);
        s += len + (s + len < end);
    }
}

static void add_value(wh_mask_t *m, apr_pool_t *p, const char *s)
{
    size_t n = strlen(s), end = n;

    if (n < WH_MASK_MIN)
        return;
    plain_forms(m, p, s, n);
    base64_forms(m, p, s, n);
    json_form(m, p, s, n, 0);
    json_form(m, p, s, n, 1);
    if (n > FILE_BYTES)
        return;
    /* encodeURIComponent, RFC 3986's unreserved, paths, forms. */
    percent_form(m, p, s, n, "~!*'()");
    percent_form(m, p, s, n, "~");
    percent_form(m, p, s, n, "~/");
    percent_form(m, p, s, n, " ");
    percent_form(m, p, s, n, "* ");
    percent_form(m, p, s, n, "~ ");
    hex_forms(m, p, s, n);
    while (end > 0 && (is_line_end((unsigned char)s[end - 1]) || s[end - 1] == ' '))
        end--;
    if (end < n)
        add_value(m, p, apr_pstrmemdup(p, s, end));
}

static apr_status_t release(void *data)
{
    wh_mask_t *m = data;

    if (m->nodes != NULL)
        wh_sign_wipe(m->nodes, sizeof(*m->nodes) * (size_t)m->room);
    free(m->nodes);
    m->nodes = NULL;
    return APR_SUCCESS;
}

wh_mask_t *wh_mask_make(apr_pool_t *p, const char *const *values, int n)
{
    wh_mask_t *m = apr_pcalloc(p, sizeof(*m));
    apr_pool_t *scratch;

    if (apr_pool_create(&scratch, p) != APR_SUCCESS)
        abort();
    m->room = 256;
    m->n = 1;
    m->nodes = calloc((size_t)m->room, sizeof(*m->nodes));
    if (m->nodes == NULL)
        abort();
    apr_pool_cleanup_register(p, m, release, apr_pool_cleanup_null);
    for (int i = 0; i < n; i++) {
        add_value(m, scratch, values[i]);
        apr_pool_clear(scratch);
    }
    apr_pool_destroy(scratch);
    if (m->n == 1)
        return NULL;
    link_up(m);
    return m;
}

/* ---- a text ---- */

/* Ranges of s that go, from left to right, apart from each other. */
typedef struct range_t {
    size_t from, to;
} range_t;

/* The last count bytes that are no line ends before `to`, and what lies between them. */
static size_t back(const char *s, size_t to, int count)
{
    while (to > 0 && count > 0)
        count -= !is_line_end((unsigned char)s[--to]);
    return to;
}

static void hide(apr_array_header_t *ranges, size_t from, size_t to)
{
    range_t *last;

    while (ranges->nelts > 0) {
        last = &APR_ARRAY_IDX(ranges, ranges->nelts - 1, range_t);
        if (last->to < from)
            break;
        from = last->from < from ? last->from : from;
        ranges->nelts--;
    }
    APR_ARRAY_PUSH(ranges, range_t) = (range_t){from, to};
}

/* one_line: without a line end in it, back() is a subtraction. */
static void hide_found(apr_array_header_t *ranges, const char *s, int one_line, size_t to,
                       int count)
{
    if (one_line)
        hide(ranges, to > (size_t)count ? to - (size_t)count : 0, to);
    else
        hide(ranges, back(s, to, count), to);
}

static const char *without(apr_pool_t *p, const apr_array_header_t *ranges, const char *s, size_t n,
                           size_t *len)
{
    size_t mark = strlen(WH_MASK_TEXT), at = 0, to = 0;
    char *out = apr_palloc(p, n + mark * (size_t)ranges->nelts + 1);

    for (int i = 0; i < ranges->nelts; i++) {
        const range_t *r = &APR_ARRAY_IDX(ranges, i, range_t);

        memcpy(out + to, s + at, r->from - at);
        to += r->from - at;
        memcpy(out + to, WH_MASK_TEXT, mark);
        to += mark;
        at = r->to;
    }
    memcpy(out + to, s + at, n - at);
    to += n - at;
    out[to] = '\0';
    *len = to;
    return out;
}

const char *wh_mask_text(apr_pool_t *p, const wh_mask_t *mask, wh_mask_state_t *state,
                         const char *s, size_t n, size_t *len)
{
    apr_array_header_t *ranges = NULL;
    int at = state != NULL && mask != NULL && state->at < mask->n ? state->at : ROOT, one_line;

    *len = n;
    if (mask == NULL)
        return s;
    one_line = memchr(s, '\n', n) == NULL && memchr(s, '\r', n) == NULL;
    for (size_t i = 0; i < n; i++) {
        if (is_line_end((unsigned char)s[i]))
            continue;
        at = step(mask, at, (unsigned char)s[i]);
        if (mask->nodes[at].ends == 0)
            continue;
        if (ranges == NULL)
            ranges = apr_array_make(p, 4, sizeof(range_t));
        hide_found(ranges, s, one_line, i + 1, mask->nodes[at].ends);
    }
    if (state != NULL)
        state->at = at;
    if (mask->nodes[at].depth >= WH_MASK_MIN && n > 0) {
        if (ranges == NULL)
            ranges = apr_array_make(p, 1, sizeof(range_t));
        hide(ranges, back(s, n, mask->nodes[at].depth), n);
    }
    return ranges == NULL ? s : without(p, ranges, s, n, len);
}

void wh_mask_buf(const wh_mask_t *mask, char *buf, size_t size)
{
    apr_pool_t *p;
    const char *clean;
    size_t n;

    if (mask == NULL)
        return;
    if (apr_pool_create(&p, NULL) != APR_SUCCESS)
        abort();
    clean = wh_mask_text(p, mask, NULL, buf, strlen(buf), &n);
    if (clean != buf) {
        n = wh_text_utf8_floor(clean, n < size ? n : size - 1);
        memcpy(buf, clean, n);
        buf[n] = '\0';
    }
    apr_pool_destroy(p);
}
