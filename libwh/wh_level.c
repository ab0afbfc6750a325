#include "libwh/wh_level.h"

#include <string.h>
#include <strings.h>

#define LOOK 512 /* bytes, for a field */
#define WORDS 80 /* bytes, for a word */
#define WORD_MAX 9

typedef struct word_t {
    const char *word;
    wh_level_e level;
} word_t;

static const word_t words[] = {
    {"trace", WH_LEVEL_DEBUG},  {"debug", WH_LEVEL_DEBUG},     {"dbg", WH_LEVEL_DEBUG},
    {"info", WH_LEVEL_INFO},    {"notice", WH_LEVEL_INFO},     {"warn", WH_LEVEL_WARN},
    {"warning", WH_LEVEL_WARN}, {"error", WH_LEVEL_ERROR},     {"err", WH_LEVEL_ERROR},
    {"severe", WH_LEVEL_ERROR}, {"crit", WH_LEVEL_FATAL},      {"critical", WH_LEVEL_FATAL},
    {"fatal", WH_LEVEL_FATAL},  {"panic", WH_LEVEL_FATAL},     {"alert", WH_LEVEL_FATAL},
    {"emerg", WH_LEVEL_FATAL},  {"emergency", WH_LEVEL_FATAL},
};

static const char *const names[WH_LEVEL_COUNT] = {"", "debug", "info", "warn", "error", "fatal"};

const char *wh_level_text(wh_level_e level)
{
    return names[level];
}

wh_level_e wh_level_named(const char *name, size_t n)
{
    for (int i = 1; i < WH_LEVEL_COUNT; i++)
        if (strlen(names[i]) == n && memcmp(names[i], name, n) == 0)
            return (wh_level_e)i;
    return WH_LEVEL_NONE;
}

static wh_level_e of_word(const char *s, size_t n)
{
    for (size_t i = 0; i < WH_ARRAY_LEN(words); i++)
        if (strlen(words[i].word) == n && strncasecmp(words[i].word, s, n) == 0)
            return words[i].level;
    return WH_LEVEL_NONE;
}

static int is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static size_t word_len(const char *s, size_t n)
{
    size_t len = 0;

    while (len < n && is_letter(s[len]))
        len++;
    return len;
}

/* 10 trace, 20 debug, 30 info, 40 warn, 50 error, 60 fatal. */
static wh_level_e of_number(const char *s, size_t n)
{
    if (n < 2 || s[0] < '1' || s[0] > '6' || s[1] != '0' || (n > 2 && s[2] >= '0' && s[2] <= '9'))
        return WH_LEVEL_NONE;
    return s[0] <= '2' ? WH_LEVEL_DEBUG : (wh_level_e)(s[0] - '1');
}

/* What stands behind a key: "=", ":" and quotes, then the value. */
static wh_level_e of_value(const char *s, size_t n)
{
    size_t i = 0;
    int sign = 0;

    while (i < n && (s[i] == '"' || s[i] == ' ' || ((s[i] == ':' || s[i] == '=') && !sign))) {
        sign |= s[i] == ':' || s[i] == '=';
        i++;
    }
    if (!sign || i == n)
        return WH_LEVEL_NONE;
    return is_letter(s[i]) ? of_word(s + i, word_len(s + i, n - i)) : of_number(s + i, n - i);
}

static wh_level_e of_field(const char *s, size_t n)
{
    static const char *const keys[] = {"level", "lvl", "severity", "loglevel"};

    for (size_t k = 0; k < WH_ARRAY_LEN(keys); k++) {
        size_t len = strlen(keys[k]);
        const char *at = s;

        while ((at = memmem(at, n - (size_t)(at - s), keys[k], len)) != NULL) {
            size_t from = (size_t)(at - s);
            wh_level_e level = WH_LEVEL_NONE;

            if (from == 0 || at[-1] == '"' || at[-1] == ' ' || at[-1] == '\t')
                level = of_value(at + len, n - from - len);
            if (level != WH_LEVEL_NONE)
                return level;
            at += len;
        }
    }
    return WH_LEVEL_NONE;
}

/* "<3>…", "E0102 …" */
static wh_level_e of_front(const char *s, size_t n)
{
    static const wh_level_e syslog[8] = {WH_LEVEL_FATAL, WH_LEVEL_FATAL, WH_LEVEL_FATAL,
                                         WH_LEVEL_ERROR, WH_LEVEL_WARN,  WH_LEVEL_INFO,
                                         WH_LEVEL_INFO,  WH_LEVEL_DEBUG};
    int number = 0;
    size_t i = 1;

    if (n > 2 && s[0] == '<') {
        for (; i < n && i < 5 && s[i] >= '0' && s[i] <= '9'; i++)
            number = number * 10 + s[i] - '0';
        return i > 1 && i < n && s[i] == '>' ? syslog[number % 8] : WH_LEVEL_NONE;
    }
    while (i < n && i < 5 && s[i] >= '0' && s[i] <= '9')
        i++;
    if (n < 6 || i != 5 || s[5] != ' ')
        return WH_LEVEL_NONE;
    switch (s[0]) {
    case 'I':
        return WH_LEVEL_INFO;
    case 'W':
        return WH_LEVEL_WARN;
    case 'E':
        return WH_LEVEL_ERROR;
    case 'F':
        return WH_LEVEL_FATAL;
    default:
        return WH_LEVEL_NONE;
    }
}

/* In capitals, in brackets, or with a colon behind it and only such words before. */
static int is_set_off(const char *s, size_t at, size_t len, size_t n)
{
    char before = at > 0 ? s[at - 1] : '\0', after = at + len < n ? s[at + len] : '\0';
    size_t capitals = 0;

    while (capitals < len && s[at + capitals] <= 'Z')
        capitals++;
    if (before == '-' || before == '/' || before == '_' || before == '.' || after == '-' ||
        after == '/' || after == '_' || after == '=')
        return 0;
    return capitals == len || (before == '[' && after == ']') || (at == 0 && after == ':') ||
           (before == '|' && after == '|');
}

static wh_level_e of_words(const char *s, size_t n)
{
    size_t len;

    for (size_t i = 0; i < n && i<WORDS; i += len> 0 ? len : 1) {
        wh_level_e level;

        len = word_len(s + i, n - i);
        if (len < 3 || len > WORD_MAX)
            continue;
        level = of_word(s + i, len);
        if (level != WH_LEVEL_NONE && is_set_off(s, i, len, n))
            return level;
    }
    return WH_LEVEL_NONE;
}

wh_level_e wh_level_of(const char *text, size_t n)
{
    size_t look = n < LOOK ? n : LOOK;
    wh_level_e level = of_front(text, look);

    if (level == WH_LEVEL_NONE)
        level = of_field(text, look);
    return level != WH_LEVEL_NONE ? level : of_words(text, look);
}
