/* Presets: what a repository is made of, seen from its files, and how that is built. One table
 * (wh_preset.def) says both. Nothing is run and nothing is checked out: the tree is asked whether a
 * path exists, and for the beginning of a few files.
 *
 * The files are somebody else's. At most WH_PRESET_READ_MAX bytes of each are looked at; what is
 * longer or does not parse counts as having no such content. Words that go from the tree into a
 * command are made of letters, digits, '_', '-' and '.' only.
 *
 * Strings are in p or static. No function keeps state: thread-safe.
 */
#ifndef WH_PRESET_H
#define WH_PRESET_H

#include <apr_tables.h>
#include "libwh/wh_err.h"

#define WH_PRESET_READ_MAX ((size_t)(256 * 1024))

typedef enum wh_preset_there_e {
    WH_PRESET_NOT_THERE, /* or neither file nor directory: a link, a submodule */
    WH_PRESET_FILE,
    WH_PRESET_DIR
} wh_preset_there_e;

/* The tree, below the app's root directory. */
typedef struct wh_preset_tree_t {
    wh_preset_there_e (*has)(void *baton, const char *path);
    /* Up to n bytes from its beginning; returns how many, more than n for a longer file, -1 when it
     * cannot be read. */
    apr_ssize_t (*read)(void *baton, const char *path, char *buf, size_t n);
    void *baton;
} wh_preset_tree_t;

typedef struct wh_preset_t {
    const char *name, *title, *family;
    int priority;
    const char *output; /* directory of the files it makes; NULL = it is a server */
    const char *all, *any, *none;
} wh_preset_t;

typedef struct wh_preset_runner_t {
    const char *family, *build, *run; /* images */
} wh_preset_runner_t;

/* Every row, highest priority first. */
extern const wh_preset_t wh_presets[];
extern const size_t wh_presets_n;
extern const wh_preset_runner_t wh_preset_runners[];
extern const size_t wh_preset_runners_n;

typedef enum wh_preset_want_e {
    WH_PRESET_ANY,
    WH_PRESET_FILES, /* only those that make files */
    WH_PRESET_SERVER /* only those that listen */
} wh_preset_want_e;

/* What came of looking. Commands are for `sh -c` in the container; "" = there is none. */
typedef struct wh_preset_found_t {
    const wh_preset_t *preset; /* NULL = none fits */
    const char *reason;        /* "package.json, dep:vite, index.html" */
    const char *install, *build, *start;
    const char *env;           /* "NAME=value NAME=value" */
    const char *run_env;       /* only while it runs */
    apr_array_header_t *files; /* const char *: copied before the install, those that are there */
} wh_preset_found_t;

/* NULL = there is none of that name. */
const wh_preset_t *wh_preset_by_name(const char *name);

/* The row of its family; never NULL for a family of the table. */
const wh_preset_runner_t *wh_preset_runner(const char *family);

/* Every path that any rule may ask about (const char *, without the "/" of directories): so that
 * one listing answers them all. */
apr_array_header_t *wh_preset_paths(apr_pool_t *p);

/* The preset that fits, and how it is built. */
void wh_preset_detect(apr_pool_t *p, const wh_preset_tree_t *tree, wh_preset_want_e want,
                      wh_preset_found_t *found);

/* The same for a preset that somebody chose: its rules are not asked. */
void wh_preset_settle(apr_pool_t *p, const wh_preset_tree_t *tree, const wh_preset_t *preset,
                      wh_preset_found_t *found);

#endif
