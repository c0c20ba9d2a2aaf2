/* SPDX-License-Identifier: MIT */
#include "lockstep.h"

#include <pthread.h>
#include <semaphore.h>

#include "fuzz.h"

static sem_t begin, done;
static void (*next_step)(void *context);
static void *next_context;

static void wait_for(sem_t *semaphore)
{
    while (sem_wait(semaphore) != 0)
        FUZZ_NEED(errno == EINTR);
}

static void *take_steps(void *unused)
{
    for (;;) {
        wait_for(&begin);
        next_step(next_context);
        sem_post(&done);
    }
    return unused;
}

static void start_thread(void)
{
    static bool is_there;
    pthread_t thread;
    if (is_there)
        return;
    is_there = true;
    FUZZ_NEED(sem_init(&begin, 0, 0) == 0 && sem_init(&done, 0, 0) == 0);
    FUZZ_NEED(pthread_create(&thread, NULL, take_steps, NULL) == 0);
    pthread_detach(thread);
}

void lockstep_start(void (*step)(void *context), void *context)
{
    start_thread();
    next_step = step;
    next_context = context;
    sem_post(&begin);
}

void lockstep_wait(void)
{
    wait_for(&done);
}

void lockstep_run(void (*step)(void *context), void *context)
{
    lockstep_start(step, context);
    lockstep_wait();
}
