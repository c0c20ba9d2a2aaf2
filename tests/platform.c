/* SPDX-License-Identifier: MIT */
#include "platform.h"

#include "harness.h"

#ifdef PIPC_PLATFORM_POSIX
static const char *const reasons[] = {
    [PLATFORM_SETS] = "poll and select alone serve for the descriptor here",
    [PLATFORM_EXACT] = "the descriptor is readable once a millisecond here",
    [PLATFORM_DEATH_IN_POLL] = "a program that polls learns of a death from its next call here",
    [PLATFORM_TOKENS] = "who closes all descriptors is taken for dead here",
    [PLATFORM_ABSTRACT] = "only short paths lead to sockets here",
    [PLATFORM_CREDENTIALS] = "nobody vouches for a peer here",
    [PLATFORM_DESCRIPTORS] = "more descriptors are needed here",
    [PLATFORM_SWITCH] = "descriptors that nobody asked for come, and are closed, here",
    [PLATFORM_KEEPALIVE] = "keepalive has no interval here",
    [PLATFORM_PIPES] = "pipes are as large as they are, and read with O_NONBLOCK, here",
    [PLATFORM_RAW_FORK] = "a fork without handlers is not noticed here",
    [PLATFORM_GIVEN_RIGHTS] = "only the rights of set-user-ID are known here",
    [PLATFORM_LINUX_CALLS] = "no call of Linux is made here",
};
#elif defined PIPC_PLATFORM_BSD
static const char *const reasons[] = {
    [PLATFORM_TOKENS] = "a death is known by its process alone here",
    [PLATFORM_ABSTRACT] = "only short paths lead to sockets here",
    [PLATFORM_DESCRIPTORS] = "more descriptors are needed here",
    [PLATFORM_SWITCH] = "descriptors do not travel here",
    [PLATFORM_KEEPALIVE] = "what waits to be sent counts by the system's times here",
    [PLATFORM_PIPES] = "pipes are as large as they are, and read with O_NONBLOCK, here",
    [PLATFORM_RAW_FORK] = "a fork without handlers is not noticed here",
    [PLATFORM_LINUX_CALLS] = "no call of Linux is made here",
};
#endif

#if defined PIPC_PLATFORM_POSIX || defined PIPC_PLATFORM_BSD
bool platform_has(enum platform_feature feature)
{
    return reasons[feature] == NULL;
}

void platform_needs(enum platform_feature feature)
{
    if (!platform_has(feature))
        harness_skip(reasons[feature]);
}
#else
bool platform_has(enum platform_feature feature)
{
    (void)feature;
    return true;
}

void platform_needs(enum platform_feature feature)
{
    (void)feature;
}
#endif

bool platform_wakes(int fd, int timeout_ms)
{
    return platform_has(PLATFORM_EXACT) && harness_readable(fd, timeout_ms);
}
