/* SPDX-License-Identifier: MIT */
/*
 * To be preloaded: threads whose creator does not say otherwise have a stack of 16 KiB, and what
 * the C library takes of it for thread-local variables.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <unistd.h>

enum { SMALL = 16384, STEP = 4096, TRIES = 64 };

static void *do_nothing(void *arg)
{
    return arg;
}

static int make_default(size_t size)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    int error = pthread_attr_setstacksize(&attributes, size);
    if (error == 0)
        error = pthread_setattr_default_np(&attributes);
    pthread_attr_destroy(&attributes);
    return error;
}

__attribute__((constructor)) static void make_stacks_small(void)
{
    pthread_t thread;
    size_t taken = 0;
    while (make_default(SMALL + taken) != 0 || pthread_create(&thread, NULL, do_nothing, NULL) != 0)
        if ((taken += STEP) > (size_t)STEP * TRIES)
            _exit(77);
    pthread_join(thread, NULL);
    if (make_default(SMALL + taken) != 0)
        _exit(77);
}
