/* SPDX-License-Identifier: MIT */
/*
 * The parts of the library that touch no descriptor: frame.c, which turns bytes into headers and
 * back, and queue.c, which keeps messages. Called directly.
 */
#include "channel/queue.h"
#include "codec/frame.h"
#include "fault.h"
#include "harness.h"

#define BYTES(text) (const uint8_t *)(text), (sizeof(text) - 1)

#define LENGTH_MAX ((size_t)0x7fffffff)
#define MEBI64     ((size_t)64 << 20)

/* --- frame.c ---------------------------------------------------------------------------------- */

TEST(headers_are_written_in_the_documented_format)
{
    static const struct {
        size_t size;
        bool bye;
        const uint8_t *bytes;
        size_t length;
    } golden[] = {
        {0, false, BYTES("\0\0\0\0")},
        {1, false, BYTES("\0\0\0\1")},
        {0x01020304, false, BYTES("\1\2\3\4")},
        {LENGTH_MAX, false, BYTES("\x7f\xff\xff\xff")},
        {LENGTH_MAX + 1, false, BYTES("\xff\xff\xff\xff\0\0\0\0\x80\0\0\0")},
#if SIZE_MAX > UINT32_MAX
        {0x0102030405060708, false, BYTES("\xff\xff\xff\xff\1\2\3\4\5\6\7\10")},
#endif
        {3, true, BYTES("\xff\xff\xff\xfe\0\0\0\3")},
        {LENGTH_MAX + 1, true, BYTES("\xff\xff\xff\xfe\xff\xff\xff\xff\0\0\0\0\x80\0\0\0")},
    };
    for (size_t i = 0; i < sizeof golden / sizeof golden[0]; i++) {
        uint8_t header[FRAME_HEADER_MAX];
        assert_int_equal(frame_header(header, golden[i].size, golden[i].bye), golden[i].length);
        assert_memory_equal(header, golden[i].bytes, golden[i].length);
    }
}

static void assert_reads_back(size_t size, bool bye)
{
    uint8_t header[FRAME_HEADER_MAX];
    struct frame frame;
    size_t length = frame_header(header, size, bye);
    assert_int_equal(frame_parse(header, length, SIZE_MAX, &frame), FRAME_WHOLE);
    assert_int_equal(frame.header, length);
    assert_true(frame.size == size);
    assert_int_equal(frame.bye, bye);
}

TEST(every_header_is_read_as_it_was_written)
{
    for (unsigned bit = 0; bit < 8 * sizeof(size_t) - 1; bit++)
        for (int i = 0; i < 200; i++) {
            size_t size = ((size_t)1 << bit) + harness_random_below((size_t)1 << bit);
            assert_reads_back(size, false);
            assert_reads_back(size + FRAME_BYE_SIZE, true);
        }
}

/* From memory of its own, so that a reader past the end is caught under a sanitizer or valgrind. */
static enum frame_status parse_copy(const uint8_t *bytes, size_t size, size_t max,
                                    struct frame *frame)
{
    uint8_t *copy = malloc(size + (size == 0));
    assert_non_null(copy);
    memcpy(copy, bytes, size);
    enum frame_status status = frame_parse(copy, size, max, frame);
    free(copy);
    return status;
}

TEST(an_incomplete_header_asks_for_the_right_number_of_bytes)
{
    static const struct {
        const uint8_t *bytes;
        size_t length;
    } headers[] = {{BYTES("\0\0\0\7")},
                   {BYTES("\xff\xff\xff\xff\0\0\0\0\x80\0\0\0")},
                   {BYTES("\xff\xff\xff\xfe\0\0\0\3")},
                   {BYTES("\xff\xff\xff\xfe\xff\xff\xff\xff\0\0\0\0\x80\0\0\0")}};
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++)
        for (size_t cut = 0; cut < headers[i].length; cut++) {
            struct frame frame;
            assert_int_equal(parse_copy(headers[i].bytes, cut, SIZE_MAX, &frame), FRAME_MORE);
            assert_true(frame.header > cut && frame.header <= headers[i].length);
        }
}

TEST(a_frame_may_be_as_large_as_the_limit_and_no_larger)
{
    static const size_t limits[] = {
        1, 5, 255, MEBI64, LENGTH_MAX - 1, LENGTH_MAX, LENGTH_MAX + 1, HARNESS_HUGE, SIZE_MAX - 1};
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        uint8_t header[FRAME_HEADER_MAX];
        struct frame frame;
        size_t max = limits[i], length = frame_header(header, max, false);
        assert_int_equal(parse_copy(header, length, max, &frame), FRAME_WHOLE);
        assert_true(frame.size == max);
        length = frame_header(header, max + 1, false);
        assert_int_equal(parse_copy(header, length, max, &frame), FRAME_BAD);
    }
}

