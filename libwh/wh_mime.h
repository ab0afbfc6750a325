/* wh_mime: content types by file name. Thread-safe. */
#ifndef WH_MIME_H
#define WH_MIME_H

/* The type for a path by its last suffix, any case; text types carry ";charset=utf-8" (no space).
 * Never NULL: "application/octet-stream" where nothing is known. A static string. */
const char *wh_mime_type(const char *path);

/* 1 when the type is worth compressing (text, JSON, SVG ...). */
int wh_mime_compressible(const char *type);

#endif
