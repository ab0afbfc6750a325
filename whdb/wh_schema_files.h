#ifndef WH_SCHEMA_FILES_H
#define WH_SCHEMA_FILES_H
/* The texts of schema/NNNN-name.sql, made part of the program by schema/embed.awk. Only
 * wh_db_schema.c and its unit include this. */

typedef struct wh_schema_file_t {
    int version;      /* NNNN */
    const char *name; /* the file's name without ".sql" */
    const char *text;
} wh_schema_file_t;

/* By version, 1 2 3 …; ends with version 0. */
extern const wh_schema_file_t wh_schema_files[];

#endif
