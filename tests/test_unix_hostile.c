/* SPDX-License-Identifier: MIT */
/*
 * What others do to a server on a path at the worst moment: a client sends descriptors, somebody
 * moves the directory or what is in it while the server starts, descriptors run out.
 */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fault.h"
#include "fifos.h"
#include "net.h"
#include "paths.h"
#include "platform.h"

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

/* --- Descriptors that nobody asked for -------------------------------------------------------- */

/* Closing such a descriptor may take as long as its sender likes (SO_LINGER). */
static void expect_no_descriptor_gets_in(int fd)
{
    char byte = 0, control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof control};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    *header = (struct cmsghdr){.cmsg_len = (socklen_t)CMSG_LEN(sizeof fd),
                               .cmsg_level = SOL_SOCKET,
                               .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
    assert_errno(sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT), EPERM);
}

static void need_pass_rights(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), off = 0;
    bool has_it = setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &off, sizeof off) == 0;
    close(fd);
    if (!has_it)
        harness_skip("needs SO_PASSRIGHTS (Linux 6.16)");
}

TEST(a_client_sends_no_descriptor_to_a_server_that_did_not_ask_for_it)
{
    platform_needs(PLATFORM_SWITCH);
    struct paths paths;
    need_pass_rights();
    paths_begin(&paths);
    pipc_options_t options = net_with_key("secret");
    for (int keyed = 0; keyed < 2; keyed++) {
        pipc_server_t *server = paths_serve(paths_to(&paths, "socket"), keyed ? &options : NULL);
        int client = paths_connect(paths_to(&paths, "socket"));
        expect_no_descriptor_gets_in(client); /* it waits in the backlog */
        pipc_t *pipe = pipc_server_accept(server, 0);
        assert_true((pipe == NULL) == (bool)keyed);
        expect_no_descriptor_gets_in(client);
        close(client);
        pipc_close(pipe);
        pipc_server_close(server);
    }
    paths_end(&paths);
}

TEST(a_server_sends_no_descriptor_to_a_client_that_did_not_ask_for_it)
{
    platform_needs(PLATFORM_SWITCH);
    struct paths paths;
    need_pass_rights();
    paths_begin(&paths);
    int listener = paths_listen(paths_to(&paths, "socket"), 5);
    pipc_t *pipe = pipc_open_unix(paths_to(&paths, "socket"), 0, NULL);
    int peer = accept(listener, NULL, NULL);
    expect_no_descriptor_gets_in(peer);
    pipc_close(pipe);
    close(peer);
    close(listener);
    unlink(paths_to(&paths, "socket"));
    paths_end(&paths);
}

TEST(a_listener_that_was_taken_over_lets_no_descriptor_in)
{
    platform_needs(PLATFORM_SWITCH);
    struct paths paths;
    need_pass_rights();
    paths_begin(&paths);
    int listener = paths_listen(paths_to(&paths, "socket"), 5);
    int client[2] = {paths_connect(paths_to(&paths, "socket")), -1};
    pipc_server_t *server = pipc_server_open_fd(listener, NULL);
    client[1] = paths_connect(paths_to(&paths, "socket"));
    for (int i = 0; i < 2; i++) { /* the first one connected before */
        pipc_t *pipe = pipc_server_accept(server, 0);
        assert_non_null(pipe);
        expect_no_descriptor_gets_in(client[i]);
        pipc_close(pipe);
        close(client[i]);
    }
    pipc_server_close(server);
    unlink(paths_to(&paths, "socket"));
    paths_end(&paths);
}

