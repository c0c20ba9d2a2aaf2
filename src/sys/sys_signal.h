/* SPDX-License-Identifier: MIT */
/*
 * A signal that the kernel sends with an errno (SIGPIPE with EPIPE, SIGXFSZ with EFBIG) is kept
 * from the program: it is blocked, the call is made, and the signal of this call is taken back.
 * One that was pending before is the program's own, and stays.
 *
 * Private to src/sys.
 */
#ifndef PIPC_SYS_SIGNAL_H
#define PIPC_SYS_SIGNAL_H

#include <signal.h>
#include <stdbool.h>

struct sys_blocked {
    sigset_t only, before;
    int number;
    bool was_pending;
};

void sys_signal_block(struct sys_blocked *blocked, int signal_number);
/* Keeps errno. `was_sent`: the call has failed with the errno that goes with the signal. */
void sys_signal_restore(const struct sys_blocked *blocked, bool was_sent);

/*
 * Writing to this open file raises no SIGPIPE from here on, where the system can be told so. For
 * those that send it to the process, not to the thread that wrote. Keeps errno; a negative fd is
 * nothing.
 */
void sys_signal_never(int fd);

#endif
