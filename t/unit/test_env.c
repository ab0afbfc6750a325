#include "t/unit/unit.h"
#include "libwh/wh_env.h"

/* ---- names and values ---- */

static void test_names(void **state)
{
    static const struct {
        const char *name, *code;
    } rows[] = {
        {"A", ""},
        {"_", ""},
        {"a_1", ""},
        {"WISEHOSTS", ""},
        {"MY_WISEHOST_X", ""},
        {"PORTS", ""},
        {"", "env_name_invalid"},
        {"1A", "env_name_invalid"},
        {"A=B", "env_name_invalid"},
        {"A\n", "env_name_invalid"},
        {"A B", "env_name_invalid"},
        {"A-B", "env_name_invalid"},
        {"A.B", "env_name_invalid"},
        {"\xc3\xa4", "env_name_invalid"},
        {"$(id)", "env_name_invalid"},
        {"WISEHOST", "env_name_reserved"},
        {"WISEHOST_", "env_name_reserved"},
        {"WISEHOST_URL", "env_name_reserved"},
        {"PORT", "env_name_reserved"},
    };
    char longest[WH_ENV_NAME_MAX + 2];

    (void)state;
    for (size_t i = 0; i < WH_ARRAY_LEN(rows); i++) {
        wh_err_t err = WH_ERR_INIT;

        apr_status_t rv = wh_env_name_check(rows[i].name, &err);

        assert_string_equal(err.code, rows[i].code);
        assert_int_equal(rv == APR_SUCCESS, rows[i].code[0] == '\0');
    }
    memset(longest, 'A', sizeof(longest));
    longest[WH_ENV_NAME_MAX] = '\0';
    assert_int_equal(wh_env_name_check(longest, NULL), APR_SUCCESS);
    longest[WH_ENV_NAME_MAX] = 'A';
    longest[WH_ENV_NAME_MAX + 1] = '\0';
    assert_int_not_equal(wh_env_name_check(longest, NULL), APR_SUCCESS);
}

static void test_values(void **state)
{
    char *big = apr_palloc(*state, WH_ENV_VALUE_MAX + 1);

    memset(big, 'x', WH_ENV_VALUE_MAX + 1);
    assert_int_equal(wh_env_value_check("", 0, NULL), APR_SUCCESS);
    assert_int_equal(wh_env_value_check("a\nb\t\x1b", 5, NULL), APR_SUCCESS);
    assert_int_equal(wh_env_value_check(big, WH_ENV_VALUE_MAX, NULL), APR_SUCCESS);
    assert_int_not_equal(wh_env_value_check(big, WH_ENV_VALUE_MAX + 1, NULL), APR_SUCCESS);
    assert_int_not_equal(wh_env_value_check("a\0b", 3, NULL), APR_SUCCESS);
    assert_int_not_equal(wh_env_value_check("\xff", 1, NULL), APR_SUCCESS);
}

/* ---- scopes ---- */

static const char *effective(apr_pool_t *p, const char *const *rows, int n, const char *environment)
{
    apr_array_header_t *vars = apr_array_make(p, n, sizeof(wh_env_var_t)), *out;
    const char *text = "";

    for (int i = 0; i < n; i += 3)
        APR_ARRAY_PUSH(vars, wh_env_var_t) =
            (wh_env_var_t){.scope = rows[i],
                           .name = rows[i + 1],
                           .sealed = rows[i + 2],
                           .bytes = (apr_int64_t)strlen(rows[i + 2])};
    if (environment == NULL)
        return apr_psprintf(p, "%" APR_INT64_T_FMT, wh_env_largest(vars));
    out = wh_env_effective(p, vars, environment);
    for (int i = 0; i < out->nelts; i++) {
        const wh_env_var_t *v = &APR_ARRAY_IDX(out, i, wh_env_var_t);

        text = apr_pstrcat(p, text, i ? " " : "", v->name, "=", v->sealed, NULL);
    }
    return text;
}

