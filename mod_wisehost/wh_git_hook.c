/*
 * wh-git-hook: the pre-receive and post-receive hook of the repositories that people push to, under
 * both names. It tells the request that started git what is pushed, shows the person what that has
 * to say, and exits as it is told. It decides nothing, knows no secret and asks no network; the
 * repository cannot change it (core.hooksPath).
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mod_wisehost/wh_mod_talk.h"

extern char **environ;

typedef struct ref_t {
    char *line; /* owned; the three below point into it */
    const char *old, *new, *name;
} ref_t;

typedef struct hook_t {
    const char *git;
    ref_t refs[WH_TALK_REFS_MAX];
    size_t n_refs;
    char in[WH_TALK_LINE_MAX]; /* of what the module says */
    size_t n_in;
} hook_t;

/* ---- speaking -------------------------------------------------------------------------------- */

static void tell(const char *text)
{
    size_t n = strlen(text);

    while (n > 0) {
        ssize_t done = write(STDERR_FILENO, text, n);

        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return;
        text += done;
        n -= (size_t)done;
    }
}

static void give_up(const char *why)
{
    tell("wisehost: ");
    tell(why);
    tell("\n");
    exit(1);
}

static void put(const char *data, size_t n)
{
    while (n > 0) {
        ssize_t done = write(WH_TALK_FD, data, n);

        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            give_up("the server went away; nothing was taken");
        data += done;
        n -= (size_t)done;
    }
}

static void __attribute__((format(printf, 1, 2))) say(const char *fmt, ...)
{
    char line[WH_TALK_LINE_MAX];
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(line, sizeof(line) - 1, fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= sizeof(line) - 1)
        give_up("a name is too long");
    for (int i = 0; i < n; i++) {
        if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
            give_up("control characters are not taken");
    }
    line[n] = '\n';
    put(line, (size_t)n + 1);
}

/* ---- what is pushed -------------------------------------------------------------------------- */

static int is_oid(const char *s)
{
    size_t n = strlen(s);

    return (n == 40 || n == 64) && strspn(s, "0123456789abcdef") == n;
}

static int is_none(const char *oid)
{
    return oid[strspn(oid, "0")] == '\0';
}

/* "old new name\n" */
static void take_ref(hook_t *hook, char *line)
{
    ref_t *ref = &hook->refs[hook->n_refs];
    char *one = strchr(line, ' '), *two = one != NULL ? strchr(one + 1, ' ') : NULL;
    char *end = strchr(line, '\n');

    if (end != NULL)
        *end = '\0';
    if (one == NULL || two == NULL)
        give_up("git speaks in another form than is known here");
    *one = *two = '\0';
    *ref = (ref_t){.line = line, .old = line, .new = one + 1, .name = two + 1};
    if (!is_oid(ref->old) || !is_oid(ref->new) || *ref->name == '\0')
        give_up("git speaks in another form than is known here");
    hook->n_refs++;
}

static void read_refs(hook_t *hook)
{
    char *line = NULL;
    size_t room = 0;

    while (getline(&line, &room, stdin) > 0) {
        if (hook->n_refs == WH_TALK_REFS_MAX)
            give_up("too many branches in one push; nothing was taken");
        take_ref(hook, line);
        line = NULL;
        room = 0;
    }
    free(line);
}

/* What git says to argv, at most max bytes of it; the rest is read away. -1 when it fails. */
static ssize_t ask_git(const char *const *argv, char *buf, size_t max)
{
    posix_spawn_file_actions_t acts;
    int ends[2], status = -1, rc;
    ssize_t got;
    size_t n = 0;
    char lost[4096];
    pid_t pid;

    if (pipe2(ends, O_CLOEXEC) != 0)
        return -1;
    posix_spawn_file_actions_init(&acts);
    posix_spawn_file_actions_addopen(&acts, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&acts, ends[1], STDOUT_FILENO);
    rc = posix_spawn(&pid, argv[0], &acts, NULL, (char *const *)(unsigned long)argv, environ);
    posix_spawn_file_actions_destroy(&acts);
    close(ends[1]);
    while (rc == 0 && (got = n < max ? read(ends[0], buf + n, max - n)
                                     : read(ends[0], lost, sizeof(lost))) != 0) {
        if (got < 0 && errno != EINTR)
            break;
        n += got > 0 && n < max ? (size_t)got : 0;
    }
    close(ends[0]);
    if (rc != 0)
        return -1;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? (ssize_t)n : -1;
}