TEST(a_goodbye_may_be_three_bytes_larger)
{
    uint8_t header[FRAME_HEADER_MAX];
    struct frame frame;
    size_t length = frame_header(header, 10 + FRAME_BYE_SIZE, true);
    assert_int_equal(parse_copy(header, length, 10, &frame), FRAME_WHOLE);
    assert_int_equal(parse_copy(header, length, 9, &frame), FRAME_BAD);
    assert_int_equal(parse_copy(BYTES("\xff\xff\xff\xfe\0\0\0\2"), 10, &frame), FRAME_BAD);
    assert_int_equal(parse_copy(BYTES("\xff\xff\xff\xfe\xff\xff\xff\xfe"), 10, &frame), FRAME_BAD);
}

TEST(a_bad_header_is_refused_at_its_first_four_bytes)
{
    struct frame frame;
    assert_int_equal(parse_copy(BYTES("\x80\0\0\0"), SIZE_MAX, &frame), FRAME_BAD);
    assert_int_equal(parse_copy(BYTES("\xff\xff\xff\xfd"), SIZE_MAX, &frame), FRAME_BAD);
    assert_int_equal(parse_copy(BYTES("\xff\xff\xff\xff"), LENGTH_MAX, &frame), FRAME_BAD);
    assert_int_equal(parse_copy(BYTES("GET "), MEBI64, &frame), FRAME_BAD);
}

TEST(the_long_form_is_only_for_long_messages)
{
    struct frame frame;
    assert_int_equal(
        parse_copy(BYTES("\xff\xff\xff\xff\0\0\0\0\x7f\xff\xff\xff"), SIZE_MAX, &frame), FRAME_BAD);
    assert_int_equal(parse_copy(BYTES("\xff\xff\xff\xff\0\0\0\0\x80\0\0\0"), SIZE_MAX, &frame),
                     FRAME_WHOLE);
}

