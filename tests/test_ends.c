/* SPDX-License-Identifier: MIT */
/*
 * Who holds an end of a symmetric handle: each state of an end and each event, as in the table of
 * ends.c. One thread holds end 1 all the time; end 0 goes through the states. Newcomers are other
 * processes, since a process never waits for an end of its own.
 */
#include "anonymous.h"
#include "fault.h"

#include "peer/ends.h"
#include "platform.h"

#include <signal.h>
#include <sys/wait.h>

enum event { CLAIM, SHUTDOWN, BEGIN_LEAVING, STAY, FREE, FINISH, BURY, EVENTS };
enum { STATUSES = ENDS_DEAD + 1, GOODBYE = 7 /* bytes */ };

static struct world {
    struct ends ends;
    struct harness_gate here, go;
    pthread_t other;
} w;

static enum ends_status status(void)
{
    return ends_status_of(ends_peer_state(&w.ends, 1));
}

static void *hold_end_1(void *arg)
{
    (void)arg;
    assert_int_equal(ends_claim(&w.ends), 1);
    harness_gate_open(&w.here);
    harness_gate_wait(&w.go);
    ends_finish(&w.ends, 1);
    return NULL;
}

/* Both ends are held; end 0 goes on to that state as a program would take it there. */
static void begin(enum ends_status from)
{
    assert_int_equal(ends_open(&w.ends), 0);
    harness_gate_init(&w.here);
    harness_gate_init(&w.go);
    assert_int_equal(ends_claim(&w.ends), 0);
    assert_int_equal(pthread_create(&w.other, NULL, hold_end_1, NULL), 0);
    harness_gate_wait(&w.here);
    switch (from) {
    case ENDS_UNUSED:
    case ENDS_HELD:
        break;
    case ENDS_SHUT:
        ends_shutdown(&w.ends, 0);
        break;
    case ENDS_LEAVING:
        ends_begin_leaving(&w.ends, 0, GOODBYE);
        break;
    case ENDS_FREED:
        ends_free(&w.ends, 0);
        break;
    case ENDS_DEAD:
        ends_bury_peer(&w.ends, 1, ends_peer_state(&w.ends, 1));
        break;
    }
    assert_int_equal(status(), from);
}

static void end(void)
{
    harness_gate_open(&w.go);
    assert_int_equal(pthread_join(w.other, NULL), 0);
    if (atomic_load(&w.ends.local[0].holder) != 0)
        ends_finish(&w.ends, 0);
    ends_close(&w.ends);
    harness_gate_close(&w.here);
    harness_gate_close(&w.go);
}

/* In a child: what it got, and the status of end 0 then. It dies with what it got. */
enum { GOT_END_0 = 0, GOT_EBUSY = 10, GOT_EPIPE = 20, GOT_OTHER = 30 };

static int claim_in_child(void *arg)
{
    (void)arg;
    ends_disown(&w.ends);
    int got = ends_claim(&w.ends);
    int result = got == 0 ? GOT_END_0 : GOT_OTHER;
    if (got < 0)
        result = errno == EBUSY ? GOT_EBUSY : errno == EPIPE ? GOT_EPIPE : GOT_OTHER;
    return result + (int)status();
}

static void expect_claim(int result, enum ends_status after)
{
    assert_int_equal(harness_wait(harness_fork(claim_in_child, NULL)), result + (int)after);
}

static void happen(enum event event)
{
    switch (event) {
    case SHUTDOWN:
        ends_shutdown(&w.ends, 0);
        break;
    case BEGIN_LEAVING:
        ends_begin_leaving(&w.ends, 0, GOODBYE);
        break;
    case STAY:
        ends_stay(&w.ends, 0);
        break;
    case FREE:
        ends_free(&w.ends, 0);
        break;
    case FINISH:
        ends_finish(&w.ends, 0);
        break;
    case BURY:
        ends_bury_peer(&w.ends, 1, ends_peer_state(&w.ends, 1));
        break;
    default:
        fail();
    }
}

/* --- The table ------------------------------------------------------------------------------- */

enum { NEVER = -1 };
static const int next[EVENTS][STATUSES] = {
    /*                 UNUSED, HELD, SHUT, LEAVING, FREED, DEAD */
    [SHUTDOWN] = {NEVER, ENDS_SHUT, ENDS_SHUT, NEVER, NEVER, ENDS_DEAD},
    [BEGIN_LEAVING] = {NEVER, ENDS_LEAVING, ENDS_LEAVING, NEVER, NEVER, ENDS_DEAD},
    [STAY] = {NEVER, NEVER, NEVER, ENDS_HELD, NEVER, ENDS_DEAD},
    [FREE] = {NEVER, ENDS_FREED, ENDS_FREED, ENDS_FREED, NEVER, ENDS_DEAD},
    [FINISH] = {NEVER, ENDS_DEAD, ENDS_DEAD, ENDS_DEAD, NEVER, ENDS_DEAD},
    [BURY] = {NEVER, ENDS_DEAD, ENDS_DEAD, ENDS_DEAD, ENDS_DEAD, ENDS_DEAD},
};

