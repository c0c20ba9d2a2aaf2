/* SPDX-License-Identifier: MIT */
/*
 * The table of kinds: how each is opened, and what a test may have to know about it. What a pipe
 * does afterwards is for the tests. Calls of the tests themselves are never armed for faults, so an
 * opener disarms around its own calls.
 */
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "fault.h"
#include "fifos.h"
#include "harness.h"
#include "hosts.h"
#include "moving.h"
#include "net.h"
#include "paths.h"

pipc_t *harness_adopt(int read_fd, int write_fd, const pipc_options_t *options)
{
    pipc_t *pipe = pipc_open_fds(read_fd, write_fd, options);
    if (pipe == NULL)
        fail_msg("pipc_open_fds: %s", strerror(errno));
    return pipe;
}

/* --- Local kinds, where opening may fail ------------------------------------------------------ */

static int open_anonymous(pipc_t *end[2], const pipc_options_t *options)
{
    end[0] = end[1] = pipc_open(options);
    return end[0] == NULL ? -1 : 0;
}

/* Descriptors that were refused are still the caller's, and as they were. */
static void close_refused(const int fd[2])
{
    int error = errno;
    for (int i = 0; i < (fd[0] == fd[1] ? 1 : 2); i++) {
        if (fault_failures(CALL_fcntl) < 2) /* else it could not restore them */
            assert_int_equal(fcntl(fd[i], F_GETFL) & O_NONBLOCK, 0);
        assert_int_equal(close(fd[i]), 0);
    }
    errno = error;
}

static bool suspend_faults(void)
{
    bool was_armed = fault_armed();
    fault_disarm();
    return was_armed;
}

static void resume_faults(bool was_armed)
{
    if (was_armed)
        fault_arm();
}

static pipc_t *try_to_adopt(const int fd[2], const pipc_options_t *options)
{
    pipc_t *pipe = pipc_open_fds(fd[0], fd[1], options);
    bool was_armed = suspend_faults();
    if (pipe == NULL)
        close_refused(fd);
    resume_faults(was_armed);
    return pipe;
}

static int adopt_both(pipc_t *end[2], const pipc_options_t *options, const int first[2],
                      const int second[2])
{
    end[0] = try_to_adopt(first, options);
    end[1] = try_to_adopt(second, options);
    if (end[0] != NULL && end[1] != NULL)
        return 0;
    int error = errno;
    pipc_close(end[0]);
    pipc_close(end[1]);
    errno = error;
    return -1;
}

static int open_sockets(pipc_t *end[2], const pipc_options_t *options)
{
    int fd[2];
    bool was_armed = suspend_faults();
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
    resume_faults(was_armed);
    return adopt_both(end, options, (int[]){fd[0], fd[0]}, (int[]){fd[1], fd[1]});
}

static int open_pipes(pipc_t *end[2], const pipc_options_t *options)
{
    int there[2], back[2];
    bool was_armed = suspend_faults();
    assert_int_equal(pipe2(there, O_CLOEXEC), 0);
    assert_int_equal(pipe2(back, O_CLOEXEC), 0);
    resume_faults(was_armed);
    return adopt_both(end, options, (int[]){back[0], there[1]}, (int[]){there[0], back[1]});
}

/* --- Kinds that must open --------------------------------------------------------------------- */

/* With buffers of a fixed size. A buffer that the kernel tunes may take more after it was full, and
 * may hold many megabytes. */
static int tcp_socket(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int size = 128 * 1024;
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size), 0);
    return fd;
}

static int listen_on_loopback(struct sockaddr_in *address)
{
    socklen_t length = sizeof *address;
    hosts_need_loopback();
    int fd = tcp_socket();
    *address = (struct sockaddr_in){.sin_family = AF_INET};
    address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)address, length), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)address, &length), 0);
    assert_int_equal(listen(fd, 1), 0);
    return fd;
}

static int open_tcp(pipc_t *end[2], const pipc_options_t *options)
{
    struct sockaddr_in address;
    int listener = listen_on_loopback(&address);
    int near = tcp_socket();
    assert_int_equal(connect(near, (struct sockaddr *)&address, sizeof address), 0);
    int far = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(far >= 0);
    close(listener);
    end[0] = harness_adopt(near, near, options);
    end[1] = harness_adopt(far, far, options);
    return 0;
}

static int open_fifos(pipc_t *end[2], const pipc_options_t *options)
{
    fifos_open_kind(end, options);
    return 0;
}

static int open_rendezvous(pipc_t *end[2], const pipc_options_t *options)
{
    net_open_rendezvous(end, options);
    return 0;
}

static int open_server(pipc_t *end[2], const pipc_options_t *options)
{
    net_open_server(end, options);
    return 0;
}

static int open_path(pipc_t *end[2], const pipc_options_t *options)
{
    paths_open_kind(end, options);
    return 0;
}

static int open_moving(pipc_t *end[2], const pipc_options_t *options)
{
    moving_open_kind(end, options);
    return 0;
}

static int open_moved(pipc_t *end[2], const pipc_options_t *options)
{
    moving_open_moved_kind(end, options);
    return 0;
}

static int open_moving_pair(pipc_t *end[2], const pipc_options_t *options)
{
    moving_open_pair_kind(end, options);
    return 0;
}

static int open_moved_pair(pipc_t *end[2], const pipc_options_t *options)
{
    moving_open_moved_pair_kind(end, options);
    return 0;
}

static int open_pair_of_pipes(pipc_t *end[2], const pipc_options_t *options)
{
    pipc_options_t all = options == NULL ? (pipc_options_t)PIPC_OPTIONS_INIT : *options;
    all.flags |= PIPC_NO_SHARED_MEMORY;
    all.flags &= ~(unsigned)PIPC_ACCEPT_FDS;
    return pipc_open_pair(end, &all);
}

