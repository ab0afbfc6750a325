#include <string.h>
#include <strings.h>
#include <apr_hash.h>
#include <apr_lib.h>
#include <apr_strings.h>

#include "libwh/wh_json.h"
#include "libwh/wh_preset.h"
#include "libwh/wh_preset_text.h"

typedef enum what_e { FILES, INSTALL, BUILD, START, ENV, RUN_ENV } what_e;

typedef struct way_t {
    const char *whose; /* a preset or a family */
    what_e what;
    const char *when, *value;
} way_t;

const wh_preset_t wh_presets[] = {
#define WH_PRESET(n, t, f, prio, out, al, an, no)                                                  \
    {.name = n,                                                                                    \
     .title = t,                                                                                   \
     .family = f,                                                                                  \
     .priority = prio,                                                                             \
     .output = out,                                                                                \
     .all = al,                                                                                    \
     .any = an,                                                                                    \
     .none = no},
#include "libwh/wh_preset.def"
};
const size_t wh_presets_n = WH_ARRAY_LEN(wh_presets);

const wh_preset_runner_t wh_preset_runners[] = {
#define WH_RUNNER(f, b, r) {.family = f, .build = b, .run = r},
#include "libwh/wh_preset.def"
};
const size_t wh_preset_runners_n = WH_ARRAY_LEN(wh_preset_runners);

static const way_t ways[] = {
#define WH_WAY(who, w, wh, v) {.whose = who, .what = w, .when = wh, .value = v},
#include "libwh/wh_preset.def"
};

/* What the rules need to know of the tree, asked once each. */
typedef struct look_t {
    apr_pool_t *p;
    const wh_preset_tree_t *tree;
    apr_hash_t *raw, *plain; /* path -> const char * */
    apr_hash_t *docs;        /* path -> json_t, borrowed */
    char *buf;
} look_t;

/* One term of a rule, taken apart; name and words point into memory of p. */
typedef struct term_t {
    int negated;
    const char *kind; /* "" = a path */
    const char *name, *words;
} term_t;

static const char *const python_files[] = {"requirements.txt", "pyproject.toml", "Pipfile",
                                           "setup.py"};
static const char *const modules[][2] = {{"app.py", "app"},
                                         {"wsgi.py", "wsgi"},
                                         {"main.py", "main"},
                                         {"application.py", "application"},
                                         {"app/__init__.py", "app"}};

/* ---- contents ---- */

/* "" when it is not a file, is too long, or holds a NUL. */
static const char *raw(look_t *look, const char *path)
{
    const char *text = apr_hash_get(look->raw, path, APR_HASH_KEY_STRING);
    apr_ssize_t n;

    if (text != NULL)
        return text;
    text = "";
    if (look->tree->has(look->tree->baton, path) == WH_PRESET_FILE) {
        if (look->buf == NULL)
            look->buf = apr_palloc(look->p, WH_PRESET_READ_MAX);
        n = look->tree->read(look->tree->baton, path, look->buf, WH_PRESET_READ_MAX);
        if (n > 0 && (size_t)n <= WH_PRESET_READ_MAX && memchr(look->buf, '\0', (size_t)n) == NULL)
            text = apr_pstrmemdup(look->p, look->buf, (apr_size_t)n);
    }
    apr_hash_set(look->raw, apr_pstrdup(look->p, path), APR_HASH_KEY_STRING, text);
    return text;
}

static const char *plain(look_t *look, const char *path)
{
    const char *text = apr_hash_get(look->plain, path, APR_HASH_KEY_STRING);

    if (text == NULL) {
        text = wh_preset_text_plain(look->p, path, raw(look, path));
        apr_hash_set(look->plain, apr_pstrdup(look->p, path), APR_HASH_KEY_STRING, text);
    }
    return text;
}

/* NULL when it is no JSON object. */
static json_t *doc(look_t *look, const char *path)
{
    static const wh_json_limits_t limits = {
        .bytes = WH_PRESET_READ_MAX, .depth = 32, .values = 20000};
    json_t *json = apr_hash_get(look->docs, path, APR_HASH_KEY_STRING);
    const char *text;

    if (json != NULL)
        return json_is_object(json) ? json : NULL;
    text = raw(look, path);
    if (wh_json_load_object(look->p, text, strlen(text), &limits, &json, NULL) != APR_SUCCESS)
        json = json_null();
    apr_hash_set(look->docs, apr_pstrdup(look->p, path), APR_HASH_KEY_STRING, json);
    return json_is_object(json) ? json : NULL;
}

