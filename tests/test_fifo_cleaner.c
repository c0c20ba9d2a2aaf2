/* SPDX-License-Identifier: MIT */
/*
 * Somebody deletes what a meeting has in the file system: a cleaner of /tmp, or an administrator.
 * In any part, at any moment, once or again and again: two that come to a name still meet.
 */
#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fifos.h"
#include "sys_double.h"
#include "sys_file.h"

/* --- The cleaner ----------------------------------------------------------------------------- */

enum { DOOR = 1, IN = 2, OUT = 4, DIRECTORY = 8, HOME = 16, SUBSETS = 32, ALL = SUBSETS - 1 };

static void clean_offer(const char *path, unsigned what)
{
    static const char *const names[] = {"door", "in", "out"};
    char fifo[400];
    for (unsigned i = 0; i < 3; i++) {
        snprintf(fifo, sizeof fifo, "%s/%s", path, names[i]);
        if (what & 1u << i)
            unlink(fifo);
    }
    if (what & DIRECTORY)
        rmdir(path); /* an empty one */
}

/* Deletes these parts of every offer, whether it has its name or is still private. */
static void clean(const struct fifos *fifos, unsigned what)
{
    DIR *list = opendir(fifos->directory);
    if (list == NULL)
        return;
    for (struct dirent *entry; (entry = readdir(list)) != NULL;) {
        char path[350];
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", fifos->directory, entry->d_name);
        clean_offer(path, what);
    }
    closedir(list);
    if (what & HOME)
        rmdir(fifos->directory);
}

/*
 * All of it is there, and somebody has it open. To ask for the door comes last: the waiter notices.
 */
static bool is_offered(const struct fifos *fifos)
{
    struct stat status;
    if (stat(fifos_path(fifos, "x/in"), &status) != 0 ||
        stat(fifos_path(fifos, "x/out"), &status) != 0)
        return false;
    int fd = open(fifos_path(fifos, "x/door"), O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static void await_whole_offer(const struct fifos *fifos)
{
    while (!is_offered(fifos))
        nanosleep(&(struct timespec){0, 1000000}, NULL);
}

static bool has_stopped(pid_t pid)
{
    siginfo_t info = {0};
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WSTOPPED | WEXITED | WNOWAIT), 0);
    return info.si_code == CLD_STOPPED;
}

/* --- While somebody waits -------------------------------------------------------------------- */

/*
 * One waiter for each subset, each in a directory of its own, so that all take a second together.
 */
static void begin_waiters(struct fifos fifos[SUBSETS], pid_t waiter[SUBSETS])
{
    for (unsigned i = 0; i < SUBSETS; i++) {
        fifos_begin(&fifos[i]);
        waiter[i] = fifos_fork_comer(&fifos[i], "x", FIFOS_LONG_MS);
    }
    for (unsigned i = 0; i < SUBSETS; i++)
        await_whole_offer(&fifos[i]);
}

static void end_waiters(struct fifos fifos[SUBSETS], const pid_t waiter[SUBSETS],
                        const pid_t comer[SUBSETS])
{
    for (unsigned i = 0; i < SUBSETS; i++) {
        int first = harness_wait(waiter[i]), second = harness_wait(comer[i]);
        if (first != 0 || second != 0)
            fail_msg("without %#x: %d and %d", i, first, second);
        fifos_end(&fifos[i]);
    }
}

TEST(whatever_is_deleted_while_one_waits_the_next_meets_it)
{
    static struct fifos fifos[SUBSETS];
    pid_t waiter[SUBSETS], comer[SUBSETS];
    begin_waiters(fifos, waiter);
    for (unsigned i = 0; i < SUBSETS; i++) {
        clean(&fifos[i], i);
        comer[i] = fifos_fork_comer(&fifos[i], "x", FIFOS_LONG_MS);
    }
    end_waiters(fifos, waiter, comer);
}

