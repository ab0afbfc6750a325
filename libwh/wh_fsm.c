/* wh_fsm: the tables. A cell is the next state + 1, so that an empty one (0) is refused. */
#include "libwh/wh_fsm.h"

#define NOP 255
#define TO(state) ((unsigned char)(WH_##state + 1))

#define DONE(ev) [WH_JOB_EV_##ev] = NOP
static const unsigned char jobs[WH_JOB_STATES][WH_JOB_EV_COUNT] = {
    [WH_JOB_PENDING] =
        {
            [WH_JOB_EV_ASSIGN] = TO(JOB_ASSIGNED),
            [WH_JOB_EV_RELEASE] = NOP,
            [WH_JOB_EV_FAIL] = TO(JOB_FAILED),
            [WH_JOB_EV_CANCEL] = TO(JOB_CANCELED),
        },
    [WH_JOB_ASSIGNED] =
        {
            [WH_JOB_EV_ACK] = TO(JOB_PROCESSING),
            [WH_JOB_EV_RELEASE] = TO(JOB_PENDING),
            [WH_JOB_EV_FAIL] = TO(JOB_FAILED),
            [WH_JOB_EV_LOST] = TO(JOB_PENDING),
            [WH_JOB_EV_CANCEL] = TO(JOB_CANCELED),
        },
    [WH_JOB_PROCESSING] =
        {
            [WH_JOB_EV_ACK] = NOP,
            [WH_JOB_EV_SUCCEED] = TO(JOB_SUCCEEDED),
            [WH_JOB_EV_FAIL] = TO(JOB_FAILED),
            [WH_JOB_EV_LOST] = TO(JOB_FAILED),
            [WH_JOB_EV_CANCEL] = NOP,
            [WH_JOB_EV_CANCELED] = TO(JOB_CANCELED),
        },
    /* A result is repeated until it is acknowledged; the same one again is nothing new. */
    [WH_JOB_SUCCEEDED] = {DONE(SUCCEED)},
    [WH_JOB_FAILED] = {DONE(FAIL), DONE(LOST)},
    [WH_JOB_CANCELED] = {DONE(CANCEL), DONE(CANCELED)},
};
#undef DONE

static const unsigned char deployments[WH_DEPLOYMENT_STATES][WH_DEPLOYMENT_EV_COUNT] = {
    [WH_DEPLOYMENT_PREPARE] =
        {
            [WH_DEPLOYMENT_EV_START] = TO(DEPLOYMENT_DEPLOY),
            [WH_DEPLOYMENT_EV_FAIL] = TO(DEPLOYMENT_FAIL),
            [WH_DEPLOYMENT_EV_CANCEL] = TO(DEPLOYMENT_COMPLETED),
            [WH_DEPLOYMENT_EV_SKIP] = TO(DEPLOYMENT_COMPLETED),
        },
    [WH_DEPLOYMENT_DEPLOY] =
        {
            [WH_DEPLOYMENT_EV_START] = NOP,
            [WH_DEPLOYMENT_EV_FINALIZE] = TO(DEPLOYMENT_FINALIZE),
            [WH_DEPLOYMENT_EV_FAIL] = TO(DEPLOYMENT_FAIL),
            [WH_DEPLOYMENT_EV_CANCEL] = TO(DEPLOYMENT_COMPLETED),
        },
    /* From here the names may answer already: nobody can cancel any more. */
    [WH_DEPLOYMENT_FINALIZE] =
        {
            [WH_DEPLOYMENT_EV_FINALIZE] = NOP,
            [WH_DEPLOYMENT_EV_COMPLETE] = TO(DEPLOYMENT_COMPLETED),
            [WH_DEPLOYMENT_EV_FAIL] = TO(DEPLOYMENT_FAIL),
        },
    [WH_DEPLOYMENT_FAIL] =
        {
            [WH_DEPLOYMENT_EV_FAIL] = NOP,
            [WH_DEPLOYMENT_EV_FAILED] = TO(DEPLOYMENT_COMPLETED),
        },
    [WH_DEPLOYMENT_COMPLETED] = {0},
};

static wh_fsm_step_e step(unsigned cell, int *next)
{
    if (cell == 0)
        return WH_FSM_REFUSED;
    if (cell == NOP)
        return WH_FSM_NOP;
    *next = (int)cell - 1;
    return WH_FSM_MOVE;
}

