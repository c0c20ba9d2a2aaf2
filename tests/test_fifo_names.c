/* SPDX-License-Identifier: MIT */
/*
 * Names and directories: which are refused, which are never changed, and another user who tries to
 * interfere.
 */
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fifos.h"

/* Another user: the number of "nobody" nearly everywhere; any other would do. */
enum { OTHER_USER = 65534 };

static int try_to_become_another(void *unused)
{
    (void)unused;
    bool could = setgroups(0, NULL) == 0 && setresgid(OTHER_USER, OTHER_USER, OTHER_USER) == 0 &&
                 setresuid(OTHER_USER, OTHER_USER, OTHER_USER) == 0;
    return could ? 0 : 1;
}

/* Number 0 in a container may have no other user beside it. */
static void need_another_user(void)
{
    if (geteuid() != 0 || harness_wait(harness_fork(try_to_become_another, NULL)) != 0)
        harness_skip("skipped: needs root, to be two users");
}

/* --- Names ------------------------------------------------------------------------------------ */

TEST(a_name_that_is_not_plain_returns_einval)
{
    static const char *const bad[] = {"",     ".",      "..", "/",           "a/b",
                                      "../x", "/tmp/x", "x/", ".pipc-1-2-3", ".pipc-"};
    struct fifos fifos;
    fifos_begin(&fifos);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_null_errno(pipc_open_fifo(bad[i], 0, &fifos.options), EINVAL);
    assert_null_errno(pipc_open_fifo(NULL, 0, &fifos.options), EINVAL);
    assert_null_errno(pipc_open_fifo("x", -2, &fifos.options), EINVAL);
    fifos_end(&fifos);
}

TEST(any_plain_name_of_up_to_255_bytes_works)
{
    static const char *const good[] = {"x",  "...",      ".x",   "-", "a b",
                                       "\n", "\xff\xfe", "door", "~", "*"};
    char name[300];
    struct fifos fifos;
    fifos_begin(&fifos);
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        fifos_assert_two_connect(&fifos, good[i]);
    memset(name, 'n', sizeof name);
    name[255] = '\0';
    fifos_assert_two_connect(&fifos, name);
    fifos_end(&fifos);
}

TEST(a_name_that_is_too_long_returns_enametoolong)
{
    static char name[70000];
    struct fifos fifos;
    fifos_begin(&fifos);
    memset(name, 'n', sizeof name - 1);
    assert_null_errno(pipc_open_fifo(name, 0, &fifos.options), ENAMETOOLONG);
    name[256] = '\0';
    assert_null_errno(pipc_open_fifo(name, 0, &fifos.options), ENAMETOOLONG);
    fifos_end(&fifos);
}

/* --- The directory ---------------------------------------------------------------------------- */

TEST(a_directory_with_any_other_mode_is_refused)
{
    static const mode_t bad[] = {0777, 0755, 0750, 0711, 0710, 0701, 0500, 0600, 0300, 0};
    struct fifos fifos;
    fifos_begin(&fifos);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(chmod(fifos.directory, bad[i]), 0);
        assert_null_errno(pipc_open_fifo("x", 0, &fifos.options), EACCES);
    }
    assert_int_equal(chmod(fifos.directory, 0700), 0);
    fifos_assert_two_connect(&fifos, "x");
    fifos_end(&fifos);
}

