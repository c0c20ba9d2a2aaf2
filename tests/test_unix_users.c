/* SPDX-License-Identifier: MIT */
/*
 * Two users and one path, in a directory that both may write to, as /tmp: one has the path before
 * the other, beside it, or left it dead. Neither takes anything from the other.
 */
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net.h"
#include "paths.h"
#include "platform.h"

struct place {
    struct paths paths;
    char path[128];
};

static void begin_place(struct place *place, mode_t mode)
{
    paths_need_users();
    paths_begin(&place->paths);
    assert_int_equal(chmod(place->paths.directory, mode), 0);
    snprintf(place->path, sizeof place->path, "%s", paths_to(&place->paths, "socket"));
}

/* --- What a user does in a child; each returns 0 or errno --- */

static int open_server(void *place)
{
    pipc_server_t *server = pipc_server_open_unix(((struct place *)place)->path, NULL);
    int result = server == NULL ? errno : 0;
    pipc_server_close(server);
    return result;
}

static int open_client(void *place)
{
    pipc_t *pipe = pipc_open_unix(((struct place *)place)->path, 0, NULL);
    int result = pipe == NULL ? errno : 0;
    pipc_close(pipe);
    return result;
}

static int leave_dead(void *place)
{
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.mode = 0666;
    paths_serve(((struct place *)place)->path, &options);
    raise(SIGKILL);
    return 1;
}

static int leave_dead_and_private(void *place)
{
    paths_serve(((struct place *)place)->path, NULL);
    raise(SIGKILL);
    return 1;
}

/* --- The tests -------------------------------------------------------------------------------- */

struct holder {
    struct place *place;
    mode_t mode;
    struct harness_gate ready, end;
};

static int hold_path(void *arg)
{
    struct holder *holder = arg;
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.mode = holder->mode;
    pipc_server_t *server = paths_serve(holder->place->path, &options);
    harness_gate_open(&holder->ready);
    harness_gate_wait(&holder->end);
    pipc_server_close(server);
    return 0;
}

static int run_holder(void *holder)
{
    paths_become(PATHS_USER_A);
    return hold_path(holder);
}

static pid_t start_holder(struct holder *holder)
{
    harness_gate_init(&holder->ready);
    harness_gate_init(&holder->end);
    pid_t pid = harness_fork(run_holder, holder);
    harness_gate_wait(&holder->ready);
    return pid;
}

static void end_holder(struct holder *holder, pid_t pid)
{
    harness_gate_open(&holder->end);
    assert_int_equal(harness_wait(pid), 0);
    harness_gate_close(&holder->ready);
    harness_gate_close(&holder->end);
}

TEST(another_user_neither_gets_a_live_path_nor_disturbs_it)
{
    static const mode_t modes[] = {0600, 0666};
    struct place place;
    begin_place(&place, 01777);
    for (int i = 0; i < 2; i++) {
        struct holder holder = {.place = &place, .mode = modes[i]};
        pid_t pid = start_holder(&holder);
        ino_t inode = paths_inode(place.path);
        assert_int_equal(paths_run_as(PATHS_USER_B, open_server, &place), EADDRINUSE);
        assert_int_equal(paths_run_as(PATHS_USER_A, open_server, &place), EADDRINUSE);
        assert_int_equal(open_server(&place), EADDRINUSE); /* root */
        assert_int_equal(paths_inode(place.path), inode);
        end_holder(&holder, pid);
    }
    paths_end(&place.paths);
}

TEST(the_mode_says_which_users_connect)
{
    struct place place;
    struct holder holder = {.place = &place, .mode = 0600};
    begin_place(&place, 01777);
    pid_t pid = start_holder(&holder);
    assert_int_equal(paths_run_as(PATHS_USER_B, open_client, &place), EACCES);
    assert_int_equal(paths_run_as(PATHS_USER_A, open_client, &place), 0);
    end_holder(&holder, pid);
    holder.mode = 0666;
    pid = start_holder(&holder);
    assert_int_equal(paths_run_as(PATHS_USER_B, open_client, &place), 0);
    assert_int_equal(chmod(place.paths.directory, 0700), 0);
    assert_int_equal(paths_run_as(PATHS_USER_B, open_client, &place), EACCES);
    assert_int_equal(paths_run_as(PATHS_USER_B, open_server, &place), EACCES);
    assert_int_equal(chmod(place.paths.directory, 01777), 0);
    end_holder(&holder, pid);
    paths_end(&place.paths);
}

