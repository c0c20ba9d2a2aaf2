/* SPDX-License-Identifier: MIT */
/*
 * What tests are written with: the clock, repeatable random numbers, patterns, assertions on errno,
 * gates. Nothing here knows how a test is run.
 */
#include "harness.h"

#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "wrapped_symbols.h"

#if defined(__has_feature)
#define HAS_FEATURE(name) __has_feature(name)
#else
#define HAS_FEATURE(name) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || \
    HAS_FEATURE(address_sanitizer) || HAS_FEATURE(thread_sanitizer)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

#if defined(__SANITIZE_ADDRESS__) || HAS_FEATURE(address_sanitizer)
#define ADDRESS_SANITIZED 1
#else
#define ADDRESS_SANITIZED 0
#endif

#if defined(__SANITIZE_THREAD__) || HAS_FEATURE(thread_sanitizer)
#define THREAD_SANITIZED 1
#else
#define THREAD_SANITIZED 0
#endif

/* --- The clock, the random numbers, the patterns ---------------------------------------------- */

/* Never the clock of fault injection, which moves at will. */
int __real_clock_gettime(clockid_t clock,
                         struct timespec *now) __asm__("__real_" SYMBOL_clock_gettime);

int64_t harness_now_us(void)
{
    struct timespec now;
    __real_clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t harness_now_ms(void)
{
    return harness_now_us() / 1000;
}

int64_t harness_cpu_ms(void)
{
    struct rusage used;
    assert_int_equal(getrusage(RUSAGE_SELF, &used), 0);
    return (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000 +
           (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1000;
}

void harness_name_descriptor(int fd, char name[HARNESS_NAME_MAX])
{
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(path, name, HARNESS_NAME_MAX - 1);
    name[length < 0 ? 0 : length] = '\0';
}

void harness_skip_without_proc(void)
{
    if (access("/proc/self", F_OK) != 0)
        harness_skip("a process leaves no proof of its life without /proc");
}

bool harness_has_proc(void)
{
    return access("/proc/self/stat", R_OK) == 0;
}

void harness_need_proc(void)
{
    if (!harness_has_proc())
        harness_skip("the test looks into /proc");
}

void harness_skip_if_cancelling_confuses(void)
{
    if (THREAD_SANITIZED)
        harness_skip("the thread sanitizer sees no locks of a thread cancelled in a blocked call");
    const char *options = getenv("ASAN_OPTIONS");
    if (ADDRESS_SANITIZED &&
        (options == NULL || strstr(options, "detect_stack_use_after_return=1") == NULL))
        harness_skip("the address sanitizer does not know that frames end with a cancelled thread");
}

void harness_skip_in_qemu(const char *reason)
{
    if (getenv("PIPC_TEST_QEMU") != NULL)
        harness_skip(reason);
}

bool harness_sanitized(void)
{
    return SANITIZED;
}

bool harness_emulated(void)
{
    const char *preload = getenv("LD_PRELOAD");
    return preload != NULL && strstr(preload, "vgpreload") != NULL;
}

int harness_setting(const char *variable, int usual)
{
    const char *text = getenv(variable);
    int number = text == NULL ? 0 : atoi(text);
    return number > 0 ? number : usual;
}

int harness_scale(void)
{
    int usual = harness_emulated() ? 20 : harness_sanitized() ? 4 : 1;
    return harness_setting("PIPC_TEST_SCALE", usual);
}

static uint64_t seed;
static _Atomic uint64_t random_state;

/* SplitMix64's finaliser: spreads a counter over all 64 bits. */
static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

uint64_t harness_random(void)
{
    return mix(atomic_fetch_add(&random_state, 0x9e3779b97f4a7c15u));
}

size_t harness_random_below(size_t limit)
{
    return (size_t)(harness_random() % limit);
}

/* Xorshift. */
size_t harness_roll(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (size_t)*state;
}

void harness_choose_seed(void)
{
    const char *text = getenv("PIPC_TEST_SEED");
    seed = text != NULL ? strtoull(text, NULL, 0)
                        : mix((uint64_t)harness_now_us() ^ ((uint64_t)getpid() << 40));
    printf("PIPC_TEST_SEED=0x%016llx\n", (unsigned long long)seed);
}

void harness_restart_random(void)
{
    atomic_store(&random_state, seed);
}

/* Eight bytes of the pattern at once. Their order in memory is that of this machine, on both
 * sides. */
static void pattern(uint64_t word, uint64_t tag, unsigned char bytes[8])
{
    uint64_t mixed = mix(tag * 0x9e3779b97f4a7c15u + word);
    memcpy(bytes, &mixed, 8);
}

void harness_fill(void *buffer, size_t size, uint64_t tag)
{
    unsigned char *bytes = buffer, word[8];
    for (size_t at = 0; at < size; at += 8) {
        pattern(at / 8, tag, word);
        memcpy(bytes + at, word, size - at < 8 ? size - at : 8);
    }
}

static void find_difference(const unsigned char *bytes, const unsigned char *word, size_t at,
                            size_t size, uint64_t tag)
{
    for (size_t i = 0; i < 8 && at + i < size; i++)
        if (bytes[at + i] != word[i])
            fail_msg("byte %zu of %zu is 0x%02x, not 0x%02x (tag %llu)", at + i, size,
                     bytes[at + i], word[i], (unsigned long long)tag);
}

void harness_check(const void *buffer, size_t size, uint64_t tag)
{
    const unsigned char *bytes = buffer;
    unsigned char word[8];
    for (size_t at = 0; at < size; at += 8) {
        pattern(at / 8, tag, word);
        if (memcmp(bytes + at, word, size - at < 8 ? size - at : 8) != 0)
            find_difference(bytes, word, at, size, tag);
    }
}

/* --- Assertions and waiting ------------------------------------------------------------------- */

void harness_assert_errno(intmax_t result, int code, const char *call, const char *file, int line)
{
    int got = errno;
    if (result == -1 && got == code)
        return;
    if (result == -1)
        print_error("%s: errno is %d (%s), not %d (%s)\n", call, got, strerror(got), code,
                    strerror(code));
    else
        print_error("%s: returned %jd, not an error\n", call, result);
    _fail(file, line);
}

void harness_assert_in_range(intmax_t value, intmax_t least, intmax_t most, const char *what,
                             const char *file, int line)
{
    if (value >= least && value <= most)
        return;
    print_error("%s is %jd, not in %jd to %jd\n", what, value, least, most);
    _fail(file, line);
}

bool harness_readable(int fd, int timeout_ms)
{
    struct pollfd entry = {fd, POLLIN, 0};
    int64_t deadline = harness_now_ms() + timeout_ms;
    int ready;
    while ((ready = poll(&entry, 1, timeout_ms)) < 0 && errno == EINTR)
        if (timeout_ms > 0)
            timeout_ms = (int)(deadline > harness_now_ms() ? deadline - harness_now_ms() : 0);
    assert_true(ready >= 0);
    return ready > 0;
}

void harness_gate_init(struct harness_gate *gate)
{
    if (pipe2(gate->fd, O_CLOEXEC) != 0)
        fail_msg("pipe2: %s", strerror(errno));
}

void harness_gate_open(struct harness_gate *gate)
{
    assert_int_equal(write(gate->fd[1], "", 1), 1);
}

void harness_gate_wait(struct harness_gate *gate)
{
    char byte;
    ssize_t n;
    while ((n = read(gate->fd[0], &byte, 1)) < 0 && errno == EINTR)
        continue;
    assert_int_equal(n, 1);
}

void harness_gate_close(struct harness_gate *gate)
{
    close(gate->fd[0]);
    close(gate->fd[1]);
}

/* An enumeration in glibc, an int by POSIX. */
#ifdef __GLIBC__
typedef __rlimit_resource_t resource_t;
#else
typedef int resource_t;
#endif

/* Under valgrind setrlimit changes what valgrind enforces, not the kernel's limit; and it enforces
 * it for few calls. The limit of another process does go to the kernel. */
static void limit_descriptors_of_kernel(rlim_t value)
{
    pid_t pid = getpid(), child = fork();
    int status;
    if (child == 0) {
        struct rlimit limit;
        bool is_set = prlimit(pid, RLIMIT_NOFILE, NULL, &limit) == 0;
        limit.rlim_cur = value;
        _exit(is_set && prlimit(pid, RLIMIT_NOFILE, &limit, NULL) == 0 ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

rlim_t harness_limit(int resource, rlim_t value)
{
    struct rlimit limit;
    assert_int_equal(getrlimit((resource_t)resource, &limit), 0);
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = value;
    assert_int_equal(setrlimit((resource_t)resource, &limit), 0);
    if (resource == RLIMIT_NOFILE && harness_emulated())
        limit_descriptors_of_kernel(value);
    return before;
}
