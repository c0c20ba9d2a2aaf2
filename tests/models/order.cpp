/* SPDX-License-Identifier: MIT */
/*
 * The order of memory of the ring and the ends, under Relacy, a simulator of the memory model of
 * C11 and C++11. What runs here is the code of src itself: order.py makes `order.inc` of it, in
 * which each atomic call asks `order` for its memory order. So one of them can be taken out.
 *
 * The ring is small, its bytes lie in cells whose races Relacy sees, and a doorbell wakes its
 * reader and orders no more than a lock does. No ticker repairs a lost wakeup: it is a deadlock.
 *
 *   stream     a writer fills the ring with short and long messages, a reader takes all, then the
 *              writer shuts its end; nothing is lost
 *   answers    short messages there and back
 *   handover   the holder of an end writes, says goodbye and frees the end; another process takes
 *              it, goes on where the first one stopped, and closes it
 */
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <relacy/relacy.hpp>
#include <string>
#include <sys/uio.h>

/* ---- what order.inc needs ---- */

#undef errno
static int errno; /* read where it was set */
#undef memory_order_relaxed
#undef memory_order_acquire
#undef memory_order_release
#undef memory_order_seq_cst
enum { memory_order_relaxed, memory_order_acquire, memory_order_release, memory_order_seq_cst };

static int weak_site = -1; /* the one that is taken out */

static rl::memory_order order(int site, int asked)
{
    static const rl::memory_order all[] = {rl::mo_relaxed, rl::mo_acquire, rl::mo_release,
                                           rl::mo_seq_cst};
    return site == weak_site ? rl::mo_relaxed : all[asked];
}

template <typename T> struct word {
    mutable rl::atomic<T> value;
    word(T first = 0)
    {
        value.store(first, rl::mo_relaxed, $);
    }
    void operator=(const word &other)
    {
        value.store(other.value.debug_value(), rl::mo_relaxed, $);
    }
};

#define atomic_load_explicit(w, o)        ((w)->value.load(o, $))
#define atomic_store_explicit(w, v, o)    ((w)->value.store(v, o, $))
#define atomic_exchange_explicit(w, v, o) ((w)->value.exchange(v, o, $))
#define atomic_fetch_or_explicit(w, v, o) ((w)->value.fetch_or(v, o, $))
#define atomic_compare_exchange_explicit(w, seen, v, o) \
    ((w)->value.compare_exchange_strong(*(seen), v, o, $))

static void fence(rl::memory_order asked)
{
    if (asked != rl::mo_relaxed)
        rl::atomic_thread_fence(asked, $);
}

enum { CELL = 8, SIDES = 2 };

struct world; /* all that the threads of one run share */
static struct world *here;
static void copy_bytes(uint8_t *to, const uint8_t *from, size_t size);

static int64_t sys_ticks(void)
{
    return 0;
}
static int64_t sys_now(void)
{
    return 0;
}
static void sys_cpu_relax(void)
{
}
static void sys_cpu_relax_for(int64_t)
{
}
static void sys_cpu_prefetch_to_write(const void *)
{
}

struct sys_life_file {
    int unused;
};
enum sys_life { SYS_LIFE_THERE, SYS_LIFE_GONE, SYS_LIFE_UNKNOWN };
static void *sys_life_begin(const struct sys_life_file *file, uint64_t number);
static void sys_life_end(const struct sys_life_file *file, uint64_t number, void *token);
static enum sys_life sys_life_check(const struct sys_life_file *file, uint64_t number);
static uint64_t sys_process_namespace(void)
{
    return 1;
}
static bool sys_doorbell_ring(const int *doorbell);

/* Each thread is a process of its own. */
static uintptr_t self_thread(void)
{
    return rl::ctx().threadx_->index_ + 1u;
}
static uint32_t self_process(void)
{
    return (uint32_t)self_thread();
}
static bool self_is_process(uint32_t process)
{
    return process == self_process();
}
static int sys_process_id(void)
{
    return (int)self_process();
}

/* Holders have tokens here, and so no process is asked for. */
static int sys_process_open(int)
{
    return 0;
}
static bool sys_process_is_dead(int)
{
    return false;
}
static void sys_process_close(int)
{
}
static void self_hold_forks(void)
{
}
static void self_release_forks(void)
{
}

#define _Static_assert(...)
#define _Alignas(n)
#define ATOMIC_LLONG_LOCK_FREE 2
#include "order.inc"

/* ---- the world ---- */

struct world {
    struct shared_page page;
    rl::var<unsigned> cell[SIDES][RING_GROWN / CELL];
    rl::generic_event bell[SIDES];
    uint8_t data[SIDES][RING_SPAN];
    bool token[2 * 4 * 2];
};

/* As ring_area.h maps it. */
static size_t cell_at(size_t offset)
{
    return (offset < RING_SIZE ? offset : (offset - RING_SIZE) % RING_GROWN) / CELL;
}

