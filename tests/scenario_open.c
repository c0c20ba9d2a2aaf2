/* SPDX-License-Identifier: MIT */
/*
 * Opening the pipes of scenario.h, where it may fail. What the test calls itself to make descriptors is
 * not armed; what the library calls is.
 */
#include "scenario.h"

#include <sys/socket.h>
#include <unistd.h>

#include "fault.h"

static int try_pair(pipc_t *end[2])
{
    return pipc_open_pair(end, NULL);
}

static int try_open(pipc_t *end[2])
{
    end[0] = end[1] = pipc_open(NULL);
    return end[0] == NULL ? -1 : 0;
}

/* Refused descriptors are the caller's, as they were. */
static void take_back(const int fd[2])
{
    int error = errno;
    for (int i = 0; i < (fd[0] == fd[1] ? 1 : 2); i++) {
        if (fault_failures(CALL_fcntl) < 2) /* else it could not give them back */
            assert_int_equal(fcntl(fd[i], F_GETFL) & O_NONBLOCK, 0);
        assert_int_equal(close(fd[i]), 0);
    }
    errno = error;
}

static pipc_t *try_fds(const int fd[2])
{
    bool was_armed = fault_armed();
    pipc_t *pipe = pipc_open_fds(fd[0], fd[1], NULL);
    fault_disarm();
    if (pipe == NULL)
        take_back(fd);
    if (was_armed)
        fault_arm();
    return pipe;
}

static int try_adopting(pipc_t *end[2], const int first[2], const int second[2])
{
    end[0] = try_fds(first);
    end[1] = try_fds(second);
    if (end[0] != NULL && end[1] != NULL)
        return 0;
    int error = errno;
    pipc_close(end[0]);
    pipc_close(end[1]);
    errno = error;
    return -1;
}

/* Makes its own calls unarmed, and arms for the library's. */
static int try_sockets(pipc_t *end[2])
{
    int fd[2];
    bool was_armed = fault_armed();
    fault_disarm();
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
    if (was_armed)
        fault_arm();
    return try_adopting(end, (int[]){fd[0], fd[0]}, (int[]){fd[1], fd[1]});
}

static int try_pipes(pipc_t *end[2])
{
    int there[2], back[2];
    bool was_armed = fault_armed();
    fault_disarm();
    assert_int_equal(pipe2(there, O_CLOEXEC), 0);
    assert_int_equal(pipe2(back, O_CLOEXEC), 0);
    if (was_armed)
        fault_arm();
    return try_adopting(end, (int[]){back[0], there[1]}, (int[]){there[0], back[1]});
}

const struct kind scenario_kinds[] = {
    {"anonymous", NULL, true, true},    {"pair", NULL, false, false},
    {"socketpair", NULL, false, false}, {"two pipes", NULL, false, false},
    {NULL, NULL, false, false},
};
static int (*const openers[])(pipc_t *end[2]) = {try_open, try_pair, try_sockets, try_pipes};

int scenario_try_open(const struct kind *kind, pipc_t *end[2])
{
    return openers[kind - scenario_kinds](end);
}
