/* The framed log of a container, in pieces. */
#include "t/fuzz/fuzz.h"
#include "wh-agent/frames.h"

typedef struct sum_t {
    size_t n, weight;
} sum_t;

static void take(void *baton, wh_stream_e stream, const char *buf, size_t n)
{
    sum_t *sum = baton;

    fuzz_must(n > 0 && (stream == WH_STREAM_OUT || stream == WH_STREAM_ERR));
    for (size_t i = 0; i < n; i++)
        sum->weight += (size_t)(unsigned char)buf[i] * (stream == WH_STREAM_ERR ? 3 : 1);
    sum->n += n;
}

static int feed(const char *text, size_t n, size_t step, sum_t *sum)
{
    wh_frames_t frames;
    int rv = 0;

    wh_frames_init(&frames, take, sum);
    for (size_t at = 0; at < n; at += step)
        rv = wh_frames_feed(&frames, text + at, n - at < step ? n - at : step);
    return rv;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    sum_t a = {0}, b = {0};
    int whole = feed((const char *)data, n, n + 1, &a), pieces = feed((const char *)data, n, 1, &b);

    fuzz_must(n == 0 || whole == pieces);
    fuzz_must(a.n == b.n && a.weight == b.weight && a.n <= n);
    return 0;
}