TEST(a_missing_directory_is_made_and_a_missing_parent_returns_enoent)
{
    struct fifos fifos, inner;
    struct stat status;
    fifos_begin(&fifos);
    inner = fifos;
    inner.options.directory = strdup(fifos_path(&fifos, "new"));
    assert_null_errno(pipc_open_fifo("x", 0, &inner.options), EAGAIN);
    assert_int_equal(stat(inner.options.directory, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0700);
    assert_int_equal(rmdir(inner.options.directory), 0);
    free((void *)(uintptr_t)inner.options.directory);
    inner.options.directory = fifos_path(&fifos, "no/such");
    assert_null_errno(pipc_open_fifo("x", 0, &inner.options), ENOENT);
    fifos_end(&fifos);
}

TEST(a_file_in_place_of_the_directory_is_refused)
{
    struct fifos fifos;
    char target[100];
    fifos_begin(&fifos);
    snprintf(target, sizeof target, "%s", fifos.directory);
    char *place = strdup(fifos_path(&fifos, "place"));
    fifos.options.directory = place;
    assert_int_equal(close(open(place, O_CREAT | O_WRONLY, 0700)), 0);
    assert_null_errno(pipc_open_fifo("x", 0, &fifos.options), EACCES);
    unlink(place);
    assert_int_equal(symlink(target, place), 0); /* to a directory that would be right */
    assert_null_errno(pipc_open_fifo("x", 0, &fifos.options), EACCES);
    unlink(place);
    assert_int_equal(symlink("dangling", place), 0);
    assert_null_errno(pipc_open_fifo("x", 0, &fifos.options), EACCES);
    unlink(place);
    free(place);
    fifos_end(&fifos);
}

/* One with a name of its own; the directory itself may be in use and stays. */
TEST(without_a_directory_the_users_own_is_used)
{
    struct fifos fifos;
    struct stat status;
    char name[64], path[64];
    snprintf(name, sizeof name, "test-%ld-%lld", (long)getpid(), (long long)harness_now_us());
    snprintf(path, sizeof path, "/tmp/pipc-%lu", (unsigned long)geteuid());
    fifos_begin(&fifos);
    struct fifos own = fifos;
    own.options.directory = NULL;
    pid_t other = fifos_fork_caller(&own, name, FIFOS_LONG_MS);
    assert_int_equal(fifos_call(&own, name, FIFOS_LONG_MS), 0);
    assert_int_equal(harness_wait(other), 0);
    assert_int_equal(lstat(path, &status), 0);
    assert_true(S_ISDIR(status.st_mode));
    assert_int_equal(status.st_mode & 07777, 0700);
    fifos_end(&fifos);
}

/* --- Something else stands at the name -------------------------------------------------------- */

static void assert_refused(struct fifos *fifos, const char *name)
{
    struct stat before, after;
    assert_int_equal(lstat(fifos_path(fifos, name), &before), 0);
    assert_null_errno(pipc_open_fifo("x", 0, &fifos->options), EACCES);
    assert_null_errno(pipc_open_fifo("x", 30, &fifos->options), EACCES);
    assert_int_equal(lstat(fifos_path(fifos, name), &after), 0);
    assert_true(before.st_ino == after.st_ino && before.st_mode == after.st_mode &&
                before.st_size == after.st_size && before.st_uid == after.st_uid);
}

static int make_file(const char *path)
{
    int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    return fd < 0 || write(fd, "precious", 8) != 8 || close(fd) != 0 ? -1 : 0;
}

static int make_symlink_to_directory(const char *path)
{
    return symlink("/tmp", path);
}

static int make_symlink_to_zero(const char *path)
{
    return symlink("/dev/zero", path);
}

static int make_dangling_symlink(const char *path)
{
    return symlink("nowhere", path);
}

static int make_socket(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int result = bind(fd, (struct sockaddr *)&address, sizeof address);
    close(fd);
    return result;
}

static int make_device(const char *path)
{
    return mknod(path, S_IFCHR | 0600, makedev(1, 5)); /* as /dev/zero */
}

static bool can_make_device(const struct fifos *fifos)
{
    const char *path = fifos_path(fifos, "device");
    return make_device(path) == 0 && unlink(path) == 0;
}

static int make_fifo(const char *path)
{
    return mkfifo(path, 0600);
}

static int make_wrong_fifo(const char *path)
{
    return mkfifo(path, 0600) != 0 || chmod(path, 0622) != 0 ? -1 : 0;
}

static int (*const others[])(const char *path) = {make_file,
                                                  make_symlink_to_directory,
                                                  make_symlink_to_zero,
                                                  make_dangling_symlink,
                                                  make_socket,
                                                  make_fifo,
                                                  make_device};

TEST(a_file_at_the_name_is_refused_and_not_changed)
{
    struct fifos fifos;
    fifos_begin(&fifos);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (others[i] == make_device && !can_make_device(&fifos))
            continue;
        assert_int_equal(others[i](fifos_path(&fifos, "x")), 0);
        assert_refused(&fifos, "x");
        assert_int_equal(unlink(fifos_path(&fifos, "x")), 0);
    }
    fifos_end(&fifos);
}

TEST(a_file_in_place_of_the_door_is_refused_and_not_changed)
{
    struct fifos fifos;
    fifos_begin(&fifos);
    assert_int_equal(mkdir(fifos_path(&fifos, "x"), 0700), 0);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (others[i] == make_fifo || (others[i] == make_device && !can_make_device(&fifos)))
            continue;
        assert_int_equal(others[i](fifos_path(&fifos, "x/door")), 0);
        assert_refused(&fifos, "x/door");
        assert_int_equal(unlink(fifos_path(&fifos, "x/door")), 0);
    }
    assert_int_equal(make_wrong_fifo(fifos_path(&fifos, "x/door")), 0);
    assert_refused(&fifos, "x/door");
    assert_int_equal(unlink(fifos_path(&fifos, "x/door")), 0);
    fifos_assert_two_connect(&fifos, "x");
    fifos_end(&fifos);
}

