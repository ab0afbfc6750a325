/* Whom this machine talks to where others name the address: judged once the name was resolved, for
 * each address that is about to be connected to. Public ones as the caller says (only where what is
 * said is encrypted), those of private networks and of this machine where the operator says so;
 * link-local ones (where clouds keep their secrets), multicast and the like never.
 *
 * Belongs to one connection, and to one thread at a time. */
#ifndef WH_OUTADDR_H
#define WH_OUTADDR_H

#include <sys/socket.h>
#include <curl/curl.h>

typedef struct wh_outaddr_t {
    int public_ok, private_ok;
    int refused;    /* some address was, */
    char where[64]; /* the last of these */
} wh_outaddr_t;

/* 1 = it may be connected to; else it is noted in who. */
int wh_outaddr_ok(wh_outaddr_t *who, const struct sockaddr *to, socklen_t n);

/* For CURLOPT_OPENSOCKETFUNCTION, with a wh_outaddr_t as its data: the bad socket of an address
 * that was refused makes libcurl try the next. */
curl_socket_t wh_outaddr_socket(void *who, curlsocktype purpose, struct curl_sockaddr *to);

#endif
