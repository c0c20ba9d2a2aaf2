/* SPDX-License-Identifier: MIT */
/*
 * The name of a server on a path: who gets it, what is in its way, who may connect, and what is
 * left afterwards. Races for a name are in test_unix_race.c.
 */
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fault.h"
#include "net.h"
#include "paths.h"
#include "platform.h"

static void make_file(const char *path)
{
    int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
}

TEST(a_client_and_its_server_exchange_messages)
{
    struct paths paths;
    char text[100];
    paths_begin(&paths);
    pipc_server_t *server = paths_serve(paths_to(&paths, "socket"), NULL);
    assert_int_equal(pipc_server_port(server), 0);
    pipc_t *client[2];
    for (int i = 0; i < 2; i++) {
        client[i] = pipc_open_unix(paths_to(&paths, "socket"), 0, NULL);
        assert_non_null(client[i]);
    }
    assert_true(harness_readable(pipc_server_fd(server), 0));
    pipc_t *pipe = pipc_server_accept(server, 0);
    net_expect_talk(client[0], pipe);
    assert_int_equal(pipc_peer(pipe, text, sizeof text), 0);
    pipc_close(pipe);
    pipc_close(client[0]);
    paths_assert_talk(client[1], server);
    assert_null_errno(pipc_server_accept(server, 0), EAGAIN);
    assert_null_errno(pipc_server_accept(server, 20), ETIMEDOUT);
    assert_false(harness_readable(pipc_server_fd(server), 0));
    pipc_server_close(server);
    paths_end(&paths);
}

static void expect_mode(const char *path, mode_t mode, mode_t expected)
{
    pipc_options_t options = PIPC_OPTIONS_INIT;
    struct stat found;
    options.mode = mode;
    pipc_server_t *server = paths_serve(path, &options);
    assert_int_equal(lstat(path, &found), 0);
    assert_int_equal(found.st_mode & 07777, expected);
    pipc_server_close(server);
}

TEST(the_mode_of_the_socket_does_not_depend_on_the_umask)
{
    static const mode_t masks[] = {0, 0777, 022, 077};
    struct paths paths;
    pipc_options_t options = PIPC_OPTIONS_INIT;
    paths_begin(&paths);
    const char *path = paths_to(&paths, "socket");
    for (size_t i = 0; i < sizeof masks / sizeof masks[0]; i++) {
        mode_t before = umask(masks[i]);
        expect_mode(path, 0, 0600);
        expect_mode(path, 0600, 0600);
        expect_mode(path, 0660, 0660);
        expect_mode(path, 0666, 0666);
        expect_mode(path, 0777, 0777);
        expect_mode(path, 0200, 0200);
        umask(before);
    }
    options.mode = 01600;
    assert_null_errno(pipc_server_open_unix(path, &options), EINVAL);
    paths_end(&paths);
}

/* Its own user could not find out whether it is dead, and it would be in the way for ever. */
TEST(a_mode_that_keeps_out_the_servers_own_user_is_refused)
{
    struct paths paths;
    pipc_options_t options = PIPC_OPTIONS_INIT;
    paths_begin(&paths);
    options.mode = 0060;
    assert_null_errno(pipc_server_open_unix(paths_to(&paths, "socket"), &options), EINVAL);
    options.mode = 0577;
    assert_null_errno(pipc_server_open_unix(paths_to(&paths, "socket"), &options), EINVAL);
    paths_end(&paths);
}