TEST(who_has_not_shown_the_key_sends_no_descriptor_also_where_some_are_taken)
{
    platform_needs(PLATFORM_SWITCH);
    struct paths paths;
    need_pass_rights();
    paths_begin(&paths);
    const char *path = paths_to(&paths, "socket");
    pipc_options_t options = net_with_key("secret");
    options.flags = PIPC_ACCEPT_FDS;
    for (int adopted = 0; adopted < 2; adopted++) {
        int listener = adopted ? paths_listen(path, 5) : -1;
        int before = adopted ? paths_connect(path) : -1;
        pipc_server_t *server =
            adopted ? pipc_server_open_fd(listener, &options) : paths_serve(path, &options);
        int client = paths_connect(path);
        expect_no_descriptor_gets_in(client); /* it waits in the backlog */
        assert_null_errno(pipc_server_accept(server, 0), EAGAIN);
        expect_no_descriptor_gets_in(client);
        if (adopted) {
            expect_no_descriptor_gets_in(before);
            close(before);
        }
        close(client);
        pipc_server_close(server);
    }
    unlink(path);
    int listener = paths_listen(path, 5);
    options.flags |= PIPC_ASYNC;
    pipc_t *pipe = pipc_open_unix(path, -1, &options);
    int peer = accept(listener, NULL, NULL);
    expect_no_descriptor_gets_in(peer);
    pipc_close(pipe);
    close(peer);
    close(listener);
    unlink(path);
    paths_end(&paths);
}

/* --- Others at work in the directory ---------------------------------------------------------- */

struct start {
    char path[128];
    enum fault_call call; /* it stops before the nth of these */
    unsigned long nth;
};

/* 0, or the errno of its opening. */
static int start_and_stop(void *arg)
{
    struct start *start = arg;
    fault_reset();
    fault_stop_at(start->call, start->nth);
    fault_arm();
    pipc_server_t *server = pipc_server_open_unix(start->path, NULL);
    int result = server == NULL ? errno : 0;
    fault_disarm();
    if (server != NULL && paths_inode(start->path) == 0)
        result = 200;
    pipc_server_close(server);
    return result;
}

static pid_t begin_start(struct start *start, const struct paths *paths, enum fault_call call,
                         unsigned long nth)
{
    snprintf(start->path, sizeof start->path, "%s", paths_to(paths, "socket"));
    start->call = call;
    start->nth = nth;
    pid_t pid = harness_fork(start_and_stop, start);
    assert_true(fifos_has_stopped(pid));
    return pid;
}

static int end_start(pid_t pid)
{
    kill(pid, SIGCONT);
    return harness_wait(pid);
}

static const char *private_path(const struct paths *paths)
{
    const char *found = NULL;
    DIR *list = opendir(paths->directory);
    for (struct dirent *entry; found == NULL && (entry = readdir(list)) != NULL;)
        if (strncmp(entry->d_name, ".pipc-new-", 10) == 0)
            found = paths_to(paths, entry->d_name);
    closedir(list);
    assert_non_null(found);
    return found;
}

static void make_file(const char *path)
{
    int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
}

TEST(a_file_that_comes_in_the_place_of_a_dead_socket_stays)
{
    platform_needs(PLATFORM_LINUX_CALLS);
    struct paths paths;
    struct start start;
    paths_begin(&paths);
    paths_leave_dead(paths_to(&paths, "socket"));
    pid_t pid = begin_start(&start, &paths, CALL_syscall, 1); /* it moves the dead one */
    assert_int_equal(unlink(start.path), 0);
    make_file(start.path);
    ino_t inode = paths_inode(start.path);
    assert_int_equal(end_start(pid), EEXIST);
    assert_int_equal(paths_inode(start.path), inode);
    assert_int_equal(unlink(start.path), 0);
    paths_end(&paths);
}

static int serve_and_stop_at_the_end(void *path)
{
    pipc_server_t *server = paths_serve(path, NULL);
    fault_reset();
    fault_stop_at(CALL_syscall, 1); /* it moves the name away */
    fault_arm();
    pipc_server_close(server);
    fault_disarm();
    return 0;
}