TEST(a_directory_with_other_files_is_refused_and_not_changed)
{
    static const char *const things[] = {"x/letter", "x/in", "x/out"};
    struct fifos fifos;
    fifos_begin(&fifos);
    assert_int_equal(mkdir(fifos_path(&fifos, "x"), 0700), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(make_file(fifos_path(&fifos, things[i])), 0);
        assert_refused(&fifos, things[i]);
        assert_int_equal(unlink(fifos_path(&fifos, things[i])), 0);
    }
    assert_int_equal(chmod(fifos_path(&fifos, "x"), 0755), 0);
    assert_refused(&fifos, "x");
    assert_int_equal(rmdir(fifos_path(&fifos, "x")), 0);
    fifos_end(&fifos);
}

/* --- The umask -------------------------------------------------------------------------------- */

/* Gives up root, which may open everything. */
static int wait_under_umask(void *arg)
{
    struct fifos *fifos = arg;
    if (geteuid() == 0 && setresuid(OTHER_USER, OTHER_USER, OTHER_USER) != 0)
        return 210;
    return fifos_call(fifos, "x", FIFOS_LONG_MS);
}

static void assert_mode(struct fifos *fifos, const char *name, mode_t mode)
{
    struct stat status;
    assert_int_equal(lstat(fifos_path(fifos, name), &status), 0);
    assert_int_equal(status.st_mode & 07777, mode);
}

TEST(under_any_umask_directories_are_0700_and_fifos_0600)
{
    static const mode_t masks[] = {0, 0777, 0700, 022, 0277, 0477};
    struct fifos fifos;
    if (geteuid() == 0)
        need_another_user();
    fifos_begin(&fifos);
    if (geteuid() == 0)
        assert_int_equal(chown(fifos.directory, OTHER_USER, (gid_t)-1), 0);
    for (size_t i = 0; i < sizeof masks / sizeof masks[0]; i++) {
        mode_t before = umask(masks[i]);
        pid_t first = harness_fork(wait_under_umask, &fifos);
        fifos_await_offer(&fifos, "x");
        assert_mode(&fifos, "x", 0700);
        assert_mode(&fifos, "x/door", 0600);
        assert_mode(&fifos, "x/in", 0600);
        assert_mode(&fifos, "x/out", 0600);
        pid_t second = harness_fork(wait_under_umask, &fifos);
        assert_int_equal(harness_wait(first), 0);
        assert_int_equal(harness_wait(second), 0);
        assert_int_equal(umask(before), masks[i]);
    }
    fifos_end(&fifos);
}

/* --- Another user ----------------------------------------------------------------------------- */

TEST(a_directory_of_another_user_is_refused)
{
    struct fifos fifos;
    need_another_user();
    fifos_begin(&fifos);
    assert_int_equal(chown(fifos.directory, OTHER_USER, (gid_t)-1), 0);
    assert_null_errno(pipc_open_fifo("x", 0, &fifos.options), EACCES);
    assert_int_equal(chown(fifos.directory, 0, (gid_t)-1), 0);
    fifos_end(&fifos);
}

TEST(a_fifo_or_directory_of_another_user_at_the_name_is_refused)
{
    static const char *const parts[] = {"x", "x/door", "x/in", "x/out"};
    struct fifos fifos;
    need_another_user();
    fifos_begin(&fifos);
    for (int i = 0; i < 4; i++) {
        pid_t waiter = fifos_fork_caller(&fifos, "x", -1);
        fifos_await_offer(&fifos, "x");
        kill(waiter, SIGSTOP); /* it checks its door as well when another process opens it */
        assert_int_equal(waitpid(waiter, NULL, WUNTRACED), waiter);
        assert_int_equal(chown(fifos_path(&fifos, parts[i]), OTHER_USER, (gid_t)-1), 0);
        assert_refused(&fifos, parts[i]);
        assert_int_equal(chown(fifos_path(&fifos, parts[i]), 0, (gid_t)-1), 0);
        kill(waiter, SIGCONT);
        assert_int_equal(fifos_call(&fifos, "x", 0), 0);
        assert_int_equal(harness_wait(waiter), 0);
    }
    fifos_end(&fifos);
}

static void become_another(void)
{
    assert_int_equal(setgroups(0, NULL), 0);
    assert_int_equal(setresgid(OTHER_USER, OTHER_USER, OTHER_USER), 0);
    assert_int_equal(setresuid(OTHER_USER, OTHER_USER, OTHER_USER), 0);
}

/* Counts what works, for as long as the test goes on; it should be nothing. */
static int try_to_get_in(void *arg)
{
    struct fifos *fifos = arg;
    int succeeded = 0;
    become_another();
    for (int64_t end = harness_now_ms() + 1500; harness_now_ms() < end;) {
        succeeded += open(fifos_path(fifos, "x/door"), O_WRONLY | O_NONBLOCK) >= 0;
        succeeded += open(fifos_path(fifos, "x/out"), O_RDONLY | O_NONBLOCK) >= 0;
        succeeded += open(fifos->directory, O_RDONLY | O_DIRECTORY) >= 0;
        succeeded += mkdir(fifos_path(fifos, "x"), 0777) == 0;
        succeeded += symlink("/dev/zero", fifos_path(fifos, "x")) == 0;
        succeeded += mkfifo(fifos_path(fifos, "x"), 0666) == 0;
        succeeded += rename(fifos_path(fifos, "x"), "/tmp/stolen") == 0;
        succeeded += rmdir(fifos->directory) == 0;
        succeeded += rename(fifos->directory, "/tmp/stolen") == 0;
        succeeded += pipc_open_fifo("x", 0, &fifos->options) != NULL || errno != EACCES;
    }
    return succeeded;
}

