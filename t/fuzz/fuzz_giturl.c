/* Addresses of repositories, directories inside them, names of images. */
#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>
#include "libwh/wh_giturl.h"
#include "libwh/wh_imageref.h"
#include "t/fuzz/fuzz.h"

/* No segment of a path leads up. */
static int climbs(const char *path)
{
    while (*path) {
        size_t n = strcspn(path, "/");

        if (n == 2 && strncmp(path, "..", 2) == 0)
            return 1;
        path += n + (path[n] == '/');
    }
    return 0;
}

/* What is taken has one form, which is taken as it is. */
static void image(apr_pool_t *p, const char *text)
{
    wh_imageref_t ref, again;
    const char *one;

    if (wh_imageref_parse(p, text, &ref, NULL) != APR_SUCCESS)
        return;
    one = wh_imageref_text(p, &ref);
    fuzz_must(text[0] != '-' && !climbs(text) && strpbrk(one, " \n\t\\?#%&'\"$`") == NULL);
    fuzz_must(wh_imageref_parse(p, one, &again, NULL) == APR_SUCCESS);
    fuzz_must(strcmp(one, wh_imageref_text(p, &again)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    apr_pool_t *p = fuzz_pool();
    char *text = apr_pstrmemdup(p, (const char *)data, n);
    const char *url;

    if (wh_giturl_check(p, text, "/srv/git", NULL) == APR_SUCCESS) {
        fuzz_must(strlen(text) <= WH_GITURL_MAX && text[0] != '-' && !climbs(text));
        fuzz_must(strchr(text, '\\') == NULL && strchr(text, '\n') == NULL);
        if (wh_giturl_kind(text) == WH_GITURL_LOCAL) {
            fuzz_must(strncmp(text, "/srv/git/", 9) == 0 && text[9]);
        } else if (wh_giturl_kind(text) != WH_GITURL_HUB) {
            wh_giturl_parts_t parts;

            wh_giturl_parts(p, text, &parts);
            fuzz_must(parts.host[0] && parts.host[0] != '-' && parts.user[0] != '-');
            fuzz_must(strpbrk(parts.host, "@:/%") == NULL && atoi(parts.port) > 0);
            fuzz_must(parts.path[0] && parts.path[0] != '-');
            fuzz_must(parts.user[0] == '\0' || strncmp(parts.path, "/-", 2) != 0);
            fuzz_must((parts.user[0] != '\0') == (wh_giturl_kind(text) == WH_GITURL_SSH));
        }
        fuzz_must(wh_giturl_check(p, text, NULL, NULL) == APR_SUCCESS || text[0] == '/');
    }
    if (wh_giturl_submodule(p, "ssh://git@h:22/a/b", text, "/srv/git", &url, NULL) == APR_SUCCESS)
        fuzz_must(url[0] != '/' && wh_giturl_check(p, url, NULL, NULL) == APR_SUCCESS);
    if (wh_giturl_subdir_check(text, NULL) == APR_SUCCESS)
        fuzz_must(text[0] != '/' && !climbs(text));
    image(p, text);
    return 0;
}
