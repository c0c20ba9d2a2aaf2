/* SPDX-License-Identifier: MIT */
/*
 * A process that inherited an anonymous pipe fills its doorbells, holds its locks, or forges the
 * state of an end, once and on purpose. The survivor's calls are not delayed, and it detects the
 * death of its peer. Random attacks without end are in test_anonymous_hostile.c.
 */
#include "hostile.h"
#include "platform.h"

#include "codec/frame.h"

#include <signal.h>

/* --- Doorbells ------------------------------------------------------------------------------- */

/* As much as goes: then a write of more than nothing would block. */
static void fill_counter(int fd)
{
    fcntl(fd, F_SETFL, O_NONBLOCK);
    for (uint64_t value = UINT64_C(1) << 63; value > 0; value /= 2)
        while (write(fd, &value, sizeof value) == sizeof value)
            continue;
    fcntl(fd, F_SETFL, 0);
}

static void fill_all_counters(void)
{
    struct hostile_fds counters = hostile_list("eventfd");
    for (int i = 0; i < counters.count; i++)
        fill_counter(counters.fd[i]);
}

static void block_the_doorbells(pipc_t *pipe)
{
    struct shared_page *page = hostile_page();
    say(pipe, "here");
    fill_all_counters();
    atomic_store(&page->end[0].interest, 3);
    atomic_store(&page->end[1].interest, 3);
    say(pipe, "blocked");
    for (;;)
        pause();
}

TEST(a_full_blocking_doorbell_delays_no_call)
{
    platform_needs(PLATFORM_DEATH_IN_POLL);
    harness_need_proc();
    pipc_t *pipe = open_anonymous();
    struct side far;
    char byte;
    set_timeouts(pipe, -1, 0);
    int fd = pipc_fd(pipe);
    side_start(&far, anonymous_forked, pipe, block_the_doorbells);
    hear(pipe, "here");
    hear(pipe, "blocked");
    set_timeouts(pipe, 0, 0);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(pipc_write(pipe, "x", 1), 1);
        assert_errno(pipc_read(pipe, &byte, 1), EAGAIN);
        harness_readable(fd, 0);
    }
    kill(far.pid, SIGKILL);
    assert_int_equal(harness_wait(far.pid), -SIGKILL);
    assert_true(harness_readable(fd, SIDES_NOTICE_MS));
    hear_the_end(pipe, EPIPE);
    pipc_close(pipe);
}

/* --- Locks and states ------------------------------------------------------------------------ */

/* On the open file that everybody has, so that it outlives this process. */
static void hide_behind_locks(pipc_t *pipe)
{
    struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    struct hostile_fds inherited = hostile_list("");
    say(pipe, "here");
    harness_gate_wait(&gate[0]);
    for (int i = 0; i < inherited.count; i++)
        fcntl(inherited.fd[i], F_OFD_SETLK, &all);
}

static void free_its_end_without_a_word(pipc_t *pipe)
{
    struct shared_page *page = hostile_page();
    say(pipe, "here");
    harness_gate_wait(&gate[0]);
    hostile_free_end(page, 1);
}

static void give_another_name(pipc_t *pipe)
{
    struct shared_page *page = hostile_page();
    say(pipe, "here");
    harness_gate_wait(&gate[0]);
    uint64_t state = atomic_load(&page->end[1].state);
    atomic_store(&page->end[1].state, (state & UINT32_MAX) | (uint64_t)0x80000001 << 32); /* init */
}

/* Nothing will ever complete it. */
static void begin_a_message_and_free_its_end(pipc_t *pipe)
{
    struct shared_page *page = hostile_page();
    say(pipe, "here");
    harness_gate_wait(&gate[0]);
    atomic_fetch_add(&page->ring[1].head, FRAME_HEADER_MIN - 1);
    hostile_free_end(page, 1);
}

