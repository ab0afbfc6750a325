/*
 * wh-unpack: turns an archive that was uploaded into a commit of an app's bare repository. It is a
 * program of its own, so that what somebody sends is never taken apart in httpd: a fault in a
 * decoder ends this process alone, which has limits of memory, time and size.
 *
 * No file of the archive is ever written by its name: all of it goes into git's object store
 * through git fast-import, where no path leads anywhere. The archive is read twice: it is judged
 * whole before git hears of it, so a refused one leaves nothing.
 */
#ifndef WH_UNPACK_H
#define WH_UNPACK_H

#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "libwh/wh_entry.h"

#define WH_UNPACK_FILES_MAX 200000

typedef struct wh_unpack_t {
    const char *git, *repo;
    int fd;          /* the archive */
    uint64_t packed; /* its bytes */
    uint64_t max;    /* bytes of all files together */
    uint64_t *sizes; /* of each file that is taken, in order, as it was read */
    char **paths;    /* of the same; sorted once all are there */
    size_t n, room;
    uint64_t bytes; /* of all of them */
} wh_unpack_t;

typedef struct wh_unpack_file_t {
    const char *path;
    const char *target; /* of a symbolic link, NULL = a file */
    int runs;           /* it may be executed */
    int64_t said;       /* its size as the archive has it, -1 = it does not say */
    uint64_t size;      /* as the first reading found; 0 during it */
    void *archive;      /* wh_unpack_data reads from it */
} wh_unpack_file_t;

/* The next bytes of a file, 0 at its end. Ends the program when the archive is broken. */
size_t wh_unpack_data(const wh_unpack_file_t *file, char *buf, size_t max);

/* Goes through the archive; check is the first time, which judges. Ends the program (code 1, and
 * "code text" on standard error) for what is refused. */
void wh_unpack_each(wh_unpack_t *u, int check, void (*fn)(void *baton, const wh_unpack_file_t *f),
                    void *baton);

/* Ends the program. status 1: the archive's fault, 2: the server's. */
void wh_unpack_end(int status, const char *code, const char *fmt, ...)
    __attribute__((noreturn, format(printf, 3, 4)));

/* ---- wh_unpack_import.c ---- */

/* Makes the commit; oid has room for 65. Ends the program when git fails. */
void wh_unpack_import(wh_unpack_t *u, char *oid);

#endif
