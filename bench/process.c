/* SPDX-License-Identifier: MIT */
/*
 * Processes and processors. Every process of the benchmark is killed when the one that forked it
 * ends, however that ends: so nothing is left running, also after kill -9 of the driver.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

static volatile sig_atomic_t stop_signal, current_child;

void fail(const char *what)
{
    fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
    _exit(1);
}

/* ---- a clean end after ^C ---- */

static void stop(int number)
{
    stop_signal = number;
    if (current_child > 0)
        kill(current_child, SIGKILL);
}

static void handle_stop(void (*handler)(int))
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = handler};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        sigaction(signals[i], &action, NULL);
}

void catch_stop(void)
{
    handle_stop(stop);
}

/* ---- children ---- */

pid_t fork_or_fail(void)
{
    pid_t parent = getpid();
    fflush(NULL);
    pid_t child = fork();
    if (child < 0)
        fail("fork");
    if (child == 0) {
        handle_stop(SIG_DFL);
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
            fail("the parent has ended");
    }
    return child;
}

bool child_succeeded(pid_t child)
{
    int status;
    current_child = child;
    if (stop_signal != 0)
        kill(child, SIGKILL);
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            fail("waitpid");
    current_child = 0;
    if (stop_signal != 0)
        exit(128 + stop_signal); /* only in the driver */
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

void *new_shared(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        fail("shared memory");
    return memory;
}

void barrier_init(pthread_barrier_t *barrier)
{
    pthread_barrierattr_t shared;
    pthread_barrierattr_init(&shared);
    pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
    errno = pthread_barrier_init(barrier, &shared, 2);
    if (errno != 0)
        fail("a barrier");
    pthread_barrierattr_destroy(&shared);
}

void allow_descriptors(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

double now(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

double resident(void)
{
    char line[128];
    double kilobytes = -1;
    FILE *file = fopen("/proc/self/smaps_rollup", "r");
    if (file == NULL)
        fail("/proc/self/smaps_rollup");
    while (fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, "Pss:", 4) == 0)
            kilobytes = strtod(line + 4, NULL);
    fclose(file);
    return kilobytes * 1024;
}

/* ---- processors ---- */

size_t find_cores(size_t cores[2])
{
    cpu_set_t allowed;
    size_t found = 0;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        fail("sched_getaffinity");
    for (size_t core = 0; core < CPU_SETSIZE && found < 2; core++)
        if (CPU_ISSET(core, &allowed))
            cores[found++] = core;
    return found;
}

void pin(int side, enum setting setting)
{
    size_t cores[2] = {0, 0};
    cpu_set_t one;
    find_cores(cores);
    CPU_ZERO(&one);
    CPU_SET(cores[setting == ONE_CORE ? 0 : side], &one);
    if (sched_setaffinity(0, sizeof one, &one) != 0)
        fail("sched_setaffinity");
}

static pid_t busy[2];

void busy_begin(void)
{
    for (int side = 0; side < 2; side++) {
        busy[side] = fork_or_fail();
        if (busy[side] == 0) {
            pin(side, BUSY_CORES);
            for (volatile unsigned long turns = 0;; turns++)
                continue;
        }
    }
}

void busy_end(void)
{
    for (int side = 0; side < 2; side++) {
        kill(busy[side], SIGKILL);
        child_succeeded(busy[side]);
    }
}
