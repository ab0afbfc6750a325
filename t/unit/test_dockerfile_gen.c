/* Generated Dockerfiles against t/data/dockerfiles: one file a preset, and hostile commands. With
 * WH_GOLDEN=write in the environment the files are written anew. */
#include <stdio.h>
#include <stdlib.h>
#include <jansson.h>

#include "t/unit/unit.h"
#include "libwh/wh_dockerfile_gen.h"

static const char *path_of(apr_pool_t *p, const char *name)
{
    const char *root = getenv("top_srcdir");

    return apr_pstrcat(p, root != NULL ? root : ".", "/t/data/dockerfiles/", name, NULL);
}

static void same(apr_pool_t *p, const char *name, const char *text)
{
    const char *path = path_of(p, name), *golden = getenv("WH_GOLDEN");
    FILE *f = fopen(path, golden != NULL ? "w" : "r");
    char *want = apr_pcalloc(p, 16384);

    if (f == NULL)
        fail_msg("cannot open %s", path);
    if (golden != NULL)
        fputs(text, f);
    else
        (void)!fread(want, 1, 16383, f);
    fclose(f);
    if (golden == NULL)
        assert_string_equal(text, want);
}

/* Everything that a preset may ask for is there, but for the files named. */
typedef struct tree_t {
    const char *const *there; /* ends with NULL */
} tree_t;

static wh_preset_there_e has(void *baton, const char *path)
{
    tree_t *t = baton;

    for (const char *const *s = t->there; *s != NULL; s++)
        if (strcmp(*s, path) == 0)
            return WH_PRESET_FILE;
    return WH_PRESET_NOT_THERE;
}

static apr_ssize_t read_it(void *baton, const char *path, char *buf, size_t n)
{
    static const struct {
        const char *path, *text;
    } texts[] = {
        {"package.json", "{\"scripts\":{\"build\":\"b\",\"start\":\"s\"}}"},
        {"manage.py", "'DJANGO_SETTINGS_MODULE', 'shop.settings'"},
        {"Cargo.toml", "[package]\nname = \"shop\"\n"},
        {"requirements.txt", "gunicorn\n"},
        {"Gemfile", "gem 'puma'\n"},
    };

    (void)n;
    if (has(baton, path) != WH_PRESET_FILE)
        return -1;
    for (size_t i = 0; i < WH_ARRAY_LEN(texts); i++)
        if (strcmp(texts[i].path, path) == 0) {
            memcpy(buf, texts[i].text, strlen(texts[i].text));
            return (apr_ssize_t)strlen(texts[i].text);
        }
    return 0;
}

static void settle(apr_pool_t *p, const char *preset, const char *const *there,
                   wh_preset_found_t *found)
{
    tree_t *t = apr_palloc(p, sizeof(*t));
    wh_preset_tree_t tree = {.has = has, .read = read_it, .baton = t};

    t->there = there;
    wh_preset_settle(p, &tree, wh_preset_by_name(preset), found);
}

static const char *const usual[] = {"package.json",  "package-lock.json",
                                    "manage.py",     "requirements.txt",
                                    "app.py",        "main.py",
                                    "composer.json", "public/index.php",
                                    "go.mod",        "go.sum",
                                    "main.go",       "Gemfile",
                                    "Gemfile.lock",  "config.ru",
                                    "Cargo.toml",    NULL};

static const char *gen(apr_pool_t *p, wh_dockerfile_gen_t *how, const char *overrides,
                       const char *own)
{
    wh_err_t err = WH_ERR_INIT;
    const char *text = NULL;

    how->server = how->found->preset->output == NULL;
    how->port = 8080;
    assert_ok(wh_dockerfile_gen_images(p, overrides, own, how, &err), &err);
    assert_ok(wh_dockerfile_gen(p, how, &text, &err), &err);
    return text;
}

#define PLAIN .install = "", .build = "", .start = "", .pre_deploy = ""

static void test_golden(void **state)
{
    apr_pool_t *p = *state;

    for (size_t i = 0; i < wh_presets_n; i++) {
        wh_preset_found_t found;
        wh_dockerfile_gen_t how = {.found = &found, PLAIN};

        settle(p, wh_presets[i].name, usual, &found);
        same(p, wh_presets[i].name, gen(p, &how, "", ""));
    }
}

static void test_asked(void **state)
{
    apr_pool_t *p = *state;
    wh_preset_found_t found;
    wh_dockerfile_gen_t how = {.found = &found,
                               .install = "make deps",
                               .build = "make",
                               .start = "exec ./server",
                               .pre_deploy = "./migrate"};
    apr_array_header_t *vars = apr_array_make(p, 2, sizeof(const char *));

    APR_ARRAY_PUSH(vars, const char *) = "NPM_TOKEN";
    APR_ARRAY_PUSH(vars, const char *) = "VITE_URL";
    how.vars = vars;
    how.vars_mark = "0123abcd";
    settle(p, "node", usual, &found);
    same(p, "asked",
         gen(p, &how, "{\"node\": \"registry.example/n:1\", \"node.run\": \"r@x\"}", ""));
    assert_string_equal(how.image_build, "registry.example/n:1");
    assert_string_equal(how.image_run, "r@x");
    (void)gen(p, &how, "{\"node\": \"registry.example/n:1\"}", "own:2");
    assert_string_equal(how.image_build, "own:2");
    assert_string_equal(how.image_run, "own:2");
}