TEST(the_mode_of_the_socket_is_right_where_there_is_no_proc)
{
    platform_needs(PLATFORM_LINUX_CALLS);
    struct paths paths;
    struct stat found;
    pipc_options_t options = PIPC_OPTIONS_INIT;
    paths_begin(&paths);
    const char *path = paths_to(&paths, "socket");
    mode_t before = umask(077);
    options.mode = 0666;
    fault_reset();
    fault_fail(CALL_bind, 1, 0, ENOENT);
    fault_fail(CALL_fstatat, 1, 0, ENOENT);
    fault_fail(CALL_fchmodat, 1, FAULT_FOREVER, ENOENT);
    fault_arm();
    pipc_server_t *server = pipc_server_open_unix(path, &options);
    int error = errno;
    fault_disarm();
    umask(before);
    if (server == NULL && error == EOPNOTSUPP) {
        paths_end(&paths);
        harness_skip("needs fchmodat2 (Linux 6.6)");
    }
    assert_non_null(server);
    assert_int_equal(lstat(path, &found), 0);
    assert_int_equal(found.st_mode & 07777, 0666);
    paths_assert_talk(pipc_open_unix(path, 0, NULL), server);
    pipc_server_close(server);
    paths_end(&paths);
}

/* A program that was built when the struct had no such field has the default. */
TEST(a_shorter_struct_of_options_is_taken)
{
    struct paths paths;
    struct stat found;
    pipc_options_t options = PIPC_OPTIONS_INIT;
    paths_begin(&paths);
    const char *path = paths_to(&paths, "socket");
    options.mode = 0666;
    options.struct_size = offsetof(pipc_options_t, flags) + sizeof options.flags;
    options.struct_size += -options.struct_size % sizeof(size_t);
    if (options.struct_size > offsetof(pipc_options_t, mode))
        options.mode = 0; /* it is in what was padding */
    pipc_server_t *server = paths_serve(path, &options);
    assert_int_equal(lstat(path, &found), 0);
    assert_int_equal(found.st_mode & 07777, 0600);
    pipc_server_close(server);
    options.struct_size -= sizeof(size_t);
    assert_null_errno(pipc_server_open_unix(path, &options), EINVAL);
    paths_end(&paths);
}

/* --- What is in the way ----------------------------------------------------------------------- */

static void expect_to_stay(const struct paths *paths, const char *name, int error)
{
    const char *path = paths_to(paths, name);
    ino_t inode = paths_inode(path);
    int count = paths_count(paths);
    assert_true(inode != 0);
    assert_null_errno(pipc_server_open_unix(path, NULL), error);
    assert_int_equal(paths_inode(path), inode);
    assert_int_equal(paths_count(paths), count);
}

TEST(what_is_no_socket_stays_and_returns_EEXIST)
{
    struct paths paths;
    paths_begin(&paths);
    make_file(paths_to(&paths, "file"));
    paths_leave_dead(paths_to(&paths, "dead"));
    assert_int_equal(mkfifo(paths_to(&paths, "fifo"), 0600), 0);
    assert_int_equal(mkdir(paths_to(&paths, "directory"), 0700), 0);
    assert_int_equal(symlink("file", paths_to(&paths, "to_file")), 0);
    assert_int_equal(symlink("dead", paths_to(&paths, "to_dead")), 0);
    assert_int_equal(symlink("nothing", paths_to(&paths, "to_nothing")), 0);
    expect_to_stay(&paths, "file", EEXIST);
    expect_to_stay(&paths, "fifo", EEXIST);
    expect_to_stay(&paths, "directory", EEXIST);
    expect_to_stay(&paths, "to_file", EEXIST);
    expect_to_stay(&paths, "to_dead", EEXIST);
    expect_to_stay(&paths, "to_nothing", EEXIST);
    rmdir(paths_to(&paths, "directory"));
    unlink(paths_to(&paths, "fifo"));
    unlink(paths_to(&paths, "file"));
    unlink(paths_to(&paths, "dead"));
    unlink(paths_to(&paths, "to_file"));
    unlink(paths_to(&paths, "to_dead"));
    unlink(paths_to(&paths, "to_nothing"));
    paths_end(&paths);
}