TEST(another_user_cannot_affect_a_rendezvous)
{
    struct fifos fifos;
    int status;
    need_another_user();
    fifos_begin(&fifos);
    pid_t other = harness_fork(try_to_get_in, &fifos);
    while (waitpid(other, &status, WNOHANG) == 0)
        fifos_assert_two_connect(&fifos, "x");
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    fifos_end(&fifos);
}

/* --- A process renames all the time ----------------------------------------------------------- */

/* In the directory itself, so it is the same user: exchanges what stands at the name for other
 * things. */
static int rename_all_the_time(void *arg)
{
    struct fifos *fifos = arg;
    char name[600], aside[600], file[600];
    snprintf(name, sizeof name, "%s", fifos_path(fifos, "x"));
    snprintf(aside, sizeof aside, "%s", fifos_path(fifos, "aside"));
    snprintf(file, sizeof file, "%s", fifos_path(fifos, "file"));
    int outside = open(fifos_path(fifos, "precious"), O_RDWR | O_CLOEXEC);
    for (;;) {
        rename(name, aside);
        if (symlink("precious", name) == 0)
            unlink(name);
        mkdir(name, 0700);
        rename(aside, name);
        rename(aside, file);
        rename(file, name);
        if (lseek(outside, 0, SEEK_END) != 8)
            return 1;
    }
}

static bool may_be(int result)
{
    return result == 0 || result == ETIMEDOUT || result == EACCES || result == ENOENT;
}

TEST(a_rename_race_never_opens_another_file)
{
    struct fifos fifos;
    char text[16];
    fifos_begin(&fifos);
    assert_int_equal(make_file(fifos_path(&fifos, "precious")), 0);
    pid_t racer = harness_fork(rename_all_the_time, &fifos);
    for (int i = 0; i < 200; i++) {
        pid_t other = fifos_fork_caller(&fifos, "x", 3);
        int here = fifos_call(&fifos, "x", 3), there = harness_wait(other);
        if (!may_be(here) || !may_be(there))
            fail_msg("%d and %d", here, there);
    }
    kill(racer, SIGKILL);
    assert_int_equal(harness_wait(racer), -SIGKILL);
    int fd = open(fifos_path(&fifos, "precious"), O_RDONLY);
    assert_int_equal(read(fd, text, sizeof text), 8);
    close(fd);
    unlink(fifos_path(&fifos, "precious"));
    char command[200];
    snprintf(command, sizeof command, "rm -rf '%s'", fifos.directory);
    assert_int_equal(system(command), 0);
}

/* --- No room, no right ------------------------------------------------------------------------ */

static int open_as_another(void *arg)
{
    struct fifos *fifos = arg;
    become_another();
    return pipc_open_fifo("x", 50, &fifos->options) == NULL ? errno : 0;
}

TEST(a_process_of_another_user_is_refused_at_this_users_directory)
{
    struct fifos fifos;
    need_another_user();
    fifos_begin(&fifos);
    assert_int_equal(harness_wait(harness_fork(open_as_another, &fifos)), EACCES);
    fifos_end(&fifos);
}

HARNESS_MAIN("FIFOs, names", IT(a_name_that_is_not_plain_returns_einval),
             IT(any_plain_name_of_up_to_255_bytes_works),
             IT(a_name_that_is_too_long_returns_enametoolong),
             IT(a_directory_with_any_other_mode_is_refused),
             IT(a_missing_directory_is_made_and_a_missing_parent_returns_enoent),
             IT(a_file_in_place_of_the_directory_is_refused),
             IT(without_a_directory_the_users_own_is_used),
             IT(a_file_at_the_name_is_refused_and_not_changed),
             IT(a_file_in_place_of_the_door_is_refused_and_not_changed),
             IT(a_directory_with_other_files_is_refused_and_not_changed),
             IT(under_any_umask_directories_are_0700_and_fifos_0600),
             IT(a_directory_of_another_user_is_refused),
             IT(a_fifo_or_directory_of_another_user_at_the_name_is_refused),
             IT(another_user_cannot_affect_a_rendezvous),
             IT_WITHIN(a_rename_race_never_opens_another_file, 120000),
             IT(a_process_of_another_user_is_refused_at_this_users_directory))
