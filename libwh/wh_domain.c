/* wh_domain: see wh_domain.h. */
#include <string.h>
#include <strings.h>
#include <apr_strings.h>

#include "libwh/wh_branch.h"
#include "libwh/wh_domain.h"
#include "libwh/wh_host.h"
#include "libwh/wh_idn.h"
#include "libwh/wh_json.h"
#include "libwh/wh_model_int.h"
#include "libwh/wh_route.h"

/* A name of the Internet: with a dot, and its last label no number (resolvers take 0x7f.1 for an
 * address). */
static int public_name(const char *host)
{
    const char *last = strrchr(host, '.');

    return last != NULL && (last[1] < '0' || last[1] > '9') && wh_host_domain_ok(host) &&
           strcmp(last, ".localhost") != 0;
}

apr_status_t wh_domain_host_check(apr_pool_t *p, const char *text, const char *base,
                                  const char **host, wh_err_t *err)
{
    const char *label, *name;
    wh_err_t why = WH_ERR_INIT;

    if (wh_idn_ascii(p, text, &name, &why) != APR_SUCCESS)
        return wh_err_field(err, "/host", "domain_invalid", "%s", why.text);
    if (strlen(name) > WH_DOMAIN_HOST_MAX || !public_name(name))
        return wh_err_field(err, "/host", "domain_invalid",
                            "a domain is a DNS name with at least one dot, without scheme, port, "
                            "wildcard and trailing dot, and not under localhost");
    if (wh_host_label_of(p, name, base ? base : "", &label) != WH_HOST_OTHER)
        return wh_err_field(err, "/host", "domain_reserved",
                            "names under %s are given out by this server itself", base);
    *host = name;
    return APR_SUCCESS;
}

static int port_ok(const char *s)
{
    size_t n = strspn(s, "0123456789");

    return n >= 1 && n <= 5 && s[n] == '\0' && *s != '0' && apr_atoi64(s) <= 65535;
}

/* Scheme, name and port of a target; what is none is left in the name. */
static void split(apr_pool_t *p, const char *text, const char **scheme, const char **name,
                  const char **port)
{
    static const char *const schemes[] = {"https://", "http://"};
    char *rest, *colon;

    *scheme = schemes[0];
    for (size_t i = 0; i < WH_ARRAY_LEN(schemes); i++) {
        if (strncasecmp(text, schemes[i], strlen(schemes[i])) == 0) {
            *scheme = schemes[i];
            text += strlen(schemes[i]);
            break;
        }
    }
    rest = apr_pstrdup(p, text);
    if (*rest && rest[strlen(rest) - 1] == '/')
        rest[strlen(rest) - 1] = '\0';
    colon = strchr(rest, ':');
    if (colon)
        *colon = '\0';
    *name = rest;
    *port = colon ? colon + 1 : NULL;
}

apr_status_t wh_domain_target_check(apr_pool_t *p, const char *text, const char *host,
                                    const char **out, wh_err_t *err)
{
    const char *scheme, *name, *port;
    wh_err_t why = WH_ERR_INIT;

    split(p, text, &scheme, &name, &port);
    if (wh_idn_ascii(p, name, &name, &why) != APR_SUCCESS)
        return wh_err_field(err, "/redirect_to", "redirect_invalid", "%s", why.text);
    if (strlen(text) > WH_DOMAIN_TARGET_MAX || !public_name(name) || (port && !port_ok(port)))
        return wh_err_field(err, "/redirect_to", "redirect_invalid",
                            "a domain leads to a name, with http:// or https:// and a port at "
                            "most: path and query are the visitor's");
    if (strcmp(name, host) == 0)
        return wh_err_field(err, "/redirect_to", "redirect_invalid",
                            "a domain cannot lead to itself");
    *out = apr_pstrcat(p, scheme, name, port ? ":" : "", port ? port : "", NULL);
    if (strlen(*out) > WH_ROUTE_STRING_MAX)
        return wh_err_field(err, "/redirect_to", "redirect_invalid",
                            "with its scheme and port it has at most %d bytes",
                            WH_ROUTE_STRING_MAX);
    return APR_SUCCESS;
}

static apr_status_t redirect(apr_pool_t *p, const wh_json_at_t *at, wh_domain_t *d, wh_err_t *err)
{
    const char *to = NULL;
    apr_status_t rv = wh_model_int_str(at, "redirect_to", 1, WH_DOMAIN_TARGET_MAX, "", &to, err);

    if (rv == APR_SUCCESS)
        rv = wh_model_int_num(at, "redirect_code", WH_JSON_OPT(301, 308), 0, &d->redirect_code,
                              err);
    if (rv == APR_SUCCESS && to)
        rv = *to ? wh_domain_target_check(p, to, d->host, &d->redirect_to, err) : APR_SUCCESS;
    if (rv != APR_SUCCESS)
        return rv;
    if (to && !*to)
        d->redirect_to = "";
    if (d->redirect_code && !*d->redirect_to) {
        if (!wh_json_has(at, "redirect_code")) {
            d->redirect_code = 0; /* what it led to was taken back, and the code with it */
            return APR_SUCCESS;
        }
        return wh_model_int_bad(at, "redirect_code", err, "a code without redirect_to");
    }
    if (*d->redirect_to && !d->redirect_code)
        d->redirect_code = 308;
    if (d->redirect_code >= 303 && d->redirect_code <= 306)
        return wh_model_int_bad(at, "redirect_code", err, "a code is 301, 302, 307 or 308");
    return APR_SUCCESS;
}

