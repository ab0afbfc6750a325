/* wh_pktlist: what a push asks for, as it stands at the head of git-receive-pack's request: a list
 * of "old new name" in pkt-lines, ended by "0000". git checks the names after its pre-receive hook
 * has run, and hands them to the hook in lines: a name with a line feed in it would be two of
 * them. So each is looked at here first, and counted. Pure, thread-safe. */
#ifndef WH_PKTLIST_H
#define WH_PKTLIST_H

#include <stddef.h>

#define WH_PKTLIST_LINE_MAX ((size_t)4096)        /* bytes of one line */
#define WH_PKTLIST_MAX ((size_t)1024 * 1024)      /* of the list */

typedef struct wh_pktlist_t {
    int commands; /* so far */
    int done;     /* the list is over: what follows is a pack */
    int bad;      /* nothing that git would send */
    size_t n, want, total;
    char line[WH_PKTLIST_LINE_MAX + 1];
} wh_pktlist_t;

void wh_pktlist_init(wh_pktlist_t *list);

/* More bytes, in pieces of any size; those behind the list are passed over. 0, or -1 once it is
 * bad. */
int wh_pktlist_feed(wh_pktlist_t *list, const char *data, size_t n);

#endif
