/* SPDX-License-Identifier: MIT */
/* The memory that a transport of descriptors reads ahead into: where in it the bytes lie. */
#include <unistd.h>

#include "harness.h"

#include "transport/transport_fd.h"

enum { PAGE = 4096, FRONT = 64, MUCH = 50000, WHOLE = 20000 };

struct stream {
    struct transport *transport;
    struct transport_view view;
    int in, out; /* the test's */
    unsigned char next_in, next_out;
};

static void begin(struct stream *s)
{
    int there[2], back[2];
    assert_int_equal(pipe2(there, O_CLOEXEC), 0);
    assert_int_equal(pipe2(back, O_CLOEXEC), 0);
    *s = (struct stream){.in = back[0], .out = there[1]};
    s->transport = transport_fd(there[0], back[1]);
    assert_non_null(s->transport);
    assert_false(s->transport->ops->accept_fds(s->transport, NULL));
}

static void finish(struct stream *s)
{
    s->transport->ops->close(s->transport);
    close(s->in);
    close(s->out);
}

static void put(struct stream *s, size_t size)
{
    static unsigned char bytes[MUCH];
    for (size_t i = 0; i < size; i++)
        bytes[i] = s->next_in++;
    assert_int_equal(write(s->out, bytes, size), size);
}

static size_t look(struct stream *s, size_t want)
{
    ssize_t there = s->transport->ops->peek(s->transport, want, PEEK_READ, &s->view);
    assert_true(there >= (ssize_t)want);
    for (ssize_t i = 0; i < there; i++)
        assert_int_equal(s->view.bytes[i], (unsigned char)(s->next_out + i));
    return (size_t)there;
}

static void consume(struct stream *s, size_t size)
{
    (s->transport->ops->skip)(s->transport, size); /* cmocka has a macro of that name */
    s->next_out = (unsigned char)(s->next_out + size);
}

static size_t place(const struct stream *s)
{
    return (uintptr_t)s->view.bytes % PAGE;
}

TEST(once_much_comes_reads_begin_where_the_kernel_copies_fast)
{
    struct stream s;
    begin(&s);
    put(&s, MUCH);
    consume(&s, look(&s, 1));
    for (int i = 0; i < 3; i++) {
        size_t there = look(&s, WHOLE);
        assert_int_equal(place(&s), FRONT);
        consume(&s, there);
        put(&s, MUCH);
    }
    finish(&s);
}

TEST(bytes_that_are_there_stay_when_the_memory_grows_and_moves)
{
    static const size_t taken[] = {0, 1, 63, 64, 65, 1000, 4000, 4095};
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++) {
        struct stream s;
        begin(&s);
        put(&s, MUCH);
        look(&s, 1);
        consume(&s, taken[i]);
        for (int again = 0; again < 5; again++) {
            size_t there = look(&s, WHOLE);
            consume(&s, there > WHOLE ? there - 7 : there);
            put(&s, WHOLE);
        }
        finish(&s);
    }
}

/* As if its memory had been where it needs no front before. */
TEST(full_memory_that_grows_has_all_its_bytes_behind_the_front)
{
    struct stream s;
    begin(&s);
    struct fd_transport *t = fd_of(s.transport);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(fd_make_more_room(t), 0);
        t->begin = t->front = 0;
        for (t->end = 0; t->end < t->capacity; t->end++)
            t->buffer[t->end] = (uint8_t)(t->end % 251);
        size_t size = t->end;
        assert_int_equal(fd_make_more_room(t), 0);
        assert_true(t->begin == t->front && t->end - t->begin == size);
        assert_true(t->end < t->capacity);
        for (size_t at = 0; at < size; at++)
            assert_int_equal(t->buffer[t->begin + at], at % 251);
        fd_free_buffer(t);
    }
    finish(&s);
}

HARNESS_MAIN("read_ahead", IT(once_much_comes_reads_begin_where_the_kernel_copies_fast),
             IT(bytes_that_are_there_stay_when_the_memory_grows_and_moves),
             IT(full_memory_that_grows_has_all_its_bytes_behind_the_front))
