/* wh_notify: the services' formats. Each function says whose documentation it follows; the expected
 * bytes stand in t/data/notify. */
#include "libwh/wh_notify.h"

#include <string.h>
#include <strings.h>
#include <apr_strings.h>
#include <apr_time.h>

#include "libwh/wh_json.h"
#include "libwh/wh_sign.h"
#include "libwh/wh_stdhook.h"
#include "libwh/wh_text.h"

#define JSON "application/json"

typedef struct job_t {
    apr_pool_t *p;
    const wh_shout_t *t;
    const wh_event_t *event;
    const wh_notify_sending_t *sending;
    const char *text; /* compact */
    wh_notify_out_t *out;
} job_t;

static const char *part(const job_t *job, int i)
{
    return i < job->t->parts->nelts ? APR_ARRAY_IDX(job->t->parts, i, const char *) : "";
}

static const char *escaped(const job_t *job, const char *s)
{
    return wh_shout_escape(job->p, s);
}

/* "https://host:port" of a target whose host is a machine. */
static const char *origin(const job_t *job, int plain)
{
    const char *url = apr_pstrcat(job->p, plain ? "http://" : "https://", job->t->host, NULL);

    return job->t->port > 0 ? apr_psprintf(job->p, "%s:%d", url, job->t->port) : url;
}

/* The service's own, or who speaks the same. */
static const char *base(const job_t *job, const char *own)
{
    char *via = apr_pstrdup(job->p, wh_shout_param(job->t, "via", own));
    size_t n = strlen(via);

    while (n > 0 && via[n - 1] == '/') {
        via[--n] = '\0';
    }
    return via;
}

/* Takes doc. A text of UTF-8 always packs; NULL is memory that is short. */
static void body_json(const job_t *job, json_t *doc)
{
    job->out->body = wh_json_text(job->p, wh_json_own(job->p, doc), &job->out->n);
    apr_table_setn(job->out->headers, "Content-Type", JSON);
}

static void body_text(const job_t *job, const char *text, const char *type)
{
    job->out->body = text;
    job->out->n = strlen(text);
    apr_table_set(job->out->headers, "Content-Type", type);
}

/* value "" is left out. */
static void member(json_t *doc, const char *name, const char *value)
{
    if (value[0] != '\0') {
        json_object_set_new(doc, name, json_string(value));
    }
}

static const char *basic(const job_t *job)
{
    const char *pair = apr_pstrcat(job->p, job->t->user, ":", job->t->password, NULL);

    return apr_pstrcat(job->p, "Basic ", wh_sign_b64(job->p, pair, strlen(pair)), NULL);
}

/* discord.com/developers/docs/resources/webhook#execute-webhook */
static void discord(const job_t *job)
{
    const char *thread = wh_shout_param(job->t, "thread_id", "");
    json_t *doc = json_pack("{s:s, s:{s:[]}}", "content", job->text, "allowed_mentions", "parse");

    member(doc, "username", wh_shout_param(job->t, "username", ""));
    member(doc, "avatar_url", wh_shout_param(job->t, "avatar", ""));
    body_json(job, doc);
    job->out->url = apr_pstrcat(job->p, base(job, "https://discord.com"), "/api/webhooks/",
                                job->t->host, "/", escaped(job, job->t->user),
                                thread[0] ? "?thread_id=" : "", thread, NULL);
}

/* docs.slack.dev/messaging/formatting-message-text: three characters are escaped. */
static const char *slack_text(apr_pool_t *p, const char *s)
{
    const char *out = "";

    while (*s != '\0') {
        size_t n = strcspn(s, "&<>");

        out = apr_pstrcat(p, out, apr_pstrmemdup(p, s, n),
                          s[n] == '&'   ? "&amp;"
                          : s[n] == '<' ? "&lt;"
                          : s[n] == '>' ? "&gt;"
                                        : "",
                          NULL);
        s += n + (s[n] != '\0');
    }
    return out;
}