static void test_scopes(void **state)
{
    static const char *const rows[] = {"",           "B",
                                       "app",        "",
                                       "A",          "app",
                                       "production", "A",
                                       "prod",       "staging",
                                       "A",          "st",
                                       "staging",    "C",
                                       "st",         "preview",
                                       "A",          "pre",
                                       "preview",    "D",
                                       "pre",        "preview-x-1234567",
                                       "A",          "mine"};
    int n = (int)WH_ARRAY_LEN(rows);

    assert_string_equal(effective(*state, rows, n, "production"), "A=prod B=app");
    assert_string_equal(effective(*state, rows, n, "staging"), "A=st B=app C=st");
    assert_string_equal(effective(*state, rows, n, "other"), "A=app B=app");
    assert_string_equal(effective(*state, rows, n, "preview-y-1234567"), "A=pre B=app D=pre");
    assert_string_equal(effective(*state, rows, n, "preview-x-1234567"), "A=mine B=app D=pre");
    assert_string_equal(effective(*state, rows, 0, "production"), "");
    assert_string_equal(effective(*state, rows, n, NULL), "16"); /* app 6, previews 6, mine 4 */
}

/* ---- sealing ---- */

static void test_sealed(void **state)
{
    static const unsigned char root[WH_KEY_LEN] = "0123456789abcdefghijklmnopqrstu";
    apr_pool_t *p = *state;
    wh_secret_ring_t ring = {.id = 2, .root = root};
    wh_env_var_t var = {.app_id = "app", .scope = "", .name = "KEY", .secret = 1}, moved[6];
    const char *value = NULL;
    wh_err_t err = WH_ERR_INIT;
    wh_rand_fake_t rnd;

    wh_rand_fake_init(&rnd, 1);
    assert_ok(wh_env_seal(p, &ring, &rnd.rnd, &var, "v\nw", &err), &err);
    assert_int_equal(var.key_id, 2);
    assert_int_equal(var.bytes, 6);
    assert_ok(wh_env_open(p, &ring, &var, &value, &err), &err);
    assert_string_equal(value, "v\nw");
    for (size_t i = 0; i < WH_ARRAY_LEN(moved); i++)
        moved[i] = var;
    moved[0].app_id = "other";
    moved[1].scope = "production";
    moved[2].name = "KEY2";
    moved[3].secret = 0; /* else whoever may write rows could have it shown */
    moved[4].build = 1;
    moved[5].key_id = 1;
    for (size_t i = 0; i < WH_ARRAY_LEN(moved); i++)
        assert_code(wh_env_open(p, &ring, &moved[i], &value, &err), &err, "secret_broken");
}

/* ---- .env ---- */

/* "NAME=value|NAME=value", a line feed as ¶; or the error's code. */
static const char *parse(apr_pool_t *p, const char *text)
{
    apr_array_header_t *pairs;
    wh_err_t err = WH_ERR_INIT;
    char *out = apr_pstrdup(p, "");

    if (wh_env_parse(p, text, strlen(text), &pairs, &err) != APR_SUCCESS)
        return apr_pstrcat(p, err.code, ": ", err.text, NULL);
    for (int i = 0; i < pairs->nelts; i++) {
        const wh_env_pair_t *e = &APR_ARRAY_IDX(pairs, i, wh_env_pair_t);

        out =
            apr_pstrcat(p, out, i ? "|" : "", e->name, "=", e->value, e->cut ? " (cut)" : "", NULL);
    }
    for (char *c = out; *c; c++)
        *c = (char)(*c == '\n' ? '^' : *c == '\r' ? '<' : *c);
    return out;
}

