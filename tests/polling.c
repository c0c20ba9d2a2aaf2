/* SPDX-License-Identifier: MIT */
#include "polling.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <unistd.h>

#include "platform.h"

void assert_readable(struct peer *peer)
{
    assert_true(harness_readable(peer->fd, peer->delay_ms));
}

/* What the manual says where there are no sets: a call after such a wakeup takes a millisecond. */
static void assert_seldom_readable(struct peer *peer)
{
    enum { LOOKS = 6 };
    pipc_msg_t message;
    int64_t begin = harness_now_us();
    for (int i = 0; i < LOOKS && harness_readable(peer->fd, 0); i++)
        assert_errno(peer_read_msg(peer, &message), EAGAIN);
    assert_true(!harness_readable(peer->fd, 0) ||
                harness_now_us() - begin >= (LOOKS - 2) * INT64_C(1000));
}

void assert_not_readable(struct peer *peer)
{
    pipc_msg_t message;
    peer_set_timeout(peer, 0, 0);
    if (!platform_has(PLATFORM_EXACT)) {
        assert_seldom_readable(peer);
        return;
    }
    if (harness_readable(peer->fd, 0))
        assert_errno(peer_read_msg(peer, &message), EAGAIN);
    assert_false(harness_readable(peer->fd, 0));
}

void open_polled(struct peers *p, const struct kind *kind)
{
    peers_open(p, kind, NULL);
    peer_set_timeout(&p->a, 0, 0);
    peer_set_timeout(&p->b, 0, 0);
    assert_true(peer_fd(&p->a) >= 0 && peer_fd(&p->b) >= 0);
    assert_not_readable(&p->a);
    assert_not_readable(&p->b);
}

static int epoll_on(int fd, uint32_t events)
{
    struct epoll_event event = {.events = events};
    int set = epoll_create1(EPOLL_CLOEXEC);
    assert_true(set >= 0);
    assert_int_equal(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event), 0);
    return set;
}

struct poller poller_begin(enum way way, int fd)
{
    bool edge = way == BY_EDGE || way == BY_NEST_OF_EDGES;
    uint32_t events = edge ? EPOLLIN | EPOLLET : EPOLLIN;
    struct poller poller = {way, fd, -1, -1};
    if (way >= BY_LEVEL)
        platform_needs(PLATFORM_SETS);
    if (way >= BY_LEVEL)
        poller.set = epoll_on(fd, events);
    if (way >= BY_NEST_OF_LEVELS)
        poller.outer = epoll_on(poller.set, events);
    return poller;
}

void poller_end(struct poller *poller)
{
    close(poller->set);
    close(poller->outer);
}

static bool selected(int fd, int timeout_ms)
{
    struct timeval timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000};
    fd_set set;
    FD_ZERO(&set);
    FD_SET((unsigned)fd, &set);
    int ready = select(fd + 1, &set, NULL, NULL, &timeout);
    assert_true(ready >= 0);
    return ready > 0;
}

bool poller_reports(struct poller *poller, int timeout_ms)
{
    struct epoll_event event;
    if (poller->way == BY_POLL)
        return harness_readable(poller->fd, timeout_ms);
    if (poller->way == BY_SELECT)
        return selected(poller->fd, timeout_ms);
    if (poller->outer >= 0 && epoll_wait(poller->outer, &event, 1, timeout_ms) <= 0)
        return false;
    return epoll_wait(poller->set, &event, 1, timeout_ms) > 0;
}

void drain(struct peer *peer)
{
    pipc_msg_t message;
    while (peer_read_msg(peer, &message) == 0)
        pipc_msg_free(&message);
    assert_int_equal(errno, EAGAIN);
}

bool poller_reports_when_drained(struct poller *poller, struct peers *p)
{
    int64_t deadline = harness_now_ms() + p->a.delay_ms;
    bool reports;
    do {
        drain(&p->b);
        reports = poller_reports(poller, p->a.delay_ms / 100);
    } while (!reports && harness_now_ms() < deadline);
    return reports;
}

void drain_until_readable(struct peers *p)
{
    struct poller poller = poller_begin(BY_POLL, p->a.fd);
    assert_true(poller_reports_when_drained(&poller, p));
    poller_end(&poller);
}
