/* SPDX-License-Identifier: MIT */
/*
 * How long messages are copied. memcpy takes string instructions for some thousand bytes, and on
 * some processors these fall from 40 to 2 GB/s where `to` is a few bytes further than `from`,
 * modulo a page: at three positions in a thousand, with the first messages of every ring, and with
 * half of those that lie together in a buffer, each a header further. There it goes in steps that
 * are too short for those instructions: 40 GB/s.
 */
#ifndef PIPC_COPY_H
#define PIPC_COPY_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define COPY_STEP  ((size_t)512)
#define COPY_PAGE  ((uintptr_t)4096)
#define COPY_LONG  ((size_t)1024)  /* memcpy takes no such instructions below */
#define COPY_AHEAD ((uintptr_t)32) /* bytes; 31 are slow */

/* A step ends where `to` is a multiple of its length. So compilers see no constant length, for
 * which they would put in such an instruction. */
static inline void copy_in_steps(uint8_t *to, const uint8_t *from, size_t size)
{
    while (size > 0) {
        size_t step = COPY_STEP - ((uintptr_t)to & (COPY_STEP - 1));
        if (step > size)
            step = size;
        memcpy(to, from, step);
        to += step;
        from += step;
        size -= step;
    }
}

/* No better than memcpy for what is never long. */
static inline void copy_bytes(uint8_t *to, const uint8_t *from, size_t size)
{
    uintptr_t ahead = ((uintptr_t)to - (uintptr_t)from) & (COPY_PAGE - 1);
    if (ahead > 0 && ahead < COPY_AHEAD)
        copy_in_steps(to, from, size);
    else
        memcpy(to, from, size);
}

/* The same where most are short, and short ones have to be quick. */
static inline void copy_message(uint8_t *to, const uint8_t *from, size_t size)
{
    if (size >= COPY_LONG)
        copy_bytes(to, from, size);
    else if (size > 0)
        memcpy(to, from, size);
}

#endif
