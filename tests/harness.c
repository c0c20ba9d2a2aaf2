/* SPDX-License-Identifier: MIT */
/*
 * The runner behind harness.h. Each test runs in a forked child, which reports through a shared
 * page how far it came: so a child that merely exits is not a success. It calls the library only
 * through pipc.h, and only to open the kinds of pipes.
 */
#include "harness.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "hosts.h"

/* The library keeps a page until the process ends, to detect a fork. */
#define PER_PROCESS_MAPPING ((size_t)sysconf(_SC_PAGESIZE))

enum { FD_LIMIT = 4096, REASON_SIZE = 512 };

/* --- Descriptors and heap, before and after --------------------------------------------------- */

struct holdings {
    char fd[FD_LIMIT]; /* 1 where that descriptor is open */
    int high;          /* descriptors over FD_LIMIT */
    size_t blocks, bytes, mapped;
};

static struct holdings at_start, baseline;
static const char *trace; /* of the whole run, whose descriptor the library keeps; NULL: none */

static bool is_trace(int fd)
{
    struct stat file, there;
    return trace != NULL && stat(trace, &file) == 0 && fstat(fd, &there) == 0 &&
           file.st_dev == there.st_dev && file.st_ino == there.st_ino;
}

static void note_descriptor(struct holdings *now, int fd)
{
    if (is_trace(fd))
        return;
    if (fd < FD_LIMIT)
        now->fd[fd] = 1;
    else
        now->high++;
}

/* Where there is no /proc. */
static void try_descriptors(struct holdings *now)
{
    for (int fd = 0; fd < FD_LIMIT; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            note_descriptor(now, fd);
}

static void list_descriptors(struct holdings *now)
{
    DIR *dir = opendir("/proc/self/fd");
    if (dir == NULL && errno == ENOENT) {
        try_descriptors(now);
        return;
    }
    if (dir == NULL)
        fail_msg("cannot list the descriptors: %s", strerror(errno));
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        int fd = entry->d_name[0] == '.' ? dirfd(dir) : atoi(entry->d_name);
        if (fd != dirfd(dir))
            note_descriptor(now, fd);
    }
    closedir(dir);
}

static void look(struct holdings *now)
{
    memset(now, 0, sizeof *now);
    list_descriptors(now);
    now->blocks = harness_heap_blocks();
    now->bytes = harness_heap_bytes();
    now->mapped = harness_mapped_bytes();
}

int harness_open_descriptors(void)
{
    struct holdings now;
    look(&now);
    int count = now.high;
    for (int fd = 0; fd < FD_LIMIT; fd++)
        count += now.fd[fd];
    return count;
}

/* Empty when now is as then. */
static void compare(const struct holdings *then, const struct holdings *now, char *reason,
                    size_t size)
{
    char name[HARNESS_NAME_MAX];
    for (int fd = 0; fd < FD_LIMIT; fd++) {
        if (now->fd[fd] == then->fd[fd])
            continue;
        harness_name_descriptor(fd, name);
        snprintf(reason, size,
                 now->fd[fd] ? "leaked descriptor %d (%s)" : "closed descriptor %d of others%s", fd,
                 name);
        return;
    }
    if (now->high != then->high)
        snprintf(reason, size, "leaked %d high descriptor(s)", now->high - then->high);
    else if (now->blocks != then->blocks || now->bytes != then->bytes)
        snprintf(reason, size, "leaked %td heap block(s), %td byte(s)",
                 (ptrdiff_t)(now->blocks - then->blocks), (ptrdiff_t)(now->bytes - then->bytes));
    else if (now->mapped != then->mapped && now->mapped != then->mapped + PER_PROCESS_MAPPING)
        snprintf(reason, size, "leaked %td mapped byte(s)",
                 (ptrdiff_t)(now->mapped - then->mapped));
}

void harness_new_baseline(void)
{
    look(&baseline);
}

void harness_assert_nothing_left(void)
{
    char reason[REASON_SIZE] = "";
    struct holdings now;
    look(&now);
    compare(&baseline, &now, reason, sizeof reason);
    if (reason[0] != '\0')
        fail_msg("%s", reason);
}

/* --- Processes -------------------------------------------------------------------------------- */

/* A child that a test forks does not own what its stack points at: LeakSanitizer is for the test's
 * own process, which ends by exit as well. */
