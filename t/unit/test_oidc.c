/* Tokens of an issuer: what is taken, and every way in which one can be wrong; whose runs may
 * deploy. */
#include "t/unit/unit.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "libwh/wh_actions.h"
#include "libwh/wh_hook.h"
#include "libwh/wh_oidc.h"
#include "libwh/wh_sign.h"

#define NOW 1700000000
#define ISS "https://token.example"
#define AUD "wisehost-1"
#define HEADER "{\"alg\":\"RS256\",\"typ\":\"JWT\",\"kid\":\"k1\"}"

static EVP_PKEY *key, *other;

static const char *number(apr_pool_t *p, EVP_PKEY *pkey, const char *name)
{
    unsigned char buf[1024];
    BIGNUM *n = NULL;
    int len;

    assert_int_equal(EVP_PKEY_get_bn_param(pkey, name, &n), 1);
    len = BN_bn2bin(n, buf);
    BN_free(n);
    return wh_sign_b64url(p, buf, (size_t)len);
}

static const char *jwk(apr_pool_t *p, EVP_PKEY *pkey, const char *kid, const char *more)
{
    return apr_psprintf(p, "{\"kty\":\"RSA\",\"kid\":\"%s\",\"n\":\"%s\",\"e\":\"%s\"%s}", kid,
                        number(p, pkey, OSSL_PKEY_PARAM_RSA_N),
                        number(p, pkey, OSSL_PKEY_PARAM_RSA_E), more);
}

static const char *set_of(apr_pool_t *p, const char *keys)
{
    const char *text = apr_psprintf(p, "{\"keys\":[%s]}", keys), *kept;
    wh_err_t err = WH_ERR_INIT;

    assert_ok(wh_oidc_keys_read(p, text, strlen(text), &kept, &err), &err);
    return kept;
}

static const char *sign(apr_pool_t *p, EVP_PKEY *pkey, const char *header, const char *claims)
{
    const char *text = apr_pstrcat(p, wh_sign_b64url(p, header, strlen(header)), ".",
                                   wh_sign_b64url(p, claims, strlen(claims)), NULL);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    unsigned char sig[1024];
    size_t n = sizeof(sig);

    assert_int_equal(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, pkey), 1);
    assert_int_equal(EVP_DigestSign(ctx, sig, &n, (const unsigned char *)text, strlen(text)), 1);
    EVP_MD_CTX_free(ctx);
    return apr_pstrcat(p, text, ".", wh_sign_b64url(p, sig, n), NULL);
}

static const char *claims_of(apr_pool_t *p, const char *iss, const char *aud, int iat, int exp)
{
    return apr_psprintf(p,
                        "{\"iss\":\"%s\",\"aud\":%s,\"jti\":\"j-1\",\"iat\":%d,\"exp\":%d,"
                        "\"nbf\":%d}",
                        iss, aud, NOW + iat, NOW + exp, NOW + iat - 300);
}

static apr_status_t verify(apr_pool_t *p, const char *token, const char *keys, wh_err_t *err)
{
    const wh_oidc_want_t want = {
        .issuer = ISS, .audience = AUD, .keys = keys, .now = apr_time_from_sec(NOW)};
    json_t *claims = NULL;
    apr_status_t rv = wh_oidc_verify(p, token, &want, &claims, err);

    assert_true((claims != NULL) == (rv == APR_SUCCESS));
    return rv;
}

static void assert_refused(apr_pool_t *p, const char *token, const char *keys, const char *code)
{
    wh_err_t err = WH_ERR_INIT;

    assert_int_not_equal(verify(p, token, keys, &err), APR_SUCCESS);
    if (strcmp(err.code, code) != 0 || err.http != 401) {
        fail_msg("%s (%s), not %s, for %s", err.code, err.text, code, token);
    }
}

static void test_good(void **state)
{
    apr_pool_t *p = *state;
    const char *keys =
        set_of(p, apr_pstrcat(p, jwk(p, other, "k0", ""), ",",
                              jwk(p, key, "k1", ",\"use\":\"sig\",\"x5c\":[\"a\"]"), NULL));
    static const char *const auds[] = {"\"" AUD "\"", "[\"x\",\"" AUD "\"]"};
    static const struct {
        int iat, exp;
    } times[] = {{0, 300}, {-300, 0}, {-300, -59}, {60, 360}};

    for (size_t a = 0; a < WH_ARRAY_LEN(auds); a++) {
        for (size_t t = 0; t < WH_ARRAY_LEN(times); t++) {
            wh_err_t err = WH_ERR_INIT;

            assert_ok(
                verify(p,
                       sign(p, key, HEADER, claims_of(p, ISS, auds[a], times[t].iat, times[t].exp)),
                       keys, &err),
                &err);
        }
    }
}

