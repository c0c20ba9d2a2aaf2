/* SPDX-License-Identifier: MIT */
/*
 * Reads that take the rest of a long message and the beginning of what follows in one call. The
 * test writes raw bytes, of which a part arrives while the reader waits for them: cut at each place
 * that may matter.
 */
#include "fault.h"
#include "raw.h"
#include "sys/sys_io.h"

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

enum { LARGEST = 70000, ENOUGH = 1 << 20 };

/* The middle ones are long for a descriptor; what follows is short, empty, or long again. */
static const size_t sizes[] = {3, 40000, 5, 30000, 0, LARGEST, 21000, 4096};

enum { MESSAGES = sizeof sizes / sizeof sizes[0] };

static unsigned char *stream;
static size_t begins[MESSAGES + 1];

static void make_stream(void)
{
    size_t end = 0;
    for (int i = 0; i < MESSAGES; i++) {
        begins[i] = end;
        end += 4 + sizes[i];
    }
    begins[MESSAGES] = end;
    stream = malloc(end);
    for (int i = 0; i < MESSAGES; i++) {
        for (int byte = 0; byte < 4; byte++)
            stream[begins[i] + (size_t)byte] = (unsigned char)(sizes[i] >> (24 - 8 * byte));
        harness_fill(stream + begins[i] + 4, sizes[i], (uint64_t)i);
    }
}

/* ---- the writer: a process, since a reader with threads may wait in another call ---- */

struct writer {
    pid_t process;
    int fd;
    size_t cut, end;
};

static void put(int fd, size_t from, size_t to)
{
    while (from < to) {
        ssize_t sent = write(fd, stream + from, to - from);
        assert_true(sent > 0);
        from += (size_t)sent;
    }
}

/* The reader has taken all that was written, and waits for more. */
static void await_reader(int fd)
{
    struct stat status;
    int unread = 1;
    assert_int_equal(fstat(fd, &status), 0);
    while (unread > 0) {
        assert_int_equal(ioctl(fd, S_ISSOCK(status.st_mode) ? TIOCOUTQ : FIONREAD, &unread), 0);
        sched_yield();
    }
}

static int write_in_two(void *argument)
{
    const struct writer *writer = argument;
    put(writer->fd, 0, writer->cut);
    await_reader(writer->fd);
    kill(getppid(), SIGUSR1);
    put(writer->fd, writer->cut, writer->end);
    shutdown(writer->fd, SHUT_WR);
    return 0;
}

static void do_nothing(int number)
{
    (void)number;
}

/* A signal while it waits changes nothing. */
static void begin(struct raw *raw, const struct raw_kind *kind, struct writer *writer, size_t cut,
                  size_t end)
{
    const struct sigaction caught = {.sa_handler = do_nothing};
    assert_int_equal(sigaction(SIGUSR1, &caught, NULL), 0);
    raw_open(raw, kind, NULL);
    assert_int_equal(pipc_set_timeout(raw->pipe, -1, -1), 0);
    fcntl(raw->out, F_SETPIPE_SZ, ENOUGH);
    *writer = (struct writer){.fd = raw->out, .cut = cut, .end = end};
    writer->process = harness_fork(write_in_two, writer);
    close(raw->out);
    raw->out = -1;
}

static void finish(struct raw *raw, struct writer *writer)
{
    assert_int_equal(harness_wait(writer->process), 0);
    raw_close(raw);
}

/* ---- the reader ---- */

/* How many bytes of room it offers first: with too few the message stays. */
static void read_next(pipc_t *pipe, int i, size_t room)
{
    static unsigned char got[LARGEST + 1];
    if (sizes[i] > room)
        assert_errno(pipc_read(pipe, got, room), EMSGSIZE);
    memset(got, 0x5a, sizeof got);
    size_t size = sizes[i] > room ? sizes[i] : room;
    assert_int_equal(pipc_read(pipe, got, size), sizes[i]);
    harness_check(got, sizes[i], (uint64_t)i);
    assert_int_equal(got[sizes[i]], 0x5a);
}

static void read_from(const struct raw_kind *kind, size_t cut, size_t end, size_t room)
{
    struct raw raw;
    struct writer writer;
    unsigned char byte;
    int i = 0;
    begin(&raw, kind, &writer, cut, end);
    for (; i < MESSAGES && begins[i + 1] <= end; i++)
        read_next(raw.pipe, i, room);
    int code = begins[i] == end ? EPIPE : ECONNRESET;
    for (int again = 0; again < 2; again++)
        assert_errno(pipc_read(raw.pipe, &byte, 1), code);
    finish(&raw, &writer);
}

static void read_all(size_t cut, size_t end, size_t room)
{
    read_from(&raw_pipes, cut, end, room);
    read_from(&raw_socket, cut, end, room);
}

