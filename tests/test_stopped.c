/* SPDX-License-Identifier: MIT */
/*
 * A process that is stopped in a wait and continued (a shell's ^Z and fg) continues to wait. No
 * signal was caught, so not even PIPC_INTERRUPTIBLE ends the call, although some waits of the
 * kernel end with EINTR.
 */
#define _GNU_SOURCE
#include "harness.h"
#include "net.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static pipc_options_t interruptible(void)
{
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.flags = PIPC_INTERRUPTIBLE;
    return options;
}

/* S: it sleeps, T: it is stopped, Z: it has ended. */
static char state_of(pid_t pid)
{
    char path[40], line[200] = "";
    harness_need_proc();
    snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_non_null(fgets(line, sizeof line, file));
    fclose(file);
    const char *at = strrchr(line, ')');
    return at == NULL ? '?' : at[2];
}

static void await_sleep(pid_t pid)
{
    char state;
    while ((state = state_of(pid)) != 'S' && state != 'Z')
        sched_yield();
}

/* The gate is open when nothing is left before the call that waits. */
static void stop_and_continue(pid_t pid, struct harness_gate *ready)
{
    int status;
    harness_gate_wait(ready);
    await_sleep(pid);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(kill(pid, SIGSTOP), 0);
        assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
        if (!WIFSTOPPED(status))
            fail_msg("ended: %d", status);
        assert_int_equal(kill(pid, SIGCONT), 0);
        await_sleep(pid);
    }
}

struct wait {
    pipc_t *end[2];
    int timeout_ms;
    struct harness_gate ready;
};

static int wait_to_read(void *arg)
{
    struct wait *wait = arg;
    char byte;
    assert_int_equal(pipc_set_timeout(wait->end[1], wait->timeout_ms, -1), 0);
    harness_gate_open(&wait->ready);
    assert_int_equal(pipc_read(wait->end[1], &byte, 1), 1);
    return 0;
}

static int wait_to_write(void *arg)
{
    struct wait *wait = arg;
    static char data[4 << 20]; /* more than any of them holds */
    assert_int_equal(pipc_set_timeout(wait->end[1], -1, wait->timeout_ms), 0);
    harness_gate_open(&wait->ready);
    assert_int_equal(pipc_write(wait->end[1], data, sizeof data), sizeof data);
    return 0;
}

static void close_wait(const struct kind *kind, struct wait *wait)
{
    harness_gate_close(&wait->ready);
    kind_close(kind, wait->end);
}

static struct wait open_wait(const struct kind *kind, int timeout_ms)
{
    pipc_options_t options = interruptible();
    struct wait wait = {.timeout_ms = timeout_ms};
    kind_open(kind, wait.end, &options);
    assert_int_equal(pipc_set_timeout(wait.end[0], 0, -1), 0);
    harness_gate_init(&wait.ready);
    return wait;
}

TEST_OF_KIND(a_read_continues_after_a_stop)
{
    for (int timeout_ms = -1; timeout_ms <= 100000; timeout_ms += 100001) {
        struct wait wait = open_wait(kind, timeout_ms);
        pid_t pid = harness_fork(wait_to_read, &wait);
        stop_and_continue(pid, &wait.ready);
        assert_int_equal(pipc_write(wait.end[0], "x", 1), 1);
        assert_int_equal(harness_wait(pid), 0);
        close_wait(kind, &wait);
    }
}

TEST_OF_KIND(a_write_continues_after_a_stop)
{
    for (int timeout_ms = -1; timeout_ms <= 100000; timeout_ms += 100001) {
        struct wait wait = open_wait(kind, timeout_ms);
        pid_t pid = harness_fork(wait_to_write, &wait);
        stop_and_continue(pid, &wait.ready);
        while (state_of(pid) != 'Z')
            pipc_pending(wait.end[0]);
        assert_int_equal(harness_wait(pid), 0);
        close_wait(kind, &wait);
    }
}

/* --- Constructors ----------------------------------------------------------------------------- */

static char directory[] = "/tmp/pipc-test-XXXXXX";
static uint16_t port;
static struct harness_gate ready;

static pipc_t *open_fifo(void)
{
    pipc_options_t options = interruptible();
    options.directory = directory;
    return pipc_open_fifo("name", -1, &options);
}

static pipc_t *open_tcp(void)
{
    pipc_options_t options = interruptible();
    return pipc_open_tcp("127.0.0.1", port, -1, &options);
}

static pipc_server_t *server;

static pipc_t *accept_client(void)
{
    return pipc_server_accept(server, -1);
}

struct constructor {
    pipc_t *(*open)(void);
};

static int open_and_close(void *arg)
{
    const struct constructor *constructor = arg;
    harness_gate_open(&ready);
    pipc_t *pipe = constructor->open();
    if (pipe == NULL)
        fail_msg("%s", strerror(errno));
    pipc_close(pipe);
    return 0;
}

static void stop_in(pipc_t *(*open)(void), pipc_t *(*other)(void))
{
    struct constructor constructor = {open};
    harness_gate_init(&ready);
    pid_t pid = harness_fork(open_and_close, &constructor);
    stop_and_continue(pid, &ready);
    pipc_t *pipe = other();
    assert_non_null(pipe);
    assert_int_equal(harness_wait(pid), 0);
    pipc_close(pipe);
    harness_gate_close(&ready);
}

TEST(a_rendezvous_by_name_continues_after_a_stop)
{
    assert_non_null(mkdtemp(directory));
    stop_in(open_fifo, open_fifo);
    assert_int_equal(rmdir(directory), 0);
}

TEST(a_rendezvous_over_TCP_continues_after_a_stop)
{
    struct net_port reserved = net_reserve();
    port = reserved.number;
    stop_in(open_tcp, open_tcp);
    close(reserved.fd);
}

TEST(a_server_continues_after_a_stop)
{
    pipc_options_t options = interruptible();
    server = pipc_server_open(NULL, 0, &options);
    assert_non_null(server);
    port = pipc_server_port(server);
    stop_in(accept_client, open_tcp);
    pipc_server_close(server);
}

HARNESS_MAIN("stopped processes",
             OVER(a_read_continues_after_a_stop, LOCAL_TWO_HANDLE_KINDS, HARNESS_TIMEOUT_MS),
             OVER(a_write_continues_after_a_stop, LOCAL_TWO_HANDLE_KINDS, HARNESS_TIMEOUT_MS),
             IT(a_rendezvous_by_name_continues_after_a_stop),
             IT(a_rendezvous_over_TCP_continues_after_a_stop), IT(a_server_continues_after_a_stop))