static void test_wrong(void **state)
{
    apr_pool_t *p = *state;
    const char *keys = set_of(p, jwk(p, key, "k1", ""));
    const char *good = claims_of(p, ISS, "\"" AUD "\"", 0, 300);
    const char *token = sign(p, key, HEADER, good);
    char *bent = apr_pstrdup(p, token);
    static const char *const junk[] = {
        "", ".", "..", "a.b.c", "a.b", "e30.e30.e30", "e30.e30.", "e30..e30", "e30.e30.e30.e30"};
    static const char *const headers[] = {
        "{\"alg\":\"none\",\"kid\":\"k1\"}",
        "{\"alg\":\"HS256\",\"kid\":\"k1\"}",
        "{\"alg\":\"RS512\",\"kid\":\"k1\"}",
        "{\"alg\":\"rs256\",\"kid\":\"k1\"}",
        "{\"alg\":\"RS256\"}",
        "{\"alg\":\"RS256\",\"kid\":7}",
        "{\"alg\":\"RS256\",\"kid\":\"k1\",\"crit\":[\"x\"]}",
        "{\"alg\":\"RS256\",\"kid\":\"k1\",\"b64\":false}",
        "{\"alg\":\"RS256\",\"kid\":\"k1\",\"jwk\":{}}",
        "{\"alg\":\"RS256\",\"kid\":\"k1\",\"jku\":\"https://evil.example\"}",
        "{\"alg\":\"RS256\",\"kid\":\"k1\",\"typ\":\"JWE\"}",
        "{\"alg\":\"RS256\",\"alg\":\"none\",\"kid\":\"k1\"}",
        "[]"};
    static const char *const claims[] = {
        "{}",
        "[]",
        "{\"iss\":\"" ISS "\",\"aud\":\"" AUD "\",\"jti\":\"j\",\"exp\":1700000300}",
        "{\"iss\":\"" ISS "\",\"aud\":\"" AUD "\",\"jti\":\"j\",\"iat\":1700000000}",
        "{\"iss\":\"" ISS "\",\"aud\":\"" AUD "\",\"iat\":1700000000,\"exp\":1700000300}",
        "{\"iss\":\"" ISS "\",\"aud\":\"" AUD "\",\"jti\":\"j\",\"iat\":\"1\",\"exp\":1700000300}",
        "{\"iss\":\"" ISS "\",\"aud\":\"" AUD "\",\"jti\":\"j\",\"iat\":1,\"exp\":1700000300}",
        "{\"iss\":\"" ISS "\",\"jti\":\"j\",\"iat\":1700000000,\"exp\":1700000300}",
        "{\"iss\":\"" ISS "\",\"aud\":[],\"jti\":\"j\",\"iat\":1700000000,\"exp\":1700000300}",
        "{\"iss\":\"" ISS "\",\"aud\":{},\"jti\":\"j\",\"iat\":1700000000,\"exp\":1700000300}"};

    for (size_t i = 0; i < WH_ARRAY_LEN(junk); i++) {
        assert_refused(p, junk[i], keys, "bad_token");
    }
    for (size_t i = 0; i < WH_ARRAY_LEN(headers); i++) {
        assert_refused(p, sign(p, key, headers[i], good), keys, "bad_token");
    }
    for (size_t i = 0; i < WH_ARRAY_LEN(claims); i++) {
        assert_refused(p, sign(p, key, HEADER, claims[i]), keys, "bad_token");
    }
    assert_refused(p, sign(p, other, HEADER, good), keys, "bad_token");
    assert_refused(p, apr_pstrcat(p, token, "A", NULL), keys, "bad_token");
    bent[strlen(bent) / 2] = bent[strlen(bent) / 2] == 'A' ? 'B' : 'A';
    assert_refused(p, bent, keys, "bad_token");
    assert_refused(p, sign(p, key, HEADER, claims_of(p, ISS "/", "\"" AUD "\"", 0, 300)), keys,
                   "bad_token");
    assert_refused(p, sign(p, key, HEADER, claims_of(p, ISS, "\"other\"", 0, 300)), keys,
                   "bad_token");
    assert_refused(p, sign(p, key, HEADER, claims_of(p, ISS, "\"" AUD "\"", -400, -60)), keys,
                   "token_expired");
    assert_refused(p, sign(p, key, HEADER, claims_of(p, ISS, "\"" AUD "\"", 61, 300)), keys,
                   "token_early");
    assert_refused(p, sign(p, key, "{\"alg\":\"RS256\",\"kid\":\"k2\"}", good), keys,
                   "unknown_key");
    assert_refused(p, token, "", "unknown_key");
    token = apr_pstrcat(p, token, apr_pstrcat(p, token, token, NULL), NULL);
    while (strlen(token) <= WH_OIDC_TOKEN_MAX) {
        token = apr_pstrcat(p, token, token, NULL);
    }
    assert_refused(p, token, keys, "bad_token");
}

