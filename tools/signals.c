/* SPDX-License-Identifier: MIT */
/*
 * Signals become input for the poll loop: the handler writes a byte to a pipe. Those that end
 * the program let it clean up first: a server removes its name, a FIFO that waits its files.
 */
#include "pipccat.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static int signals_pipe[2] = {-1, -1};
static volatile sig_atomic_t signals_last;

static void signals_handle(int number)
{
    int error = errno;
    if (number != SIGCHLD)
        signals_last = number;
    (void)!write(signals_pipe[1], "", 1); /* when it is full, it is readable already */
    errno = error;
}

static void signals_install(int number)
{
    struct sigaction action = {.sa_handler = signals_handle}, before;
    sigemptyset(&action.sa_mask);
    action.sa_flags = SA_RESTART;
    if (sigaction(number, NULL, &before) == 0 &&
        (before.sa_handler != SIG_IGN || number == SIGCHLD)) /* nohup, or a shell's background */
        sigaction(number, &action, NULL);
}

void signals_begin(void)
{
    if (pipe2(signals_pipe, O_CLOEXEC | O_NONBLOCK) == -1) {
        complain("no pipe for signals");
        exit(CODE_LOCAL);
    }
    signal(SIGPIPE, SIG_IGN); /* a write reports EPIPE instead */
    signals_install(SIGINT);
    signals_install(SIGTERM);
    signals_install(SIGHUP);
    signals_install(SIGCHLD);
}

int signals_fd(void)
{
    return signals_pipe[0];
}

void signals_drain(void)
{
    char bytes[64];
    while (read(signals_pipe[0], bytes, sizeof bytes) > 0) {}
}

int signals_caught(void)
{
    return signals_last;
}

void signals_end(void)
{
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
}

void signals_die(void)
{
    int number = signals_last;
    if (number == 0)
        return;
    signal(number, SIG_DFL);
    raise(number);
}
