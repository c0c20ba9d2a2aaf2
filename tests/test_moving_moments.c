/* SPDX-License-Identifier: MIT */
/*
 * Moments of the move into shared memory: the peer, which is the test, does something just between
 * two calls of the library to the system.
 */
#include "moving.h"
#include "platform.h"

#include <sys/socket.h>
#include <unistd.h>

#include "fault.h"
#include "net.h"
#include "paths.h"

enum { LONG_MS = 10000, OFFER = MOVING_HEADER + 5 /* bytes */ };

static void set_timeout(pipc_t *pipe, int ms)
{
    assert_int_equal(pipc_set_timeout(pipe, ms, ms), 0);
}

/* --- An offer --------------------------------------------------------------------------------- */

/* The word is there, and the mark is not yet. */
TEST(an_offer_that_is_accepted_at_the_moment_of_its_withdrawal_is_no_socket_any_more)
{
    struct moving_attack a;
    char byte;
    moving_attack_server(&a);
    atomic_store(&a.shared.page->answer, SHARE_IS_ACCEPTED);
    assert_int_equal(pipc_shutdown(a.pipe), 0);
    assert_int_equal(moving_state(a.pipe), SHARE_LEAVING);
    moving_set_mark(&a, 1);
    close(a.raw);
    a.raw = -1;
    assert_errno(pipc_read(a.pipe, &byte, 1), EPIPE);
    moving_end_attack(&a);
}

static void accept_it(void *context)
{
    moving_set_mark(context, 1);
}

TEST(descriptors_for_a_peer_that_leaves_the_socket_at_this_moment_are_EOPNOTSUPP)
{
    struct moving_attack a;
    int own = STDIN_FILENO;
    moving_attack_server(&a);
    fault_reset();
    fault_before(CALL_getsockopt, 1, accept_it, &a); /* it asks whether the socket carries some */
    fault_arm();
    ssize_t sent = pipc_write_fds(a.pipe, "x", 1, &own, 1);
    int error = errno;
    fault_disarm();
    assert_int_equal(sent, -1);
    assert_int_equal(error, EOPNOTSUPP);
    net_say(a.pipe, "goes on");
    moving_end_attack(&a);
}

enum { LONG_SIZE = 50000, LONG_PART = 10000 /* bytes */ };

/* A message of LONG_SIZE bytes, of which a call that does not wait finds a part. */
static unsigned char *begin_long(struct moving_attack *a)
{
    static unsigned char frame[MOVING_HEADER + LONG_SIZE];
    moving_attack_server(a);
    frame[2] = LONG_SIZE >> 8;
    frame[3] = LONG_SIZE & 255;
    harness_fill(frame + MOVING_HEADER, LONG_SIZE, 1);
    set_timeout(a->pipe, 0);
    return frame;
}

/* The doorbell lies behind the last byte of the socket, and the rest is in the ring. */
TEST(a_long_message_whose_peer_leaves_in_the_middle_of_it_goes_on_in_the_memory)
{
    struct moving_attack a;
    pipc_msg_t message;
    const unsigned char *frame = begin_long(&a);
    assert_int_equal(send(a.raw, frame, LONG_PART, MSG_NOSIGNAL), LONG_PART);
    assert_errno(pipc_read_msg(a.pipe, &message), EAGAIN);
    moving_set_mark(&a, 1 + LONG_PART);
    assert_int_equal(send(a.raw, "!", 1, MSG_NOSIGNAL), 1);
    moving_write_ring(&a, frame + LONG_PART, MOVING_HEADER + LONG_SIZE - LONG_PART);
    assert_int_equal(pipc_read_msg(a.pipe, &message), 0);
    assert_int_equal(message.size, LONG_SIZE);
    harness_check(message.data, LONG_SIZE, 1);
    pipc_msg_free(&message);
    assert_int_equal(moving_state(a.pipe), SHARE_MOVED);
    moving_end_attack(&a);
}