/* The public key as the secret of a MAC. */
static void test_confusion(void **state)
{
    apr_pool_t *p = *state;
    const char *keys = set_of(p, jwk(p, key, "k1", ""));
    const char *header = "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"k1\"}";
    const char *claims = claims_of(p, ISS, "\"" AUD "\"", 0, 300);
    const char *text = apr_pstrcat(p, wh_sign_b64url(p, header, strlen(header)), ".",
                                   wh_sign_b64url(p, claims, strlen(claims)), NULL);
    unsigned char mac[WH_SHA256_LEN];

    wh_sign_hmac(keys, strlen(keys), text, strlen(text), mac);
    assert_refused(p, apr_pstrcat(p, text, ".", wh_sign_b64url(p, mac, sizeof(mac)), NULL), keys,
                   "bad_token");
    text = apr_pstrcat(p, wh_sign_b64url(p, HEADER, strlen(HEADER)), ".",
                       wh_sign_b64url(p, claims, strlen(claims)), NULL);
    wh_sign_hmac(keys, strlen(keys), text, strlen(text), mac);
    assert_refused(p, apr_pstrcat(p, text, ".", wh_sign_b64url(p, mac, sizeof(mac)), NULL), keys,
                   "bad_token");
}

static void test_keys(void **state)
{
    apr_pool_t *p = *state;
    EVP_PKEY *small = EVP_RSA_gen(1024);
    const char *const bad[] = {
        "",
        "[]",
        "{}",
        "{\"keys\":{}}",
        "{\"keys\":[]}",
        "{\"keys\":[7]}",
        apr_psprintf(p, "{\"keys\":[%s]}", jwk(p, small, "k", "")),
        apr_psprintf(p, "{\"keys\":[%s]}", jwk(p, key, "k", ",\"use\":\"enc\"")),
        apr_psprintf(p, "{\"keys\":[%s]}", jwk(p, key, "k", ",\"alg\":\"RS512\"")),
        apr_psprintf(p, "{\"keys\":[%s]}", jwk(p, key, "", "")),
        "{\"keys\":[{\"kty\":\"oct\",\"kid\":\"k\",\"k\":\"AAAA\"}]}",
        apr_psprintf(p, "{\"keys\":[{\"kty\":\"RSA\",\"kid\":\"k\",\"n\":\"%s\",\"e\":\"AQ\"}]}",
                     number(p, key, OSSL_PKEY_PARAM_RSA_N))};

    EVP_PKEY_free(small);
    for (size_t i = 0; i < WH_ARRAY_LEN(bad); i++) {
        wh_err_t err = WH_ERR_INIT;
        const char *keys = NULL;

        assert_code(wh_oidc_keys_read(p, bad[i], strlen(bad[i]), &keys, &err), &err,
                    "keys_invalid");
        assert_null(keys);
    }
    assert_null(strstr(set_of(p, jwk(p, key, "k", ",\"x5c\":[\"secret\"]")), "secret"));
}

static void test_discovery(void **state)
{
    static const char good[] = "{\"issuer\":\"" ISS "\",\"jwks_uri\":\"" ISS "/jwks\",\"x\":[]}";
    static const char *const bad[] = {
        "",
        "[]",
        "{}",
        "{\"issuer\":\"" ISS "\"}",
        "{\"issuer\":\"https://other.example\",\"jwks_uri\":\"" ISS "/jwks\"}",
        "{\"issuer\":\"" ISS "\",\"jwks_uri\":\"http://token.example/jwks\"}",
        "{\"issuer\":\"" ISS "\",\"jwks_uri\":\"file:///etc/passwd\"}"};
    wh_err_t err = WH_ERR_INIT;
    const char *uri = NULL;

    assert_ok(wh_oidc_discovery_read(*state, good, sizeof(good) - 1, ISS, &uri, &err), &err);
    assert_string_equal(uri, ISS "/jwks");
    for (size_t i = 0; i < WH_ARRAY_LEN(bad); i++) {
        assert_code(wh_oidc_discovery_read(*state, bad[i], strlen(bad[i]), ISS, &uri, &err), &err,
                    "keys_invalid");
    }
}

