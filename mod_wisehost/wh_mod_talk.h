/*
 * What wh-git-hook and the request that started git say to each other over descriptor 3, in lines.
 * The hook is libc alone, so this is all that both share.
 *
 * hook to module:            module to hook:
 *   begin pre|post             say TEXT      for the person who pushes
 *   quarantine PATH            look          tell what the branches name now
 *   option TEXT                done N        exit with N
 *   ref OLD NEW NAME
 *   commit OID LEN             and LEN bytes: git's text of the commit
 *   dockerfile OID             its tree has a Dockerfile at the top
 *   end                        now it is the module's turn
 *   tip OID NAME               answer to look, one a ref, then end
 *
 * A hook that hears no "done" ends with 1: what nobody allowed is refused.
 */
#ifndef WH_MOD_TALK_H
#define WH_MOD_TALK_H

#define WH_TALK_FD 3
#define WH_TALK_FD_TEXT "3"
#define WH_TALK_ENV "WH_GIT_TALK"        /* names the descriptor */
#define WH_TALK_GIT_ENV "WH_GIT_PROGRAM" /* path of git */
#define WH_TALK_NEW_ENV "WH_GIT_NEW"     /* set: the push would make its app */
#define WH_TALK_LINE_MAX 5120            /* bytes, the line feed included */
#define WH_TALK_COMMIT_MAX 16384
#define WH_TALK_REFS_MAX 64 /* the module's own limit is lower, and is told by it */

#endif
