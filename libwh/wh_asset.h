/* wh_asset: which files of a release have the hash of their content in their name, so that a
 * browser may keep them for ever. Pure and thread-safe.
 *
 * A wrong yes shows a visitor an old file for a year, a wrong no costs a 304. So the forms are
 * those that bundlers write, and what could be a word, a version or a date is none of them. */
#ifndef WH_ASSET_H
#define WH_ASSET_H

/* 1 for the path of such a file, relative or with a leading '/':
 *   anything below _next/static/ (but development/) and _app/immutable/, pages excepted;
 *   name.HASH.ext, name-HASH.ext, name_HASH.ext, also with .chunk, .min, .bundle, .module and
 *   .async behind HASH and ".map" behind ext, where HASH is
 *     8 to 64 hex digits, letters and digits mixed; 16 or more may be the whole name;
 *     8 of esbuild's A-Z2-7, with a digit before a letter;
 *     8 of base64url (Vite, Rollup) that change between upper case, lower case and digits as no
 *     word does.
 * ext is one of a script, style, image, font, audio, video or WebAssembly. */
int wh_asset_hashed(const char *path);

#endif
