/* wh_asset: see wh_asset.h. */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "libwh/wh_asset.h"
#include "libwh/wh_types.h"

#define B64_LEN 8
#define HEX_MIN 8
#define HEX_ALONE 16
#define HEX_MAX 64

typedef struct piece_t {
    const char *s;
    size_t n;
} piece_t;

static const char *const suffixes[] = {
    "js",   "mjs", "cjs",  "css", "wasm", "png",  "jpg", "jpeg", "gif",  "svg",  "webp", "avif",
    "ico",  "bmp", "woff", "woff2", "ttf", "otf", "eot", "mp3",  "mp4",  "webm", "ogg",  "wav",
    "m4a",  "mov", "pdf",
};

/* Directories in which bundlers put what they made, and hardly anybody else puts anything. */
static const char *const made_in[] = {"assets/", "_astro/", "_nuxt/", "chunks/", "entries/",
                                      "entry/",  "nodes/",  "build/", "dist/"};

static const char *const marks[] = {"chunk", "min", "bundle", "module", "async"};

static int is_suffix(piece_t p)
{
    for (size_t i = 0; i < WH_ARRAY_LEN(suffixes); i++)
        if (strlen(suffixes[i]) == p.n && strncasecmp(suffixes[i], p.s, p.n) == 0)
            return 1;
    return 0;
}

/* Cuts ".x" off the end of stem; 0 when there is no dot. A dot at the beginning hides a file. */
static int cut(piece_t *stem, piece_t *last)
{
    size_t i = stem->n;

    while (i > 1 && stem->s[i - 1] != '.')
        i--;
    if (i <= 1)
        return 0;
    *last = (piece_t){stem->s + i, stem->n - i};
    stem->n = i - 1;
    return 1;
}

static int is_mark(piece_t p)
{
    for (size_t i = 0; i < WH_ARRAY_LEN(marks); i++)
        if (strlen(marks[i]) == p.n && strncmp(marks[i], p.s, p.n) == 0)
            return 1;
    return 0;
}

typedef enum class_e { UPPER, LOWER, DIGIT, OTHER } class_e;

static class_e class_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return UPPER;
    if (c >= 'a' && c <= 'z')
        return LOWER;
    return c >= '0' && c <= '9' ? DIGIT : OTHER;
}

typedef struct shape_t {
    size_t of[OTHER + 1];
    int changes; /* from one class to the next */
} shape_t;

static shape_t shape_of(piece_t p)
{
    shape_t shape = {{0}, 0};

    for (size_t i = 0; i < p.n; i++) {
        shape.of[class_of(p.s[i])]++;
        if (i > 0 && class_of(p.s[i]) != class_of(p.s[i - 1]))
            shape.changes++;
    }
    return shape;
}

/* "cafe2024" and "20240131a" are hex, too, but words and dates: one change is not enough. */
static int is_hex(piece_t p)
{
    shape_t shape = shape_of(p);

    if (p.n < HEX_MIN || p.n > HEX_MAX || shape.changes < 2 || shape.of[UPPER] > 0)
        return 0;
    for (size_t i = 0; i < p.n; i++)
        if (!isxdigit((unsigned char)p.s[i]))
            return 0;
    return shape.of[DIGIT] > 0 && shape.of[LOWER] > 0;
}

/* esbuild: "3LKXTVMG". A digit at the end alone may be a number ("RELEASE2"). */
static int is_base32(piece_t p)
{
    int before = 0;

    if (p.n != B64_LEN)
        return 0;
    for (size_t i = 0; i < p.n; i++) {
        if (class_of(p.s[i]) != UPPER && (p.s[i] < '2' || p.s[i] > '7'))
            return 0;
        if (i + 1 < p.n && class_of(p.s[i]) == DIGIT && class_of(p.s[i + 1]) == UPPER)
            before = 1;
    }
    return before && shape_of(p).of[UPPER] >= 3;
}

