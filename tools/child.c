/* SPDX-License-Identifier: MIT */
/* Starts a program between two pipes, and waits for its end. */
#include "pipccat.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { child_term_ms = 1000 }; /* from a polite signal to one that nobody can ignore */

/* SIGPIPE is ignored here, and exec would pass that on. */
static int child_spawn(char *const *argv, int in, int out, pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t defaults;
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    int error = posix_spawn_file_actions_init(&actions);
    if (error != 0)
        return error;
    if ((error = posix_spawnattr_init(&attributes)) == 0) {
        posix_spawnattr_setsigdefault(&attributes, &defaults);
        posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
        error = posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
        if (error == 0)
            error = posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
        if (error == 0)
            error = posix_spawnp(pid, argv[0], &actions, &attributes, argv, environ);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

pid_t child_start(char *const *argv, int fds[2])
{
    int in[2], out[2];
    pid_t pid = -1;
    if (pipe2(in, O_CLOEXEC) == -1) {
        complain("%s: %s", argv[0], strerror(errno));
        return -1;
    }
    if (pipe2(out, O_CLOEXEC) == -1) {
        complain("%s: %s", argv[0], strerror(errno));
        close(in[0]);
        close(in[1]);
        return -1;
    }
    int error = child_spawn(argv, in[0], out[1], &pid);
    close(in[0]);
    close(out[1]);
    if (error == 0) {
        fds[0] = out[0];
        fds[1] = in[1];
        return pid;
    }
    complain("%s: %s", argv[0], strerror(error));
    close(in[1]);
    close(out[0]);
    return -1;
}

static int child_code(int status)
{
    /* Enough messages have come: the program may have had more to say. */
    bool cut_off = config.count > 0 && WIFSIGNALED(status) && WTERMSIG(status) == SIGPIPE;
    if (status == 0 || cut_off)
        return CODE_OK;
    if (WIFSIGNALED(status))
        complain("%s: ended by signal %d", config.program[0], WTERMSIG(status));
    else
        complain("%s: exit status %d", config.program[0], WEXITSTATUS(status));
    return CODE_PROGRAM;
}

/* Returns whether it has ended. */
static bool child_wait(pid_t pid, int timeout_ms, int *status)
{
    int64_t deadline = timeout_ms == -1 ? INT64_MAX : now_ms() + timeout_ms;
    for (;;) {
        if (waitpid(pid, status, WNOHANG) == pid)
            return true;
        int64_t left = deadline - now_ms();
        if (signals_caught() != 0 || left <= 0)
            return false;
        struct pollfd item = {signals_fd(), POLLIN, 0};
        if (poll(&item, 1, timeout_ms == -1 ? -1 : (int)left) == 1)
            signals_drain();
    }
}

int child_finish(pid_t pid)
{
    int status;
    if (child_wait(pid, config.timeout_ms, &status))
        return child_code(status);
    bool caught = signals_caught() != 0;
    kill(pid, SIGTERM);
    if (caught)
        return CODE_OK; /* the signal decides */
    complain("%s: it does not end", config.program[0]);
    if (!child_wait(pid, child_term_ms, &status)) {
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
    }
    return CODE_TIMEOUT;
}
