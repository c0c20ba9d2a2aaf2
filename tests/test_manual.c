/* SPDX-License-Identifier: MIT */
/* The examples of the manual pages do what the pages say. */
#include <sys/wait.h>
#include <unistd.h>

#include "../docs/man/examples.c"

#include "fifos.h"
#include "harness.h"
#include "paths.h"
#include "platform.h"

static void open_two(pipc_t *end[2], unsigned flags)
{
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.flags = flags;
    assert_int_equal(pipc_open_pair(end, &options), 0);
}

static void close_two(pipc_t *end[2])
{
    pipc_close(end[0]);
    pipc_close(end[1]);
}

static void tell(pipc_t *pipe, const char *text)
{
    assert_int_equal(pipc_write(pipe, text, strlen(text)), strlen(text));
}

static void expect(pipc_t *pipe, const char *text)
{
    char got[64];
    assert_int_equal(pipc_read(pipe, got, sizeof got), strlen(text));
    assert_memory_equal(got, text, strlen(text));
}

/* --- Opening --------------------------------------------------------------------------------- */

TEST(a_child_answers_or_leaves)
{
    assert_int_equal(ask_child(), 0);
    assert_int_equal(wait_for_child(), 0);
}

TEST(a_program_is_started_with_frames_on_its_standard_input_and_output)
{
    int status;
    pipc_t *cat = start("cat");
    assert_non_null(cat);
    tell(cat, "echo");
    expect(cat, "echo");
    pipc_close(cat);
    assert_true(waitpid(-1, &status, 0) != -1 && status == 0);
}

static int call_and_close(void *unused)
{
    (void)unused;
    pipc_t *pipe = call("name");
    pipc_close(pipe);
    return pipe == NULL;
}

TEST(two_programs_meet_at_a_name)
{
    struct fifos fifos;
    fifos_begin(&fifos);
    setenv("XDG_RUNTIME_DIR", fifos.options.directory, 1);
    pid_t pid = harness_fork(call_and_close, NULL);
    assert_int_equal(call_and_close(NULL), 0);
    assert_int_equal(harness_wait(pid), 0);
    fifos_end(&fifos);
}

/* --- Servers --------------------------------------------------------------------------------- */

static const char key[32] = "a test needs no secret";

static int ask_by_tcp(void *port)
{
    pipc_t *pipe = dial("127.0.0.1", *(const uint16_t *)port, key);
    assert_non_null(pipe);
    tell(pipe, "ask");
    expect(pipe, "ask");
    pipc_close(pipe);
    return 0;
}

TEST(a_loop_serves_a_client_that_knows_the_key)
{
    char text[8];
    pipc_t *client = NULL;
    pipc_server_t *server = listen_with(key);
    assert_non_null(server);
    uint16_t port = pipc_server_port(server);
    pid_t pid = harness_fork(ask_by_tcp, &port);
    do
        assert_int_not_equal(turn(server, &client), -1);
    while (client == NULL || pipc_read(client, text, sizeof text) == -1);
    tell(client, "ask");
    assert_int_equal(harness_wait(pid), 0);
    pipc_close(client);
    pipc_server_close(server);
}

/* The kernel takes a client in before the server accepts it, so that one thread does both. */
static void serve_on(pipc_server_t *server, pipc_t *client)
{
    assert_true(server != NULL && client != NULL);
    tell(client, "ask");
    assert_int_equal(pipc_shutdown(client), 0);
    serve(server, 0);
    expect(client, "ask");
    pipc_close(client);
}

TEST(a_client_finds_its_server_on_a_path)
{
    struct paths paths;
    platform_needs(PLATFORM_CREDENTIALS);
    paths_begin(&paths);
    const char *path = paths_to(&paths, "socket");
    pipc_server_t *server = listen_for_group(path);
    assert_null(listen_for_group(path));
    serve_on(server, find_server(path));
    paths_end(&paths);
}

static int serve_what_was_passed(void *place)
{
    const char *path = place;
    char pid[16];
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    setenv("LISTEN_PID", pid, 1);
    setenv("LISTEN_FDS", "1", 1);
    dup2(paths_listen(path, 5), 3);
    serve_on(take_over(), pipc_open_unix(path, -1, NULL));
    return 0;
}

TEST(a_server_takes_over_a_socket_that_was_passed)
{
    struct paths paths;
    paths_begin(&paths);
    char *path = strdup(paths_to(&paths, "socket"));
    pid_t pid = harness_fork(serve_what_was_passed, path);
    assert_int_equal(harness_wait(pid), 0);
    unlink(path);
    free(path);
    paths_end(&paths);
}

TEST(a_client_is_handed_over_with_all_that_it_has_sent)
{
    pipc_t *client[2], *worker[2];
    int fd;
    open_two(client, PIPC_ACCEPT_FDS); /* sockets that stay sockets */
    open_two(worker, PIPC_ACCEPT_FDS);
    for (int i = 0; i < 3; i++)
        tell(client[1], (const char *[]){"one", "two", "three"}[i]);
    expect(client[0], "one"); /* it reads ahead */
    assert_int_equal(hand_over(client[0], worker[0]), 0);
    expect(worker[1], "two");
    expect(worker[1], "three");
    expect(worker[1], "client");
    assert_int_equal(pipc_take_fds(worker[1], &fd, 1), 1);
    tell(client[1], "four");
    client[0] = pipc_open_fds(fd, fd, NULL);
    expect(client[0], "four");
    close_two(client);
    close_two(worker);
}

