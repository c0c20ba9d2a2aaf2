/* SPDX-License-Identifier: MIT */
/*
 * What a hostile server may offer its client in place of memory, and a client its server: it stays
 * a socket, no message is lost, and no descriptor is left.
 */
#include "moving.h"

#include <fcntl.h>
#include <linux/memfd.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fds.h"
#include "net.h"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

static off_t right_size(void)
{
    struct share_memory memory;
    moving_need();
    int fd = share_memory_make(&memory, SHARE_LIMITED);
    assert_true(fd >= 0);
    off_t size = lseek(fd, 0, SEEK_END);
    close(fd);
    share_memory_give_up(&memory);
    return size;
}

static int memory_of(off_t size, unsigned flags, int seals)
{
    int fd = memfd_create("hostile", flags | MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -1;
    assert_int_equal(ftruncate(fd, size), 0);
    uint64_t magic = 0;
    struct share_memory memory;
    int honest = share_memory_make(&memory, SHARE_LIMITED);
    assert_int_equal(pread(honest, &magic, sizeof magic, 0), sizeof magic);
    close(honest);
    share_memory_give_up(&memory);
    if ((flags & MFD_HUGETLB) == 0)
        assert_int_equal(pwrite(fd, &magic, sizeof magic, 0), sizeof magic);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
    return fd;
}

enum { SEALS = F_SEAL_SHRINK | F_SEAL_GROW };

static int make_unsealed(void)
{
    return memory_of(right_size(), 0, 0);
}
static int make_no_shrink(void)
{
    return memory_of(right_size(), 0, F_SEAL_SHRINK);
}
static int make_no_grow(void)
{
    return memory_of(right_size(), 0, F_SEAL_GROW);
}
static int make_read_only(void)
{
    return memory_of(right_size(), 0, SEALS | F_SEAL_WRITE);
}
static int make_future(void)
{
    return memory_of(right_size(), 0, SEALS | F_SEAL_FUTURE_WRITE);
}
static int make_small(void)
{
    return memory_of(right_size() - 4096, 0, SEALS);
}
static int make_tiny(void)
{
    return memory_of(8, 0, SEALS);
}
static int make_large(void)
{
    return memory_of(right_size() + 4096, 0, SEALS);
}
static int make_huge(void)
{
    return memory_of((off_t)1 << 40, 0, SEALS);
}
static int make_huge_pages(void)
{
    return memory_of((size_t)4 << 20, MFD_HUGETLB, SEALS);
}

static int make_no_magic(void)
{
    int fd = memfd_create("hostile", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_int_equal(ftruncate(fd, right_size()), 0);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, SEALS), 0);
    return fd;
}

static int make_file(void)
{
    char name[] = "/var/tmp/moving-XXXXXX";
    int fd = mkstemp(name);
    assert_true(fd >= 0);
    unlink(name);
    assert_int_equal(ftruncate(fd, right_size()), 0);
    return fd;
}

/* A descriptor that may not be mapped for writing. */
static int make_opened_for_reading(void)
{
    char name[64];
    int fd = memory_of(right_size(), 0, SEALS);
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    int reading = open(name, O_RDONLY | O_CLOEXEC);
    close(fd);
    return reading;
}

static int make_zero(void)
{
    return open("/dev/zero", O_RDWR | O_CLOEXEC);
}
static int make_null(void)
{
    return open("/dev/null", O_RDWR | O_CLOEXEC);
}
static int make_directory(void)
{
    return open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}
