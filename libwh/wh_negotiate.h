/* wh_negotiate: which coding of a file a client gets (RFC 9110, 12.5.3).
 *
 * Pure and thread-safe; nothing is allocated. */
#ifndef WH_NEGOTIATE_H
#define WH_NEGOTIATE_H

#include "libwh/wh_manifest.h"

/* The file as it is. Stands behind the codings in order: preferred least. */
#define WH_CODING_IDENTITY WH_CODINGS

/* accept: the value of Accept-Encoding, NULL when there is none. there: bits 1u << WH_CODING_x of
 * the codings that can be had; the file itself always can. Returns a wh_coding_e or
 * WH_CODING_IDENTITY: the highest weight wins, among equals the order of wh_coding_e, the file
 * itself last. A coding that is not named, nor covered by "*", is never taken. A member that cannot
 * be read counts as not there. Where nothing is acceptable ("identity;q=0" alone) the file itself
 * is sent all the same: bytes that a client may refuse are of more use to it than a 406. */
int wh_negotiate_coding(const char *accept, unsigned there);

#endif