/* docs.slack.dev/messaging/sending-messages-using-incoming-webhooks */
static void slack(const job_t *job)
{
    const char *path;

    if (job->t->parts->nelts == 2) {
        path = apr_pstrcat(job->p, job->t->host, "/", escaped(job, part(job, 0)), "/",
                           escaped(job, part(job, 1)), NULL);
    } else { /* "T…-B…-X…" */
        char *token = apr_pstrdup(job->p, job->t->password);

        for (char *c = token; *c != '\0'; c++) {
            *c = *c == '-' ? '/' : *c;
        }
        path = token;
    }
    job->out->url = apr_pstrcat(job->p, base(job, "https://hooks.slack.com"), "/services/", path,
                                NULL);
    body_json(job, json_pack("{s:s}", "text", slack_text(job->p, job->text)));
}

/* learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using: a
 * message with one Adaptive Card, which both connectors and workflows take; a block a line. */
static void teams(const job_t *job)
{
    json_t *blocks = json_array();
    const char *s = job->text;

    for (;;) {
        size_t n = strcspn(s, "\n");

        json_array_append_new(blocks, json_pack("{s:s, s:s%, s:b}", "type", "TextBlock", "text", s,
                                                n, "wrap", 1));
        if (s[n] == '\0') {
            break;
        }
        s += n + 1;
    }
    body_json(job, json_pack("{s:s, s:[{s:s, s:n, s:{s:s, s:s, s:s, s:o}}]}", "type", "message",
                             "attachments", "contentType",
                             "application/vnd.microsoft.card.adaptive", "contentUrl", "content",
                             "$schema", "http://adaptivecards.io/schemas/adaptive-card.json",
                             "type", "AdaptiveCard", "version", "1.2", "body", blocks));
    job->out->url = job->t->address;
    if (job->t->address == NULL) {
        const char *own = apr_pstrcat(job->p, "https://", wh_shout_param(job->t, "host", ""), NULL);

        job->out->url = apr_pstrcat(
            job->p, base(job, own), "/webhookb2/", escaped(job, job->t->user), "@", job->t->host,
            "/IncomingWebhook/", escaped(job, part(job, 0)), "/", escaped(job, part(job, 1)),
            part(job, 2)[0] ? "/" : "", escaped(job, part(job, 2)), NULL);
    }
}

/* core.telegram.org/bots/api#sendmessage */
static void telegram(const job_t *job)
{
    const char *chat = wh_shout_param(job->t, "chats", "");
    const char *colon = strchr(chat, ':');
    apr_int64_t thread;
    json_t *doc;

    chat = colon != NULL ? apr_pstrmemdup(job->p, chat, (size_t)(colon - chat)) : chat;
    doc = json_pack("{s:s, s:s}", "chat_id", chat, "text", job->text);
    if (colon != NULL && wh_text_number(colon + 1, 1, APR_INT64_MAX, &thread)) {
        json_object_set_new(doc, "message_thread_id", json_integer(thread));
    }
    if (!wh_shout_yes(job->t, "notification", 1)) {
        json_object_set_new(doc, "disable_notification", json_true());
    }
    if (!wh_shout_yes(job->t, "preview", 1)) {
        json_object_set_new(doc, "link_preview_options", json_pack("{s:b}", "is_disabled", 1));
    }
    body_json(job, doc);
    job->out->url = apr_pstrcat(job->p, base(job, "https://api.telegram.org"), "/bot",
                                job->t->user, ":", escaped(job, job->t->password), "/sendMessage",
                                NULL);
}