wh_fsm_step_e wh_fsm_job_next(wh_job_status_e status, wh_job_event_e event, wh_job_status_e *next)
{
    wh_fsm_step_e what;
    int to = 0;

    if ((unsigned)status >= WH_JOB_STATES || (unsigned)event >= WH_JOB_EV_COUNT)
        return WH_FSM_REFUSED;
    what = step(jobs[status][event], &to);
    if (what == WH_FSM_MOVE)
        *next = (wh_job_status_e)to;
    return what;
}

wh_fsm_step_e wh_fsm_deployment_next(wh_deployment_status_e status, wh_deployment_event_e event,
                                     wh_deployment_status_e *next)
{
    wh_fsm_step_e what;
    int to = 0;

    if ((unsigned)status >= WH_DEPLOYMENT_STATES || (unsigned)event >= WH_DEPLOYMENT_EV_COUNT)
        return WH_FSM_REFUSED;
    what = step(deployments[status][event], &to);
    if (what == WH_FSM_MOVE)
        *next = (wh_deployment_status_e)to;
    return what;
}

wh_conclusion_e wh_fsm_deployment_conclusion(wh_deployment_event_e event)
{
    static const wh_conclusion_e conclusions[WH_DEPLOYMENT_EV_COUNT] = {
        [WH_DEPLOYMENT_EV_COMPLETE] = WH_CONCLUSION_SUCCEEDED,
        [WH_DEPLOYMENT_EV_FAILED] = WH_CONCLUSION_FAILED,
        [WH_DEPLOYMENT_EV_CANCEL] = WH_CONCLUSION_CANCELED,
        [WH_DEPLOYMENT_EV_SKIP] = WH_CONCLUSION_SKIPPED,
    };

    return (unsigned)event < WH_DEPLOYMENT_EV_COUNT ? conclusions[event] : WH_CONCLUSION_NONE;
}

wh_deployment_event_e wh_fsm_deployment_event(wh_conclusion_e conclusion)
{
    int event = WH_DEPLOYMENT_EV_COUNT;

    while (conclusion != WH_CONCLUSION_NONE && event-- > 0) {
        if (wh_fsm_deployment_conclusion((wh_deployment_event_e)event) == conclusion)
            return (wh_deployment_event_e)event;
    }
    return WH_DEPLOYMENT_EV_COUNT;
}

wh_job_event_e wh_fsm_job_event(wh_outcome_e outcome)
{
    switch (outcome) {
    case WH_OUTCOME_SUCCEEDED:
        return WH_JOB_EV_SUCCEED;
    case WH_OUTCOME_CANCELED:
        return WH_JOB_EV_CANCELED;
    case WH_OUTCOME_FAILED:
    default:
        return WH_JOB_EV_FAIL;
    }
}

const char *wh_fsm_job_event_text(wh_job_event_e event)
{
    static const char *const texts[WH_JOB_EV_COUNT] = {
        [WH_JOB_EV_ASSIGN] = "assign", [WH_JOB_EV_ACK] = "ack",
        [WH_JOB_EV_RELEASE] = "release", [WH_JOB_EV_SUCCEED] = "succeed",
        [WH_JOB_EV_FAIL] = "fail", [WH_JOB_EV_LOST] = "lost",
        [WH_JOB_EV_CANCEL] = "cancel", [WH_JOB_EV_CANCELED] = "canceled",
    };

    return (unsigned)event < WH_JOB_EV_COUNT ? texts[event] : "?";
}

const char *wh_fsm_deployment_event_text(wh_deployment_event_e event)
{
    static const char *const texts[WH_DEPLOYMENT_EV_COUNT] = {
        [WH_DEPLOYMENT_EV_START] = "start",       [WH_DEPLOYMENT_EV_FINALIZE] = "finalize",
        [WH_DEPLOYMENT_EV_COMPLETE] = "complete", [WH_DEPLOYMENT_EV_FAIL] = "fail",
        [WH_DEPLOYMENT_EV_FAILED] = "failed",     [WH_DEPLOYMENT_EV_CANCEL] = "cancel",
        [WH_DEPLOYMENT_EV_SKIP] = "skip",
    };

    return (unsigned)event < WH_DEPLOYMENT_EV_COUNT ? texts[event] : "?";
}
