/* SPDX-License-Identifier: MIT */
/* pipc_credentials: who is at the other end of a Unix socket, and on what pipes nobody knows. */
#include <sched.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "moving.h"
#include "net.h"
#include "paths.h"
#include "platform.h"

enum { NOBODY = 65534, NUMBER_INSIDE = 4321 };

static pipc_credentials_t credentials_of(pipc_t *pipe)
{
    pipc_credentials_t found = PIPC_CREDENTIALS_INIT;
    assert_int_equal(pipc_credentials(pipe, &found), 0);
    return found;
}

static void expect_self(pipc_t *pipe)
{
    pipc_credentials_t found = credentials_of(pipe);
    assert_int_equal(found.pid, getpid());
    assert_int_equal(found.uid, geteuid());
    assert_int_equal(found.gid, getegid());
}

TEST(both_ends_know_each_other_before_anything_is_read)
{
    platform_needs(PLATFORM_CREDENTIALS);
    struct paths paths;
    paths_begin(&paths);
    pipc_server_t *server = paths_serve(paths_to(&paths, "socket"), NULL);
    pipc_t *client = pipc_open_unix(paths_to(&paths, "socket"), 0, NULL);
    expect_self(client); /* before it was accepted */
    pipc_t *pipe = pipc_server_accept(server, 0);
    expect_self(pipe);
    pipc_close(client);
    expect_self(pipe); /* also afterwards */
    pipc_close(pipe);
    pipc_server_close(server);
    paths_end(&paths);
}

TEST(both_ends_of_an_abstract_name_know_each_other)
{
    platform_needs(PLATFORM_CREDENTIALS);
    platform_needs(PLATFORM_ABSTRACT);
    pipc_server_t *server = paths_serve("@libpipc credentials", NULL);
    pipc_t *client = pipc_open_unix("@libpipc credentials", 0, NULL);
    pipc_t *pipe = pipc_server_accept(server, 0);
    expect_self(client);
    expect_self(pipe);
    pipc_close(client);
    pipc_close(pipe);
    pipc_server_close(server);
}

/* Some systems forget them then, so the client has asked before. */
TEST(a_client_knows_its_server_when_that_has_closed)
{
    platform_needs(PLATFORM_CREDENTIALS);
    struct paths paths;
    char before[100], after[100];
    paths_begin(&paths);
    pipc_server_t *server = paths_serve(paths_to(&paths, "socket"), NULL);
    pipc_t *client = pipc_open_unix(paths_to(&paths, "socket"), 0, NULL);
    pipc_t *pipe = pipc_server_accept(server, 0);
    assert_int_equal(pipc_peer(client, before, sizeof before), 0);
    pipc_close(pipe);
    pipc_server_close(server);
    expect_self(client);
    assert_int_equal(pipc_peer(client, after, sizeof after), 0);
    assert_string_equal(after, before);
    pipc_close(client);
    paths_end(&paths);
}

struct caller {
    char path[128];
    pid_t pid;
    uid_t uid;
    gid_t gid;
};

/* It has ended when it is accepted. */
static int call_and_check_server(void *arg)
{
    struct caller *caller = arg;
    pid_t self = getpid();
    pipc_t *pipe = pipc_open_unix(caller->path, 10000, NULL);
    if (pipe == NULL)
        return errno;
    pipc_credentials_t server = credentials_of(pipe);
    if (server.pid != caller->pid || server.uid != caller->uid || server.gid != caller->gid)
        return 200;
    assert_int_equal(pipc_write(pipe, &self, sizeof self), sizeof self);
    pipc_close(pipe);
    return 0;
}

TEST(another_process_of_another_user_is_named)
{
    platform_needs(PLATFORM_CREDENTIALS);
    struct paths paths;
    struct caller caller = {.pid = getpid(), .uid = geteuid(), .gid = getegid()};
    pipc_options_t options = PIPC_OPTIONS_INIT;
    pid_t told;
    paths_need_users();
    paths_begin(&paths);
    snprintf(caller.path, sizeof caller.path, "%s", paths_to(&paths, "socket"));
    options.mode = 0666;
    pipc_server_t *server = paths_serve(caller.path, &options);
    assert_int_equal(paths_run_as(PATHS_USER_B, call_and_check_server, &caller), 0);
    pipc_t *pipe = pipc_server_accept(server, 0); /* it has ended */
    pipc_credentials_t found = credentials_of(pipe);
    assert_int_equal(found.uid, PATHS_USER_B);
    assert_int_equal(found.gid, PATHS_USER_B);
    assert_int_equal(pipc_read(pipe, &told, sizeof told), sizeof told);
    assert_int_equal(found.pid, told);
    char text[100], expected[100];
    snprintf(expected, sizeof expected, "process %ld of user %d", (long)told, PATHS_USER_B);
    assert_int_equal(pipc_peer(pipe, text, sizeof text), 0);
    assert_string_equal(text, expected);
    pipc_close(pipe);
    pipc_server_close(server);
    paths_end(&paths);
}