TEST(each_event_leads_from_each_state_to_the_next)
{
    for (enum event event = SHUTDOWN; event < EVENTS; event++) {
        for (int from = ENDS_HELD; from <= ENDS_DEAD; from++) {
            if (next[event][from] == NEVER)
                continue;
            begin((enum ends_status)from);
            uint64_t before = ends_peer_state(&w.ends, 1);
            happen(event);
            if ((int)status() != next[event][from])
                fail_msg("event %d in state %d leads to %d", (int)event, from, (int)status());
            if (event != BURY && next[event][from] == from) /* then nothing has changed */
                assert_true(ends_peer_state(&w.ends, 1) == before);
            end();
        }
    }
}

TEST(a_new_caller_gets_an_end_that_nobody_has_held)
{
    assert_int_equal(ends_open(&w.ends), 0);
    assert_int_equal(status(), ENDS_UNUSED);
    expect_claim(GOT_END_0, ENDS_HELD);
    ends_close(&w.ends);
}

TEST(a_new_caller_gets_an_end_that_was_freed)
{
    begin(ENDS_FREED);
    expect_claim(GOT_END_0, ENDS_HELD);
    end();
}

TEST(a_new_caller_gets_no_end_that_is_held)
{
    static const enum ends_status held[] = {ENDS_HELD, ENDS_SHUT, ENDS_LEAVING};
    for (size_t i = 0; i < sizeof held / sizeof held[0]; i++) {
        begin(held[i]);
        expect_claim(GOT_EBUSY, held[i]);
        end();
    }
}

TEST(a_new_caller_frees_an_end_whose_goodbye_is_out)
{
    begin(ENDS_LEAVING);
    atomic_store(&w.ends.shared.page->ring[0].head, GOODBYE);
    expect_claim(GOT_END_0, ENDS_HELD);
    end();
}

TEST(a_new_caller_learns_that_a_holder_has_died)
{
    begin(ENDS_DEAD);
    expect_claim(GOT_EPIPE, ENDS_DEAD);
    end();
}

TEST(a_holder_that_died_with_its_process_is_found_by_a_new_caller)
{
    harness_skip_without_proc();
    begin(ENDS_FREED);
    expect_claim(GOT_END_0, ENDS_HELD); /* and dies */
    assert_int_equal(status(), ENDS_HELD);
    expect_claim(GOT_EPIPE, ENDS_DEAD);
    end();
}

/* --- Two newcomers at once ------------------------------------------------------------------- */

/*
 * In a child that has the handle too: claims, being stopped before a system call, and stops once it
 * has an end. When all ends are free it claims again, and gets the same one.
 */
static int claim_twice(void *stop)
{
    ends_disown(&w.ends);
    fault_reset();
    fault_stop_at(CALL_ANY, *(unsigned long *)stop);
    fault_arm();
    int first = ends_claim(&w.ends);
    fault_disarm();
    assert_in_range(first, 0, 1);
    ends_free(&w.ends, (unsigned)first);
    raise(SIGSTOP);
    int second = ends_claim(&w.ends);
    if (second != first)
        fail_msg("stopped before call %lu: end %d, then %d", *(unsigned long *)stop, first, second);
    ends_finish(&w.ends, (unsigned)second);
    return 0;
}

static void expect_stop(pid_t child)
{
    int status;
    assert_int_equal(waitpid(child, &status, WUNTRACED), child);
    assert_true(WIFSTOPPED(status));
}

/* Returns whether the child was stopped in its first claim. */
static bool claim_beside(unsigned long stop)
{
    assert_int_equal(ends_open(&w.ends), 0);
    pid_t child = harness_fork(claim_twice, &stop);
    expect_stop(child);
    bool is_in_claim = status() != ENDS_FREED;
    int mine = ends_claim(&w.ends);
    assert_in_range(mine, 0, 1);
    if (is_in_claim) {
        assert_int_equal(kill(child, SIGCONT), 0);
        expect_stop(child);
    }
    ends_free(&w.ends, (unsigned)mine);
    assert_int_equal(kill(child, SIGCONT), 0);
    assert_int_equal(harness_wait(child), 0);
    ends_close(&w.ends);
    return is_in_claim;
}

TEST(a_caller_that_lost_the_race_for_an_end_comes_back_to_the_one_it_got)
{
    harness_skip_without_proc();
    unsigned long stop = 1;
    while (claim_beside(stop))
        stop++;
    assert_true(stop > (platform_has(PLATFORM_TOKENS) ? 5 : 2)); /* those of a token alone */
}