TEST(lengths_of_64_bits_do_not_wrap)
{
    struct frame frame;
    assert_int_equal(
        parse_copy(BYTES("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), HARNESS_HUGE, &frame),
        FRAME_BAD);
    assert_int_equal(parse_copy(BYTES("\xff\xff\xff\xff\0\0\0\1\0\0\0\0"), MEBI64, &frame),
                     FRAME_BAD);
    assert_int_equal(
        parse_copy(BYTES("\xff\xff\xff\xfe\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
                   SIZE_MAX - 10, &frame),
        FRAME_BAD);
}

TEST(random_bytes_are_parsed_within_the_limit)
{
    for (int i = 0; i < 100000 / harness_scale(); i++) {
        uint8_t bytes[FRAME_HEADER_MAX];
        size_t size = harness_random_below(sizeof bytes + 1),
               max = (size_t)(harness_random() >> i % 64);
        struct frame frame;
        harness_fill(bytes, sizeof bytes, harness_random());
        memset(bytes, i % 3 == 0 ? 0xff : bytes[0], (size_t)(i % 13));
        enum frame_status status = parse_copy(bytes, size, max, &frame);
        assert_true(status != FRAME_WHOLE || frame.size <= max || frame.bye);
        assert_true(status != FRAME_WHOLE || frame.header <= size);
        assert_true(status != FRAME_MORE || frame.header > size);
    }
}

/* --- queue.c ---------------------------------------------------------------------------------- */

static struct message *message_of(size_t size)
{
    struct message *message = message_new(size);
    assert_non_null(message);
    message->size = size;
    return message;
}

TEST(a_queue_returns_messages_in_order_and_counts_them)
{
    struct queue queue = {0};
    assert_null(queue_pop(&queue));
    for (size_t i = 0; i < 10; i++)
        queue_push(&queue, message_of(i));
    assert_int_equal(queue.count, 10);
    assert_int_equal(queue.bytes, 45);
    for (size_t i = 0; i < 10; i++) {
        struct message *message = queue_pop(&queue);
        assert_int_equal(message->size, i);
        message_free(message);
    }
    assert_null(queue_pop(&queue));
    assert_int_equal(queue.count, 0);
    assert_int_equal(queue.bytes, 0);
    queue_push(&queue, message_of(1));
    queue_push(&queue, message_of(2));
    queue_clear(&queue);
    assert_null(queue_pop(&queue));
}

TEST(room_counts_the_bytes_and_the_cost_of_each_message)
{
    struct queue queue = {0};
    size_t limit = 1000;
    assert_true(queue_has_room(&queue, 5000, limit)); /* nothing waits */
    queue_push(&queue, message_of(100));
    assert_true(queue_has_room(&queue, limit - 100 - 2 * QUEUE_COST, limit));
    assert_false(queue_has_room(&queue, limit - 100 - 2 * QUEUE_COST + 1, limit));
    for (size_t waiting = 1; waiting < (limit - 100) / QUEUE_COST; waiting++) {
        assert_true(queue_has_room(&queue, 0, limit));
        queue_push(&queue, message_of(0));
    }
    assert_false(queue_has_room(&queue, 0, limit));
    queue_clear(&queue);
}

TEST(room_does_not_wrap)
{
    struct queue queue = {0};
    queue_push(&queue, message_of(10));
    assert_false(queue_has_room(&queue, SIZE_MAX, 1000));
    assert_false(queue_has_room(&queue, SIZE_MAX - QUEUE_COST, SIZE_MAX));
    assert_true(queue_has_room(&queue, SIZE_MAX - 10 - 2 * QUEUE_COST, SIZE_MAX));
    assert_false(queue_has_room(&queue, 0, 1));
    assert_false(queue_has_room(&queue, 0, 0));
    queue_clear(&queue);
}

TEST(a_message_that_grows_keeps_its_bytes)
{
    struct message *message = message_of(1000);
    harness_fill(message->data, 1000, 1);
    errno = 0;
    assert_null(message_grow(message, SIZE_MAX));
    assert_int_equal(errno, ENOMEM);
    fault_fail(CALL_realloc, 1, 0, ENOMEM);
    fault_arm();
    assert_null(message_grow(message, 2000));
    fault_disarm();
    assert_int_equal(message->capacity, 1000);
    message = message_grow(message, 100000);
    assert_non_null(message);
    assert_int_equal(message->capacity, 100000);
    assert_int_equal(message->size, 1000);
    harness_check(message->data, 1000, 1);
    assert_ptr_equal(message_of_data(message->data), message);
    message_free(message);
    message_free(message_of_data(NULL));
}

TEST(the_bytes_of_a_message_are_aligned_as_malloc_aligns)
{
    struct message *message = message_of(1);
    assert_int_equal((uintptr_t)message->data % _Alignof(max_align_t), 0);
    message_free(message);
}

static void check_those_left(struct message *const message[], size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert_int_equal((uintptr_t)message[i]->data % _Alignof(max_align_t), 0);
        harness_check(message[i]->data, message[i]->size, message[i]->size);
    }
}

TEST(messages_that_share_a_block_can_be_freed_in_any_order)
{
    enum { COUNT = 50 };
    struct message *message[COUNT];
    struct block block;
    size_t cost = 0;
    for (size_t i = 0; i < COUNT; i++)
        cost += block_cost(i);
    assert_true(block_open(&block, cost, COUNT));
    for (size_t i = 0; i < COUNT; i++) {
        message[i] = block_add(&block, i);
        assert_int_equal(message[i]->size, i);
        harness_fill(message[i]->data, i, i);
        assert_ptr_equal(message_of_data(message[i]->data), message[i]);
    }
    for (size_t left = COUNT; left > 0; left--) {
        size_t which = harness_random_below(left);
        message_free(message[which]);
        message[which] = message[left - 1];
        check_those_left(message, left - 1);
    }
}

HARNESS_MAIN("frame and queue", IT(headers_are_written_in_the_documented_format),
             IT(every_header_is_read_as_it_was_written),
             IT(an_incomplete_header_asks_for_the_right_number_of_bytes),
             IT(a_frame_may_be_as_large_as_the_limit_and_no_larger),
             IT(a_goodbye_may_be_three_bytes_larger),
             IT(a_bad_header_is_refused_at_its_first_four_bytes),
             IT(the_long_form_is_only_for_long_messages), IT(lengths_of_64_bits_do_not_wrap),
             IT(random_bytes_are_parsed_within_the_limit),
             IT(a_queue_returns_messages_in_order_and_counts_them),
             IT(room_counts_the_bytes_and_the_cost_of_each_message), IT(room_does_not_wrap),
             IT(a_message_that_grows_keeps_its_bytes),
             IT(the_bytes_of_a_message_are_aligned_as_malloc_aligns),
             IT(messages_that_share_a_block_can_be_freed_in_any_order))
