#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/landlock.h>
#include "wh-agent/jail.h"

/* Rights by the version of the kernel's interface: what it does not know must not be named. */
#define RIGHTS_1 ((UINT64_C(1) << 13) - 1)
#define RIGHT_REFER (UINT64_C(1) << 13)    /* from 2 */
#define RIGHT_TRUNCATE (UINT64_C(1) << 14) /* from 3 */
#define READING                                                                                    \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define OF_FILES                                                                                   \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE |   \
     RIGHT_TRUNCATE)

static uint64_t all_rights(void)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, (size_t)0,
                           (uint32_t)LANDLOCK_CREATE_RULESET_VERSION);

    if (version < 1)
        return 0;
    return RIGHTS_1 | (version >= 2 ? RIGHT_REFER : 0) | (version >= 3 ? RIGHT_TRUNCATE : 0);
}

static int allow(int ruleset, const char *path, uint64_t rights)
{
    struct landlock_path_beneath_attr rule = {.allowed_access = rights};
    struct stat st;
    long rv;

    rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
    if (rule.parent_fd < 0)
        return 0; /* what is not there needs no rule */
    if (fstat(rule.parent_fd, &st) == 0 && !S_ISDIR(st.st_mode))
        rule.allowed_access &= OF_FILES;
    rv = syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, (uint32_t)0);
    close(rule.parent_fd);
    return (int)rv;
}

int wh_jail_enter(const wh_jail_t *jail)
{
    uint64_t rights = all_rights();
    struct landlock_ruleset_attr attr = {.handled_access_fs = rights};
    int ruleset, ok;

    if (rights == 0)
        return 0;
    ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), (uint32_t)0);
    if (ruleset < 0)
        return 0;
    ok = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
    for (const char *const *path = jail->read; ok && *path != NULL; path++)
        ok = allow(ruleset, *path, READING) == 0;
    for (const char *const *path = jail->write; ok && *path != NULL; path++)
        ok = allow(ruleset, *path, rights) == 0;
    ok = ok && syscall(SYS_landlock_restrict_self, ruleset, (uint32_t)0) == 0;
    close(ruleset);
    return ok;
}
