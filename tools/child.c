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

/* What a program gets to end by itself after a failure, and then after a polite signal. */
enum { child_grace_ms = 1000 };

/* SIGPIPE is ignored here, and exec would pass that on. */
static int child_spawn(char *const *argv, int in, int out, bool own_group, pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t defaults;
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    int flags = POSIX_SPAWN_SETSIGDEF | (own_group ? POSIX_SPAWN_SETPGROUP : 0);
    int error = posix_spawn_file_actions_init(&actions);
    if (error != 0)
        return error;
    if ((error = posix_spawnattr_init(&attributes)) == 0) {
        posix_spawnattr_setsigdefault(&attributes, &defaults);
        posix_spawnattr_setflags(&attributes, (short)flags);
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

pid_t child_start(char *const *argv, int fds[2], bool own_group)
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
    int error = child_spawn(argv, in[0], out[1], own_group, &pid);
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
    /* Enough messages have come: the program was cut off, and may have minded. */
    bool cut_off = config.count > 0 && session_received() >= config.count;
    if (status == 0 || cut_off)
        return CODE_OK;
    if (WIFSIGNALED(status))
        complain("%s: ended by signal %d", config.program[0], WTERMSIG(status));
    else
        complain("%s: exit status %d", config.program[0], WEXITSTATUS(status));
    return CODE_PROGRAM;
}

/* Returns whether it has ended. heed: a signal that ends pipccat ends the wait. */
static bool child_wait(pid_t pid, int timeout_ms, bool heed, int *status)
{
    int64_t deadline = timeout_ms == -1 ? INT64_MAX : now_ms() + timeout_ms;
    for (;;) {
        if (waitpid(pid, status, WNOHANG) == pid)
            return true;
        int64_t left = deadline - now_ms();
        if ((heed && signals_caught() != 0) || left <= 0)
            return false;
        struct pollfd item = {signals_fd(), POLLIN, 0};
        if (poll(&item, 1, timeout_ms == -1 ? -1 : (int)left) == 1)
            signals_drain();
    }
}

void child_stop(pid_t pid)
{
    int status;
    pid_t leader = pid < 0 ? -pid : pid;
    kill(pid, SIGTERM);
    if (child_wait(leader, child_grace_ms, false, &status))
        return;
    kill(pid, SIGKILL);
    waitpid(leader, &status, 0);
}

int child_finish(pid_t pid, int code)
{
    int status, limit_ms = code == CODE_OK ? config.timeout_ms : child_grace_ms;
    if (child_wait(pid, limit_ms, true, &status)) {
        int own = child_code(status);
        return code == CODE_OK ? own : code;
    }
    if (signals_caught() == 0)
        complain("%s: it does not end", config.program[0]);
    child_stop(pid);
    return code == CODE_OK ? CODE_TIMEOUT : code;
}
