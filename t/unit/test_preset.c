/* Presets: the trees of t/data/trees, each with the preset that is right and what came of it. */
#include <stdio.h>
#include <apr_file_io.h>
#include <apr_hash.h>

#include "t/unit/unit.h"
#include "libwh/wh_preset.h"

typedef struct tree_t {
    apr_pool_t *p;
    const char *preset, *name;
    apr_hash_t *files;         /* path -> contents; "dir/" */
    apr_array_header_t *wants; /* const char *: "what", "value" in turn */
    size_t reads;
} tree_t;

static wh_preset_there_e has(void *baton, const char *path)
{
    tree_t *t = baton;

    if (apr_hash_get(t->files, path, APR_HASH_KEY_STRING) != NULL)
        return WH_PRESET_FILE;
    return apr_hash_get(t->files, apr_pstrcat(t->p, path, "/", NULL), APR_HASH_KEY_STRING) != NULL
               ? WH_PRESET_DIR
               : WH_PRESET_NOT_THERE;
}

static apr_ssize_t read_it(void *baton, const char *path, char *buf, size_t n)
{
    tree_t *t = baton;
    const char *text = apr_hash_get(t->files, path, APR_HASH_KEY_STRING);
    size_t len = text != NULL ? strlen(text) : 0;

    t->reads++;
    if (text == NULL)
        return -1;
    memcpy(buf, text, len < n ? len : n);
    return (apr_ssize_t)(len > n ? n + 1 : len);
}

static char *slurp(apr_pool_t *p, const char *name)
{
    const char *root = getenv("top_srcdir");
    const char *path = apr_pstrcat(p, root != NULL ? root : ".", "/t/data/", name, NULL);
    FILE *f = fopen(path, "r");
    char *text = apr_palloc(p, 65536);
    size_t n;

    if (f == NULL)
        fail_msg("cannot read %s", path);
    n = fread(text, 1, 65535, f);
    fclose(f);
    text[n] = '\0';
    return text;
}

static char *unfold(char *s)
{
    char *to = s;

    for (char *from = s; *from != '\0'; from++) {
        int lf = from[0] == '\\' && from[1] == 'n';

        *to++ = lf ? '\n' : *from;
        from += lf;
    }
    *to = '\0';
    return s;
}

static void take_path(tree_t *t, char *line)
{
    char *colon = strstr(line, ": ");
    size_t n = strlen(line);
    const char *contents = "";

    if (colon != NULL) {
        *colon = '\0';
        contents = unfold(colon + 2);
    } else if (line[n - 1] == '@') {
        return; /* a link: to a preset it is not there */
    }
    apr_hash_set(t->files, line, APR_HASH_KEY_STRING, contents);
}

static apr_array_header_t *load(apr_pool_t *p)
{
    apr_array_header_t *all = apr_array_make(p, 60, sizeof(tree_t *));
    tree_t *t = NULL;
    char *text = slurp(p, "trees/trees.txt"), *state = NULL;

    for (char *line = apr_strtok(text, "\n", &state); line != NULL;
         line = apr_strtok(NULL, "\n", &state)) {
        char *space;

        if (line[0] == '#')
            continue;
        if (line[0] == '@') {
            t = apr_pcalloc(p, sizeof(*t));
            t->p = p;
            t->preset = line + 2;
            space = strchr(line + 2, ' ');
            assert_non_null(space);
            *space = '\0';
            t->name = space + 1;
            t->files = apr_hash_make(p);
            t->wants = apr_array_make(p, 4, sizeof(const char *));
            APR_ARRAY_PUSH(all, tree_t *) = t;
        } else if (line[0] == '>') {
            space = strchr(line + 2, ' ');
            if (space != NULL)
                *space++ = '\0';
            APR_ARRAY_PUSH(t->wants, const char *) = line + 2;
            APR_ARRAY_PUSH(t->wants, const char *) = space != NULL ? space : "";
        } else {
            take_path(t, line);
        }
    }
    return all;
}

static const char *of(apr_pool_t *p, const wh_preset_found_t *f, const char *what)
{
    if (strcmp(what, "files") == 0)
        return apr_array_pstrcat(p, f->files, ' ');
    if (strcmp(what, "install") == 0)
        return f->install;
    if (strcmp(what, "build") == 0)
        return f->build;
    if (strcmp(what, "start") == 0)
        return f->start;
    if (strcmp(what, "reason") == 0)
        return f->reason;
    fail_msg("nobody knows what %s is", what);
    return "";
}