TEST(a_socket_that_a_process_has_is_never_taken_from_it)
{
    static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};
    struct paths paths;
    int clients[64];
    paths_begin(&paths);
    for (int i = 0; i < 3; i++) { /* none of them listens */
        int fd = paths_bind(paths_to(&paths, "bound"), types[i]);
        expect_to_stay(&paths, "bound", EADDRINUSE);
        close(fd);
        unlink(paths_to(&paths, "bound"));
    }
    int listener = paths_listen(paths_to(&paths, "full"), 2);
    int count = paths_fill_backlog(paths_to(&paths, "full"), clients, 64);
    expect_to_stay(&paths, "full", EADDRINUSE);
    paths_close_all(clients, count);
    close(listener);
    unlink(paths_to(&paths, "full"));
    pipc_server_t *server = paths_serve(paths_to(&paths, "live"), NULL);
    expect_to_stay(&paths, "live", EADDRINUSE);
    assert_null_errno(pipc_server_accept(server, 0), EAGAIN); /* the check was no client */
    pipc_server_close(server);
    paths_end(&paths);
}

TEST(a_dead_socket_is_replaced)
{
    struct paths paths;
    paths_begin(&paths);
    paths_leave_dead(paths_to(&paths, "socket"));
    paths_leave_dead(paths_to(&paths, ".pipc-new-1"));
    paths_assert_works(&paths, paths_to(&paths, "socket"));
    paths_end(&paths);
}

TEST(a_path_that_cannot_be_is_refused)
{
    struct paths paths;
    char long_name[300] = "";
    paths_begin(&paths);
    make_file(paths_to(&paths, "file"));
    assert_int_equal(symlink("loop", paths_to(&paths, "loop")), 0);
    memset(long_name, 'x', sizeof long_name - 1);
    assert_null_errno(pipc_server_open_unix(NULL, NULL), EINVAL);
    assert_null_errno(pipc_server_open_unix("", NULL), EINVAL);
    assert_null_errno(pipc_server_open_unix(".", NULL), EINVAL);
    assert_null_errno(pipc_server_open_unix(paths_to(&paths, ""), NULL), EINVAL);
    assert_null_errno(pipc_server_open_unix(paths_to(&paths, ".."), NULL), EINVAL);
    assert_null_errno(pipc_server_open_unix(paths_to(&paths, ".pipc-x"), NULL), EINVAL);
    assert_null_errno(pipc_server_open_unix(paths_to(&paths, "missing/x"), NULL), ENOENT);
    assert_null_errno(pipc_server_open_unix(paths_to(&paths, "file/x"), NULL), ENOTDIR);
    assert_null_errno(pipc_server_open_unix(paths_to(&paths, "loop/x"), NULL), ELOOP);
    assert_null_errno(pipc_server_open_unix(paths_to(&paths, long_name), NULL), ENAMETOOLONG);
    unlink(paths_to(&paths, "file"));
    unlink(paths_to(&paths, "loop"));
    paths_end(&paths);
}

TEST(a_directory_may_be_a_symlink_or_the_working_directory)
{
    struct paths paths;
    paths_begin(&paths);
    int before = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(symlink(".", paths_to(&paths, "here")), 0);
    pipc_server_t *server = paths_serve(paths_to(&paths, "here/socket"), NULL);
    paths_assert_talk(pipc_open_unix(paths_to(&paths, "socket"), 0, NULL), server);
    pipc_server_close(server);
    unlink(paths_to(&paths, "here"));
    assert_int_equal(chdir(paths.directory), 0);
    server = paths_serve("socket", NULL);
    paths_assert_talk(pipc_open_unix("socket", 0, NULL), server);
    assert_int_equal(fchdir(before), 0);
    close(before);
    pipc_server_close(server); /* in the directory where it is */
    paths_end(&paths);
}

/* --- Closing, and fork ------------------------------------------------------------------------ */

TEST(close_removes_the_name_only_while_it_is_this_servers)
{
    struct paths paths;
    paths_begin(&paths);
    const char *path = paths_to(&paths, "socket");
    pipc_server_t *server = paths_serve(path, NULL);
    assert_int_equal(unlink(path), 0);
    make_file(path);
    pipc_server_close(server);
    assert_int_equal(unlink(path), 0);
    server = paths_serve(path, NULL);
    assert_int_equal(unlink(path), 0);
    pipc_server_t *second = paths_serve(path, NULL);
    pipc_server_close(server);
    paths_assert_talk(pipc_open_unix(path, 0, NULL), second);
    pipc_server_close(second);
    paths_end(&paths);
}