/* ---- whose runs ---- */

static json_t *run_of(apr_pool_t *p, const char *event, const char *ref, const char *file)
{
    return wh_json_own(
        p,
        json_pack("{s:s, s:s, s:s, s:s, s:s}", "repository", "Owner/Site", "repository_id", "42",
                  "event_name", event, "ref", ref, "workflow_ref",
                  apr_pstrcat(p, "Owner/Site/.github/workflows/", file, "@refs/heads/main", NULL)));
}

static void test_rule(void **state)
{
    apr_pool_t *p = *state;
    static const struct {
        const char *url, *repository;
    } urls[] = {{"https://github.com/owner/site.git", "owner/site"},
                {"https://github.com/owner/site", "owner/site"},
                {"https://GitHub.com/owner/site/", "owner/site"},
                {"git@github.com:owner/site.git", "owner/site"},
                {"https://codeberg.org/owner/site.git", NULL},
                {"https://github.com/owner", NULL},
                {"https://github.com/owner/site/tree/main", NULL},
                {"hub:", NULL}};

    for (size_t i = 0; i < WH_ARRAY_LEN(urls); i++) {
        wh_err_t err = WH_ERR_INIT;
        wh_actions_rule_t rule;
        apr_status_t rv = wh_actions_rule_decode(p, NULL, "1", urls[i].url, &rule, &err);

        if (urls[i].repository == NULL) {
            assert_code(rv, &err, "invalid_value");
            assert_string_equal(err.pointer, "/actions/repository");
            continue;
        }
        assert_ok(rv, &err);
        assert_string_equal(rule.repository, urls[i].repository);
        assert_string_equal(rule.audience, AUD);
        assert_string_equal(rule.issuer, WH_ACTIONS_ISSUER);
    }
}

static void test_rule_fields(void **state)
{
    apr_pool_t *p = *state;
    static const char *const bad[][2] = {{"{\"issuer\":\"http://a.example\"}", "/actions/issuer"},
                                         {"{\"issuer\":\"https://a.example/\"}", "/actions/issuer"},
                                         {"{\"issuer\":\"https://a?b\"}", "/actions/issuer"},
                                         {"{\"repository\":\"a\"}", "/actions/repository"},
                                         {"{\"repository\":\"a/b/c\"}", "/actions/repository"},
                                         {"{\"repository\":\"a b/c\"}", "/actions/repository"},
                                         {"{\"repository_id\":\"x\"}", "/actions/repository_id"}};
    static const char text[] =
        "{\"issuer\":\"https://a.example/x\",\"audience\":\"me\",\"repository\":\"a/b\","
        "\"repository_id\":\"7\",\"workflows\":\"deploy.yml\\n*.yaml\",\"branches\":\"main\"}";
    wh_err_t err = WH_ERR_INIT;
    wh_actions_rule_t rule, again;
    json_t *doc;

    for (size_t i = 0; i < WH_ARRAY_LEN(bad); i++) {
        assert_ok(wh_json_load_object(p, bad[i][0], strlen(bad[i][0]), NULL, &doc, &err), &err);
        assert_code(wh_actions_rule_decode(p, doc, "1", "https://github.com/a/b", &rule, &err),
                    &err, "invalid_value");
        assert_string_equal(err.pointer, bad[i][1]);
    }
    assert_ok(wh_json_load_object(p, text, sizeof(text) - 1, NULL, &doc, &err), &err);
    assert_ok(wh_actions_rule_decode(p, doc, "1", "hub:", &rule, &err), &err);
    wh_actions_rule_load(p, wh_actions_rule_text(p, &rule), &again);
    assert_string_equal(again.issuer, "https://a.example/x");
    assert_string_equal(again.workflows, "deploy.yml\n*.yaml");
    assert_string_equal(wh_json_text(p, wh_json_own(p, wh_actions_rule_json(&again)), NULL),
                        "{\"issuer\":\"https://a.example/x\",\"audience\":\"me\","
                        "\"repository\":\"a/b\",\"repository_id\":\"7\",\"workflows\":"
                        "[\"deploy.yml\",\"*.yaml\"],\"branches\":[\"main\"]}");
    wh_actions_rule_load(p, "", &again);
    assert_string_equal(again.repository, "");
    assert_false(wh_actions_own(&again, wh_json_own(p, json_object())));
}