TEST(a_client_that_has_left_is_not_handed_over)
{
    pipc_t *client[2], *worker[2];
    open_two(client, PIPC_ACCEPT_FDS); /* sockets that stay sockets */
    open_two(worker, PIPC_ACCEPT_FDS);
    tell(client[1], "one");
    assert_int_equal(pipc_disconnect(client[1], NULL), 0);
    expect(client[0], "one");
    assert_int_equal(hand_over(client[0], worker[0]), -1);
    assert_int_equal(pipc_pending(worker[1]), 0);
    close_two(client);
    close_two(worker);
}

/* --- Writing and reading --------------------------------------------------------------------- */

TEST(messages_are_sent_in_each_way)
{
    pipc_t *end[2];
    char body[] = "body";
    struct iovec messages[2] = {{body, 4}, {body, 1}};
    open_two(end, 0);
    pipc_set_timeout(end[0], 0, 0);
    assert_int_equal(send_now(end[0], "now"), 1);
    assert_int_equal(send_as(end[0], 'h', body, 4), 5);
    assert_int_equal(send_all(end[0], messages, 2), 0);
    expect(end[1], "now");
    expect(end[1], "hbody");
    expect(end[1], "body");
    expect(end[1], "b");
    while (send_now(end[0], "more") == 1)
        ;
    assert_int_equal(errno, EAGAIN);
    pipc_close(end[1]);
    assert_int_equal(send_now(end[0], "more"), -1);
    pipc_close(end[0]);
}

TEST(a_file_is_sent_with_its_name)
{
    pipc_t *end[2];
    char name[64];
    open_two(end, PIPC_ACCEPT_FDS);
    assert_int_equal(send_file(end[0], "/dev/null"), 0);
    int fd = receive_file(end[1], name, sizeof name);
    assert_true(fd != -1 && write(fd, "x", 1) == -1); /* it is open for reading */
    assert_string_equal(name, "/dev/null");
    close(fd);
    close_two(end);
}

TEST(messages_are_read_in_each_way_until_the_goodbye)
{
    pipc_t *end[2];
    char room[3];
    size_t sum;
    int (*const readers[])(pipc_t *) = {print_all, print_in_a_loop};
    for (int i = 0; i < 2; i++) {
        open_two(end, 0);
        tell(end[0], "text");
        assert_int_equal(pipc_disconnect(end[0], "bye"), 0);
        assert_int_equal(readers[i](end[1]), 0);
        close_two(end);
    }
    open_two(end, 0);
    for (int i = 0; i < 7; i++)
        tell(end[0], (const char *[]){"1", "2", "long", "3", "4", "5", "six"}[i]);
    assert_int_equal(read_fitting(end[1], room, sizeof room), 1);
    assert_int_equal(read_fitting(end[1], room, sizeof room), 1);
    assert_int_equal(read_fitting(end[1], room, sizeof room), 1);
    assert_int_equal(room[0], '3');
    assert_int_equal(read_newest(end[1], room, sizeof room), 3);
    tell(end[0], "one");
    assert_int_equal(take_what_came(end[1]), 1);
    assert_int_equal(take_what_came(end[1]), 0);
    tell(end[0], "one");
    tell(end[0], "three");
    assert_int_equal(pipc_disconnect(end[0], NULL), 0);
    assert_int_equal(sum_of_sizes(end[1], &sum), 0);
    assert_int_equal(sum, 8);
    close_two(end);
}

/* --- State ----------------------------------------------------------------------------------- */

static void expect_line(void *count, const char *line)
{
    log_line(stdout, line);
    ++*(int *)count;
}

TEST(a_program_reports_traces_and_ends_in_order)
{
    pipc_t *end[2];
    int lines = 0;
    pipc_set_trace(expect_line, &lines);
    open_two(end, 0);
    assert_int_equal(lines, 2);
    pipc_set_trace(NULL, NULL);
    tell(end[0], "x");
    report(end[0]);
    assert_int_equal(choose(end[1], 1), 0);
    assert_false(platform_wakes(pipc_fd(end[1]), 0));
    assert_int_equal(choose(end[1], 0), 0);
    assert_true(harness_readable(pipc_fd(end[1]), 0));
    assert_int_equal(finish(end[0]), 0);
    assert_int_equal(pipc_shutdown(end[1]), 0);
    assert_int_equal(end_in_order(end[0]), 0);
    assert_int_equal(end_in_order(end[1]), 0);
    print_versions();
}

HARNESS_MAIN("manual", IT(a_child_answers_or_leaves),
             IT(a_program_is_started_with_frames_on_its_standard_input_and_output),
             IT(two_programs_meet_at_a_name), IT(a_loop_serves_a_client_that_knows_the_key),
             IT(a_client_finds_its_server_on_a_path),
             IT(a_server_takes_over_a_socket_that_was_passed),
             IT(a_client_is_handed_over_with_all_that_it_has_sent),
             IT(a_client_that_has_left_is_not_handed_over), IT(messages_are_sent_in_each_way),
             IT(a_file_is_sent_with_its_name), IT(messages_are_read_in_each_way_until_the_goodbye),
             IT(a_program_reports_traces_and_ends_in_order))
