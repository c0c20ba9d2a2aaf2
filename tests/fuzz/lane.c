/* SPDX-License-Identifier: MIT */
#include "lane.h"

const uint8_t *lane_bytes(size_t size, uint32_t seed)
{
    static uint8_t bytes[LANE_MESSAGE_MAX];
    memset(bytes, (int)(seed % 251), size);
    for (size_t i = 0; i < size && i < sizeof seed; i++)
        bytes[i] = (uint8_t)(seed >> (8 * i));
    if (size > 0)
        bytes[size - 1] = (uint8_t)(seed >> 3);
    return bytes;
}

bool lane_has_room(const struct lane *lane)
{
    return lane->first + lane->count < LANE_MAX;
}

void lane_add(struct lane *lane, pipc_kind_t kind, size_t size, uint32_t seed)
{
    FUZZ_NEED(lane_has_room(lane));
    lane->size += (kind == PIPC_BYE ? 8 : 4) + size;
    lane->message[lane->first + lane->count++] =
        (struct lane_message){.kind = kind, .size = size, .seed = seed, .end = lane->size};
    if (kind == PIPC_BYE)
        return;
    lane->sent++;
    lane->sent_bytes += size;
}

void lane_add_fds(struct lane *lane, int fds, int first_file)
{
    struct lane_message *last = &lane->message[lane->first + lane->count - 1];
    last->fds = fds;
    last->first_file = first_file;
}

void lane_check_next(const struct lane *lane, const pipc_msg_t *got)
{
    const struct lane_message *next = lane_next(lane);
    FUZZ_CHECK(lane->count > 0 && lane->dead == 0 && !lane->read_bye, "a message out of nothing");
    FUZZ_CHECK(got->kind == next->kind, "the kind is %d", got->kind);
    FUZZ_CHECK(got->size == next->size, "%zu bytes, not %zu", got->size, next->size);
    size_t skip = got->kind == PIPC_BYE ? 3 : 0;
    const uint8_t *data = got->data;
    FUZZ_CHECK(skip == 0 || memcmp(data, "BYE", 3) == 0, "no goodbye");
    FUZZ_CHECK(got->size == skip || memcmp(data + skip, lane_bytes(got->size - skip, next->seed),
                                           got->size - skip) == 0,
               "other bytes");
}

void lane_take(struct lane *lane)
{
    const struct lane_message *taken = lane_next(lane);
    lane->first++;
    lane->count--;
    if (taken->kind == PIPC_BYE) {
        lane->read_bye = !lane->is_left;
        return;
    }
    lane->read++;
    lane->read_bytes += taken->size;
}

size_t lane_certain(const struct lane *lane)
{
    size_t certain = 0;
    if (lane->dead != 0 || lane->read_bye)
        return 0;
    while (certain < lane->count &&
           lane->size - lane->message[lane->first + certain].end >= lane->held)
        certain++;
    return certain;
}

static bool has_ended(const struct lane *lane)
{
    return lane->is_closed || lane->read_bye || (lane->is_shut && lane->held == 0);
}

static bool may_be_torn(const struct lane *lane)
{
    return lane->may_be_reset || (lane->is_closed && lane->held > 0);
}

bool lane_is_over(const struct lane *lane)
{
    bool is_left = lane->is_left && !lane->read_bye;
    return lane->dead != 0 || (has_ended(lane) && !is_left && lane_certain(lane) == 0);
}

void lane_check_error(struct lane *lane, int error)
{
    FUZZ_CHECK(lane_certain(lane) == 0, "no message, and %zu are there", lane_certain(lane));
    if (error == EAGAIN) {
        FUZZ_CHECK(!lane_is_over(lane), "the end is not reported");
        return;
    }
    FUZZ_CHECK(lane->dead == 0 || lane->dead == error, "it was %s before", strerror(lane->dead));
    FUZZ_CHECK(error == EPIPE || error == ECONNRESET, "an errno that does not belong here");
    FUZZ_CHECK(lane->is_shut || (has_ended(lane) && (!lane->is_left || lane->read_bye)),
               "an end that nobody caused");
    FUZZ_CHECK(error == EPIPE || may_be_torn(lane), "a reset that nobody caused");
    lane->dead = error;
}

void lane_check_write_error(const struct lane *lane, int error, const struct lane *back)
{
    if (error == EAGAIN) {
        FUZZ_CHECK(!lane->is_shut, "a direction that has ended is only full");
        FUZZ_CHECK(lane->count > 0 || lane->held > 0, "there is room");
        return;
    }
    bool is_reset = lane->may_be_reset || may_be_torn(back); /* which ends both directions */
    FUZZ_CHECK(error == EPIPE || (error == ECONNRESET && is_reset),
               "an errno that does not belong here");
    FUZZ_CHECK(lane->is_shut || lane->is_deaf || is_reset, "an end that nobody caused");
}