static int grandchild;
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
    return grandchild;
}

pid_t harness_fork(int (*fn)(void *arg), void *arg)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0)
        fail_msg("fork: %s", strerror(errno));
    if (pid > 0)
        return pid;
    grandchild = 1;
    exit(fn(arg));
}

int harness_wait(pid_t pid)
{
    int status;
    pid_t got;
    while ((got = waitpid(pid, &status, 0)) < 0 && errno == EINTR)
        continue;
    if (got != pid)
        fail_msg("waitpid: %s", strerror(errno));
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* --- One test in its child -------------------------------------------------------------------- */

struct report { /* shared between the runner and the test's process */
    pid_t pid;
    int done;
    int skipped;
    char reason[REASON_SIZE];
};

static struct report *report; /* of the test that this process runs */

struct job {
    void (*body)(void);
    void (*of_kind)(const struct kind *kind);
    const struct kind *kind;
    int timeout_ms;
};

_Noreturn void harness_skip(const char *reason)
{
    snprintf(report->reason, sizeof report->reason, "%s", reason);
    report->skipped = 1;
    exit(HARNESS_SKIP_STATUS);
}

/* cmocka aborts where an assertion fails, in any thread; a crash is left to the kernel. */
static void prepare_child(void)
{
    static const int caught[] = {SIGFPE, SIGILL, SIGSEGV, SIGBUS, SIGSYS, SIGPIPE};
    struct rlimit no_core = {0, 0};
    sigset_t none;
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (!harness_sanitized())
        for (size_t i = 0; i < sizeof caught / sizeof caught[0]; i++)
            signal(caught[i], SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setrlimit(RLIMIT_CORE, &no_core);
    setenv("CMOCKA_TEST_ABORT", "1", 1);
    harness_restart_random();
}

static _Noreturn void run_in_child(const struct job *job)
{
    prepare_child();
    report->pid = getpid();
    harness_heap_peak_reset();
    look(&at_start);
    baseline = at_start;
    if (job->body != NULL)
        job->body();
    else
        job->of_kind(job->kind);
    if (getpid() != report->pid) {
        fprintf(stderr, "a forked child came back from the test's body\n");
        abort();
    }
    struct holdings now;
    look(&now);
    compare(&at_start, &now, report->reason, sizeof report->reason);
    report->done = 1;
    exit(report->reason[0] == '\0' ? 0 : 1);
}

/* Waits without reaping, so that the group keeps its number. */
static bool ended_in_time(pid_t pid, int timeout_ms)
{
    int64_t deadline = harness_now_ms() + (int64_t)timeout_ms * harness_scale();
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    for (;;) {
        siginfo_t info = {0};
        waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT);
        int64_t left = deadline - harness_now_ms();
        if (info.si_pid == pid || left <= 0)
            return info.si_pid == pid;
        struct timespec rest = {(time_t)(left / 1000), (long)(left % 1000) * 1000000};
        sigtimedwait(&child, NULL, &rest);
    }
}

/* Children that the test left behind are ours now (PR_SET_CHILD_SUBREAPER). Those that have ended
 * are reaped first; if the group still has members, the test left processes running. */
static bool end_group(pid_t group)
{
    while (waitpid(-group, NULL, WNOHANG) > 0)
        continue;
    bool survivors = kill(-group, SIGKILL) == 0;
    while (waitpid(-group, NULL, 0) > 0)
        continue;
    return survivors;
}

static enum harness_verdict judge(const struct report *result, int status, bool in_time,
                                  bool survivors, char *reason, size_t size)
{
    const char *why = result->reason;
    char text[REASON_SIZE];
    if (!in_time)
        why = "hung: killed after its timeout";
    else if (WIFSIGNALED(status))
        why = WTERMSIG(status) == SIGABRT ? "an assertion failed, or it aborted"
                                          : strsignal(WTERMSIG(status));
    else if (result->skipped && WEXITSTATUS(status) == HARNESS_SKIP_STATUS)
        why = result->reason;
    else if (!result->done)
        why = "exited before its end";
    else if (why[0] == '\0' && WEXITSTATUS(status) != 0)
        why = "a sanitizer complained at the exit";
    else if (why[0] == '\0' && survivors)
        why = "left a process running";
    snprintf(text, sizeof text, "%s", why);
    snprintf(reason, size, "%s", text);
    if (result->skipped)
        return HARNESS_SKIPPED;
    return text[0] == '\0' ? HARNESS_PASSED : HARNESS_FAILED;
}

static enum harness_verdict run_job(const struct job *job, char *reason, size_t size)
{
    struct report *mine =
        mmap(NULL, sizeof *mine, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    sigset_t child, before;
    if (mine == MAP_FAILED)
        fail_msg("mmap: %s", strerror(errno));
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, &before);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        report = mine;
        run_in_child(job);
    }
    if (pid < 0)
        fail_msg("fork: %s", strerror(errno));
    setpgid(pid, pid); /* parent and child both do it: the first wins */
    bool in_time = ended_in_time(pid, job->timeout_ms);
    if (!in_time)
        kill(-pid, SIGKILL);
    int status;
    waitpid(pid, &status, 0);
    bool survivors = end_group(pid);
    sigprocmask(SIG_SETMASK, &before, NULL);
    enum harness_verdict verdict = judge(mine, status, in_time, survivors, reason, size);
    munmap(mine, sizeof *mine);
    return verdict;
}

