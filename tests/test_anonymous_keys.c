/* SPDX-License-Identifier: MIT */
/*
 * How an anonymous pipe remembers a thread, by a key of thread-specific data: where there is none,
 * no memory for it, or none any more since the process exits.
 */
#include "anonymous.h"
#include "fault.h"

static int open_without_keys(void *unused)
{
    pthread_key_t key;
    (void)unused;
    while (pthread_key_create(&key, NULL) == 0)
        continue;
    int64_t begin = harness_now_ms();
    assert_null_errno(pipc_open(NULL), ENOMEM);
    assert_true(harness_now_ms() - begin < 100 * harness_scale());
    assert_int_equal(pthread_key_delete(key - 1), 0);
    pipc_t *pipe = open_anonymous(); /* a key is free again */
    say(pipe, "hello");
    pipc_close(pipe);
    return 0;
}

TEST(pipc_open_fails_without_a_free_thread_key_and_works_later)
{
    assert_int_equal(harness_wait(harness_fork(open_without_keys, NULL)), 0);
}

/* It could not be told from others, nor its end be noticed. */
static void try_twice(pipc_t *pipe)
{
    fault_reset();
    fault_fail(CALL_pthread_setspecific, 1, 0, ENOMEM);
    fault_arm();
    ssize_t result = pipc_write(pipe, "hello", 5);
    int error = errno;
    fault_disarm();
    assert_int_equal(result, -1);
    assert_int_equal(error, ENOMEM);
    say(pipe, "hello");
}

TEST(a_thread_that_there_is_no_memory_to_remember_gets_ENOMEM_and_can_try_again)
{
    pipc_t *pipe = open_anonymous();
    assert_int_equal(pipc_pending(pipe), 0);
    side_play(anonymous_in_threads, pipe, try_twice);
    hear(pipe, "hello");
    hear_the_end(pipe, EPIPE);
    pipc_close(pipe);
}

/* --- After the end of main ------------------------------------------------------------------- */

static pipc_t *used_late;

/* Behind the destructors of the library. */
__attribute__((destructor(101))) static void use_it_late(void)
{
    if (used_late != NULL && pipc_write(used_late, "late", 4) != 4)
        _exit(1);
}

static int end_and_use_it(void *pipe)
{
    used_late = pipe;
    return 0;
}

TEST(a_process_that_exits_can_make_its_first_call_behind_all_destructors)
{
    pipc_t *pipe = open_anonymous();
    assert_int_equal(pipc_pending(pipe), 0);
    assert_int_equal(harness_wait(harness_fork(end_and_use_it, pipe)), 0);
    hear(pipe, "late");
    hear_the_end(pipe, EPIPE);
    pipc_close(pipe);
}

HARNESS_MAIN("anonymous, keys", IT(pipc_open_fails_without_a_free_thread_key_and_works_later),
             IT(a_thread_that_there_is_no_memory_to_remember_gets_ENOMEM_and_can_try_again),
             IT(a_process_that_exits_can_make_its_first_call_behind_all_destructors))