/* docs.ntfy.sh/publish/#publish-as-json: to the server, not to the topic. */
static void ntfy(const job_t *job)
{
    const char *tags = wh_shout_param(job->t, "tags", "");
    const char *token = wh_shout_param(job->t, "token", "");
    int plain = wh_shout_yes(job->t, "disabletls", 0) ||
                strcmp(wh_shout_param(job->t, "scheme", "https"), "http") == 0;
    static const char *const levels[] = {"min", "low", "default", "high", "max"};
    const char *priority = wh_shout_param(job->t, "priority", "");
    json_t *doc = json_pack("{s:s, s:s}", "topic", part(job, 0), "message", job->text);

    for (size_t i = 0; i < WH_ARRAY_LEN(levels); i++) {
        if (strcasecmp(priority, levels[i]) == 0 ||
            (priority[0] == (char)('1' + i) && priority[1] == '\0')) {
            json_object_set_new(doc, "priority", json_integer((json_int_t)i + 1));
        }
    }
    if (tags[0] != '\0') {
        json_t *list = json_array();
        char *state = NULL, *copy = apr_pstrdup(job->p, tags);

        for (char *tag = apr_strtok(copy, ",", &state); tag; tag = apr_strtok(NULL, ",", &state)) {
            json_array_append_new(list, json_string(tag));
        }
        json_object_set_new(doc, "tags", list);
    }
    member(doc, "click", job->event->url);
    body_json(job, doc);
    job->out->url = apr_pstrcat(job->p, origin(job, plain), "/", NULL);
    if (token[0] != '\0') {
        apr_table_set(job->out->headers, "Authorization",
                      apr_pstrcat(job->p, "Bearer ", token, NULL));
    } else if (job->t->user[0] != '\0' || job->t->password[0] != '\0') {
        apr_table_set(job->out->headers, "Authorization", basic(job));
    }
}

/* gotify.net/docs/pushmsg, and its API: POST /message with X-Gotify-Key. The path ends with the
 * token, or with "message" when that is a parameter. */
static void gotify(const job_t *job)
{
    const char *token = wh_shout_param(job->t, "token", "");
    const char *url = origin(job, wh_shout_yes(job->t, "disabletls", 0));
    json_t *doc = json_pack("{s:s}", "message", job->text);
    apr_int64_t priority;
    int n = job->t->parts->nelts - 1;

    for (int i = 0; i < n; i++) {
        url = apr_pstrcat(job->p, url, "/", escaped(job, part(job, i)), NULL);
    }
    job->out->url = apr_pstrcat(job->p, url, "/message", NULL);
    if (wh_text_number(wh_shout_param(job->t, "priority", ""), -10, 10, &priority)) {
        json_object_set_new(doc, "priority", json_integer(priority));
    }
    body_json(job, doc);
    apr_table_set(job->out->headers, "X-Gotify-Key", token[0] != '\0' ? token : part(job, n));
}

/* spec.matrix.org, client-server API: PUT …/send/{eventType}/{txnId}; the same transaction in
 * every attempt, so that it stands in the room once. */
static void matrix(const job_t *job)
{
    job->out->method = "PUT";
    job->out->url = apr_pstrcat(
        job->p, origin(job, wh_shout_yes(job->t, "disabletls", 0)), "/_matrix/client/v3/rooms/",
        escaped(job, wh_shout_param(job->t, "rooms", "")), "/send/m.room.message/",
        escaped(job, job->sending->id), NULL);
    body_json(job, json_pack("{s:s, s:s}", "msgtype", "m.text", "body", job->text));
    apr_table_set(job->out->headers, "Authorization",
                  apr_pstrcat(job->p, "Bearer ", job->t->password, NULL));
}

/* developers.mattermost.com/integrate/webhooks/incoming */
static void mattermost(const job_t *job)
{
    json_t *doc = json_pack("{s:s}", "text", job->text);

    member(doc, "username", job->t->user);
    member(doc, "channel", wh_shout_param(job->t, "channel", part(job, 1)));
    member(doc, "icon_url", wh_shout_param(job->t, "icon", ""));
    body_json(job, doc);
    job->out->url = apr_pstrcat(job->p, origin(job, wh_shout_yes(job->t, "disabletls", 0)),
                                "/hooks/", escaped(job, part(job, 0)), NULL);
}

static int add_header(void *baton, const char *name, const char *value)
{
    apr_table_set(baton, name, value);
    return 1;
}

/* Shoutrrr's generic service: the text as it is, or in a small document. */
static void generic(const job_t *job)
{
    const char *type = wh_shout_param(job->t, "contenttype", "text/plain; charset=utf-8");

    job->out->url = job->t->address;
    if (strcasecmp(wh_shout_param(job->t, "template", ""), "json") == 0) {
        body_json(job, json_pack("{s:s, s:s}", wh_shout_param(job->t, "titlekey", "title"),
                                 wh_event_title(job->p, job->event),
                                 wh_shout_param(job->t, "messagekey", "message"), job->text));
    } else {
        body_text(job, job->text, type);
    }
    apr_table_do(add_header, job->out->headers, job->t->headers, NULL);
}

