/* SPDX-License-Identifier: MIT */
/*
 * Messages with descriptors while calls to the system fail, are cut short or are interrupted: what
 * was accepted arrives in order, with its own descriptors, unless the pipe is dead. Nothing leaks.
 */
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fault.h"
#include "fds.h"
#include "net.h"
#include "scenario.h"

/* ---- one script ---- */

enum { MESSAGES = 9, LARGEST = 30000 };
static const struct {
    size_t size;
    int fds;
} script[MESSAGES] = {{3, 0},   {3, 2}, {3, FDS_MAX}, {5000, 1},   {1, 0},
                      {300, 5}, {1, 1}, {LARGEST, 3}, {2, FDS_MAX}};

struct run {
    pipc_t *end[2];
    const struct fds *fds;
    bool accepted[MESSAGES];
    int next; /* the first that can still arrive */
    bool is_dead;
};

static bool passes(int error)
{
    return error == EAGAIN || error == ENOMEM || error == ENOBUFS || error == EMFILE;
}

static void send_all(struct run *r)
{
    static char data[LARGEST];
    for (int i = 0; i < MESSAGES; i++) {
        memset(data, 'a' + i, sizeof data);
        ssize_t size = pipc_write_fds(r->end[0], data, script[i].size, r->fds->fd, script[i].fds);
        r->accepted[i] = size >= 0;
        r->is_dead = r->is_dead || (size < 0 && !passes(errno));
    }
}

/* A message has come. The test's own calls do not fail. */
static void note(struct run *r, const char *data, size_t size)
{
    int number = data[0] - 'a', taken[FDS_MAX + 1];
    bool was_armed = fault_armed();
    fault_disarm();
    assert_in_range(number, r->next, MESSAGES - 1);
    for (int i = r->next; i < number; i++)
        assert_false(r->accepted[i]);
    assert_true(r->accepted[number]);
    assert_int_equal(size, script[number].size);
    for (size_t i = 0; i < size; i++)
        assert_int_equal(data[i], 'a' + number);
    assert_int_equal(pipc_take_fds(r->end[1], taken, FDS_MAX + 1), script[number].fds);
    for (int i = 0; i < script[number].fds; i++) {
        assert_true(fds_is_same(taken[i], r->fds->fd[i]));
        close(taken[i]);
    }
    r->next = number + 1;
    if (was_armed)
        fault_arm();
}

static bool receive_one(struct run *r, int way)
{
    static char data[LARGEST];
    pipc_msg_t message;
    ssize_t got;
    if (way % 4 == 1)
        pipc_peek(r->end[1], &message);
    if (way % 4 == 2)
        pipc_pending(r->end[1]);
    if (way % 2 == 0) {
        got = pipc_read(r->end[1], data, sizeof data);
        if (got >= 0)
            note(r, data, (size_t)got);
    } else {
        got = pipc_read_pending(r->end[1], &message, 1);
        if (got == 0)
            errno = EAGAIN;
        if (got > 0) {
            note(r, message.data, message.size);
            pipc_msg_free(&message);
        }
        got = got == 0 ? -1 : got;
    }
    r->is_dead = r->is_dead || (got < 0 && !passes(errno));
    return got >= 0;
}

/* `prepare` sets the faults, of which those last that are set forever. */
static void run_script(const struct fds *fds, void (*prepare)(void *context), void *context)
{
    struct run r = {.fds = fds};
    fault_reset();
    int before = harness_open_descriptors();
    fds_open(&fds_kinds[0], r.end, 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pipc_set_timeout(r.end[i], 0, 0), 0);
    prepare(context);
    fault_arm();
    send_all(&r);
    for (int i = 0; i < 3 * MESSAGES; i++) {
        receive_one(&r, i);
        pipc_flush(r.end[0]);
    }
    fault_disarm();
    for (int i = 0; i < 3 * MESSAGES && !r.is_dead; i++) {
        receive_one(&r, i);
        pipc_flush(r.end[0]);
    }
    for (int i = r.next; i < MESSAGES && !r.is_dead; i++)
        assert_false(r.accepted[i]);
    fault_arm();
    pipc_close(r.end[0]);
    pipc_close(r.end[1]);
    fault_disarm();
    assert_int_equal(harness_open_descriptors(), before);
    assert_int_equal(fault_bad_closes(), 0);
}

