/* SPDX-License-Identifier: MIT */
/*
 * To be preloaded: threads whose creator does not say otherwise have nearly 16 KiB of stack,
 * besides what the C library takes of it for thread-local variables and for itself.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SMALL = 16384, PAGE = 4096, LARGE = 1 << 22 };

static void *note_place(void *place)
{
    char here;
    *(uintptr_t *)place = (uintptr_t)&here;
    return NULL;
}

/* How much of its stack is gone when a thread begins; 0: not known. */
static size_t measure(void)
{
    pthread_t thread;
    pthread_attr_t attributes;
    uintptr_t place = 0;
    void *stack =
        mmap(NULL, LARGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
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

__attribute__((constructor)) static void make_stacks_small(void)
{
    pthread_attr_t attributes;
    size_t taken = measure();
    pthread_attr_init(&attributes);
    if (taken == 0 || pthread_attr_setstacksize(&attributes, (SMALL + taken) / PAGE * PAGE) != 0 ||
        pthread_setattr_default_np(&attributes) != 0)
        _exit(77);
    pthread_attr_destroy(&attributes);
}
