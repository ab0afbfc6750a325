/* wh_fsm: the lifecycles as tables [state][event] (F183-F185, R7). They govern the database: whdb
 * takes both states of each compare-and-set from here, and writes none by hand.
 * Pure and thread-safe. */
#ifndef WH_FSM_H
#define WH_FSM_H

#include "libwh/wh_model.h"

typedef enum wh_fsm_step_e {
    WH_FSM_MOVE,   /* *next is the new state */
    WH_FSM_NOP,    /* said again, nothing to do: answer as the first time */
    WH_FSM_REFUSED /* must not happen here: log, drop, change nothing */
} wh_fsm_step_e;

typedef enum wh_job_event_e {
    WH_JOB_EV_ASSIGN,   /* the planner chose a worker */
    WH_JOB_EV_ACK,      /* job_ack accepted */
    WH_JOB_EV_RELEASE,  /* the worker refused, or dropped before the acknowledgement: place again */
    WH_JOB_EV_SUCCEED,  /* job_result succeeded */
    WH_JOB_EV_FAIL,     /* job_result failed, or a deadline passed */
    WH_JOB_EV_LOST,     /* its worker came back without it, or its lease ran out (R24) */
    WH_JOB_EV_CANCEL,   /* somebody wants it gone: at once while nothing has begun */
    WH_JOB_EV_CANCELED, /* job_result canceled: nothing of it runs any more */
    WH_JOB_EV_COUNT
} wh_job_event_e;

typedef enum wh_deployment_event_e {
    WH_DEPLOYMENT_EV_START,    /* its job is processing */
    WH_DEPLOYMENT_EV_FINALIZE, /* its job succeeded; names and routes are moved now */
    WH_DEPLOYMENT_EV_COMPLETE, /* the names answer with it */
    WH_DEPLOYMENT_EV_FAIL,     /* something failed: clean up */
    WH_DEPLOYMENT_EV_FAILED,   /* cleaned up */
    WH_DEPLOYMENT_EV_CANCEL,   /* canceled, nothing of it runs */
    WH_DEPLOYMENT_EV_SKIP,     /* superseded before it began, or asked to skip */
    WH_DEPLOYMENT_EV_COUNT
} wh_deployment_event_e;

#define WH_JOB_STATES (WH_JOB_CANCELED + 1)
#define WH_DEPLOYMENT_STATES (WH_DEPLOYMENT_COMPLETED + 1)

/* The step for event in status; *next is set for WH_FSM_MOVE, else left alone. A value out of the
 * enumeration is refused. WH_JOB_EV_CANCEL on a processing job is a NOP here: job_cancel goes out,
 * and only the agent's word moves it. */
wh_fsm_step_e wh_fsm_job_next(wh_job_status_e status, wh_job_event_e event, wh_job_status_e *next);
wh_fsm_step_e wh_fsm_deployment_next(wh_deployment_status_e status, wh_deployment_event_e event,
                                     wh_deployment_status_e *next);

/* The conclusion that comes with an event which completes a deployment, else NONE. */
wh_conclusion_e wh_fsm_deployment_conclusion(wh_deployment_event_e event);

/* The event that brings this conclusion; WH_DEPLOYMENT_EV_COUNT, which moves nothing, for NONE. */
wh_deployment_event_e wh_fsm_deployment_event(wh_conclusion_e conclusion);

/* The event of a job_result. */
wh_job_event_e wh_fsm_job_event(wh_outcome_e outcome);

const char *wh_fsm_job_event_text(wh_job_event_e event);
const char *wh_fsm_deployment_event_text(wh_deployment_event_e event);

#endif