TEST(what_another_user_left_dead_in_a_sticky_directory_stays)
{
    struct place place;
    begin_place(&place, 01777);
    assert_int_equal(paths_run_as(PATHS_USER_A, leave_dead, &place), -SIGKILL);
    ino_t inode = paths_inode(place.path);
    assert_int_equal(paths_run_as(PATHS_USER_B, open_server, &place), EADDRINUSE);
    assert_int_equal(paths_run_as(PATHS_USER_B, open_client, &place), EAGAIN);
    assert_int_equal(paths_inode(place.path), inode);
    assert_int_equal(paths_run_as(PATHS_USER_A, open_server, &place), 0);
    assert_int_equal(paths_run_as(PATHS_USER_B, open_server, &place), 0);
    paths_end(&place.paths);
}

/* B cannot know whether it is dead. */
TEST(a_dead_socket_that_a_user_may_not_connect_to_stays)
{
    struct place place;
    begin_place(&place, 0777);
    assert_int_equal(paths_run_as(PATHS_USER_A, leave_dead_and_private, &place), -SIGKILL);
    assert_int_equal(paths_run_as(PATHS_USER_B, open_server, &place), EADDRINUSE);
    assert_int_equal(paths_run_as(PATHS_USER_A, open_server, &place), 0);
    paths_end(&place.paths);
}

static int squat_private_name(void *arg)
{
    struct place *place = arg;
    paths_leave_dead(paths_to(&place->paths, ".pipc-new-1"));
    return symlink("/etc/passwd", place->path) != 0;
}

TEST(what_another_user_puts_in_the_way_of_root_is_neither_followed_nor_removed)
{
    struct place place;
    struct stat before, after;
    begin_place(&place, 01777);
    assert_int_equal(stat("/etc/passwd", &before), 0);
    assert_int_equal(paths_run_as(PATHS_USER_B, squat_private_name, &place), 0);
    assert_int_equal(paths_run_as(PATHS_USER_A, open_server, &place), EEXIST);
    assert_int_equal(open_server(&place), EEXIST);
    assert_int_equal(stat("/etc/passwd", &after), 0);
    assert_int_equal(after.st_mode, before.st_mode);
    assert_int_equal(unlink(place.path), 0);
    assert_int_equal(paths_run_as(PATHS_USER_A, open_server, &place), 0);
    unlink(paths_to(&place.paths, ".pipc-new-1"));
    paths_end(&place.paths);
}

/* --- Floods ----------------------------------------------------------------------------------- */

struct flood {
    struct place *place;
    struct harness_gate connected, end;
};

enum { SILENT = 257 };

static int flood_server(void *arg)
{
    struct flood *flood = arg;
    int silent[SILENT];
    for (int i = 0; i < SILENT; i++)
        if ((silent[i] = paths_connect(flood->place->path)) < 0)
            return errno;
    harness_gate_open(&flood->connected);
    harness_gate_wait(&flood->end);
    paths_close_all(silent, SILENT);
    return 0;
}

static int run_flood(void *flood)
{
    paths_become(PATHS_USER_B);
    return flood_server(flood);
}

TEST(a_flood_of_one_user_pushes_out_no_other_users_client)
{
    platform_needs(PLATFORM_CREDENTIALS);
    struct place place;
    struct flood flood = {.place = &place};
    pipc_options_t options = net_with_key("secret");
    char bytes[256];
    begin_place(&place, 01777);
    options.mode = 0666;
    pipc_server_t *server = paths_serve(place.path, &options);
    int early = paths_connect(place.path); /* root's, and the oldest */
    assert_null_errno(pipc_server_accept(server, 0), EAGAIN);
    assert_true(recv(early, bytes, sizeof bytes, 0) > 0);
    harness_gate_init(&flood.connected);
    harness_gate_init(&flood.end);
    pid_t pid = harness_fork(run_flood, &flood);
    harness_gate_wait(&flood.connected);
    for (int i = 0; i < SILENT; i++)
        assert_null_errno(pipc_server_accept(server, 0), EAGAIN);
    assert_errno(recv(early, bytes, sizeof bytes, 0), EAGAIN); /* it is still there */
    harness_gate_open(&flood.end);
    assert_int_equal(harness_wait(pid), 0);
    close(early);
    harness_gate_close(&flood.connected);
    harness_gate_close(&flood.end);
    pipc_server_close(server);
    paths_end(&place.paths);
}

HARNESS_MAIN("Unix sockets, users", IT(another_user_neither_gets_a_live_path_nor_disturbs_it),
             IT(the_mode_says_which_users_connect),
             IT(what_another_user_left_dead_in_a_sticky_directory_stays),
             IT(a_dead_socket_that_a_user_may_not_connect_to_stays),
             IT(what_another_user_puts_in_the_way_of_root_is_neither_followed_nor_removed),
             IT(a_flood_of_one_user_pushes_out_no_other_users_client))
