/* What people and scripts read, masked. */
#include "config.h"

#include <apr_strings.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libwh/wh_text.h"
#include "wh/wh_cli.h"

#define TEXT_MAX 8192

/* Characters that libwh's cleaning lets through and a terminal obeys all the same: C1 controls
 * (U+0080..9F, one of them a CSI) and the marks that turn the direction of writing. */
static size_t obeyed(const unsigned char *s)
{
    if (s[0] == 0xc2 && s[1] >= 0x80 && s[1] <= 0x9f)
        return 2;
    if (s[0] == 0xe2 && s[1] == 0x80 &&
        ((s[2] >= 0xaa && s[2] <= 0xae) || s[2] == 0x8e || s[2] == 0x8f))
        return 3;
    return s[0] == 0xe2 && s[1] == 0x81 && s[2] >= 0xa6 && s[2] <= 0xa9 ? 3 : 0;
}

const char *wh_cli_clean(const wh_cli_t *cli, const char *text)
{
    char *clean = wh_text_clean_line(cli->p, text, strlen(text), TEXT_MAX);
    char *to = clean;
    for (const char *from = clean; *from != '\0';) {
        size_t skip = obeyed((const unsigned char *)from);
        if (skip > 0)
            from += skip;
        else if ((unsigned char)*from < ' ' || *from == 0x7f)
            *to++ = ' ', from++;
        else
            *to++ = *from++;
    }
    *to = '\0';
    return clean;
}

static const json_t *member(const json_t *object, const char *path)
{
    char name[64];
    while (object != NULL) {
        size_t n = strcspn(path, ".");
        if (n >= sizeof(name))
            return NULL;
        memcpy(name, path, n);
        name[n] = '\0';
        object = json_object_get(object, name);
        if (path[n] == '\0')
            return object;
        path += n + 1;
    }
    return NULL;
}

const char *wh_cli_get(const wh_cli_t *cli, const json_t *object, const char *path)
{
    const json_t *value = member(object, path);
    if (json_is_string(value))
        return wh_cli_clean(cli, json_string_value(value));
    if (json_is_integer(value))
        return apr_psprintf(cli->p, "%" APR_INT64_T_FMT, (apr_int64_t)json_integer_value(value));
    if (json_is_boolean(value))
        return json_is_true(value) ? "yes" : "no";
    return "";
}

json_int_t wh_cli_get_int(const json_t *object, const char *path)
{
    return json_integer_value(member(object, path));
}

const char *wh_cli_when(const wh_cli_t *cli, const char *rfc3339)
{
    if (strlen(rfc3339) < 19)
        return "-";
    char *text = apr_pstrmemdup(cli->p, rfc3339, 19);
    text[10] = ' ';
    return text;
}

void wh_cli_out(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
}

void wh_cli_note(const wh_cli_t *cli, const char *fmt, ...)
{
    if (cli->quiet)
        return;
    va_list args;
    va_start(args, fmt);
    fflush(stdout);
    vfprintf(stderr, fmt, args);
    va_end(args);
}

void wh_cli_error(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fflush(stdout);
    fputs("wh: ", stderr);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    va_end(args);
}

void wh_cli_json(const json_t *value)
{
    json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII | JSON_ENCODE_ANY);
    putchar('\n');
}

void wh_cli_json_line(const json_t *value)
{
    json_dumpf(value, stdout, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_ENCODE_ANY);
    putchar('\n');
}

const char *wh_cli_paint(const wh_cli_t *cli, const char *color, const char *text)
{
    static const struct {
        const char *name, *code;
    } codes[] = {{"red", "31"}, {"green", "32"}, {"yellow", "33"}, {"bold", "1"}};
    for (size_t i = 0; cli->color && i < sizeof(codes) / sizeof(codes[0]); i++)
        if (strcmp(codes[i].name, color) == 0)
            return apr_pstrcat(cli->p, "\033[", codes[i].code, "m", text, "\033[0m", NULL);
    return text;
}

void wh_cli_table_begin(const wh_cli_t *cli, wh_cli_table_t *table, int columns,
                        const char *const *titles)
{
    table->columns = columns;
    table->cells = apr_array_make(cli->p, 64, sizeof(const char *));
    for (int i = 0; i < columns; i++)
        wh_cli_table_add(table, titles[i]);
}

void wh_cli_table_add(wh_cli_table_t *table, const char *cell)
{
    APR_ARRAY_PUSH(table->cells, const char *) = *cell != '\0' ? cell : "-";
}

/* Width in characters, not bytes; good enough for columns. */
static int width_of(const char *s)
{
    int n = 0;
    for (; *s != '\0'; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

void wh_cli_table_print(const wh_cli_table_t *table)
{
    const char *const *cells = (const char *const *)(const void *)table->cells->elts;
    int rows = table->cells->nelts / table->columns;
    for (int row = 0; row < rows; row++) {
        for (int col = 0; col < table->columns; col++) {
            const char *cell = cells[row * table->columns + col];
            int wide = 0;
            for (int other = 0; other < rows; other++) {
                int n = width_of(cells[other * table->columns + col]);
                wide = n > wide ? n : wide;
            }
            int last = col + 1 == table->columns;
            wh_cli_out("%s%*s", cell, last ? 0 : wide - width_of(cell) + 2, "");
        }
        wh_cli_out("\n");
    }
}
