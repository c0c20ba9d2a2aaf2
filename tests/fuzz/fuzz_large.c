/* SPDX-License-Identifier: MIT */
/*
 * Large messages, from 60 KiB to some MiB, come to an adopted descriptor in pieces: the header
 * apart, up to a few bytes before or behind an end, as much as the kernel takes, or by a second
 * thread while a call waits. Every reading call reads them, and is compared with the decoder
 * (reader.h). Apart from `frames`, which it would make ten times slower.
 *
 *   input   4 bytes: kind and flags, max_message, max_pending, how it ends
 *           1 byte: how many messages; for each 3 bytes: kind and size; then steps of 1 byte
 */
#include <poll.h>

#include "lockstep.h"
#include "reader.h"

enum { WAIT_MS = 20000 };
enum { MESSAGES_MAX = 6, STEPS_MAX = 120 };

struct stream {
    struct reader reader;
    size_t end[MESSAGES_MAX]; /* of each message, in the stream */
    size_t count;
};

/* ---- the stream ---- */

/* A size near a limit of the library, of the kernel, or of this input. */
static size_t pick_size(const struct reader *r, uint8_t which, uint8_t less)
{
    static const size_t sizes[] = {60 << 10,  64 << 10, 65540,   100000,  128 << 10, 208 << 10,
                                   256 << 10, 300000,   1 << 20, 3 << 19, 2 << 20,   3 << 20};
    size_t size = sizes[which % 12];
    if (which % 16 >= 12)
        size = r->max_message % (3 << 20) + 10;
    return size - less % 8u;
}

static size_t put_number(uint8_t *to, uint32_t number)
{
    for (int i = 0; i < 4; i++)
        to[i] = (uint8_t)(number >> (24 - 8 * i));
    return 4;
}

static void add_message(struct stream *stream, struct fuzz_input *in)
{
    uint8_t *at = reader_buffer, kind = fuzz_byte(in), which = fuzz_byte(in);
    size_t size = pick_size(&stream->reader, which, fuzz_byte(in)), head = 0;
    uint64_t seed = which * 256u + kind;
    bool is_goodbye = kind % 16 == 15;
    if (kind % 16 == 14)
        size = which & 64 ? 16384u - which % 16u : size % 70; /* a smaller one between them */
    if (is_goodbye)
        head = put_number(at, 0xfffffffe);
    head += put_number(at + head, (uint32_t)(is_goodbye ? size + 3 : size));
    if (is_goodbye)
        memcpy(at + head, "BYE", 3);
    head += is_goodbye ? 3 : 0;
    memset(at + head, kind | 1, size); /* a goodbye has a text: no zeros */
    for (size_t i = 0; i < size; i += 997)
        at[head + i] = (uint8_t)(fuzz_random(&seed) | 1);
    reader_add(&stream->reader, at, head + size);
    stream->end[stream->count++] = stream->reader.size;
}

/* ---- steps ---- */

/* Up to a few bytes from the next end of a message: 4 behind it, the next header has come. */
static void send_up_to(struct stream *stream, unsigned number)
{
    struct reader *r = &stream->reader;
    size_t which = 0;
    while (which < stream->count && stream->end[which] <= r->sent + 4)
        which++;
    size_t end = which < stream->count ? stream->end[which] - 4 + number % 13u : r->size;
    reader_send(r, end > r->sent ? end - r->sent : 1);
}

/* The error behind all messages that have come. */
static int fate(const struct reader *r)
{
    struct reader ahead = *r;
    struct decoded message;
    int error;
    while ((error = reader_expected(&ahead, &message)) == 0) {
        ahead.at = message.end;
        ahead.read_bye = message.kind == PIPC_BYE;
    }
    return error;
}

/* What was shown stays, also while this side writes; and a read takes the same. */
static void peek_and_write(struct reader *r)
{
    struct decoded message;
    pipc_msg_t view;
    if (reader_expected(r, &message) != 0)
        return;
    FUZZ_CHECK(pipc_peek(r->pipe, &view) == 0, "no message");
    ssize_t sent = pipc_write(r->pipe, "x", 1);
    FUZZ_CHECK(sent == 1 || errno == EAGAIN || errno == fate(r), "pipc_write fails");
    r->written += sent == 1;
    reader_check_message(&view, &message);
}

