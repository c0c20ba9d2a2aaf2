/* SPDX-License-Identifier: MIT */
/*
 * Descriptors between two processes that have nothing in common but a socket. After floods, a lack
 * of numbers, messages that are held in part, and goodbyes, neither process has one more than
 * before: both are counted in /proc.
 */
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fds.h"
#include "net.h"

enum { LARGE = MORE_THAN_A_PIPE, ROUNDS = 5 };

/* The test writes; its peer reads, in a child that has only its own end. */
struct both {
    const struct kind *kind;
    pipc_t *mine, *theirs; /* the test's, the child's */
    void (*serve)(struct both *b);
    struct harness_gate ready, go;
    pid_t child;
    int before_mine, before_theirs; /* what both have, as the test counts it */
    int own_before;                 /* what the child has, as it counts itself */
    int socket;                     /* the child's */
    struct fds fds;                 /* both have sixteen */
};

/* The only one here. */
static int find_socket(void)
{
    int fd = STDERR_FILENO + 1;
    while (net_option(fd, SOL_SOCKET, SO_TYPE) != SOCK_STREAM)
        fd++;
    return fd;
}

static int run_child(void *arg)
{
    struct both *b = arg;
    pipc_close(b->mine);
    close(b->go.fd[1]);
    b->own_before = fds_count(getpid());
    b->socket = find_socket();
    harness_gate_open(&b->ready);
    harness_gate_wait(&b->go);
    b->serve(b);
    harness_gate_open(&b->ready); /* it is counted here */
    harness_gate_wait(&b->go);
    pipc_close(b->theirs);
    fds_end(&b->fds);
    return 0;
}

/* Both have what they need from here on; the child begins to serve. */
static void begin(struct both *b, const struct kind *kind, void (*serve)(struct both *b))
{
    pipc_t *end[2];
    *b = (struct both){.kind = kind, .serve = serve};
    harness_need_proc(); /* not first in the child */
    fds_make(&b->fds);
    harness_gate_init(&b->ready);
    harness_gate_init(&b->go);
    fds_open(kind, end, 0);
    b->mine = end[0];
    b->theirs = end[1];
    b->child = harness_fork(run_child, b);
    pipc_close(b->theirs);
    close(b->ready.fd[1]); /* so that a wait ends when the child does */
    harness_gate_wait(&b->ready);
    b->before_mine = fds_count(getpid());
    b->before_theirs = fds_count(b->child);
    harness_gate_open(&b->go);
}

static void expect_as_before(struct both *b)
{
    harness_gate_wait(&b->ready);
    assert_int_equal(fds_count(getpid()), b->before_mine);
    assert_int_equal(fds_count(b->child), b->before_theirs);
    harness_gate_open(&b->go);
    assert_int_equal(harness_wait(b->child), 0);
    pipc_close(b->mine);
    close(b->ready.fd[0]);
    harness_gate_close(&b->go);
    fds_end(&b->fds);
}

/* The end of the test, or of the child, is closed before they are counted. */
static void close_mine(struct both *b)
{
    pipc_close(b->mine);
    b->mine = NULL;
    b->before_mine--;
}

static void close_theirs(struct both *b)
{
    pipc_close(b->theirs);
    b->theirs = NULL;
}

/* --- Floods --- */

enum { FLOOD = 60 };

/* It takes those of every third message, drops the rest in each way there is. */
static void take_some(struct both *b)
{
    char text[8];
    pipc_msg_t message;
    for (int i = 0; i < FLOOD; i++) {
        if (i % 3 == 0) {
            fds_expect(b->theirs, "flood");
            assert_int_equal(fds_take_all(b->theirs), FDS_MAX);
        } else if (i % 3 == 1) {
            assert_int_equal(pipc_skip(b->theirs), 0);
        } else {
            assert_int_equal(pipc_peek(b->theirs, &message), 0);
            assert_int_equal(pipc_read(b->theirs, text, sizeof text), 5);
        }
    }
    assert_int_equal(pipc_skip(b->theirs), 0);
}

TEST_OF_KIND(a_flood_leaves_no_descriptor_in_either_process)
{
    struct both b;
    begin(&b, kind, take_some);
    for (int i = 0; i < FLOOD; i++)
        fds_say(b.mine, "flood", &b.fds, FDS_MAX);
    fds_say(b.mine, "", &b.fds, 0);
    expect_as_before(&b);
}

static void take_in_and_close(struct both *b)
{
    harness_gate_open(&b->ready);
    harness_gate_wait(&b->go);
    assert_true(pipc_pending(b->theirs) > 0);
    int waiting = fds_count(getpid()) - b->own_before;
    assert_in_range(waiting, FDS_WAITING_MAX - FDS_MAX + 1, FDS_WAITING_MAX);
    close_theirs(b);
}

TEST_OF_KIND(a_flood_that_nobody_reads_goes_with_the_handle)
{
    struct both b;
    begin(&b, kind, take_in_and_close);
    harness_gate_wait(&b.ready);
    assert_int_equal(pipc_set_timeout(b.mine, 0, 0), 0);
    int sent = 0;
    while (sent < FLOOD && pipc_write_fds(b.mine, "flood", 5, b.fds.fd, FDS_MAX) >= 0)
        sent++;
    assert_in_range(sent, FDS_WAITING_MAX / FDS_MAX, FLOOD);
    b.before_theirs--; /* it closes its end */
    harness_gate_open(&b.go);
    expect_as_before(&b);
}

