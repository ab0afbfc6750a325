#include "wh-scheduler/outaddr.h"

#include <netdb.h>
#include <apr_strings.h>

#include "libwh/wh_address.h"

static int may_connect(const wh_outaddr_t *who, const char *address)
{
    if (wh_address_public(address)) {
        return who->public_ok;
    }
    return who->private_ok && (wh_address_of(address) == WH_ADDRESS_HOST ||
                               wh_address_of(address) == WH_ADDRESS_LOOPBACK);
}

int wh_outaddr_ok(wh_outaddr_t *who, const struct sockaddr *to, socklen_t n)
{
    char address[NI_MAXHOST] = "";

    if (getnameinfo(to, n, address, sizeof(address), NULL, 0, NI_NUMERICHOST) == 0 &&
        may_connect(who, address)) {
        return 1;
    }
    who->refused = 1;
    apr_cpystrn(who->where, address, sizeof(who->where));
    return 0;
}

curl_socket_t wh_outaddr_socket(void *who, curlsocktype purpose, struct curl_sockaddr *to)
{
    if (purpose != CURLSOCKTYPE_IPCXN || !wh_outaddr_ok(who, &to->addr, to->addrlen)) {
        return CURL_SOCKET_BAD;
    }
    return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
}
