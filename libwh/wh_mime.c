/* wh_mime: see wh_mime.h. Only deploys look types up, so a walk through the table is enough. */
#include <string.h>
#include <strings.h>

#include "libwh/wh_mime.h"
#include "libwh/wh_types.h"

#define UTF8 ";charset=utf-8"
#define BYTES "application/octet-stream"

typedef struct mime_t {
    const char *suffix;
    const char *type;
} mime_t;

static const mime_t table[] = {
    {"7z", "application/x-7z-compressed"},
    {"aac", "audio/aac"},
    {"apng", "image/apng"},
    {"appcache", "text/cache-manifest" UTF8},
    {"atom", "application/atom+xml"},
    {"avif", "image/avif"},
    {"avi", "video/x-msvideo"},
    {"bin", BYTES},
    {"bmp", "image/bmp"},
    {"br", "application/x-brotli"},
    {"bz2", "application/x-bzip2"},
    {"cjs", "text/javascript" UTF8},
    {"conf", "text/plain" UTF8},
    {"css", "text/css" UTF8},
    {"csv", "text/csv" UTF8},
    {"deb", "application/vnd.debian.binary-package"},
    {"doc", "application/msword"},
    {"docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"},
    {"eot", "application/vnd.ms-fontobject"},
    {"epub", "application/epub+zip"},
    {"exe", BYTES},
    {"flac", "audio/flac"},
    {"geojson", "application/geo+json"},
    {"gif", "image/gif"},
    {"glb", "model/gltf-binary"},
    {"gltf", "model/gltf+json"},
    {"gz", "application/gzip"},
    {"htm", "text/html" UTF8},
    {"html", "text/html" UTF8},
    {"ico", "image/x-icon"},
    {"ics", "text/calendar" UTF8},
    {"ini", "text/plain" UTF8},
    {"iso", BYTES},
    {"jpeg", "image/jpeg"},
    {"jpg", "image/jpeg"},
    {"js", "text/javascript" UTF8},
    {"json", "application/json"},
    {"json5", "application/json5"},
    {"jsonld", "application/ld+json"},
    {"jxl", "image/jxl"},
    {"log", "text/plain" UTF8},
    {"m4a", "audio/mp4"},
    {"m4v", "video/mp4"},
    {"map", "application/json"},
    {"markdown", "text/markdown" UTF8},
    {"md", "text/markdown" UTF8},
    {"mjs", "text/javascript" UTF8},
    {"mov", "video/quicktime"},
    {"mp3", "audio/mpeg"},
    {"mp4", "video/mp4"},
    {"mpeg", "video/mpeg"},
    {"odp", "application/vnd.oasis.opendocument.presentation"},
    {"ods", "application/vnd.oasis.opendocument.spreadsheet"},
    {"odt", "application/vnd.oasis.opendocument.text"},
    {"oga", "audio/ogg"},
    {"ogg", "audio/ogg"},
    {"ogv", "video/ogg"},
    {"opus", "audio/ogg"},
    {"otf", "font/otf"},
    {"pdf", "application/pdf"},
    {"png", "image/png"},
    {"ppt", "application/vnd.ms-powerpoint"},
    {"pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"},
    {"rss", "application/rss+xml"},
    {"rtf", "application/rtf"},
    {"svg", "image/svg+xml" UTF8},
    {"tar", "application/x-tar"},
    {"tif", "image/tiff"},
    {"tiff", "image/tiff"},
    {"toml", "application/toml"},
    {"ts", "text/plain" UTF8},
    {"ttf", "font/ttf"},
    {"txt", "text/plain" UTF8},
    {"vtt", "text/vtt" UTF8},
    {"wasm", "application/wasm"},
    {"wav", "audio/wav"},
    {"weba", "audio/webm"},
    {"webm", "video/webm"},
    {"webmanifest", "application/manifest+json"},
    {"webp", "image/webp"},
    {"woff", "font/woff"},
    {"woff2", "font/woff2"},
    {"xhtml", "application/xhtml+xml" UTF8},
    {"xls", "application/vnd.ms-excel"},
    {"xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"},
    {"xml", "application/xml"},
    {"xz", "application/x-xz"},
    {"yaml", "application/yaml"},
    {"yml", "application/yaml"},
    {"zip", "application/zip"},
    {"zst", "application/zstd"},
};

const char *wh_mime_type(const char *path)
{
    const char *name = strrchr(path, '/');
    const char *dot;
    size_t i;

    name = name ? name + 1 : path;
    dot = strrchr(name, '.');
    /* ".profile" is a name, not a suffix. */
    if (!dot || dot == name || dot[1] == '\0')
        return BYTES;
    for (i = 0; i < WH_ARRAY_LEN(table); i++) {
        if (strcasecmp(dot + 1, table[i].suffix) == 0)
            return table[i].type;
    }
    return BYTES;
}

int wh_mime_compressible(const char *type)
{
    static const char *const parts[] = {"+json", "+xml", "/json", "/ld+json", "/xml", "/yaml",
                                        "/toml", "/wasm", "/x-icon", "/bmp", "font/ttf",
                                        "font/otf", "ms-fontobject", "/rtf"};
    size_t i;

    if (strncmp(type, "text/", 5) == 0)
        return 1;
    for (i = 0; i < WH_ARRAY_LEN(parts); i++) {
        if (strstr(type, parts[i]))
            return 1;
    }
    return 0;
}