static void make_raw(int fd)
{
    struct termios mode;
    assert_int_equal(tcgetattr(fd, &mode), 0);
    cfmakeraw(&mode);
    assert_int_equal(tcsetattr(fd, TCSANOW, &mode), 0);
}

static int open_terminal(pipc_t *end[2], const pipc_options_t *options)
{
    char name[64];
    int near = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(near >= 0);
    assert_int_equal(grantpt(near), 0);
    assert_int_equal(unlockpt(near), 0);
    assert_int_equal(ptsname_r(near, name, sizeof name), 0);
    int far = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(far >= 0);
    make_raw(far);
    end[0] = harness_adopt(near, near, options);
    end[1] = harness_adopt(far, far, options);
    return 0;
}

/* --- The table -------------------------------------------------------------------------------- */

/* The numbers of descriptors are those that the manual names (section 4). */
static const struct kind kinds[] = {
    {.name = "anonymous",
     .open = open_anonymous,
     .same_handle = true,
     .in_threads = true,
     .made = true,
     .local = true,
     .descriptors = 3,
     .most_descriptors = 7},
    {.name = "anonymous, forked",
     .open = open_anonymous,
     .same_handle = true,
     .made = true,
     .local = true},
    {.name = "pair",
     .open = pipc_open_pair,
     .made = true,
     .local = true,
     .moves_later = true,
     .descriptors = 2,
     .most_descriptors = 10},
    {.name = "pair, moving",
     .open = open_moving_pair,
     .made = true,
     .moves = true,
     .open_differs = true,
     .descriptors = 2,
     .most_descriptors = 10},
    {.name = "pair, moved",
     .open = open_moved_pair,
     .made = true,
     .moves = true,
     .descriptors = 8,
     .most_descriptors = 10},
    {.name = "pair of pipes",
     .open = open_pair_of_pipes,
     .made = true,
     .local = true,
     .descriptors = 4,
     .most_descriptors = 8},
    {.name = "FIFOs", .open = open_fifos, .made = true, .descriptors = 4, .most_descriptors = 8},
    {.name = "TCP rendezvous",
     .open = open_rendezvous,
     .made = true,
     .tcp = true,
     .open_differs = true,
     .descriptors = 2,
     .most_descriptors = 4},
    {.name = "TCP server",
     .open = open_server,
     .made = true,
     .tcp = true,
     .open_differs = true,
     .descriptors = 2,
     .most_descriptors = 4},
    {.name = "Unix socket",
     .open = open_path,
     .made = true,
     .path = true,
     .open_differs = true,
     .descriptors = 2,
     .most_descriptors = 4},
    {.name = "Unix socket, moving",
     .open = open_moving,
     .made = true,
     .path = true,
     .moves = true,
     .open_differs = true,
     .descriptors = 2,
     .most_descriptors = 10},
    {.name = "Unix socket, moved",
     .open = open_moved,
     .made = true,
     .path = true,
     .moves = true,
     .descriptors = 8,
     .most_descriptors = 10},
    {.name = "socketpair",
     .open = open_sockets,
     .local = true,
     .open_differs = true,
     .descriptors = 2,
     .most_descriptors = 4},
    {.name = "two pipes",
     .open = open_pipes,
     .local = true,
     .descriptors = 4,
     .most_descriptors = 8},
    {.name = "TCP connection",
     .open = open_tcp,
     .tcp = true,
     .descriptors = 2,
     .most_descriptors = 4},
    {.name = "terminal", .open = open_terminal, .terminal = true},
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

const struct kind *const anonymous_in_threads = &kinds[0];
const struct kind *const anonymous_forked = &kinds[1];

static bool is_in_set(const struct kind *kind, enum kind_set set)
{
    bool is_forked = kind->same_handle && !kind->in_threads;
    bool is_usual = !is_forked && !kind->terminal;
    /* Under valgrind tests are slow, and these differ only in how they open. */
    bool is_thorough = !kind->open_differs || !harness_emulated();
    switch (set) {
    case ALL_KINDS:
        return is_usual && is_thorough;
    case TWO_HANDLE_KINDS:
        return is_usual && is_thorough && !kind->same_handle;
    case MADE_KINDS:
        return is_usual && is_thorough && kind->made && !kind->same_handle;
    case LOCAL_KINDS:
        return is_usual && kind->local;
    case LOCAL_TWO_HANDLE_KINDS:
        return is_usual && kind->local && !kind->same_handle;
    case LOCAL_OR_FORKED_KINDS:
        return kind->local;
    case MOVING_KINDS:
        return kind->moves;
    case ANONYMOUS_KINDS:
        return kind->same_handle;
    case TERMINALS:
        return kind->terminal;
    }
    return false;
}

const struct kind *kind_next(enum kind_set set, const struct kind *kind)
{
    for (kind = kind == NULL ? kinds : kind + 1; kind < kinds + KINDS; kind++)
        if (is_in_set(kind, set))
            return kind;
    return NULL;
}

void kind_open(const struct kind *kind, pipc_t *end[2], const pipc_options_t *options)
{
    if (kind->open(end, options) != 0)
        fail_msg("opening a pipe, %s: %s", kind->name, strerror(errno));
}

void kind_close(const struct kind *kind, pipc_t *end[2])
{
    if (!kind->same_handle)
        pipc_close(end[1]);
    pipc_close(end[0]);
}

/* The kernel repeats what a full receiver dropped at most 5 s apart. */
int kind_delay_ms(const struct kind *kind)
{
    return kind->tcp ? 7000 * harness_scale() : 0;
}
