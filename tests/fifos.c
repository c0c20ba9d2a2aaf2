/* SPDX-License-Identifier: MIT */
#include "fifos.h"
#include "fault.h"
#include "platform.h"

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

void fifos_begin(struct fifos *fifos)
{
    const char *where = getenv("TMPDIR");
    snprintf(fifos->directory, sizeof fifos->directory, "%s/fifos-XXXXXX",
             where != NULL && strlen(where) < 40 ? where : "/tmp");
    assert_non_null(mkdtemp(fifos->directory));
    fifos->options = (pipc_options_t)PIPC_OPTIONS_INIT;
    fifos->options.directory = fifos->directory;
}

void fifos_end(struct fifos *fifos)
{
    fifos_assert_empty(fifos);
    assert_int_equal(rmdir(fifos->directory), 0);
}

static int count_in(const char *path)
{
    int count = 0;
    DIR *list = opendir(path);
    if (list == NULL)
        return 0;
    for (struct dirent *entry; (entry = readdir(list)) != NULL;) {
        char inner[400];
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
        count += 1 + (entry->d_type == DT_DIR ? count_in(inner) : 0);
    }
    closedir(list);
    return count;
}

int fifos_count(const struct fifos *fifos)
{
    return count_in(fifos->directory);
}

void fifos_assert_empty(const struct fifos *fifos)
{
    assert_int_equal(fifos_count(fifos), 0);
}

const char *fifos_path(const struct fifos *fifos, const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", fifos->directory, name);
    return path;
}

/* There is no event to wait for from outside, so this looks again and again. */
void fifos_await_offer(const struct fifos *fifos, const char *name)
{
    char door[300];
    int fd;
    snprintf(door, sizeof door, "%s/%s/door", fifos->directory, name);
    while ((fd = open(door, O_WRONLY | O_NONBLOCK | O_CLOEXEC)) < 0)
        nanosleep(&(struct timespec){0, 200000}, NULL);
    close(fd);
}

/* --- Both ends here --------------------------------------------------------------------------- */

struct opening {
    const struct fifos *fifos;
    const char *name;
    pipc_t *pipe;
};

static void *open_in_thread(void *arg)
{
    struct opening *opening = arg;
    opening->pipe = pipc_open_fifo(opening->name, FIFOS_LONG_MS, &opening->fifos->options);
    return NULL;
}

void fifos_open_both(const struct fifos *fifos, const char *name, pipc_t *end[2])
{
    pthread_t thread;
    struct opening opening = {fifos, name, NULL};
    assert_int_equal(harness_thread(&thread, open_in_thread, &opening), 0);
    end[0] = pipc_open_fifo(name, FIFOS_LONG_MS, &fifos->options);
    if (end[0] == NULL)
        fail_msg("pipc_open_fifo: %s", strerror(errno));
    assert_int_equal(pthread_join(thread, NULL), 0);
    end[1] = opening.pipe;
    assert_non_null(end[1]);
}

void fifos_open_kind(pipc_t *end[2], const pipc_options_t *options)
{
    struct fifos fifos;
    fifos_begin(&fifos);
    if (options != NULL) {
        fifos.options = *options;
        fifos.options.directory = fifos.directory;
    }
    fifos_open_both(&fifos, "kind", end);
    fifos_end(&fifos);
}

/* --- Callers --------------------------------------------------------------------------------- */

/* Each sends its number, sends the other's back, and gets its own back: so these two have met. */
static int introduce(pipc_t *pipe)
{
    pid_t me = getpid(), other = 0, back = 0;
    char byte;
    if (pipc_set_timeout(pipe, FIFOS_LONG_MS, FIFOS_LONG_MS) != 0 ||
        pipc_write(pipe, &me, sizeof me) != sizeof me)
        return 200;
    if (pipc_read(pipe, &other, sizeof other) != sizeof other || other == me)
        return 201;
    if (pipc_write(pipe, &other, sizeof other) != sizeof other || pipc_shutdown(pipe) != 0)
        return 202;
    if (pipc_read(pipe, &back, sizeof back) != sizeof back || back != me)
        return 203;
    return pipc_read(pipe, &byte, 1) == -1 && errno == EPIPE ? 0 : 204;
}

