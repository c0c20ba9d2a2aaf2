/* SPDX-License-Identifier: MIT */
/*
 * Unusual processes: 0, 1 and 2 are closed, files may not grow, memory is locked. A constructor
 * returns a handle or a documented errno, at once, and raises no signal.
 */
#define _GNU_SOURCE
#include "filter.h"
#include "harness.h"
#include "net.h"
#include "sys/sys_cancel.h"

#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* --- 0, 1 and 2 are closed
 * -------------------------------------------------------------------------------------
 *
 * They are the program's: what it prints must not end up in a pipe. An assertion has to be able to
 * print, so they come back for that.
 */

enum { SAVED = 300 };

static void expect(bool holds, const char *what)
{
    int error = errno;
    if (holds)
        return;
    for (int fd = 0; fd < 3; fd++)
        dup2(SAVED + fd, fd);
    fail_msg("%s (errno: %s)", what, strerror(error));
}

static void expect_none_standard(const char *when)
{
    for (int fd = 0; fd < 3; fd++)
        expect(fcntl(fd, F_GETFD) < 0, when);
}

static void close_standard(void)
{
    for (int fd = 0; fd < 3; fd++) {
        assert_true(fcntl(fd, F_DUPFD_CLOEXEC, SAVED + fd) == SAVED + fd);
        close(fd);
    }
}

static char directory[] = "/tmp/pipc-test-XXXXXX";
static struct net_port port;

/* The second side of a rendezvous, in a thread. */
struct peer_thread {
    pipc_t *(*open)(void);
    pipc_t *pipe;
    int error;
    pthread_t thread;
};

static void *run_peer_thread(void *arg)
{
    struct peer_thread *other = arg;
    other->pipe = other->open();
    other->error = errno;
    return NULL;
}

/* Both sides: 0, or -1 and errno of one that failed. */
static int open_both(pipc_t *(*first)(void), pipc_t *(*second)(void), pipc_t *end[2])
{
    struct peer_thread other = {.open = second};
    expect(pthread_create(&other.thread, NULL, run_peer_thread, &other) == 0, "a thread");
    end[0] = first();
    int error = errno;
    pthread_join(other.thread, NULL);
    end[1] = other.pipe;
    if (end[0] != NULL && end[1] != NULL)
        return 0;
    /* Who fails for a reason of its own leaves the other alone, which then has none. */
    errno = end[0] == NULL && error != ETIMEDOUT ? error : end[1] == NULL ? other.error : ETIMEDOUT;
    error = errno;
    for (int i = 0; i < 2; i++)
        pipc_close(end[i]);
    errno = error;
    return -1;
}

/* Short where an attempt may lack room: then it waits in vain. */
static int rendezvous_ms = 300;

static pipc_t *open_fifo(void)
{
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.directory = directory;
    return pipc_open_fifo("name", rendezvous_ms, &options);
}

static pipc_t *open_tcp(void)
{
    return pipc_open_tcp("127.0.0.1", port.number, rendezvous_ms, NULL);
}

static pipc_server_t *server;

static pipc_t *accept_client(void)
{
    return pipc_server_accept(server, rendezvous_ms);
}

static pipc_t *open_client(void)
{
    return pipc_open_tcp("127.0.0.1", pipc_server_port(server), rendezvous_ms, NULL);
}

typedef int open_ends(pipc_t *end[2]);

static int open_anonymous(pipc_t *end[2])
{
    end[0] = pipc_open(NULL);
    end[1] = NULL;
    return end[0] == NULL ? -1 : 0;
}

static int open_pair(pipc_t *end[2])
{
    return pipc_open_pair(end, NULL);
}

static int open_fifos(pipc_t *end[2])
{
    return open_both(open_fifo, open_fifo, end);
}

static int open_rendezvous(pipc_t *end[2])
{
    return open_both(open_tcp, open_tcp, end);
}

