#include <string.h>
#include <strings.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include "wh-agent/dockerfile.h"

int wh_dockerfile_name_bad(const char *name)
{
    size_t n = strlen(name);

    return n >= 3 && strcasecmp(name + n - 3, ".in") == 0;
}

/* One instruction with its continuations joined. */
typedef struct line_t {
    char *text;
    size_t n;
    int number; /* where it begins */
} line_t;

static int is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* The length without the backslash that makes the next line part of this one. */
static size_t without_escape(const char *s, size_t n, int *escaped)
{
    size_t end = n;

    while (end > 0 && is_blank(s[end - 1]))
        end--;
    *escaped = end > 0 && s[end - 1] == '\\';
    return *escaped ? end - 1 : n;
}

/* "WORD" and a blank, in any case. Returns where its arguments begin, or NULL. */
static const char *after_word(const char *s, const char *word)
{
    size_t n = strlen(word);

    return strncasecmp(s, word, n) == 0 && s[n] != '\0' && is_blank(s[n]) ? s + n : NULL;
}

/* Past blanks, and past what may be a blank beyond ASCII. */
static const char *skip_blanks(const char *s)
{
    while (*s != '\0' && (is_blank(*s) || (unsigned char)*s >= 0x7f))
        s++;
    return s;
}

static int has_mount(const char *s)
{
    for (; *s != '\0'; s++)
        if (strncasecmp(s, "--mount", 7) == 0)
            return 1;
    return 0;
}

/* ---- build secrets ---- */

/* "key=value" or "key" of a mount; 0 = it is none that a secret may have. Quotes, variables and
 * escapes are none, so that no parser reads it in another way. */
static int secret_option(const char *word, size_t n, const char **id, size_t *id_n)
{
    static const char *const plain[] = {"type=secret", "required", "required=true",
                                        "required=false"};

    for (size_t i = 0; i < WH_ARRAY_LEN(plain); i++)
        if (n == strlen(plain[i]) && memcmp(word, plain[i], n) == 0)
            return 1;
    for (size_t i = 0; i < n; i++)
        if (!apr_isalnum(word[i]) && strchr("_=/.-", word[i]) == NULL)
            return 0;
    if (n > 3 && memcmp(word, "id=", 3) == 0 && *id == NULL) {
        *id = word + 3;
        *id_n = n - 3;
        return memchr(*id, '=', *id_n) == NULL && memchr(*id, '/', *id_n) == NULL;
    }
    return n > 8 && memcmp(word, "target=/", 8) == 0 && memchr(word + 8, '=', n - 8) == NULL;
}

/* The id of "--mount=type=secret,id=…", NULL for any other mount. */
static const char *secret_id(apr_pool_t *p, const char *word)
{
    const char *at = word + 8, *id = NULL;
    size_t id_n = 0;
    int typed = 0;

    if (strncmp(word, "--mount=", 8) != 0 || strstr(word, "..") != NULL)
        return NULL;
    for (;;) {
        size_t n = strcspn(at, ",");

        typed |= n == 11 && memcmp(at, "type=secret", 11) == 0;
        if (!secret_option(at, n, &id, &id_n))
            return NULL;
        if (at[n] == '\0')
            break;
        at += n + 1;
    }
    return typed && id != NULL ? apr_pstrmemdup(p, id, id_n) : NULL;
}

/* ---- images ---- */

/* One word, from where blanks end; *s is moved past it. "" at the end. In p. */
static const char *next_word(apr_pool_t *p, const char **s)
{
    const char *from = skip_blanks(*s), *to = from;

    while (*to != '\0' && !is_blank(*to))
        to++;
    *s = to;
    return apr_pstrmemdup(p, from, (apr_size_t)(to - from));
}

static int is_stage(const wh_dockerfile_t *seen, const char *name)
{
    if (name[0] != '\0' && strspn(name, "0123456789") == strlen(name) && strlen(name) < 5)
        return apr_atoi64(name) < seen->stage;
    for (int i = 0; i < seen->stages->nelts; i++)
        if (strcasecmp(APR_ARRAY_IDX(seen->stages, i, const char *), name) == 0)
            return 1;
    return 0;
}

static const char *arg_value(const wh_dockerfile_t *seen, const char *name, size_t n)
{
    for (int i = seen->args->nelts - 1; i >= 0; i--) {
        const char *arg = APR_ARRAY_IDX(seen->args, i, const char *);

        if (strncmp(arg, name, n) == 0 && arg[n] == '=')
            return arg + n + 1;
    }
    return NULL;
}

/* $NAME, ${NAME} and ${NAME:-value} of the ARGs above, nothing cleverer. NULL = it cannot be known
 * here. */