/* Nobody comes who would wake it. A second is promised; the machine may be busy. */
TEST(whatever_is_deleted_while_one_waits_it_soon_waits_again)
{
    static struct fifos fifos[SUBSETS];
    pid_t waiter[SUBSETS], comer[SUBSETS];
    begin_waiters(fifos, waiter);
    for (unsigned i = 0; i < SUBSETS; i++)
        clean(&fifos[i], i);
    int64_t start = harness_now_ms();
    for (unsigned i = 0; i < SUBSETS; i++)
        await_whole_offer(&fifos[i]);
    assert_true(harness_now_ms() - start < 3000 * harness_scale());
    for (unsigned i = 0; i < SUBSETS; i++)
        comer[i] = fifos_fork_comer(&fifos[i], "x", 0);
    end_waiters(fifos, waiter, comer);
}

TEST(a_part_of_an_offer_is_eagain_for_who_does_not_wait_and_is_cleared)
{
    struct fifos fifos;
    fifos_begin(&fifos);
    for (unsigned i = 1; i < DIRECTORY; i++) {
        pid_t waiter = fifos_fork_comer(&fifos, "x", FIFOS_LONG_MS);
        await_whole_offer(&fifos);
        kill(waiter, SIGSTOP);
        assert_true(has_stopped(waiter));
        clean(&fifos, i);
        assert_null_errno(pipc_open_fifo("x", 0, &fifos.options), EAGAIN);
        fifos_assert_empty(&fifos);
        fifos_assert_two_meet(&fifos, "x");
        kill(waiter, SIGCONT);
        assert_int_equal(fifos_come(&fifos, "x", FIFOS_LONG_MS), 0);
        assert_int_equal(harness_wait(waiter), 0);
    }
    fifos_end(&fifos);
}

static void move_away(struct fifos *fifos, const char *from, char away[100])
{
    snprintf(away, 100, "%s-away", fifos->directory);
    assert_int_equal(rename(from, away), 0);
}

static void assert_moves_on(struct fifos *fifos, const char *from)
{
    char away[100];
    pid_t waiter = fifos_fork_comer(fifos, "x", FIFOS_LONG_MS);
    await_whole_offer(fifos);
    move_away(fifos, from, away);
    await_whole_offer(fifos);
    assert_int_equal(rmdir(away), 0); /* it has taken its offer away */
    assert_int_equal(fifos_come(fifos, "x", 0), 0);
    assert_int_equal(harness_wait(waiter), 0);
    fifos_assert_empty(fifos);
}

TEST(who_waits_follows_the_path_when_the_directory_is_moved)
{
    struct fifos fifos;
    char name[100];
    fifos_begin(&fifos);
    assert_moves_on(&fifos, fifos.directory);
    snprintf(name, sizeof name, "%s", fifos_path(&fifos, "x"));
    assert_moves_on(&fifos, name);
    fifos_end(&fifos);
}

/* --- Nowhere to go --------------------------------------------------------------------------- */

TEST(a_wait_whose_directory_has_lost_its_parent_is_enoent)
{
    struct fifos fifos, inner;
    fifos_begin(&fifos);
    inner = fifos;
    strcat(inner.directory, "/home");
    inner.options.directory = inner.directory;
    pid_t waiter = fifos_fork_comer(&inner, "x", FIFOS_LONG_MS);
    await_whole_offer(&inner);
    clean(&inner, ALL);
    clean(&fifos, ALL);
    assert_int_equal(harness_wait(waiter), ENOENT);
    assert_int_equal(mkdir(fifos.directory, 0700), 0);
    fifos_end(&fifos);
}

TEST(a_wait_whose_directory_somebody_has_replaced_is_eacces)
{
    struct fifos fifos;
    fifos_begin(&fifos);
    pid_t waiter = fifos_fork_comer(&fifos, "x", FIFOS_LONG_MS);
    await_whole_offer(&fifos);
    clean(&fifos, ALL);
    assert_int_equal(mkdir(fifos.directory, 0755), 0);
    assert_int_equal(harness_wait(waiter), EACCES);
    assert_int_equal(chmod(fifos.directory, 0700), 0);
    fifos_end(&fifos);
}

