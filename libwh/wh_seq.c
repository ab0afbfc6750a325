/* wh_seq: see wh_seq.h. */
#include <string.h>

#include "libwh/wh_seq.h"

void wh_seq_init(wh_seq_t *seq)
{
    memset(seq, 0, sizeof(*seq));
}

static apr_uint64_t mask_of(apr_uint64_t n)
{
    return APR_UINT64_C(1) << (n % 64);
}

static apr_uint64_t *word_of(wh_seq_t *seq, apr_uint64_t n)
{
    return &seq->bits[n % WH_SEQ_AHEAD / 64];
}

wh_seq_verdict_e wh_seq_check(const wh_seq_t *seq, apr_int64_t n)
{
    apr_uint64_t u;

    if (n < 1 || n > APR_INT64_C(WH_SEQ_MAX))
        return WH_SEQ_RANGE;
    u = (apr_uint64_t)n;
    if (u > seq->high)
        return u - seq->high > WH_SEQ_AHEAD ? WH_SEQ_JUMP : WH_SEQ_OK;
    if (seq->high - u > WH_SEQ_BEHIND)
        return WH_SEQ_OLD;
    return seq->bits[u % WH_SEQ_AHEAD / 64] & mask_of(u) ? WH_SEQ_REPLAY : WH_SEQ_OK;
}

wh_seq_verdict_e wh_seq_take(wh_seq_t *seq, apr_int64_t n)
{
    wh_seq_verdict_e verdict = wh_seq_check(seq, n);
    apr_uint64_t u = (apr_uint64_t)n, i;

    if (verdict != WH_SEQ_OK)
        return verdict;
    /* Every place of the ring between the old highest and this one belonged to an older number. */
    for (i = seq->high + 1; i < u; i++)
        *word_of(seq, i) &= ~mask_of(i);
    *word_of(seq, u) |= mask_of(u);
    if (u > seq->high)
        seq->high = u;
    return WH_SEQ_OK;
}
