/* SPDX-License-Identifier: MIT */
/* The descriptor of pipc_fd tells the same in every way of polling, on every kind of pipe. */
#include "polling.h"

TEST_OF_KIND(every_way_of_polling_reports_each_message)
{
    for (enum way way = 0; way < WAYS; way++) {
        struct peers p;
        open_polled(&p, kind);
        struct poller poller = poller_begin(way, p.b.fd);
        for (int round = 0; round < 5; round++) {
            if (poller_reports(&poller, 0))
                drain(&p.b);
            assert_false(poller_reports(&poller, 0));
            send_text(&p.a, "message");
            if (round % 2 == 1)
                send_text(&p.a, "another");
            assert_true(poller_reports(&poller, p.b.delay_ms));
            drain(&p.b);
        }
        poller_end(&poller);
        peers_close(&p);
    }
}

TEST_OF_KIND(every_way_of_polling_reports_messages_that_came_before_it_began)
{
    for (enum way way = 0; way < WAYS; way++) {
        struct peers p;
        open_polled(&p, kind);
        send_text(&p.a, "one");
        send_text(&p.a, "two");
        expect_pending(&p.b, 2);
        struct poller poller = poller_begin(way, p.b.fd);
        assert_true(poller_reports(&poller, 0));
        drain(&p.b);
        assert_false(way < BY_EDGE && poller_reports(&poller, 0));
        poller_end(&poller);
        peers_close(&p);
    }
}

TEST_OF_KIND(every_way_of_polling_reports_the_end)
{
    for (enum way way = 0; way < WAYS; way++) {
        struct peers p;
        open_polled(&p, kind);
        struct poller poller = poller_begin(way, p.b.fd);
        poller_reports(&poller, 0);
        peer_close(&p.a);
        assert_true(poller_reports(&poller, p.b.delay_ms));
        poller_end(&poller);
        peers_close(&p);
    }
}

/* Where bytes are in flight, the last of them come after a first look found none. */
static bool says_once_drained(struct poller *poller, struct peers *p)
{
    int64_t deadline = harness_now_ms() + p->a.delay_ms;
    bool says;
    do {
        drain(&p->a);
        says = poller_reports(poller, p->a.delay_ms / 100);
    } while (!says && harness_now_ms() < deadline);
    return says;
}

/* By edges too: unread messages that were reported before do not hide room. */
static void tell_of_room(const struct kind *kind, enum way way)
{
    static const char refused[1000];
    struct peers p;
    open_polled(&p, kind);
    send_text(&p.a, "unread");
    expect_pending(&p.b, 1);
    fill_pipe(&p.b, sizeof refused, 0);
    struct poller poller = poller_begin(way, p.b.fd);
    poller_reports(&poller, 0);
    assert_errno(peer_write(&p.b, refused, sizeof refused), EAGAIN);
    assert_true(says_once_drained(&poller, &p));
    poller_end(&poller);
    peers_close(&p);
}

TEST_OF_KIND(every_way_of_polling_reports_room_while_messages_wait)
{
    enum way step = kind->tcp ? BY_EDGE : 1; /* filling takes TCP long: one level, one edge */
    for (enum way way = 0; way < WAYS; way += step)
        tell_of_room(kind, way);
}

HARNESS_MAIN("ways to poll the descriptor", OVER_KINDS(every_way_of_polling_reports_each_message),
             OVER_KINDS(every_way_of_polling_reports_messages_that_came_before_it_began),
             OVER_KINDS(every_way_of_polling_reports_the_end),
             OVER_KINDS(every_way_of_polling_reports_room_while_messages_wait))
