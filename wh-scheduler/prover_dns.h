/* The prover's questions to DNS, by c-ares; each waits for its answer, so only its thread asks. */
#ifndef WH_PROVER_DNS_H
#define WH_PROVER_DNS_H

#include <apr_tables.h>

#include "libwh/wh_domain.h"

typedef struct wh_prover_dns_t wh_prover_dns_t;

/* resolver: "10.0.0.1,[::1]:5353", "" = the system's. Errors: bad_config. */
apr_status_t wh_prover_dns_open(apr_pool_t *p, const char *resolver, wh_prover_dns_t **out,
                                wh_err_t *err) WH_MUST_CHECK;

/* Looks for both challenges in the host's TXT records: sets txt and rival_txt of the finding.
 * Returns what was found instead, for people; in p. */
const char *wh_prover_dns_txt(wh_prover_dns_t *dns, apr_pool_t *p, const char *host,
                              const char *challenge, const char *rival,
                              wh_domain_finding_t *finding);

/* The host's addresses as texts, none on a failure; returns why, "" = fine. */
const char *wh_prover_dns_addresses(wh_prover_dns_t *dns, apr_pool_t *p, const char *host,
                                    apr_array_header_t **out);

/* 1 for an address that anybody can reach. */
int wh_prover_dns_public(const char *address);

/* Any thread: the question under way and all later ones end at once. */
void wh_prover_dns_cancel(wh_prover_dns_t *dns);
void wh_prover_dns_close(wh_prover_dns_t *dns);

#endif
