/* SPDX-License-Identifier: MIT */
/*
 * The descriptor of pipc_fd across fork, on every kind of pipe. It works in the process that
 * continues with the handle, whatever the other process does with its copy, and reports the
 * other's death.
 */
#include "peers.h"
#include "platform.h"

#include <signal.h>
#include <unistd.h>

enum { ROUNDS = 6, SOON_MS = 5000 };

static void wait_until_readable(struct peer *peer)
{
    assert_true(harness_readable(peer->fd, SOON_MS * harness_scale()));
}

/* Reads `count` messages as the descriptor reports them; then it is not readable. */
static void read_polled(struct peer *peer, size_t count)
{
    pipc_msg_t message;
    while (count > 0) {
        wait_until_readable(peer);
        if (peer_read_msg(peer, &message) != 0) {
            assert_int_equal(errno, EAGAIN);
            continue;
        }
        pipc_msg_free(&message);
        count--;
    }
    if (harness_readable(peer->fd, 0))
        assert_errno(peer_read_msg(peer, &message), EAGAIN);
    assert_false(harness_readable(peer->fd, 0));
}

static void await_end(struct peer *peer)
{
    do {
        wait_until_readable(peer); /* perhaps for nothing */
        assert_int_equal(peer_skip(peer), -1);
    } while (errno == EAGAIN);
    assert_int_equal(errno, EPIPE);
}

/* With feed at the peer: a message or a few, then an answer. */
static void go_on(struct peer *a)
{
    assert_int_equal(peer_set_timeout(a, 0, -1), 0);
    for (size_t round = 0; round < ROUNDS; round++) {
        read_polled(a, 1 + round % 3);
        send_text(a, "answer");
    }
}

static intmax_t feed(struct peer *b, void *unused)
{
    (void)unused;
    for (size_t round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < 1 + round % 3; i++)
            send_text(b, "question");
        expect_text(b, "answer");
    }
    return 0;
}

struct family {
    struct peers p;
    struct harness_gate parent_closed, child_began;
};

/* A handle whose descriptor is in use; `queued` messages wait in its memory. */
static void open_family(struct family *f, const struct kind *kind, int queued)
{
    harness_gate_init(&f->parent_closed);
    harness_gate_init(&f->child_began);
    peers_open(&f->p, kind, NULL);
    assert_true(peer_fd(&f->p.a) >= 0);
    for (int i = 0; i < queued; i++)
        send_text(&f->p.b, "queued");
    expect_pending(&f->p.a, queued);
}

static void close_family(struct family *f)
{
    harness_gate_close(&f->parent_closed);
    harness_gate_close(&f->child_began);
    peers_close(&f->p);
}

static void read_queued(struct peer *a, size_t queued)
{
    assert_int_equal(peer_set_timeout(a, 0, -1), 0);
    assert_int_equal(harness_readable(a->fd, 0), queued > 0);
    read_polled(a, queued);
}

/* --- The child goes on ------------------------------------------------------------------------ */

struct child {
    struct family *family;
    size_t queued;
    bool before; /* goes on a while before the parent closes its copy */
};

static int child_goes_on(void *arg)
{
    struct child *child = arg;
    struct family *f = child->family;
    pipc_close(f->p.b.pipe);
    if (!child->before)
        harness_gate_wait(&f->parent_closed);
    read_queued(&f->p.a, child->queued);
    harness_gate_open(&f->child_began);
    if (child->before)
        harness_gate_wait(&f->parent_closed);
    go_on(&f->p.a);
    await_end(&f->p.a);
    peer_close(&f->p.a);
    return 0;
}

static void check_child(const struct kind *kind, size_t queued, bool before)
{
    struct family f;
    struct child child = {&f, queued, before};
    open_family(&f, kind, (int)queued);
    pid_t pid = harness_fork(child_goes_on, &child);
    if (before)
        harness_gate_wait(&f.child_began);
    peer_close(&f.p.a);
    harness_gate_open(&f.parent_closed);
    if (!before)
        harness_gate_wait(&f.child_began);
    assert_int_equal(peer_do(&f.p.b, feed, NULL), 0);
    peer_close(&f.p.b);
    assert_int_equal(harness_wait(pid), 0);
    close_family(&f);
}