/* Consonants with which an English word begins; what else a piece begins with is no word. */
static int word_onset(const char *s, size_t n)
{
    static const char *const onsets[] = {
        "bl", "br", "ch", "chr", "cl", "cr", "dr", "dw", "fl", "fr", "gh", "gl", "gn", "gr", "kn",
        "ph", "pl", "pr", "ps", "rh", "sc", "sch", "scr", "sh", "sk", "sl", "sm", "sn", "sp",
        "spl", "spr", "sq", "st", "str", "sw", "th", "thr", "tr", "tw", "wh", "wr",
    };

    if (n <= 1)
        return 1;
    for (size_t i = 0; i < WH_ARRAY_LEN(onsets); i++)
        if (strlen(onsets[i]) == n && strncasecmp(onsets[i], s, n) == 0)
            return 1;
    return 0;
}

/* "DarkMode", "userList": each piece from one capital to the next could be spoken. */
static int is_words(piece_t p)
{
    size_t at = 0;

    while (at < p.n) {
        size_t end = at + 1, vowel = at;

        while (end < p.n && class_of(p.s[end]) == LOWER)
            end++;
        while (vowel < end && !strchr("aeiouyAEIOUY", p.s[vowel]))
            vowel++;
        if (vowel == end || !word_onset(p.s + at, vowel - at))
            return 0;
        at = end;
    }
    return 1;
}

/* Rollup's and Vite's eight of base64url. made: in a directory of a bundler. */
static int is_base64(piece_t p, int made)
{
    shape_t shape = shape_of(p);

    for (size_t i = 0; i < p.n; i++)
        if (class_of(p.s[i]) == OTHER && p.s[i] != '-' && p.s[i] != '_')
            return 0;
    if (shape.of[UPPER] == 0 || shape.of[LOWER] == 0)
        return made && shape.of[DIGIT] > 1 && shape.changes >= 4;
    if (shape.of[DIGIT] > 0)
        return shape.changes >= (made ? 3 : 5);
    if (!made || shape.of[OTHER] > 0)
        return made && shape.changes >= 5;
    return shape.changes >= 4 ? !is_words(p) : shape.changes == 3 && !is_words(p);
}

static int in_made_directory(const char *path, const char *name)
{
    for (size_t i = 0; i < WH_ARRAY_LEN(made_in); i++) {
        const char *at = strstr(path, made_in[i]);

        if (at && at < name && (at == path || at[-1] == '/'))
            return 1;
    }
    return 0;
}

/* Below "dir", itself at the top or below another directory. */
static const char *below(const char *path, const char *dir)
{
    for (const char *at = strstr(path, dir); at; at = strstr(at + 1, dir))
        if (at == path || at[-1] == '/')
            return at + strlen(dir);
    return NULL;
}

static int hashed_stem(piece_t stem, int made)
{
    piece_t last;

    if (stem.n >= HEX_ALONE && is_hex(stem))
        return 1;
    for (size_t i = stem.n; i > 1; i--) {
        if (!strchr(".-_", stem.s[i - 1]))
            continue;
        last = (piece_t){stem.s + i, stem.n - i};
        if (is_hex(last) || is_base32(last))
            return 1;
        break;
    }
    /* '-' and '_' may be part of these eight, so they are counted from the end. */
    if (stem.n < B64_LEN + 2 || !strchr(".-", stem.s[stem.n - B64_LEN - 1]))
        return 0;
    last = (piece_t){stem.s + stem.n - B64_LEN, B64_LEN};
    return is_base64(last, made);
}

int wh_asset_hashed(const char *path)
{
    const char *slash, *rest;
    piece_t stem, suffix;

    if (*path == '/')
        path++;
    slash = strrchr(path, '/');
    stem.s = slash ? slash + 1 : path;
    stem.n = strlen(stem.s);
    if (!cut(&stem, &suffix))
        return 0;
    if (suffix.n == 3 && strncmp(suffix.s, "map", 3) == 0 && !cut(&stem, &suffix))
        return 0;
    if (!is_suffix(suffix))
        return 0;
    rest = below(path, "_next/static/");
    if (rest)
        return strncmp(rest, "development/", 12) != 0;
    if (below(path, "_app/immutable/"))
        return 1;
    for (;;) {
        piece_t shorter = stem, mark;

        if (!cut(&shorter, &mark) || !is_mark(mark))
            break;
        stem = shorter;
    }
    return hashed_stem(stem, in_made_directory(path, stem.s));
}