/* F175: others get signed JSON. */
static void webhook(const job_t *job)
{
    wh_stdhook_t message = {.id = job->sending->id,
                            .timestamp_s = apr_time_sec(job->sending->now)};
    apr_table_t *headers = job->out->headers;
    const char *signature;

    job->out->url = job->t->address;
    job->out->body = wh_event_json(job->p, job->event, &job->out->n);
    message.body = job->out->body;
    message.n = job->out->n;
    signature = wh_stdhook_sign(job->p, &message, job->sending->secret, job->sending->former);
    apr_table_setn(headers, "Content-Type", JSON);
    apr_table_set(headers, "webhook-id", message.id);
    apr_table_setn(headers, "webhook-timestamp",
                   apr_psprintf(job->p, "%" APR_INT64_T_FMT, message.timestamp_s));
    if (signature != NULL) {
        apr_table_setn(headers, "webhook-signature", signature);
    }
}

/* RFC 2047, 2: a word has at most 75 characters, so 45 bytes of text, and ends with a character. */
static const char *words(apr_pool_t *p, const char *s)
{
    const char *out = "";

    while (*s != '\0') {
        size_t n = strlen(s) > 45 ? wh_text_utf8_floor(s, 45) : strlen(s);

        out = apr_pstrcat(p, out, out[0] ? "\r\n " : "", "=?utf-8?B?", wh_sign_b64(p, s, n), "?=",
                          NULL);
        s += n;
    }
    return out;
}

/* RFC 2045, 6.8: base64 in lines of 76. */
static const char *lines_of_76(apr_pool_t *p, const char *s)
{
    const char *text = wh_sign_b64(p, s, strlen(s)), *out = "";

    for (size_t n = strlen(text); n > 0; n = strlen(text)) {
        n = n > 76 ? 76 : n;
        out = apr_pstrcat(p, out, apr_pstrmemdup(p, text, n), "\r\n", NULL);
        text += n;
    }
    return out;
}

/* "Tue, 14 Nov 2023 22:13:20 +0000" */
static const char *mail_date(apr_pool_t *p, apr_time_t at)
{
    char date[APR_RFC822_DATE_LEN];

    (void)apr_rfc822_date(date, at);
    return apr_pstrcat(p, apr_pstrndup(p, date, strlen(date) - 3), "+0000", NULL);
}

/* What "encryption" and the two about STARTTLS come to. A password goes out in the clear only when
 * that was asked for by name. */
static wh_notify_tls_e tls_of(const wh_shout_t *t)
{
    const char *how = wh_shout_param(t, "encryption", "auto");

    if (strcasecmp(how, "implicittls") == 0 || (strcasecmp(how, "auto") == 0 && t->port == 465)) {
        return WH_NOTIFY_TLS_FIRST;
    }
    if (!wh_shout_yes(t, "starttls", strcasecmp(how, "none") != 0)) {
        return WH_NOTIFY_TLS_NONE;
    }
    return t->user[0] != '\0' || wh_shout_yes(t, "requirestarttls", 0) ? WH_NOTIFY_TLS_MUST
                                                                        : WH_NOTIFY_TLS_TRY;
}