TEST_OF_KIND(the_descriptor_works_in_a_child_when_the_parent_closes)
{
    check_child(kind, 0, false);
}

TEST_OF_KIND(the_descriptor_works_in_a_child_when_the_parent_closes_later)
{
    check_child(kind, 0, true);
}

TEST_OF_KIND(the_descriptor_in_a_child_reports_messages_in_inherited_memory)
{
    check_child(kind, 2, false);
    check_child(kind, 2, true);
}

static int child_asks_first(void *arg)
{
    struct family *f = arg;
    pipc_close(f->p.b.pipe);
    harness_gate_wait(&f->parent_closed);
    assert_true(peer_fd(&f->p.a) >= 0);
    go_on(&f->p.a);
    peer_close(&f->p.a);
    return 0;
}

TEST_OF_KIND(a_child_may_be_the_first_caller_of_pipc_fd)
{
    struct family f;
    harness_gate_init(&f.parent_closed);
    harness_gate_init(&f.child_began);
    peers_open(&f.p, kind, NULL);
    pid_t pid = harness_fork(child_asks_first, &f);
    peer_close(&f.p.a);
    harness_gate_open(&f.parent_closed);
    assert_int_equal(peer_do(&f.p.b, feed, NULL), 0);
    assert_int_equal(harness_wait(pid), 0);
    close_family(&f);
}

/* --- The parent goes on ----------------------------------------------------------------------- */

static int child_closes(void *arg)
{
    struct family *f = arg;
    pipc_close(f->p.a.pipe);
    if (!f->p.kind->same_handle)
        pipc_close(f->p.b.pipe);
    return 0;
}

static void check_parent(const struct kind *kind, size_t queued)
{
    struct family f;
    open_family(&f, kind, (int)queued);
    assert_int_equal(harness_wait(harness_fork(child_closes, &f)), 0);
    read_queued(&f.p.a, queued);
    peer_start(&f.p.b, feed, NULL);
    go_on(&f.p.a);
    assert_int_equal(peer_finish(&f.p.b), 0);
    peer_close(&f.p.b);
    wait_until_readable(&f.p.a);
    assert_errno(peer_skip(&f.p.a), EPIPE);
    close_family(&f);
}

TEST_OF_KIND(the_descriptor_works_in_the_parent_when_a_child_closes)
{
    check_parent(kind, 0);
    check_parent(kind, 2);
}

/* --- One side each ---------------------------------------------------------------------------- */

static int feed_until_told(struct peer *b, void *unused)
{
    feed(b, unused);
    expect_text(b, "die");
    raise(SIGKILL);
    return 1;
}

TEST_OF_KIND(the_descriptor_serves_two_processes_and_reports_a_death)
{
    platform_needs(PLATFORM_DEATH_IN_POLL);
    struct peers p;
    pid_t pid = peers_fork(&p, kind, NULL, feed_until_told, NULL);
    assert_true(peer_fd(&p.a) >= 0);
    go_on(&p.a);
    send_text(&p.a, "die");
    wait_until_readable(&p.a);
    assert_int_equal(harness_wait(pid), -SIGKILL);
    peer_set_timeout(&p.a, 0, 0);
    wait_until_readable(&p.a);
    bool has_token = platform_has(PLATFORM_TOKENS) && harness_has_proc();
    if (!has_token) { /* whether its process lives is asked after the wakeup */
        peer_skip(&p.a);
        wait_until_readable(&p.a);
    }
    assert_errno(peer_skip(&p.a), EPIPE);
    assert_true(harness_readable(p.a.fd, 0));
    peers_close(&p);
}

HARNESS_MAIN("descriptor_fork",
             OVER_TWO_HANDLE_KINDS(the_descriptor_works_in_a_child_when_the_parent_closes),
             OVER_TWO_HANDLE_KINDS(the_descriptor_works_in_a_child_when_the_parent_closes_later),
             OVER_TWO_HANDLE_KINDS(the_descriptor_in_a_child_reports_messages_in_inherited_memory),
             OVER_TWO_HANDLE_KINDS(a_child_may_be_the_first_caller_of_pipc_fd),
             OVER_KINDS(the_descriptor_works_in_the_parent_when_a_child_closes),
             OVER_KINDS(the_descriptor_serves_two_processes_and_reports_a_death))
