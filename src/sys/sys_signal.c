/* SPDX-License-Identifier: MIT */
#define _XOPEN_SOURCE     700
#define _FILE_OFFSET_BITS 64
#include "sys/sys_signal.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "sys/sys_cancel.h"

int sys_signal_block(struct sys_blocked *blocked, int signal_number)
{
    sigset_t pending;
    sigemptyset(&blocked->only);
    sigaddset(&blocked->only, signal_number);
    sigemptyset(&pending);
    sigpending(&pending);
    blocked->was_pending = sigismember(&pending, signal_number) == 1;
    int failed = pthread_sigmask(SIG_BLOCK, &blocked->only, &blocked->before);
    if (failed == 0)
        return 0;
    errno = failed;
    return -1;
}

void sys_signal_restore(const struct sys_blocked *blocked, bool was_sent)
{
    static const struct timespec no_time = {0, 0};
    int saved = errno;
    if (was_sent && !blocked->was_pending)
        while (sigtimedwait_nocancel(&blocked->only, NULL, &no_time) < 0 && errno == EINTR)
            continue;
    pthread_sigmask(SIG_SETMASK, &blocked->before, NULL);
    errno = saved;
}