/* The one that dies is hostile from the moment on when the survivor has begun to wait. */
static void see_it_die_by(script *hide, bool by_polling, int error)
{
    harness_need_proc(); /* what is hostile does */
    pipc_t *pipe = open_anonymous();
    struct side far;
    char byte;
    harness_gate_init(&gate[0]);
    set_timeouts(pipe, 1, 1);
    int fd = by_polling ? pipc_fd(pipe) : -1;
    side_start(&far, anonymous_forked, pipe, hide);
    set_timeouts(pipe, SIDES_LONG_MS, 1);
    hear(pipe, "here");
    set_timeouts(pipe, 1, 1);
    assert_errno(pipc_read(pipe, &byte, 1), ETIMEDOUT);
    harness_gate_open(&gate[0]);
    side_end(&far);
    int64_t begin = harness_now_ms();
    set_timeouts(pipe, by_polling ? 0 : SIDES_LONG_MS, 0);
    do
        assert_true(!by_polling || harness_readable(fd, SIDES_NOTICE_MS));
    while (pipc_read(pipe, &byte, 1) < 0 && errno == EAGAIN);
    assert_int_equal(errno, error);
    expect_within(begin, 2000, "to notice a death");
    expect_no_reader(pipe, error);
    expect_no_spin(pipe);
    pipc_close(pipe);
    harness_gate_close(&gate[0]);
}

static void see_it_die(script *hide, bool by_polling)
{
    see_it_die_by(hide, by_polling, EPIPE);
}

TEST(the_death_of_a_peer_that_held_a_lock_is_detected)
{
    platform_needs(PLATFORM_DEATH_IN_POLL);
    see_it_die(hide_behind_locks, false);
    see_it_die(hide_behind_locks, true);
}

TEST(a_peer_that_frees_its_end_without_a_goodbye_is_reported_dead)
{
    platform_needs(PLATFORM_DEATH_IN_POLL);
    see_it_die(free_its_end_without_a_word, false);
    see_it_die(free_its_end_without_a_word, true);
}

TEST(a_peer_that_frees_its_end_inside_a_message_is_reported_dead)
{
    platform_needs(PLATFORM_DEATH_IN_POLL);
    see_it_die_by(begin_a_message_and_free_its_end, false, ECONNRESET);
    see_it_die_by(begin_a_message_and_free_its_end, true, ECONNRESET);
}

TEST(a_peer_that_claims_to_be_another_process_is_reported_dead)
{
    platform_needs(PLATFORM_DEATH_IN_POLL);
    see_it_die(give_another_name, false);
    see_it_die(give_another_name, true);
}

/* It takes its end anew before the survivor has read the goodbye. */
static void come_back(pipc_t *pipe)
{
    say(pipe, "one");
    harness_gate_wait(&gate[0]);
    leave(pipe, "bye");
    say(pipe, "two");
    harness_gate_open(&gate[1]);
    harness_gate_wait(&gate[2]);
}

static void come_back_and_give_another_name(pipc_t *pipe)
{
    struct shared_page *page = hostile_page();
    come_back(pipe);
    uint64_t state = atomic_load(&page->end[1].state);
    atomic_store(&page->end[1].state, (state & UINT32_MAX) | (uint64_t)0x80000001 << 32);
}

static void come_back_and_free(pipc_t *pipe)
{
    struct shared_page *page = hostile_page();
    come_back(pipe);
    hostile_free_end(page, 1);
}

static void see_it_die_that_came_back(script *hide)
{
    pipc_t *pipe = open_anonymous();
    struct side far;
    char byte;
    gates_init();
    assert_int_equal(pipc_pending(pipe), 0);
    side_start(&far, anonymous_forked, pipe, hide);
    hear(pipe, "one");
    hear_nothing(pipe);
    harness_gate_open(&gate[0]);
    harness_gate_wait(&gate[1]);
    hear_bye(pipe, "bye");
    hear(pipe, "two");
    set_timeouts(pipe, 700, -1); /* a wait in which it is looked at */
    assert_errno(pipc_read(pipe, &byte, 1), ETIMEDOUT);
    harness_gate_open(&gate[2]);
    side_end(&far);
    set_timeouts(pipe, 4000, -1);
    assert_errno(pipc_read(pipe, &byte, 1), EPIPE);
    gates_close();
    pipc_close(pipe);
}

