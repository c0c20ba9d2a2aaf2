/* SPDX-License-Identifier: MIT */
/*
 * What every test program stands on, over cmocka. Each test runs in a child of its own, in a
 * process group of its own, under a timeout. It fails when an assertion fails (in any of its
 * threads), when it crashes, hangs or exits early, when a process that it forked is still running
 * at its end, and when a descriptor or a heap block of the library or of the test is left over. It
 * knows nothing of how the library works inside; fault.h injects faults.
 *
 *     #include "harness.h"
 *
 *     TEST(an_empty_pipe_has_nothing_pending) { ... }
 *     TEST_OF_KIND(an_empty_message_is_delivered) { pipc_t *end[2]; kind_open(kind, end, NULL); ...
 * }
 *
 *     HARNESS_MAIN("messages", IT(an_empty_pipe_has_nothing_pending),
 *                  OVER_KINDS(an_empty_message_is_delivered))
 *
 * runs "an_empty_pipe_has_nothing_pending", "pair: an_empty_message_is_delivered" and so on.
 * A program's first argument, or PIPC_TEST_FILTER, is a pattern (* and ?) of the tests to run.
 * PIPC_TEST_SEED repeats a run's random numbers; PIPC_TEST_SCALE lengthens the timeouts.
 */
#ifndef PIPC_TESTS_HARNESS_H
#define PIPC_TESTS_HARNESS_H

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/types.h>

#include <cmocka.h>

#include "kinds.h"
#include "pipc.h"

/* cmocka 2 has a macro of that name, and no longer wants assert_in_range for numbers of any
 * type. */
#undef stop
#undef assert_in_range
#define assert_in_range(value, least, most)                                                 \
    harness_assert_in_range((intmax_t)(value), (intmax_t)(least), (intmax_t)(most), #value, \
                            __FILE__, __LINE__)

/* Larger than any message that comes, where a size can be. */
#define HARNESS_HUGE ((size_t)(SIZE_MAX >> 20 >> 20 > 0 ? (uint64_t)1 << 40 : SIZE_MAX / 2))

/* Long enough for a busy machine of two cores, short enough to wait for a hang. */
#define HARNESS_TIMEOUT_MS 60000

struct harness_test {
    const char *name;
    void (*body)(void);                   /* this one ... */
    void (*of_kind)(const struct kind *); /* ... or this one, */
    enum kind_set set;                    /* over these kinds, */
    const struct kind *cases;             /* unless it has cases: the last has no name */
    int timeout_ms;                       /* before scaling */
};

#define TEST(name)         static void name(void)
#define TEST_OF_KIND(name) static void name(const struct kind *kind)

/* clang-format off */
#define IT(name)                 IT_WITHIN(name, HARNESS_TIMEOUT_MS)
#define IT_WITHIN(name, ms)      {#name, name, NULL, ALL_KINDS, NULL, ms}

/* Over each kind of a set. */
#define OVER(name, set, ms)         {#name, NULL, name, set, NULL, ms}
#define OVER_KINDS(name)            OVER(name, ALL_KINDS, HARNESS_TIMEOUT_MS)
#define OVER_TWO_HANDLE_KINDS(name) OVER(name, TWO_HANDLE_KINDS, HARNESS_TIMEOUT_MS)
#define OVER_MADE_KINDS(name)       OVER(name, MADE_KINDS, HARNESS_TIMEOUT_MS)
#define OVER_ANONYMOUS_KINDS(name)  OVER(name, ANONYMOUS_KINDS, HARNESS_TIMEOUT_MS)

/* Over cases of the test's own, which are no kinds of pipe: name and in_threads are all they
 * need. */
#define OVER_CASES(name, cases)     {#name, NULL, name, ALL_KINDS, cases, HARNESS_TIMEOUT_MS}
/* clang-format on */

#define HARNESS_MAIN(suite, ...)                                                      \
    int main(int argc, char **argv)                                                   \
    {                                                                                 \
        static const struct harness_test tests[] = {__VA_ARGS__};                     \
        return harness_run(argc, argv, suite, tests, sizeof tests / sizeof tests[0]); \
    }

int harness_run(int argc, char **argv, const char *suite, const struct harness_test *tests,
                size_t count);

/* --- Inside a test ------------------------------------------------------------------------- */

/* Ends the test as skipped (from the test's own process; a child of it exits so); the reason is
 * printed. */
#define HARNESS_SKIP_STATUS 77
_Noreturn void harness_skip(const char *reason);

/* For tests that cancel threads in calls that wait. */
void harness_skip_if_cancelling_confuses(void);
bool harness_has_proc(void);
/* Where there is no /proc, a live holder of an end is known by its process id alone. */
void harness_skip_without_proc(void);
/* Where ./dev machines runs the test in qemu, which cannot do what the reason says. */
void harness_skip_in_qemu(const char *reason);
/* The same as without /proc for a test that itself looks into /proc, and for what it is made of. */
void harness_need_proc(void);

