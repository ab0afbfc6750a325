#include <apr_allocator.h>

#include "libwh/wh_pool.h"

apr_pool_t *wh_pool_make(const char *tag)
{
    apr_allocator_t *allocator;
    apr_pool_t *p;

    if (apr_allocator_create(&allocator) != APR_SUCCESS)
        return NULL;
    /* Keep little: whoever is idle should be small. */
    apr_allocator_max_free_set(allocator, 1);
    if (apr_pool_create_ex(&p, NULL, NULL, allocator) != APR_SUCCESS) {
        apr_allocator_destroy(allocator);
        return NULL;
    }
    apr_allocator_owner_set(allocator, p);
    apr_pool_tag(p, tag);
    return p;
}
