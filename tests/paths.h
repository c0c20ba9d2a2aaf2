/* SPDX-License-Identifier: MIT */
/*
 * What tests of Unix sockets share: a directory of their own, plain sockets on a path, and a
 * second user.
 */
#ifndef PIPC_TESTS_PATHS_H
#define PIPC_TESTS_PATHS_H

#include <sys/socket.h>
#include <sys/un.h>

#include "harness.h"

struct paths {
    char directory[64];
};

/* A new directory of mode 0755; and its removal, which asserts that nothing is left in it. */
void paths_begin(struct paths *paths);
void paths_end(const struct paths *paths);
int paths_count(const struct paths *paths); /* of what is in it */
/* Skips the test where there is no /proc: long paths, directories that change and modes need it. */
void paths_need_proc(void);
/* NAME in the directory; the last eight answers stay valid. */
const char *paths_to(const struct paths *paths, const char *name);
ino_t paths_inode(const char *path); /* 0: nothing is there. Follows no symlink */

/* Plain sockets. "@NAME" is abstract. */
int paths_bind(const char *path, int type); /* asserts that it works */
int paths_listen(const char *path, int backlog);
int paths_connect(const char *path);     /* does not wait; -1 and errno */
void paths_leave_dead(const char *path); /* as a killed server leaves it */
/* So many clients that no further one gets into the backlog; returns how many. */
int paths_fill_backlog(const char *path, int clients[], int max);
void paths_close_all(const int fds[], int count);

/* A server at the path, and a client of it, which talk. */
pipc_server_t *paths_serve(const char *path, const pipc_options_t *options);
void paths_assert_talk(pipc_t *client, pipc_server_t *server);
/* A server can be opened there, and a client gets in; afterwards nothing is left. */
void paths_assert_works(const struct paths *paths, const char *path);
/* For harness_fork. */
int paths_close_server(void *server);
/* A client of the server at the path, which answers it; errno: it did not get in. */
struct paths_caller {
    const char *path, *key;
    int timeout_ms;
};
int paths_call(void *caller);
/* Accepts, and lets nobody in, until that child has ended; its status, as harness_wait. */
int paths_refuse_until_exit(pipc_server_t *server, pid_t pid);
void paths_open_kind(pipc_t *end[2], const pipc_options_t *options);

/* Users who are not root. Skips the test where this process cannot become another. */
enum { PATHS_USER_A = 54321, PATHS_USER_B = 54322 };
void paths_need_users(void);
/* Runs fn in a child as that user; its result, as harness_wait. */
int paths_run_as(int user, int (*fn)(void *arg), void *arg);
void paths_become(int user);

#endif