static const char *expand(apr_pool_t *p, const wh_dockerfile_t *seen, const char *s)
{
    const char *out = "", *dollar;

    while ((dollar = strchr(s, '$')) != NULL) {
        int braced = dollar[1] == '{';
        const char *name = dollar + 1 + braced, *end = name, *value;

        while (apr_isalnum(*end) || *end == '_')
            end++;
        value = end > name ? arg_value(seen, name, (size_t)(end - name)) : NULL;
        if (braced && strncmp(end, ":-", 2) == 0) {
            size_t n = strcspn(end += 2, "}");

            value = value != NULL && value[0] != '\0' ? value : apr_pstrmemdup(p, end, n);
            end += n;
        }
        if (value == NULL || (braced && *end != '}'))
            return NULL;
        out = apr_pstrcat(p, out, apr_pstrmemdup(p, s, (apr_size_t)(dollar - s)), value, NULL);
        s = end + braced;
    }
    out = apr_pstrcat(p, out, s, NULL);
    return strpbrk(out, "$\\`\"'") != NULL ? NULL : out;
}

static apr_status_t take_image(apr_pool_t *p, wh_dockerfile_t *seen, const char *word, int number,
                               wh_err_t *err)
{
    const char *image = expand(p, seen, word);

    if (image == NULL || image[0] == '\0')
        return wh_err_set(err, 422, "build_failed",
                          "line %d of the Dockerfile: the name of the image must be plain, or made "
                          "of ARGs above the first FROM that have a value",
                          number);
    if (strcasecmp(image, "scratch") != 0 && !is_stage(seen, image))
        APR_ARRAY_PUSH(seen->images, const char *) = image;
    return APR_SUCCESS;
}

static apr_status_t take_from(apr_pool_t *p, wh_dockerfile_t *seen, const char *rest, int number,
                              wh_err_t *err)
{
    const char *word = next_word(p, &rest);
    apr_status_t rv;

    while (strncmp(word, "--", 2) == 0)
        word = next_word(p, &rest);
    rv = take_image(p, seen, word, number, err);
    if (strcasecmp(next_word(p, &rest), "AS") == 0)
        APR_ARRAY_PUSH(seen->stages, const char *) = next_word(p, &rest);
    seen->stage++;
    return rv;
}

/* --from among the flags, wherever quotes or blanks hide it. */
static apr_status_t take_copy(apr_pool_t *p, wh_dockerfile_t *seen, const char *rest, int number,
                              wh_err_t *err)
{
    for (const char *word = next_word(p, &rest); word[0] != '\0'; word = next_word(p, &rest)) {
        apr_status_t rv;

        if (strncasecmp(word, "--from=", 7) != 0)
            continue;
        rv = take_image(p, seen, word + 7, number, err);
        if (rv != APR_SUCCESS)
            return rv;
    }
    return APR_SUCCESS;
}

/* "NAME=value" of an ARG; quotes around the whole value fall away. Others have no value here. */
static void take_args(apr_pool_t *p, wh_dockerfile_t *seen, const char *rest)
{
    for (const char *word = next_word(p, &rest); word[0] != '\0'; word = next_word(p, &rest)) {
        const char *value = strchr(word, '=');
        size_t n = value != NULL ? strlen(++value) : 0;

        if (value != NULL && n >= 2 && (*value == '"' || *value == '\'') && value[n - 1] == *value)
            word = apr_pstrcat(p, apr_pstrmemdup(p, word, (apr_size_t)(value - word)),
                               apr_pstrmemdup(p, value + 1, n - 2), NULL);
        if (value != NULL) {
            const char *full = expand(p, seen, strchr(word, '=') + 1);

            if (full != NULL)
                APR_ARRAY_PUSH(seen->args, const char *) = apr_pstrcat(
                    p, apr_pstrmemdup(p, word, (apr_size_t)(strchr(word, '=') + 1 - word)), full,
                    NULL);
        }
    }
}

/* The flags of a RUN that are mounts of secrets, one after the other right behind it. What is left
 * of the line. */
static const char *take_secrets(apr_pool_t *p, wh_dockerfile_t *seen, const char *rest)
{
    for (;;) {
        const char *from = rest, *word = next_word(p, &rest), *id = secret_id(p, word);

        if (id == NULL)
            return from;
        APR_ARRAY_PUSH(seen->secrets, const char *) = id;
    }
}

/* ---- lines ---- */

