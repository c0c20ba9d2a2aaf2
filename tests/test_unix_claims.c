/* SPDX-License-Identifier: MIT */
/*
 * What servers that start do beside their socket: claims on dead sockets, private names, and what
 * is left of both when they are killed. Others cannot hold them up.
 */
#include <dirent.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#include "fault.h"
#include "net.h"
#include "paths.h"

TEST(a_lock_of_the_directory_neither_stops_a_server_nor_keeps_its_name)
{
    struct paths paths;
    paths_begin(&paths);
    int lock = open(paths.directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(flock(lock, LOCK_EX), 0);
    paths_assert_works(&paths, paths_to(&paths, "socket"));
    paths_leave_dead(paths_to(&paths, "socket"));
    paths_assert_works(&paths, paths_to(&paths, "socket"));
    close(lock);
    paths_end(&paths);
}

/* By its inode and its name: FNV-1a. */
static const char *claim_on(const struct paths *paths, const char *path)
{
    char name[64];
    uint64_t id = (uint64_t)paths_inode(path) ^ UINT64_C(0xcbf29ce484222325);
    for (const char *at = strrchr(path, '/') + 1; *at != '\0'; at++)
        id = (id ^ (uint8_t)*at) * UINT64_C(0x100000001b3);
    snprintf(name, sizeof name, ".pipc-old-%016llx", (unsigned long long)id);
    return paths_to(paths, name);
}

/* By the inode alone, which is used again. */
static const char *old_claim_on(const struct paths *paths, const char *path)
{
    char name[64];
    snprintf(name, sizeof name, ".pipc-old-%016llx", (unsigned long long)paths_inode(path));
    return paths_to(paths, name);
}

TEST(a_dead_socket_is_removed_by_one_starter_at_a_time)
{
    struct paths paths;
    paths_begin(&paths);
    const char *path = paths_to(&paths, "socket");
    paths_leave_dead(path);
    const char *claim = claim_on(&paths, path);
    int other = paths_bind(claim, SOCK_STREAM);
    ino_t inode = paths_inode(path);
    assert_null_errno(pipc_server_open_unix(path, NULL), EADDRINUSE);
    assert_int_equal(paths_inode(path), inode);
    assert_int_equal(paths_count(&paths), 2);
    close(other); /* it was killed */
    paths_assert_works(&paths, path);
    paths_end(&paths);
}

static ino_t dead; /* the inode of what a killed server left */

/* As another server does that has found the name free meanwhile, and cleans up. */
static void remove_the_dead(void *context)
{
    const struct paths *paths = context;
    DIR *list = opendir(paths->directory);
    assert_non_null(list);
    for (struct dirent *entry; (entry = readdir(list)) != NULL;)
        if (entry->d_ino == dead)
            assert_int_equal(unlink(paths_to(paths, entry->d_name)), 0);
    closedir(list);
}

TEST(a_dead_socket_that_another_one_removes_on_its_way_stops_nobody)
{
    struct paths paths;
    paths_begin(&paths);
    const char *path = paths_to(&paths, "socket");
    paths_leave_dead(path);
    dead = paths_inode(path);
    fault_reset();
    fault_before(CALL_unlinkat, 1, remove_the_dead, &paths);
    fault_arm();
    pipc_server_t *server = pipc_server_open_unix(path, NULL);
    fault_disarm();
    fault_reset();
    assert_non_null(server);
    pipc_server_close(server);
    paths_end(&paths);
}

/* Each was killed when it had a claim on what the one before had left. */
TEST(any_number_of_killed_starters_may_have_left_claims)
{
    struct paths paths;
    paths_begin(&paths);
    char path[128];
    snprintf(path, sizeof path, "%s", paths_to(&paths, "socket"));
    paths_leave_dead(path);
    const char *last = path;
    for (int i = 0; i < 10; i++) {
        const char *claim = claim_on(&paths, last);
        paths_leave_dead(claim);
        last = claim;
    }
    assert_int_equal(paths_count(&paths), 11);
    paths_assert_works(&paths, path);
    paths_end(&paths);
}

/* Two starters were killed, and their files had inodes on which the other one's claim was left. */
TEST(dead_claims_that_lead_to_each_other_stop_no_server)
{
    struct paths paths;
    paths_begin(&paths);
    const char *path = paths_to(&paths, "socket"), *other = paths_to(&paths, ".pipc-new-0");
    paths_leave_dead(path);
    paths_leave_dead(other);
    assert_int_equal(link(other, old_claim_on(&paths, path)), 0);
    assert_int_equal(link(path, old_claim_on(&paths, other)), 0);
    paths_assert_works(&paths, path);
    paths_end(&paths);
}

/* Another thread may have forked it while the server started. */
TEST(a_child_that_keeps_the_socket_of_a_killed_starter_stops_nobody)
{
    struct paths paths;
    paths_begin(&paths);
    int copy = paths_listen(paths_to(&paths, ".pipc-new-0123456789abcdef"), 1);
    paths_leave_dead(paths_to(&paths, "socket"));
    pipc_server_t *server = paths_serve(paths_to(&paths, "socket"), NULL);
    paths_assert_talk(pipc_open_unix(paths_to(&paths, "socket"), 0, NULL), server);
    pipc_server_close(server);
    assert_int_equal(paths_count(&paths), 1);
    close(copy);
    paths_assert_works(&paths, paths_to(&paths, "socket"));
    paths_end(&paths);
}

TEST(what_a_killed_starter_left_is_removed_by_the_next_server_and_nothing_else_is)
{
    static const char long_name[] = ".pipc-new-0123456789abcdef-0123456789abcdef-0123456789";
    struct paths paths;
    paths_begin(&paths);
    int file =
        open(paths_to(&paths, ".pipc-new-file"), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    close(file);
    int live = paths_bind(paths_to(&paths, ".pipc-new-live"), SOCK_STREAM);
    paths_leave_dead(paths_to(&paths, "another"));
    paths_leave_dead(paths_to(&paths, long_name)); /* none that the library makes */
    for (int i = 0; i < 20; i++) {
        char name[32];
        snprintf(name, sizeof name, ".pipc-new-%d", i);
        paths_leave_dead(paths_to(&paths, name));
    }
    pipc_server_t *server = paths_serve(paths_to(&paths, "socket"), NULL);
    assert_int_equal(paths_count(&paths), 5);
    paths_assert_talk(pipc_open_unix(paths_to(&paths, "socket"), 0, NULL), server);
    pipc_server_close(server);
    assert_int_equal(unlink(paths_to(&paths, ".pipc-new-file")), 0);
    assert_int_equal(unlink(paths_to(&paths, ".pipc-new-live")), 0);
    assert_int_equal(unlink(paths_to(&paths, "another")), 0);
    assert_int_equal(unlink(paths_to(&paths, long_name)), 0);
    close(live);
    paths_end(&paths);
}

HARNESS_MAIN("Unix sockets, claims",
             IT(a_lock_of_the_directory_neither_stops_a_server_nor_keeps_its_name),
             IT(a_dead_socket_is_removed_by_one_starter_at_a_time),
             IT(a_dead_socket_that_another_one_removes_on_its_way_stops_nobody),
             IT(any_number_of_killed_starters_may_have_left_claims),
             IT(dead_claims_that_lead_to_each_other_stop_no_server),
             IT(a_child_that_keeps_the_socket_of_a_killed_starter_stops_nobody),
             IT(what_a_killed_starter_left_is_removed_by_the_next_server_and_nothing_else_is))