/* Most are the examples of dotenv's README. */
static void test_file(void **state)
{
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"", ""},
        {"BASIC=basic", "BASIC=basic"},
        {"BASIC=basic\n\n# comment\n  # too\nB=2\n", "BASIC=basic|B=2"},
        {"A=1\r\nB=2\rC=3", "A=1|B=2|C=3"},
        {"\xef\xbb\xbf"
         "A=1",
         "A=1"},
        {"EMPTY=\nB=2", "EMPTY=|B=2"},
        {"EMPTY=''\nB=\"\"", "EMPTY=|B="},
        {"SECRET_HASH=something-with-a-hash # no comment in it",
         "SECRET_HASH=something-with-a-hash"},
        {"A=ab#c", "A=ab (cut)"},
        {"SECRET_HASH=\"something-with-a-#-hash\"", "SECRET_HASH=something-with-a-#-hash"},
        {"A='x' # said", "A=x"},
        {"JSON={\"foo\": \"bar\"}", "JSON={\"foo\": \"bar\"}"},
        {"FOO=  some value  ", "FOO=some value"},
        {"SINGLE_QUOTE='quoted'", "SINGLE_QUOTE=quoted"},
        {"FOO=' some value '", "FOO= some value "},
        {"MULTILINE=\"new\\nline\\r\"", "MULTILINE=new^line<"},
        {"MULTILINE='new\\nline'", "MULTILINE=new\\nline"},
        {"M=new\\nline", "M=new\\nline"},
        {"BACKTICK_KEY=`This has 'single' and \"double\" quotes inside of it.`",
         "BACKTICK_KEY=This has 'single' and \"double\" quotes inside of it."},
        {"PRIVATE_KEY=\"-----BEGIN KEY-----\nKh9NV...\n...\n-----END KEY-----\"\nB=2",
         "PRIVATE_KEY=-----BEGIN KEY-----^Kh9NV...^...^-----END KEY-----|B=2"},
        {"A='1\r\n2\r3'\r\nB=2", "A=1^2^3|B=2"},
        {"A=\"x\\\"y\"", "A=x\\\"y"},
        {"export A=1\nexport  B = 2\nexport=3", "A=1|B=2|export=3"},
        {"A = 1\n\tB\t=\t2", "A=1|B=2"},
        {"A=1\nB=2\nA=3", "A=3|B=2"},
        {"A=$B ${C} $(id) `id`", "A=$B ${C} $(id) `id`"},
        {"A=it's", "A=it's"},
        {"A", "env_file_syntax: line 1: there is no '=' behind a name"},
        {"A=1\nnothing here", "env_file_syntax: line 2: there is no '=' behind a name"},
        {"A=1\n\nB=\"x\ny\nz", "env_file_syntax: line 3: the quote is not closed"},
        {"A=\"x\ny\" z", "env_file_syntax: line 2: there is text behind the quote"},
        {"=1", "env_name_invalid: line 1: a name has 1 to 128 letters, digits and '_', and begins "
               "with no digit"},
        {"A=1\nWISEHOST_URL=x",
         "env_name_reserved: line 2: names that begin with WISEHOST_ are the "
         "system's"},
    };

    for (size_t i = 0; i < WH_ARRAY_LEN(rows); i++)
        assert_string_equal(parse(*state, rows[i].text), rows[i].want);
}

static void test_file_limits(void **state)
{
    apr_pool_t *p = *state;
    apr_array_header_t *pairs;
    wh_err_t err = WH_ERR_INIT;
    char *big = apr_palloc(p, WH_ENV_FILE_MAX + 1);
    const char *many = "";

    memset(big, '\n', WH_ENV_FILE_MAX + 1);
    assert_int_equal(wh_env_parse(p, big, WH_ENV_FILE_MAX, &pairs, &err), APR_SUCCESS);
    assert_code(wh_env_parse(p, big, WH_ENV_FILE_MAX + 1, &pairs, &err), &err,
                "env_file_too_large");
    assert_code(wh_env_parse(p, "A=1\0", 4, &pairs, &err), &err, "env_file_syntax");
    for (int i = 0; i <= WH_ENV_VARS_MAX; i++)
        many = apr_pstrcat(p, many, apr_psprintf(p, "V%d=1\n", i), NULL);
    assert_code(wh_env_parse(p, many, strlen(many), &pairs, &err), &err, "env_file_too_large");
    big = apr_pstrcat(p, "A=", apr_pstrdup(p, "x"), NULL);
    assert_int_equal(wh_env_parse(p, big, strlen(big), &pairs, &err), APR_SUCCESS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("XB1 names, and the system's own", test_names),
        UNIT("XB2 values", test_values),
        UNIT("the nearest scope holds: environment, previews, app", test_scopes),
        UNIT("F226 a sealed variable is bound to its row and its marks", test_sealed),
        UNIT(".env as dotenv reads it, and what is refused", test_file),
        UNIT(".env has limits", test_file_limits),
    };

    return UNIT_RUN(tests);
}
