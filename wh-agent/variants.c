#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <apr_hash.h>
#include <apr_strings.h>
#include <apr_tables.h>
#include "libwh/wh_file.h"
#include "libwh/wh_sign.h"
#include "wh-agent/fsutil.h"
#include "wh-agent/variants.h"

#define FILE_MAX ((size_t)(16 * 1024 * 1024))
#define HEX WH_SHA256_HEX

struct wh_variants_t {
    apr_pool_t *p;
    const char *path;
    const char *head;
    apr_hash_t *known;         /* sha256 -> wh_variants_entry_t */
    apr_array_header_t *fresh; /* lines to append */
    int afresh;                /* the file is to be written anew */
};

static int coding_of(const char *word)
{
    for (int c = 0; word != NULL && c < WH_CODINGS; c++) {
        if (strcmp(wh_manifest_coding_text((wh_coding_e)c), word) == 0)
            return c;
    }
    return -1;
}

/* The rest of a line behind its tier. 1 = it is sound. */
static int take_words(char *words, wh_variants_entry_t *entry)
{
    char *last = NULL;

    for (char *word = apr_strtok(words, " ", &last); word != NULL;
         word = apr_strtok(NULL, " ", &last)) {
        int c = coding_of(word);
        const char *sha = apr_strtok(NULL, " ", &last), *size = apr_strtok(NULL, " ", &last);

        if (c < 0 || sha == NULL || size == NULL || !wh_sign_is_hex(sha, HEX) || sha[HEX] != '\0')
            return 0;
        memcpy(entry->of[c].sha256, sha, HEX + 1);
        entry->of[c].size = (apr_off_t)apr_atoi64(size);
        if (entry->of[c].size < 1 || entry->of[c].size > WH_COMPRESS_MAX)
            return 0;
        entry->any = 1;
    }
    return 1;
}

static void take_line(wh_variants_t *v, char *line)
{
    wh_variants_entry_t *entry;
    int tier;

    if (strlen(line) < HEX + 2 || line[HEX] != ' ')
        return;
    line[HEX] = '\0';
    if (!wh_sign_is_hex(line, HEX))
        return;
    tier = line[HEX + 1] - '0';
    if (tier < 0 || tier >= WH_COMPRESS_TIERS)
        return;
    entry = apr_pcalloc(v->p, sizeof(*entry));
    entry->tier = (wh_compress_tier_e)tier;
    if (take_words(line + HEX + 2, entry))
        apr_hash_set(v->known, line, HEX, entry);
}

wh_variants_t *wh_variants_open(apr_pool_t *p, const char *path)
{
    wh_variants_t *v = apr_pcalloc(p, sizeof(*v));
    size_t n = 0, head;
    char *text;

    v->p = p;
    v->path = path;
    v->head = apr_pstrcat(p, "wisehost-variants 1 ", wh_compress_libraries(p), "\n", NULL);
    v->known = apr_hash_make(p);
    v->fresh = apr_array_make(p, 16, sizeof(const char *));
    head = strlen(v->head);
    if (wh_fsutil_read(p, path, FILE_MAX, &text, &n, NULL) != APR_SUCCESS || n < head ||
        memcmp(text, v->head, head) != 0) {
        v->afresh = 1;
        return v;
    }
    for (char *line = text + head; *line != '\0';) {
        char *end = strchr(line, '\n');

        if (end == NULL) {
            v->afresh = 1; /* half a line at the end would swallow the next one */
            break;
        }
        *end = '\0';
        take_line(v, line);
        line = end + 1;
    }
    return v;
}

const wh_variants_entry_t *wh_variants_find(const wh_variants_t *v, const char *sha256)
{
    return apr_hash_get(v->known, sha256, HEX);
}

void wh_variants_add(wh_variants_t *v, const char *sha256, const wh_variants_entry_t *entry)
{
    const char *line = apr_psprintf(v->p, "%s %d", sha256, (int)entry->tier);

    for (int c = 0; c < WH_CODINGS; c++) {
        if (entry->of[c].size > 0)
            line = apr_psprintf(v->p, "%s %s %s %" APR_OFF_T_FMT, line,
                                wh_manifest_coding_text((wh_coding_e)c), entry->of[c].sha256,
                                entry->of[c].size);
    }
    apr_hash_set(v->known, apr_pstrdup(v->p, sha256), HEX,
                 apr_pmemdup(v->p, entry, sizeof(*entry)));
    APR_ARRAY_PUSH(v->fresh, const char *) = apr_pstrcat(v->p, line, "\n", NULL);
}

void wh_variants_save(wh_variants_t *v)
{
    int flags = O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC | (v->afresh ? O_TRUNC : O_APPEND);
    const char *text;
    int fd;

    if (v->fresh->nelts == 0)
        return;
    text = apr_array_pstrcat(v->p, v->fresh, '\0');
    if (v->afresh)
        text = apr_pstrcat(v->p, v->head, text, NULL);
    fd = open(v->path, flags, 0600);
    if (fd < 0)
        return;
    if (wh_file_put(fd, text, strlen(text)) != APR_SUCCESS)
        (void)unlink(v->path);
    close(fd);
    apr_array_clear(v->fresh);
    v->afresh = 0;
}

void wh_variants_forget(const wh_variants_t *v)
{
    (void)unlink(v->path);
}
