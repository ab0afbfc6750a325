/* wh_sshkey: see wh_sshkey.h. */
#include "libwh/wh_sshkey.h"

#include <stdlib.h>
#include <string.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <openssl/evp.h>

#include "libwh/wh_sign.h"

#define BEGIN "-----BEGIN OPENSSH PRIVATE KEY-----"
#define END "-----END OPENSSH PRIVATE KEY-----"
#define MAGIC "openssh-key-v1" /* with its NUL */
#define LINE 70
#define ED25519 "ssh-ed25519"
#define SEED 32

static const char *const kinds[] = {ED25519, "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384",
                                    "ecdsa-sha2-nistp521", "ssh-rsa"};

static int known_kind(const char *s, size_t n)
{
    for (size_t i = 0; i < WH_ARRAY_LEN(kinds); i++) {
        if (strlen(kinds[i]) == n && memcmp(kinds[i], s, n) == 0)
            return 1;
    }
    return 0;
}

/* ---- base64 as PEM has it ---- */

static char *b64(apr_pool_t *p, const void *buf, size_t n)
{
    char *out = apr_palloc(p, 4 * ((n + 2) / 3) + 1);

    (void)EVP_EncodeBlock((unsigned char *)out, buf, (int)n);
    return out;
}

/* Exactly n characters; -1 for what is no base64. */
static int unb64(apr_pool_t *p, const char *s, size_t n, unsigned char **out, size_t *outlen)
{
    size_t pad = n > 1 && s[n - 1] == '=' ? 1u + (s[n - 2] == '=') : 0;
    int got;

    if (n == 0 || n % 4 != 0 || n > WH_SSHKEY_MAX || memchr(s, '=', n - pad) != NULL)
        return -1;
    *out = apr_pcalloc(p, 3 * (n / 4) + 1);
    got = EVP_DecodeBlock(*out, (const unsigned char *)s, (int)n);
    *outlen = got < 0 ? 0 : (size_t)got - pad;
    return got < 0 ? -1 : 0;
}

/* ---- the wire's own form (RFC 4251): numbers of four bytes, strings behind their length ---- */

typedef struct writer_t {
    unsigned char buf[1024]; /* an Ed25519 key and its comment */
    size_t n;
} writer_t;

static void put(writer_t *w, const void *at, size_t n)
{
    if (n > sizeof(w->buf) - w->n)
        abort();
    memcpy(w->buf + w->n, at, n);
    w->n += n;
}

static void put_number(writer_t *w, uint32_t v)
{
    const unsigned char be[] = {(unsigned char)(v >> 24), (unsigned char)(v >> 16),
                                (unsigned char)(v >> 8), (unsigned char)v};

    put(w, be, sizeof(be));
}

static void put_string(writer_t *w, const void *at, size_t n)
{
    put_number(w, (uint32_t)n);
    put(w, at, n);
}

typedef struct reader_t {
    const unsigned char *at;
    size_t left;
    int bad;
} reader_t;

static uint32_t take_number(reader_t *r)
{
    uint32_t v;

    if (r->left < 4) {
        r->bad = 1;
        return 0;
    }
    v = (uint32_t)r->at[0] << 24 | (uint32_t)r->at[1] << 16 | (uint32_t)r->at[2] << 8 | r->at[3];
    r->at += 4;
    r->left -= 4;
    return v;
}

static reader_t take_string(reader_t *r)
{
    uint32_t n = take_number(r);
    reader_t s = {.at = r->at, .left = n};

    if (r->bad || n > r->left) {
        r->bad = 1;
        return (reader_t){.at = r->at};
    }
    r->at += n;
    r->left -= n;
    return s;
}

static int is_text(const reader_t *s, const char *text)
{
    return s->left == strlen(text) && memcmp(s->at, text, s->left) == 0;
}

/* ---- texts ---- */

/* Any comment that people may have given becomes one word. */
static const char *public_text(apr_pool_t *p, const reader_t *blob, const char *comment)
{
    reader_t r = *blob, kind = take_string(&r);

    return apr_pstrcat(p, apr_pstrmemdup(p, (const char *)kind.at, kind.left), " ",
                       b64(p, blob->at, blob->left), " ", comment, NULL);
}

static const char *private_text(apr_pool_t *p, const void *buf, size_t n)
{
    const char *all = b64(p, buf, n);
    size_t len = strlen(all), lines = len / LINE + 1;
    char *out = apr_palloc(p, sizeof(BEGIN) + sizeof(END) + len + lines + 4), *to = out;

    to = apr_cpystrn(to, BEGIN "\n", sizeof(BEGIN) + 1);
    for (size_t i = 0; i < len; i += LINE) {
        to = apr_cpystrn(to, all + i, LINE + 1);
        *to++ = '\n';
    }
    (void)apr_cpystrn(to, END "\n", sizeof(END) + 1);
    return out;
}

