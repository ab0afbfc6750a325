#include "t/unit/unit.h"
#include "libwh/wh_fsm.h"
#include "libwh/wh_types.h"

/* Each cell, written again by hand: "." refused, "=" said again, else the first letter(s) of the
 * state it moves to. Columns are the events in their order. */
static const char *const jobs[WH_JOB_STATES][WH_JOB_EV_COUNT] = {
    /* assign, ack, release, succeed, fail, lost, cancel, canceled */
    [WH_JOB_PENDING] = {"assigned", ".", "=", ".", "failed", ".", "canceled", "."},
    [WH_JOB_ASSIGNED] = {".", "processing", "pending", ".", "failed", "pending", "canceled", "."},
    [WH_JOB_PROCESSING] = {".", "=", ".", "succeeded", "failed", "failed", "=", "canceled"},
    [WH_JOB_SUCCEEDED] = {".", ".", ".", "=", ".", ".", ".", "."},
    [WH_JOB_FAILED] = {".", ".", ".", ".", "=", "=", ".", "."},
    [WH_JOB_CANCELED] = {".", ".", ".", ".", ".", ".", "=", "="},
};

static const char *const deployments[WH_DEPLOYMENT_STATES][WH_DEPLOYMENT_EV_COUNT] = {
    /* start, finalize, complete, fail, failed, cancel, skip */
    [WH_DEPLOYMENT_PREPARE] = {"deploy", ".", ".", "fail", ".", "completed", "completed"},
    [WH_DEPLOYMENT_DEPLOY] = {"=", "finalize", ".", "fail", ".", "completed", "."},
    [WH_DEPLOYMENT_FINALIZE] = {".", "=", "completed", "fail", ".", ".", "."},
    [WH_DEPLOYMENT_FAIL] = {".", ".", ".", "=", "completed", ".", "."},
    [WH_DEPLOYMENT_COMPLETED] = {".", ".", ".", ".", ".", ".", "."},
};

static const char *shown(wh_fsm_step_e step, const char *next)
{
    return step == WH_FSM_REFUSED ? "." : step == WH_FSM_NOP ? "=" : next;
}

static void test_jobs(void **state)
{
    (void)state;
    for (int s = 0; s < WH_JOB_STATES; s++) {
        for (int e = 0; e < WH_JOB_EV_COUNT; e++) {
            wh_job_status_e next = (wh_job_status_e)99;
            wh_fsm_step_e step = wh_fsm_job_next((wh_job_status_e)s, (wh_job_event_e)e, &next);
            const char *got = shown(step, wh_model_job_status_text(next));

            if (strcmp(got, jobs[s][e]) != 0)
                fail_msg("%s + %s: %s, not %s", wh_model_job_status_text((wh_job_status_e)s),
                         wh_fsm_job_event_text((wh_job_event_e)e), got, jobs[s][e]);
            if (step != WH_FSM_MOVE)
                assert_int_equal(next, 99);
        }
    }
}

static void test_deployments(void **state)
{
    (void)state;
    for (int s = 0; s < WH_DEPLOYMENT_STATES; s++) {
        for (int e = 0; e < WH_DEPLOYMENT_EV_COUNT; e++) {
            wh_deployment_status_e next = (wh_deployment_status_e)99;
            wh_fsm_step_e step = wh_fsm_deployment_next((wh_deployment_status_e)s,
                                                        (wh_deployment_event_e)e, &next);
            const char *got = shown(step, wh_model_deployment_status_text(next));

            if (strcmp(got, deployments[s][e]) != 0)
                fail_msg("%s + %s: %s, not %s",
                         wh_model_deployment_status_text((wh_deployment_status_e)s),
                         wh_fsm_deployment_event_text((wh_deployment_event_e)e), got,
                         deployments[s][e]);
            /* Completed and a conclusion come together, never one alone. */
            if (step == WH_FSM_MOVE)
                assert_int_equal(next == WH_DEPLOYMENT_COMPLETED,
                                 wh_fsm_deployment_conclusion((wh_deployment_event_e)e) !=
                                     WH_CONCLUSION_NONE);
        }
    }
}

static void test_conclusions(void **state)
{
    (void)state;
    assert_int_equal(wh_fsm_deployment_conclusion(WH_DEPLOYMENT_EV_COMPLETE),
                     WH_CONCLUSION_SUCCEEDED);
    assert_int_equal(wh_fsm_deployment_conclusion(WH_DEPLOYMENT_EV_FAILED), WH_CONCLUSION_FAILED);
    assert_int_equal(wh_fsm_deployment_conclusion(WH_DEPLOYMENT_EV_CANCEL),
                     WH_CONCLUSION_CANCELED);
    assert_int_equal(wh_fsm_deployment_conclusion(WH_DEPLOYMENT_EV_SKIP), WH_CONCLUSION_SKIPPED);
    assert_int_equal(wh_fsm_deployment_conclusion(WH_DEPLOYMENT_EV_FAIL), WH_CONCLUSION_NONE);
    assert_int_equal(wh_fsm_deployment_conclusion((wh_deployment_event_e)99), WH_CONCLUSION_NONE);
    for (int c = WH_CONCLUSION_NONE + 1; c <= WH_CONCLUSION_SKIPPED; c++)
        assert_int_equal(wh_fsm_deployment_conclusion(wh_fsm_deployment_event((wh_conclusion_e)c)),
                         c);
    assert_int_equal(wh_fsm_deployment_event(WH_CONCLUSION_NONE), WH_DEPLOYMENT_EV_COUNT);
    assert_int_equal(wh_fsm_job_event(WH_OUTCOME_SUCCEEDED), WH_JOB_EV_SUCCEED);
    assert_int_equal(wh_fsm_job_event(WH_OUTCOME_FAILED), WH_JOB_EV_FAIL);
    assert_int_equal(wh_fsm_job_event(WH_OUTCOME_CANCELED), WH_JOB_EV_CANCELED);
}

static void test_out_of_range(void **state)
{
    wh_deployment_status_e d;
    wh_job_status_e j;

    (void)state;
    assert_int_equal(wh_fsm_job_next((wh_job_status_e)99, WH_JOB_EV_ACK, &j), WH_FSM_REFUSED);
    assert_int_equal(wh_fsm_job_next(WH_JOB_PENDING, (wh_job_event_e)-1, &j), WH_FSM_REFUSED);
    assert_int_equal(wh_fsm_deployment_next((wh_deployment_status_e)-1, WH_DEPLOYMENT_EV_FAIL, &d),
                     WH_FSM_REFUSED);
    assert_string_equal(wh_fsm_job_event_text((wh_job_event_e)99), "?");
    assert_string_equal(wh_fsm_deployment_event_text((wh_deployment_event_e)99), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT("F11 F12 F137 R10 R24 each cell of the life of a job", test_jobs),
        UNIT("F183 F185 R7 each cell of the life of a deployment", test_deployments),
        UNIT("F184 F220 F224 R7 what a deployment ends as", test_conclusions),
        UNIT("what is no state and no event moves nothing", test_out_of_range),
    };

    return UNIT_RUN(tests);
}