TEST(a_peer_that_comes_back_before_its_goodbye_is_read_cannot_hide_its_death)
{
    platform_needs(PLATFORM_DEATH_IN_POLL);
    harness_need_proc(); /* what is hostile does */
    see_it_die_that_came_back(come_back_and_give_another_name);
    see_it_die_that_came_back(come_back_and_free);
}

/* The survivor's own end, which one of its threads holds and will hold. */
static void free_the_other_end(pipc_t *pipe)
{
    struct shared_page *page = hostile_page();
    say(pipe, "here");
    hostile_free_end(page, 0);
    say(pipe, "freed");
    harness_gate_wait(&gate[0]);
}

static void expect_to_be_a_third(pipc_t *pipe)
{
    assert_errno(pipc_set_timeout(pipe, 0, 0), EBUSY);
    assert_errno(pipc_write(pipe, "x", 1), EBUSY);
}

TEST(forged_memory_cannot_give_a_held_end_to_another_thread)
{
    harness_need_proc();
    pipc_t *pipe = open_anonymous();
    struct side far;
    harness_gate_init(&gate[0]);
    set_timeouts(pipe, -1, -1);
    side_start(&far, anonymous_forked, pipe, free_the_other_end);
    hear(pipe, "here");
    hear(pipe, "freed");
    side_play(anonymous_in_threads, pipe, expect_to_be_a_third);
    say(pipe, "mine");
    harness_gate_open(&gate[0]);
    side_end(&far);
    pipc_close(pipe);
    harness_gate_close(&gate[0]);
}

static void say_and_stay(pipc_t *pipe)
{
    say(pipe, "here");
    for (;;)
        pause();
}

/* As a bystander may write it: the dead seem to hold the end again, or init, or nobody that is. */
TEST(an_end_that_is_given_a_holder_after_a_death_makes_no_loop_spin)
{
    static const uint64_t names[] = {0, 0x80000001, 0x7ffffff1, 0xfffffff1};
    platform_needs(PLATFORM_DEATH_IN_POLL);
    harness_need_proc();
    pipc_t *pipe = open_anonymous();
    struct shared_page *page = hostile_page();
    struct side far;
    char byte;
    set_timeouts(pipe, -1, 0);
    int fd = pipc_fd(pipe);
    side_start(&far, anonymous_forked, pipe, say_and_stay);
    hear(pipe, "here");
    uint64_t held = atomic_load(&page->end[1].state);
    kill(far.pid, SIGKILL);
    assert_int_equal(harness_wait(far.pid), -SIGKILL);
    assert_true(harness_readable(fd, SIDES_NOTICE_MS));
    hear_the_end(pipe, EPIPE);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        uint64_t name = names[i] == 0 ? held >> 32 : names[i];
        atomic_store(&page->end[1].state, (held & UINT32_MAX) | name << 32);
        assert_true(pipc_read(pipe, &byte, 1) < 0);
        expect_no_spin(pipe);
    }
    pipc_close(pipe);
}

HARNESS_MAIN("anonymous forged", IT(a_full_blocking_doorbell_delays_no_call),
             IT(the_death_of_a_peer_that_held_a_lock_is_detected),
             IT(a_peer_that_frees_its_end_without_a_goodbye_is_reported_dead),
             IT(a_peer_that_frees_its_end_inside_a_message_is_reported_dead),
             IT(a_peer_that_claims_to_be_another_process_is_reported_dead),
             IT(a_peer_that_comes_back_before_its_goodbye_is_read_cannot_hide_its_death),
             IT(forged_memory_cannot_give_a_held_end_to_another_thread),
             IT(an_end_that_is_given_a_holder_after_a_death_makes_no_loop_spin))