/* ---- terms ---- */

static int member_of(look_t *look, const char *path, const char *const *objects, const char *name)
{
    json_t *json = doc(look, path);

    for (; json != NULL && *objects != NULL; objects++)
        if (json_object_get(json_object_get(json, *objects), name) != NULL)
            return 1;
    return 0;
}

static int is_path(look_t *look, const term_t *t)
{
    size_t n = strlen(t->name);
    int dir = n > 1 && t->name[n - 1] == '/';
    const char *path = dir ? apr_pstrmemdup(look->p, t->name, n - 1) : t->name;

    return look->tree->has(look->tree->baton, path) == (dir ? WH_PRESET_DIR : WH_PRESET_FILE);
}

static int is_dep(look_t *look, const term_t *t)
{
    static const char *const in[] = {"dependencies", "devDependencies", NULL};

    return member_of(look, "package.json", in, t->name);
}

static int is_script(look_t *look, const term_t *t)
{
    static const char *const in[] = {"scripts", NULL};

    return member_of(look, "package.json", in, t->name);
}

static int is_composer(look_t *look, const term_t *t)
{
    static const char *const in[] = {"require", NULL};

    return member_of(look, "composer.json", in, t->name);
}

static int is_pkg(look_t *look, const term_t *t)
{
    json_t *json = doc(look, "package.json");

    return json != NULL && json_object_get(json, t->name) != NULL;
}

static int is_py(look_t *look, const term_t *t)
{
    for (size_t i = 0; i < WH_ARRAY_LEN(python_files); i++)
        if (wh_preset_text_python(raw(look, python_files[i]), t->name))
            return 1;
    return 0;
}

static int is_gem(look_t *look, const term_t *t)
{
    const char *text = plain(look, "Gemfile");

    return wh_preset_text_has(text, apr_pstrcat(look->p, "^gem'", t->name, "'", NULL)) ||
           wh_preset_text_has(text, apr_pstrcat(look->p, "^gem('", t->name, "'", NULL));
}

static int is_text(look_t *look, const term_t *t)
{
    return wh_preset_text_has(plain(look, t->name), t->words);
}

/* kind, how it is asked, the file that it needs (NULL = its own name), how it is said */
static const struct kind_t {
    const char *kind;
    int (*holds)(look_t *look, const term_t *t);
    const char *file;
    const char *said;
} kinds[] = {
    {"", is_path, NULL, "%s"},
    {"dep", is_dep, "package.json", "%s in package.json"},
    {"script", is_script, "package.json", "the script \"%s\""},
    {"pkg", is_pkg, "package.json", "\"%s\" in package.json"},
    {"composer", is_composer, "composer.json", "%s in composer.json"},
    {"py", is_py, "requirements.txt", "the Python package %s"},
    {"gem", is_gem, "Gemfile", "the gem %s"},
    {"text", is_text, NULL, "what %s says"},
};

static const struct kind_t *kind_of(const char *kind)
{
    for (size_t i = 0; i < WH_ARRAY_LEN(kinds); i++)
        if (strcmp(kinds[i].kind, kind) == 0)
            return &kinds[i];
    return &kinds[0];
}

/* The next term of a rule; *rule is moved past it. 0 = there is none. */
static int next_term(apr_pool_t *p, const char **rule, term_t *t)
{
    const char *s = *rule + strspn(*rule, " "), *colon;
    size_t n = strcspn(s, " ");
    char *text;

    if (n == 0)
        return 0;
    *rule = s + n;
    t->negated = *s == '!';
    text = apr_pstrmemdup(p, s + t->negated, n - (size_t)t->negated);
    colon = strchr(text, ':');
    t->kind = colon != NULL ? apr_pstrmemdup(p, text, (apr_size_t)(colon - text)) : "";
    t->name = colon != NULL ? colon + 1 : text;
    t->words = "";
    if (strcmp(t->kind, "text") == 0 && (colon = strchr(t->name, ':')) != NULL) {
        t->words = colon + 1;
        t->name = apr_pstrmemdup(p, t->name, (apr_size_t)(colon - t->name));
    }
    return 1;
}

