/* SPDX-License-Identifier: MIT */
#define _XOPEN_SOURCE     700
#define _FILE_OFFSET_BITS 64
#include "sys/sys_signal.h"

#include <errno.h>
#include <pthread.h>

#include "sys/sys_cancel.h"

static bool is_pending(int signal_number)
{
    sigset_t pending;
    sigemptyset(&pending);
    sigpending(&pending);
    return sigismember(&pending, signal_number) == 1;
}

/* Of a valid signal, neither blocking nor the question what is pending has an error to report. */
void sys_signal_block(struct sys_blocked *blocked, int signal_number)
{
    sigemptyset(&blocked->only);
    sigaddset(&blocked->only, signal_number);
    blocked->number = signal_number;
    blocked->was_pending = is_pending(signal_number);
    pthread_sigmask(SIG_BLOCK, &blocked->only, &blocked->before);
}

/*
 * Nothing is taken back where the system throws away what is ignored (SIG_IGN). sigwait takes what
 * is pending without a wait; sigtimedwait is missing in places.
 */
void sys_signal_restore(const struct sys_blocked *blocked, bool was_sent)
{
    int saved = errno, taken;
    if (was_sent && !blocked->was_pending && is_pending(blocked->number))
        sigwait_nocancel(&blocked->only, &taken);
    pthread_sigmask(SIG_SETMASK, &blocked->before, NULL);
    errno = saved;
}