static void copy_bytes(uint8_t *to, const uint8_t *from, size_t size)
{
    for (size_t i = 0; i < size; i += CELL) {
        for (int side = 0; side < SIDES; side++) {
            size_t to_at = (size_t)(to + i - here->data[side]),
                   from_at = (size_t)(from + i - here->data[side]);
            if (to_at < RING_SPAN)
                here->cell[side][cell_at(to_at)]($) = from[i];
            if (from_at < RING_SPAN)
                to[i] = (uint8_t)(unsigned)here->cell[side][cell_at(from_at)]($);
        }
    }
}

static void *sys_life_begin(const struct sys_life_file *, uint64_t number)
{
    bool *token = &here->token[number];
    if (*token) {
        errno = EAGAIN;
        return NULL;
    }
    *token = true;
    return token;
}
static void sys_life_end(const struct sys_life_file *, uint64_t, void *token)
{
    *(bool *)token = false;
}
static enum sys_life sys_life_check(const struct sys_life_file *, uint64_t number)
{
    return here->token[number] ? SYS_LIFE_THERE : SYS_LIFE_GONE;
}
static bool sys_doorbell_ring(const int *doorbell)
{
    here->bell[*doorbell].set($);
    return true;
}
static int shared_open(struct shared *shared)
{
    shared->page = &here->page;
    shared->doorbell[1][0] = 1;
    return 0;
}
static void shared_close(struct shared *)
{
}

/* ---- a process that holds an end ---- */

struct process {
    struct ends ends;
    struct ring ring;
    unsigned end;
    bool keeps_size;
};

static bool wake_peer(void *context)
{
    return sys_doorbell_ring(
        ((struct process *)context)->ends.shared.doorbell[1 - ((struct process *)context)->end]);
}
static enum ring_life peer_life(void *, uint64_t version, enum ring_question, int64_t)
{
    switch (ends_status_of(version)) {
    case ENDS_DEAD:
        return RING_PEER_DEAD;
    case ENDS_SHUT:
        return RING_PEER_SHUT;
    default:
        return RING_PEER_MAY_WRITE;
    }
}
static unsigned no_processor(void *)
{
    return 0;
}
static uint8_t *wrap(void *context, bool is_out)
{
    const struct process *p = (struct process *)context;
    return here->data[is_out ? p->end : 1 - p->end];
}

/* Both ends are claimed at the beginning, or one comes free. */
static void take(struct process *p)
{
    ends_open(&p->ends);
    int end;
    while ((end = ends_claim(&p->ends)) < 0)
        rl::yield(1, $);
    p->end = (unsigned)end;
    const struct ring_peer peer = {p, wake_peer, peer_life, no_processor, wrap};
    struct ring_memory memory = {};
    memory.in = &here->page.ring[1 - end];
    memory.out = &here->page.ring[end];
    memory.in_data = here->data[1 - end];
    memory.out_data = here->data[end];
    memory.interest = &here->page.end[end].interest;
    memory.peer_interest = &here->page.end[1 - end].interest;
    memory.keeps_size = p->keeps_size;
    memory.peer_version = &here->page.end[1 - end].state;
    ring_init(&p->ring, &memory, &peer);
}

/* end_wait without the clock: src/peer/transport_ring.c */
static void wait(struct process *p, unsigned interest)
{
    for (;;) {
        if (ring_arm(&p->ring, interest))
            return;
        here->bell[p->end].wait(false, false, $);
        if (ring_is_ready(&p->ring, interest))
            break;
    }
    ring_disarm(&p->ring);
}

static void write_short(struct process *p, unsigned value)
{
    uint8_t bytes[CELL] = {(uint8_t)value}, *to;
    while ((to = ring_place(&p->ring, CELL)) == NULL)
        wait(p, RING_ROOM);
    copy_bytes(to, bytes, CELL);
    ring_publish(&p->ring, CELL);
}

enum { LONG = 20 }; /* cells */

static void write_long(struct process *p, unsigned value)
{
    const unsigned cells = LONG;
    uint8_t bytes[LONG * CELL] = {};
    for (unsigned i = 0; i < cells; i++)
        bytes[i * CELL] = (uint8_t)(value + i);
    for (size_t done = 0; done < cells * CELL;) {
        const struct iovec part = {bytes + done, cells * CELL - done};
        ssize_t n = ring_writev(&p->ring, &part, 1);
        if (n < 0)
            wait(p, RING_ROOM);
        done += n < 0 ? 0 : (size_t)n;
    }
}

/* -1: the end. */
static int read_short(struct process *p)
{
    const uint8_t *bytes;
    uint8_t value[CELL];
    for (;;) {
        bool end;
        ssize_t n = ring_peek(&p->ring, CELL, &bytes, &end);
        RL_ASSERT(n >= 0);
        if (n >= CELL)
            break;
        if (end)
            return -1;
        wait(p, RING_BYTES);
    }
    copy_bytes(value, bytes, CELL);
    ring_consume(&p->ring, CELL);
    return value[0];
}