/* --- No number is free --- */

static void read_without_numbers(struct both *b)
{
    char got[8];
    for (int left = 0; left < 3; left++) {
        harness_gate_open(&b->ready);
        int free_one = dup(STDIN_FILENO);
        close(free_one);
        assert_true(harness_readable(b->socket, -1));
        rlim_t limit = harness_limit(RLIMIT_NOFILE, (rlim_t)(free_one + left));
        assert_errno(pipc_read(b->theirs, got, sizeof got), EMFILE);
        assert_errno(pipc_skip(b->theirs), EMFILE);
        harness_limit(RLIMIT_NOFILE, limit);
        assert_int_equal(fds_count(getpid()), b->own_before);
        fds_expect(b->theirs, "three");
        assert_int_equal(fds_take_all(b->theirs), 3);
    }
}

TEST_OF_KIND(a_lack_of_numbers_leaves_no_descriptor_in_either_process)
{
    struct both b;
    begin(&b, kind, read_without_numbers);
    for (int i = 0; i < 3; i++) {
        harness_gate_wait(&b.ready);
        fds_say(b.mine, "three", &b.fds, 3);
    }
    expect_as_before(&b);
}

/* --- Held in part --- */

static char large[LARGE];

static void read_large(struct both *b)
{
    pipc_msg_t message;
    harness_gate_open(&b->ready);
    harness_gate_wait(&b->go);
    for (int i = 0; i < ROUNDS; i++) {
        assert_int_equal(pipc_read_msg(b->theirs, &message), 0);
        assert_int_equal(message.size, LARGE);
        pipc_msg_free(&message);
        if (i % 2 == 0)
            assert_int_equal(fds_take_all(b->theirs), 2 + i);
    }
    assert_int_equal(pipc_skip(b->theirs), 0);
}

TEST_OF_KIND(messages_that_are_held_in_part_leave_no_descriptor_in_either_process)
{
    struct both b;
    begin(&b, kind, read_large);
    harness_gate_wait(&b.ready);
    for (int i = 0; i < ROUNDS; i++) {
        pipc_stats_t stats = PIPC_STATS_INIT;
        assert_int_equal(pipc_set_timeout(b.mine, 10000, i == 0 ? 0 : 10000), 0);
        assert_int_equal(pipc_write_fds(b.mine, large, LARGE, b.fds.fd, 2 + i), LARGE);
        assert_int_equal(pipc_stats(b.mine, &stats), 0);
        if (i == 0) { /* nobody reads yet */
            assert_true(stats.bytes_held > 0);
            harness_gate_open(&b.go);
        }
    }
    net_say(b.mine, "");
    expect_as_before(&b);
}

static void read_torn(struct both *b)
{
    pipc_msg_t message;
    assert_errno(pipc_read_msg(b->theirs, &message), ECONNRESET);
    assert_errno(pipc_read_msg(b->theirs, &message), ECONNRESET);
}

TEST_OF_KIND(a_message_that_is_torn_by_close_leaves_no_descriptor_in_either_process)
{
    struct both b;
    begin(&b, kind, read_torn);
    assert_int_equal(pipc_set_timeout(b.mine, 0, 0), 0);
    assert_int_equal(pipc_write_fds(b.mine, large, LARGE, b.fds.fd, 7), LARGE);
    close_mine(&b);
    expect_as_before(&b);
}

/* --- Goodbye --- */

static void read_to_goodbye(struct both *b)
{
    char got[8];
    fds_expect(b->theirs, "one");
    assert_int_equal(fds_take_all(b->theirs), 3);
    fds_expect(b->theirs, "two"); /* which brings sixteen; none is taken */
    assert_errno(pipc_read(b->theirs, got, sizeof got), ESHUTDOWN);
    assert_string_equal(pipc_bye_text(b->theirs), "so long");
    assert_int_equal(fds_take_all(b->theirs), 0);
    fds_say(b->theirs, "back", &b->fds, 5);
    assert_int_equal(pipc_disconnect(b->theirs, NULL), 0);
}

TEST_OF_KIND(goodbyes_behind_descriptors_leave_none_in_either_process)
{
    struct both b;
    char got[8];
    begin(&b, kind, read_to_goodbye);
    fds_say(b.mine, "one", &b.fds, 3);
    fds_say(b.mine, "two", &b.fds, FDS_MAX);
    assert_int_equal(pipc_disconnect(b.mine, "so long"), 0);
    fds_expect(b.mine, "back");
    assert_errno(pipc_read(b.mine, got, sizeof got), ESHUTDOWN);
    expect_as_before(&b);
}

HARNESS_MAIN("descriptors, counted in both processes",
             OVER_CASES(a_flood_leaves_no_descriptor_in_either_process, fds_kinds),
             OVER_CASES(a_flood_that_nobody_reads_goes_with_the_handle, fds_kinds),
             OVER_CASES(a_lack_of_numbers_leaves_no_descriptor_in_either_process, fds_kinds),
             OVER_CASES(messages_that_are_held_in_part_leave_no_descriptor_in_either_process,
                        fds_kinds),
             OVER_CASES(a_message_that_is_torn_by_close_leaves_no_descriptor_in_either_process,
                        fds_kinds),
             OVER_CASES(goodbyes_behind_descriptors_leave_none_in_either_process, fds_kinds))