static int make_path(void)
{
    return open("/", O_PATH | O_CLOEXEC);
}
static int make_epoll(void)
{
    return epoll_create1(EPOLL_CLOEXEC);
}
static int make_socket(void)
{
    return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static int (*const makers[])(void) = {make_unsealed,
                                      make_no_shrink,
                                      make_no_grow,
                                      make_read_only,
                                      make_future,
                                      make_small,
                                      make_tiny,
                                      make_large,
                                      make_huge,
                                      make_huge_pages,
                                      make_no_magic,
                                      make_file,
                                      make_opened_for_reading,
                                      make_zero,
                                      make_null,
                                      make_directory,
                                      make_path,
                                      make_epoll,
                                      make_socket};

/* It has looked for an offer, and admits no descriptor any more. */
static void expect_refused(int raw, int fd)
{
    errno = 0;
    assert_int_equal(fds_try_send_raw(raw, "x", 1, &fd, 1), -1);
    assert_int_equal(errno, EPERM);
}

static void offer_anything_else(void)
{
    for (size_t i = 0; i < sizeof makers / sizeof makers[0]; i++) {
        int raw, fd = makers[i]();
        if (fd < 0)
            continue; /* no huge pages here */
        pipc_t *pipe = moving_raw_client(&raw);
        int before = harness_open_descriptors();
        moving_say_with(raw, "offer", &fd, 1);
        net_expect(pipe, "offer");
        net_say(pipe, "answer");
        moving_expect_raw(raw, "answer");
        assert_int_equal(moving_state(pipe), SHARE_NEVER);
        assert_int_equal(harness_open_descriptors(), before);
        if (fds_can_refuse())
            expect_refused(raw, fd);
        moving_say_raw(raw, "and on");
        net_expect(pipe, "and on");
        pipc_close(pipe);
        close(raw);
        close(fd);
    }
}

TEST(a_client_that_is_offered_anything_else_stays_a_socket)
{
    offer_anything_else();
    share_large_max = 0; /* the other size is right */
    offer_anything_else();
}

TEST(a_client_that_is_offered_memory_of_either_size_takes_it)
{
    for (int is_large = 0; is_large < 2; is_large++) {
        int raw;
        struct share_memory memory;
        share_large_max = is_large ? (size_t)1 << 30 : 0;
        pipc_t *pipe = moving_raw_client(&raw);
        int fd = share_memory_make(&memory, SHARE_LIMITED);
        assert_true(fd >= 0);
        moving_say_with(raw, "offer", &fd, 1);
        net_expect(pipe, "offer");
        net_say(pipe, "answer");
        assert_int_equal(moving_state(pipe), SHARE_LEAVING);
        assert_int_equal(moving_transport(pipe)->share->memory.is_large, is_large);
        pipc_close(pipe);
        share_memory_give_up(&memory);
        close(fd);
        close(raw);
    }
}

/* Of the library's client. Nothing of an offer that it refuses is left. */
static void expect_answer_to(const int *fds, int count, enum share_state expected)
{
    int raw;
    pipc_t *pipe = moving_raw_client(&raw);
    int before = harness_open_descriptors();
    moving_say_with(raw, "offer", fds, count);
    net_expect(pipe, "offer");
    net_say(pipe, "answer");
    assert_int_equal(moving_state(pipe), expected);
    if (expected == SHARE_NEVER) {
        moving_expect_raw(raw, "answer");
        assert_int_equal(harness_open_descriptors(), before);
    }
    pipc_close(pipe);
    close(raw);
    assert_int_equal(harness_open_descriptors(), before - 2);
}

TEST(a_client_that_is_offered_many_descriptors_keeps_none)
{
    struct fds fds;
    fds_make(&fds);
    expect_answer_to(fds.fd, FDS_MAX, SHARE_NEVER);
    fds_end(&fds);
}

/* What may lie where the ends of pipes belong: descriptors, the last two open to write and read. */
struct ends {
    int count, fd[SHARE_OFFER_MAX + 1];
};

static int open_again(int fd, int flags)
{
    char name[64];
    harness_need_proc();
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    return open(name, flags | O_CLOEXEC | O_NONBLOCK);
}

static void make_pipe(int *write_end, int *read_end)
{
    int fd[2];
    assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
    *read_end = fd[0];
    *write_end = fd[1];
}

static struct ends make_ends(int which)
{
    struct ends e = {.count = SHARE_OFFER_MAX};
    e.fd[0] = memory_of(right_size(), 0, SEALS);
    make_pipe(&e.fd[1], &e.fd[2]);
    int both[2] = {e.fd[1], e.fd[2]};
    switch (which) {
    case 0: /* none is missing, and one is too many */
        e.fd[e.count++] = dup(e.fd[1]);
        break;
    case 1: /* one is missing */
        close(e.fd[--e.count]);
        break;
    case 2: /* the wrong way round */
        e.fd[1] = both[1];
        e.fd[2] = both[0];
        break;
    case 3: /* for both ways */
        e.fd[1] = open_again(both[0], O_RDWR);
        close(both[0]);
        break;
    case 4:
        e.fd[2] = open_again(both[1], O_RDWR);
        close(both[1]);
        break;
    case 5: /* names of ends */
        e.fd[1] = open_again(both[0], O_PATH);
        close(both[0]);
        break;
    case 6: /* sockets */
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, &e.fd[1]), 0);
        break;
    case 7: /* files */
        e.fd[1] = open("/dev/null", O_WRONLY | O_CLOEXEC);
        e.fd[2] = open("/dev/zero", O_RDONLY | O_CLOEXEC);
        break;
    case 8: /* memory once more */
        e.fd[1] = dup(e.fd[0]);
        e.fd[2] = dup(e.fd[0]);
        break;
    default: /* no memory */
        close(e.fd[0]);
        make_pipe(&e.fd[0], &e.fd[3]);
        close(e.fd[3]);
    }
    if (which >= 6 && which <= 8) {
        close(both[0]);
        close(both[1]);
    }
    return e;
}

