/* SPDX-License-Identifier: MIT */
#include "traffic.h"

#include "fault.h"

/* Told apart by their sizes; the large ones are more than any pipe holds by itself. */
static const size_t sizes[TRAFFIC_MESSAGES] = {5, 0, 4000, 300000, 64, 1, 3, 2, 900, 17, 70000};
enum { LARGEST = 300000 };

static char buffer[2][LARGEST + 16], sample[LARGEST];

/* --- What must hold --------------------------------------------------------------------------- */

/* Whether the handle goes on after this errno. What a call other than a read or a write said, a
 * wait or the taking of an end, tells nothing about the stream either. */
static bool passes(int error)
{
    static const int passing[] = {EAGAIN, ETIMEDOUT, ENOMEM, ENOBUFS, EMSGSIZE, ESHUTDOWN, EINTR};
    for (size_t i = 0; i < sizeof passing / sizeof passing[0]; i++)
        if (error == passing[i])
            return true;
    return fault_injected_outside_io(error);
}

/* One errno forever. */
void traffic_note_failure(int *dead, int error)
{
    assert_int_not_equal(error, 0);
    if (*dead != 0)
        assert_int_equal(error, *dead);
    else if (!passes(error))
        *dead = error;
}

static void note_sent(struct traffic *t, int side, size_t count, ssize_t result)
{
    struct flow *flow = &t->flow[side];
    if (result < 0) {
        traffic_note_failure(&flow->write_dead, errno);
    } else {
        assert_int_equal(flow->write_dead, 0);
        for (size_t i = 0; i < count; i++)
            flow->accepted[flow->next + i] = true;
    }
    flow->next += count;
}

static void note_received(struct traffic *t, int side, const void *data, size_t size)
{
    struct flow *flow = &t->flow[1 - side];
    size_t number = 0;
    while (number < TRAFFIC_MESSAGES && sizes[number] != size)
        number++;
    if (number == TRAFFIC_MESSAGES)
        fail_msg("a message of %zu bytes was never sent", size);
    assert_int_equal(flow->read_dead, 0);
    assert_true(flow->accepted[number]);
    assert_true(number >= flow->last);
    harness_check(data, size, number);
    flow->received[number] = true;
    flow->last = number + 1;
}

static void note_goodbye(struct traffic *t, int side)
{
    struct flow *flow = &t->flow[1 - side];
    assert_true(flow->bye_accepted);
    assert_false(flow->bye_received);
    assert_string_equal(pipc_bye_text(t->end[side]), "so long");
    flow->bye_received = true;
}

static bool note_read(struct traffic *t, int side, ssize_t result, const void *data)
{
    if (result >= 0)
        note_received(t, side, data, (size_t)result);
    else if (errno == ESHUTDOWN)
        note_goodbye(t, side);
    else
        traffic_note_failure(&t->flow[1 - side].read_dead, errno);
    return result >= 0;
}

static void note_message(struct traffic *t, int side, const pipc_msg_t *message)
{
    if (message->kind == PIPC_BYE)
        note_goodbye(t, side);
    else
        note_received(t, side, message->data, message->size);
}

/* --- Single calls ----------------------------------------------------------------------------- */

void traffic_send_next(struct traffic *t, int side)
{
    size_t number = t->flow[side].next;
    harness_fill(buffer[side], sizes[number], number);
    ssize_t result = pipc_write(t->end[side], buffer[side], sizes[number]);
    assert_true(result < 0 || result == (ssize_t)sizes[number]);
    note_sent(t, side, 1, result);
}

void traffic_send_next_in_parts(struct traffic *t, int side)
{
    size_t number = t->flow[side].next, half = sizes[number] / 2;
    harness_fill(buffer[side], sizes[number], number);
    struct iovec parts[] = {
        {buffer[side], half}, {NULL, 0}, {buffer[side] + half, sizes[number] - half}};
    note_sent(t, side, 1, pipc_writev(t->end[side], parts, 3));
}

void traffic_send_three_at_once(struct traffic *t, int side)
{
    size_t number = t->flow[side].next, at = 0;
    struct iovec parts[3];
    for (size_t i = 0; i < 3; i++) {
        parts[i] = (struct iovec){buffer[side] + at, sizes[number + i]};
        harness_fill(parts[i].iov_base, parts[i].iov_len, number + i);
        at += parts[i].iov_len;
    }
    ssize_t result = pipc_write_batch(t->end[side], parts, 3);
    if (result < 0) {
        note_sent(t, side, 3, -1);
        return;
    }
    note_sent(t, side, (size_t)result, 0);
    t->flow[side].next = number + 3;
}

bool traffic_receive_into_buffer(struct traffic *t, int side)
{
    return note_read(t, side, pipc_read(t->end[side], buffer[side], sizeof buffer[side]),
                     buffer[side]);
}

void traffic_receive_into_small_buffer(struct traffic *t, int side)
{
    ssize_t result = pipc_read(t->end[side], buffer[side], 10);
    if (result >= 0 || errno != EMSGSIZE)
        note_read(t, side, result, buffer[side]);
}

void traffic_receive_allocated(struct traffic *t, int side)
{
    pipc_msg_t message;
    if (pipc_read_msg(t->end[side], &message) != 0) {
        traffic_note_failure(&t->flow[1 - side].read_dead, errno);
        return;
    }
    note_message(t, side, &message);
    pipc_msg_free(&message);
}

void traffic_receive_by_peeking(struct traffic *t, int side)
{
    pipc_msg_t view;
    if (pipc_peek(t->end[side], &view) != 0) {
        traffic_note_failure(&t->flow[1 - side].read_dead, errno);
        return;
    }
    bool is_data = view.kind == PIPC_DATA;
    size_t size = view.size;
    if (is_data) {
        assert_true(size <= sizeof sample);
        memcpy(sample, view.data, size);
    }
    if (is_data && pipc_skip(t->end[side]) == 0)
        note_received(t, side, sample, size);
}

void traffic_receive_pending(struct traffic *t, int side)
{
    pipc_msg_t messages[4];
    ssize_t count = pipc_read_pending(t->end[side], messages, 4);
    assert_true(count <= 4);
    if (count < 0)
        traffic_note_failure(&t->flow[1 - side].read_dead, errno);
    for (ssize_t i = 0; i < count; i++) {
        note_message(t, side, &messages[i]);
        pipc_msg_free(&messages[i]);
    }
}

void traffic_flush(struct traffic *t, int side)
{
    if (pipc_flush(t->end[side]) < 0)
        assert_int_not_equal(errno, 0);
}
