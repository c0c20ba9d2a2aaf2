/* SPDX-License-Identifier: MIT */
/* What the limits of pipc_options_t mean. */
#ifndef PIPC_CHANNEL_LIMITS_H
#define PIPC_CHANNEL_LIMITS_H

#include <stddef.h>
#include <stdint.h>

#define CHANNEL_LIMIT_DEFAULT ((size_t)64 * 1024 * 1024)
/* No object is larger, and sizes plus a header must not overflow. */
#define CHANNEL_LIMIT_MAX ((size_t)PTRDIFF_MAX / 2)

static inline size_t channel_limit(size_t limit)
{
    if (limit == 0)
        return CHANNEL_LIMIT_DEFAULT;
    return limit < CHANNEL_LIMIT_MAX ? limit : CHANNEL_LIMIT_MAX;
}

#endif
