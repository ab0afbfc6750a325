#include "wh-scheduler/user.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

apr_status_t wh_user_find(const char *name, wh_user_t *out, wh_err_t *err)
{
    const struct passwd *pw = getpwnam(name);

    if (pw == NULL) {
        return wh_err_set(
            err, 500, "no_user",
            "there is no user \"%s\" (make one: adduser --system --group --no-create-home "
            "%s)",
            name, name);
    }
    out->uid = pw->pw_uid;
    out->gid = pw->pw_gid;
    return APR_SUCCESS;
}

apr_status_t wh_user_become(const wh_user_t *user, gid_t extra, wh_err_t *err)
{
    gid_t groups[] = {user->gid, extra};

    umask(007);
    if (geteuid() != 0 || user->uid == 0) {
        return APR_SUCCESS;
    }
    if (setgroups(WH_ARRAY_LEN(groups), groups) != 0 || setgid(user->gid) != 0 ||
        setuid(user->uid) != 0 || setuid(0) == 0) {
        return wh_err_wrap(err, errno, 500, "no_user", "cannot become user %u",
                           (unsigned)user->uid);
    }
    return APR_SUCCESS;
}

apr_status_t wh_user_become_owner(const char *path, gid_t extra, wh_err_t *err)
{
    struct stat st;
    wh_user_t user;
    const struct passwd *pw;

    if (stat(path, &st) != 0) {
        return wh_err_wrap(err, errno, 500, "state_missing",
                           "%s is not there: run wh-scheduler --init first", path);
    }
    pw = getpwuid(st.st_uid);
    user.uid = st.st_uid;
    user.gid = pw != NULL ? pw->pw_gid : st.st_gid;
    return wh_user_become(&user, extra, err);
}
