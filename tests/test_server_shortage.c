/* SPDX-License-Identifier: MIT */
/* A server with a key that runs short of descriptors or memory: silent clients make room. */
#include <sys/resource.h>

#include "fault.h"
#include "net.h"
#include "paths.h"
#include "platform.h"

static const pipc_options_t *with_key(void)
{
    static pipc_options_t options;
    options = net_with_key("secret");
    return &options;
}

static pipc_server_t *open_server(void)
{
    hosts_need_loopback();
    pipc_server_t *server = pipc_server_open(NULL, 0, with_key());
    if (server == NULL)
        fail_msg("pipc_server_open: %s", strerror(errno));
    return server;
}

static void come_silently(pipc_server_t *server, int silent[], int count)
{
    for (int i = 0; i < count; i++) {
        silent[i] = net_connect(pipc_server_port(server));
        assert_null_errno(pipc_server_accept(server, 0), EAGAIN);
    }
}

static bool is_still_there(int fd)
{
    char bytes[100];
    ssize_t n;
    while ((n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0)
        continue;
    return n < 0 && errno == EAGAIN;
}

static int serve_one(void *arg)
{
    pipc_server_t *server = arg;
    pipc_t *pipe = pipc_server_accept(server, 5000); /* half of what a silent one has */
    assert_non_null(pipe);
    assert_int_equal(pipc_write(pipe, "hello", 5), 5);
    assert_int_equal(pipc_disconnect(pipe, NULL), 0);
    pipc_close(pipe);
    return 0;
}

/* In a process of its own, so that the clients have descriptors and the server has none. */
static int serve_with_no_descriptors(void *arg)
{
    enum { SILENT = 10 };
    pipc_server_t *server = arg;
    int spare = dup(0);
    close(spare);
    harness_limit(RLIMIT_NOFILE, (rlim_t)spare + SILENT);
    return serve_one(server);
}

TEST(silent_clients_that_use_all_descriptors_delay_no_other_client)
{
    enum { SILENT = 30 };
    pipc_server_t *server = open_server();
    int silent[SILENT];
    char buffer[16];
    for (int i = 0; i < SILENT; i++)
        silent[i] = net_connect(pipc_server_port(server));
    pid_t pid = harness_fork(serve_with_no_descriptors, server);
    pipc_t *client = pipc_open_tcp("127.0.0.1", pipc_server_port(server), 10000, with_key());
    assert_non_null(client);
    assert_int_equal(pipc_read(client, buffer, sizeof buffer), 5);
    pipc_close(client);
    assert_int_equal(harness_wait(pid), 0);
    for (int i = 0; i < SILENT; i++)
        close(silent[i]);
    pipc_server_close(server);
}

/* accept(2) reports the lack of a descriptor also when no client waits. */
TEST(no_client_is_dropped_without_a_new_client)
{
    platform_needs(PLATFORM_DESCRIPTORS);
    pipc_server_t *server = open_server();
    int silent[2];
    come_silently(server, silent, 1);
    silent[1] = net_connect(pipc_server_port(server));
    int spare = dup(0);
    close(spare);
    rlim_t before = harness_limit(RLIMIT_NOFILE, (rlim_t)spare + 1);
    assert_null_errno(pipc_server_accept(server, 0), EAGAIN);
    harness_limit(RLIMIT_NOFILE, before);
    for (int i = 0; i < 2; i++) {
        assert_true(is_still_there(silent[i]));
        close(silent[i]);
    }
    pipc_server_close(server);
}

/* One makes room for who comes, and at once: nothing waits here. */
static void expect_room_in_spite_of(enum fault_call call, int error)
{
    pipc_server_t *server = open_server();
    int silent[3];
    come_silently(server, silent, 3);
    int last = net_connect(pipc_server_port(server));
    fault_reset();
    fault_fail(call, 1, 0, error);
    fault_arm();
    assert_null_errno(pipc_server_accept(server, 0), EAGAIN);
    fault_disarm();
    assert_true(fault_injected(error));
    assert_false(is_still_there(silent[0]));
    for (int i = 1; i < 3; i++)
        assert_true(is_still_there(silent[i]));
    assert_true(is_still_there(last));
    for (int i = 0; i < 3; i++)
        close(silent[i]);
    close(last);
    pipc_server_close(server);
}

TEST(under_any_shortage_the_oldest_silent_client_is_dropped)
{
    expect_room_in_spite_of(CALL_accept4, EMFILE);
    expect_room_in_spite_of(CALL_accept4, ENFILE);
    expect_room_in_spite_of(CALL_accept4, ENOBUFS);
    expect_room_in_spite_of(CALL_accept4, ENOMEM);
    expect_room_in_spite_of(CALL_malloc, ENOMEM);
}

static int come_with_key(void *server);

/* The key is not shown in vain: this client may call again. */
TEST(without_any_memory_a_client_is_turned_away_and_the_next_one_is_served)
{
    pipc_server_t *server = open_server();
    int fd = net_connect(pipc_server_port(server));
    fault_reset();
    fault_fail(CALL_malloc, 1, FAULT_FOREVER, ENOMEM);
    fault_arm();
    assert_null_errno(pipc_server_accept(server, 0), EAGAIN);
    fault_disarm();
    assert_true(fault_injected(ENOMEM));
    assert_false(is_still_there(fd));
    close(fd);
    pid_t pid = harness_fork(come_with_key, server);
    pipc_t *pipe = pipc_server_accept(server, 10000);
    assert_non_null(pipe);
    assert_int_equal(harness_wait(pid), 0);
    pipc_close(pipe);
    pipc_server_close(server);
}

/* It is sent when there is room, without a word of the client, which waits for it. */
TEST(a_challenge_that_finds_no_room_is_sent_later)
{
    pipc_server_t *server = open_server();
    pid_t pid = harness_fork(come_with_key, server);
    assert_true(harness_readable(pipc_server_fd(server), HARNESS_TIMEOUT_MS / 2));
    fault_reset();
    fault_refuse_writes();
    fault_arm();
    assert_null_errno(pipc_server_accept(server, 0), EAGAIN);
    fault_disarm();
    pipc_t *pipe = pipc_server_accept(server, 5000);
    assert_non_null(pipe);
    assert_int_equal(harness_wait(pid), 0);
    pipc_close(pipe);
    pipc_server_close(server);
}

static void look(pipc_server_t *server)
{
    assert_null_errno(pipc_server_accept(server, 0), EAGAIN);
}

static int come_with_key(void *server)
{
    pipc_t *pipe = pipc_open_tcp("127.0.0.1", pipc_server_port(server), 10000, with_key());
    assert_non_null(pipe);
    pipc_close(pipe);
    return 0;
}

/* It has paused, and cannot go on: the user watches as many descriptors as it may. */
TEST(a_server_that_cannot_watch_its_listener_again_tries_it_later)
{
    enum { PAUSE_MS = 60 };
    pipc_server_t *server = open_server();
    int silent = net_connect(pipc_server_port(server));
    fault_reset();
    fault_fail(CALL_accept4, 1, FAULT_FOREVER, EMFILE);
    for (unsigned long listeners = 1; listeners <= 2; listeners++)
        fault_fail(CALL_epoll_ctl, listeners + 1, 0, ENOSPC); /* behind those that remove */
    fault_arm();
    look(server);
    fault_advance_ms(PAUSE_MS);
    look(server);
    if (platform_has(PLATFORM_LINUX_CALLS))
        assert_int_equal(fault_failures(CALL_epoll_ctl), 1);
    look(server); /* not yet */
    fault_advance_ms(PAUSE_MS);
    fault_lift();
    look(server);
    fault_disarm();
    pid_t pid = harness_fork(come_with_key, server);
    pipc_t *pipe = pipc_server_accept(server, 10000);
    assert_non_null(pipe);
    assert_int_equal(harness_wait(pid), 0);
    pipc_close(pipe);
    close(silent);
    pipc_server_close(server);
}

static int accept_when_woken(void *server)
{
    assert_true(harness_readable(pipc_server_fd(server), 10000));
    pipc_t *pipe = pipc_server_accept(server, 10000);
    assert_non_null(pipe);
    pipc_close(pipe);
    return 0;
}

/* Only the timer of its set ends the pause. The child has it too, however late it was forked. */
TEST(a_server_that_has_paused_goes_on_in_a_child_after_fork)
{
    pipc_server_t *server = open_server();
    int silent = net_connect(pipc_server_port(server));
    fault_reset();
    fault_fail(CALL_accept4, 1, FAULT_FOREVER, EMFILE);
    fault_arm();
    look(server);
    fault_disarm();
    pid_t client = harness_fork(come_with_key, server);
    pid_t child = harness_fork(accept_when_woken, server);
    assert_int_equal(harness_wait(child), 0);
    assert_int_equal(harness_wait(client), 0);
    close(silent);
    pipc_server_close(server);
}

/* Whether it opened; errno says why not. */
static bool try_server(const char *unused)
{
    (void)unused;
    pipc_server_t *server = pipc_server_open(NULL, 0, with_key());
    pipc_server_close(server);
    return server != NULL;
}

static bool try_server_on_path(const char *path)
{
    pipc_server_t *server = pipc_server_open_unix(path, with_key());
    pipc_server_close(server);
    return server != NULL;
}

/* The server is there, and does not answer at once. */
static bool try_client(const char *path)
{
    pipc_t *pipe = pipc_open_unix(path, 0, with_key());
    bool is_silent = pipe == NULL && errno == EAGAIN;
    pipc_close(pipe);
    return is_silent;
}

/* Each allocation fails in turn. */
static void lack_memory(bool (*try_to_open)(const char *path), const char *path)
{
    unsigned long nth = 0;
    do {
        fault_reset();
        fault_fail(CALL_malloc, ++nth, 0, ENOMEM);
        fault_arm();
        bool has_opened = try_to_open(path);
        int error = errno;
        fault_disarm();
        bool is_lacking = fault_failures(CALL_malloc) > 0;
        assert_int_equal(has_opened, !is_lacking);
        if (is_lacking)
            assert_int_equal(error, ENOMEM);
        harness_assert_nothing_left();
    } while (fault_failures(CALL_malloc) > 0);
    assert_true(nth > 2); /* one for the key, and more */
}

TEST(opening_with_a_key_without_memory_returns_ENOMEM_and_leaks_nothing)
{
    struct paths paths;
    hosts_need_loopback();
    paths_begin(&paths);
    lack_memory(try_server, NULL);
    lack_memory(try_server_on_path, paths_to(&paths, "x"));
    pipc_server_t *server = pipc_server_open_unix(paths_to(&paths, "server"), with_key());
    assert_non_null(server);
    harness_new_baseline();
    lack_memory(try_client, paths_to(&paths, "server"));
    pipc_server_close(server);
    paths_end(&paths);
}

HARNESS_MAIN("server, shortage", IT(a_server_that_has_paused_goes_on_in_a_child_after_fork),
             IT(silent_clients_that_use_all_descriptors_delay_no_other_client),
             IT(no_client_is_dropped_without_a_new_client),
             IT(under_any_shortage_the_oldest_silent_client_is_dropped),
             IT(without_any_memory_a_client_is_turned_away_and_the_next_one_is_served),
             IT(a_challenge_that_finds_no_room_is_sent_later),
             IT(a_server_that_cannot_watch_its_listener_again_tries_it_later),
             IT(opening_with_a_key_without_memory_returns_ENOMEM_and_leaks_nothing))
