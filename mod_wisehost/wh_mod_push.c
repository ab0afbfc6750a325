#include "mod_wisehost/wh_mod_push.h"

#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <apr_strings.h>

#include "libwh/wh_host.h"
#include "libwh/wh_text.h"
#include "mod_wisehost/wh_mod_talk.h"

#define OUT_MAX ((apr_size_t)256 * 1024) /* a hook that does not read gets no more */
#define OUT_FULL ((apr_size_t)32 * 1024) /* no more of a log is read until it has read */
#define LOCK_MS 20
#define TELL_WAIT_US APR_USEC_PER_SEC

/* ---- speaking -------------------------------------------------------------------------------- */

static void put(wh_push_t *push, const char *text, apr_size_t n)
{
    if (push->n_out + n > push->room_out) {
        apr_size_t room = (push->n_out + n) * 2;
        char *more;

        if (room > OUT_MAX) {
            push->broken = 1;
            return;
        }
        more = apr_palloc(push->p, room);
        if (push->n_out > 0) {
            memcpy(more, push->out, push->n_out);
        }
        push->out = more;
        push->room_out = room;
    }
    memcpy(push->out + push->n_out, text, n);
    push->n_out += n;
}

static void put_line(wh_push_t *push, const char *word, const char *text)
{
    put(push, word, strlen(word));
    put(push, text, strlen(text));
    put(push, "\n", 1);
}

void wh_mod_push_say(wh_push_t *push, const char *fmt, ...)
{
    char text[2048];
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = apr_vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    put_line(push, "say ",
             wh_text_clean_line(push->turn, text, n > 0 ? strlen(text) : 0, sizeof(text) - 1));
}

const char *wh_mod_push_out(const wh_push_t *push, apr_size_t *n)
{
    *n = push->n_out;
    return push->out;
}

void wh_mod_push_sent(wh_push_t *push, apr_size_t n)
{
    push->n_out -= n;
    memmove(push->out, push->out + n, push->n_out);
}

static void become(wh_push_t *push, wh_push_state_e state)
{
    push->state = state;
    push->since = apr_time_now();
    push->told_wait = 0;
}

static void unlock(wh_push_t *push)
{
    if (push->lock_fd >= 0) {
        close(push->lock_fd);
        push->lock_fd = -1;
    }
}

static void allow(wh_push_t *push)
{
    put(push, "done 0\n", 7);
    become(push, push->post ? WH_PUSH_IDLE : WH_PUSH_HEARS);
}

static void refuse(wh_push_t *push, const char *why)
{
    if (*why != '\0') {
        wh_mod_push_say(push, "%s", why);
    }
    wh_mod_push_say(push, "Refused: nothing of this push was kept.");
    put(push, "done 1\n", 7);
    become(push, WH_PUSH_IDLE);
}

/* ---- what comes ------------------------------------------------------------------------------ */

wh_push_t *wh_mod_push_make(wh_call_t *c, const wh_git_repo_t *repo, const char *new_id)
{
    wh_push_t *push = apr_pcalloc(c->p, sizeof(*push));

    push->c = c;
    push->p = c->p;
    push->repo = *repo;
    push->new_id = new_id;
    push->lock_fd = -1;
    push->opts.environment = push->opts.kind = "";
    push->refs = apr_array_make(c->p, 4, sizeof(wh_push_ref_t));
    push->in = apr_palloc(c->p, WH_TALK_LINE_MAX);
    push->since = apr_time_now();
    apr_pool_create(&push->turn, c->p);
    apr_pool_tag(push->turn, "wisehost_push");
    return push;
}

static wh_push_ref_t *ref_at(const wh_push_t *push, int i)
{
    return &APR_ARRAY_IDX(push->refs, i, wh_push_ref_t);
}

static wh_push_ref_t *ref_named(const wh_push_t *push, const char *name)
{
    for (int i = 0; i < push->refs->nelts; i++) {
        if (strcmp(ref_at(push, i)->name, name) == 0) {
            return ref_at(push, i);
        }
    }
    return NULL;
}

static int is_oid(const char *s)
{
    apr_size_t n = strlen(s);

    return (n == 40 || n == 64) && strspn(s, "0123456789abcdef") == n;
}