TEST(a_file_that_comes_in_the_place_of_a_server_that_closes_stays)
{
    platform_needs(PLATFORM_LINUX_CALLS);
    struct paths paths;
    char path[128];
    paths_begin(&paths);
    snprintf(path, sizeof path, "%s", paths_to(&paths, "socket"));
    pid_t pid = harness_fork(serve_and_stop_at_the_end, path);
    assert_true(fifos_has_stopped(pid));
    assert_int_equal(unlink(path), 0);
    make_file(path);
    ino_t inode = paths_inode(path);
    assert_int_equal(end_start(pid), 0);
    assert_int_equal(paths_inode(path), inode);
    assert_int_equal(unlink(path), 0);
    paths_end(&paths);
}

TEST(a_dead_socket_is_replaced_where_a_rename_would_take_any_place)
{
    struct paths paths;
    paths_begin(&paths);
    paths_leave_dead(paths_to(&paths, "socket"));
    fault_reset();
    fault_fail(CALL_syscall, 1, FAULT_FOREVER, EINVAL);
    fault_arm();
    pipc_server_t *server = pipc_server_open_unix(paths_to(&paths, "socket"), NULL);
    fault_disarm();
    assert_non_null(server);
    assert_int_equal(paths_count(&paths), 1);
    fault_arm();
    pipc_server_close(server);
    fault_disarm();
    paths_end(&paths);
}

TEST(what_comes_in_the_place_of_a_new_socket_is_neither_published_nor_removed)
{
    platform_needs(PLATFORM_LINUX_CALLS);
    struct paths paths;
    struct start start;
    bool is_root = geteuid() == 0;
    paths_begin(&paths);
    for (int other_user = 0; other_user <= is_root; other_user++) {
        pid_t pid = begin_start(&start, &paths, CALL_openat, 2); /* it looks at what it has bound */
        const char *private = private_path(&paths);
        assert_int_equal(rename(private, paths_to(&paths, "moved")), 0);
        if (other_user) {
            paths_leave_dead(private);
            assert_int_equal(lchown(private, PATHS_USER_A, PATHS_USER_A), 0);
        } else {
            make_file(private);
        }
        ino_t inode = paths_inode(private);
        assert_int_equal(end_start(pid), EACCES);
        assert_int_equal(paths_inode(private), inode);
        assert_int_equal(paths_inode(start.path), 0);
        assert_int_equal(unlink(private), 0);
        assert_int_equal(unlink(paths_to(&paths, "moved")), 0);
    }
    paths_end(&paths);
}

TEST(a_server_does_not_take_another_socket_at_its_path_for_its_own)
{
    struct paths paths;
    struct start start;
    paths_begin(&paths);
    int other = paths_listen(paths_to(&paths, "other"), 5);
    ino_t inode = paths_inode(paths_to(&paths, "other"));
    pid_t pid = begin_start(&start, &paths, CALL_linkat, 1);
    assert_int_equal(rename(paths_to(&paths, "other"), private_path(&paths)), 0);
    assert_int_equal(end_start(pid), EACCES);
    assert_int_equal(paths_inode(start.path), inode);
    assert_int_equal(unlink(start.path), 0);
    assert_int_equal(unlink(private_path(&paths)), 0);
    close(other);
    paths_end(&paths);
}

struct swapped {
    struct paths paths;
    char path[128];
};

static int start_where_it_was(void *arg)
{
    struct swapped *swapped = arg;
    fault_reset();
    fault_stop_at(CALL_bind, 1);
    fault_arm();
    pipc_server_t *server = pipc_server_open_unix(swapped->path, NULL);
    fault_disarm();
    bool is_there = server != NULL && paths_inode(paths_to(&swapped->paths, "a/socket")) != 0 &&
                    paths_inode(paths_to(&swapped->paths, "b/socket")) == 0;
    pipc_server_close(server);
    return !is_there;
}