/* Each as the only word of its line, whatever is in it; and back again by a reader of JSON. */
static void test_hostile(void **state)
{
    static const char *const commands[] = {
        "a\nFROM evil", "\"]\nUSER 0", "x \\",          "cat <<EOF\nRUN evil\nEOF",
        "\r\nADD / /",  "# escape=`",  "'\"'\"'",       "${X:-$(id)} `id`",
        "\x01\x7f\t",   "caf\xc3\xa9", "\\\nONBUILD x", "--mount=type=bind",
    };
    apr_pool_t *p = *state;

    for (size_t i = 0; i < WH_ARRAY_LEN(commands); i++) {
        wh_preset_found_t found;
        wh_dockerfile_gen_t how = {.found = &found,
                                   .install = "",
                                   .build = commands[i],
                                   .start = "x",
                                   .pre_deploy = commands[i]};
        char *text, *line, *state2 = NULL;
        int lines = 0, seen = 0;

        settle(p, "static", usual, &found);
        how.found = &found;
        how.port = 1;
        how.image_build = how.image_run = "i";
        how.server = 1;
        {
            wh_err_t err = WH_ERR_INIT;
            const char *made;

            assert_ok(wh_dockerfile_gen(p, &how, &made, &err), &err);
            text = apr_pstrdup(p, made);
        }
        assert_null(strchr(text, '<'));
        for (line = apr_strtok(text, "\n", &state2); line != NULL;
             line = apr_strtok(NULL, "\n", &state2)) {
            const char *array = strchr(line, '[');
            json_t *json;

            lines++;
            if (strncmp(line, "RUN ", 4) != 0 && strncmp(line, "CMD ", 4) != 0)
                continue;
            json = json_loads(array, 0, NULL);
            assert_non_null(json);
            assert_string_equal(json_string_value(json_array_get(json, line[0] == 'R' ? 2 : 4)),
                                commands[i]);
            json_decref(json);
            seen++;
        }
        assert_int_equal(lines, 15);
        assert_int_equal(seen, 2);
    }
}

static void test_images(void **state)
{
    static const char *const bad[] = {"",    "-x",        "a b",  "x\nRUN y", "../x",
                                      "x$y", "x:latest;", "a\\b", "scratch",  "x--@#"};
    static const char *const good[] = {"node:22", "docker.io/library/node:22@sha256:00", "a.b/c_d"};
    apr_pool_t *p = *state;
    wh_err_t err = WH_ERR_INIT;

    for (size_t i = 0; i < WH_ARRAY_LEN(bad); i++)
        assert_false(wh_dockerfile_gen_image_ok(bad[i]));
    for (size_t i = 0; i < WH_ARRAY_LEN(good); i++)
        assert_true(wh_dockerfile_gen_image_ok(good[i]));
    assert_ok(wh_dockerfile_gen_overrides_check(p, "", &err), &err);
    assert_ok(wh_dockerfile_gen_overrides_check(p, "{\"go\":\"a\",\"php.run\":\"b\"}", &err), &err);
    assert_code(wh_dockerfile_gen_overrides_check(p, "{\"cobol\":\"a\"}", &err), &err,
                "invalid_value");
    assert_code(wh_dockerfile_gen_overrides_check(p, "{\"go.x\":\"a\"}", &err), &err,
                "invalid_value");
    assert_code(wh_dockerfile_gen_overrides_check(p, "{\"go\":\"a b\"}", &err), &err,
                "invalid_value");
}

static void test_no_start(void **state)
{
    static const char *const only[] = {"package.json", NULL};
    apr_pool_t *p = *state;
    wh_preset_found_t found;
    wh_dockerfile_gen_t how = {.found = &found, PLAIN, .server = 1};
    wh_err_t err = WH_ERR_INIT;
    const char *text;

    settle(p, "python", only, &found);
    assert_ok(wh_dockerfile_gen_images(p, "", "", &how, &err), &err);
    assert_code(wh_dockerfile_gen(p, &how, &text, &err), &err, "build_failed");
    assert_non_null(strstr(err.text, "start command"));
}

/* The same for the same values, and of no use to who has not the key. */
static void test_mark(void **state)
{
    static const unsigned char ours[32] = {1}, other[32] = {2};
    apr_pool_t *p = *state;
    apr_array_header_t *env = apr_array_make(p, 2, sizeof(wh_env_pair_t));
    wh_env_pair_t *pin = &APR_ARRAY_PUSH(env, wh_env_pair_t);
    const char *was;

    *pin = (wh_env_pair_t){.name = "PIN", .value = "1234", .build = 1};
    was = wh_dockerfile_gen_mark(p, ours, env);
    assert_int_equal(strlen(was), 8);
    assert_string_equal(wh_dockerfile_gen_mark(p, ours, env), was);
    assert_string_not_equal(wh_dockerfile_gen_mark(p, other, env), was);
    pin->value = "1235";
    assert_string_not_equal(wh_dockerfile_gen_mark(p, ours, env), was);
    pin->build = 0;
    assert_string_equal(wh_dockerfile_gen_mark(p, ours, env),
                        wh_dockerfile_gen_mark(p, ours, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("F286 the Dockerfile of each preset is the one that is kept", test_golden),
        UNIT("F187 F239 commands and images that were asked for", test_asked),
        UNIT("XB7 a command is one word of one line, whatever it holds", test_hostile),
        UNIT("XJ10 what is no name of an image is refused", test_images),
        UNIT("XB5 the mark of the values of a build is no way to try guesses at them", test_mark),
        UNIT("a server that nobody can start says so", test_no_start),
    };
    return UNIT_RUN(tests);
}