/* "OLD NEW NAME": pre-receive brings them, post-receive names those that git took. */
static int take_ref(wh_push_t *push, char *rest)
{
    char *new = strchr(rest, ' '), *name = new != NULL ? strchr(new + 1, ' ') : NULL;
    wh_push_ref_t *ref;

    if (name == NULL) {
        return -1;
    }
    *new ++ = '\0';
    *name++ = '\0';
    if (push->post) {
        ref = ref_named(push, name);
        if (ref != NULL) {
            ref->taken = 1;
        }
        return 0;
    }
    if (!is_oid(rest) || !is_oid(new) || push->refs->nelts >= WH_TALK_REFS_MAX) {
        return -1;
    }
    ref = apr_array_push(push->refs);
    *ref = (wh_push_ref_t){.old = apr_pstrdup(push->p, rest),
                           .new = apr_pstrdup(push->p, new),
                           .name = apr_pstrdup(push->p, name),
                           .branch = "",
                           .gone = wh_push_none(new),
                           .commit = {.message = "", .author = ""}};
    return 0;
}

/* A fault of an option is told when all is heard; the first one counts. */
static void take_option(wh_push_t *push, const char *text)
{
    wh_err_t *err = &push->c->err;

    if (err->http != 0) {
        return;
    }
    if (++push->n_options > WH_PUSH_OPTIONS_MAX) {
        (void)!wh_err_set(err, 400, "push_option", "A push has at most %d options.",
                          WH_PUSH_OPTIONS_MAX);
        return;
    }
    (void)!wh_push_option(push->p, text, &push->opts, err);
}

static int take_commit(wh_push_t *push, char *rest)
{
    char *len = strchr(rest, ' ');
    apr_int64_t n;

    if (len == NULL) {
        return -1;
    }
    *len++ = '\0';
    if (!is_oid(rest) || !wh_text_number(len, 0, WH_TALK_COMMIT_MAX, &n)) {
        return -1;
    }
    push->commit_oid = apr_pstrdup(push->turn, rest);
    push->commit = apr_palloc(push->turn, (apr_size_t)n + 1);
    push->n_commit = 0;
    push->commit_left = (apr_size_t)n;
    return 0;
}

static void take_tip(wh_push_t *push, char *rest)
{
    char *name = strchr(rest, ' ');
    wh_push_ref_t *ref;

    if (name != NULL) {
        *name++ = '\0';
        ref = ref_named(push, name);
        if (ref != NULL) {
            ref->tip = apr_pstrdup(push->p, rest);
        }
    }
}

static void commit_whole(wh_push_t *push)
{
    push->commit[push->n_commit] = '\0';
    for (int i = 0; i < push->refs->nelts; i++) {
        if (strcmp(ref_at(push, i)->new, push->commit_oid) == 0) {
            wh_commit_parse(push->p, push->commit, &ref_at(push, i)->commit);
        }
    }
}

/* ---- pre-receive ----------------------------------------------------------------------------- */

static apr_status_t judge_refs(wh_push_t *push)
{
    wh_err_t *err = &push->c->err;

    if (push->refs->nelts > push->asked) {
        return wh_err_set(err, 400, "push_ref", "git tells of more branches than were sent.");
    }
    if (push->refs->nelts > WH_PUSH_REFS_MAX) {
        return wh_err_set(err, 400, "push_ref", "A push has at most %d branches.",
                          WH_PUSH_REFS_MAX);
    }
    for (int i = 0; i < push->refs->nelts; i++) {
        wh_push_ref_t *ref = ref_at(push, i);
        apr_status_t rv = wh_push_branch(push->p, ref->name, &ref->branch, err);

        if (!rv && ref->gone && push->c->app != NULL &&
            strcmp(ref->branch, push->c->app->repo_branch) == 0) {
            rv = wh_err_set(err, 400, "push_ref",
                            "%s is the branch that the app is deployed from: it is not deleted.",
                            ref->branch);
        }
        if (rv) {
            return rv;
        }
    }
    return APR_SUCCESS;
}

static apr_status_t judge_options(wh_push_t *push)
{
    apr_status_t rv = wh_push_options_check(&push->opts, &push->c->err);

    if (!rv && wh_mod_conf_git_strict(push->c->r->server) && !push->opts.no_deploy) {
        push->opts.strict = 1;
        push->opts.no_wait = 0;
    }
    return rv;
}

static apr_status_t make_app(wh_push_t *push)
{
    apr_array_header_t *branches = apr_array_make(push->turn, 4, sizeof(const char *));
    const char *own;
    int dockerfile = 0;

    for (int i = 0; i < push->refs->nelts; i++) {
        if (!ref_at(push, i)->gone) {
            APR_ARRAY_PUSH(branches, const char *) = ref_at(push, i)->branch;
        }
    }
    if (branches->nelts == 0) {
        return wh_err_set(&push->c->err, 400, "push_ref", "There is no such branch.");
    }
    own = wh_push_own_branch(branches);
    for (int i = 0; i < push->refs->nelts; i++) {
        if (strcmp(ref_at(push, i)->branch, own) == 0) {
            dockerfile = ref_at(push, i)->dockerfile;
        }
    }
    return wh_h_push_app(push, own, dockerfile);
}

