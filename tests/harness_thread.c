/* SPDX-License-Identifier: MIT */
/* Threads with small stacks: every call of the library has to do with them. */
#include "small_stack.h"

#include <stdatomic.h>

#include "harness.h"

enum { GUARD = 65536 };

/* 0: the default, since tools make frames larger, or need room for themselves. */
static size_t small_stack(void)
{
    static _Atomic size_t size;
    if (harness_sanitized() || harness_scale() > 1)
        return 0;
    if (atomic_load(&size) == 0)
        atomic_store(&size, small_stack_size());
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
