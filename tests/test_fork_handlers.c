/* SPDX-License-Identifier: MIT */
/*
 * The program's own handlers of fork (pthread_atfork) use the library. Those that were registered
 * before the first handle run while the library holds no lock, and in the child after its own.
 */
#include "anonymous.h"

#include <pthread.h>
#include <sys/wait.h>

#include "paths.h"
#include "platform.h"

static pipc_t *used; /* by the handlers; NULL: they do nothing */

static void open_and_close(void)
{
    pipc_t *pipe = open_anonymous();
    pipc_close(pipe);
}

static void speak_before_fork(void)
{
    if (used == NULL)
        return;
    say(used, "before");
    open_and_close();
}

static void speak_after_fork(void)
{
    if (used == NULL)
        return;
    say(used, "after");
    open_and_close();
}

static void hear_in_child(void)
{
    if (used == NULL)
        return;
    set_timeouts(used, SIDES_LONG_MS, SIDES_LONG_MS);
    hear(used, "before");
    hear(used, "after");
    open_and_close();
}

static int leave_and_close(void *unused)
{
    (void)unused;
    leave(used, "bye");
    pipc_close(used);
    return 0;
}

TEST(handlers_of_fork_that_are_older_than_a_handle_may_use_it)
{
    assert_int_equal(pthread_atfork(speak_before_fork, speak_after_fork, hear_in_child), 0);
    pipc_t *pipe = used = open_anonymous();
    set_timeouts(pipe, SIDES_LONG_MS, SIDES_LONG_MS);
    pid_t child = harness_fork(leave_and_close, NULL);
    used = NULL;
    hear_bye(pipe, "bye");
    assert_int_equal(harness_wait(child), 0);
    pipc_close(pipe);
}

static void close_in_child(void)
{
    pipc_close(used);
    used = NULL;
}

static int assert_closed(void *unused)
{
    (void)unused;
    return used == NULL ? 0 : 1;
}

TEST(a_handler_of_fork_that_is_older_than_a_handle_may_close_it_in_the_child)
{
    assert_int_equal(pthread_atfork(NULL, NULL, close_in_child), 0);
    used = open_anonymous();
    assert_int_equal(harness_wait(harness_fork(assert_closed, NULL)), 0);
    pipc_close(used);
    used = NULL;
}

/* --- A handler that the child runs before that of the library --------------------------------- */

static const char *path; /* NULL: it does nothing */
static pipc_server_t *server;

static void serve_in_child(void)
{
    if (path != NULL)
        server = pipc_server_open_unix(path, NULL);
}

/* Before the library's, and after the heap's ledger. */
__attribute__((constructor(102))) static void be_first(void)
{
    pthread_atfork(NULL, NULL, serve_in_child);
}

static int close_server(void *unused)
{
    (void)unused;
    assert_non_null(server);
    pipc_server_close(server);
    assert_errno(access(path, F_OK), ENOENT);
    return 0;
}

/* Asks the kernel, since emulators accept the request and do nothing. */
static bool kernel_wipes_on_fork(void)
{
    int status;
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    char *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(page != MAP_FAILED);
    bool wipes = madvise(page, size, MADV_WIPEONFORK) == 0;
    *page = 1;
    pid_t child = fork();
    if (child == 0)
        _exit(*page);
    assert_int_equal(waitpid(child, &status, 0), child);
    munmap(page, size);
    return wipes && status == 0;
}

TEST(what_a_child_opens_in_its_first_handler_of_fork_is_its_own)
{
    struct paths paths;
    platform_needs(PLATFORM_RAW_FORK);
    if (!kernel_wipes_on_fork())
        harness_skip("this kernel does not wipe pages on fork (Linux 4.14 does)");
    paths_begin(&paths);
    open_and_close(); /* the library begins */
    path = paths_to(&paths, "s");
    assert_int_equal(harness_wait(harness_fork(close_server, NULL)), 0);
    path = NULL;
    paths_end(&paths);
}

HARNESS_MAIN("handlers of fork", IT(handlers_of_fork_that_are_older_than_a_handle_may_use_it),
             IT(a_handler_of_fork_that_is_older_than_a_handle_may_close_it_in_the_child),
             IT(what_a_child_opens_in_its_first_handler_of_fork_is_its_own))