/* --- A socket that was taken over --- */

struct handover {
    char path[128];
    int listener;
    struct harness_gate ready, end;
};

static int serve_taken_over(void *arg)
{
    struct handover *h = arg;
    paths_become(PATHS_USER_A);
    pipc_server_t *server = pipc_server_open_fd(h->listener, NULL);
    assert_non_null(server);
    harness_gate_open(&h->ready);
    harness_gate_wait(&h->end);
    pipc_server_close(server);
    return 0;
}

TEST(a_client_sees_who_took_the_socket_over_and_not_who_made_it)
{
    platform_needs(PLATFORM_CREDENTIALS);
    struct paths paths;
    struct handover h;
    paths_need_users();
    paths_begin(&paths);
    snprintf(h.path, sizeof h.path, "%s", paths_to(&paths, "socket"));
    h.listener = paths_listen(h.path, 5); /* root's */
    harness_gate_init(&h.ready);
    harness_gate_init(&h.end);
    pipc_t *early = pipc_open_unix(h.path, 0, NULL);
    pid_t pid = harness_fork(serve_taken_over, &h);
    harness_gate_wait(&h.ready);
    pipc_credentials_t found = credentials_of(early);
    assert_int_equal(found.uid, geteuid()); /* it connected before */
    assert_int_equal(found.pid, getpid());
    pipc_close(early);
    pipc_t *client = pipc_open_unix(h.path, 0, NULL);
    found = credentials_of(client);
    assert_int_equal(found.uid, PATHS_USER_A);
    assert_int_equal(found.pid, pid);
    pipc_close(client);
    harness_gate_open(&h.end);
    assert_int_equal(harness_wait(pid), 0);
    harness_gate_close(&h.ready);
    harness_gate_close(&h.end);
    close(h.listener);
    unlink(h.path);
    paths_end(&paths);
}

/* --- Namespaces --- */

static int serve_in_namespace(void *arg)
{
    struct handover *h = arg;
    pipc_server_t *server = paths_serve(h->path, NULL);
    harness_gate_open(&h->ready);
    pipc_t *pipe = pipc_server_accept(server, 10000);
    assert_non_null(pipe);
    pipc_credentials_t found = credentials_of(pipe);
    assert_int_equal(found.pid, 0);
    assert_int_equal(found.uid, geteuid());
    pipc_close(pipe);
    pipc_server_close(server);
    return 0;
}

/* Its child is the first process of the new namespace. */
static int enter_pid_namespace(void *arg)
{
    if (unshare(CLONE_NEWPID) != 0)
        return HARNESS_SKIP_STATUS;
    return harness_wait(harness_fork(serve_in_namespace, arg));
}

TEST(a_process_that_the_pid_namespace_does_not_see_has_the_pid_0)
{
    platform_needs(PLATFORM_CREDENTIALS);
    struct paths paths;
    struct handover h;
    paths_need_users();
    paths_begin(&paths);
    snprintf(h.path, sizeof h.path, "%s", paths_to(&paths, "socket"));
    harness_gate_init(&h.ready);
    pid_t pid = harness_fork(enter_pid_namespace, &h);
    pipc_t *client = pipc_open_unix(h.path, 2000, NULL);
    int status = harness_wait(pid);
    pipc_close(client);
    harness_gate_close(&h.ready);
    paths_end(&paths);
    if (status == HARNESS_SKIP_STATUS)
        harness_skip("no pid namespace here");
    assert_int_equal(status, 0);
}

/* A child's own user namespace, in which only its own user has a number, or none has. */
struct stranger {
    struct handover h;
    bool is_mapped;
};

static bool enter_user_namespace(bool is_mapped)
{
    char line[64];
    int size = snprintf(line, sizeof line, "%d %ld 1", NUMBER_INSIDE, (long)geteuid());
    if (unshare(CLONE_NEWUSER) != 0)
        return false;
    if (!is_mapped)
        return true;
    int map = open("/proc/self/uid_map", O_WRONLY | O_CLOEXEC);
    bool is_written = map >= 0 && write(map, line, (size_t)size) == size;
    close(map);
    return is_written;
}