TEST(each_call_fails_once_and_for_good)
{
    struct fds fds;
    struct fault_plan plan = {0};
    fds_make(&fds);
    run_script(&fds, fault_follow, &plan);
    unsigned long calls = fault_calls(CALL_ANY);
    assert_true(fault_calls(CALL_recvmsg) > 0 && fault_calls(CALL_sendmsg) > 0);
    for (plan.nth = 1; plan.nth <= calls; plan.nth++)
        for (plan.more = 0; plan.more != 1; plan.more = plan.more == 0 ? FAULT_FOREVER : 1)
            for (plan.which = 0;; plan.which++) {
                if (harness_random_below((size_t)harness_scale()) == 0)
                    run_script(&fds, fault_follow, &plan);
                else
                    break;
                if (fault_failed() == CALL_NONE || plan.which + 1 >= fault_errors(fault_failed()))
                    break;
            }
    fault_reset();
    fds_end(&fds);
}

static void prepare_shortness(void *unused)
{
    (void)unused;
    fault_shorten(true);
    fault_interrupt(3);
}

TEST(calls_are_cut_short_and_interrupted)
{
    struct fds fds;
    fds_make(&fds);
    for (int i = 0; i < 300 / harness_scale() + 1; i++)
        run_script(&fds, prepare_shortness, NULL);
    fault_reset();
    fds_end(&fds);
}

/* What the kernel reports of the descriptors, or of a peer that takes none. */
TEST(what_is_wrong_with_descriptors_ends_no_stream)
{
    static const int errors[] = {EBADF, ETOOMANYREFS, EINVAL, EPERM, EACCES, ENOMEM, ENOBUFS};
    pipc_t *end[2];
    struct fds fds;
    fds_make(&fds);
    fds_open(&fds_kinds[0], end, 0);
    for (int i = 0; i < 7; i++) {
        int error = errors[i] == EPERM ? EOPNOTSUPP : errors[i];
        fault_reset();
        fault_fail(CALL_sendmsg, 1, 0, errors[i]);
        fault_arm();
        assert_errno(pipc_write_fds(end[0], "no", 2, fds.fd, 1), error);
        fault_disarm();
        fds_say(end[0], "yes", &fds, 1);
        fds_expect(end[1], "yes");
        fds_expect_taken(end[1], &fds, 1);
    }
    kind_close(&fds_kinds[0], end);
    fds_end(&fds);
}

/* At first it may be a lack of numbers. */
static ssize_t read_beyond_doubt(pipc_t *pipe, char *got, size_t size)
{
    ssize_t read;
    do
        read = pipc_read(pipe, got, size);
    while (read < 0 && errno == EMFILE);
    return read;
}

TEST(descriptors_that_a_security_module_keeps_are_ECONNRESET_behind_what_came_before)
{
    struct fds fds;
    char got[8];
    int raw;
    fds_make(&fds);
    for (int before = 0; before < 3; before++) {
        pipc_t *pipe = fds_open_raw(&raw, 0);
        int open_before = harness_open_descriptors();
        for (int i = 0; i < before; i++)
            fds_send_raw(raw, "\0\0\0\3one", 7, NULL, 0);
        fds_send_raw(raw, "\0", 1, fds.fd, 2);
        fds_send_raw(raw, "\0\0\3two", 6, NULL, 0);
        fault_reset();
        fault_withhold_fds(true);
        fault_arm();
        for (int i = 0; i < before; i++) {
            assert_int_equal(read_beyond_doubt(pipe, got, sizeof got), 3);
            assert_memory_equal(got, "one", 3);
        }
        assert_errno(read_beyond_doubt(pipe, got, sizeof got), ECONNRESET);
        fault_disarm();
        assert_int_equal(harness_open_descriptors(), open_before);
        pipc_close(pipe);
        close(raw);
    }
    fault_reset();
    fds_end(&fds);
}

