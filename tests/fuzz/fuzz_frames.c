/* SPDX-License-Identifier: MIT */
/*
 * Raw bytes come to an adopted descriptor, split anywhere, and every reading call reads them. Each
 * result is compared with what an independent decoder finds in the same bytes (reader.h).
 *
 *   input   4 bytes: kind and flags, max_message, max_pending, how it ends
 *           1 byte: how many steps; the steps, which are repeated; then the bytes of the stream
 */
#include "reader.h"

enum { STEPS_MAX = 64, LONG_FRAMES_MAX = 6 };

static int long_frames;

/* A good frame that is longer than an input. */
static void add_long_frame(struct reader *r, unsigned which)
{
    static const uint32_t sizes[] = {5000, 16380, 32768, 65531, 65532, 65536, 100000, 200000};
    uint32_t size = sizes[which % 8];
    if (r->out < 0 || long_frames++ >= LONG_FRAMES_MAX)
        return;
    memset(reader_buffer, (int)which, size + 4);
    for (int i = 0; i < 4; i++)
        reader_buffer[i] = (uint8_t)(size >> (24 - 8 * i));
    reader_add(r, reader_buffer, size + 4);
}

static void take_step(struct reader *r, uint8_t step)
{
    static const uint32_t pieces[] = {1, 2, 3, 4, 5, 7, 16, 4096};
    unsigned call = step & 15, number = step >> 4;
    if (call < READER_READ)
        reader_send(r, pieces[number & 7]);
    else if (call == 13)
        add_long_frame(r, number);
    else
        reader_take_step(r, call, number);
}

static void open_reader(struct reader *r, struct fuzz_input *in)
{
    static const size_t messages[] = {0,     1,     2,          3,          4,       16,
                                      100,   255,   256,        1000,       4096,    65531,
                                      65532, 65536, 0x7fffffff, 0x80000000, SIZE_MAX};
    static const size_t pendings[] = {0, 1, 64, 65, 128, 200, 1000, 70000};
    static const unsigned flags[] = {0, PIPC_DUPLEX, PIPC_ACCEPT_FDS, PIPC_GATHER,
                                     PIPC_INTERRUPTIBLE};
    pipc_options_t options = PIPC_OPTIONS_INIT;
    uint8_t kind = fuzz_byte(in);
    options.flags = flags[(kind >> 1) % 5];
    options.max_message = FUZZ_PICK(in, messages);
    options.max_pending = FUZZ_PICK(in, pendings);
    reader_open(r, (kind & 1) != 0, &options);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct fuzz_input in = {bytes, size};
    struct fuzz_fds before = fuzz_fds_now();
    struct reader r;
    open_reader(&r, &in);
    uint8_t ending = fuzz_byte(&in);
    size_t count = fuzz_byte(&in) % STEPS_MAX;
    const uint8_t *steps = fuzz_take(&in, &count);
    reader_add(&r, in.bytes, in.size);
    long_frames = 0;
    for (size_t i = 0; i < count; i++)
        take_step(&r, steps[i]);
    if ((ending & 3) != 3)
        reader_finish(&r, steps, count, (ending & 1) != 0);
    reader_close(&r, (ending & 4) != 0);
    fuzz_fds_check(&before);
    return 0;
}