static int serve_strangers(void *arg)
{
    struct stranger *s = arg;
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.mode = 0666;
    pipc_server_t *server = paths_serve(s->h.path, &options);
    if (!enter_user_namespace(s->is_mapped)) {
        pipc_server_close(server);
        return HARNESS_SKIP_STATUS;
    }
    assert_int_equal(geteuid(), s->is_mapped ? NUMBER_INSIDE : NOBODY);
    share_after = 0;
    harness_gate_open(&s->h.ready);
    pipc_t *pipe = pipc_server_accept(server, 10000);
    assert_non_null(pipe);
    assert_int_equal(credentials_of(pipe).uid, NOBODY);
    net_expect(pipe, "ping");
    net_say(pipe, "pong");
    assert_int_equal(moving_state(pipe), SHARE_NEVER); /* no memory for nobody */
    pipc_close(pipe);
    pipc_server_close(server);
    return 0;
}

static int call_once(void *path)
{
    pipc_t *pipe = pipc_open_unix(path, 10000, NULL);
    if (pipe == NULL)
        return errno;
    net_say(pipe, "ping");
    net_expect(pipe, "pong");
    pipc_close(pipe);
    return 0;
}

static void call_from_outside(bool is_mapped)
{
    struct paths paths;
    struct stranger s = {.is_mapped = is_mapped};
    paths_begin(&paths);
    snprintf(s.h.path, sizeof s.h.path, "%s", paths_to(&paths, "socket"));
    harness_gate_init(&s.h.ready);
    pid_t pid = harness_fork(serve_strangers, &s);
    /* It opens the gate, or ends. */
    close(s.h.ready.fd[1]);
    char byte;
    bool is_ready = read(s.h.ready.fd[0], &byte, 1) == 1;
    int called = is_ready ? paths_run_as(PATHS_USER_B, call_once, s.h.path) : 0;
    int status = harness_wait(pid);
    close(s.h.ready.fd[0]);
    paths_end(&paths);
    if (status == HARNESS_SKIP_STATUS)
        harness_skip("no user namespace here");
    assert_int_equal(status, 0);
    assert_int_equal(called, 0);
}

TEST(a_user_whom_the_user_namespace_does_not_know_has_the_overflow_uid)
{
    platform_needs(PLATFORM_CREDENTIALS);
    paths_need_users();
    call_from_outside(true);
}

TEST(where_this_user_is_unknown_too_a_stranger_is_not_taken_for_the_same)
{
    platform_needs(PLATFORM_CREDENTIALS);
    moving_need();
    paths_need_users();
    call_from_outside(false);
}

/* --- Other kinds --- */

TEST_OF_KIND(only_a_Unix_socket_has_credentials)
{
    platform_needs(PLATFORM_CREDENTIALS);
    pipc_t *end[2];
    pipc_credentials_t found = PIPC_CREDENTIALS_INIT;
    kind_open(kind, end, NULL);
    for (int i = 0; i < 2; i++)
        if (kind->path)
            expect_self(end[i]);
        else
            assert_errno(pipc_credentials(end[i], &found), EOPNOTSUPP);
    kind_close(kind, end);
}

/* Who brings it may have made both ends, whatever their names. */
TEST(an_adopted_socket_has_no_credentials)
{
    struct paths paths;
    pipc_credentials_t found = PIPC_CREDENTIALS_INIT;
    paths_begin(&paths);
    int listener = paths_listen(paths_to(&paths, "socket"), 1);
    int fd = paths_connect(paths_to(&paths, "socket"));
    pipc_t *pipe = harness_adopt(fd, fd, NULL);
    assert_errno(pipc_credentials(pipe, &found), EOPNOTSUPP);
    pipc_close(pipe);
    close(listener);
    unlink(paths_to(&paths, "socket"));
    paths_end(&paths);
}

TEST(wrong_arguments_return_EINVAL)
{
    pipc_t *end[2];
    pipc_credentials_t found = PIPC_CREDENTIALS_INIT;
    assert_errno(pipc_credentials(NULL, &found), EINVAL);
    paths_open_kind(end, NULL);
    assert_errno(pipc_credentials(end[0], NULL), EINVAL);
    found.struct_size--;
    assert_errno(pipc_credentials(end[0], &found), EINVAL);
    pipc_close(end[0]);
    pipc_close(end[1]);
}

HARNESS_MAIN("credentials", IT(both_ends_know_each_other_before_anything_is_read),
             IT(both_ends_of_an_abstract_name_know_each_other),
             IT(a_client_knows_its_server_when_that_has_closed),
             IT(another_process_of_another_user_is_named),
             IT(a_client_sees_who_took_the_socket_over_and_not_who_made_it),
             IT(a_process_that_the_pid_namespace_does_not_see_has_the_pid_0),
             IT(a_user_whom_the_user_namespace_does_not_know_has_the_overflow_uid),
             IT(where_this_user_is_unknown_too_a_stranger_is_not_taken_for_the_same),
             OVER_KINDS(only_a_Unix_socket_has_credentials),
             IT(an_adopted_socket_has_no_credentials), IT(wrong_arguments_return_EINVAL))
