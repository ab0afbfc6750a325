#include <string.h>
#include <apr_strings.h>
#include "libwh/wh_time.h"

#define DAY_S INT64_C(86400)
#define FIRST_S (-INT64_C(62135596800)) /* 0001-01-01T00:00:00Z */
#define LAST_S INT64_C(253402300799)    /* 9999-12-31T23:59:59Z */

/* Days from 1970-01-01 to a date of the proleptic Gregorian calendar, and back. Years begin in
 * March, so that the leap day is the last of its year. (Hinnant, "chrono-compatible low-level date
 * algorithms") */
static int64_t days_of(int64_t y, int m, int d)
{
    int64_t era, yoe, doy;

    y -= m <= 2;
    era = (y >= 0 ? y : y - 399) / 400;
    yoe = y - era * 400;
    doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static void date_of(int64_t days, int *y, int *m, int *d)
{
    int64_t z = days + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;

    *d = (int)(doy - (153 * mp + 2) / 5 + 1);
    *m = (int)(mp < 10 ? mp + 3 : mp - 9);
    *y = (int)(yoe + era * 400 + (*m <= 2));
}

void wh_time_rfc3339_buf(char out[WH_TIME_RFC3339_SIZE], apr_time_t us)
{
    int64_t s = us / APR_USEC_PER_SEC;
    int64_t frac = us % APR_USEC_PER_SEC;
    int64_t days, sod;
    int y, m, d;
    char text[80];

    if (frac < 0) {
        frac += APR_USEC_PER_SEC;
        s--;
    }
    if (s < FIRST_S || s > LAST_S) {
        frac = s < FIRST_S ? 0 : APR_USEC_PER_SEC - 1;
        s = s < FIRST_S ? FIRST_S : LAST_S;
    }
    days = s / DAY_S - (s % DAY_S < 0);
    sod = s - days * DAY_S;
    date_of(days, &y, &m, &d);
    apr_snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", y, m, d,
                 (int)(sod / 3600), (int)(sod / 60 % 60), (int)(sod % 60), (int)frac);
    memcpy(out, text, WH_TIME_RFC3339_SIZE - 1);
    out[WH_TIME_RFC3339_SIZE - 1] = '\0';
}

const char *wh_time_rfc3339(apr_pool_t *p, apr_time_t us)
{
    char *out = apr_palloc(p, WH_TIME_RFC3339_SIZE);

    wh_time_rfc3339_buf(out, us);
    return out;
}

/* Exactly n digits at *s as a number, and *s moved behind them; -1 when they are not there. */
static int take_digits(const char **s, int n)
{
    int value = 0;

    for (int i = 0; i < n; i++, (*s)++) {
        if (**s < '0' || **s > '9')
            return -1;
        value = value * 10 + (**s - '0');
    }
    return value;
}

static int take_char(const char **s, char c)
{
    if (**s != c)
        return 0;
    (*s)++;
    return 1;
}

/* ".123456789" to microseconds; 0 when there is no fraction, -1 when it is malformed. */
static int take_fraction(const char **s)
{
    int value = 0, digits = 0;

    if (!take_char(s, '.'))
        return 0;
    for (; **s >= '0' && **s <= '9'; (*s)++, digits++)
        if (digits < 6)
            value = value * 10 + (**s - '0');
    if (digits == 0 || digits > 9)
        return -1;
    for (; digits < 6; digits++)
        value *= 10;
    return value;
}

/* "Z" or "+01:30" to seconds east, into *east. False when malformed. */
static int take_zone(const char **s, int *east)
{
    int sign, h, m;

    if (take_char(s, 'Z') || take_char(s, 'z')) {
        *east = 0;
        return 1;
    }
    sign = **s == '-' ? -1 : 1;
    if (!take_char(s, '+') && !take_char(s, '-'))
        return 0;
    h = take_digits(s, 2);
    if (h < 0 || h > 23 || !take_char(s, ':'))
        return 0;
    m = take_digits(s, 2);
    if (m < 0 || m > 59)
        return 0;
    *east = sign * (h * 3600 + m * 60);
    return 1;
}

static int month_days(int y, int m)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    if (m == 2 && y % 4 == 0 && (y % 100 != 0 || y % 400 == 0))
        return 29;
    return days[m - 1];
}

apr_status_t wh_time_parse(const char *s, apr_time_t *us)
{
    int y, mo, d, h, mi, sec, frac, east;

    y = take_digits(&s, 4);
    if (y < 1 || !take_char(&s, '-'))
        return APR_EINVAL;
    mo = take_digits(&s, 2);
    if (mo < 1 || mo > 12 || !take_char(&s, '-'))
        return APR_EINVAL;
    d = take_digits(&s, 2);
    if (d < 1 || d > month_days(y, mo) || (!take_char(&s, 'T') && !take_char(&s, 't')))
        return APR_EINVAL;
    h = take_digits(&s, 2);
    if (h < 0 || h > 23 || !take_char(&s, ':'))
        return APR_EINVAL;
    mi = take_digits(&s, 2);
    if (mi < 0 || mi > 59 || !take_char(&s, ':'))
        return APR_EINVAL;
    sec = take_digits(&s, 2);
    if (sec < 0 || sec > 60)
        return APR_EINVAL;
    frac = take_fraction(&s);
    if (frac < 0 || !take_zone(&s, &east) || *s != '\0')
        return APR_EINVAL;
    *us = (days_of(y, mo, d) * DAY_S + h * INT64_C(3600) + mi * INT64_C(60) + sec - east) *
              APR_USEC_PER_SEC +
          frac;
    return APR_SUCCESS;
}
