/* --check: what is wrong with an installation, each thing in one sentence that says what to do. */
#ifndef WH_CHECK_H
#define WH_CHECK_H

#include <stdio.h>

#include "wh-scheduler/settings.h"

/* Prints a line for each thing that is wrong; returns how many. Changes nothing but this process:
 * as root it becomes the owner of the state directory on the way. verifier: wh_publish_open. */
int wh_check_run(apr_pool_t *p, const wh_settings_t *settings, const char *verifier, FILE *out);

#endif
