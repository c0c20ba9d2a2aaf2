/* SPDX-License-Identifier: MIT */
/*
 * The campaign: for each kind of pipe, script after script. A script runs once without a fault.
 * Then each of its calls to the system fails with each errno that is plausible for it, once and
 * for good; a share of the runs has two faults, one after the other; some are cut short,
 * interrupted, or get EAGAIN after a poll.
 *
 *   torture faults SEED COUNT [KIND]    COUNT runs over all kinds, or one
 *   torture limits SEED COUNT [KIND]    COUNT runs under limits (limits.c)
 *   torture kills SEED COUNT [KIND]     COUNT processes killed
 *   torture cuts STRIDE                 streams cut at every STRIDE-th byte
 *   torture quick                       some of each
 *   torture again KIND SCRIPT SHAPE [CALL MORE ERROR]...    one run; CALL is the nth call,
 *                                       MORE 0 or 1 (for good), ERROR the number of the errno
 *   torture again KIND SCRIPT SHAPE limit WHAT VALUE STEP CLOSES    one run under a limit
 *   torture kill KIND SCRIPT WHO CALL   one killing
 */
#include "torture.h"

#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "harness.h"
#include "moving.h"
#include "platform.h"

/* Each script gets about so many faults, evenly over all that it could get. */
enum {
    FAULTS_OF_SCRIPT = 400,
    WATCH_SECONDS = 60,
    QUICK_FAULTS = 4000,
    QUICK_KILLS = 2000,
    QUICK_LIMITS = 500
};

static const char *program;
static struct torture_run current;
static bool is_over;

/* ---- what failed ---- */

static void show_run(void)
{
    fprintf(stderr, "%s\nto repeat it: %s again '%s' %" PRIu64 " %d", fault_summary(), program,
            current.kind->name, current.script, (int)current.shape);
    const struct torture_limit *limit = &current.limit;
    if (limit->what != LIMIT_NONE)
        fprintf(stderr, " limit %d %u %u %d", (int)limit->what, limit->value, limit->from,
                limit->closes);
    for (int i = 0; i < 2 && current.fault[i].nth > 0; i++)
        fprintf(stderr, " %lu %d %u", current.fault[i].nth, current.fault[i].more > 0,
                current.fault[i].which);
    fprintf(stderr, "\n");
}

void (*torture_show)(void) = show_run;

static void show_at_exit(void)
{
    if (!is_over)
        torture_show();
}

static void show_at_signal(int number)
{
    is_over = true;
    torture_show();
    signal(number, SIG_DFL);
    raise(number);
}

void torture_fail(const char *file, int line, const char *format, ...)
{
    int error = errno;
    va_list arguments;
    fprintf(stderr, "%s:%d: ", file, line);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, " (errno: %s)\n", strerror(error));
    is_over = true;
    torture_show();
    _exit(1);
}

void torture_catch(void)
{
    static const int signals[] = {SIGABRT, SIGSEGV, SIGBUS, SIGALRM, SIGFPE, SIGILL};
    atexit(show_at_exit);
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        signal(signals[i], show_at_signal);
}

void torture_watch(void)
{
    alarm((unsigned)(WATCH_SECONDS * harness_scale()));
}

void torture_trace(const char *format, ...)
{
    static int is_wanted = -1;
    va_list arguments;
    if (is_wanted < 0)
        is_wanted = getenv("PIPC_FUZZ_TRACE") != NULL;
    if (!is_wanted)
        return;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
}

/* ---- one script ---- */

struct site {
    unsigned long nth;
    enum fault_call call;
};

static void run_now(struct torture_fault first, struct torture_fault second,
                    enum torture_shape shape)
{
    current.fault[0] = first;
    current.fault[1] = second;
    current.shape = shape;
    torture_run(&current);
}

/* Fault number `at` of those that the calls of the script can give; false: there are no more. */
static bool find_fault(const unsigned char *order, unsigned long calls, unsigned long at,
                       struct torture_fault *fault)
{
    for (unsigned long nth = 1; nth <= calls; nth++) {
        unsigned errors = fault_errors((enum fault_call)order[nth - 1]);
        if (at < 2ul * errors) {
            *fault =
                (struct torture_fault){nth, at % 2 == 0 ? 0 : FAULT_FOREVER, (unsigned)(at / 2)};
            return true;
        }
        at -= 2ul * errors;
    }
    return false;
}

static unsigned long learn_order(unsigned char order[FAULT_ORDER_MAX], unsigned long *faults)
{
    unsigned long calls = fault_calls(CALL_ANY);
    calls = calls < FAULT_ORDER_MAX ? calls : FAULT_ORDER_MAX;
    *faults = 0;
    for (unsigned long nth = 1; nth <= calls; nth++) {
        order[nth - 1] = (unsigned char)fault_call_at(nth);
        *faults += 2ul * fault_errors(fault_call_at(nth));
    }
    return calls;
}