TEST(a_wait_whose_name_somebody_has_taken_is_eacces)
{
    struct fifos fifos;
    fifos_begin(&fifos);
    pid_t waiter = fifos_fork_comer(&fifos, "x", FIFOS_LONG_MS);
    await_whole_offer(&fifos);
    clean(&fifos, ALL & ~(unsigned)HOME);
    assert_int_equal(close(open(fifos_path(&fifos, "x"), O_CREAT | O_EXCL | O_RDWR, 0600)), 0);
    assert_int_equal(harness_wait(waiter), EACCES);
    assert_int_equal(unlink(fifos_path(&fifos, "x")), 0);
    fifos_end(&fifos);
}

/* --- Relative paths -------------------------------------------------------------------------- */

static void *come_in_thread(void *arg)
{
    return pipc_open_fifo("x", FIFOS_LONG_MS, arg);
}

/* The directory is where it was when the wait began, also after chdir(2). */
TEST(a_relative_directory_stays_where_it_was)
{
    struct fifos fifos;
    pthread_t thread;
    void *first;
    fifos_begin(&fifos);
    pipc_options_t relative = fifos.options;
    relative.directory = strrchr(fifos.directory, '/') + 1;
    assert_int_equal(chdir(fifos_path(&fifos, "..")), 0);
    assert_int_equal(pthread_create(&thread, NULL, come_in_thread, &relative), 0);
    await_whole_offer(&fifos);
    assert_int_equal(chdir("/"), 0);
    clean(&fifos, ALL);
    await_whole_offer(&fifos);
    pipc_t *second = pipc_open_fifo("x", 0, &fifos.options);
    assert_non_null(second);
    assert_int_equal(pthread_join(thread, &first), 0);
    assert_non_null(first);
    pipc_close(first);
    pipc_close(second);
    fifos_end(&fifos);
}

/* --- At every step --------------------------------------------------------------------------- */

struct step {
    struct fifos fifos;
    unsigned long call; /* it stops before this one, of all that it makes */
    unsigned what;      /* is deleted then */
    pid_t stopped, other;
};

static int come_and_stop(void *arg)
{
    struct step *step = arg;
    sys_double_reset();
    sys_double_stop_at(CALL_ANY, step->call);
    sys_double_arm();
    pipc_t *pipe = pipc_open_fifo("x", FIFOS_LONG_MS, &step->fifos.options);
    int error = errno;
    sys_double_disarm();
    return pipe == NULL ? error : fifos_introduce(pipe);
}

/* On the way to wait: whether it stops, and does not get so far as to wait. */
static bool stops_before_the_wait(const struct step *step)
{
    siginfo_t info = {0};
    while (info.si_pid == 0) {
        assert_int_equal(
            waitid(P_PID, (id_t)step->stopped, &info, WSTOPPED | WEXITED | WNOHANG | WNOWAIT), 0);
        if (info.si_pid == 0 && is_offered(&step->fifos))
            return false;
        nanosleep(&(struct timespec){0, 100000}, NULL);
    }
    return true;
}

/* One comes, and is stopped. Things are deleted, it goes on, and another comes. */
static bool clean_on_the_way_to_wait(struct step *step)
{
    step->stopped = harness_fork(come_and_stop, step);
    bool stops = stops_before_the_wait(step);
    if (!stops) { /* it may still do so, and before the wait there is nothing left to try */
        kill(step->stopped, SIGKILL);
        assert_int_equal(harness_wait(step->stopped), -SIGKILL);
        step->stopped = fifos_fork_comer(&step->fifos, "x", FIFOS_LONG_MS);
    }
    clean(&step->fifos, step->what);
    kill(step->stopped, SIGCONT);
    step->other = fifos_fork_comer(&step->fifos, "x", FIFOS_LONG_MS);
    return stops;
}

/* One waits, and the other is stopped on its way to claim it. */
static bool clean_in_the_claim(struct step *step)
{
    step->other = fifos_fork_comer(&step->fifos, "x", FIFOS_LONG_MS);
    await_whole_offer(&step->fifos);
    step->stopped = harness_fork(come_and_stop, step);
    bool stops = has_stopped(step->stopped);
    clean(&step->fifos, step->what);
    kill(step->stopped, stops ? SIGCONT : 0);
    return stops;
}

