/* Drains of logs in the scheduler: lines that come faster than once a second's batch. The requests
 * go to a socket that takes them and answers nothing. */
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "t/unit/sched.h"

#include "libwh/wh_sys.h"
#include "wh-scheduler/httpout.h"
#include "wh-scheduler/logdrains.h"
#include "whdb/wh_db_logdrain.h"

static void no_wake(void *baton)
{
    (void)baton;
}

static int silent(int *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&at, n) == 0 && listen(fd, 8) == 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &n), 0);
    *port = ntohs(at.sin_port);
    return fd;
}

/* A drain of all apps, known to the scheduler, with nothing in it. */
static void drain(sched_t *s, int port)
{
    wh_secret_ring_t ring = wh_core_ring(&s->core);
    wh_logdrain_t d = {.id = db_id(s->t, 'd', 1),
                       .name = "far",
                       .app_id = "",
                       .cause = "",
                       .enabled = 1,
                       .created_at = DB_T(1),
                       .updated_at = DB_T(1)};
    const char *url = apr_psprintf(s->t->p, "http://127.0.0.1:%d/x", port);
    wh_err_t *err = &s->t->err;

    assert_ok(wh_logdrain_seal(s->t->p, &ring, wh_sys_rand(), &d, url, err), err);
    assert_ok(wh_db_logdrain_insert(s->t->dbc, s->t->p, &d, err), err);
    assert_ok(wh_logdrains_look(&s->core, s->t->p, 1, s->clock.mono, err), err);
}

/* Lines until something is sent, at most this many; how many it took. */
static int take(sched_t *s, const wh_app_t *a, int most)
{
    char text[401];
    wh_logdrain_line_t line = {.at = DB_T(1),
                               .app = a->id,
                               .environment = "",
                               .container = "c",
                               .deployment = db_id(s->t, 'd', 1),
                               .text = text};
    int n = 0;

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    for (; n < most && wh_httpout_room(s->core.http) == WH_HTTPOUT_WAITING; n++) {
        wh_logdrains_take(&s->core, a->id, &line);
    }
    return n;
}

static void test_early(void **state)
{
    sched_t *s = sched_case(*state);
    wh_httpout_opt_t opt = {.ca_file = "", .private_ok = 1, .wake = no_wake};
    wh_err_t *err = &s->t->err;
    int port, fd = silent(&port), n;

    s->core.env_key = 1;
    assert_ok(wh_httpout_start(s->t->p, &opt, &s->core.http, err), err);
    drain(s, port);
    assert_int_equal(take(s, s->a, 100), 100); /* a few lines wait for the tick */
    n = take(s, s->a, 5000);
    assert_in_range(n, 500, 1500); /* half of a queue of 1 MiB, not the whole */
    assert_int_equal(wh_httpout_room(s->core.http), WH_HTTPOUT_WAITING - 1);
    wh_httpout_stop(s->core.http);
    s->core.http = NULL;
    wh_logdrains_end(&s->core);
    close(fd);
    sched_end(s);
}

int main(void)
{
    const db_case_t cases[] = {
        DB_CASE("a queue that is half full does not wait for the tick", test_early),
    };

    return DB_RUN(cases);
}