static void pre_heard(wh_push_t *push)
{
    wh_err_t *err = &push->c->err;
    apr_status_t rv = err->http != 0 ? APR_EGENERAL : APR_SUCCESS;

    rv = rv ? rv : judge_options(push);
    rv = rv ? rv : judge_refs(push);
    if (!rv && push->c->app == NULL) {
        rv = make_app(push);
    }
    rv = rv ? rv : wh_h_push_plan(push);
    if (rv) {
        refuse(push, err->text);
        return;
    }
    become(push, WH_PUSH_LOCKS);
}

static int any_deployed(const wh_push_t *push)
{
    int n = 0;

    for (int i = 0; i < push->refs->nelts; i++) {
        n += ref_at(push, i)->environment != NULL;
    }
    return n > 0;
}

static void try_lock(wh_push_t *push)
{
    int rc = wh_mod_git_repo_lock(&push->repo, push->turn, &push->lock_fd);

    if (rc < 0) {
        refuse(push, "The repository cannot be locked.");
    } else if (rc > 0 && push->opts.strict && any_deployed(push)) {
        put(push, "look\n", 5);
        become(push, WH_PUSH_LOOKS);
    } else if (rc > 0) {
        allow(push);
    } else if (!push->told_wait && apr_time_now() - push->since > TELL_WAIT_US) {
        wh_mod_push_say(push, "Another push to this app is under way; this one waits for it.");
        push->told_wait = 1;
    }
}

static void begin_deploy(wh_push_t *push)
{
    if (wh_h_push_deploy(push)) {
        if (push->post) {
            wh_mod_push_say(push, "It was taken, but not deployed: %s", push->c->err.text);
            allow(push);
        } else {
            refuse(push, push->c->err.text);
        }
    } else if (push->opts.no_wait || !any_deployed(push)) {
        allow(push);
    } else {
        become(push, WH_PUSH_WAITS);
    }
}

/* With the lock held nobody moves a branch but this push. */
static void looked(wh_push_t *push)
{
    for (int i = 0; i < push->refs->nelts; i++) {
        const wh_push_ref_t *ref = ref_at(push, i);
        int none = wh_push_none(ref->old);

        if (ref->tip == NULL ||
            (none ? !wh_push_none(ref->tip) : strcmp(ref->tip, ref->old) != 0)) {
            refuse(push, apr_psprintf(push->turn, "%s has moved meanwhile: fetch, and push again.",
                                      ref->branch));
            return;
        }
    }
    begin_deploy(push);
}

/* ---- post-receive ---------------------------------------------------------------------------- */

static void post_heard(wh_push_t *push)
{
    unlock(push);
    wh_mod_git_repo_head(push->turn, push->c->r->server, &push->repo, push->c->app->repo_branch);
    if (push->opts.strict) {
        allow(push); /* it is deployed already */
    } else {
        begin_deploy(push);
    }
}

/* ---- lines ----------------------------------------------------------------------------------- */

static int end_heard(wh_push_t *push)
{
    if (push->state == WH_PUSH_LOOKS) {
        looked(push);
    } else if (push->state == WH_PUSH_HEARS && push->post) {
        post_heard(push);
    } else if (push->state == WH_PUSH_HEARS && push->refs->nelts > 0) {
        pre_heard(push);
    } else {
        return -1;
    }
    return 0;
}

static char *after(char *line, const char *word)
{
    apr_size_t n = strlen(word);

    return strncmp(line, word, n) == 0 ? line + n : NULL;
}

static int take_line(wh_push_t *push, char *line)
{
    char *rest;

    if (strcmp(line, "end") == 0) {
        return end_heard(push);
    }
    if ((rest = after(line, "tip ")) != NULL && push->state == WH_PUSH_LOOKS) {
        take_tip(push, rest);
        return 0;
    }
    if (push->state != WH_PUSH_HEARS) {
        return -1;
    }
    if ((rest = after(line, "ref ")) != NULL) {
        return take_ref(push, rest);
    }
    if ((rest = after(line, "begin ")) != NULL) {
        push->post = strcmp(rest, "post") == 0;
    } else if (push->post) {
        return -1;
    } else if ((rest = after(line, "quarantine ")) != NULL) {
        push->quarantine = apr_pstrdup(push->p, rest);
    } else if ((rest = after(line, "option ")) != NULL) {
        take_option(push, rest);
    } else if ((rest = after(line, "commit ")) != NULL) {
        return take_commit(push, rest);
    } else if ((rest = after(line, "dockerfile ")) != NULL) {
        for (int i = 0; i < push->refs->nelts; i++) {
            ref_at(push, i)->dockerfile |= strcmp(ref_at(push, i)->new, rest) == 0;
        }
    } else {
        return -1;
    }
    return 0;
}

