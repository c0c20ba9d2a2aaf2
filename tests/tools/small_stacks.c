/* SPDX-License-Identifier: MIT */
/*
 * To be preloaded: threads whose creator does not say otherwise have nearly 16 KiB of stack,
 * besides what the C library takes of it for thread-local variables and for itself.
 */
#define _GNU_SOURCE
#include "../small_stack.h"

#include <unistd.h>

__attribute__((constructor)) static void make_stacks_small(void)
{
    pthread_attr_t attributes;
    size_t size = small_stack_size();
    pthread_attr_init(&attributes);
    if (size == 0 || pthread_attr_setstacksize(&attributes, size) != 0 ||
        pthread_setattr_default_np(&attributes) != 0)
        _exit(77);
    pthread_attr_destroy(&attributes);
}
