/* Where the server is and who we are: options, environment, configuration file. */
#include "config.h"

#include <apr_strings.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wh/wh_cli.h"

#define CONF_DIR "wisehost"
#define CONF_FILE "config.json"

int wh_cli_conf_url_ok(const char *text)
{
    const char *host = NULL;
    if (strncmp(text, "http://", 7) == 0)
        host = text + 7;
    else if (strncmp(text, "https://", 8) == 0)
        host = text + 8;
    if (host == NULL || *host == '\0' || *host == '/' || strlen(text) > 2048)
        return 0;
    for (const char *c = host; *c != '\0'; c++)
        if ((unsigned char)*c <= ' ' || (unsigned char)*c >= 0x7f || strchr("@?#\\", *c) != NULL)
            return 0;
    return 1;
}

static const char *conf_path(apr_pool_t *p)
{
    const char *base = getenv("XDG_CONFIG_HOME");
    const char *home = getenv("HOME");
    /* A relative XDG_CONFIG_HOME is to be ignored, says its specification. */
    if (base != NULL && *base == '/')
        return apr_pstrcat(p, base, "/" CONF_DIR "/" CONF_FILE, NULL);
    if (home != NULL && *home == '/')
        return apr_pstrcat(p, home, "/.config/" CONF_DIR "/" CONF_FILE, NULL);
    return NULL;
}

static json_t *conf_read(wh_cli_t *cli)
{
    struct stat st;
    json_error_t error;
    int fd = cli->conf_path != NULL ? open(cli->conf_path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return NULL;
    if (fstat(fd, &st) == 0 && (st.st_mode & 077) != 0)
        wh_cli_error("warning: others can read your token; run: chmod 600 %s", cli->conf_path);
    json_t *conf = json_loadfd(fd, JSON_REJECT_DUPLICATES, &error);
    close(fd);
    if (!json_is_object(conf)) {
        wh_cli_error("%s is not understood (line %d: %s); `wh login` writes a new one",
                     cli->conf_path, error.line, wh_cli_clean(cli, error.text));
        json_decref(conf);
        return NULL;
    }
    return conf;
}

static void pick(apr_pool_t *p, const char *option, const char *env, const char *kept,
                 const char **value, const char **from)
{
    const char *set = getenv(env);
    if (option != NULL)
        *value = option, *from = "the command line";
    else if (set != NULL && *set != '\0')
        *value = set, *from = env;
    else if (kept != NULL && *kept != '\0')
        *value = apr_pstrdup(p, kept), *from = "the configuration file";
}

static const char *without_slash(apr_pool_t *p, const char *text)
{
    size_t n = strlen(text);
    while (n > 0 && text[n - 1] == '/')
        n--;
    return apr_pstrmemdup(p, text, n);
}

int wh_cli_conf_load(wh_cli_t *cli)
{
    cli->conf_path = conf_path(cli->p);
    json_t *conf = conf_read(cli);
    const char *kept_url = json_string_value(json_object_get(conf, "url"));
    pick(cli->p, wh_cli_opts_get(cli, "url"), "WH_URL", kept_url, &cli->url, &cli->url_from);
    if (cli->url != NULL)
        cli->url = without_slash(cli->p, cli->url);
    /* The kept token belongs to the kept server: it is never sent to another one. */
    int same = kept_url != NULL && cli->url != NULL && strcmp(kept_url, cli->url) == 0;
    pick(cli->p, NULL, "WH_TOKEN", same ? json_string_value(json_object_get(conf, "token")) : NULL,
         &cli->token, &cli->token_from);
    json_decref(conf);
    if (cli->url == NULL || wh_cli_conf_url_ok(cli->url))
        return 0;
    wh_cli_error("\"%s\" (from %s) is no http or https URL", wh_cli_clean(cli, cli->url),
                 cli->url_from);
    return WH_EXIT_USAGE;
}

/* The directories above the file, 0700 where they are new. */
static int make_parents(const char *path)
{
    char part[4096];
    size_t len = strlen(path);
    if (len >= sizeof(part))
        return ENAMETOOLONG;
    memcpy(part, path, len + 1);
    for (char *slash = strchr(part + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(part, 0700) != 0 && errno != EEXIST)
            return errno;
        *slash = '/';
    }
    return 0;
}

static int write_file(const char *path, json_t *conf)
{
    (void)unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return errno;
    int rc = json_dumpfd(conf, fd, JSON_INDENT(2)) == 0 && write(fd, "\n", 1) == 1 ? 0 : EIO;
    if (rc == 0 && fsync(fd) != 0)
        rc = errno;
    if (close(fd) != 0 && rc == 0)
        rc = errno;
    return rc;
}

int wh_cli_conf_save(wh_cli_t *cli)
{
    if (cli->conf_path == NULL) {
        wh_cli_error("neither XDG_CONFIG_HOME nor HOME is set: nowhere to keep the token");
        return WH_EXIT_FAIL;
    }
    const char *fresh = apr_pstrcat(cli->p, cli->conf_path, ".new", NULL);
    json_t *conf = json_pack("{s:s, s:s}", "url", cli->url, "token", cli->token);
    int rc = conf == NULL ? ENOMEM : make_parents(cli->conf_path);
    if (rc == 0)
        rc = write_file(fresh, conf);
    if (rc == 0 && rename(fresh, cli->conf_path) != 0)
        rc = errno;
    json_decref(conf);
    if (rc != 0) {
        (void)unlink(fresh);
        wh_cli_error("%s: %s", cli->conf_path, strerror(rc));
        return WH_EXIT_FAIL;
    }
    return 0;
}
