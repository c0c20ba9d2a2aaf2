/* SPDX-License-Identifier: MIT */
#include "byte_ring.h"

#include <sys/mman.h>

#include "sys/sys.h"

static bool count_wake(void *context)
{
    struct fake *fake = context;
    if (fake->wakes++ > 0)
        return true;
    fake->written_at_wake = atomic_load(&fake->ring.memory.out->head);
    fake->read_at_wake = atomic_load(&fake->ring.memory.in->tail);
    return true;
}

static enum ring_life answer(void *context, uint64_t version, enum ring_question question,
                             int64_t now)
{
    struct fake *fake = context;
    bool is_paced = question == RING_ASK_READER || question == RING_ASK_WRITER;
    assert_true(is_paced || now == 0);
    assert_true(version == atomic_load(fake->ring.memory.peer_version));
    fake->questions[question]++;
    return question == RING_ASK_KERNEL ? fake->life_in_kernel : fake->life;
}

static unsigned own_processor(void *context)
{
    const struct fake *fake = context;
    return fake->processor;
}

static uint8_t *map_all(void *context, bool is_out)
{
    const struct fake *fake = context;
    const struct shared *s = fake->shared;
    unsigned side = fake == &s->side[1];
    return fake->lacks_memory ? NULL : s->data[is_out ? side : 1 - side];
}

/* Nothing behind its edge can be touched. */
static uint8_t *row_of(const struct shared *s, unsigned side)
{
    return s->rows + side * RING_GROWN;
}

static void init_side(struct shared *s, unsigned side)
{
    struct fake *fake = &s->side[side];
    const struct ring_peer peer = {fake, count_wake, answer, own_processor,
                                   s->rows != NULL ? map_all : NULL};
    const struct ring_memory memory = {
        .in = &s->words[1 - side],
        .out = &s->words[side],
        .in_data = s->rows != NULL ? row_of(s, 1 - side) : s->data[1 - side],
        .out_data = s->rows != NULL ? row_of(s, side) : s->data[side],
        .interest = &s->interest[side],
        .peer_interest = &s->interest[1 - side],
        .peer_version = &s->version[1 - side],
    };
    *fake = (struct fake){.shared = s};
    ring_init(&fake->ring, &memory, &peer);
}

static struct sys_memory_layout layout(void)
{
    return (struct sys_memory_layout){
        .head = sys_page(), .first = RING_SIZE, .ring = RING_GROWN, .rings = 2};
}

static void map_rows(struct shared *s, int fd)
{
    const struct sys_memory_layout once = {.head = 2 * RING_GROWN, .offset = sys_page()};
    s->rows = sys_memory_map(fd, &once);
    assert_non_null(s->rows);
    for (unsigned side = 0; side < 2; side++)
        assert_int_equal(mprotect(row_of(s, side) + RING_SIZE, RING_GROWN - RING_SIZE, PROT_NONE),
                         0);
}

static void map_data(struct shared *s, bool in_rows)
{
    const struct sys_memory_layout map = layout();
    int fd = sys_memory_open(map.head + 2 * RING_GROWN);
    assert_true(fd >= 0);
    s->mapping = sys_memory_map(fd, &map);
    assert_non_null(s->mapping);
    if (in_rows)
        map_rows(s, fd);
    sys_close(fd);
    s->data[0] = (uint8_t *)s->mapping + map.head;
    s->data[1] = s->data[0] + RING_SPAN;
}

static struct shared *new_shared(uint64_t begin, bool in_rows)
{
    struct shared *s = aligned_alloc(_Alignof(struct shared), sizeof *s);
    assert_non_null(s);
    memset(s, 0, sizeof *s);
    map_data(s, in_rows);
    for (unsigned side = 0; side < 2; side++) {
        atomic_store(&s->words[side].head, begin);
        atomic_store(&s->words[side].tail, begin);
        atomic_store(&s->words[side].steps, begin);
    }
    init_side(s, 0);
    init_side(s, 1);
    return s;
}

struct shared *new_sides(uint64_t begin)
{
    return new_shared(begin, false);
}

struct shared *new_rows(uint64_t begin)
{
    return new_shared(begin, true);
}

void free_sides(struct shared *s)
{
    const struct sys_memory_layout map = layout(), once = {.head = 2 * RING_GROWN};
    if (s->rows != NULL)
        sys_memory_unmap(s->rows, &once);
    sys_memory_unmap(s->mapping, &map);
    free(s);
}

ssize_t put(struct ring *ring, const void *bytes, size_t size)
{
    struct iovec part = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = size};
    return ring_writev(ring, &part, 1);
}

void put_in_place(struct ring *ring, const void *bytes, size_t size)
{
    uint8_t *to = ring_place(ring, size);
    assert_non_null(to);
    memcpy(to, bytes, size);
    ring_publish(ring, size);
}

void expect(struct ring *ring, const void *bytes, size_t size)
{
    const uint8_t *shown;
    bool end;
    assert_in_range(ring_peek(ring, size, &shown, &end), size, RING_GROWN);
    assert_memory_equal(shown, bytes, size);
    ring_consume(ring, size);
}

void expect_nothing(struct ring *ring, bool should_end)
{
    const uint8_t *shown;
    bool end;
    assert_int_equal(ring_peek(ring, 1, &shown, &end), 0);
    assert_int_equal(end, should_end);
}

void fill(struct ring *ring)
{
    static const uint8_t zeros[RING_LONG];
    while (put(ring, zeros, sizeof zeros) >= 0)
        continue;
    assert_int_equal(errno, EAGAIN);
}
