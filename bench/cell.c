/* SPDX-License-Identifier: MIT */
/*
 * One measurement: two fresh processes, one contender, one kind of work. The first process leads
 * (sends, or sends and waits for the echo) and has the clock; the second follows. One way ends with
 * an answer, so the time is until the last message has been read and looked at. Whoever receives
 * checks each message's size, number and sum: of all its bytes before the clock runs, and of a word
 * in each 4,096 bytes while it runs (all bytes when the job says so), since adding up would
 * otherwise be most of the work.
 */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench.h"

#define PATIENCE      60 /* seconds until a process that is stuck ends */
#define SPARSE        4096
#define BATCH_BYTES   (1u << 20)
#define WARM_UP_BYTES (4u << 20)
#define WARM_UP_LEAST (24u << 10) /* bytes, after which pipes may have moved into shared memory */
#define COUNT_MIN     6           /* messages that the clock runs for, however large they are */

/* What the two processes and the driver share. */
struct control {
    pthread_barrier_t barrier;
    size_t count;  /* messages of the next burst; 0: no more */
    size_t step;   /* bytes from one word that is added up to the next */
    double cpu[2]; /* nanoseconds that each process spent in the last burst, all its threads */
    struct cost cost;
};

struct run {
    struct link link;
    struct job job;
    struct control *control;
    void *end;
    unsigned char *data;  /* the messages of a batch, one behind the other */
    size_t batch;         /* how many */
    uint64_t sum, number; /* of a message but for its number; of the next message */
};

/* ---- messages: a number of 8 bytes, and noise ---- */

static uint64_t word_at(const unsigned char *data)
{
    uint64_t word;
    memcpy(&word, data, sizeof word);
    return word;
}

static uint64_t sum_of(const unsigned char *data, size_t size, size_t step)
{
    uint64_t sum = 0;
    if (step == sizeof sum)
        for (size_t at = 0; at < size; at += sizeof sum)
            sum += word_at(data + at);
    else
        for (size_t at = 0; at < size; at += step)
            sum += word_at(data + at);
    return sum + word_at(data + size - sizeof sum);
}

static void make_messages(struct run *run)
{
    uint64_t noise = 0x9e3779b97f4a7c15u;
    size_t size = run->job.size;
    run->batch = run->link.contender->send_many == NULL ? 1 : BATCH_BYTES / size;
    if (run->batch > BATCH_MAX)
        run->batch = BATCH_MAX;
    run->data = malloc(run->batch * size);
    if (run->batch == 0 || run->data == NULL)
        fail("memory");
    for (size_t at = 0; at < run->batch * size; at += sizeof noise) {
        noise = at % size == 0 ? 0x9e3779b97f4a7c15u
                               : noise * 6364136223846793005u + 1442695040888963407u;
        memcpy(run->data + at, &noise, sizeof noise);
    }
}

static void begin_burst(struct run *run)
{
    static const uint64_t zero;
    memcpy(run->data, &zero, sizeof zero);
    run->sum = sum_of(run->data, run->job.size, run->control->step);
    run->number = 0;
}

static unsigned char *stamp(struct run *run, size_t index)
{
    unsigned char *message = run->data + index * run->job.size;
    memcpy(message, &run->number, sizeof run->number);
    run->number++;
    return message;
}

static void check(struct run *run, const void *message, size_t size)
{
    errno = EBADMSG; /* for fail to say */
    if (size != run->job.size || word_at(message) != run->number)
        fail("a message of another size or number arrived");
    if (sum_of(message, size, run->control->step) != run->sum + run->number)
        fail("a message arrived with another content");
    run->number++;
}

/* ---- the work ---- */

static void send_next(struct run *run)
{
    run->link.contender->send(run->end, stamp(run, 0), run->job.size);
}

static void receive_next(struct run *run)
{
    const void *message;
    size_t size = run->link.contender->receive(run->end, &message);
    check(run, message, size);
}

static void send_batch(struct run *run, size_t count)
{
    struct iovec messages[BATCH_MAX];
    for (size_t i = 0; i < count; i++)
        messages[i] = (struct iovec){stamp(run, i), run->job.size};
    run->link.contender->send_many(run->end, messages, count);
}

static size_t receive_batch(struct run *run, size_t count)
{
    struct iovec messages[BATCH_MAX];
    size_t got = run->link.contender->receive_many(run->end, messages,
                                                   count < BATCH_MAX ? count : BATCH_MAX);
    for (size_t i = 0; i < got; i++)
        check(run, messages[i].iov_base, messages[i].iov_len);
    return got;
}

static void send_all(struct run *run, size_t count)
{
    if (run->link.contender->send_many == NULL)
        while (count-- > 0)
            send_next(run);
    else
        for (size_t sent; count > 0; count -= sent)
            send_batch(run, sent = count < run->batch ? count : run->batch);
}

