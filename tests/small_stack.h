/* SPDX-License-Identifier: MIT */
/* The size that gives a thread nearly 16 KiB of stack, for the tests and for what they preload. */
#ifndef PIPC_TESTS_SMALL_STACK_H
#define PIPC_TESTS_SMALL_STACK_H

#include <pthread.h>
#include <stdint.h>
#include <sys/mman.h>

enum { SMALL_STACK = 16384, SMALL_STACK_PAGE = 4096, SMALL_STACK_LARGE = 1 << 22 };

static void *small_stack_note_place(void *place)
{
    char here;
    *(uintptr_t *)place = (uintptr_t)&here;
    return NULL;
}

/* How much of its stack is gone when a thread begins: thread-local variables, and what the C
 * library needs for itself. 0: not known. */
static size_t small_stack_measure(void)
{
    pthread_t thread;
    pthread_attr_t attributes;
    uintptr_t place = 0;
    size_t size = SMALL_STACK_LARGE;
    void *stack = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack == MAP_FAILED)
        return 0;
    pthread_attr_init(&attributes);
    if (pthread_attr_setstack(&attributes, stack, size) == 0 &&
        pthread_create(&thread, &attributes, small_stack_note_place, &place) == 0)
        pthread_join(thread, NULL);
    pthread_attr_destroy(&attributes);
    munmap(stack, size);
    return place == 0 ? 0 : (size_t)((uintptr_t)stack + size - place);
}

/* 0: not known. */
static size_t small_stack_size(void)
{
    size_t taken = small_stack_measure();
    return taken == 0 ? 0 : (SMALL_STACK + taken) / SMALL_STACK_PAGE * SMALL_STACK_PAGE;
}

#endif
