/* SPDX-License-Identifier: MIT */
/*
 * The bytes that a handle holds, without a handle: outbound.c over a transport that takes as many
 * bytes as the test allows.
 */
#include "channel/outbound.h"
#include "fault.h"
#include "harness.h"

static size_t room;

static ssize_t write_what_fits(struct transport *transport, const struct iovec *parts, int count)
{
    size_t size = 0;
    (void)transport;
    for (int i = 0; i < count; i++)
        size += parts[i].iov_len;
    size = size < room ? size : room;
    room -= size;
    if (size > 0)
        return (ssize_t)size;
    errno = EAGAIN;
    return -1;
}

static const struct transport_ops ops = {.writev = write_what_fits};

struct writer {
    struct transport transport;
    struct duplex_lock readiness_lock;
    struct outbound out;
};

static void begin(struct writer *w, unsigned flags)
{
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.flags = flags;
    w->transport = (struct transport){.ops = &ops};
    duplex_lock_init(&w->readiness_lock, (flags & PIPC_DUPLEX) != 0);
    outbound_init(&w->out, &options, &w->readiness_lock);
    outbound_attach(&w->out, &w->transport);
}

static void end(struct writer *w)
{
    outbound_fini(&w->out);
    duplex_lock_fini(&w->readiness_lock);
}

enum { SIZE = 100000, PART = 10 };

static char data[SIZE];

static struct outgoing message(struct iovec *part)
{
    *part = (struct iovec){data, SIZE};
    return (struct outgoing){.parts = part, .count = 1, .size = SIZE, .left = SIZE};
}

/* Sends a part of a message, and holds the rest. */
static void hold_a_rest(struct writer *w)
{
    struct iovec part;
    struct outgoing o = message(&part);
    assert_int_equal(outbound_reserve(&w->out, SIZE), 0);
    room = PART;
    assert_int_equal(outbound_try_send(&w->out, &o), IO_AGAIN);
    assert_int_equal(o.left, SIZE - PART);
    assert_int_equal(outbound_hold(&w->out, &o), 0);
    outbound_end_call(&w->out);
    assert_int_equal(outbound_bytes_held(&w->out), SIZE - PART);
}

/* With duplex, another thread sends what is held while the writer waits for room. */
TEST(the_memory_that_a_writer_has_reserved_stays_when_a_reader_sends_the_rest_before)
{
    struct writer w;
    struct iovec part;
    struct outgoing next = message(&part);
    begin(&w, PIPC_DUPLEX);
    hold_a_rest(&w);
    assert_int_equal(outbound_reserve(&w.out, SIZE), 0);
    room = SIZE;
    assert_int_equal(outbound_push_all_but(&w.out, 0), IO_DONE); /* the reader */
    room = PART;
    assert_int_equal(outbound_try_send(&w.out, &next), IO_AGAIN);
    fault_reset();
    fault_fail(CALL_realloc, 1, FAULT_FOREVER, ENOMEM);
    fault_arm();
    int result = outbound_hold(&w.out, &next);
    fault_disarm();
    assert_int_equal(result, 0);
    assert_int_equal(outbound_bytes_held(&w.out), SIZE - PART);
    end(&w);
}

TEST(what_was_reserved_and_is_not_used_is_freed_at_the_end_of_the_call)
{
    struct writer w;
    begin(&w, 0);
    size_t before = harness_heap_bytes();
    assert_int_equal(outbound_reserve(&w.out, SIZE), 0);
    assert_true(harness_heap_bytes() >= before + SIZE);
    outbound_end_call(&w.out);
    assert_int_equal(harness_heap_bytes(), before);
    end(&w);
}

TEST(a_held_rest_is_freed_when_it_has_gone)
{
    struct writer w;
    begin(&w, 0);
    size_t before = harness_heap_bytes();
    hold_a_rest(&w);
    room = SIZE - PART - 1;
    assert_int_equal(outbound_push_all_but(&w.out, 0), IO_AGAIN);
    assert_int_equal(outbound_bytes_held(&w.out), 1);
    room = 1;
    assert_int_equal(outbound_push_all_but(&w.out, 0), IO_DONE);
    assert_int_equal(outbound_bytes_held(&w.out), 0);
    assert_int_equal(harness_heap_bytes(), before);
    end(&w);
}

HARNESS_MAIN("outbound",
             IT(the_memory_that_a_writer_has_reserved_stays_when_a_reader_sends_the_rest_before),
             IT(what_was_reserved_and_is_not_used_is_freed_at_the_end_of_the_call),
             IT(a_held_rest_is_freed_when_it_has_gone))