static void receive_all(struct run *run, size_t count)
{
    if (run->link.contender->receive_many == NULL)
        while (count-- > 0)
            receive_next(run);
    else
        while (count > 0)
            count -= receive_batch(run, count);
}

/* A round trip is checked by the leader, who gets back what it sent. */
static void ping(struct run *run, size_t count)
{
    while (count-- > 0) {
        send_next(run);
        run->number--;
        receive_next(run);
    }
}

static void pong(struct run *run, size_t count)
{
    while (count-- > 0) {
        const void *message;
        size_t size = run->link.contender->receive(run->end, &message);
        run->link.contender->send(run->end, message, size);
    }
}

static void lead(struct run *run, size_t count)
{
    if (run->job.roundtrip) {
        ping(run, count);
        return;
    }
    send_all(run, count);
    run->number = 0;
    receive_next(run);
}

static void follow(struct run *run, size_t count)
{
    if (run->job.roundtrip) {
        pong(run, count);
        return;
    }
    receive_all(run, count);
    run->number = 0;
    send_next(run);
}

/* ---- the clock ---- */

/* Both processes come here with the same count and step. Returns nanoseconds. */
static double burst(struct run *run, size_t count, size_t step)
{
    run->control->count = count;
    run->control->step = step;
    pthread_barrier_wait(&run->control->barrier);
    begin_burst(run);
    double cpu = now(CLOCK_PROCESS_CPUTIME_ID), start = now(CLOCK_MONOTONIC);
    lead(run, count);
    double time = now(CLOCK_MONOTONIC) - start;
    run->control->cpu[0] = now(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    pthread_barrier_wait(&run->control->barrier); /* before the next one's count is written */
    return time;
}

static void end_bursts(struct run *run)
{
    run->control->count = 0;
    pthread_barrier_wait(&run->control->barrier);
}

static void follow_bursts(struct run *run)
{
    for (;;) {
        pthread_barrier_wait(&run->control->barrier);
        if (run->control->count == 0)
            return;
        begin_burst(run);
        double cpu = now(CLOCK_PROCESS_CPUTIME_ID);
        follow(run, run->control->count);
        run->control->cpu[1] = now(CLOCK_PROCESS_CPUTIME_ID) - cpu;
        pthread_barrier_wait(&run->control->barrier);
    }
}

/* How many messages warm up: fewer large ones, since each is added up in full. */
static size_t warm_up_count(const struct run *run)
{
    size_t count = WARM_UP_BYTES / run->job.size;
    size_t least = WARM_UP_LEAST / run->job.size;
    if (count > run->batch + 16)
        count = run->batch + 16;
    if (count < least)
        count = least;
    return count < 2 ? 2 : count;
}

/* Bursts that grow until one takes the time wanted; it counts, and those before it have warmed
 * up. */
static struct cost measure(struct run *run)
{
    double wanted = run->job.seconds * 1e9;
    size_t step = run->job.sum_all ? sizeof(uint64_t) : SPARSE;
    size_t count = warm_up_count(run);
    burst(run, count, sizeof(uint64_t));
    if (count < COUNT_MIN)
        count = COUNT_MIN;
    for (;;) {
        double time = burst(run, count, step);
        if (time >= wanted * 0.6)
            return (struct cost){time / (double)count,
                                 (run->control->cpu[0] + run->control->cpu[1]) / (double)count};
        double grow = wanted / (time + 1) * 1.05;
        count = (size_t)((double)count * (grow > 20 ? 20 : grow)) + 1;
    }
}

/* ---- the processes ---- */

static void have_end(struct run *run, int side)
{
    const struct contender *contender = run->link.contender;
    alarm(PATIENCE);
    pin(side, run->job.setting);
    if (contender->drop != NULL)
        contender->drop(&run->link, 1 - side);
    contender->join(&run->link, side);
    run->end = run->link.end[side];
    make_messages(run);
}

static _Noreturn void second_process(struct run *run)
{
    have_end(run, 1);
    follow_bursts(run);
    _exit(0);
}

static _Noreturn void first_process(struct run *run)
{
    if (run->link.contender->prepare != NULL)
        run->link.contender->prepare(&run->link);
    pid_t second = fork_or_fail();
    if (second == 0)
        second_process(run);
    have_end(run, 0);
    if (run->job.count > 0)
        burst(run, run->job.count, SPARSE);
    else
        run->control->cost = measure(run);
    end_bursts(run);
    _exit(child_succeeded(second) ? 0 : 1);
}

static struct control *new_control(void)
{
    struct control *control = new_shared(sizeof *control);
    barrier_init(&control->barrier);
    return control;
}

bool cell_run(const struct contender *contender, const struct job *job, struct cost *cost)
{
    struct run run = {.job = *job, .control = new_control()};
    link_start(&run.link, contender, job->size);
    pid_t first = fork_or_fail();
    if (first == 0)
        first_process(&run);
    bool done = child_succeeded(first);
    link_sweep(&run.link);
    *cost = run.control->cost;
    munmap(run.control, sizeof *run.control);
    return done;
}
