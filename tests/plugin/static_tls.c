/* SPDX-License-Identifier: MIT */
/* A module that wants its thread-local variables beside the thread's others: room there is
 * scarce. */
static _Thread_local char static_tls[16] __attribute__((tls_model("initial-exec")));

char *static_tls_use(void);
char *static_tls_use(void)
{
    return static_tls;
}
