/* SPDX-License-Identifier: MIT */
#include "fuzz.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>

void fuzz_fail(const char *file, int line, const char *format, ...)
{
    int error = errno;
    va_list arguments;
    fprintf(stderr, "%s:%d: ", file, line);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, " (errno: %s)\n", strerror(error));
    abort();
}

void fuzz_trace(const char *format, ...)
{
    static int is_wanted = -1;
    va_list arguments;
    if (is_wanted < 0)
        is_wanted = getenv("PIPC_FUZZ_TRACE") != NULL;
    if (!is_wanted)
        return;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
}

/* ---- the input ---- */

size_t fuzz_size(struct fuzz_input *in)
{
    static const uint32_t limits[] = {255,   1000,  2044,  2048,  4092,   4096,   16380,  16384,
                                      32768, 65532, 65536, 65540, 131072, 262140, 262144, 300000};
    uint8_t byte = fuzz_byte(in);
    return byte < 240 ? byte % 80 : limits[byte - 240] - fuzz_byte(in) % 8u;
}

/* ---- descriptors ---- */

struct fuzz_fds fuzz_fds_now(void)
{
    struct fuzz_fds fds;
    struct pollfd entries[FUZZ_FDS];
    for (int fd = 0; fd < FUZZ_FDS; fd++)
        entries[fd] = (struct pollfd){.fd = fd};
    while (poll(entries, FUZZ_FDS, 0) < 0)
        FUZZ_NEED(errno == EINTR); /* libFuzzer has a timer */
    for (int fd = 0; fd < FUZZ_FDS; fd++)
        fds.is_open[fd] = (entries[fd].revents & POLLNVAL) == 0;
    return fds;
}

void fuzz_fds_check(const struct fuzz_fds *before)
{
    struct fuzz_fds now = fuzz_fds_now();
    for (int fd = 0; fd < FUZZ_FDS; fd++) {
        FUZZ_CHECK(now.is_open[fd] || !before->is_open[fd], "descriptor %d was closed", fd);
        FUZZ_CHECK(!now.is_open[fd] || before->is_open[fd], "descriptor %d was left open", fd);
    }
}

void fuzz_socketpair(int fd[2])
{
    FUZZ_NEED(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) == 0);
}

void fuzz_nonblock(int fd)
{
    FUZZ_NEED(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) == 0);
}

bool fuzz_is_readable(int fd)
{
    struct pollfd entry = {.fd = fd, .events = POLLIN};
    while (poll(&entry, 1, 0) < 0)
        FUZZ_NEED(errno == EINTR);
    FUZZ_CHECK((entry.revents & POLLNVAL) == 0, "the descriptor to poll is closed");
    return entry.revents != 0;
}

bool fuzz_has_loopback(void)
{
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons(9), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    static int has = -1;
    if (has < 0) {
        int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        has = fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof at) == 0; /* sends nothing */
        close(fd);
    }
    return has == 1;
}

int64_t fuzz_now_ms(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

bool fuzz_becomes_readable(int fd, int ms)
{
    struct pollfd entry = {.fd = fd, .events = POLLIN};
    int64_t end = fuzz_now_ms() + ms, left = ms;
    int count;
    while ((count = poll(&entry, 1, (int)left)) < 0) {
        FUZZ_NEED(errno == EINTR);
        left = end - fuzz_now_ms();
        left = left > 0 ? left : 0;
    }
    return count == 1;
}

/* A TCP socket goes on by itself after a signal. */
static int await_connection(int fd)
{
    int error = 0;
    socklen_t size = sizeof error;
    struct pollfd entry = {.fd = fd, .events = POLLOUT};
    while (poll(&entry, 1, -1) < 0)
        FUZZ_NEED(errno == EINTR);
    FUZZ_NEED(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0);
    errno = error;
    return error == 0 ? 0 : -1;
}

int fuzz_connect(int fd, const struct sockaddr *address, socklen_t size)
{
    int result;
    do
        result = connect(fd, address, size);
    while (result != 0 && errno == EINTR && address->sa_family == AF_UNIX);
    return result != 0 && errno == EINTR ? await_connection(fd) : result;
}

size_t fuzz_write_some(int fd, const uint8_t *bytes, size_t size)
{
    size_t gone = 0;
    while (gone < size) {
        ssize_t n = write(fd, bytes + gone, size - gone);
        if (n <= 0)
            break;
        gone += (size_t)n;
    }
    return gone;
}

/* ---- handles ---- */

void fuzz_no_timeouts(pipc_t *pipe)
{
    FUZZ_CHECK(pipc_set_timeout(pipe, 0, 0) == 0, "timeouts are refused");
}

pipc_t *fuzz_adopt(int in, int out, const pipc_options_t *options)
{
    pipc_t *pipe = pipc_open_fds(in, out, options);
    FUZZ_CHECK(pipe != NULL, "descriptors are refused");
    fuzz_no_timeouts(pipe);
    return pipe;
}

pipc_stats_t fuzz_stats(const pipc_t *pipe)
{
    pipc_stats_t stats = PIPC_STATS_INIT;
    FUZZ_CHECK(pipc_stats(pipe, &stats) == 0, "no counts");
    return stats;
}
