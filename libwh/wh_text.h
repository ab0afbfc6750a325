/* Text that comes from outside: builds, containers, commit messages, header values. These functions
 * make it safe to store and to show. No cut ever falls inside a UTF-8 sequence.
 *
 * A length of WH_TEXT_NUL means "up to the NUL". Results are NUL-terminated, in p, never NULL.
 */
#ifndef WH_TEXT_H
#define WH_TEXT_H

#include "libwh/wh_types.h"

#define WH_TEXT_NUL ((size_t)-1)
#define WH_TEXT_LINE_MAX 8192 /* bytes of one stored log line */
#define WH_TEXT_CUT "...[truncated]"
#define WH_TEXT_CUT_MIDDLE "...[truncated]..."

/* One log line, cleaned: ANSI escape sequences (CSI, OSC, DCS and the short ones, also in their
 * 8-bit form), NUL and all other control bytes but the tab are taken out; bytes that are not UTF-8
 * become U+FFFD; a line feed or carriage return at the end is dropped, one inside becomes a space
 * (so that nothing is hidden by overwriting). The result has at most cap bytes; one that had to be
 * cut ends in WH_TEXT_CUT when cap leaves room for it. */
char *wh_text_clean_line(apr_pool_t *p, const char *s, size_t n, size_t cap);

/* A text of at most max bytes unchanged, else its first and last max/2 bytes with
 * WH_TEXT_CUT_MIDDLE between them (the marker comes on top of max). */
char *wh_text_cap_middle(apr_pool_t *p, const char *s, size_t max);

/* At most max bytes of it, cut back to the last whole UTF-8 sequence. No marker. */
char *wh_text_cap(apr_pool_t *p, const char *s, size_t max);

/* For a log line: printable UTF-8 stays, control bytes, DEL and stray bytes become \xHH, a
 * backslash is doubled. At most max bytes of result, and no escape is cut in half. */
const char *wh_text_log_escape(apr_pool_t *p, const char *s, size_t n, size_t max);

/* The same into a buffer of size bytes (at least 1), for code without a pool. A backslash stays
 * single, so that text which was escaped before comes out unchanged. */
void wh_text_log_escape_buf(char *out, size_t size, const char *s, size_t n);

/* True when the bytes are well-formed UTF-8 (no overlong form, no surrogate, nothing above
 * U+10FFFF). A NUL byte is well-formed: look for it where it matters. */
int wh_text_utf8_ok(const char *s, size_t n);

/* The length of the well-formed sequence at s (1…4), 0 when there is none within n bytes. */
size_t wh_text_utf8_len(const char *s, size_t n);

/* How many of the first n bytes (n ≤ length of s) can be kept so that no sequence is cut. */
size_t wh_text_utf8_floor(const char *s, size_t n);

/* In place: each byte that is not UTF-8, and each control byte, becomes '?'. For fixed buffers. */
void wh_text_tame(char *s);

/* True when there is no control byte (C0, DEL, or C1 as UTF-8) in it. */
int wh_text_plain(const char *s, size_t n);

/* True when it is plain and nothing in it hides or turns text around: no zero-width character
 * (U+200B..200D, U+FEFF), no mark or override of the writing direction (U+200E..200F, U+202A..202E,
 * U+2066..2069). For names that people tell things apart by. */
int wh_text_honest(const char *s, size_t n);

/* A whole number from min to max: digits, perhaps a '-' before them, and nothing else. 1 = it is
 * one, and *out is set. */
int wh_text_number(const char *s, apr_int64_t min, apr_int64_t max, apr_int64_t *out);

/* Up to the first line end, without it. */
const char *wh_text_first_line(apr_pool_t *p, const char *s);

/* The first 7 characters of a commit id. "" for NULL. */
const char *wh_text_short_sha(apr_pool_t *p, const char *sha);

/* A secret as it may appear in a log: the first 6 characters when there are at least 24, and "***".
 */
const char *wh_text_mask(apr_pool_t *p, const char *secret);

#endif