/* The call returns -1 with this errno; the constructor returns NULL with it. */
#define assert_errno(call, code) harness_assert_errno((call), (code), #call, __FILE__, __LINE__)
#define assert_null_errno(call, code) \
    harness_assert_errno((call) == NULL ? -1 : 0, (code), #call, __FILE__, __LINE__)
void harness_assert_errno(intmax_t result, int code, const char *call, const char *file, int line);
void harness_assert_in_range(intmax_t value, intmax_t least, intmax_t most, const char *what,
                             const char *file, int line);

/* How much slower this run is: 1, or 4 under a sanitizer, or 20 under valgrind, or PIPC_TEST_SCALE.
 * Timeouts of tests grow by it; long loops may shrink by it. */
int harness_scale(void);

/* The number in this variable of the environment, if it has one above 0; else `usual`. */
int harness_setting(const char *variable, int usual);

/* Milliseconds and microseconds of the monotonic clock, always the real one. */
int64_t harness_now_ms(void);
int64_t harness_now_us(void);
int64_t harness_cpu_ms(void); /* processor time that this process used */

/* Whether poll says POLLIN (or an end or an error) for fd within that time. -1: as long as it
 * takes. */
bool harness_readable(int fd, int timeout_ms);

/* The same numbers for one seed and one order of calls; may be called from any thread. */
uint64_t harness_random(void);
size_t harness_random_below(size_t limit); /* 0 ... limit - 1; limit at least 1 */
size_t harness_roll(uint64_t *state);      /* faster, for one thread; state is not 0 */

/* Bytes that differ with the tag and with the place, and the assertion that they came unchanged. */
void harness_fill(void *buffer, size_t size, uint64_t tag);
void harness_check(const void *buffer, size_t size, uint64_t tag);

/* --- Processes, threads and order between them ---------------------------------------------- */

/* A child that runs fn and exits with what fn returns; a failed assertion in it ends it by SIGABRT.
 * The test must wait for it. harness_wait returns the exit status, or minus the signal's number. */
pid_t harness_fork(int (*fn)(void *arg), void *arg);
int harness_wait(pid_t pid);

/* pthread_create, with 16 KiB of stack: no call of the library may need more. */
int harness_thread(pthread_t *thread, void *(*fn)(void *arg), void *arg);

/* Passes as many waiters as it was opened times; works between threads and over fork. */
struct harness_gate {
    int fd[2];
};
void harness_gate_init(struct harness_gate *gate);
void harness_gate_open(struct harness_gate *gate);
void harness_gate_wait(struct harness_gate *gate);
void harness_gate_close(struct harness_gate *gate); /* in every process that has it */

/* --- What is left over ----------------------------------------------------------------------- */

/* Fails unless descriptors and heap are as they were when the test began. Made at the end of each
 * test; a forked child that has given back all that it inherited may make it too. */
void harness_assert_nothing_left(void);

/* From here on harness_assert_nothing_left compares with what is there now; the check at the end of
 * the test still compares with its beginning. */
void harness_new_baseline(void);

/* Live heap of the library and the test, as asked for with malloc, calloc and realloc (which
 * fault_calls.c counts). Blocks that the C library made, strdup's for one, do not count. */
size_t harness_heap_blocks(void);
size_t harness_heap_bytes(void);
void harness_forget_mapped(void);  /* what ran before main, which may be wrapped in part alone */
size_t harness_mapped_bytes(void); /* by mmap, as long as they are not given to munmap */
size_t harness_heap_peak(void);    /* most bytes since harness_heap_peak_reset */
void harness_heap_peak_reset(void);
int harness_open_descriptors(void);
/* What the descriptor is: "/memfd:pipc (deleted)", "anon_inode:[eventfd]"; "" if not open. */
#define HARNESS_NAME_MAX 256
void harness_name_descriptor(int fd, char name[HARNESS_NAME_MAX]);
rlim_t harness_limit(int resource, rlim_t value); /* returns what the soft limit was before */

/* --- Between the harness's own files ---------------------------------------------------------- */

bool harness_sanitized(void);
bool harness_emulated(void); /* under valgrind */
void harness_choose_seed(void);
void harness_restart_random(void); /* each test begins at the seed */

/* --- For tests of the harness itself --------------------------------------------------------- */

enum harness_verdict { HARNESS_PASSED, HARNESS_FAILED, HARNESS_SKIPPED };

/* Runs a body as a test and returns its verdict; reason is an empty string when it passed. */
enum harness_verdict harness_try(void (*body)(void), int timeout_ms, char *reason, size_t size);

#endif