static void expect_long(struct process *p, unsigned value)
{
    const unsigned cells = LONG;
    uint8_t bytes[LONG * CELL] = {};
    for (size_t done = 0; done < cells * CELL;) {
        ssize_t n = ring_read(&p->ring, bytes + done, cells * CELL - done);
        RL_ASSERT(n != 0);
        if (n < 0)
            wait(p, RING_BYTES);
        done += n < 0 ? 0 : (size_t)n;
    }
    for (unsigned i = 0; i < cells; i++)
        RL_ASSERT(bytes[i * CELL] == (uint8_t)(value + i));
}

/* ---- the scenes ---- */

template <typename Scene, int threads, bool keeps_size = false>
struct scene : rl::test_suite<Scene, threads> {
    struct world world;
    struct process process[threads];

    void before()
    {
        here = &world;
        for (unsigned e = 0; e < 2; e++) {
            memset(world.data[e], 0, sizeof world.data[e]);
            world.bell[e].init(false, false, $);
            world.page.end[e].state.value.store(0, rl::mo_relaxed, $);
            world.page.end[e].until.value.store(0, rl::mo_relaxed, $);
            world.page.end[e].interest.value.store(0, rl::mo_relaxed, $);
            world.page.ring[e].head.value.store(0, rl::mo_relaxed, $);
            world.page.ring[e].tail.value.store(0, rl::mo_relaxed, $);
            world.page.ring[e].steps.value.store(0, rl::mo_relaxed, $);
            world.page.ring[e].grown.value.store(keeps_size ? RING_AREA_KEPT : 0, rl::mo_relaxed,
                                                 $);
        }
        memset(world.token, 0, sizeof world.token);
    }
    void after()
    {
        for (unsigned e = 0; e < 2; e++)
            world.bell[e].deinit($);
    }
};

template <typename Scene, bool keeps_size> struct streaming : scene<Scene, 2, keeps_size> {
    void thread(unsigned i)
    {
        struct process *p = &this->process[i];
        p->keeps_size = keeps_size;
        take(p);
        if (i == 0) {
            for (unsigned m = 0; m < 3; m++) {
                write_short(p, m);
                write_long(p, 10 * m);
            }
            write_short(p, 99);
            ends_shutdown(&p->ends, p->end);
            return;
        }
        for (unsigned m = 0; m < 3; m++) {
            RL_ASSERT(read_short(p) == (int)m);
            expect_long(p, 10 * m);
        }
        RL_ASSERT(read_short(p) == 99);
        RL_ASSERT(read_short(p) == -1);
    }
};
struct stream : streaming<stream, true> {
};
struct growth : streaming<growth, false> {
};

struct answers : scene<answers, 2> {
    void thread(unsigned i)
    {
        struct process *p = &process[i];
        take(p);
        for (unsigned m = 0; m < 3; m++) {
            if (i == 0)
                write_short(p, m);
            RL_ASSERT(read_short(p) == (int)m);
            if (i == 1)
                write_short(p, m);
        }
        if (i == 0) {
            write_short(p, 99);
            ends_finish(&p->ends, p->end);
        } else {
            RL_ASSERT(read_short(p) == 99);
            RL_ASSERT(read_short(p) == -1);
        }
    }
};

struct handover : scene<handover, 3> {
    word<unsigned> is_open; /* orders nothing */

    void thread(unsigned i)
    {
        struct process *p = &process[i];
        if (i == 0) {
            take(p);
            is_open.value.store(1, rl::mo_relaxed, $);
            serve(p);
            return;
        }
        while (is_open.value.load(rl::mo_relaxed, $) == 0)
            rl::yield(1, $);
        take(p);
        write_short(p, i);
        RL_ASSERT(read_short(p) == (int)(10 + i));
        ends_begin_leaving(&p->ends, p->end, p->ring.out_head + CELL);
        write_short(p, 50); /* its goodbye */
        ends_free(&p->ends, p->end);
    }
    void serve(struct process *p)
    {
        for (int guests = 0; guests < 2; guests++) {
            int value = read_short(p);
            RL_ASSERT(value == 1 || value == 2);
            write_short(p, 10u + (unsigned)value);
            RL_ASSERT(read_short(p) == 50);
        }
    }
};

/* ---- main ---- */

template <typename Scene> static bool passes(const char *name, unsigned long runs)
{
    rl::test_params params;
    params.iteration_count = runs;
    params.progress_output_period = 1000;
    params.execution_depth_limit = 20000;
    bool passed = rl::simulate<Scene>(params);
    std::cout << "scene " << name << ": " << rl::test_result_str(params.test_result) << ", "
              << params.stop_iteration << " runs\n";
    return passed;
}

/* order RUNS [SITE]: 0: no scene fails, 1: one does. */
int main(int argc, char **argv)
{
    unsigned long runs = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000;
    if (argc > 2)
        weak_site = atoi(argv[2]);
    bool good = passes<answers>("answers", runs) && passes<stream>("stream", runs) &&
                passes<growth>("growth", runs) && passes<handover>("handover", runs);
    return good ? 0 : 1;
}