/* The beginning comes by the socket. Whether memory was lacking for it, or for the rest. */
static bool read_without_memory(unsigned long nth)
{
    enum { SIZE = 10000, BEFORE = 14 };
    static unsigned char frame[MOVING_HEADER + SIZE], got[SIZE];
    struct moving_attack a;
    moving_attack_server(&a);
    frame[2] = SIZE >> 8;
    frame[3] = SIZE & 255;
    harness_fill(frame + MOVING_HEADER, SIZE, 1);
    set_timeout(a.pipe, 0);
    assert_int_equal(send(a.raw, frame, BEFORE, MSG_NOSIGNAL), BEFORE);
    moving_set_mark(&a, 1 + BEFORE);
    moving_write_ring(&a, frame + BEFORE, MOVING_HEADER + SIZE - BEFORE);
    fault_reset();
    fault_fail(CALL_realloc, nth, 0, ENOMEM);
    fault_arm();
    ssize_t size = pipc_read(a.pipe, got, SIZE);
    int error = errno;
    fault_disarm();
    if (size < 0)
        assert_int_equal(error, ENOMEM);
    assert_int_equal(size < 0 ? pipc_read(a.pipe, got, SIZE) : size, SIZE);
    harness_check(got, SIZE, 1);
    moving_end_attack(&a);
    return fault_failures(CALL_realloc) > 0;
}

TEST(a_message_whose_peer_leaves_in_it_is_ENOMEM_without_memory_and_can_be_read_then)
{
    unsigned long nth = 1;
    while (read_without_memory(nth))
        nth++;
    assert_true(nth > 2);
}

TEST(nonsense_in_the_middle_of_a_long_message_is_EPROTO)
{
    struct moving_attack a;
    pipc_msg_t message;
    const unsigned char *frame = begin_long(&a);
    moving_set_mark(&a, 1);
    moving_write_ring(&a, frame, LONG_PART);
    assert_errno(pipc_read_msg(a.pipe, &message), EAGAIN);
    assert_int_equal(moving_state(a.pipe), SHARE_MOVED);
    atomic_store(&a.shared.page->ring[a.own].head, UINT64_MAX / 2);
    for (int again = 0; again < 2; again++)
        assert_errno(pipc_read_msg(a.pipe, &message), EPROTO);
    moving_end_attack(&a);
}

/* That is how a thread asks whether a handle that was opening is open by now. */
TEST(a_write_of_no_part_makes_no_offer)
{
    pipc_t *end[2];
    struct iovec parts[2] = {{NULL, 0}, {"", 1}};
    moving_open(end, 0, NULL);
    struct transport *t = &moving_transport(end[1])->base;
    assert_int_equal(t->ops->writev(t, NULL, 0), 0);
    assert_int_equal(t->ops->writev(t, parts, 1), 0);
    assert_int_equal(moving_state(end[1]), SHARE_AWAIT);
    assert_int_equal(t->ops->writev(t, parts, 2), 1);
    assert_int_equal(moving_state(end[1]), SHARE_OFFERED);
    moving_close(end);
}

/* --- Waits ------------------------------------------------------------------------------------ */

static bool is_done;

static bool say_hello(void *context)
{
    struct moving_attack *a = context;
    unsigned char frame[64];
    size_t size = moving_frame(frame, "hello");
    if (is_done)
        return false;
    is_done = true;
    moving_write_ring(a, frame, size);
    moving_ring(a);
    return true;
}

static bool end_the_socket(void *context)
{
    struct moving_attack *a = context;
    if (is_done)
        return false;
    is_done = true;
    close(a->raw);
    a->raw = -1;
    return true;
}

static ssize_t read_while(struct moving_attack *a, bool (*step)(void *), int failure, char text[8])
{
    is_done = false;
    fault_reset();
    if (failure != 0)
        fault_fail(CALL_read, 1, 0, failure);
    fault_before_wait(step, a);
    fault_arm();
    ssize_t size = pipc_read(a->pipe, text, 8);
    int error = errno;
    fault_disarm();
    fault_reset();
    errno = error;
    return size;
}

TEST(a_side_without_a_pipe_as_doorbell_waits_in_the_socket_for_bytes_and_for_the_end)
{
    for (int ms = -1; ms <= LONG_MS; ms += LONG_MS + 1) {
        static const int failures[] = {0, EINTR, EAGAIN};
        struct moving_attack a;
        char text[8];
        moving_attack_client_without_doorbell(&a);
        moving_set_mark(&a, 1 + OFFER);
        set_timeout(a.pipe, ms);
        for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++) {
            assert_int_equal(read_while(&a, say_hello, failures[i], text), 5);
            assert_memory_equal(text, "hello", 5);
        }
        assert_int_equal(moving_state(a.pipe), SHARE_MOVED);
        assert_errno(read_while(&a, end_the_socket, 0, text), EPIPE);
        moving_end_attack(&a);
    }
}