TEST(a_server_starts_in_the_directory_that_its_path_led_to_at_first)
{
    platform_needs(PLATFORM_ABSTRACT);
    paths_need_proc();
    struct swapped s;
    paths_begin(&s.paths);
    snprintf(s.path, sizeof s.path, "%s", paths_to(&s.paths, "link/socket"));
    assert_int_equal(mkdir(paths_to(&s.paths, "a"), 0700), 0);
    assert_int_equal(mkdir(paths_to(&s.paths, "b"), 0700), 0);
    assert_int_equal(symlink("a", paths_to(&s.paths, "link")), 0);
    pid_t pid = harness_fork(start_where_it_was, &s);
    assert_true(fifos_has_stopped(pid));
    assert_int_equal(unlink(paths_to(&s.paths, "link")), 0);
    assert_int_equal(symlink("b", paths_to(&s.paths, "link")), 0);
    assert_int_equal(end_start(pid), 0);
    assert_int_equal(unlink(paths_to(&s.paths, "link")), 0);
    assert_int_equal(rmdir(paths_to(&s.paths, "a")), 0);
    assert_int_equal(rmdir(paths_to(&s.paths, "b")), 0);
    paths_end(&s.paths);
}

/* --- Shortage --------------------------------------------------------------------------------- */

TEST(at_the_limit_of_descriptors_a_dead_name_is_no_server)
{
    struct paths paths;
    pipc_server_t *server = NULL;
    int tries = 0;
    paths_begin(&paths);
    const char *path = paths_to(&paths, "socket");
    int first = dup(0);
    close(first);
    for (; server == NULL; tries++) {
        paths_leave_dead(path);
        rlim_t before = harness_limit(RLIMIT_NOFILE, (rlim_t)(first + tries));
        server = pipc_server_open_unix(path, NULL);
        int error = errno;
        harness_limit(RLIMIT_NOFILE, before);
        if (server != NULL)
            break;
        assert_int_equal(error, EMFILE);
        assert_int_equal(paths_count(&paths), 1);
        assert_int_equal(unlink(path), 0);
    }
    assert_in_range(tries, 5, 10);
    pipc_server_close(server);
    paths_end(&paths);
}

static void fail_to_start(const char *path, enum fault_call call, unsigned long nth, int error)
{
    fault_reset();
    fault_fail(call, nth, FAULT_FOREVER, error);
    fault_arm();
    assert_null_errno(pipc_server_open_unix(path, NULL), error);
    fault_disarm();
    assert_int_equal(fault_calls(CALL_linkat), 0);
}

TEST(a_server_that_cannot_be_made_is_found_by_no_client)
{
    platform_needs(PLATFORM_LINUX_CALLS);
    struct paths paths;
    paths_begin(&paths);
    fail_to_start(paths_to(&paths, "socket"), CALL_epoll_create1, 1, EMFILE);
    fail_to_start(paths_to(&paths, "socket"), CALL_timerfd_create, 1, EMFILE);
    fail_to_start(paths_to(&paths, "socket"), CALL_epoll_ctl, 1, ENOMEM);
    fail_to_start(paths_to(&paths, "socket"), CALL_epoll_ctl, 2, ENOSPC);
    paths_end(&paths);
}

HARNESS_MAIN("Unix sockets, hostile others",
             IT(a_client_sends_no_descriptor_to_a_server_that_did_not_ask_for_it),
             IT(a_server_sends_no_descriptor_to_a_client_that_did_not_ask_for_it),
             IT(a_listener_that_was_taken_over_lets_no_descriptor_in),
             IT(who_has_not_shown_the_key_sends_no_descriptor_also_where_some_are_taken),
             IT(a_file_that_comes_in_the_place_of_a_dead_socket_stays),
             IT(a_file_that_comes_in_the_place_of_a_server_that_closes_stays),
             IT(a_dead_socket_is_replaced_where_a_rename_would_take_any_place),
             IT(what_comes_in_the_place_of_a_new_socket_is_neither_published_nor_removed),
             IT(a_server_does_not_take_another_socket_at_its_path_for_its_own),
             IT(a_server_starts_in_the_directory_that_its_path_led_to_at_first),
             IT(at_the_limit_of_descriptors_a_dead_name_is_no_server),
             IT(a_server_that_cannot_be_made_is_found_by_no_client))
