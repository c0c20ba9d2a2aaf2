/* SPDX-License-Identifier: MIT */
#include "paths.h"

#include <dirent.h>
#include <grp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net.h"

void paths_begin(struct paths *paths)
{
    const char *where = getenv("TMPDIR");
    snprintf(paths->directory, sizeof paths->directory, "%s/paths-XXXXXX",
             where != NULL && strlen(where) < 40 ? where : "/tmp");
    assert_non_null(mkdtemp(paths->directory));
    assert_int_equal(chmod(paths->directory, 0755), 0);
}

int paths_count(const struct paths *paths)
{
    int count = 0;
    DIR *list = opendir(paths->directory);
    assert_non_null(list);
    for (struct dirent *entry; (entry = readdir(list)) != NULL;)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(list);
    return count;
}

void paths_end(const struct paths *paths)
{
    assert_int_equal(paths_count(paths), 0);
    assert_int_equal(rmdir(paths->directory), 0);
}

void paths_need_proc(void)
{
    if (access("/proc/thread-self/fd", F_OK) != 0)
        harness_skip("this needs /proc, to reach a path by a descriptor");
}

const char *paths_to(const struct paths *paths, const char *name)
{
    static _Thread_local char answers[8][1024];
    static _Thread_local unsigned next;
    char *answer = answers[next++ % 8];
    snprintf(answer, sizeof answers[0], "%s/%s", paths->directory, name);
    return answer;
}

ino_t paths_inode(const char *path)
{
    struct stat found;
    return lstat(path, &found) == 0 ? found.st_ino : 0;
}

/* --- Plain sockets ---------------------------------------------------------------------------- */

static socklen_t address_of(struct sockaddr_un *address, const char *path)
{
    size_t length = strlen(path);
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    assert_true(length + (path[0] != '@') <= sizeof address->sun_path);
    memcpy(address->sun_path, path, length);
    if (path[0] == '@')
        address->sun_path[0] = '\0';
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + (path[0] != '@'));
}

int paths_bind(const char *path, int type)
{
    struct sockaddr_un address;
    socklen_t size = address_of(&address, path);
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    return fd;
}

int paths_listen(const char *path, int backlog)
{
    int fd = paths_bind(path, SOCK_STREAM);
    assert_int_equal(listen(fd, backlog), 0);
    return fd;
}

int paths_connect(const char *path)
{
    struct sockaddr_un address;
    socklen_t size = address_of(&address, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    if (connect(fd, (struct sockaddr *)&address, size) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

void paths_leave_dead(const char *path)
{
    close(paths_listen(path, 1));
}

int paths_fill_backlog(const char *path, int clients[], int max)
{
    int count = 0;
    while (count < max && (clients[count] = paths_connect(path)) >= 0)
        count++;
    assert_in_range(count, 1, max - 1);
    assert_int_equal(errno, EAGAIN);
    return count;
}

void paths_close_all(const int fds[], int count)
{
    for (int i = 0; i < count; i++)
        close(fds[i]);
}

/* --- Servers ---------------------------------------------------------------------------------- */

pipc_server_t *paths_serve(const char *path, const pipc_options_t *options)
{
    pipc_server_t *server = pipc_server_open_unix(path, options);
    if (server == NULL)
        fail_msg("pipc_server_open_unix: %s", strerror(errno));
    return server;
}

void paths_assert_talk(pipc_t *client, pipc_server_t *server)
{
    assert_non_null(client);
    pipc_t *pipe = pipc_server_accept(server, 10000);
    net_expect_talk(client, pipe);
    pipc_close(pipe);
    pipc_close(client);
}

void paths_assert_works(const struct paths *paths, const char *path)
{
    pipc_server_t *server = paths_serve(path, NULL);
    assert_int_equal(paths_count(paths), 1);
    paths_assert_talk(pipc_open_unix(path, 0, NULL), server);
    pipc_server_close(server);
    assert_int_equal(paths_count(paths), 0);
}

int paths_close_server(void *server)
{
    pipc_server_close(server);
    return 0;
}

int paths_call(void *arg)
{
    const struct paths_caller *caller = arg;
    pipc_options_t options = net_with_key(caller->key);
    pipc_t *pipe = pipc_open_unix(caller->path, caller->timeout_ms, &options);
    if (pipe == NULL)
        return errno;
    net_expect(pipe, "ping");
    net_say(pipe, "pong");
    pipc_close(pipe);
    return 0;
}

int paths_refuse_until_exit(pipc_server_t *server, pid_t pid)
{
    siginfo_t info = {0};
    while (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != pid)
        assert_null_errno(pipc_server_accept(server, 20), ETIMEDOUT);
    return harness_wait(pid);
}

void paths_open_kind(pipc_t *end[2], const pipc_options_t *options)
{
    struct paths paths;
    paths_begin(&paths);
    pipc_server_t *server = paths_serve(paths_to(&paths, "kind"), options);
    end[0] = pipc_open_unix(paths_to(&paths, "kind"), 10000, options);
    if (end[0] == NULL)
        fail_msg("pipc_open_unix: %s", strerror(errno));
    end[1] = pipc_server_accept(server, 10000);
    if (end[1] == NULL)
        fail_msg("pipc_server_accept: %s", strerror(errno));
    pipc_server_close(server);
    paths_end(&paths);
}

/* --- Users ------------------------------------------------------------------------------------ */

void paths_become(int user)
{
    assert_int_equal(setgroups(0, NULL), 0);
    assert_int_equal(setresgid((gid_t)user, (gid_t)user, (gid_t)user), 0);
    assert_int_equal(setresuid((uid_t)user, (uid_t)user, (uid_t)user), 0);
}

struct as_user {
    int user;
    int (*fn)(void *arg);
    void *arg;
};

static int run_as(void *arg)
{
    struct as_user *as = arg;
    paths_become(as->user);
    return as->fn(as->arg);
}

int paths_run_as(int user, int (*fn)(void *arg), void *arg)
{
    struct as_user as = {user, fn, arg};
    return harness_wait(harness_fork(run_as, &as));
}

static int try_to_become(void *arg)
{
    const uid_t user = PATHS_USER_A;
    (void)arg;
    return setgroups(0, NULL) != 0 || setresuid(user, user, user) != 0;
}

void paths_need_users(void)
{
    if (geteuid() != 0 || harness_wait(harness_fork(try_to_become, NULL)) != 0)
        harness_skip("needs to be root, to be another user");
}