/* The second fault stands at any later call of those that come. */
static struct torture_fault pick_second(const struct torture_fault *first, unsigned long calls,
                                        uint64_t *state)
{
    unsigned long span = harness_roll(state) % 2 == 0 ? 6 : calls;
    return (struct torture_fault){first->nth + 1 + harness_roll(state) % span,
                                  harness_roll(state) % 3 == 0 ? FAULT_FOREVER : 0,
                                  (unsigned)(harness_roll(state) % 6)};
}

static unsigned long sweep_script(uint64_t *state, unsigned long most)
{
    static unsigned char order[FAULT_ORDER_MAX];
    const struct torture_fault none = {0, 0, 0};
    struct torture_fault fault;
    unsigned long faults, runs = 0;
    run_now(none, none, SHAPE_WHOLE);
    unsigned long calls = learn_order(order, &faults), stride = 1 + faults / FAULTS_OF_SCRIPT;
    for (unsigned long at = harness_roll(state) % stride;
         runs < most && find_fault(order, calls, at, &fault); at += stride) {
        run_now(fault, none, SHAPE_WHOLE);
        runs++;
        if (runs % 4 == 0 && runs < most) {
            run_now(fault, pick_second(&fault, calls, state), SHAPE_WHOLE);
            runs++;
        }
    }
    for (int shape = SHAPE_SHORT; shape < SHAPES && runs < most; shape++, runs++)
        run_now(none, none, (enum torture_shape)shape);
    return runs;
}

static uint64_t begin_sweep(const struct kind *kind, uint64_t seed)
{
    uint64_t state = (seed + 1) * 0x9e3779b97f4a7c15u | 1;
    for (const char *letter = kind->name; *letter != '\0'; letter++)
        state = (state ^ (unsigned char)*letter) * 0x100000001b3u | 1;
    torture_show = show_run;
    current = (struct torture_run){.kind = kind};
    return state;
}

unsigned long torture_limits(const struct kind *kind, uint64_t seed, unsigned long count)
{
    uint64_t state = begin_sweep(kind, seed);
    unsigned long runs = 0;
    while (runs < count) {
        current.script = harness_roll(&state);
        runs += torture_limit_script(&current, &state, count - runs);
    }
    return runs;
}

unsigned long torture_sweep(const struct kind *kind, uint64_t seed, unsigned long count)
{
    uint64_t state = begin_sweep(kind, seed);
    unsigned long runs = 0;
    while (runs < count) {
        current.script = harness_roll(&state);
        runs += sweep_script(&state, count - runs);
    }
    return runs;
}

/* ---- all of it ---- */

static int repeat(int argc, char **argv)
{
    current.kind = torture_kind(argv[2]);
    current.script = strtoull(argv[3], NULL, 0);
    TORTURE_CHECK(current.kind != NULL, "no kind of pipe is called %s", argv[2]);
    torture_open_begin();
    run_now(current.fault[0], current.fault[1], SHAPE_WHOLE);
    current.shape = (enum torture_shape)atoi(argv[4]);
    bool is_limited = argc == 10 && strcmp(argv[5], "limit") == 0;
    if (is_limited)
        current.limit =
            (struct torture_limit){(enum torture_limited)atoi(argv[6]), (unsigned)atoi(argv[7]),
                                   (unsigned)atoi(argv[8]), atoi(argv[9]) > 0};
    for (int i = 0; i < 2 && !is_limited && 5 + 3 * i + 2 < argc; i++)
        current.fault[i] = (struct torture_fault){strtoul(argv[5 + 3 * i], NULL, 0),
                                                  atoi(argv[6 + 3 * i]) > 0 ? FAULT_FOREVER : 0,
                                                  (unsigned)atoi(argv[7 + 3 * i])};
    torture_trace("---- with faults\n");
    torture_run(&current);
    torture_open_end();
    printf("it passed\n");
    return 0;
}

static int repeat_kill(char **argv)
{
    struct torture_killing killing = {torture_kind(argv[2]), strtoull(argv[3], NULL, 0),
                                      atoi(argv[4]), strtoul(argv[5], NULL, 0)};
    TORTURE_CHECK(killing.kind != NULL, "no kind of pipe is called %s", argv[2]);
    torture_open_begin();
    torture_kill(&killing);
    torture_open_end();
    printf("it passed\n");
    return 0;
}

typedef unsigned long campaign_fn(const struct kind *kind, uint64_t seed, unsigned long count);

