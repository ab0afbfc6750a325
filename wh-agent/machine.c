#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include "wh-agent/machine.h"

int wh_machine_text(const char *path, char *buf, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return -1;
    n = read(fd, buf, size - 1);
    close(fd);
    buf[n > 0 ? n : 0] = '\0';
    return n > 0 ? 0 : -1;
}

/* "cpu  user nice system idle iowait irq softirq steal …" */
static void look_cpu(wh_machine_t *m)
{
    apr_int64_t v[8] = {0}, total = 0, busy;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    char buf[512], *s = buf + 3;

    if (wh_machine_text("/proc/stat", buf, sizeof(buf)) != 0 || strncmp(buf, "cpu ", 4) != 0)
        return;
    for (int i = 0; i < 8; i++)
        total += v[i] = apr_strtoi64(s, &s, 10);
    busy = total - v[3] - v[4];
    if (m->total > 0 && total > m->total && busy >= m->busy && cores > 0)
        m->cpu_used_millis = (busy - m->busy) * cores * 1000 / (total - m->total);
    m->busy = busy;
    m->total = total;
}

static apr_int64_t kib_of(const char *text, const char *key)
{
    const char *at = strstr(text, key);

    return at != NULL ? apr_strtoi64(at + strlen(key), NULL, 10) : -1;
}

static void look_memory(wh_machine_t *m)
{
    char buf[1024];
    apr_int64_t total, available;

    if (wh_machine_text("/proc/meminfo", buf, sizeof(buf)) != 0)
        return;
    total = kib_of(buf, "MemTotal:");
    available = kib_of(buf, "MemAvailable:");
    if (total > 0 && available >= 0 && available <= total)
        m->memory_used_bytes = (total - available) * WH_KIB;
    if (available >= 0)
        m->memory_free_bytes = available * WH_KIB;
}

void wh_machine_room(wh_machine_t *m, const char *state_dir)
{
    struct statvfs fs;
    apr_int64_t engine;

    look_memory(m);
    if (statvfs(state_dir, &fs) == 0)
        m->disk_free_bytes = (apr_int64_t)fs.f_bavail * (apr_int64_t)fs.f_frsize;
    if (m->engine_root[0] == '\0' || statvfs(m->engine_root, &fs) != 0)
        return; /* it may be shut to the agent's user: then only our own disk is known */
    engine = (apr_int64_t)fs.f_bavail * (apr_int64_t)fs.f_frsize;
    if (engine < m->disk_free_bytes)
        m->disk_free_bytes = engine;
}

void wh_machine_look(wh_machine_t *m, const char *state_dir)
{
    look_cpu(m);
    wh_machine_room(m, state_dir);
}

apr_int64_t wh_machine_oom_kills(void)
{
    char buf[16384];
    const char *at;

    if (wh_machine_text("/proc/vmstat", buf, sizeof(buf)) != 0 ||
        (at = strstr(buf, "\noom_kill ")) == NULL)
        return -1;
    return apr_atoi64(at + 10);
}
