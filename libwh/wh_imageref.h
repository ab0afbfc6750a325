/* wh_imageref: names of images in a registry, by the reference grammar of the distribution project
 * (github.com/distribution/reference, reference.go), and of that only what leaves nothing open:
 *
 *   reference := registry '/' path [ ':' tag | '@' digest ]
 *   registry  := host [ ':' port ]    a domain name or IPv4 address; without a port it has a '.'
 *   path      := component [ '/' component ]*
 *   component := [a-z0-9]+ [ ( '.' | '_' | '__' | '-'+ ) [a-z0-9]+ ]*
 *   tag       := [A-Za-z0-9_] [A-Za-z0-9_.-]{0,127}
 *   digest    := "sha256:" 64 hex digits in lower case
 *
 * What the grammar has besides is refused: a name without its registry (which one it means is the
 * engine's to guess), a tag and a digest together (Podman refuses those), other digests, IPv6.
 * Pure and thread-safe. */
#ifndef WH_IMAGEREF_H
#define WH_IMAGEREF_H

#include <apr_pools.h>

#include "libwh/wh_err.h"

#define WH_IMAGEREF_MAX 512      /* of a whole reference */
#define WH_IMAGEREF_NAME_MAX 255 /* of registry and path */
#define WH_IMAGEREF_DIGEST_LEN 71

typedef struct wh_imageref_t {
    const char *registry; /* host[:port], in lower case */
    const char *path;
    const char *tag;    /* "" where there is a digest; "latest" where there was nothing */
    const char *digest; /* "sha256:…" or "" */
} wh_imageref_t;

/* *out in p. Code: image_invalid (400, /image); the text says what is wrong. */
apr_status_t wh_imageref_parse(apr_pool_t *p, const char *text, wh_imageref_t *out,
                               wh_err_t *err) WH_MUST_CHECK;

/* The reference in its one form, in p. */
const char *wh_imageref_text(apr_pool_t *p, const wh_imageref_t *ref);

/* registry/path@digest, in p. */
const char *wh_imageref_pinned(apr_pool_t *p, const wh_imageref_t *ref, const char *digest);

/* As an https address, by which wh_giturl_site says whom credentials are for; in p. */
const char *wh_imageref_url(apr_pool_t *p, const wh_imageref_t *ref);

/* The value of X-Registry-Auth (base64url of JSON, padded), in p; NULL when out of memory. */
const char *wh_imageref_auth(apr_pool_t *p, const wh_imageref_t *ref, const char *user,
                             const char *token);

/* 1 for "sha256:" and 64 hex digits in lower case. */
int wh_imageref_digest_ok(const char *digest);

#endif
