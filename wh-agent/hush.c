#include "wh-agent/hush.h"

#include <apr_strings.h>
#include "libwh/wh_log.h"

static _Thread_local const wh_mask_t *hidden;

void wh_hush_begin(const wh_mask_t *mask)
{
    hidden = mask;
}

void wh_hush_log(void *baton, int level, const char *tag, const char *line)
{
    char buf[WH_LOG_MAX + 1];

    if (hidden != NULL) {
        apr_cpystrn(buf, line, sizeof(buf));
        wh_mask_buf(hidden, buf, sizeof(buf));
        line = buf;
    }
    wh_log_stderr(baton, level, tag, line);
}