static void test_trees(void **state)
{
    apr_pool_t *p = *state;
    apr_array_header_t *all = load(p);
    int named = 0;

    for (int i = 0; i < all->nelts; i++) {
        tree_t *t = APR_ARRAY_IDX(all, i, tree_t *);
        wh_preset_tree_t tree = {.has = has, .read = read_it, .baton = t};
        wh_preset_found_t found;

        named += t->name[0] != '.';
        wh_preset_detect(p, &tree, WH_PRESET_ANY, &found);
        if (strcmp(found.preset != NULL ? found.preset->name : "-", t->preset) != 0)
            fail_msg("%s: %s (%s), not %s", t->name,
                     found.preset != NULL ? found.preset->name : "-", found.reason, t->preset);
        assert_true((found.preset == NULL) == (found.reason[0] == '\0'));
        for (int w = 0; w + 1 < t->wants->nelts; w += 2) {
            const char *what = APR_ARRAY_IDX(t->wants, w, const char *);
            const char *want = APR_ARRAY_IDX(t->wants, w + 1, const char *);

            if (strcmp(of(p, &found, what), want) != 0)
                fail_msg("%s: %s is \"%s\", not \"%s\"", t->name, what, of(p, &found, what), want);
        }
        assert_true(t->reads < 30);
    }
    assert_true(all->nelts >= 40);
    assert_true(named >= 15);
}

/* Every path that a rule asks about is among those that were listed beforehand. */
typedef struct asked_t {
    apr_hash_t *known;
    int missing;
} asked_t;

static wh_preset_there_e ask(void *baton, const char *path)
{
    asked_t *a = baton;

    if (apr_hash_get(a->known, path, APR_HASH_KEY_STRING) == NULL) {
        print_message("# %s is not listed\n", path);
        a->missing++;
    }
    return WH_PRESET_FILE;
}

static apr_ssize_t no_text(void *baton, const char *path, char *buf, size_t n)
{
    (void)ask(baton, path);
    (void)n;
    buf[0] = '{';
    buf[1] = '}';
    return 2;
}

static void test_paths(void **state)
{
    apr_pool_t *p = *state;
    apr_array_header_t *paths = wh_preset_paths(p);
    asked_t asked = {.known = apr_hash_make(p)};
    wh_preset_tree_t tree = {.has = ask, .read = no_text, .baton = &asked};
    wh_preset_found_t found;

    for (int i = 0; i < paths->nelts; i++)
        apr_hash_set(asked.known, APR_ARRAY_IDX(paths, i, const char *), APR_HASH_KEY_STRING, "");
    for (size_t i = 0; i < wh_presets_n; i++)
        wh_preset_settle(p, &tree, &wh_presets[i], &found);
    wh_preset_detect(p, &tree, WH_PRESET_ANY, &found);
    assert_int_equal(asked.missing, 0);
    assert_true(paths->nelts < 200);
}

static void test_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < wh_presets_n; i++) {
        const wh_preset_t *preset = &wh_presets[i];

        assert_non_null(wh_preset_runner(preset->family));
        assert_ptr_equal(wh_preset_by_name(preset->name), preset);
        assert_true(i == 0 || preset->priority < wh_presets[i - 1].priority);
        assert_true(preset->all[0] != '\0' || preset->any[0] != '\0');
    }
    assert_null(wh_preset_by_name("cobol"));
}

/* What is wanted decides: a Vite site has no server, a Node program makes no files. */
static void test_want(void **state)
{
    apr_pool_t *p = *state;
    tree_t t = {.p = p, .files = apr_hash_make(p)};
    wh_preset_tree_t tree = {.has = has, .read = read_it, .baton = &t};
    wh_preset_found_t found;

    apr_hash_set(t.files, "index.html", APR_HASH_KEY_STRING, "");
    apr_hash_set(t.files, "package.json", APR_HASH_KEY_STRING,
                 "{\"scripts\":{\"build\":\"x\"},\"devDependencies\":{\"vite\":\"1\"}}");
    wh_preset_detect(p, &tree, WH_PRESET_FILES, &found);
    assert_string_equal(found.preset->name, "vite");
    wh_preset_detect(p, &tree, WH_PRESET_SERVER, &found);
    assert_string_equal(found.preset->name, "node");
    assert_string_equal(found.start, "");
}

/* A file of 256 KiB and a byte is not read, nor one with a NUL in it. */
static void test_bounds(void **state)
{
    apr_pool_t *p = *state;
    tree_t t = {.p = p, .files = apr_hash_make(p)};
    wh_preset_tree_t tree = {.has = has, .read = read_it, .baton = &t};
    wh_preset_found_t found;
    char *big = apr_palloc(p, WH_PRESET_READ_MAX + 2);

    memset(big, ' ', WH_PRESET_READ_MAX + 1);
    big[WH_PRESET_READ_MAX + 1] = '\0';
    memcpy(big, "flask\n", 6);
    apr_hash_set(t.files, "requirements.txt", APR_HASH_KEY_STRING, big);
    wh_preset_detect(p, &tree, WH_PRESET_ANY, &found);
    assert_string_equal(found.preset->name, "python");
    big[WH_PRESET_READ_MAX] = '\0';
    wh_preset_detect(p, &tree, WH_PRESET_ANY, &found);
    assert_string_equal(found.preset->name, "flask");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("F286 the right preset on 40 trees, 15 of them of public repositories", test_trees),
        UNIT("one listing answers every rule", test_paths),
        UNIT("the table is in order: priorities, families", test_table),
        UNIT("files or a server, as is wanted", test_want),
        UNIT("no more of a file than 256 KiB", test_bounds),
    };
    return UNIT_RUN(tests);
}