static const int cuts[] = {-5, -4, -3, -1, 0, 1, 3, 4, 5, 68, 4092, 4096};

enum { CUTS = sizeof cuts / sizeof cuts[0] };

/* One of the places around where a message begins; where there is none: 0. */
static size_t place(int message, int cut)
{
    intmax_t at = (intmax_t)begins[message] + cuts[cut];
    return at > 0 && at <= (intmax_t)begins[MESSAGES] ? (size_t)at : 0;
}

TEST(messages_arrive_whole_wherever_a_reader_has_to_wait_for_their_rest)
{
    make_stream();
    for (int i = 1; i <= MESSAGES; i++)
        for (int cut = 0; cut < CUTS; cut++)
            read_all(place(i, cut), begins[MESSAGES], LARGEST);
    free(stream);
}

TEST(what_does_not_fit_stays_whole_behind_a_long_message)
{
    make_stream();
    for (int i = 1; i <= MESSAGES; i++)
        for (int cut = 0; cut < CUTS; cut += 3)
            read_all(place(i, cut), begins[MESSAGES], 30000);
    free(stream);
}

TEST(an_end_behind_or_inside_a_long_message_is_reported_after_all_before_it)
{
    make_stream();
    for (int i = 1; i <= MESSAGES; i++)
        for (int cut = 0; cut < CUTS; cut++)
            if (place(i, cut) > 0)
                read_all(place(i, cut) / 2, place(i, cut), LARGEST);
    free(stream);
}

TEST(the_descriptor_shows_what_came_with_the_end_of_a_long_message)
{
    struct raw raw;
    struct writer writer;
    make_stream();
    begin(&raw, &raw_pipes, &writer, begins[1] + 5000, begins[3]);
    int fd = pipc_fd(raw.pipe);
    read_next(raw.pipe, 0, LARGEST);
    read_next(raw.pipe, 1, LARGEST);
    assert_int_equal(harness_wait(writer.process), 0);
    assert_true(harness_readable(fd, 0));
    read_next(raw.pipe, 2, LARGEST);
    raw_close(&raw);
    free(stream);
}

/* A read ahead would bring the second one by way of memory of the handle's. */
TEST(messages_of_64_KiB_go_from_a_socket_to_their_place)
{
    static unsigned char frame[4 + 65536] = {0, 1, 0, 0}, got[65536];
    struct raw raw;
    raw_open(&raw, &raw_socket, NULL);
    assert_int_equal(pipc_set_timeout(raw.pipe, -1, -1), 0);
    harness_fill(frame + 4, sizeof got, 7);
    for (int i = 0; i < 2; i++)
        raw_send(&raw, (const char *)frame, sizeof frame);
    fault_reset();
    fault_arm();
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pipc_read(raw.pipe, got, sizeof got), sizeof got);
        harness_check(got, sizeof got, 7);
    }
    fault_disarm();
    if (sys_can_wait_in_read()) /* elsewhere each part is a read of its own */
        assert_int_equal(fault_calls(CALL_readv), 2);
    raw_close(&raw);
}

static void read_short_of_memory(pipc_t *pipe, int i)
{
    static unsigned char got[LARGEST];
    fault_arm();
    ssize_t size = pipc_read(pipe, got, sizeof got);
    fault_disarm();
    if (size < 0) {
        assert_int_equal(errno, ENOMEM);
        size = pipc_read(pipe, got, sizeof got);
    }
    assert_int_equal(size, sizes[i]);
    harness_check(got, sizes[i], (uint64_t)i);
}

/* That memory comes and goes with long messages. */
TEST(a_lack_of_memory_to_read_ahead_into_loses_nothing)
{
    bool has_failed = true;
    make_stream();
    for (unsigned long nth = 1; has_failed; nth++) {
        struct raw raw;
        struct writer writer;
        begin(&raw, &raw_pipes, &writer, begins[1] + 10000, begins[MESSAGES]);
        fault_reset();
        fault_fail(CALL_realloc, nth, 0, ENOMEM);
        for (int i = 0; i < MESSAGES; i++)
            read_short_of_memory(raw.pipe, i);
        has_failed = fault_failures(CALL_realloc) > 0;
        finish(&raw, &writer);
    }
    free(stream);
}

HARNESS_MAIN("long_reads", IT(messages_arrive_whole_wherever_a_reader_has_to_wait_for_their_rest),
             IT(what_does_not_fit_stays_whole_behind_a_long_message),
             IT(an_end_behind_or_inside_a_long_message_is_reported_after_all_before_it),
             IT(the_descriptor_shows_what_came_with_the_end_of_a_long_message),
             IT(messages_of_64_KiB_go_from_a_socket_to_their_place),
             IT(a_lack_of_memory_to_read_ahead_into_loses_nothing))
