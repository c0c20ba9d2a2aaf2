/* SPDX-License-Identifier: MIT */
/* What a read, a write or a wait reports of a lost connection, or a kernel without memory. */
#include <pthread.h>

#include "fault.h"
#include "raw.h"
#include "sys/sys_io.h"

/* And what has come before it is read first. */
TEST(a_connection_that_the_network_has_lost_is_ECONNRESET_and_any_other_error_is_returned)
{
    static const struct {
        int failure, result;
    } cases[] = {{ETIMEDOUT, ECONNRESET},   {EHOSTUNREACH, ECONNRESET}, {ENETUNREACH, ECONNRESET},
                 {ENETDOWN, ECONNRESET},    {EHOSTDOWN, ECONNRESET},    {ECONNREFUSED, ECONNRESET},
                 {ENOPROTOOPT, ECONNRESET}, {EPIPE, ECONNRESET},        {EIO, EIO},
                 {EINVAL, EINVAL}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct raw raw;
        raw_open(&raw, &raw_socket, NULL);
        raw_send(&raw, BYTES("\0\0\0\1x"));
        assert_int_equal(pipc_pending(raw.pipe), 1);
        fault_reset();
        fault_fail(CALL_recv, 1, 0, cases[i].failure);
        fault_arm();
        expect_message(raw.pipe, BYTES("x"));
        for (int again = 0; again < 2; again++)
            expect_failure(raw.pipe, cases[i].result);
        fault_disarm();
        raw_close(&raw);
    }
}

/* Of a write, that is EPIPE; and what was to come from there is lost. */
TEST(a_write_to_a_connection_that_the_network_has_lost_is_EPIPE_and_then_reading_is_ECONNRESET)
{
    static const int failures[] = {ECONNRESET, ETIMEDOUT, EHOSTUNREACH, ENETUNREACH,
                                   ENETDOWN,   EHOSTDOWN, ECONNREFUSED, ENOPROTOOPT};
    for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++) {
        struct raw raw;
        raw_open(&raw, &raw_socket, NULL);
        fault_reset();
        fault_fail(CALL_send, 1, 0, failures[i]);
        fault_fail(CALL_sendmsg, 1, 0, failures[i]);
        fault_arm();
        for (int again = 0; again < 2; again++)
            assert_errno(pipc_write(raw.pipe, "x", 1), EPIPE);
        fault_disarm();
        raw_end(&raw);
        expect_failure(raw.pipe, ECONNRESET);
        raw_close(&raw);
    }
}

/* The wait itself finds it, in the middle of a message that goes straight to its place. */
TEST(an_error_that_a_wait_without_a_limit_finds_is_returned)
{
    enum { SIZE = 200000 };
    static char buffer[SIZE];
    struct raw raw;
    if (!sys_can_wait_in_read())
        harness_skip("it is poll that waits here");
    raw_open(&raw, &raw_socket, NULL);
    assert_int_equal(pipc_set_timeout(raw.pipe, -1, -1), 0);
    raw_send(&raw, BYTES("\0\3\15\100the first bytes"));
    fault_reset();
    fault_fail(CALL_readv, 1, 0, EIO);
    fault_fail(CALL_read, 1, 0, EIO);
    fault_arm();
    for (int again = 0; again < 2; again++)
        assert_errno(pipc_read(raw.pipe, buffer, SIZE), EIO);
    fault_disarm();
    assert_true(fault_injected(EIO));
    raw_close(&raw);
}

static void *stay(void *gate)
{
    harness_gate_wait(gate);
    return NULL;
}

/* Beside another thread, which could cancel it, a read without a limit waits in poll. */
TEST(a_wait_without_a_limit_goes_on_when_the_kernel_lacked_memory_for_it)
{
    struct harness_gate gate;
    struct raw raw;
    pthread_t thread;
    harness_gate_init(&gate);
    assert_int_equal(pthread_create(&thread, NULL, stay, &gate), 0);
    raw_open(&raw, &raw_socket, NULL);
    assert_int_equal(pipc_set_timeout(raw.pipe, -1, -1), 0);
    raw_send(&raw, BYTES("\0\0\0\1x"));
    fault_reset();
    fault_fail(CALL_poll, 1, 0, ENOMEM);
    fault_fail(CALL_recv, 1, 0, EAGAIN);
    fault_arm();
    expect_message(raw.pipe, BYTES("x"));
    fault_disarm();
    raw_close(&raw);
    harness_gate_open(&gate);
    pthread_join(thread, NULL);
    harness_gate_close(&gate);
}

HARNESS_MAIN(
    "lost connections",
    IT(a_connection_that_the_network_has_lost_is_ECONNRESET_and_any_other_error_is_returned),
    IT(a_write_to_a_connection_that_the_network_has_lost_is_EPIPE_and_then_reading_is_ECONNRESET),
    IT(an_error_that_a_wait_without_a_limit_finds_is_returned),
    IT(a_wait_without_a_limit_goes_on_when_the_kernel_lacked_memory_for_it))
