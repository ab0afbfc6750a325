/* What comes in by a pipe, a file or a prompt. */
#include "config.h"

#include <apr_strings.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "wh/wh_cli.h"

/* All of fd, at most max bytes; NULL after it has said why not. */
static char *read_all(const wh_cli_t *cli, int fd, const char *what, size_t max, size_t *n)
{
    char *buf = apr_palloc(cli->p, max + 2);
    *n = 0;
    for (;;) {
        ssize_t got = read(fd, buf + *n, max + 1 - *n);
        if (got < 0 && errno == EINTR && !wh_cli_interrupted)
            continue;
        if (got < 0) {
            wh_cli_error("%s: %s", what, strerror(errno));
            return NULL;
        }
        *n += (size_t)got;
        if (got == 0)
            break;
        if (*n > max) {
            wh_cli_error("%s has more than %d bytes", what, (int)max);
            return NULL;
        }
    }
    buf[*n] = '\0';
    return buf;
}

char *wh_cli_input_file(const wh_cli_t *cli, const char *path, size_t max, size_t *n)
{
    int fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    char *text = NULL;
    if (fd < 0)
        wh_cli_error("%s: %s", wh_cli_clean(cli, path), strerror(errno));
    else
        text = read_all(cli, fd, wh_cli_clean(cli, path), max, n);
    if (fd > STDIN_FILENO)
        close(fd);
    return text;
}

/* One line from the terminal, which does not show it. */
static char *ask(const wh_cli_t *cli, const char *what, size_t max, size_t *n)
{
    struct termios was, quiet;
    char *line = apr_palloc(cli->p, 4096);
    if (tcgetattr(STDIN_FILENO, &was) != 0)
        return read_all(cli, STDIN_FILENO, "stdin", max, n);
    quiet = was;
    quiet.c_lflag &= ~(tcflag_t)ECHO;
    wh_cli_note(cli, "%s: ", wh_cli_clean(cli, what));
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
    ssize_t got = read(STDIN_FILENO, line, 4095);
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &was);
    wh_cli_note(cli, "\n");
    if (got <= 0) {
        wh_cli_error("no value was given");
        return NULL;
    }
    *n = (size_t)got;
    line[*n] = '\0';
    return line;
}

char *wh_cli_input_secret(const wh_cli_t *cli, const char *what, size_t max, size_t *n)
{
    char *value = isatty(STDIN_FILENO) ? ask(cli, what, max, n)
                                       : read_all(cli, STDIN_FILENO, "stdin", max + 2, n);
    if (value != NULL && *n > 0 && value[*n - 1] == '\n') {
        value[--*n] = '\0';
        if (*n > 0 && value[*n - 1] == '\r')
            value[--*n] = '\0';
    }
    return value;
}

int wh_cli_confirm(const wh_cli_t *cli, const char *command, const char *name)
{
    char line[128];
    if (wh_cli_opts_get(cli, "yes") != NULL)
        return 1;
    if (!isatty(STDIN_FILENO)) {
        wh_cli_error("%s: give --yes, there is no one to ask", command);
        return 0;
    }
    fprintf(stderr, "This ends %s and all that it serves. Type its name to go on: ",
            wh_cli_clean(cli, name));
    if (fgets(line, sizeof(line), stdin) == NULL)
        return 0;
    line[strcspn(line, "\r\n")] = '\0';
    if (strcmp(line, name) == 0)
        return 1;
    wh_cli_error("that is not its name: nothing was deleted");
    return 0;
}
