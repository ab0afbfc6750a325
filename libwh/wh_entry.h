/*
 * wh_entry: what an archive that was sent to us may call its files, and where its links may lead.
 * Everything that does not lie below the archive's own top is refused.
 *
 * Pure; any thread; nothing is allocated.
 */
#ifndef WH_ENTRY_H
#define WH_ENTRY_H

#include <stddef.h>

#define WH_ENTRY_PATH_MAX 1024
#define WH_ENTRY_NAME_MAX 255
#define WH_ENTRY_DEPTH_MAX 64

typedef enum wh_entry_e { WH_ENTRY_TAKEN, WH_ENTRY_LEFT_OUT, WH_ENTRY_REFUSED } wh_entry_e;

/* Writes name without "./", "//" and a last "/" to out. The top itself and all that is called .git
 * is left out; *why says why a name is refused. */
wh_entry_e wh_entry_path(const char *name, char out[WH_ENTRY_PATH_MAX + 1], const char **why);

/* Whether a symbolic link at path (as wh_entry_path wrote it) may lead to target: TAKEN or
 * REFUSED. */
wh_entry_e wh_entry_link(const char *path, const char *target, const char **why);

#endif
