/* SPDX-License-Identifier: MIT */
/*
 * Limits of the process and of the system, crossed with all that can happen to a pipe: a limit
 * begins before the pipe opens or at some step of the script, and ends after the last step, or
 * after the peer has closed. Then the run goes on as one with a fault does: the handle recovers,
 * and an end is noticed by polling alone.
 *
 * The kernel holds descriptors, address space, the size of files and locked memory. Those that a
 * process cannot set for itself alone, the seam refuses: watches of epoll, buffers of pipes, a full
 * file system. (A process without pthread keys is in test_anonymous_lifetime.c.)
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "harness.h"
#include "torture.h"

enum { DESCRIPTORS_MAX = 12, AMOUNTS = 6, OPENED_FIRST = 3 };

static struct {
    bool holds, is_of_process;
    int resource;
    rlim_t before;
} now;

/* ---- the limits ---- */

static rlim_t lowest_free(void)
{
    int fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
    TORTURE_CHECK(fd >= 0, "no descriptor is left, without a limit");
    close(fd);
    return (rlim_t)fd;
}

static rlim_t mapped_now(void)
{
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    TORTURE_CHECK(file != NULL && fscanf(file, "%lu", &pages) == 1, "no statm");
    fclose(file);
    return (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE);
}

static void limit_process(int resource, rlim_t value)
{
    now.is_of_process = true;
    now.resource = resource;
    now.before = harness_limit(resource, value);
}

static void refuse(enum fault_call call, int error)
{
    fault_fail(call, fault_calls(call) + 1, FAULT_FOREVER, error);
}

static void fill_file_systems(void)
{
    static const enum fault_call calls[] = {CALL_mkdirat, CALL_mkfifoat, CALL_linkat,
                                            CALL_ftruncate, CALL_posix_fallocate};
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
        refuse(calls[i], ENOSPC);
}

void torture_limit_begin(const struct torture_limit *limit)
{
    static const rlim_t amounts[AMOUNTS] = {0, 1, 4096, 70000, 300000, 2000000};
    rlim_t amount = amounts[limit->value % AMOUNTS];
    now.holds = true;
    now.is_of_process = false;
    switch (limit->what) {
    case LIMIT_DESCRIPTORS: /* so many more; then a few in all, whatever is open */
        limit_process(RLIMIT_NOFILE, limit->value < DESCRIPTORS_MAX / 2
                                         ? lowest_free() + limit->value
                                         : limit->value - DESCRIPTORS_MAX / 2);
        break;
    case LIMIT_ADDRESSES:
        limit_process(RLIMIT_AS, mapped_now() + amount);
        break;
    case LIMIT_FILES:
        limit_process(RLIMIT_FSIZE, amount);
        break;
    case LIMIT_LOCKED:
        limit_process(RLIMIT_MEMLOCK, 0);
        break;
    case LIMIT_WATCHES:
        refuse(CALL_epoll_ctl, ENOSPC);
        break;
    case LIMIT_PIPES:
        refuse(CALL_pipe2, ENFILE);
        break;
    case LIMIT_SPACE:
        fill_file_systems();
        break;
    default:
        now.holds = false;
    }
}

void torture_limit_end(void)
{
    if (now.holds && now.is_of_process)
        harness_limit(now.resource, now.before);
    now.holds = false;
}

bool torture_limit_holds(void)
{
    return now.holds;
}

/* ---- the campaign ---- */

static unsigned values_of(enum torture_limited what)
{
    switch (what) {
    case LIMIT_DESCRIPTORS:
        return DESCRIPTORS_MAX;
    case LIMIT_ADDRESSES:
    case LIMIT_FILES:
        return AMOUNTS;
    default:
        return 1;
    }
}

/* Tools need address space of their own; and /proc says how much is used. */
static bool is_possible(enum torture_limited what)
{
    return what != LIMIT_ADDRESSES || (harness_scale() == 1 && harness_has_proc());
}

unsigned long torture_limit_script(struct torture_run *run, uint64_t *state, unsigned long most)
{
    unsigned long runs = 0;
    for (int what = LIMIT_NONE + 1; what < LIMITS; what++)
        for (unsigned value = 0; value < values_of((enum torture_limited)what); value++) {
            if (!is_possible((enum torture_limited)what) || runs == most)
                continue;
            unsigned from = (unsigned)(harness_roll(state) % 8);
            run->limit = (struct torture_limit){(enum torture_limited)what, value, from,
                                                harness_roll(state) % 3 == 0};
            torture_run(run);
            runs++;
        }
    return runs;
}