TEST(a_verdict_about_an_older_state_changes_nothing)
{
    begin(ENDS_HELD);
    uint64_t old = ends_peer_state(&w.ends, 1);
    ends_shutdown(&w.ends, 0);
    ends_bury_peer(&w.ends, 1, old);
    assert_int_equal(status(), ENDS_SHUT);
    end();
}

TEST(each_change_is_another_state)
{
    begin(ENDS_HELD);
    uint64_t before = ends_peer_state(&w.ends, 1);
    ends_begin_leaving(&w.ends, 0, GOODBYE);
    ends_stay(&w.ends, 0);
    assert_int_equal(status(), ENDS_HELD);
    assert_false(ends_peer_state(&w.ends, 1) == before);
    end();
}

TEST(a_change_that_cannot_wake_the_peer_leaves_that_to_the_next_message)
{
    fault_reset();
    fault_fail(CALL_eventfd, 1, FAULT_FOREVER, ENOSYS);
    fault_arm();
    assert_int_equal(ends_open(&w.ends), 0);
    assert_int_equal(ends_claim(&w.ends), 0);
    fault_disarm();
    fault_reset();
    fault_fail(CALL_writev, 1, 0, ENOMEM);
    fault_fail(CALL_pwritev2, 1, 0, ENOMEM);
    fault_fail(CALL_write, 1, 0, ENOMEM);
    fault_arm();
    atomic_uint *interest = &w.ends.shared.page->end[1].interest;
    atomic_store(interest, RING_BYTES);
    assert_false(ends_shutdown(&w.ends, 0));
    assert_int_equal(atomic_load(interest), RING_BYTES);
    fault_disarm();
    assert_true(ends_shutdown(&w.ends, 0)); /* it has been */
    ends_finish(&w.ends, 0);
    assert_int_equal(atomic_load(interest), 0);
    ends_close(&w.ends);
}

/* --- Tokens ---------------------------------------------------------------------------------- */

static enum ends_proof proof_of(unsigned end)
{
    return ends_peer_proof(&w.ends, 1 - end, ends_peer_state(&w.ends, 1 - end));
}

static int see_the_one_that_stays(void *arg)
{
    (void)arg;
    return proof_of(1) == ENDS_HAS_TOKEN && status() == ENDS_FREED ? 0 : 1;
}

TEST(a_process_that_holds_both_ends_has_one_token_until_it_leaves_the_second)
{
    platform_needs(PLATFORM_TOKENS);
    harness_skip_without_proc();
    size_t before = harness_mapped_bytes();
    assert_int_equal(ends_open(&w.ends), 0);
    size_t opened = harness_mapped_bytes() - before;
    assert_int_equal(ends_claim(&w.ends), 0);
    size_t one = harness_mapped_bytes() - before;
    assert_true(one > opened);
    ends_finish(&w.ends, 0);
    ends_close(&w.ends);
    begin(ENDS_HELD);
    assert_int_equal(harness_mapped_bytes() - before, one);
    ends_free(&w.ends, 0);
    assert_int_equal(harness_wait(harness_fork(see_the_one_that_stays, NULL)), 0);
    end();
}

TEST(a_holder_that_had_the_number_of_this_process_is_dead)
{
    platform_needs(PLATFORM_TOKENS);
    harness_skip_without_proc();
    begin(ENDS_FREED);
    uint64_t state = (uint64_t)getpid() << ENDS_NAME_SHIFT | 8u << ENDS_STATUS_BITS | ENDS_HELD;
    atomic_store(&w.ends.shared.page->end[0].state, state);
    assert_int_equal(proof_of(0), ENDS_LOST_TOKEN);
    assert_int_equal(proof_of(1), ENDS_HAS_TOKEN);
    assert_true(ends_has_lost_token(&w.ends, 1, (uint32_t)getpid()));
    end();
}

HARNESS_MAIN("ends", IT(each_event_leads_from_each_state_to_the_next),
             IT(a_new_caller_gets_an_end_that_nobody_has_held),
             IT(a_new_caller_gets_an_end_that_was_freed), IT(a_new_caller_gets_no_end_that_is_held),
             IT(a_new_caller_frees_an_end_whose_goodbye_is_out),
             IT(a_new_caller_learns_that_a_holder_has_died),
             IT(a_holder_that_died_with_its_process_is_found_by_a_new_caller),
             IT(a_caller_that_lost_the_race_for_an_end_comes_back_to_the_one_it_got),
             IT(a_verdict_about_an_older_state_changes_nothing), IT(each_change_is_another_state),
             IT(a_change_that_cannot_wake_the_peer_leaves_that_to_the_next_message),
             IT(a_process_that_holds_both_ends_has_one_token_until_it_leaves_the_second),
             IT(a_holder_that_had_the_number_of_this_process_is_dead))
