/* TRY(call): hands an error on, for decoders, which do one thing after the other. */
#ifndef WH_TRY_H
#define WH_TRY_H

#include <apr_errno.h>

#define TRY(call)                                                                                  \
    do {                                                                                           \
        apr_status_t try_rv = (call);                                                              \
        if (try_rv != APR_SUCCESS)                                                                 \
            return try_rv;                                                                         \
    } while (0)

#endif
