/* wh_hash: see wh_hash.h. SipHash as Aumasson and Bernstein describe it ("SipHash: a fast
 * short-input PRF", 2012), with one round a word and three at the end. */
#include <string.h>

#include "libwh/wh_hash.h"

#define FNV_PRIME UINT64_C(1099511628211)
#define END_ROUNDS 3

typedef struct sip_t {
    uint64_t v0, v1, v2, v3;
    uint64_t tail; /* bytes that are no whole word yet */
    unsigned held; /* how many, below 8 */
} sip_t;

static uint64_t rotl(uint64_t x, int b)
{
    return (x << b) | (x >> (64 - b));
}

static void sip_round(sip_t *s)
{
    s->v0 += s->v1;
    s->v1 = rotl(s->v1, 13) ^ s->v0;
    s->v0 = rotl(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = rotl(s->v3, 16) ^ s->v2;
    s->v0 += s->v3;
    s->v3 = rotl(s->v3, 21) ^ s->v0;
    s->v2 += s->v1;
    s->v1 = rotl(s->v1, 17) ^ s->v2;
    s->v2 = rotl(s->v2, 32);
}

static void take_word(sip_t *s, uint64_t word)
{
    s->v3 ^= word;
    sip_round(s);
    s->v0 ^= word;
}

/* The bytes of a word, the first one lowest, whatever the machine. */
static uint64_t word_at(const char *p)
{
    uint64_t word = 0;

    for (int i = 0; i < 8; i++)
        word |= (uint64_t)(unsigned char)p[i] << (8 * i);
    return word;
}

static void take(sip_t *s, const char *p, size_t n)
{
    while (n > 0) {
        if (s->held == 0 && n >= 8) {
            take_word(s, word_at(p));
            p += 8;
            n -= 8;
            continue;
        }
        s->tail |= (uint64_t)(unsigned char)*p++ << (8 * s->held++);
        n--;
        if (s->held == 8) {
            take_word(s, s->tail);
            s->tail = 0;
            s->held = 0;
        }
    }
}

uint64_t wh_hash_keyed(const wh_hash_key_t *key, const char *a, size_t na, const char *b, size_t nb)
{
    sip_t s = {.v0 = key->k0 ^ UINT64_C(0x736f6d6570736575),
               .v1 = key->k1 ^ UINT64_C(0x646f72616e646f6d),
               .v2 = key->k0 ^ UINT64_C(0x6c7967656e657261),
               .v3 = key->k1 ^ UINT64_C(0x7465646279746573)};

    take(&s, a, na);
    take(&s, b, nb);
    take_word(&s, s.tail | (uint64_t)(na + nb) << 56);
    s.v2 ^= 0xff;
    for (int i = 0; i < END_ROUNDS; i++)
        sip_round(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

uint64_t wh_hash_plain(uint64_t hash, const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ (unsigned char)s[i]) * FNV_PRIME;
    return hash;
}