/* RFC 5322 and 3834 (Auto-Submitted); the message's id is the delivery's in every attempt. */
static void smtp(const job_t *job)
{
    const char *from = wh_shout_param(job->t, "from", ""), *at = strchr(from, '@');
    const char *name = wh_shout_param(job->t, "fromname", "Wisehost");
    char *state = NULL, *to = apr_pstrdup(job->p, wh_shout_param(job->t, "to", ""));
    const char *details = wh_event_details(job->p, job->event);
    wh_notify_out_t *out = job->out;
    const char *all = "";

    out->method = "MAIL";
    out->to = apr_array_make(job->p, 2, sizeof(const char *));
    for (char *one = apr_strtok(to, ",", &state); one; one = apr_strtok(NULL, ",", &state)) {
        APR_ARRAY_PUSH(out->to, const char *) = one;
        all = apr_pstrcat(job->p, all, all[0] ? ",\r\n " : "", one, NULL);
    }
    out->tls = tls_of(job->t);
    out->from = from;
    out->user = job->t->user;
    out->password = job->t->password;
    out->url = apr_psprintf(job->p, "%s://%s:%d", out->tls == WH_NOTIFY_TLS_FIRST ? "smtps" : "smtp",
                            job->t->host,
                            job->t->port > 0                       ? job->t->port
                            : out->tls == WH_NOTIFY_TLS_FIRST ? 465
                                                              : 25);
    out->body = apr_pstrcat(
        job->p, "From: ", words(job->p, name), " <", from, ">\r\nTo: ", all,
        "\r\nSubject: ", words(job->p, wh_event_headline(job->p, job->event)),
        "\r\nDate: ", mail_date(job->p, job->event->at), "\r\nMessage-ID: <", job->sending->id, at,
        ">\r\nAuto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
        "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n",
        lines_of_76(job->p, apr_pstrcat(job->p, job->text, "\n", details[0] ? "\n" : "", details,
                                        NULL)),
        NULL);
    out->n = strlen(out->body);
}

static void (*const formats[WH_SHOUT_KINDS])(const job_t *) = {
    [WH_SHOUT_DISCORD] = discord,   [WH_SHOUT_SLACK] = slack,
    [WH_SHOUT_TEAMS] = teams,       [WH_SHOUT_TELEGRAM] = telegram,
    [WH_SHOUT_NTFY] = ntfy,         [WH_SHOUT_GOTIFY] = gotify,
    [WH_SHOUT_MATRIX] = matrix,     [WH_SHOUT_MATTERMOST] = mattermost,
    [WH_SHOUT_SMTP] = smtp,         [WH_SHOUT_GENERIC] = generic,
    [WH_SHOUT_WEBHOOK] = webhook,
};

apr_status_t wh_notify_format(apr_pool_t *p, const wh_shout_t *target, const wh_event_t *event,
                              const wh_notify_sending_t *sending, wh_notify_out_t *out,
                              wh_err_t *err)
{
    job_t job = {.p = p, .t = target, .event = event, .sending = sending, .out = out};

    if (target->kind == WH_SHOUT_WEBHOOK) {
        apr_status_t rv = wh_stdhook_secret_check(
            p, sending->secret != NULL ? sending->secret : "", err);

        if (rv != APR_SUCCESS) {
            return rv;
        }
    }
    *out = (wh_notify_out_t){.method = "POST", .headers = apr_table_make(p, 4)};
    job.text = wh_event_compact(p, event);
    formats[target->kind](&job);
    return out->body != NULL ? APR_SUCCESS
                             : wh_err_set(err, 503, "no_memory", "There is no memory left.");
}

/* ---- answers ---- */

/* A day in all; each is drawn from a tenth below to a tenth above. */
static const int waits_s[WH_NOTIFY_ATTEMPTS - 1] = {5,    30,    120,   600,   1800, 3600,
                                                    7200, 10800, 14400, 21600, 26245};

wh_notify_verdict_e wh_notify_judge(int status, unsigned attempt, uint32_t random,
                                    apr_interval_time_t *wait_us)
{
    apr_interval_time_t wait;

    if (status >= 200 && status < 300) {
        return WH_NOTIFY_DELIVERED;
    }
    if (status == 410) {
        return WH_NOTIFY_GONE;
    }
    if (attempt >= WH_NOTIFY_ATTEMPTS) {
        return WH_NOTIFY_DEAD;
    }
    wait = apr_time_from_sec(waits_s[attempt > 0 ? attempt - 1 : 0]);
    *wait_us = wait - wait / 10 + (apr_interval_time_t)((double)(wait / 5) * random / 4294967296.0);
    return WH_NOTIFY_AGAIN;
}
