/* SPDX-License-Identifier: MIT */
/*
 * Resident memory of connections on which nothing happens: many of them in a process of their own,
 * the second side of each used by a second thread. Counted is what /proc/self/smaps_rollup calls
 * Pss; what the kernel keeps for descriptors is not in it. The first connection pays for what all
 * share.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench.h"

#define SHORT 16
#define LARGE (1u << 20)

struct crowd {
    const struct contender *contender;
    struct link *links;
    unsigned count;
    pthread_barrier_t barrier;
};

/* Both sides of a range of connections do a step; the second side is in the other thread. */
struct step {
    struct crowd *crowd;
    unsigned from, to;
    void (*act)(struct link *, int side);
};

/* ---- what a side does with a connection ---- */

static void join(struct link *link, int side)
{
    link->contender->join(link, side);
}

static unsigned char *data(void)
{
    static unsigned char *large;
    if (large == NULL) /* by the first thread, before there is a second */
        large = mmap(NULL, LARGE, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    return large;
}

static void receive(struct link *link, int side)
{
    const void *message;
    link->contender->receive(link->end[side], &message);
}

static void look(struct link *link, int side)
{
    if (link->contender->look != NULL)
        link->contender->look(link->end[side]);
}

static void exchange(struct link *link, int side)
{
    if (side == 0)
        link->contender->send(link->end[side], data(), SHORT);
    receive(link, side);
    if (side == 1)
        link->contender->send(link->end[side], data(), SHORT);
}

/* A short one afterwards, since a contender may keep its last message. */
static void large_then_short(struct link *link, int side)
{
    if (side == 0)
        link->contender->send(link->end[side], data(), LARGE);
    else
        receive(link, side);
    exchange(link, side);
}

/* ---- two threads in step ---- */

static const struct step *current;

static void act(const struct step *step, int side)
{
    for (unsigned i = step->from; i < step->to; i++)
        step->act(&step->crowd->links[i], side);
}

static void *second_side(void *at)
{
    struct crowd *crowd = at;
    while (pthread_barrier_wait(&crowd->barrier), current != NULL) {
        act(current, 1);
        pthread_barrier_wait(&crowd->barrier);
    }
    return NULL;
}

static void both_act(struct crowd *crowd, unsigned from, unsigned to,
                     void (*what)(struct link *, int))
{
    struct step step = {crowd, from, to, what};
    current = &step;
    pthread_barrier_wait(&crowd->barrier);
    act(&step, 0);
    pthread_barrier_wait(&crowd->barrier);
}

static void start(struct crowd *crowd)
{
    pthread_t thread;
    data();
    crowd->links = calloc(crowd->count, sizeof *crowd->links);
    if (crowd->links == NULL)
        fail("memory");
    memset(crowd->links, 1, crowd->count * sizeof *crowd->links); /* resident from the start */
    pthread_barrier_init(&crowd->barrier, NULL, 2);
    if (pthread_create(&thread, NULL, second_side, crowd) != 0)
        fail("pthread_create");
}

/* One after the other, so that a port is taken before the next one is looked for. */
static void open_links(struct crowd *crowd, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++) {
        link_start(&crowd->links[i], crowd->contender, SHORT);
        if (crowd->contender->prepare != NULL)
            crowd->contender->prepare(&crowd->links[i]);
        both_act(crowd, i, i + 1, join);
    }
}

static double for_each(const struct crowd *crowd, double bytes)
{
    return bytes / ((crowd->count - 1) * crowd->contender->handles);
}

static void measure(struct crowd *crowd, struct idle *result)
{
    bool large = !crowd->contender->one_size;
    start(crowd);
    open_links(crowd, 0, 1);
    both_act(crowd, 0, 1, large ? large_then_short : exchange);
    double before = resident();
    open_links(crowd, 1, crowd->count);
    result->opened = for_each(crowd, resident() - before);
    both_act(crowd, 1, crowd->count, exchange);
    both_act(crowd, 1, crowd->count, look);
    result->used = for_each(crowd, resident() - before);
    if (large)
        both_act(crowd, 1, crowd->count, large_then_short);
    both_act(crowd, 1, crowd->count, look);
    result->after_large = large ? for_each(crowd, resident() - before) : -1;
    current = NULL;
    pthread_barrier_wait(&crowd->barrier);
    for (unsigned i = 0; i < crowd->count; i++)
        link_sweep(&crowd->links[i]);
}

bool idle_run(const struct contender *contender, unsigned links, struct idle *result)
{
    struct crowd crowd = {.contender = contender, .count = links + 1};
    if (contender->max_links > 0 && contender->max_links <= links)
        crowd.count = contender->max_links;
    struct idle *shared = new_shared(sizeof *shared);
    pid_t child = fork_or_fail();
    if (child == 0) {
        alarm(120);
        allow_descriptors();
        measure(&crowd, shared);
        _exit(0);
    }
    bool done = child_succeeded(child);
    *result = *shared;
    munmap(shared, sizeof *shared);
    return done;
}