static void tell_commit(const hook_t *hook, const char *oid)
{
    const char *const show[] = {hook->git, "cat-file", "commit", oid, NULL};
    const char *const tree[] = {hook->git, "ls-tree", "--name-only", oid, "--", "Dockerfile", NULL};
    char text[WH_TALK_COMMIT_MAX];
    ssize_t n = ask_git(show, text, sizeof(text));

    if (n < 0)
        give_up("a branch names something that is no commit; nothing was taken");
    say("commit %s %zd", oid, n);
    put(text, (size_t)n);
    if (getenv(WH_TALK_NEW_ENV) != NULL && ask_git(tree, text, sizeof(text)) > 0)
        say("dockerfile %s", oid);
}

static void tell_options(void)
{
    const char *count = getenv("GIT_PUSH_OPTION_COUNT");
    long n = count != NULL ? strtol(count, NULL, 10) : 0;

    for (long i = 0; i < n && i < WH_TALK_REFS_MAX; i++) {
        char name[64];
        const char *text;

        (void)snprintf(name, sizeof(name), "GIT_PUSH_OPTION_%ld", i);
        text = getenv(name);
        if (text != NULL)
            say("option %s", text);
    }
}

static void tell_all(hook_t *hook, int pre)
{
    const char *quarantine = getenv("GIT_QUARANTINE_PATH");

    say("begin %s", pre ? "pre" : "post");
    if (pre && quarantine != NULL)
        say("quarantine %s", quarantine);
    if (pre)
        tell_options();
    for (size_t i = 0; i < hook->n_refs; i++) {
        const ref_t *ref = &hook->refs[i];

        say("ref %s %s %s", ref->old, ref->new, ref->name);
        if (pre && !is_none(ref->new) && strncmp(ref->name, "refs/heads/", 11) == 0)
            tell_commit(hook, ref->new);
    }
    say("end");
}

/* ---- what the module says -------------------------------------------------------------------- */

static void tell_tips(const hook_t *hook)
{
    for (size_t i = 0; i < hook->n_refs; i++) {
        const char *const argv[] = {hook->git,   "rev-parse", "--verify",
                                    "--quiet",   hook->refs[i].name, NULL};
        char oid[80];
        ssize_t n = ask_git(argv, oid, sizeof(oid) - 1);

        while (n > 0 && oid[n - 1] == '\n')
            n--;
        oid[n > 0 ? n : 0] = '\0';
        say("tip %s %s", is_oid(oid) ? oid : "0", hook->refs[i].name);
    }
    say("end");
}

/* Returns the next line without its end, or NULL when there will be none. */
static char *hear(hook_t *hook, char line[WH_TALK_LINE_MAX])
{
    for (;;) {
        char *end = memchr(hook->in, '\n', hook->n_in);
        ssize_t got;

        if (end != NULL) {
            size_t n = (size_t)(end - hook->in);

            memcpy(line, hook->in, n);
            line[n] = '\0';
            hook->n_in -= n + 1;
            memmove(hook->in, end + 1, hook->n_in);
            return line;
        }
        if (hook->n_in == sizeof(hook->in))
            return NULL;
        got = read(WH_TALK_FD, hook->in + hook->n_in, sizeof(hook->in) - hook->n_in);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return NULL;
        hook->n_in += (size_t)got;
    }
}

static int obey(hook_t *hook)
{
    char line[WH_TALK_LINE_MAX];

    while (hear(hook, line) != NULL) {
        if (strncmp(line, "say ", 4) == 0) {
            char text[WH_TALK_LINE_MAX + 1];

            (void)snprintf(text, sizeof(text), "%s\n", line + 4);
            tell(text);
        } else if (strcmp(line, "look") == 0) {
            tell_tips(hook);
        } else if (strncmp(line, "done ", 5) == 0) {
            return strcmp(line + 5, "0") == 0 ? 0 : 1;
        }
    }
    give_up("the server went away before it was through");
    return 1;
}

int main(int argc, char **argv)
{
    static hook_t hook;
    const char *fd = getenv(WH_TALK_ENV);
    const char *name = argc > 0 ? argv[0] : "";

    name = strrchr(name, '/') != NULL ? strrchr(name, '/') + 1 : name;
    (void)signal(SIGPIPE, SIG_IGN);
    hook.git = getenv(WH_TALK_GIT_ENV);
    if (fd == NULL || strcmp(fd, WH_TALK_FD_TEXT) != 0 || hook.git == NULL ||
        fcntl(WH_TALK_FD, F_SETFD, FD_CLOEXEC) != 0)
        give_up("this repository takes pushes through httpd alone");
    read_refs(&hook);
    tell_all(&hook, strcmp(name, "post-receive") != 0);
    return obey(&hook);
}