int fifos_introduce(pipc_t *pipe)
{
    int result = introduce(pipe);
    pipc_close(pipe);
    return result;
}

int fifos_call(const struct fifos *fifos, const char *name, int timeout_ms)
{
    pipc_t *pipe = pipc_open_fifo(name, timeout_ms, &fifos->options);
    return pipe == NULL ? errno : fifos_introduce(pipe);
}

struct coming {
    const struct fifos *fifos;
    const char *name;
    int timeout_ms;
};

static int run_caller(void *arg)
{
    struct coming *coming = arg;
    return fifos_call(coming->fifos, coming->name, coming->timeout_ms);
}

pid_t fifos_fork_caller(const struct fifos *fifos, const char *name, int timeout_ms)
{
    struct coming coming = {fifos, name, timeout_ms};
    return harness_fork(run_caller, &coming);
}

void fifos_assert_two_connect(const struct fifos *fifos, const char *name)
{
    pid_t other = fifos_fork_caller(fifos, name, FIFOS_LONG_MS);
    assert_int_equal(fifos_call(fifos, name, FIFOS_LONG_MS), 0);
    assert_int_equal(harness_wait(other), 0);
    fifos_assert_empty(fifos);
}

/* --- The cleaner ----------------------------------------------------------------------------- */

static void clean_offer(const char *path, unsigned what)
{
    static const char *const names[] = {"door", "in", "out"};
    char fifo[400];
    for (unsigned i = 0; i < 3; i++) {
        snprintf(fifo, sizeof fifo, "%s/%s", path, names[i]);
        if (what & 1u << i)
            unlink(fifo);
    }
    if (what & FIFOS_DIRECTORY)
        rmdir(path); /* an empty one */
}

void fifos_clean(const struct fifos *fifos, unsigned what)
{
    DIR *list = opendir(fifos->directory);
    if (list == NULL)
        return;
    for (struct dirent *entry; (entry = readdir(list)) != NULL;) {
        char path[350];
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", fifos->directory, entry->d_name);
        clean_offer(path, what);
    }
    closedir(list);
    if (what & FIFOS_HOME)
        rmdir(fifos->directory);
}

bool fifos_is_offered(const struct fifos *fifos)
{
    struct stat status;
    if (stat(fifos_path(fifos, "x/in"), &status) != 0 ||
        stat(fifos_path(fifos, "x/out"), &status) != 0)
        return false;
    int fd = open(fifos_path(fifos, "x/door"), O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

void fifos_await_whole_offer(const struct fifos *fifos)
{
    while (!fifos_is_offered(fifos))
        nanosleep(&(struct timespec){0, 1000000}, NULL);
}

bool fifos_has_stopped(pid_t pid)
{
    siginfo_t info = {0};
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WSTOPPED | WEXITED | WNOWAIT), 0);
    return info.si_code == CLD_STOPPED;
}

void fifos_make_unnamed(int fd[2])
{
    char directory[] = "/tmp/pipc-test-XXXXXX", name[64];
    assert_non_null(mkdtemp(directory));
    snprintf(name, sizeof name, "%s/fifo", directory);
    assert_int_equal(mkfifo(name, 0600), 0);
    fd[0] = open(name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    fd[1] = open(name, O_WRONLY | O_CLOEXEC);
    unlink(name);
    rmdir(directory);
}

int fifos_stop_before_commit(const struct fifos *fifos)
{
    fault_reset();
    fault_stop_at(PLATFORM_FIFO_WRITE, 1);
    fault_arm();
    pipc_t *pipe = pipc_open_fifo("x", 100, &fifos->options);
    int error = errno;
    fault_disarm();
    pipc_close(pipe);
    return pipe == NULL ? error : 0;
}