struct sending {
    int fd;
    size_t at, end;
};

static void send_rest(void *context)
{
    struct sending *sending = context;
    while (sending->at < sending->end) {
        struct pollfd entry = {.fd = sending->fd, .events = POLLOUT};
        int count = poll(&entry, 1, WAIT_MS);
        FUZZ_CHECK(count != 0, "nobody takes the message");
        sending->at +=
            fuzz_write_some(sending->fd, reader_wire + sending->at, sending->end - sending->at);
    }
}

/* A call that waits, while a second thread sends what the message lacks. */
static void call_while_sending(struct reader *r, unsigned number)
{
    static const unsigned calls[] = {READER_READ, READER_READ_SHORT, READER_READ_MSG, READER_PEEK,
                                     READER_SKIP, READER_READ,       READER_READ_MSG, READER_READ};
    struct decoded message;
    struct sending sending = {r->out, r->sent, r->sent};
    if (r->out < 0 || r->read_bye ||
        decode(reader_wire, r->size, r->at, r->max_message, &message) != DECODED_MESSAGE)
        return;
    if (message.end > sending.end)
        r->sent = sending.end = message.end;
    FUZZ_CHECK(pipc_set_timeout(r->pipe, number & 8 ? WAIT_MS : -1, 0) == 0, "pipc_set_timeout");
    lockstep_start(send_rest, &sending);
    reader_take_step(r, calls[number & 7], number);
    lockstep_wait();
    fuzz_no_timeouts(r->pipe);
}

static void take_step(struct stream *stream, uint8_t step)
{
    static const size_t pieces[] = {1, 3, 4, 5, 4096, 30000, 65536, 100000};
    struct reader *r = &stream->reader;
    unsigned call = step & 15, number = step >> 4;
    if (call == 0)
        reader_send(r, pieces[number & 7]);
    else if (call == 1)
        send_up_to(stream, number);
    else if (call == 2)
        call_while_sending(r, number);
    else if (call == 13)
        peek_and_write(r);
    else
        reader_take_step(r, call, number);
}

/* ---- one input ---- */

static void open_reader(struct reader *r, struct fuzz_input *in)
{
    static const size_t messages[] = {0, 0, 64 << 10, 100000, 1 << 20, 2 << 20, 3 << 20, SIZE_MAX};
    static const size_t pendings[] = {0, 1, 1000, 65536, 200000, 1 << 20, 4 << 20, 16 << 20};
    static const unsigned flags[] = {0, PIPC_DUPLEX, PIPC_ACCEPT_FDS,
                                     PIPC_ACCEPT_FDS | PIPC_DUPLEX};
    pipc_options_t options = PIPC_OPTIONS_INIT;
    uint8_t kind = fuzz_byte(in);
    options.flags = flags[(kind >> 1) % 4];
    options.max_message = FUZZ_PICK(in, messages);
    options.max_pending = FUZZ_PICK(in, pendings);
    reader_open(r, (kind & 1) != 0, &options);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct fuzz_input in = {bytes, size};
    struct fuzz_fds before = fuzz_fds_now();
    struct stream stream = {.count = 0};
    open_reader(&stream.reader, &in);
    uint8_t ending = fuzz_byte(&in), count = fuzz_byte(&in) % MESSAGES_MAX + 1;
    for (int i = 0; i < count; i++)
        add_message(&stream, &in);
    size_t steps = STEPS_MAX;
    const uint8_t *step = fuzz_take(&in, &steps);
    for (size_t i = 0; i < steps; i++)
        take_step(&stream, step[i]);
    if ((ending & 3) != 3)
        reader_finish(&stream.reader, step, steps, (ending & 1) != 0);
    reader_close(&stream.reader, (ending & 4) != 0);
    fuzz_fds_check(&before);
    return 0;
}
