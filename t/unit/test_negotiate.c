#include "t/unit/unit.h"
#include "libwh/wh_negotiate.h"

#define BR (1u << WH_CODING_BR)
#define ZSTD (1u << WH_CODING_ZSTD)
#define GZIP (1u << WH_CODING_GZIP)
#define ALL (BR | ZSTD | GZIP)
#define PLAIN WH_CODING_IDENTITY

static void test_table(void **state)
{
    static const struct {
        const char *accept;
        unsigned there;
        int want;
    } rows[] = {
        {NULL, ALL, PLAIN},
        {"", ALL, PLAIN},
        {"gzip", ALL, WH_CODING_GZIP},
        {"gzip", BR, PLAIN},
        {"gzip", 0, PLAIN},
        {"gzip, deflate, br, zstd", ALL, WH_CODING_BR},
        {"gzip, deflate, br, zstd", ZSTD | GZIP, WH_CODING_ZSTD},
        {"gzip, deflate", ALL, WH_CODING_GZIP},
        {"GZIP", GZIP, WH_CODING_GZIP},
        {"x-gzip", GZIP, WH_CODING_GZIP},
        {"br;q=0.5, gzip;q=0.8", ALL, WH_CODING_GZIP},
        {"br;q=0.8,gzip;q=0.8", ALL, WH_CODING_BR},
        {"br ; q=0.9 , gzip;Q=1.000", ALL, WH_CODING_GZIP},
        {"br;q=0, gzip", BR | GZIP, WH_CODING_GZIP},
        {"br;q=0", ALL, PLAIN},
        {"gzip;q=0.0", ALL, PLAIN},
        {"gzip;q=0.001", ALL, WH_CODING_GZIP},
        {"*", ALL, WH_CODING_BR},
        {"*", GZIP, WH_CODING_GZIP},
        {"*;q=0", ALL, PLAIN},
        {"*;q=0, gzip", ALL, WH_CODING_GZIP},
        {"br;q=0, *", ALL, WH_CODING_ZSTD},
        {"gzip;q=0.5, *;q=0.1", ALL, WH_CODING_GZIP},
        {"identity", ALL, PLAIN},
        {"identity, gzip", ALL, WH_CODING_GZIP},
        {"identity;q=1, gzip;q=0.5", ALL, PLAIN},
        {"identity;q=0.5, gzip;q=1", ALL, WH_CODING_GZIP},
        {"identity;q=0", ALL, PLAIN},
        {"identity;q=0, gzip", ALL, WH_CODING_GZIP},
        {"identity;q=0.2, *;q=0.1", ALL, PLAIN},
        /* What cannot be read counts as not there. */
        {"gzip;q=2", ALL, PLAIN},
        {"gzip;q=", ALL, PLAIN},
        {"gzip;q=x, br;q=0.1", ALL, WH_CODING_BR},
        {"gzip;q=0.1234", ALL, PLAIN},
        {"gzip;level=9", ALL, PLAIN},
        {"gzip;q=1;x=1", ALL, PLAIN},
        {"gzipped, brotli, b", ALL, PLAIN},
        {",,gzip,,", ALL, WH_CODING_GZIP},
        {";q=1,*", BR, WH_CODING_BR},
        {"gzip br", ALL, PLAIN},
    };

    (void)state;
    for (size_t i = 0; i < WH_ARRAY_LEN(rows); i++) {
        int got = wh_negotiate_coding(rows[i].accept, rows[i].there);

        if (got != rows[i].want)
            fail_msg("\"%s\" of %x: %d, not %d", rows[i].accept ? rows[i].accept : "(none)",
                     rows[i].there, got, rows[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("Accept-Encoding as RFC 9110 12.5.3 has it", test_table),
    };
    return UNIT_RUN(tests);
}
