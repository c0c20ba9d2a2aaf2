/* SPDX-License-Identifier: MIT */
/* What PIPC_TRACE shows: which events have a line, and what no line has. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "anonymous.h"
#include "fifos.h"
#include "moving.h"
#include "net.h"
#include "paths.h"
#include "platform.h"
#include "tracing.h"

#define LONG_MS FIFOS_LONG_MS

static struct tracing tracing;
static struct fifos fifos;
static struct net_port port;

/* --- Open and close -------------------------------------------------------------------------- */

TEST(each_open_and_close_has_a_line_with_the_number_of_the_handle)
{
    pipc_t *end[2];
    int sockets[2];
    tracing_begin(&tracing);
    pipc_t *pipe = pipc_open(NULL);
    assert_int_equal(pipc_open_pair(end, NULL), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
    pipc_t *adopted = pipc_open_fds(sockets[0], sockets[0], NULL);
    assert_true(pipe != NULL && adopted != NULL);
    pipc_close(pipe);
    pipc_close(end[0]);
    pipc_close(end[1]);
    pipc_close(adopted);
    close(sockets[1]);
    tracing_assert(&tracing, "#1 open: pipe");
    tracing_assert(&tracing, "#2 open: first of a pair*");
    tracing_assert(&tracing, "#3 open: second of a pair*");
    tracing_assert(&tracing, "#4 open: descriptors*");
    assert_int_equal(tracing_count(&tracing, "#[1-4] close: *"), 4);
    tracing_assert_whole_lines(tracing_text(&tracing));
    tracing_end(&tracing);
}

TEST(an_open_that_fails_has_one_line_with_its_number_and_the_reason)
{
    tracing_begin(&tracing);
    fifos_begin(&fifos);
    assert_null_errno(pipc_open_fifo("nobody", 0, &fifos.options), EAGAIN);
    assert_null_errno(pipc_open_fds(-1, -1, NULL), EBADF);
    assert_null_errno(pipc_open_fifo("", -1, &fifos.options), EINVAL);
    assert_null_errno(pipc_open_fifo("nobody", -2, &fifos.options), EINVAL); /* makes no handle */
    tracing_assert(&tracing, "#1 open: FIFO \"nobody\" EAGAIN");
    tracing_assert(&tracing, "#2 open: descriptors EBADF");
    tracing_assert(&tracing, "#3 open: FIFO \"\" EINVAL");
    tracing_assert(&tracing, "#0 open: FIFO \"nobody\" EINVAL");
    assert_int_equal(tracing_count(&tracing, "#* open: *"), 4);
    assert_int_equal(tracing_count(&tracing, "#* close: *"), 0);
    fifos_end(&fifos);
    tracing_end(&tracing);
}

static const pipc_options_t bad = {.struct_size = 1};

static const void *open_server_refused(int which)
{
    return which == 0   ? pipc_server_open("host", 1, &bad)
           : which == 1 ? pipc_server_open_unix("path", &bad)
                        : pipc_server_open_fd(0, &bad);
}

static const void *open_refused(int which)
{
    return which == 0   ? pipc_open(&bad)
           : which == 1 ? pipc_open_fds(0, 1, &bad)
           : which == 2 ? pipc_open_fifo("name", 0, &bad)
           : which == 3 ? pipc_open_tcp("host", 1, 0, &bad)
                        : pipc_open_unix("path", 0, &bad);
}

/* In a process that has made no other call. */
static int make_refused_call(void *number)
{
    int which = *(int *)number;
    pipc_t *end[2];
    if (which < 3)
        assert_null_errno(open_server_refused(which), EINVAL);
    else if (which < 8)
        assert_null_errno(open_refused(which - 3), EINVAL);
    else
        assert_errno(which == 8 ? pipc_open_pair(end, &bad) : pipc_pending(NULL), EINVAL);
    return 0;
}

TEST(a_refused_call_has_a_line_also_if_it_is_the_first_one)
{
    tracing_begin(&tracing);
    for (int which = 0; which < 10; which++) {
        assert_int_equal(harness_wait(harness_fork(make_refused_call, &which)), 0);
        assert_int_equal(tracing_count(&tracing, "#0 *: *EINVAL"), which + 1);
    }
    tracing_end(&tracing);
}

static void *open_for_ever(void *unused)
{
    (void)unused;
    return pipc_open_fifo("nobody", -1, &fifos.options);
}

TEST(an_open_whose_thread_is_cancelled_has_a_line)
{
    pthread_t thread;
    void *result;
    tracing_begin(&tracing);
    fifos_begin(&fifos);
    assert_int_equal(pthread_create(&thread, NULL, open_for_ever, NULL), 0);
    assert_int_equal(pthread_cancel(thread), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_ptr_equal(result, PTHREAD_CANCELED);
    tracing_assert(&tracing, "#1 close: the thread was cancelled");
    fifos_end(&fifos);
    tracing_end(&tracing);
}

TEST(a_close_shows_what_was_neither_read_nor_sent)
{
    pipc_t *end[2];
    tracing_begin(&tracing);
    assert_int_equal(pipc_open_pair(end, NULL), 0);
    for (int i = 0; i < 3; i++)
        say(end[0], "x");
    assert_int_equal(pipc_pending(end[1]), 3);
    hear(end[1], "x");
    pipc_close(end[0]);
    pipc_close(end[1]);
    tracing_assert(&tracing, "#1 close: 0 read, 0 unread, 3 written, 0 bytes not sent");
    tracing_assert(&tracing, "#2 close: 1 read, 2 unread, 0 written, 0 bytes not sent");
    tracing_end(&tracing);
}

/* --- The rendezvous -------------------------------------------------------------------------- */

static int call_by_fifo(void *unused)
{
    (void)unused;
    pipc_t *pipe = pipc_open_fifo("chat", LONG_MS, &fifos.options);
    pipc_close(pipe);
    return pipe == NULL;
}

TEST(the_steps_of_a_rendezvous_over_FIFOs_have_lines_on_both_sides)
{
    tracing_begin(&tracing);
    fifos_begin(&fifos);
    pid_t pid = harness_fork(call_by_fifo, NULL);
    assert_int_equal(call_by_fifo(NULL), 0);
    assert_int_equal(harness_wait(pid), 0);
    tracing_assert(&tracing, "#1 rendezvous: nobody is there: waits at the name");
    tracing_assert(&tracing, "#1 rendezvous: claimed a peer that waited at the name");
    tracing_assert(&tracing, "#1 rendezvous: a peer has claimed this side");
    assert_int_equal(tracing_count(&tracing, "#1 open: FIFO \"chat\" (*"), 2);
    fifos_end(&fifos);
    tracing_end(&tracing);
}

static int call_by_tcp(void *key)
{
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.key = key;
    options.key_size = strlen(key);
    pipc_t *pipe = pipc_open_tcp("127.0.0.1", port.number, LONG_MS, &options);
    pipc_close(pipe);
    return pipe == NULL;
}

TEST(the_steps_and_the_handshake_of_a_rendezvous_over_TCP_have_lines)
{
    tracing_begin(&tracing);
    port = net_reserve();
    pid_t pid = harness_fork(call_by_tcp, "one key");
    assert_int_equal(call_by_tcp("one key"), 0);
    assert_int_equal(harness_wait(pid), 0);
    tracing_assert(&tracing, "#1 rendezvous: TCP \"127.0.0.1\" (port *)");
    tracing_assert(&tracing, "#1 rendezvous: the peer is on this host");
    tracing_assert(&tracing, "#1 rendezvous: listens on this host");
    tracing_assert(&tracing, "#1 rendezvous: accepted (*:*)");
    assert_int_equal(tracing_count(&tracing, "#1 handshake: both sides know the key (*:*)"), 2);
    assert_int_equal(tracing_count(&tracing, "#1 open: TCP \"127.0.0.1\" (*:*)"), 2);
    close(port.fd);
    tracing_end(&tracing);
}

TEST(a_client_that_finds_no_server_has_one_line_for_all_its_tries)
{
    struct paths paths;
    tracing_begin(&tracing);
    paths_begin(&paths);
    assert_null_errno(pipc_open_unix(paths_to(&paths, "socket"), 200, NULL), ETIMEDOUT);
    assert_int_equal(tracing_count(&tracing, "#1 rendezvous: no server takes this side in ENOENT"),
                     1);
    tracing_assert(&tracing, "#1 rendezvous: the time is up");
    paths_end(&paths);
    tracing_end(&tracing);
}

/* --- The handshake --------------------------------------------------------------------------- */

static const char *socket_path;

static int call_with_wrong_key(void *unused)
{
    (void)unused;
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.key = "another";
    options.key_size = 7;
    return pipc_open_unix(socket_path, LONG_MS, &options) == NULL && errno == EACCES ? 0 : 1;
}

TEST(a_wrong_key_is_the_verdict_of_both_sides)
{
    platform_needs(PLATFORM_CREDENTIALS);
    struct paths paths;
    pipc_options_t options = PIPC_OPTIONS_INIT;
    tracing_begin(&tracing);
    paths_begin(&paths);
    socket_path = paths_to(&paths, "socket");
    options.key = "the key";
    options.key_size = 7;
    pipc_server_t *server = pipc_server_open_unix(socket_path, &options);
    assert_non_null(server);
    pid_t pid = harness_fork(call_with_wrong_key, NULL);
    assert_int_equal(paths_refuse_until_exit(server, pid), 0);
    pipc_server_close(server);
    tracing_assert(&tracing, "#1 open: server \"*/socket\"");
    tracing_assert(&tracing, "#1 handshake: the peer has another key EACCES (process *)");
    tracing_assert(&tracing, "#2 handshake: the peer refuses this side's key EACCES (*)");
    tracing_assert(&tracing, "#1 close: server");
    paths_end(&paths);
    tracing_end(&tracing);
}

/* --- Ends ------------------------------------------------------------------------------------ */

TEST(a_goodbye_has_a_line_on_both_sides)
{
    pipc_t *end[2];
    char room[1];
    tracing_begin(&tracing);
    assert_int_equal(pipc_open_pair(end, NULL), 0);
    assert_int_equal(pipc_disconnect(end[0], "so long"), 0);
    assert_errno(pipc_read(end[1], room, sizeof room), ESHUTDOWN);
    pipc_close(end[0]);
    pipc_close(end[1]);
    tracing_assert(&tracing, "#1 goodbye: this side said goodbye");
    tracing_assert(&tracing, "#2 goodbye: the peer said goodbye (*)");
    tracing_end(&tracing);
}

TEST(a_shutdown_is_no_goodbye)
{
    pipc_t *end[2];
    char room[1];
    tracing_begin(&tracing);
    assert_int_equal(pipc_open_pair(end, NULL), 0);
    assert_int_equal(pipc_shutdown(end[0]), 0);
    assert_errno(pipc_read(end[1], room, sizeof room), EPIPE);
    pipc_close(end[0]);
    pipc_close(end[1]);
    tracing_assert(&tracing, "#1 shutdown: this side ends writing");
    tracing_assert(&tracing, "#2 end: the stream has ended EPIPE (*)");
    assert_int_equal(tracing_count(&tracing, "#* goodbye: *"), 0);
    tracing_end(&tracing);
}

static void say_and_die(pipc_t *pipe)
{
    say(pipe, "x");
    raise(SIGKILL);
}

static int run_and_die(void *pipe)
{
    say_and_die(pipe);
    return 1;
}

TEST(the_death_of_a_killed_peer_has_a_line_that_says_how_it_was_noticed)
{
    char room[1];
    tracing_begin(&tracing);
    pipc_t *pipe = open_anonymous();
    pid_t pid = harness_fork(run_and_die, pipe);
    hear(pipe, "x");
    assert_errno(pipc_read(pipe, room, sizeof room), EPIPE);
    assert_int_equal(harness_wait(pid), -SIGKILL);
    pipc_close(pipe);
    assert_int_equal(
        tracing_count(&tracing, "#1 end: the lock of its holder is gone (process *)") +
            tracing_count(&tracing, "#1 end: the process of its holder has ended (process *)") +
            tracing_count(&tracing, "#1 end: there is no process *(process *)"),
        1);
    assert_int_equal(tracing_count(&tracing, "#1 end: the stream has ended EPIPE (*)"), 1);
    tracing_end(&tracing);
}

TEST(an_end_inside_a_message_and_bytes_that_are_none_have_lines)
{
    static const char torn[] = {0, 0, 0, 9, 'x'}, nonsense[] = {'\377', '\377', 0, 0};
    static const struct {
        const char *bytes;
        size_t size;
        int error;
    } cases[] = {{torn, sizeof torn, ECONNRESET}, {nonsense, sizeof nonsense, EPROTO}};
    char room[16];
    tracing_begin(&tracing);
    for (int i = 0; i < 2; i++) {
        int sockets[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
        pipc_t *pipe = pipc_open_fds(sockets[0], sockets[0], NULL);
        assert_int_equal(write(sockets[1], cases[i].bytes, cases[i].size), cases[i].size);
        close(sockets[1]);
        assert_errno(pipc_read(pipe, room, sizeof room), cases[i].error);
        pipc_close(pipe);
    }
    tracing_assert(&tracing, "#1 end: the stream has ended inside a message ECONNRESET (*)");
    tracing_assert(&tracing, "#2 end: what has come is no message, or one * EPROTO (*)");
    tracing_end(&tracing);
}

/* --- Shared memory and refusals -------------------------------------------------------------- */

static void exchange(pipc_t *end[2], int count, size_t size)
{
    for (int i = 0; i < count; i++)
        for (int from = 0; from < 2; from++) {
            say_large(end[from], size, 1);
            hear_large(end[1 - from], size, 1);
        }
}

TEST(the_move_into_shared_memory_has_lines)
{
    pipc_t *end[2];
    moving_need();
    tracing_begin(&tracing);
    assert_int_equal(pipc_open_pair(end, NULL), 0);
    exchange(end, 8, 1000);
    pipc_close(end[0]);
    pipc_close(end[1]);
    assert_int_equal(tracing_count(&tracing, "#[12] memory: offers shared memory (*)"), 1);
    assert_int_equal(tracing_count(&tracing, "#[12] memory: has moved into shared memory (*)"), 2);
    tracing_end(&tracing);
}

TEST(a_refused_call_has_a_line_with_its_name_and_errno)
{
    pipc_options_t options = PIPC_OPTIONS_INIT;
    char room[1], large[64] = {0};
    pipc_t *end[2];
    tracing_begin(&tracing);
    options.max_message = sizeof large - 1;
    assert_int_equal(pipc_open_pair(end, &options), 0);
    assert_errno(pipc_write(end[0], large, sizeof large), EMSGSIZE);
    assert_errno(pipc_want(end[0], 77), EINVAL);
    assert_errno(pipc_pending(NULL), EINVAL);
    assert_errno(pipc_write_fds(end[0], "x", 1, (int[]){0}, 1), EOPNOTSUPP);
    say(end[0], "long");
    assert_errno(pipc_read(end[1], room, sizeof room), EMSGSIZE);
    assert_int_equal(pipc_shutdown(end[1]), 0);
    assert_errno(pipc_write(end[1], "x", 1), EPIPE);
    pipc_close(end[0]);
    pipc_close(end[1]);
    tracing_assert(&tracing, "#1 refused: pipc_write EMSGSIZE*");
    tracing_assert(&tracing, "#1 refused: pipc_want EINVAL");
    tracing_assert(&tracing, "#0 refused: pipc_pending EINVAL");
    tracing_assert(&tracing, "#1 refused: pipc_write_fds EOPNOTSUPP*");
    tracing_assert(&tracing, "#2 refused: pipc_read EMSGSIZE*");
    tracing_assert(&tracing, "#2 refused: pipc_write EPIPE*");
    tracing_end(&tracing);
}

/* --- What no line has ------------------------------------------------------------------------ */

TEST_OF_KIND(no_line_has_a_message_or_the_text_of_a_goodbye)
{
    static const char message[] = "a-secret-message", goodbye[] = "a-secret-goodbye";
    char room[64];
    pipc_t *end[2];
    tracing_begin(&tracing);
    kind_open(kind, end, NULL);
    assert_int_equal(pipc_write(end[0], message, sizeof message), sizeof message);
    assert_errno(pipc_read(end[1], room, 1), EMSGSIZE);
    assert_int_equal(pipc_read(end[1], room, sizeof room), sizeof message);
    assert_int_equal(pipc_disconnect(end[0], goodbye), 0);
    assert_errno(pipc_read(end[1], room, sizeof room), ESHUTDOWN);
    pipc_close(end[0]);
    pipc_close(end[1]);
    assert_null(strstr(tracing_text(&tracing), "a-secret"));
    tracing_assert(&tracing, "#* goodbye: *");
    tracing_end(&tracing);
}

TEST(no_line_has_a_key)
{
    tracing_begin(&tracing);
    port = net_reserve();
    pid_t pid = harness_fork(call_by_tcp, "a-secret-key");
    assert_int_equal(call_by_tcp("a-secret-key"), 0);
    assert_int_equal(harness_wait(pid), 0);
    assert_null(strstr(tracing_text(&tracing), "a-secret"));
    close(port.fd);
    tracing_end(&tracing);
}

TEST(messages_that_arrive_have_no_lines)
{
    pipc_t *end[2];
    tracing_begin(&tracing);
    assert_int_equal(pipc_open_pair(end, NULL), 0);
    exchange(end, 10, 1000);
    int before = tracing_count(&tracing, "*");
    exchange(end, 100, 1000);
    exchange(end, 2, 100000);
    assert_int_equal(tracing_count(&tracing, "*"), before);
    pipc_close(end[0]);
    pipc_close(end[1]);
    tracing_end(&tracing);
}

TEST(a_name_with_a_newline_cannot_begin_a_line)
{
    struct paths paths;
    tracing_begin(&tracing);
    paths_begin(&paths);
    const char *path = paths_to(&paths, "one\n1.000000 1 #1 open: two");
    assert_null_errno(pipc_open_unix(path, 0, NULL), EAGAIN);
    tracing_assert(&tracing, "#1 open: Unix socket \"*/one?1.000000 *two\" EAGAIN");
    tracing_assert_whole_lines(tracing_text(&tracing));
    paths_end(&paths);
    tracing_end(&tracing);
}

HARNESS_MAIN("trace", IT(each_open_and_close_has_a_line_with_the_number_of_the_handle),
             IT(an_open_that_fails_has_one_line_with_its_number_and_the_reason),
             IT(a_refused_call_has_a_line_also_if_it_is_the_first_one),
             IT(an_open_whose_thread_is_cancelled_has_a_line),
             IT(a_close_shows_what_was_neither_read_nor_sent),
             IT(the_steps_of_a_rendezvous_over_FIFOs_have_lines_on_both_sides),
             IT(the_steps_and_the_handshake_of_a_rendezvous_over_TCP_have_lines),
             IT(a_client_that_finds_no_server_has_one_line_for_all_its_tries),
             IT(a_wrong_key_is_the_verdict_of_both_sides), IT(a_goodbye_has_a_line_on_both_sides),
             IT(a_shutdown_is_no_goodbye),
             IT(the_death_of_a_killed_peer_has_a_line_that_says_how_it_was_noticed),
             IT(an_end_inside_a_message_and_bytes_that_are_none_have_lines),
             IT(the_move_into_shared_memory_has_lines),
             IT(a_refused_call_has_a_line_with_its_name_and_errno),
             OVER_TWO_HANDLE_KINDS(no_line_has_a_message_or_the_text_of_a_goodbye),
             IT(no_line_has_a_key), IT(messages_that_arrive_have_no_lines),
             IT(a_name_with_a_newline_cannot_begin_a_line))