/* Without eventfd a doorbell is a pipe, whose writes cannot be told from those of messages. */
static bool has_eventfd(void)
{
    int fd = eventfd(0, EFD_CLOEXEC);
    close(fd);
    return fd >= 0 && platform_has(PLATFORM_LINUX_CALLS);
}

/* What this system has. */
static bool is_wanted(const struct kind *kind, const char *name)
{
    if ((kind->tcp && !fuzz_has_loopback()) || (kind->same_handle && !has_eventfd()) ||
        (kind->moves && !moving_is_possible()))
        return false;
    return name == NULL || strcmp(name, kind->name) == 0;
}

static void run_campaign(campaign_fn *campaign, const char *unit, uint64_t seed,
                         unsigned long count, const char *name)
{
    int64_t begin = harness_now_ms();
    unsigned long kinds = 0, total = 0;
    for (const struct kind *kind = NULL; (kind = kind_next(ALL_KINDS, kind)) != NULL;)
        kinds += is_wanted(kind, name);
    TORTURE_CHECK(kinds > 0, "no kind of pipe is called %s", name);
    for (const struct kind *kind = NULL; (kind = kind_next(ALL_KINDS, kind)) != NULL;) {
        if (!is_wanted(kind, name))
            continue;
        int64_t since = harness_now_ms();
        unsigned long runs = campaign(kind, seed, count / kinds + 1);
        int64_t ms = harness_now_ms() - since;
        printf("%-20s %9lu %s, %6ld a second\n", kind->name, runs, unit,
               (long)((int64_t)runs * 1000 / (ms > 0 ? ms : 1)));
        fflush(stdout);
        total += runs;
    }
    printf("%-20s %9lu %s, %6ld s\n", "all", total, unit,
           (long)((harness_now_ms() - begin) / 1000));
}

static int cut(unsigned long stride)
{
    int64_t begin = harness_now_ms();
    unsigned long cuts = torture_cuts(stride > 0 ? stride : 1);
    printf("%-20s %9lu cuts, %6ld s\n", "streams", cuts, (long)((harness_now_ms() - begin) / 1000));
    return 0;
}

/* The share of each run of the tests. Kills first: as long as the process has one thread. */
static int run_quick(void)
{
    uint64_t seed = (uint64_t)harness_setting("PIPC_TEST_SEED", 1);
    unsigned long scale = (unsigned long)harness_scale();
    torture_open_begin();
    cut(101 * scale);
    run_campaign(torture_kills, "kills", seed, QUICK_KILLS / scale, NULL);
    run_campaign(torture_limits, "limits", seed, QUICK_LIMITS / scale, NULL);
    run_campaign(torture_sweep, "faults", seed, QUICK_FAULTS / scale, NULL);
    torture_open_end();
    return 0;
}

static int usage(void)
{
    fprintf(stderr, "usage: torture faults SEED COUNT [KIND]\n"
                    "       torture limits SEED COUNT [KIND]\n"
                    "       torture kills SEED COUNT [KIND]\n"
                    "       torture cuts STRIDE\n"
                    "       torture quick\n"
                    "       torture again KIND SCRIPT SHAPE [CALL MORE ERROR]...\n"
                    "       torture again KIND SCRIPT SHAPE limit WHAT VALUE STEP CLOSES\n"
                    "       torture kill KIND SCRIPT WHO CALL\n");
    return 2;
}

static int begin_campaign(int argc, char **argv)
{
    const char *unit = argv[1];
    campaign_fn *campaign = strcmp(unit, "kills") == 0    ? torture_kills
                            : strcmp(unit, "limits") == 0 ? torture_limits
                                                          : torture_sweep;
    torture_open_begin();
    run_campaign(campaign, unit, strtoull(argv[2], NULL, 0), strtoul(argv[3], NULL, 0),
                 argc > 4 ? argv[4] : NULL);
    torture_open_end();
    return 0;
}

int main(int argc, char **argv)
{
    program = argv[0];
    current.kind = kind_next(ALL_KINDS, NULL);
    torture_catch();
    int result = 0;
    const char *mode = argc > 1 ? argv[1] : "";
    if (argc >= 5 && strcmp(mode, "again") == 0)
        result = repeat(argc, argv);
    else if (argc == 6 && strcmp(mode, "kill") == 0)
        result = repeat_kill(argv);
    else if (argc >= 4 && (strcmp(mode, "faults") == 0 || strcmp(mode, "kills") == 0 ||
                           strcmp(mode, "limits") == 0))
        result = begin_campaign(argc, argv);
    else if (argc == 3 && strcmp(mode, "cuts") == 0)
        result = cut(strtoul(argv[2], NULL, 0));
    else if (argc == 2 && strcmp(mode, "quick") == 0)
        result = run_quick();
    else
        result = usage();
    is_over = true;
    return result;
}