static int open_server(pipc_t *end[2])
{
    server = pipc_server_open(NULL, 0, NULL);
    if (server == NULL)
        return -1;
    expect_none_standard("a server has one of 0 to 2");
    int result = open_both(accept_client, open_client, end);
    int error = errno;
    if (result == 0)
        expect_none_standard("a client has one of 0 to 2");
    pipc_server_close(server);
    errno = error;
    return result;
}

static const struct {
    const char *name;
    open_ends *open;
} constructors[] = {{"pipc_open", open_anonymous},
                    {"pipc_open_pair", open_pair},
                    {"pipc_open_fifo", open_fifos},
                    {"pipc_open_tcp", open_rendezvous},
                    {"pipc_server_open", open_server}};
enum { CONSTRUCTORS = sizeof constructors / sizeof constructors[0] };

/* A handle for each use that makes descriptors; false: there is no room for them. */
static bool use(pipc_t *end[2])
{
    bool is_complete = true;
    for (int i = 0; i < 2 && end[i] != NULL; i++) {
        if (pipc_pending(end[i]) < 0 || pipc_fd(end[i]) < 0) {
            expect(errno == EMFILE, "EMFILE of pipc_fd");
            is_complete = false;
        }
        expect_none_standard("a handle in use has one of 0 to 2");
    }
    char byte;
    if (is_complete && end[1] != NULL) {
        expect(pipc_write(end[0], "x", 1) == 1, "pipc_write");
        expect(pipc_read(end[1], &byte, 1) == 1, "pipc_read");
    }
    return is_complete;
}

static bool open_and_use(open_ends *open)
{
    pipc_t *end[2];
    if (open(end) != 0) {
        expect(errno == EMFILE || errno == ETIMEDOUT || errno == EAGAIN,
               "EMFILE of the constructor");
        expect_none_standard("a constructor that fails leaves one of 0 to 2");
        return false;
    }
    expect_none_standard("a new handle has one of 0 to 2");
    bool is_complete = use(end);
    for (int i = 0; i < 2; i++)
        pipc_close(end[i]);
    expect_none_standard("pipc_close leaves one of 0 to 2");
    return is_complete;
}

static int try_constructor(void *arg)
{
    open_ends *open = *(open_ends *const *)arg;
    int before = harness_open_descriptors();
    close_standard();
    harness_limit(RLIMIT_NOFILE, 400);
    rendezvous_ms *= harness_scale();
    expect(open_and_use(open), "it works where there is room");
    expect(harness_open_descriptors() == before, "nothing is left");
    return 0;
}

/* Room for so many, of which 0 to 2 are three. */
static int try_with_little_room(void *arg)
{
    open_ends *open = *(open_ends *const *)arg;
    int before = harness_open_descriptors();
    close_standard();
    int lowest = 3;
    while (fcntl(lowest, F_GETFD) >= 0)
        lowest++;
    rlim_t room = (rlim_t)lowest;
    rlim_t full = harness_limit(RLIMIT_NOFILE, room);
    while (!open_and_use(open) && room < (rlim_t)lowest + 30)
        harness_limit(RLIMIT_NOFILE, ++room);
    expect(room < (rlim_t)lowest + 30 && room > (rlim_t)lowest, "it works from some limit on");
    harness_limit(RLIMIT_NOFILE, full);
    expect(harness_open_descriptors() == before, "nothing is left");
    return 0;
}

static void with_each_constructor(int (*fn)(void *arg))
{
    assert_non_null(mkdtemp(directory));
    port = net_reserve();
    for (size_t i = 0; i < CONSTRUCTORS; i++) {
        open_ends *open = constructors[i].open;
        int status = harness_wait(harness_fork(fn, &open));
        if (status != 0)
            fail_msg("%s: %d", constructors[i].name, status);
    }
    close(port.fd);
    assert_int_equal(rmdir(directory), 0);
}

TEST(no_descriptor_of_a_handle_is_0_1_or_2)
{
    with_each_constructor(try_constructor);
}

TEST(a_lack_of_descriptors_returns_EMFILE_when_only_0_1_and_2_are_free)
{
    with_each_constructor(try_with_little_room);
}