/* ---- a new one ---- */

static void public_of(const unsigned char seed[SEED], unsigned char out[SEED])
{
    size_t n = SEED;
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, SEED);

    if (key == NULL || EVP_PKEY_get_raw_public_key(key, out, &n) != 1 || n != SEED)
        abort();
    EVP_PKEY_free(key);
}

static void put_private(writer_t *w, const unsigned char seed[SEED], const unsigned char pub[SEED],
                        uint32_t check, const char *comment)
{
    unsigned char pair[2 * SEED], pad = 0;

    memcpy(pair, seed, SEED);
    memcpy(pair + SEED, pub, SEED);
    put_number(w, check);
    put_number(w, check);
    put_string(w, ED25519, strlen(ED25519));
    put_string(w, pub, SEED);
    put_string(w, pair, sizeof(pair));
    put_string(w, comment, strlen(comment));
    while (w->n % 8 != 0) {
        pad++;
        put(w, &pad, 1);
    }
    wh_sign_wipe(pair, sizeof(pair));
}

apr_status_t wh_sshkey_make(apr_pool_t *p, const wh_rand_t *rnd, const char *comment,
                            wh_sshkey_t *key, wh_err_t *err)
{
    unsigned char random[SEED + 4], pub[SEED];
    writer_t all = {.n = 0}, blob = {.n = 0}, priv = {.n = 0};
    reader_t shown;
    uint32_t check;

    if (wh_rand_fill(rnd, random, sizeof(random)) != APR_SUCCESS)
        return wh_err_set(err, 503, "no_random", "No random bytes are to be had.");
    if (strlen(comment) > WH_SSHKEY_COMMENT_MAX)
        abort();
    memcpy(&check, random + SEED, sizeof(check));
    public_of(random, pub);
    put_string(&blob, ED25519, strlen(ED25519));
    put_string(&blob, pub, SEED);
    put_private(&priv, random, pub, check, comment);
    put(&all, MAGIC, sizeof(MAGIC));
    put_string(&all, "none", 4);
    put_string(&all, "none", 4);
    put_string(&all, "", 0);
    put_number(&all, 1);
    put_string(&all, blob.buf, blob.n);
    put_string(&all, priv.buf, priv.n);
    shown = (reader_t){.at = blob.buf, .left = blob.n};
    key->public_text = public_text(p, &shown, comment);
    key->private_text = private_text(p, all.buf, all.n);
    wh_sign_wipe(random, sizeof(random));
    wh_sign_wipe(&priv, sizeof(priv));
    wh_sign_wipe(&all, sizeof(all));
    return APR_SUCCESS;
}

/* ---- one that was given ---- */

static apr_status_t bad_key(wh_err_t *err, const char *why)
{
    return wh_err_field(err, "/private_key", "key_invalid", "%s", why);
}

static apr_status_t bytes_of(apr_pool_t *p, const char *text, reader_t *out, wh_err_t *err)
{
    const char *from = strstr(text, BEGIN), *to = from ? strstr(from, END) : NULL;
    unsigned char *bytes = NULL;
    size_t n = 0;
    char *body;

    if (to == NULL && strstr(text, "PRIVATE KEY-----") != NULL)
        return bad_key(err, "the key has another form than OpenSSH's: `ssh-keygen -p -N '' -f FILE` "
                            "writes it anew");
    if (to == NULL)
        return bad_key(err, "this is no private key: it begins with \"" BEGIN "\"");
    body = apr_palloc(p, (size_t)(to - from) + 1);
    for (from += strlen(BEGIN); from < to; from++) {
        if (!apr_isspace(*from))
            body[n++] = *from;
    }
    if (unb64(p, body, n, &bytes, &out->left) != 0)
        return bad_key(err, "the private key is damaged");
    out->at = bytes;
    return APR_SUCCESS;
}

/* What ssh itself would stumble over later. */
static int private_ok(reader_t priv, const reader_t *kind)
{
    uint32_t check = take_number(&priv), again = take_number(&priv);
    reader_t said = take_string(&priv);

    return !priv.bad && check == again && said.left == kind->left &&
           memcmp(said.at, kind->at, kind->left) == 0;
}

