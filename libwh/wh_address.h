/* Where a worker's containers are reached, and what an address is good for. A name is none: what it
 * stands for is said by whoever answers for it, after it was judged. Pure and thread-safe. */
#ifndef WH_ADDRESS_H
#define WH_ADDRESS_H

typedef enum wh_address_e {
    WH_ADDRESS_BAD,      /* no IP address */
    WH_ADDRESS_HOST,     /* an address that another machine may have */
    WH_ADDRESS_LOOPBACK, /* 127.0.0.0/8, ::1 */
    WH_ADDRESS_REFUSED   /* nobody's own: unspecified, multicast, link-local (169.254.0.0/16 and
                            fe80::/10, where clouds keep their secrets), reserved */
} wh_address_e;

/* 1 for an IP address that is one machine's in all the world, also inside IPv6 ones as below; 0 for
 * all else: those that networks have for themselves, and what nobody was given. */
int wh_address_public(const char *text);

/* What text is. IPv4 addresses inside IPv6 ones (mapped, NAT64, 6to4) count as themselves. */
wh_address_e wh_address_of(const char *text);

#endif
