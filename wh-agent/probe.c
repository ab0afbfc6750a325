#include <string.h>
#include <apr_strings.h>
#include <curl/curl.h>
#include "wh-agent/probe.h"

/* The head is enough: what the body says is the app's own affair. */
static size_t refuse_body(char *buf, size_t size, size_t n, void *baton)
{
    (void)buf;
    (void)baton;
    (void)size;
    (void)n;
    return 0;
}

void wh_probe_look(apr_pool_t *p, const wh_probe_t *probe, wh_probe_seen_t *seen)
{
    CURL *e = curl_easy_init();
    long status = 0;
    CURLcode rc;

    memset(seen, 0, sizeof(*seen));
    if (e == NULL)
        return;
    curl_easy_setopt(
        e, CURLOPT_URL,
        apr_psprintf(p, strchr(probe->address, ':') != NULL ? "http://[%s]:%d%s" : "http://%s:%d%s",
                     probe->address, (int)probe->port, probe->path));
    curl_easy_setopt(e, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http");
    curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(e, CURLOPT_USERAGENT, "wisehost-probe");
    curl_easy_setopt(e, CURLOPT_BUFFERSIZE, 4096L);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, refuse_body);
    curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)(probe->timeout_us / 1000));
    rc = curl_easy_perform(e);
    curl_easy_getinfo(e, CURLINFO_RESPONSE_CODE, &status);
    seen->status = (int)status;
    /* A forwarder of ports takes any connection and drops it when nobody is behind: that is no
     * listener. */
    seen->connected = status > 0 || rc == CURLE_OPERATION_TIMEDOUT ||
                      rc == CURLE_WEIRD_SERVER_REPLY || rc == CURLE_UNSUPPORTED_PROTOCOL;
    if (rc == CURLE_OPERATION_TIMEDOUT && status == 0) {
        curl_off_t connect_us = 0;

        curl_easy_getinfo(e, CURLINFO_CONNECT_TIME_T, &connect_us);
        seen->connected = connect_us > 0;
    }
    curl_easy_cleanup(e);
}

apr_interval_time_t wh_probe_pause(unsigned n)
{
    apr_interval_time_t us = 50000;

    for (unsigned i = 4; i <= n && us < 2000000; i += 4)
        us *= 2;
    return us < 2000000 ? us : 2000000;
}