/* Other threads take and free numbers, each time at the wrong moment. */
TEST(a_lack_of_numbers_that_passes_is_EMFILE_and_loses_nothing_although_some_seem_to_be_free)
{
    struct fds fds;
    char got[8];
    int raw;
    fds_make(&fds);
    pipc_t *pipe = fds_open_raw(&raw, 0);
    fault_reset();
    for (int i = 0; i < 3; i++) {
        fds_send_raw(raw, "\0\0\0\3one", 7, fds.fd, 2);
        fault_withhold_fds(true);
        fault_arm();
        for (int n = 0; n < 12; n++)
            assert_errno(pipc_read(pipe, got, sizeof got), EMFILE);
        fault_disarm();
        fault_withhold_fds(false);
        fds_expect(pipe, "one");
        fds_expect_taken(pipe, &fds, 2);
    }
    pipc_close(pipe);
    close(raw);
    fault_reset();
    fds_end(&fds);
}

/* What comes between a look and the read that follows must wait for the next look. */
struct late {
    pipc_t *pipe;
    const struct fds *fds;
    int left;
};

static void send_late(void *context)
{
    struct late *late = context;
    if (late->left > 0 && --late->left > 0) {
        net_say(late->pipe, "plain");
        fds_say(late->pipe, "late", late->fds, late->left % 4);
    }
}

TEST(descriptors_that_come_just_after_a_look_are_not_lost)
{
    enum { LATE = 20 };
    pipc_t *end[2];
    struct fds fds;
    fds_make(&fds);
    fds_open(&fds_kinds[0], end, 0);
    struct late late = {end[0], &fds, LATE};
    fault_reset();
    fault_after_peek(send_late, &late);
    net_say(end[0], "first");
    fault_arm();
    fds_expect(end[1], "first");
    for (int left = LATE - 1; left > 0; left--) {
        fds_expect(end[1], "plain");
        fds_expect(end[1], "late");
        fault_disarm();
        fds_expect_taken(end[1], &fds, left % 4);
        fault_arm();
    }
    fault_reset();
    kind_close(&fds_kinds[0], end);
    fds_end(&fds);
}

/* ---- the script of all calls, on a pipe that takes descriptors ---- */

static const struct kind *sockets(void)
{
    const struct kind *kind = NULL;
    do
        kind = kind_next(LOCAL_TWO_HANDLE_KINDS, kind);
    while (kind != NULL && strcmp(kind->name, "socketpair") != 0);
    if (kind == NULL)
        harness_skip("skipped: this kind is left out here");
    return kind;
}

TEST(the_calls_of_a_handle_that_takes_descriptors_fail_in_turn)
{
    const struct kind *kind = sockets();
    char name[100];
    scenario_flags(PIPC_ACCEPT_FDS);
    fault_reset();
    fault_virtual_time();
    struct scenario_result result = scenario_run(kind);
    assert_true(result.opened && result.complete);
    unsigned long calls = fault_calls(CALL_ANY);
    for (unsigned long nth = 1; nth <= calls; nth++)
        for (unsigned which = 0; which == 0 || which < fault_errors(fault_failed()); which++) {
            if (harness_random_below((size_t)harness_scale()) != 0)
                break;
            snprintf(name, sizeof name, "armed call %lu fails once, error %u", nth, which);
            scenario_name(name);
            fault_reset();
            fault_virtual_time();
            fault_fail_plausibly(nth, 0, which);
            scenario_run(kind);
            if (fault_failed() == CALL_NONE)
                break;
        }
    scenario_name(NULL);
    scenario_flags(0);
    fault_reset();
}

HARNESS_MAIN(
    "faults and descriptors", IT_WITHIN(each_call_fails_once_and_for_good, 120000),
    IT(calls_are_cut_short_and_interrupted), IT(what_is_wrong_with_descriptors_ends_no_stream),
    IT(descriptors_that_a_security_module_keeps_are_ECONNRESET_behind_what_came_before),
    IT(a_lack_of_numbers_that_passes_is_EMFILE_and_loses_nothing_although_some_seem_to_be_free),
    IT(descriptors_that_come_just_after_a_look_are_not_lost),
    IT_WITHIN(the_calls_of_a_handle_that_takes_descriptors_fail_in_turn, 120000))