/* The connection waits until there is room for it. */
static int accept_with_little_room(void *unused)
{
    char byte;
    (void)unused;
    close_standard();
    pipc_server_t *mine = pipc_server_open(NULL, 0, NULL);
    expect(mine != NULL, "pipc_server_open");
    int client = net_connect(pipc_server_port(mine)); /* takes 0 */
    int high = fcntl(client, F_DUPFD_CLOEXEC, SAVED + 3);
    close(client);
    int lowest = 3;
    while (fcntl(lowest, F_GETFD) >= 0)
        lowest++;
    rlim_t full = harness_limit(RLIMIT_NOFILE, (rlim_t)lowest);
    expect(pipc_server_accept(mine, 200) == NULL && errno == ETIMEDOUT, "no room, nobody comes");
    harness_limit(RLIMIT_NOFILE, full);
    pipc_t *pipe = pipc_server_accept(mine, 5000);
    expect(pipe != NULL, "it comes when there is room");
    expect(write(high, "\0\0\0\1x", 5) == 5 && pipc_read(pipe, &byte, 1) == 1, "and talks");
    pipc_close(pipe);
    pipc_server_close(mine);
    return 0;
}

TEST(a_client_waits_for_a_descriptor_when_only_0_1_and_2_are_free)
{
    assert_int_equal(harness_wait(harness_fork(accept_with_little_room, NULL)), 0);
}

/* --- Files may not grow ----------------------------------------------------------------------- */

static volatile sig_atomic_t caught;

static void count_signal(int unused)
{
    (void)unused;
    caught++;
}

static void limit_files(rlim_t size)
{
    harness_limit(RLIMIT_FSIZE, size);
}

/* SIGXFSZ is at its default, and would kill. Names of system calls that are refused besides. */
static int open_under_limits(void *refused)
{
    static const rlim_t limits[] = {0, 1, 4096, 65536, 1 << 20, 2 << 20, 4 << 20};
    if (!filter_refuse(refused))
        return 0;
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        pipc_t *end[2];
        limit_files(limits[i]);
        bool works = open_anonymous(end) == 0;
        assert_int_equal(works, limits[i] > 2 << 20);
        if (works)
            assert_int_equal(pipc_write(end[0], "x", 1), 1);
        else
            assert_int_equal(errno, EFBIG);
        pipc_close(end[0]);
        assert_int_equal(open_pair(end), 0);
        pipc_close(end[0]);
        pipc_close(end[1]);
    }
    return 0;
}

TEST(a_limit_on_file_size_returns_EFBIG_and_raises_no_signal)
{
    assert_int_equal(harness_wait(harness_fork(open_under_limits, (void *)(uintptr_t) "")), 0);
    assert_int_equal(
        harness_wait(harness_fork(open_under_limits, (void *)(uintptr_t) "memfd_create")), 0);
}

TEST(the_programs_own_pending_SIGXFSZ_stays_pending)
{
    sigset_t only, pending;
    sigemptyset(&only);
    sigaddset(&only, SIGXFSZ);
    signal(SIGXFSZ, count_signal);
    pthread_sigmask(SIG_BLOCK, &only, NULL);
    raise(SIGXFSZ);
    limit_files(4096);
    assert_null_errno(pipc_open(NULL), EFBIG);
    sigpending(&pending);
    assert_int_equal(sigismember(&pending, SIGXFSZ), 1);
    pthread_sigmask(SIG_UNBLOCK, &only, NULL);
    assert_int_equal(caught, 1);
}

static off_t size_of(FILE *file)
{
    struct stat found;
    assert_int_equal(fstat(fileno(file), &found), 0);
    return found.st_size;
}