static void test_allows(void **state)
{
    apr_pool_t *p = *state;
    static const struct {
        const char *workflows, *branches, *event, *ref, *file;
        int ok;
    } runs[] = {
        {"", "", "push", "refs/heads/main", "a.yml", 1},
        {"", "", "workflow_dispatch", "refs/heads/x/y", "a.yml", 1},
        {"", "", "pull_request", "refs/pull/1/merge", "a.yml", 0},
        {"", "", "pull_request_target", "refs/heads/main", "a.yml", 0},
        {"", "", "push", "refs/pull/1/head", "a.yml", 0},
        {"a.yml", "", "push", "refs/heads/main", "a.yml", 1},
        {".github/workflows/a.yml", "", "push", "refs/heads/main", "a.yml", 1},
        {"b.yml\na.*", "", "push", "refs/heads/main", "a.yml", 1},
        {"b.yml", "", "push", "refs/heads/main", "a.yml", 0},
        {"", "main", "push", "refs/heads/main", "a.yml", 1},
        {"", "release/*", "push", "refs/heads/release/1", "a.yml", 1},
        {"", "main", "push", "refs/heads/mainly", "a.yml", 0},
        {"", "main", "push", "refs/tags/main", "a.yml", 0},
    };

    for (size_t i = 0; i < WH_ARRAY_LEN(runs); i++) {
        wh_actions_rule_t rule = {.repository = "owner/site",
                                  .repository_id = i % 2 ? "42" : "",
                                  .workflows = runs[i].workflows,
                                  .branches = runs[i].branches};
        json_t *claims = run_of(p, runs[i].event, runs[i].ref, runs[i].file);
        wh_err_t err = WH_ERR_INIT;
        apr_status_t rv = wh_actions_allows(p, &rule, claims, &err);

        assert_true(wh_actions_own(&rule, claims));
        rule.repository_id = "43";
        assert_false(wh_actions_own(&rule, claims));
        rule.repository = "owner/other";
        assert_false(wh_actions_own(&rule, claims));
        if ((rv == APR_SUCCESS) != runs[i].ok) {
            fail_msg("run %d: %s", (int)i, err.text);
        }
    }
}

static void test_event(void **state)
{
    static const char claims[] =
        "{\"event_name\":\"push\",\"jti\":\"j-1\",\"ref\":\"refs/heads/main\",\"actor\":\"ann\","
        "\"sha\":\"9fceb02d0ae598e95dc970b74767f19372d61af8\",\"repository\":\"owner/site\"}";
    const wh_hook_provider_t *provider = wh_hook_provider(WH_ACTIONS_PROVIDER);
    wh_hook_decoded_t what;
    const wh_hook_event_t *event;
    wh_err_t err = WH_ERR_INIT;
    const char *secret = "s";

    assert_ok(wh_hook_decode(*state, provider, NULL, claims, sizeof(claims) - 1, &what, &err),
              &err);
    event = &APR_ARRAY_IDX(what.events, 0, wh_hook_event_t);
    assert_string_equal(what.delivery, "j-1");
    assert_int_equal(event->kind, WH_HOOK_PUSH);
    assert_string_equal(event->branch, "main");
    assert_string_equal(event->author, "ann");
    assert_string_equal(event->sha, "9fceb02d0ae598e95dc970b74767f19372d61af8");
    assert_true(event->has_commit);
    assert_null(event->paths);
    assert_code(wh_hook_verify(provider, "s", "", 0, &secret, 1, &err), &err, "bad_signature");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("a token that its issuer signed is taken", test_good),
        UNIT("all others are refused", test_wrong),
        UNIT("no MAC made with the public key is a signature", test_confusion),
        UNIT("keys that may check RS256 are kept, and nothing else", test_keys),
        UNIT("an issuer says who it is and where its keys are", test_discovery),
        UNIT("F253 the repository is the app's unless it is named", test_rule),
        UNIT("what a hook may ask for", test_rule_fields),
        UNIT("runs of requests, other workflows and other branches do not deploy", test_allows),
        UNIT("F253 a run says its own commit", test_event),
    };
    int rc;

    key = EVP_RSA_gen(2048);
    other = EVP_RSA_gen(2048);
    rc = UNIT_RUN(tests);
    EVP_PKEY_free(key);
    EVP_PKEY_free(other);
    return rc;
}