static void end_step(struct step *step)
{
    int first = harness_wait(step->stopped), second = harness_wait(step->other);
    if (first != 0 || second != 0)
        fail_msg("without %#x at call %lu: %d and %d", step->what, step->call, first, second);
    mkdir(step->fifos.directory, 0700); /* it may have been deleted when both had met */
    fifos_end(&step->fifos);
}

/* Each may take a second, so some are tried together. Returns how many calls there are. */
static unsigned long clean_at_each_step(bool (*try_step)(struct step *step))
{
    static const unsigned whats[] = {DOOR, IN, OUT, DOOR | IN | OUT, ALL & ~(unsigned)HOME, ALL};
    enum { KINDS = sizeof whats / sizeof whats[0], TOGETHER = 6 * KINDS };
    static struct step steps[TOGETHER];
    unsigned long call = 0;
    for (bool stops = true; stops;) {
        for (int i = 0; i < TOGETHER; i++) {
            steps[i] = (struct step){.call = call + 1 + (unsigned long)i / KINDS,
                                     .what = whats[i % KINDS]};
            fifos_begin(&steps[i].fifos);
            stops = try_step(&steps[i]);
        }
        for (int i = 0; i < TOGETHER; i++)
            end_step(&steps[i]);
        call += TOGETHER / KINDS;
    }
    return call;
}

TEST(whatever_is_deleted_at_each_call_on_the_way_to_wait_two_meet)
{
    assert_true(clean_at_each_step(clean_on_the_way_to_wait) > 20);
}

TEST(whatever_is_deleted_at_each_call_of_a_claim_two_meet)
{
    assert_true(clean_at_each_step(clean_in_the_claim) > 20);
}

/* --- While one is claimed -------------------------------------------------------------------- */

/* Before its commit, or one of the names' removals that come first. */
static int stop_in_the_claim(void *arg)
{
    struct step *step = arg;
    sys_double_reset();
    sys_double_stop_at(step->call > 4 ? CALL_pwritev2 : CALL_unlinkat,
                       step->call > 4 ? 1 : step->call);
    sys_double_arm();
    pipc_t *pipe = pipc_open_fifo("x", 100, &step->fifos.options);
    int error = errno;
    sys_double_disarm();
    pipc_close(pipe);
    return pipe == NULL ? error : 0;
}

/* Its claimer is stopped: it meets somebody else, and the claimer finds out when it goes on. */
static void clean_while_claimed(unsigned long call)
{
    static struct step steps[SUBSETS];
    pid_t third[SUBSETS];
    for (unsigned i = 0; i < SUBSETS; i++) {
        struct step *step = &steps[i];
        *step = (struct step){.call = call, .what = i};
        fifos_begin(&step->fifos);
        step->other = fifos_fork_comer(&step->fifos, "x", FIFOS_LONG_MS);
        await_whole_offer(&step->fifos);
        step->stopped = harness_fork(stop_in_the_claim, step);
        assert_true(has_stopped(step->stopped));
        clean(&step->fifos, i);
        third[i] = fifos_fork_comer(&step->fifos, "x", FIFOS_LONG_MS);
    }
    for (unsigned i = 0; i < SUBSETS; i++) {
        assert_int_equal(harness_wait(steps[i].other), 0);
        assert_int_equal(harness_wait(third[i]), 0);
        kill(steps[i].stopped, SIGCONT);
        assert_int_equal(harness_wait(steps[i].stopped), ETIMEDOUT);
        fifos_end(&steps[i].fifos);
    }
}

TEST(whatever_is_deleted_while_a_claimer_is_stopped_the_next_meets_the_waiter)
{
    for (unsigned long call = 2; call <= 5; call++)
        clean_while_claimed(call);
}

/* --- Again and again ------------------------------------------------------------------------- */

struct cleaning {
    const struct fifos *fifos;
    int until[2]; /* the test closes what it writes to */
};