TEST(an_adopted_file_at_its_limit_has_a_part_and_returns_EFBIG_for_good_without_a_signal)
{
    static char data[10000];
    FILE *file = tmpfile();
    assert_non_null(file);
    int fd = fcntl(fileno(file), F_DUPFD_CLOEXEC, 0);
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    rlim_t before = harness_limit(RLIMIT_FSIZE, 25000);
    pipc_t *pipe = harness_adopt(null, fd, NULL);
    assert_int_equal(pipc_write(pipe, data, sizeof data), sizeof data);
    assert_int_equal(pipc_write(pipe, data, sizeof data), sizeof data);
    assert_errno(pipc_write(pipe, data, sizeof data), EFBIG);
    assert_int_equal(size_of(file), 25000);
    limit_files(before);
    assert_errno(pipc_write(pipe, data, 1), EFBIG);
    assert_int_equal(size_of(file), 25000);
    pipc_close(pipe);
    fclose(file);
}

/* --- Memory is locked ------------------------------------------------------------------------- */

/* Root may lock as much as there is. */
static void drop_the_right_to_lock(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    assert_int_equal(syscall(SYS_capget, &header, data), 0);
    data[0].effective &= ~(1u << CAP_IPC_LOCK);
    assert_int_equal(syscall(SYS_capset, &header, data), 0);
}

static int open_with_locked(void *arg)
{
    rlim_t limit = *(rlim_t *)arg;
    pipc_t *end[2];
    drop_the_right_to_lock();
    harness_limit(RLIMIT_MEMLOCK, limit);
    if (mlockall(MCL_FUTURE) != 0)
        return HARNESS_SKIP_STATUS;
    bool works = open_anonymous(end) == 0;
    if (works && pipc_write(end[0], "x", 1) == 1)
        pipc_close(end[0]);
    else if (errno != ENOMEM)
        fail_msg("errno: %s", strerror(errno));
    munlockall();
    return works ? 1 : 0;
}

TEST(too_much_locked_memory_returns_ENOMEM)
{
    bool worked = false, failed = false;
    if (harness_scale() > 1)
        harness_skip("this tool needs memory without bound itself");
    struct rlimit most;
    assert_int_equal(getrlimit(RLIMIT_MEMLOCK, &most), 0);
    for (rlim_t limit = 65536; limit <= 64 << 20 && limit <= most.rlim_max; limit *= 2) {
        int status = harness_wait(harness_fork(open_with_locked, &limit));
        if (status == HARNESS_SKIP_STATUS)
            harness_skip("memory cannot be locked here");
        assert_in_range(status, 0, 1);
        worked = worked || status == 1;
        failed = failed || status == 0;
    }
    assert_true(worked || most.rlim_max < 64 << 20);
    assert_true(failed);
}

/* --- The C library ---------------------------------------------------------------------------- */

TEST(a_read_that_is_cancelled_loses_nothing_from_glibc_2_41_on)
{
    static const char *const safe[] = {"2.41", "2.41.9000", "2.100", "3.0", "20.1"};
    static const char *const unsafe[] = {"2.36", "2.40", "2.40.9000", "2.4", "2."};
    for (size_t i = 0; i < sizeof safe / sizeof safe[0]; i++)
        assert_true(sys_is_safe_glibc(safe[i]));
    for (size_t i = 0; i < sizeof unsafe / sizeof unsafe[0]; i++)
        assert_false(sys_is_safe_glibc(unsafe[i]));
}

HARNESS_MAIN(
    "odd processes", IT(no_descriptor_of_a_handle_is_0_1_or_2),
    IT(a_lack_of_descriptors_returns_EMFILE_when_only_0_1_and_2_are_free),
    IT(a_client_waits_for_a_descriptor_when_only_0_1_and_2_are_free),
    IT(a_limit_on_file_size_returns_EFBIG_and_raises_no_signal),
    IT(the_programs_own_pending_SIGXFSZ_stays_pending),
    IT(an_adopted_file_at_its_limit_has_a_part_and_returns_EFBIG_for_good_without_a_signal),
    IT(too_much_locked_memory_returns_ENOMEM),
    IT(a_read_that_is_cancelled_loses_nothing_from_glibc_2_41_on))