TEST(a_client_that_is_offered_memory_and_anything_but_two_ends_of_pipes_stays_a_socket)
{
    for (int which = 0; which <= 9; which++) {
        struct ends e = make_ends(which);
        expect_answer_to(e.fd, e.count, SHARE_NEVER);
        for (int i = 0; i < e.count; i++)
            close(e.fd[i]);
    }
}

/* They are as good as an honest peer's until they are used. */
TEST(a_client_that_is_offered_ends_of_any_pipes_takes_them)
{
    if (!moving_has_doorbells())
        harness_skip("no pipes as doorbells here");
    char junk[4096] = {0};
    struct ends e = make_ends(2);
    int fds[] = {e.fd[0], e.fd[2], e.fd[1]};
    expect_answer_to(fds, 3, SHARE_LEAVING);
    close(e.fd[0]);
    e.fd[0] = fds[0] = memory_of(right_size(), 0, SEALS);
    assert_int_equal(fcntl(e.fd[2], F_SETFL, O_NONBLOCK), 0);
    while (write(e.fd[2], junk, sizeof junk) > 0)
        continue;
    assert_int_equal(fcntl(e.fd[2], F_SETFL, 0), 0);
    expect_answer_to(fds, 3, SHARE_LEAVING); /* full, and it would block */
    for (int i = 0; i < 3; i++)
        close(e.fd[i]);
}

TEST(a_client_that_has_no_number_for_an_offer_stays_a_socket)
{
    int raw, fds[SHARE_OFFER_MAX] = {memory_of(right_size(), 0, SEALS)};
    make_pipe(&fds[1], &fds[2]);
    for (int left = 0; left < SHARE_OFFER_MAX; left++) {
        pipc_t *pipe = moving_raw_client(&raw);
        int before = harness_open_descriptors(), next = dup(raw);
        moving_say_with(raw, "offer", fds, SHARE_OFFER_MAX);
        close(next);
        rlim_t limit = harness_limit(RLIMIT_NOFILE, (rlim_t)(next + left));
        net_expect(pipe, "offer");
        net_say(pipe, "answer");
        harness_limit(RLIMIT_NOFILE, limit);
        moving_expect_raw(raw, "answer");
        assert_int_equal(moving_state(pipe), SHARE_NEVER);
        assert_int_equal(harness_open_descriptors(), before);
        pipc_close(pipe);
        close(raw);
    }
    for (int i = 0; i < SHARE_OFFER_MAX; i++)
        close(fds[i]);
}

TEST(a_server_takes_no_memory_from_its_clients)
{
    int raw, fd = memory_of(right_size(), 0, SEALS);
    pipc_t *pipe = moving_raw_accepted(&raw);
    int before = harness_open_descriptors();
    unsigned char frame[64];
    size_t size = moving_frame(frame, "offer");
    if (fds_try_send_raw(raw, frame, 1, &fd, 1) < 0)
        assert_int_equal(send(raw, frame, 1, MSG_NOSIGNAL), 1);
    assert_int_equal(send(raw, frame + 1, size - 1, MSG_NOSIGNAL), size - 1);
    net_expect(pipe, "offer");
    assert_int_equal(moving_state(pipe), SHARE_AWAIT);
    assert_int_equal(harness_open_descriptors(), before);
    pipc_close(pipe);
    close(raw);
    close(fd);
}

HARNESS_MAIN("moving into shared memory, offers",
             IT(a_client_that_is_offered_anything_else_stays_a_socket),
             IT(a_client_that_is_offered_memory_of_either_size_takes_it),
             IT(a_client_that_is_offered_many_descriptors_keeps_none),
             IT(a_client_that_is_offered_memory_and_anything_but_two_ends_of_pipes_stays_a_socket),
             IT(a_client_that_is_offered_ends_of_any_pipes_takes_them),
             IT(a_client_that_has_no_number_for_an_offer_stays_a_socket),
             IT(a_server_takes_no_memory_from_its_clients))