TEST(close_turns_away_clients_that_were_not_accepted)
{
    struct paths paths;
    char byte;
    paths_begin(&paths);
    pipc_server_t *server = paths_serve(paths_to(&paths, "socket"), NULL);
    pipc_t *client = pipc_open_unix(paths_to(&paths, "socket"), 0, NULL);
    assert_non_null(client);
    pipc_server_close(server);
    assert_errno(pipc_read(client, &byte, 1), EPIPE);
    pipc_close(client);
    paths_end(&paths);
}

TEST(a_forked_copy_that_is_closed_disturbs_nobody)
{
    struct paths paths;
    paths_begin(&paths);
    const char *path = paths_to(&paths, "socket");
    pipc_server_t *server = paths_serve(path, NULL);
    pipc_t *client = pipc_open_unix(path, 0, NULL);
    assert_int_equal(harness_wait(harness_fork(paths_close_server, server)), 0);
    assert_int_equal(paths_count(&paths), 1);
    paths_assert_talk(client, server);
    paths_assert_talk(pipc_open_unix(path, 0, NULL), server);
    pipc_server_close(server);
    paths_end(&paths);
}

struct copy {
    pipc_server_t *server;
    struct harness_gate gate;
};

static int keep_copy(void *arg)
{
    struct copy *copy = arg;
    harness_gate_wait(&copy->gate);
    return paths_close_server(copy->server);
}

TEST(a_forked_copy_keeps_nothing_once_its_server_was_closed)
{
    struct paths paths;
    struct copy copy;
    paths_begin(&paths);
    const char *path = paths_to(&paths, "socket");
    harness_gate_init(&copy.gate);
    copy.server = paths_serve(path, NULL);
    pid_t pid = harness_fork(keep_copy, &copy);
    pipc_server_close(copy.server);
    paths_assert_works(&paths, path);
    harness_gate_open(&copy.gate);
    assert_int_equal(harness_wait(pid), 0);
    harness_gate_close(&copy.gate);
    paths_end(&paths);
}

struct doomed {
    const char *path;
    pid_t *copy; /* of the listener: the process that has it */
    struct harness_gate ready, end;
};

static int keep_listener(void *arg)
{
    struct doomed *doomed = arg;
    *doomed->copy = getpid();
    harness_gate_open(&doomed->ready);
    harness_gate_wait(&doomed->end);
    return 0;
}

static int serve_and_fork(void *arg)
{
    struct doomed *doomed = arg;
    pipc_server_t *server = paths_serve(doomed->path, NULL);
    harness_fork(keep_listener, doomed);
    harness_gate_wait(&doomed->end); /* it is killed here */
    pipc_server_close(server);
    return 0;
}

/* Nothing says whether the copy will still be used. */
TEST(a_forked_copy_of_a_killed_servers_listener_keeps_the_name_until_it_ends)
{
    struct paths paths;
    struct doomed doomed;
    paths_begin(&paths);
    doomed.path = paths_to(&paths, "socket");
    doomed.copy =
        mmap(NULL, sizeof *doomed.copy, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(doomed.copy != MAP_FAILED);
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0); /* the copy becomes the test's child */
    harness_gate_init(&doomed.ready);
    harness_gate_init(&doomed.end);
    pid_t server = harness_fork(serve_and_fork, &doomed);
    harness_gate_wait(&doomed.ready);
    assert_int_equal(kill(server, SIGKILL), 0);
    assert_int_equal(harness_wait(server), -SIGKILL);
    for (int i = 0; i < 3; i++)
        expect_to_stay(&paths, "socket", EADDRINUSE);
    harness_gate_open(&doomed.end);
    assert_int_equal(harness_wait(*doomed.copy), 0);
    paths_assert_works(&paths, doomed.path);
    harness_gate_close(&doomed.ready);
    harness_gate_close(&doomed.end);
    munmap(doomed.copy, sizeof *doomed.copy);
    paths_end(&paths);
}

/* --- Descriptors, and the server's clients ---------------------------------------------------- */

