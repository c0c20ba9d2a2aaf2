/* SPDX-License-Identifier: MIT */
/* Threads with small stacks: every call of the library has to do with them. */
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>

#include "harness.h"

enum { SMALL = 16384, GUARD = 65536, PAGE = 4096, LARGE = 1 << 22 };

static void *note_place(void *place)
{
    char here;
    *(uintptr_t *)place = (uintptr_t)&here;
    return NULL;
}

/* How much of its stack is gone when a thread begins: thread-local variables, and what the C
 * library needs for itself. 0: not known. */
static size_t measure(void)
{
    pthread_t thread;
    pthread_attr_t attributes;
    uintptr_t place = 0;
    void *stack = mmap(NULL, LARGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack == MAP_FAILED)
        return 0;
    pthread_attr_init(&attributes);
    if (pthread_attr_setstack(&attributes, stack, LARGE) == 0 &&
        pthread_create(&thread, &attributes, note_place, &place) == 0)
        pthread_join(thread, NULL);
    pthread_attr_destroy(&attributes);
    munmap(stack, LARGE);
    return place == 0 ? 0 : (size_t)((uintptr_t)stack + LARGE - place);
}

/* 0: the default, since tools make frames larger, or need room for themselves. */
static size_t small_stack(void)
{
    static _Atomic size_t size;
    if (harness_sanitized() || harness_scale() > 1)
        return 0;
    if (atomic_load(&size) == 0) {
        size_t taken = measure();
        atomic_store(&size, taken == 0 ? 0 : (SMALL + taken) / PAGE * PAGE);
    }
    return atomic_load(&size);
}

int harness_thread(pthread_t *thread, void *(*fn)(void *), void *arg)
{
    pthread_attr_t attributes;
    size_t size = small_stack();
    pthread_attr_init(&attributes);
    if (size > 0) {
        pthread_attr_setstacksize(&attributes, size);
        pthread_attr_setguardsize(&attributes, GUARD); /* a large frame does not reach over it */
    }
    int error = pthread_create(thread, &attributes, fn, arg);
    pthread_attr_destroy(&attributes);
    return error;
}