/* Any part, a moment after the last one. */
static int clean_all_the_time(void *arg)
{
    struct cleaning *cleaning = arg;
    close(cleaning->until[1]);
    do
        clean(cleaning->fifos, (unsigned)harness_random_below(SUBSETS));
    while (!harness_readable(cleaning->until[0], 1 + (int)harness_random_below(10)));
    return 0;
}

static void meet_while_cleaned(int rounds, int crowd)
{
    struct fifos fifos;
    struct cleaning cleaning = {&fifos, {-1, -1}};
    pid_t comer[64];
    fifos_begin(&fifos);
    assert_int_equal(pipe2(cleaning.until, O_CLOEXEC), 0);
    pid_t cleaner = harness_fork(clean_all_the_time, &cleaning);
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < crowd; i++)
            comer[i] = fifos_fork_comer(&fifos, "x", 3 * FIFOS_LONG_MS);
        for (int i = 0; i < crowd; i++)
            assert_int_equal(harness_wait(comer[i]), 0);
    }
    close(cleaning.until[1]);
    close(cleaning.until[0]);
    assert_int_equal(harness_wait(cleaner), 0);
    mkdir(fifos.directory, 0700);
    fifos_end(&fifos);
}

TEST(two_meet_again_and_again_while_somebody_cleans)
{
    meet_while_cleaned(100 / harness_scale(), 2);
}

TEST(a_crowd_is_paired_off_while_somebody_cleans)
{
    meet_while_cleaned(5 / harness_scale() + 1, 40);
}

/* --- Cleaners that go by the time ------------------------------------------------------------ */

static void make_old(const char *path)
{
    struct timespec old[2] = {{1000000000, 0}, {1000000000, 0}};
    assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
}

TEST(the_files_of_a_long_wait_are_kept_young)
{
    struct fifos fifos;
    struct stat status;
    fifos_begin(&fifos);
    sys_double_reset();
    sys_double_virtual_time();
    sys_double_arm();
    pipc_t *pipe = pipc_open_fifo("x", 3 * 3600 * 1000 + 60000, &fifos.options);
    int error = errno;
    sys_double_disarm();
    errno = error;
    assert_null_errno(pipe, ETIMEDOUT);
    assert_int_equal(sys_double_calls(CALL_utimensat), 3 * 3);
    assert_int_equal(mkfifo(fifos_path(&fifos, "f"), 0600), 0);
    make_old(fifos_path(&fifos, "f"));
    sys_file_touch(sys_file_here, fifos_path(&fifos, "f"));
    assert_int_equal(stat(fifos_path(&fifos, "f"), &status), 0);
    assert_true(time(NULL) - status.st_atime < 3600 && time(NULL) - status.st_mtime < 3600);
    assert_int_equal(unlink(fifos_path(&fifos, "f")), 0);
    fifos_end(&fifos);
}

HARNESS_MAIN("FIFOs, cleaner", IT(whatever_is_deleted_while_one_waits_the_next_meets_it),
             IT(whatever_is_deleted_while_one_waits_it_soon_waits_again),
             IT(a_part_of_an_offer_is_eagain_for_who_does_not_wait_and_is_cleared),
             IT(who_waits_follows_the_path_when_the_directory_is_moved),
             IT(a_wait_whose_directory_has_lost_its_parent_is_enoent),
             IT(a_wait_whose_directory_somebody_has_replaced_is_eacces),
             IT(a_wait_whose_name_somebody_has_taken_is_eacces),
             IT(a_relative_directory_stays_where_it_was),
             IT_WITHIN(whatever_is_deleted_at_each_call_on_the_way_to_wait_two_meet, 60000),
             IT_WITHIN(whatever_is_deleted_at_each_call_of_a_claim_two_meet, 60000),
             IT_WITHIN(whatever_is_deleted_while_a_claimer_is_stopped_the_next_meets_the_waiter,
                       60000),
             IT_WITHIN(two_meet_again_and_again_while_somebody_cleans, 60000),
             IT_WITHIN(a_crowd_is_paired_off_while_somebody_cleans, 100000),
             IT(the_files_of_a_long_wait_are_kept_young))