static int holds(look_t *look, const term_t *t)
{
    return kind_of(t->kind)->holds(look, t) != t->negated;
}

static const char *said(apr_pool_t *p, const char *reason, const term_t *t)
{
    const char *how = kind_of(t->kind)->said, *hole = strstr(how, "%s");
    const char *text =
        apr_pstrcat(p, apr_pstrmemdup(p, how, (apr_size_t)(hole - how)), t->name, hole + 2, NULL);

    return reason[0] == '\0' ? text : apr_pstrcat(p, reason, ", ", text, NULL);
}

/* All terms hold; *reason grows by them. */
static int all_of(look_t *look, const char *rule, const char **reason)
{
    term_t t;

    while (next_term(look->p, &rule, &t)) {
        if (!holds(look, &t))
            return 0;
        if (reason != NULL)
            *reason = said(look->p, *reason, &t);
    }
    return 1;
}

/* One of the terms holds: that one is the reason. An empty rule holds. */
static int any_of(look_t *look, const char *rule, const char **reason)
{
    int empty = rule[0] == '\0';
    term_t t;

    while (next_term(look->p, &rule, &t)) {
        if (holds(look, &t)) {
            *reason = said(look->p, *reason, &t);
            return 1;
        }
    }
    return empty;
}

static int fits(look_t *look, const wh_preset_t *preset, const char **reason)
{
    const char *scratch = "";

    *reason = "";
    return all_of(look, preset->all, reason) && any_of(look, preset->any, reason) &&
           (preset->none[0] == '\0' || !any_of(look, preset->none, &scratch));
}

/* ---- ways ---- */

static const char *module_of(look_t *look)
{
    for (size_t i = 0; i < WH_ARRAY_LEN(modules); i++)
        if (look->tree->has(look->tree->baton, modules[i][0]) == WH_PRESET_FILE)
            return modules[i][1];
    return "";
}

/* 'DJANGO_SETTINGS_MODULE','mysite.settings' to "mysite" */
static const char *settings_of(look_t *look)
{
    const char *word =
        wh_preset_text_after(look->p, plain(look, "manage.py"), "DJANGO_SETTINGS_MODULE','");
    const char *end = strstr(word, ".settings");

    return end != NULL ? apr_pstrmemdup(look->p, word, (apr_size_t)(end - word)) : "";
}

static const char *crate_of(look_t *look)
{
    const char *text = strstr(plain(look, "Cargo.toml"), "[package]");

    return text != NULL ? wh_preset_text_after(look->p, text, "^name='") : "";
}

/* The words of the tree put in; NULL when there is none for a hole. */
static const char *filled(look_t *look, const char *value)
{
    static const struct {
        const char *hole;
        const char *(*of)(look_t *look);
    } holes[] = {{"{module}", module_of}, {"{settings}", settings_of}, {"{crate}", crate_of}};

    for (size_t i = 0; i < WH_ARRAY_LEN(holes); i++) {
        const char *at = strstr(value, holes[i].hole), *word;

        if (at == NULL)
            continue;
        word = holes[i].of(look);
        if (word[0] == '\0')
            return NULL;
        value = apr_pstrcat(look->p, apr_pstrmemdup(look->p, value, (apr_size_t)(at - value)), word,
                            at + strlen(holes[i].hole), NULL);
    }
    return value;
}

static const char *way(look_t *look, const wh_preset_t *preset, what_e what)
{
    const char *whose[] = {preset->name, preset->family};

    for (size_t k = 0; k < WH_ARRAY_LEN(whose) - (strcmp(whose[0], whose[1]) == 0); k++) {
        for (size_t i = 0; i < WH_ARRAY_LEN(ways); i++) {
            const char *value;

            if (ways[i].what != what || strcmp(ways[i].whose, whose[k]) != 0 ||
                !all_of(look, ways[i].when, NULL))
                continue;
            value = filled(look, ways[i].value);
            if (value != NULL)
                return value;
        }
    }
    return "";
}

/* ---- from outside ---- */

static void look_init(look_t *look, apr_pool_t *p, const wh_preset_tree_t *tree)
{
    *look = (look_t){.p = p,
                     .tree = tree,
                     .raw = apr_hash_make(p),
                     .plain = apr_hash_make(p),
                     .docs = apr_hash_make(p)};
}