apr_status_t wh_domain_decode(apr_pool_t *p, const json_t *body, const char *base, int patch,
                              wh_domain_t *d, wh_err_t *err)
{
    static const char *const names[] = {"environment", "redirect_to", "redirect_code", "host"};
    wh_json_at_t at = wh_json_root(body);
    const char *host = NULL;
    apr_status_t rv;

    if (!json_is_object(body))
        return wh_err_set(err, 400, "body_not_object", "the body must be a JSON object");
    rv = wh_json_only(&at, names, patch ? 3 : 4, err);
    if (rv == APR_SUCCESS && !patch) {
        d->environment = WH_BRANCH_PRODUCTION;
        d->redirect_to = "";
        rv = wh_json_str(&at, "host", WH_JSON_REQ(1, 1024), &host, err);
        rv = rv == APR_SUCCESS ? wh_domain_host_check(p, host, base, &d->host, err) : rv;
    }
    if (rv == APR_SUCCESS)
        rv = wh_model_int_str(&at, "environment", 1, WH_HOST_ENV_MAX, WH_BRANCH_PRODUCTION,
                              &d->environment, err);
    if (rv == APR_SUCCESS)
        rv = wh_host_env_check(d->environment, err);
    if (rv == APR_SUCCESS && wh_branch_is_preview(d->environment))
        return wh_err_field(err, "/environment", "environment_invalid",
                            "a preview has no domains");
    return rv == APR_SUCCESS ? redirect(p, &at, d, err) : rv;
}

json_t *wh_domain_json(apr_pool_t *p, const wh_domain_t *d, const char *slug, const char *target)
{
    const char *txt = apr_pstrcat(p, WH_DOMAIN_TXT_LABEL, d->host, NULL);
    const char *url = apr_pstrcat(p, "http://", d->host, WH_DOMAIN_HTTP_PATH, d->app_id, NULL);
    int redirects = *d->redirect_to != '\0';

    return json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:s, s:o, s:s?, s:{s:{s:s, s:s, s:s}, s:{s:s, s:s}},"
        " s:o, s:o, s:o, s:o, s:o}",
        "id", d->id, "app", slug, "host", d->host, "host_unicode", wh_idn_unicode(p, d->host),
        "environment", d->environment, "redirect_to",
        wh_model_int_text(d->redirect_to), "redirect_code",
        redirects ? json_integer((json_int_t)d->redirect_code) : json_null(), "status",
        wh_model_domain_status_text(d->status), "reason", wh_model_int_text(d->reason), "target",
        target, "proof", "dns", "type", "TXT", "name", txt, "value", d->challenge, "http", "url",
        url, "body", d->challenge, "next_check_at", wh_model_int_time(d->next_at), "checked_at",
        wh_model_int_time(d->checked_at), "verified_at", wh_model_int_time(d->verified_at),
        "created_at", wh_model_int_time(d->created_at), "updated_at",
        wh_model_int_time(d->updated_at));
}

/* ---- Judging ---- */

static wh_domain_verdict_e later(wh_domain_t *d, const char *reason, apr_time_t now)
{
    apr_interval_time_t pause = WH_DOMAIN_FIRST_US;

    d->reason = reason;
    for (apr_int64_t i = 0; i < d->attempts && pause < WH_DOMAIN_EVERY_US; i++)
        pause *= 2;
    d->attempts++;
    d->next_at = now + (pause < WH_DOMAIN_EVERY_US ? pause : WH_DOMAIN_EVERY_US);
    if (now - d->asked_at < WH_DOMAIN_GIVE_UP_US)
        return WH_DOMAIN_STAYS;
    d->status = WH_DOMAIN_STATUS_FAILED;
    d->next_at = 0;
    return WH_DOMAIN_FAILED;
}

static wh_domain_verdict_e proved(wh_domain_t *d, wh_domain_verdict_e verdict, apr_time_t now)
{
    d->status = WH_DOMAIN_STATUS_ACTIVE;
    d->reason = "";
    d->attempts = 0;
    d->verified_at = now;
    d->next_at = now + WH_DOMAIN_AGAIN_US;
    return verdict;
}

wh_domain_verdict_e wh_domain_judge(apr_pool_t *p, wh_domain_t *d, const wh_domain_finding_t *f,
                                    apr_time_t now)
{
    int holds = f->txt == 1 || f->http == 1;

    d->checked_at = d->updated_at = now;
    if (d->status == WH_DOMAIN_STATUS_ACTIVE) {
        d->reason = holds ? "" : apr_pstrcat(p, "The proof is gone: ", f->why, NULL);
        d->verified_at = holds ? now : d->verified_at;
        d->next_at = now + WH_DOMAIN_AGAIN_US;
        return WH_DOMAIN_STAYS;
    }
    if (!holds)
        return later(d, f->why, now);
    if (!f->rival)
        return proved(d, WH_DOMAIN_PROVED, now);
    if (f->txt != 1)
        return later(d, "Another app has this name: only a TXT record can take it over.", now);
    if (f->rival_txt)
        return later(d, "Another app has this name, and its TXT record is still there.", now);
    return proved(d, WH_DOMAIN_TAKES, now);
}