apr_status_t wh_sshkey_read(apr_pool_t *p, const char *text, const char *comment, wh_sshkey_t *key,
                            wh_err_t *err)
{
    reader_t r = {.left = 0}, cipher, blob, kind, inner, whole;
    apr_status_t rv = bytes_of(p, text, &r, err);

    if (rv != APR_SUCCESS)
        return rv;
    whole = r;
    if (r.left < sizeof(MAGIC) || memcmp(r.at, MAGIC, sizeof(MAGIC)) != 0)
        return bad_key(err, "the private key is damaged");
    r.at += sizeof(MAGIC);
    r.left -= sizeof(MAGIC);
    cipher = take_string(&r);
    (void)take_string(&r);
    (void)take_string(&r);
    if (!r.bad && !is_text(&cipher, "none"))
        return bad_key(err, "the private key has a passphrase: nobody is there to type it");
    if (take_number(&r) != 1)
        return bad_key(err, "the private key is damaged");
    blob = take_string(&r);
    inner = blob;
    kind = take_string(&inner);
    if (r.bad || inner.bad || !known_kind((const char *)kind.at, kind.left))
        return bad_key(err, "the key is neither Ed25519 nor ECDSA nor RSA");
    if (!private_ok(take_string(&r), &kind) || r.bad)
        return bad_key(err, "the private key is damaged");
    key->public_text = public_text(p, &blob, comment);
    key->private_text = private_text(p, whole.at, whole.left);
    return APR_SUCCESS;
}

const char *wh_sshkey_fingerprint(apr_pool_t *p, const char *text)
{
    const char *at = strchr(text, ' ');
    unsigned char *blob, hash[WH_SHA256_LEN];
    size_t n;
    char *out;

    if (at == NULL || unb64(p, at + 1, strcspn(at + 1, " \n"), &blob, &n) != 0)
        return "";
    wh_sign_sha256(blob, n, hash);
    out = b64(p, hash, sizeof(hash));
    out[strcspn(out, "=")] = '\0';
    return apr_pstrcat(p, "SHA256:", out, NULL);
}

/* ---- known hosts ---- */

static apr_status_t bad_hosts(wh_err_t *err, int line, const char *why)
{
    return wh_err_field(err, "/known_hosts", "known_hosts_invalid", "line %d: %s", line, why);
}

static size_t word(const char **at, const char *end)
{
    const char *s = *at;

    while (s < end && (*s == ' ' || *s == '\t'))
        s++;
    *at = s;
    while (s < end && *s != ' ' && *s != '\t' && *s != '\r')
        s++;
    return (size_t)(s - *at);
}

/* "hosts kind key": the three, without what may follow. */
static const char *host_line(apr_pool_t *p, const char *at, const char *end)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:|/+=[]_*?!-";
    size_t hosts = word(&at, end), kind, key, n = 0;
    const char *name = apr_pstrmemdup(p, at, hosts), *second, *third;
    unsigned char *blob;
    reader_t r, said;

    if (hosts == 0 || hosts > 1024 || strspn(name, allowed) != hosts)
        return NULL;
    at += hosts;
    kind = word(&at, end);
    second = at;
    at += kind;
    key = word(&at, end);
    third = at;
    if (!known_kind(second, kind) || unb64(p, third, key, &blob, &n) != 0)
        return NULL;
    r = (reader_t){.at = blob, .left = n};
    said = take_string(&r);
    if (r.bad || said.left != kind || memcmp(said.at, second, kind) != 0)
        return NULL;
    return apr_pstrcat(p, name, " ", apr_pstrmemdup(p, second, kind), " ",
                       apr_pstrmemdup(p, third, key), "\n", NULL);
}

apr_status_t wh_sshkey_hosts(apr_pool_t *p, const char *text, const char **clean, wh_err_t *err)
{
    int n = 0, lines = 0;

    *clean = "";
    if (strlen(text) > WH_SSHKEY_MAX)
        return bad_hosts(err, 1, "known hosts have at most 16384 bytes");
    while (*text != '\0') {
        const char *end = text + strcspn(text, "\n"), *at = text, *line;

        n++;
        text = end + (*end == '\n');
        if (word(&at, end) == 0 || *at == '#')
            continue;
        if (*at == '@')
            return bad_hosts(err, n, "markers are not taken, hosts' own keys are");
        line = host_line(p, at, end);
        if (line == NULL)
            return bad_hosts(err, n, "this is not of the form \"host kind key\", as ssh-keyscan has it");
        if (++lines > WH_SSHKEY_HOSTS_MAX)
            return bad_hosts(err, n, "these are more than 64");
        *clean = apr_pstrcat(p, *clean, line, NULL);
    }
    return APR_SUCCESS;
}