TEST(a_server_needs_four_descriptors_which_no_exec_inherits)
{
    struct paths paths;
    paths_begin(&paths);
    int before = harness_open_descriptors();
    pipc_server_t *server = paths_serve(paths_to(&paths, "socket"), NULL);
    assert_int_equal(harness_open_descriptors(), before + 4);
    for (int fd = 3; fd < 1024; fd++)
        if (net_option(fd, SOL_SOCKET, SO_ACCEPTCONN) == 1)
            assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    pipc_server_close(server);
    paths_end(&paths);
}

TEST(at_the_limit_of_descriptors_clients_wait_for_one)
{
    struct paths paths;
    paths_begin(&paths);
    pipc_server_t *server = paths_serve(paths_to(&paths, "socket"), NULL);
    pipc_t *client = pipc_open_unix(paths_to(&paths, "socket"), 0, NULL);
    int spare = dup(0);
    rlim_t before = harness_limit(RLIMIT_NOFILE, (rlim_t)spare + 1);
    assert_null_errno(pipc_server_accept(server, 0), EAGAIN);
    assert_null_errno(pipc_server_accept(server, 120), ETIMEDOUT);
    close(spare);
    pipc_t *pipe = pipc_server_accept(server, 10000);
    harness_limit(RLIMIT_NOFILE, before);
    net_expect_talk(client, pipe);
    pipc_close(pipe);
    pipc_close(client);
    pipc_server_close(server);
    paths_end(&paths);
}

TEST(a_flood_of_silent_clients_does_not_keep_out_one_with_the_key)
{
    enum { SILENT = 300 };
    struct paths paths;
    int silent[SILENT];
    pipc_options_t options = net_with_key("secret");
    paths_begin(&paths);
    char path[128];
    struct paths_caller client = {path, "secret", 10000};
    snprintf(path, sizeof path, "%s", paths_to(&paths, "socket"));
    pipc_server_t *server = paths_serve(path, &options);
    for (int i = 0; i < SILENT; i++) {
        silent[i] = paths_connect(path);
        assert_true(silent[i] >= 0);
        assert_null_errno(pipc_server_accept(server, 0), EAGAIN);
    }
    char bytes[256];
    assert_true(recv(silent[0], bytes, sizeof bytes, 0) > 0); /* its challenge */
    assert_int_equal(recv(silent[0], bytes, sizeof bytes, 0), 0);
    pid_t pid = harness_fork(paths_call, &client);
    pipc_t *pipe = pipc_server_accept(server, 10000);
    net_expect_process(pipe, pid);
    pipc_close(pipe);
    paths_close_all(silent, SILENT);
    pipc_server_close(server);
    paths_end(&paths);
}

HARNESS_MAIN("Unix sockets, server", IT(a_client_and_its_server_exchange_messages),
             IT(the_mode_of_the_socket_does_not_depend_on_the_umask),
             IT(a_mode_that_keeps_out_the_servers_own_user_is_refused),
             IT(the_mode_of_the_socket_is_right_where_there_is_no_proc),
             IT(a_shorter_struct_of_options_is_taken),
             IT(what_is_no_socket_stays_and_returns_EEXIST),
             IT(a_socket_that_a_process_has_is_never_taken_from_it), IT(a_dead_socket_is_replaced),
             IT(a_path_that_cannot_be_is_refused),
             IT(a_directory_may_be_a_symlink_or_the_working_directory),
             IT(close_removes_the_name_only_while_it_is_this_servers),
             IT(close_turns_away_clients_that_were_not_accepted),
             IT(a_forked_copy_that_is_closed_disturbs_nobody),
             IT(a_forked_copy_keeps_nothing_once_its_server_was_closed),
             IT(a_forked_copy_of_a_killed_servers_listener_keeps_the_name_until_it_ends),
             IT(a_server_needs_four_descriptors_which_no_exec_inherits),
             IT(at_the_limit_of_descriptors_clients_wait_for_one),
             IT(a_flood_of_silent_clients_does_not_keep_out_one_with_the_key))
