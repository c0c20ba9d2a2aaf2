/* SPDX-License-Identifier: MIT */
/*
 * What a client that waits for memory lets in, and for how long: descriptors, until 8 MiB have come
 * without any; then the sender is refused again. What is no sealed memory is asked for nothing but
 * its seals, since other file systems can keep the caller waiting.
 */
#include "moving.h"

#include <stdio.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fault.h"
#include "fds.h"
#include "net.h"
#include "transport/transport_fd.h"

/* --- For how long --- */

enum { PATIENCE = 8 << 20, PIECE = 65536, PASSRIGHTS = 83 };

/* True: they were let in, whatever became of them. */
static bool lets_descriptors_in(int raw, const char *text)
{
    unsigned char frame[64];
    size_t size = moving_frame(frame, text);
    bool is_let_in = fds_try_send_raw(raw, frame, 1, &raw, 1) == 1;
    if (!is_let_in) {
        assert_int_equal(errno, EPERM);
        assert_int_equal(send(raw, frame, 1, MSG_NOSIGNAL), 1);
    }
    assert_int_equal(send(raw, frame + 1, size - 1, MSG_NOSIGNAL), size - 1);
    return is_let_in;
}

/* One message of so many bytes, frame included. */
static void send_and_read(pipc_t *pipe, int raw, size_t size)
{
    static unsigned char frame[PIECE], got[PIECE];
    size_t data = size - MOVING_HEADER;
    memset(frame, 0, sizeof frame);
    frame[2] = (unsigned char)(data >> 8);
    frame[3] = (unsigned char)data;
    assert_int_equal(send(raw, frame, size, MSG_NOSIGNAL), size);
    assert_int_equal(pipc_read(pipe, got, sizeof got), data);
}

TEST(a_client_that_gets_no_memory_refuses_descriptors_again_after_8_MiB)
{
    int raw;
    size_t received = 0;
    char byte;
    if (!fds_can_refuse())
        harness_skip("this kernel has no SO_PASSRIGHTS (Linux 6.16)");
    pipc_t *pipe = moving_raw_client(&raw);
    assert_int_equal(pipc_set_timeout(pipe, 0, 0), 0);
    assert_errno(pipc_read(pipe, &byte, 1), EAGAIN); /* from here on it looks for the offer */
    int before = harness_open_descriptors();
    for (; received + PIECE < PATIENCE; received += PIECE)
        send_and_read(pipe, raw, PIECE);
    send_and_read(pipe, raw, PATIENCE - 1 - received);
    assert_int_equal(pipc_pending(pipe), 0);
    assert_int_equal(moving_state(pipe), SHARE_AWAIT);
    assert_int_equal(net_option(moving_transport(pipe)->in, SOL_SOCKET, PASSRIGHTS), 1);
    send_and_read(pipe, raw, PIECE);
    assert_int_equal(pipc_pending(pipe), 0);
    assert_false(lets_descriptors_in(raw, "late"));
    net_expect(pipe, "late");
    assert_int_equal(moving_state(pipe), SHARE_NEVER);
    assert_int_equal(harness_open_descriptors(), before);
    pipc_close(pipe);
    close(raw);
}

/* --- What is offered --- */

static int make_fifo(void)
{
    char name[] = "/var/tmp/moving-XXXXXX", path[64];
    assert_non_null(mkdtemp(name));
    snprintf(path, sizeof path, "%s/fifo", name);
    assert_int_equal(mkfifo(path, 0600), 0);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    unlink(path);
    rmdir(name);
    return fd;
}

static int make_file_of_proc(void)
{
    return open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
}

static int make_memory_of_proc(void)
{
    return open("/proc/self/mem", O_RDWR | O_CLOEXEC);
}

static int make_file(void)
{
    char name[] = "/var/tmp/moving-XXXXXX";
    int fd = mkstemp(name);
    unlink(name);
    return fd;
}

static int make_pipe(void)
{
    int fd[2];
    assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
    close(fd[1]);
    return fd[0];
}

static int make_notifier(void)
{
    return inotify_init1(IN_CLOEXEC);
}

static int make_terminal(void)
{
    return posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
}

static int make_fuse(void)
{
    return open("/dev/fuse", O_RDWR | O_CLOEXEC);
}

static const struct {
    const char *name;
    int (*make)(void);
} offers[] = {{"FIFO", make_fifo},
              {"file of /proc", make_file_of_proc},
              {"/proc/self/mem", make_memory_of_proc},
              {"regular file", make_file},
              {"pipe", make_pipe},
              {"inotify", make_notifier},
              {"terminal", make_terminal},
              {"/dev/fuse", make_fuse}};

static void expect_declined(pipc_t *pipe, int raw, const char *name)
{
    char got[8];
    fault_reset();
    fault_arm();
    ssize_t size = pipc_read(pipe, got, sizeof got);
    ssize_t sent = pipc_write(pipe, "answer", 6);
    fault_disarm();
    if (size != 5 || sent != 6)
        fail_msg("%s: %zd, %zd: %s", name, size, sent, strerror(errno));
    if (fault_calls(CALL_fstat) + fault_calls(CALL_fstatfs) + fault_calls(CALL_mmap) > 0)
        fail_msg("%s was asked for more than its seals", name);
    moving_expect_raw(raw, "answer");
    assert_int_equal(moving_state(pipe), SHARE_NEVER);
}

TEST(an_offer_that_is_no_sealed_memory_is_asked_only_for_its_seals_and_declined)
{
    for (size_t i = 0; i < sizeof offers / sizeof offers[0]; i++) {
        int raw, fd = offers[i].make();
        if (fd < 0)
            continue; /* it is not to be had here */
        pipc_t *pipe = moving_raw_client(&raw);
        int before = harness_open_descriptors();
        moving_say_with(raw, "offer", &fd, 1);
        expect_declined(pipe, raw, offers[i].name);
        assert_int_equal(harness_open_descriptors(), before);
        moving_say_raw(raw, "on");
        net_expect(pipe, "on");
        pipc_close(pipe);
        close(raw);
        close(fd);
    }
}

HARNESS_MAIN("moving into shared memory, refusals",
             IT(a_client_that_gets_no_memory_refuses_descriptors_again_after_8_MiB),
             IT(an_offer_that_is_no_sealed_memory_is_asked_only_for_its_seals_and_declined))
