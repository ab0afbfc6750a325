#include "libwh/wh_entry.h"

#include <string.h>
#include <strings.h>

static wh_entry_e refused(const char **why, const char *text)
{
    *why = text;
    return WH_ENTRY_REFUSED;
}

static int is_dots(const char *part, size_t n, size_t dots)
{
    return n == dots && strncmp(part, "..", dots) == 0;
}

/* Control characters, and what no file system of another kind than ours takes as a name's part. */
static int has_odd(const char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < ' ' || *text == 0x7f || *text == '\\') {
            return 1;
        }
    }
    return 0;
}

wh_entry_e wh_entry_path(const char *name, char out[WH_ENTRY_PATH_MAX + 1], const char **why)
{
    size_t at = 0, depth = 0;
    int git = 0;

    out[0] = '\0';
    if (*name == '/') {
        return refused(why, "its path is absolute");
    }
    if (has_odd(name)) {
        return refused(why, "its name has control characters or a backslash");
    }
    while (*name != '\0') {
        size_t n = strcspn(name, "/");

        if (is_dots(name, n, 2)) {
            return refused(why, "its path has \"..\"");
        }
        if (n > 0 && !is_dots(name, n, 1)) {
            if (n > WH_ENTRY_NAME_MAX || at + n + 1 > WH_ENTRY_PATH_MAX ||
                ++depth > WH_ENTRY_DEPTH_MAX) {
                return refused(why, "its path is too long or too deep");
            }
            git |= n == 4 && strncasecmp(name, ".git", 4) == 0;
            if (at > 0) {
                out[at++] = '/';
            }
            memcpy(out + at, name, n);
            at += n;
        }
        name += n;
        name += strspn(name, "/");
    }
    out[at] = '\0';
    return at == 0 || git ? WH_ENTRY_LEFT_OUT : WH_ENTRY_TAKEN;
}

wh_entry_e wh_entry_link(const char *path, const char *target, const char **why)
{
    size_t depth = 0;

    if (*target == '\0' || *target == '/' || strlen(target) > WH_ENTRY_PATH_MAX) {
        return refused(why, "it is a link with an absolute, empty or too long target");
    }
    if (has_odd(target)) {
        return refused(why, "its target has control characters or a backslash");
    }
    for (; (path = strchr(path, '/')) != NULL; path++) {
        depth++;
    }
    while (*target != '\0') {
        size_t n = strcspn(target, "/");

        if (is_dots(target, n, 2)) {
            if (depth == 0) {
                return refused(why, "it is a link that leads out of the archive");
            }
            depth--;
        } else if (n > 0 && !is_dots(target, n, 1)) {
            depth++;
        }
        target += n;
        target += strspn(target, "/");
    }
    return WH_ENTRY_TAKEN;
}