static void settle(look_t *look, wh_preset_found_t *found)
{
    const wh_preset_t *preset = found->preset;
    const char *files = way(look, preset, FILES);
    term_t t;

    found->install = way(look, preset, INSTALL);
    found->build = way(look, preset, BUILD);
    found->start = preset->output == NULL ? way(look, preset, START) : "";
    found->env = way(look, preset, ENV);
    found->run_env = preset->output == NULL ? way(look, preset, RUN_ENV) : "";
    while (next_term(look->p, &files, &t))
        if (is_path(look, &t))
            APR_ARRAY_PUSH(found->files, const char *) = t.name;
}

static void found_init(apr_pool_t *p, wh_preset_found_t *found)
{
    *found = (wh_preset_found_t){.reason = "",
                                 .install = "",
                                 .build = "",
                                 .start = "",
                                 .env = "",
                                 .run_env = "",
                                 .files = apr_array_make(p, 4, sizeof(const char *))};
}

void wh_preset_detect(apr_pool_t *p, const wh_preset_tree_t *tree, wh_preset_want_e want,
                      wh_preset_found_t *found)
{
    look_t look;

    look_init(&look, p, tree);
    found_init(p, found);
    for (size_t i = 0; i < wh_presets_n; i++) {
        const wh_preset_t *preset = &wh_presets[i];
        int is_server = preset->output == NULL;

        if (want != WH_PRESET_ANY && is_server != (want == WH_PRESET_SERVER))
            continue;
        if (fits(&look, preset, &found->reason)) {
            found->preset = preset;
            settle(&look, found);
            return;
        }
    }
    found->reason = "";
}

void wh_preset_settle(apr_pool_t *p, const wh_preset_tree_t *tree, const wh_preset_t *preset,
                      wh_preset_found_t *found)
{
    look_t look;

    look_init(&look, p, tree);
    found_init(p, found);
    found->preset = preset;
    settle(&look, found);
}

const wh_preset_t *wh_preset_by_name(const char *name)
{
    for (size_t i = 0; i < wh_presets_n; i++)
        if (strcmp(wh_presets[i].name, name) == 0)
            return &wh_presets[i];
    return NULL;
}

const wh_preset_runner_t *wh_preset_runner(const char *family)
{
    for (size_t i = 0; i < wh_preset_runners_n; i++)
        if (strcmp(wh_preset_runners[i].family, family) == 0)
            return &wh_preset_runners[i];
    return NULL;
}

static void add_path(apr_pool_t *p, apr_hash_t *seen, apr_array_header_t *paths, const char *path)
{
    size_t n = strlen(path);

    if (n > 1 && path[n - 1] == '/')
        path = apr_pstrmemdup(p, path, n - 1);
    if (apr_hash_get(seen, path, APR_HASH_KEY_STRING) != NULL)
        return;
    apr_hash_set(seen, path, APR_HASH_KEY_STRING, "");
    APR_ARRAY_PUSH(paths, const char *) = path;
}

apr_array_header_t *wh_preset_paths(apr_pool_t *p)
{
    apr_array_header_t *paths = apr_array_make(p, 80, sizeof(const char *));
    apr_hash_t *seen = apr_hash_make(p);
    term_t t;

    for (size_t i = 0; i < wh_presets_n; i++) {
        const char *rules = apr_pstrcat(p, wh_presets[i].all, " ", wh_presets[i].any, " ",
                                        wh_presets[i].none, NULL);

        while (next_term(p, &rules, &t))
            add_path(p, seen, paths,
                     kind_of(t.kind)->file != NULL ? kind_of(t.kind)->file : t.name);
    }
    for (size_t i = 0; i < WH_ARRAY_LEN(ways); i++) {
        const char *rules =
            apr_pstrcat(p, ways[i].when, " ", ways[i].what == FILES ? ways[i].value : "", NULL);

        while (next_term(p, &rules, &t))
            add_path(p, seen, paths,
                     kind_of(t.kind)->file != NULL ? kind_of(t.kind)->file : t.name);
    }
    for (size_t i = 0; i < WH_ARRAY_LEN(python_files); i++)
        add_path(p, seen, paths, python_files[i]);
    for (size_t i = 0; i < WH_ARRAY_LEN(modules); i++)
        add_path(p, seen, paths, modules[i][0]);
    return paths;
}
