/* SPDX-License-Identifier: MIT */
/*
 * Where the descriptors of a message are on the wire, as a plain socket sees it: all of them come
 * with one byte, the first of the frame, which was sent alone.
 */
#include <sys/socket.h>
#include <unistd.h>

#include "fds.h"
#include "paths.h"

enum { HEADER = 4, LARGE = 70000 };

/* A handle and a plain socket; the library has adopted, accepted or opened its side. */
static pipc_t *open_adopted(int *raw, unsigned flags)
{
    return fds_open_raw(raw, flags);
}

static pipc_t *open_accepted(int *raw, unsigned flags)
{
    struct paths paths;
    pipc_options_t options = fds_options(flags);
    paths_begin(&paths);
    pipc_server_t *server = paths_serve(paths_to(&paths, "socket"), &options);
    *raw = paths_connect(paths_to(&paths, "socket"));
    assert_true(*raw >= 0);
    pipc_t *pipe = pipc_server_accept(server, 10000);
    pipc_server_close(server);
    paths_end(&paths);
    return pipe;
}

static pipc_t *open_connected(int *raw, unsigned flags)
{
    struct paths paths;
    pipc_options_t options = fds_options(flags);
    paths_begin(&paths);
    const char *path = paths_to(&paths, "socket");
    int listener = paths_listen(path, 1);
    pipc_t *pipe = pipc_open_unix(path, 10000, &options);
    *raw = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(*raw >= 0);
    close(listener);
    unlink(path);
    paths_end(&paths);
    return pipe;
}

static pipc_t *(*const openers[])(int *raw, unsigned flags) = {open_adopted, open_accepted,
                                                               open_connected};

struct received {
    ssize_t size;
    int count; /* of descriptors, which are closed */
};

/*
 * What one recvmsg returns. The kernel joins what was sent by several calls, but stops behind the
 * bytes of a call that brought descriptors.
 */
static struct received receive(int raw, void *to, size_t size)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE((FDS_MAX + 1) * sizeof(int))];
    } control;
    struct iovec part = {to, size};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    struct received got = {.size = recvmsg(raw, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT)};
    assert_int_equal(message.msg_flags & MSG_CTRUNC, 0);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (got.size < 0 || header == NULL)
        return got;
    assert_int_equal(header->cmsg_type, SCM_RIGHTS);
    assert_true(message.msg_controllen <= CMSG_ALIGN(header->cmsg_len)); /* the only one */
    got.count = (int)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    for (int i = 0; i < got.count; i++) {
        int fd;
        memcpy(&fd, CMSG_DATA(header) + (size_t)i * sizeof fd, sizeof fd);
        close(fd);
    }
    return got;
}

static void expect_bytes(int raw, const char *bytes, size_t size, int count)
{
    static char got[LARGE];
    struct received r = receive(raw, got, sizeof got);
    assert_int_equal(r.size, size);
    assert_memory_equal(got, bytes, size);
    assert_int_equal(r.count, count);
}

/* The rest of a frame, in as many calls as it takes, without any. */
static void expect_plain(pipc_t *pipe, int raw, size_t size)
{
    static char got[LARGE];
    for (size_t at = 0; at < size;) {
        struct received r = receive(raw, got, sizeof got);
        assert_true(r.size > 0);
        assert_int_equal(r.count, 0);
        at += (size_t)r.size;
        assert_in_range(pipc_pending(pipe), 0, 0); /* which sends what is held */
    }
    assert_int_equal(receive(raw, got, sizeof got).size, -1);
}

TEST(all_descriptors_of_a_message_come_with_one_byte_that_was_sent_alone)
{
    static const size_t sizes[] = {0, 1, 5, 4096, LARGE - HEADER, 3 * LARGE};
    static char data[3 * LARGE];
    struct fds fds;
    fds_make(&fds);
    for (size_t o = 0; o < sizeof openers / sizeof openers[0]; o++)
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
            int raw;
            pipc_t *pipe = openers[o](&raw, 0);
            assert_int_equal(pipc_set_timeout(pipe, 0, 0), 0);
            for (int count = 1; count <= FDS_MAX; count++) {
                assert_int_equal(pipc_write_fds(pipe, data, sizes[s], fds.fd, count), sizes[s]);
                expect_bytes(raw, "", 1, count);
                expect_plain(pipe, raw, HEADER - 1 + sizes[s]);
            }
            pipc_close(pipe);
            close(raw);
        }
    fds_end(&fds);
}

/* The kernel joins it with bytes that were sent before, and with nothing that comes behind. */
static void expect_between_others(pipc_t *pipe, int raw, const struct fds *fds)
{
    assert_int_equal(pipc_write(pipe, "a", 1), 1);
    fds_say(pipe, "b", fds, 2);
    fds_say(pipe, "c", fds, FDS_MAX);
    assert_int_equal(pipc_write(pipe, "d", 1), 1);
    assert_int_equal(pipc_flush(pipe), 0);
    expect_bytes(raw, "\0\0\0\1a\0", 6, 2);
    expect_bytes(raw, "\0\0\1b\0", 5, FDS_MAX);
    expect_bytes(raw, "\0\0\1c\0\0\0\1d", 9, 0);
}

TEST(among_other_messages_they_come_with_the_first_byte_of_their_own)
{
    static const unsigned flags[] = {0, PIPC_GATHER, PIPC_DUPLEX};
    struct fds fds;
    fds_make(&fds);
    for (size_t o = 0; o < sizeof openers / sizeof openers[0]; o++)
        for (size_t f = 0; f < sizeof flags / sizeof flags[0]; f++) {
            int raw;
            pipc_t *pipe = openers[o](&raw, flags[f]);
            expect_between_others(pipe, raw, &fds);
            pipc_close(pipe);
            close(raw);
        }
    fds_end(&fds);
}

HARNESS_MAIN("descriptors on the wire",
             IT(all_descriptors_of_a_message_come_with_one_byte_that_was_sent_alone),
             IT(among_other_messages_they_come_with_the_first_byte_of_their_own))