static apr_size_t feed_commit(wh_push_t *push, const char *data, apr_size_t n)
{
    apr_size_t take = n < push->commit_left ? n : push->commit_left;

    memcpy(push->commit + push->n_commit, data, take);
    push->n_commit += take;
    push->commit_left -= take;
    if (push->commit_left == 0) {
        commit_whole(push);
        push->commit = NULL;
    }
    return take;
}

int wh_mod_push_feed(wh_push_t *push, const char *data, apr_size_t n)
{
    while (n > 0) {
        const char *end;
        apr_size_t take;

        if (push->commit != NULL) {
            take = feed_commit(push, data, n);
            data += take;
            n -= take;
            continue;
        }
        end = memchr(data, '\n', n);
        take = end != NULL ? (apr_size_t)(end - data) : n;
        if (push->n_in + take >= WH_TALK_LINE_MAX) {
            return -1;
        }
        memcpy(push->in + push->n_in, data, take);
        push->n_in += take;
        if (end == NULL) {
            return 0;
        }
        push->in[push->n_in] = '\0';
        push->n_in = 0;
        data += take + 1;
        n -= take + 1;
        if (take_line(push, push->in) != 0) {
            return -1;
        }
        if (push->commit != NULL && push->commit_left == 0) {
            commit_whole(push); /* a commit without a byte has no more to come */
            push->commit = NULL;
        }
    }
    return push->broken ? -1 : 0;
}

/* ---- waiting --------------------------------------------------------------------------------- */

/* Short at first, when most is over within a moment; longer for what takes its time. */
int wh_mod_push_wait(const wh_push_t *push)
{
    apr_interval_time_t age = apr_time_now() - push->since;

    if (push->state == WH_PUSH_LOCKS) {
        return age < 1000 ? 0 : LOCK_MS;
    }
    if (push->state != WH_PUSH_WAITS) {
        return -1;
    }
    if (age < 2 * APR_USEC_PER_SEC) {
        return 5;
    }
    return age < 15 * APR_USEC_PER_SEC ? 50 : 250;
}

static void all_over(wh_push_t *push)
{
    int failed = 0;

    for (int i = 0; i < push->refs->nelts; i++) {
        const wh_push_ref_t *ref = ref_at(push, i);

        failed += ref->deployment != NULL && ref->conclusion != WH_CONCLUSION_SUCCEEDED;
    }
    if (push->post || !failed) {
        allow(push);
    } else {
        refuse(push, "");
    }
}

static void look(wh_push_t *push)
{
    for (int i = 0; i < push->refs->nelts && push->n_out < OUT_FULL; i++) {
        wh_push_ref_t *ref = ref_at(push, i);

        if (ref->deployment != NULL && !ref->over) {
            wh_h_push_look(push, ref);
            if (!ref->over) {
                return; /* one after the other, so that their logs do not mix */
            }
        }
    }
    for (int i = 0; i < push->refs->nelts; i++) {
        if (ref_at(push, i)->deployment != NULL && !ref_at(push, i)->over) {
            return;
        }
    }
    all_over(push);
}

void wh_mod_push_turn(wh_push_t *push)
{
    if (push->state == WH_PUSH_LOCKS) {
        try_lock(push);
    } else if (push->state == WH_PUSH_WAITS) {
        look(push);
    }
    if (push->commit == NULL && push->state != WH_PUSH_HEARS) {
        apr_pool_clear(push->turn);
    }
}

void wh_mod_push_late(wh_push_t *push)
{
    if (push->state == WH_PUSH_IDLE) {
        return;
    }
    if (push->post) {
        wh_mod_push_say(push, "This server waits no longer; the deployment goes on: wh status");
        allow(push);
        return;
    }
    wh_h_push_cancel(push);
    refuse(push, "This push took too long.");
}

void wh_mod_push_over(wh_push_t *push)
{
    if (push->opts.strict && push->state == WH_PUSH_WAITS) {
        wh_h_push_cancel(push);
    }
    for (int i = 0; i < push->refs->nelts; i++) {
        if (push->opts.strict && ref_at(push, i)->deployment != NULL) {
            wh_mod_git_repo_unlend(push->p, &push->repo, ref_at(push, i)->deployment);
        }
    }
    unlock(push);
    if (push->state != WH_PUSH_IDLE) {
        put(push, "done 1\n", 7);
        become(push, WH_PUSH_IDLE);
    }
}
