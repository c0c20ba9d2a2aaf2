/* SPDX-License-Identifier: MIT */
/* Descriptors between two processes: neither keeps any, whatever happens to the other. */
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fds.h"
#include "net.h"

/* A peer in a child, with one end; each waits for the other's gate. */
struct peers_apart {
    const struct kind *kind;
    pipc_t *mine, *theirs; /* the test's, the child's */
    struct harness_gate begin, done;
    void (*act)(struct peers_apart *p);
    pid_t child;
};

static int run_peer(void *arg)
{
    struct peers_apart *p = arg;
    pipc_close(p->mine);
    p->act(p);
    return 0;
}

static void open_apart(struct peers_apart *p, const struct kind *kind,
                       void (*act)(struct peers_apart *p))
{
    pipc_t *end[2];
    *p = (struct peers_apart){.kind = kind, .act = act};
    harness_gate_init(&p->begin);
    harness_gate_init(&p->done);
    fds_open(kind, end, 0);
    p->mine = end[0];
    p->theirs = end[1];
    p->child = harness_fork(run_peer, p);
    pipc_close(p->theirs);
}

static void close_apart(struct peers_apart *p)
{
    pipc_close(p->mine);
    harness_gate_close(&p->begin);
    harness_gate_close(&p->done);
}

/* What is left when the two have settled: `done` opens when the child has. */
static void expect_counts(struct peers_apart *p, int mine, int theirs)
{
    assert_int_equal(fds_count(getpid()), mine);
    assert_int_equal(fds_count(p->child), theirs);
}

enum { ROUNDS = 200 };

static void echo(struct peers_apart *p)
{
    int fds[FDS_MAX];
    char text[32];
    harness_gate_open(&p->done);
    for (int i = 0; i < ROUNDS; i++) {
        ssize_t size = pipc_read(p->theirs, text, sizeof text);
        assert_true(size >= 0);
        int count = pipc_take_fds(p->theirs, fds, i % 3 == 2 ? 1 : FDS_MAX);
        assert_int_equal(pipc_write_fds(p->theirs, text, (size_t)size, fds, count), size);
        for (int n = 0; n < count; n++)
            close(fds[n]);
    }
    assert_int_equal(pipc_skip(p->theirs), 0);
    harness_gate_open(&p->done);
    harness_gate_wait(&p->begin);
    pipc_close(p->theirs);
}

TEST_OF_KIND(descriptors_that_go_there_and_back_leave_nothing_in_either_process)
{
    struct peers_apart p;
    struct fds fds;
    fds_make(&fds);
    open_apart(&p, kind, echo);
    harness_gate_wait(&p.done);
    int mine = fds_count(getpid()), theirs = fds_count(p.child);
    for (int i = 0; i < ROUNDS; i++) {
        int count = i % (FDS_MAX + 1), back = i % 3 == 2 && count > 1 ? 1 : count;
        fds_say(p.mine, "there", &fds, count);
        fds_expect(p.mine, "there");
        fds_expect_taken(p.mine, &fds, back);
    }
    fds_say(p.mine, "skipped", &fds, FDS_MAX);
    harness_gate_wait(&p.done);
    expect_counts(&p, mine, theirs);
    harness_gate_open(&p.begin);
    assert_int_equal(harness_wait(p.child), 0);
    close_apart(&p);
    fds_end(&fds);
}

/* ---- a peer that is killed ---- */

static void wait_to_be_killed(struct peers_apart *p)
{
    harness_gate_open(&p->done);
    harness_gate_wait(&p->begin);
}

static void send_and_wait(struct peers_apart *p)
{
    struct fds fds;
    static char large[MORE_THAN_A_PIPE];
    fds_make(&fds);
    fds_say(p->theirs, "one", &fds, 3);
    fds_say(p->theirs, "two", &fds, FDS_MAX);
    assert_int_equal(pipc_set_timeout(p->theirs, 0, 0), 0);
    assert_int_equal(pipc_write_fds(p->theirs, large, sizeof large, fds.fd, 2), sizeof large);
    wait_to_be_killed(p);
}

static void kill_peer(struct peers_apart *p)
{
    assert_int_equal(kill(p->child, SIGKILL), 0);
    assert_int_equal(harness_wait(p->child), -SIGKILL);
}

TEST_OF_KIND(what_a_killed_peer_sent_is_delivered_and_a_torn_message_leaves_nothing)
{
    struct peers_apart p;
    static char got[MORE_THAN_A_PIPE];
    for (int reads_first = 0; reads_first < 2; reads_first++) {
        open_apart(&p, kind, send_and_wait);
        int before = fds_count(getpid());
        harness_gate_wait(&p.done);
        if (reads_first)
            assert_int_equal(pipc_pending(p.mine), 2);
        kill_peer(&p);
        fds_expect(p.mine, "one");
        assert_int_equal(fds_take_all(p.mine), 3);
        fds_expect(p.mine, "two");
        assert_int_equal(fds_take_all(p.mine), FDS_MAX);
        assert_errno(pipc_read(p.mine, got, sizeof got), ECONNRESET);
        assert_int_equal(fds_count(getpid()), before);
        close_apart(&p);
    }
}

TEST_OF_KIND(descriptors_for_a_killed_peer_go_with_it)
{
    struct peers_apart p;
    int fd[2];
    char byte;
    struct fds fds;
    fds_make(&fds);
    assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
    open_apart(&p, kind, wait_to_be_killed);
    harness_gate_wait(&p.done);
    int before = fds_count(getpid());
    assert_int_equal(pipc_write_fds(p.mine, "x", 1, &fd[1], 1), 1);
    assert_int_equal(fds_count(getpid()), before);
    close(fd[1]);
    kill_peer(&p);
    assert_int_equal(read(fd[0], &byte, 1), 0); /* no copy of its other end is left */
    assert_errno(pipc_write_fds(p.mine, "x", 1, fds.fd, 1), EPIPE);
    close(fd[0]);
    close_apart(&p);
    fds_end(&fds);
}

/* ---- fork ---- */

static int use_in_child(void *arg)
{
    pipc_t **end = arg;
    int before = fds_count(getpid());
    assert_int_equal(pipc_pending(end[1]), 1);
    pipc_close(end[0]);
    pipc_close(end[1]);
    assert_true(fds_count(getpid()) <= before - 2 - 3); /* the copies of what had come are closed */
    return 0;
}

TEST_OF_KIND(a_child_that_closes_its_copy_leaves_the_parents_descriptors)
{
    pipc_t *end[2];
    struct fds fds;
    harness_need_proc(); /* not first in the child */
    fds_make(&fds);
    fds_open(kind, end, 0);
    fds_say(end[0], "one", &fds, 3);
    assert_int_equal(pipc_pending(end[1]), 1);
    assert_int_equal(harness_wait(harness_fork(use_in_child, end)), 0);
    fds_expect(end[1], "one");
    fds_expect_taken(end[1], &fds, 3);
    kind_close(kind, end);
    fds_end(&fds);
}

HARNESS_MAIN("descriptors between processes",
             OVER_CASES(descriptors_that_go_there_and_back_leave_nothing_in_either_process,
                        fds_kinds),
             OVER_CASES(what_a_killed_peer_sent_is_delivered_and_a_torn_message_leaves_nothing,
                        fds_kinds),
             OVER_CASES(descriptors_for_a_killed_peer_go_with_it, fds_kinds),
             OVER_CASES(a_child_that_closes_its_copy_leaves_the_parents_descriptors, fds_kinds))
