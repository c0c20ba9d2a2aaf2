/* SPDX-License-Identifier: MIT */
/*
 * Each system call of a server on a path and of its client fails in turn, once and forever, with
 * each possible error. The call then works or reports an error that was injected; it leaks nothing,
 * and the path is usable afterwards.
 */
#include <stdio.h>
#include <unistd.h>

#include "fault.h"
#include "net.h"
#include "paths.h"

enum { SHORT_MS = 60, ERRORS = 7 };

static char path[128];
static const struct paths *here;

/* Errors that stand for another one, and those of a wait. */
static bool is_explained(int error)
{
    return fault_injected(error) || error == ETIMEDOUT ||
           (error == EADDRINUSE &&
            (fault_failures(CALL_linkat) + fault_failures(CALL_connect) +
                 fault_failures(CALL_unlinkat) + fault_failures(CALL_fstatat) >
             0)) ||
           (error == EOPNOTSUPP && fault_failures(CALL_fchmodat) > 0) ||
           (error == ENOTSOCK && fault_failures(CALL_fstat) > 0) ||
           (error == EACCES && fault_failures(CALL_fstat) > 0);
}

static void expect_explained(int error)
{
    if (!is_explained(error))
        fail_msg("%s gives %s", fault_summary(), strerror(error));
}

static unsigned long open_and_close_server(void)
{
    fault_arm();
    pipc_server_t *server = pipc_server_open_unix(path, NULL);
    int error = errno;
    pipc_server_close(server);
    fault_disarm();
    if (server == NULL)
        expect_explained(error);
    if (fault_failures(CALL_unlinkat) + fault_failures(CALL_fstatat) == 0)
        assert_true(paths_count(here) <= 1); /* a dead one that was there before */
    return fault_calls(CALL_ANY);
}

static unsigned long open_client(void)
{
    fault_arm();
    pipc_t *pipe = pipc_open_unix(path, SHORT_MS, NULL);
    int error = errno;
    pipc_close(pipe);
    fault_disarm();
    if (pipe == NULL)
        expect_explained(error);
    return fault_calls(CALL_ANY);
}

static pipc_server_t *server;

static unsigned long accept_client(void)
{
    int client = paths_connect(path);
    assert_true(client >= 0);
    fault_arm();
    pipc_t *pipe = pipc_server_accept(server, SHORT_MS);
    int error = errno;
    pipc_close(pipe);
    fault_disarm();
    if (pipe == NULL)
        expect_explained(error);
    close(client);
    return fault_calls(CALL_ANY);
}

/* Virtual time: waits take none. Returns the number of calls. */
static unsigned long sweep(unsigned long (*attempt)(void), void (*check)(const struct paths *),
                           const struct paths *paths)
{
    unsigned long calls, nth = 0;
    do {
        nth++;
        calls = 0;
        for (unsigned i = 0; i < 2 * ERRORS; i++) {
            if (nth > 1 && harness_random_below((size_t)harness_scale()) != 0)
                continue;
            fault_reset();
            fault_virtual_time();
            fault_fail_plausibly(nth, i < ERRORS ? 0 : FAULT_FOREVER, i % ERRORS);
            unsigned long made = attempt();
            calls = made > calls ? made : calls;
            assert_int_equal(fault_bad_closes(), 0);
            check(paths);
        }
    } while (calls >= nth || calls == 0);
    return nth;
}

static void expect_that_it_works(const struct paths *paths)
{
    paths_assert_works(paths, path);
}

static void expect_a_dead_one_replaced(const struct paths *paths)
{
    paths_assert_works(paths, path);
    paths_leave_dead(path);
}

static void begin(struct paths *paths)
{
    paths_begin(paths);
    snprintf(path, sizeof path, "%s", paths_to(paths, "socket"));
    here = paths;
}

TEST(opening_and_closing_a_server_survive_the_failure_of_any_system_call)
{
    struct paths paths;
    begin(&paths);
    assert_in_range(sweep(open_and_close_server, expect_that_it_works, &paths), 20, 100);
    paths_leave_dead(path);
    assert_in_range(sweep(open_and_close_server, expect_a_dead_one_replaced, &paths), 26, 120);
    unlink(path);
    paths_end(&paths);
}

/* Those of failed attempts come first. */
static void expect_a_client(const struct paths *paths)
{
    char got[8];
    (void)paths;
    pipc_t *client = pipc_open_unix(path, 0, NULL);
    assert_non_null(client);
    net_say(client, "ping");
    ssize_t size = -1;
    while (size < 0) {
        pipc_t *pipe = pipc_server_accept(server, 10000);
        assert_non_null(pipe);
        size = pipc_read(pipe, got, sizeof got);
        pipc_close(pipe);
    }
    assert_int_equal(size, 4);
    pipc_close(client);
}

TEST(a_client_and_accept_survive_the_failure_of_any_system_call)
{
    struct paths paths;
    begin(&paths);
    server = paths_serve(path, NULL);
    assert_in_range(sweep(open_client, expect_a_client, &paths), 8, 60);
    assert_in_range(sweep(accept_client, expect_a_client, &paths), 8, 60);
    pipc_server_close(server);
    paths_end(&paths);
}

HARNESS_MAIN("Unix sockets, faults",
             IT_WITHIN(opening_and_closing_a_server_survive_the_failure_of_any_system_call, 60000),
             IT_WITHIN(a_client_and_accept_survive_the_failure_of_any_system_call, 60000))
