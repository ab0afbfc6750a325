/* Readiness for systemd: its documented protocol is one datagram to $NOTIFY_SOCKET, so the library
 * that would send it (and its share of memory) is not needed. Without systemd nothing happens. */
#ifndef WH_NOTIFY_H
#define WH_NOTIFY_H

/* state: "READY=1", "STOPPING=1", "STATUS=…", several parted by line feeds. Failures are ignored.
 */
void wh_notify(const char *state);

#endif