static apr_status_t check_line(apr_pool_t *p, wh_dockerfile_t *seen, const line_t *line,
                               wh_err_t *err)
{
    const char *s = skip_blanks(line->text), *rest;
    int onbuild = 0;

    while ((rest = after_word(s, "ONBUILD")) != NULL) {
        s = skip_blanks(rest);
        onbuild = 1;
    }
    rest = after_word(s, "RUN");
    seen->runs |= rest != NULL;
    if (has_mount(rest != NULL && !onbuild ? take_secrets(p, seen, rest) : s))
        return wh_err_set(err, 422, "build_failed",
                          "line %d of the Dockerfile: of mounts only --mount=type=secret,id=NAME is"
                          " allowed, right behind RUN",
                          line->number);
    if ((rest = after_word(s, "FROM")) != NULL)
        return take_from(p, seen, rest, line->number, err);
    if ((rest = after_word(s, "COPY")) != NULL)
        return take_copy(p, seen, rest, line->number, err);
    if ((rest = after_word(s, "ARG")) != NULL && seen->stage == 0)
        take_args(p, seen, rest);
    rest = after_word(s, "ADD");
    if (rest == NULL)
        return APR_SUCCESS;
    if (strpbrk(rest, "$\\`") != NULL || strstr(rest, "://") != NULL)
        return wh_err_set(err, 422, "build_failed",
                          "line %d of the Dockerfile: ADD takes plain paths only, no addresses, no "
                          "variables and no escapes; use COPY, or fetch it in a RUN",
                          line->number);
    return take_copy(p, seen, rest, line->number, err);
}

/* What parsers read in different ways: then what is checked here would not be what runs. */
static apr_status_t check_bytes(const char *s, size_t n, int number, wh_err_t *err)
{
    size_t at = 0;

    for (size_t i = 0; i < n; i++)
        if (((unsigned char)s[i] < ' ' && s[i] != '\t') && !(s[i] == '\r' && i + 1 == n))
            return wh_err_set(err, 422, "build_failed",
                              "line %d of the Dockerfile has a control character", number);
    while (at < n && (is_blank(s[at]) || s[at] == '#'))
        at++;
    if (at == 0 || n - at < 6 || strncasecmp(s + at, "escape", 6) != 0)
        return APR_SUCCESS;
    for (at += 6; at < n && (is_blank(s[at]) || s[at] == '='); at++)
        ;
    return at < n && s[at] == '`'
               ? wh_err_set(err, 422, "build_failed",
                            "line %d of the Dockerfile: another escape character is not allowed",
                            number)
               : APR_SUCCESS;
}

/* State between lines: an instruction goes on; a comment that some parsers do not take for one
 * stood in it, so that the next line may be one of its own. */
typedef struct scan_t {
    wh_dockerfile_t *seen;
    line_t line;
    int more, doubt;
} scan_t;

static apr_status_t take_line(apr_pool_t *p, scan_t *scan, const char *s, size_t n, int number,
                              wh_err_t *err)
{
    line_t *line = &scan->line;
    size_t first = 0, take;
    apr_status_t rv = APR_SUCCESS;

    while (first < n && is_blank(s[first]))
        first++;
    if (first == n)
        return APR_SUCCESS;
    if (s[first] == '#') {
        scan->doubt |= scan->more && first > 0;
        return APR_SUCCESS;
    }
    if (!scan->more)
        line->number = number;
    if (scan->doubt) {
        line_t alone = {.text = apr_pstrmemdup(p, s, n), .n = n, .number = number};

        rv = check_line(p, scan->seen, &alone, err);
    }
    scan->doubt = 0;
    take = without_escape(s, n, &scan->more);
    memcpy(line->text + line->n, s, take);
    line->n += take;
    line->text[line->n] = '\0';
    if (rv == APR_SUCCESS && !scan->more) {
        rv = check_line(p, scan->seen, line, err);
        line->n = 0;
    }
    return rv;
}

apr_status_t wh_dockerfile_check(apr_pool_t *p, const char *text, size_t n, wh_dockerfile_t *seen,
                                 wh_err_t *err)
{
    scan_t scan = {.seen = seen, .line = {.text = apr_pcalloc(p, n + 1), .number = 1}};
    const char *end = text + n;
    apr_status_t rv = APR_SUCCESS;

    *seen = (wh_dockerfile_t){.images = apr_array_make(p, 4, sizeof(const char *)),
                              .secrets = apr_array_make(p, 2, sizeof(const char *)),
                              .stages = apr_array_make(p, 4, sizeof(const char *)),
                              .args = apr_array_make(p, 4, sizeof(const char *))};
    for (int number = 1; rv == APR_SUCCESS && text < end; number++) {
        const char *lf = memchr(text, '\n', (size_t)(end - text));
        size_t len = lf != NULL ? (size_t)(lf - text) : (size_t)(end - text);

        rv = check_bytes(text, len, number, err);
        if (rv == APR_SUCCESS)
            rv = take_line(p, &scan, text, len, number, err);
        text += len + (lf != NULL);
    }
    return rv == APR_SUCCESS && scan.more ? check_line(p, seen, &scan.line, err) : rv;
}
