/* SPDX-License-Identifier: MIT */
#ifndef PIPC_CHANNEL_LOST_H
#define PIPC_CHANNEL_LOST_H

#include <errno.h>
#include <stdbool.h>

/*
 * Whether the kernel has given the connection up. It reports that once, to whichever call comes
 * first: that nobody has answered, or what a router last said of the way.
 */
static inline bool channel_is_lost(int error)
{
    switch (error) {
    case ECONNRESET:
    case ETIMEDOUT:
    case EHOSTUNREACH:
    case EHOSTDOWN:
    case ENETUNREACH:
    case ENETDOWN:
    case ECONNREFUSED:
    case ENOPROTOOPT:
        return true;
    default:
        return false;
    }
}

#endif