/* As an honest side closes that has not read what is in the ring. */
static bool leave_for_good(void *context)
{
    struct moving_attack *a = context;
    if (!is_done)
        atomic_fetch_add(&a->shared.page->end[a->own].version, 2);
    return end_the_socket(context);
}

TEST(a_write_that_waits_for_a_peer_that_leaves_before_it_has_moved_is_EPIPE)
{
    static char data[MORE_THAN_A_PIPE];
    struct moving_attack a;
    moving_attack_client(&a);
    set_timeout(a.pipe, LONG_MS);
    is_done = false;
    fault_reset();
    fault_before_wait(leave_for_good, &a);
    fault_arm();
    ssize_t sent = pipc_write(a.pipe, data, sizeof data);
    int error = errno;
    fault_disarm();
    fault_reset();
    assert_int_equal(sent, -1);
    assert_int_equal(error, EPIPE);
    moving_end_attack(&a);
}

/* What lies before a doorbell in the socket is to be taken in first. */
TEST(a_write_that_waits_goes_on_after_a_lack_of_memory_for_what_the_socket_has)
{
    enum { MUCH = 50000 };
    static char data[MORE_THAN_A_PIPE], frame[MUCH] = "\0\1";
    struct moving_attack a;
    moving_attack_client(&a);
    set_timeout(a.pipe, -1);
    assert_int_equal(send(a.raw, frame, MUCH, MSG_NOSIGNAL), MUCH);
    is_done = false;
    fault_reset();
    fault_fail(CALL_realloc, 1, 0, ENOMEM);
    fault_before_wait(leave_for_good, &a);
    fault_arm();
    ssize_t sent = pipc_write(a.pipe, data, sizeof data);
    int error = errno;
    fault_disarm();
    assert_int_equal(sent, -1);
    assert_int_equal(error, EPIPE);
    assert_int_equal(fault_failures(CALL_realloc), 1);
    moving_end_attack(&a);
}

/* --- While it opens --------------------------------------------------------------------------- */

/* The kernel has no memory to say what kind of socket it is. */
TEST(descriptors_on_a_socket_that_has_just_opened_and_is_not_known_are_EOPNOTSUPP)
{
    platform_needs(PLATFORM_SWITCH);
    struct paths paths;
    pipc_options_t options = PIPC_OPTIONS_INIT;
    int own = STDIN_FILENO;
    paths_begin(&paths);
    const char *path = paths_to(&paths, "late");
    options.flags = PIPC_ASYNC;
    pipc_t *pipe = pipc_open_unix(path, LONG_MS, &options);
    assert_non_null(pipe);
    set_timeout(pipe, LONG_MS);
    options.flags = PIPC_ACCEPT_FDS;
    pipc_server_t *server = paths_serve(path, &options);
    fault_reset();
    fault_fail(CALL_getsockopt, 1, FAULT_FOREVER, ENOBUFS);
    fault_arm();
    ssize_t sent = pipc_write_fds(pipe, "x", 1, &own, 1);
    int error = errno;
    fault_disarm();
    assert_int_equal(sent, -1);
    assert_int_equal(error, EOPNOTSUPP);
    assert_int_equal(pipc_write_fds(pipe, "y", 1, &own, 1), 1);
    pipc_t *accepted = pipc_server_accept(server, LONG_MS);
    assert_non_null(accepted);
    net_expect(accepted, "y");
    pipc_close(pipe);
    pipc_close(accepted);
    pipc_server_close(server);
    paths_end(&paths);
}

HARNESS_MAIN("moving into shared memory, moments",
             IT(an_offer_that_is_accepted_at_the_moment_of_its_withdrawal_is_no_socket_any_more),
             IT(descriptors_for_a_peer_that_leaves_the_socket_at_this_moment_are_EOPNOTSUPP),
             IT(a_long_message_whose_peer_leaves_in_the_middle_of_it_goes_on_in_the_memory),
             IT(a_message_whose_peer_leaves_in_it_is_ENOMEM_without_memory_and_can_be_read_then),
             IT(nonsense_in_the_middle_of_a_long_message_is_EPROTO),
             IT(a_write_of_no_part_makes_no_offer),
             IT(a_side_without_a_pipe_as_doorbell_waits_in_the_socket_for_bytes_and_for_the_end),
             IT(a_write_that_waits_for_a_peer_that_leaves_before_it_has_moved_is_EPIPE),
             IT(a_write_that_waits_goes_on_after_a_lack_of_memory_for_what_the_socket_has),
             IT(descriptors_on_a_socket_that_has_just_opened_and_is_not_known_are_EOPNOTSUPP))