enum harness_verdict harness_try(void (*body)(void), int timeout_ms, char *reason, size_t size)
{
    struct job job = {body, NULL, NULL, timeout_ms};
    return run_job(&job, reason, size);
}

/* --- cmocka ----------------------------------------------------------------------------------- */

static void run_cmocka_test(void **state)
{
    char reason[REASON_SIZE];
    switch (run_job(*state, reason, sizeof reason)) {
    case HARNESS_PASSED:
        return;
    case HARNESS_SKIPPED:
        print_message("%s\n", reason);
        skip();
        return;
    case HARNESS_FAILED:
        fail_msg("%s", reason);
    }
}

static const struct kind *next_kind(const struct harness_test *test, const struct kind *kind)
{
    if (test->cases == NULL)
        return kind_next(test->set, kind);
    kind = kind == NULL ? test->cases : kind + 1;
    return kind->name == NULL ? NULL : kind;
}

static size_t count_jobs(const struct harness_test *tests, size_t count)
{
    size_t jobs = 0;
    for (size_t i = 0; i < count; i++)
        if (tests[i].body != NULL)
            jobs++;
        else
            for (const struct kind *kind = next_kind(&tests[i], NULL); kind != NULL;
                 kind = next_kind(&tests[i], kind))
                jobs++;
    return jobs;
}

static void add_job(struct CMUnitTest *entry, struct job *job, const struct harness_test *test,
                    const struct kind *kind)
{
    char *name;
    const char *prefix = kind == NULL ? "" : kind->name;
    if (asprintf(&name, "%s%s%s", prefix, kind == NULL ? "" : ": ", test->name) < 0)
        abort();
    *job = (struct job){test->body, test->of_kind, kind, test->timeout_ms};
    *entry = (struct CMUnitTest){name, run_cmocka_test, NULL, NULL, job};
}

int harness_run(int argc, char **argv, const char *suite, const struct harness_test *tests,
                size_t count)
{
    size_t total = count_jobs(tests, count), at = 0;
    struct CMUnitTest *entries = calloc(total, sizeof *entries);
    struct job *jobs = calloc(total, sizeof *jobs);
    if (entries == NULL || jobs == NULL)
        abort();
    for (size_t i = 0; i < count; i++)
        if (tests[i].body != NULL)
            add_job(&entries[at], &jobs[at], &tests[i], NULL), at++;
        else
            for (const struct kind *kind = next_kind(&tests[i], NULL); kind != NULL;
                 kind = next_kind(&tests[i], kind), at++)
                add_job(&entries[at], &jobs[at], &tests[i], kind);
    trace = getenv("PIPC_TRACE");
    harness_forget_mapped();
    harness_choose_seed();
    hosts_set_loopback_up();
    const char *filter = argc > 1 ? argv[1] : getenv("PIPC_TEST_FILTER");
    if (filter != NULL)
        cmocka_set_test_filter(filter);
    int failed = _cmocka_run_group_tests(suite, entries, total, NULL, NULL);
    for (size_t i = 0; i < total; i++)
        free((void *)(uintptr_t)entries[i].name);
    free(entries);
    free(jobs);
    return failed == 0 ? 0 : 1;
}
