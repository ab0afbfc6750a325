/* Words of a project's own files, as far as presets ask for them. No parser of any language: good
 * enough to tell what a project says of itself, and harmless where it is wrong. Pure. */
#ifndef WH_PRESET_TEXT_H
#define WH_PRESET_TEXT_H

#include <apr_pools.h>

/* The text without comments (by the kind of file that the path names), without blanks, every kind
 * of quote a '. Line feeds stay. In p. */
const char *wh_preset_text_plain(apr_pool_t *p, const char *path, const char *text);

/* Whether a text of that kind holds the words, in any case; "^words" = at the beginning of a line.
 */
int wh_preset_text_has(const char *plain, const char *words);

/* The letters, digits, '_', '-' and '.' that follow the words there; "" = nothing. In p. */
const char *wh_preset_text_after(apr_pool_t *p, const char *plain, const char *words);

/* Whether a list of Python requirements, as any of the usual files has it, names the package. */
int wh_preset_text_python(const char *text, const char *package);

#endif
